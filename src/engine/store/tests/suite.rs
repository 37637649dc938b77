//! What every store must do, tried on each of them against a model.

use proptest::prelude::*;

use super::{disk::FakeDisk, model::Model, workload::Workload};
use crate::engine::store::{
    Store,
    log::{LogStore, Settings},
};

/// A store, and another one that has what the first one had on disk when it ended.
type Open = Box<dyn Fn() -> Box<dyn Store>>;

/// The stores, each with a place of its own.
fn stores() -> Vec<Open> {
    let log = |settings: Settings| -> Open {
        let disk = FakeDisk::new(u64::MAX);
        Box::new(move || {
            let disk = Box::new(disk.clone());
            let opened = LogStore::open_on(disk, settings, Box::new(|_| {}));
            Box::new(opened.unwrap())
        })
    };
    vec![log(Settings::default()), log(Settings::tiny())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_shows_what_was_committed(workload in Workload::any(1..12), closes in any::<bool>()) {
        for open in stores() {
            let mut store = open();
            prop_assert!(store.was_closed());
            for (number, batch) in workload.batches.iter().enumerate() {
                store.commit(batch, number.is_multiple_of(2)).unwrap();
                while store.tidy().unwrap() {}
                prop_assert_eq!(&Model::of(&mut *store).unwrap(), &workload.states[number + 1]);
            }
            if closes {
                store.close().unwrap();
            }
            drop(store);
            let mut store = open();
            prop_assert_eq!(store.was_closed(), closes);
            let last = workload.states.last().unwrap();
            prop_assert_eq!(&Model::of(&mut *store).unwrap(), last);
        }
    }
}
