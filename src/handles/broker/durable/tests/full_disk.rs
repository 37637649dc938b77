//! A disk that has no more room at some moment of a workload.

use super::*;
use crate::model::error::StoreErrorKind;

#[test]
fn a_disk_that_is_full_at_any_moment_is_an_error_and_loses_nothing_confirmed() {
    let (queue, stream) = (Queue::new("q").durable(), streams::log());
    let whole = FakeDisk::new(u64::MAX);
    {
        let broker = open(&whole).unwrap();
        work(&broker, &queue, &mut Ledger::default()).unwrap();
        streams::fill(&broker, &stream, 40, &mut Vec::new()).unwrap();
    }
    let mut full = 0;
    for operations in 0..whole.operations() {
        let disk = FakeDisk::new(u64::MAX);
        disk.fill_after(operations);
        let broker = match open(&disk) {
            Ok(broker) => broker,
            Err(error) => {
                is_full(&error);
                continue;
            }
        };
        let alarms = broker.disk_alarms().unwrap();
        let (mut ledger, mut confirmed) = (Ledger::default(), Vec::new());
        let worked = work(&broker, &queue, &mut ledger)
            .and_then(|()| streams::fill(&broker, &stream, 40, &mut confirmed));
        // Queues in memory go on, also as part of a broker whose disk is full.
        let memory = broker.simple_queue::<u32>(Queue::new("memory")).unwrap();
        memory.put(7).unwrap();
        assert_eq!(*memory.get().unwrap(), 7);
        if let Err(error) = worked {
            full += 1;
            is_full(&error);
            // The durable side stays closed until the folder is opened again, though there is room.
            disk.fail_after(u64::MAX);
            let declared = broker.declare(&Queue::new("r").durable());
            is_full(&declared.unwrap_err());
            let published = streams::fill(&broker, &stream, 1, &mut Vec::new());
            is_full(&published.unwrap_err());
            let failed = alarms.recv().unwrap();
            assert!(matches!(failed, DiskAlarm::Failed(_)), "{failed:?}");
            assert!(broker.shutdown(Duration::ZERO).is_err());
        }
        drop((memory, broker));
        let broker = open(&disk.after_end_of_process()).unwrap();
        let found = contents(&broker, &queue);
        let mut must = ledger.confirmed.difference(&ledger.acknowledged);
        assert!(
            must.all(|number| found.contains(number)),
            "{operations}: {found:?} after {ledger:?}"
        );
        streams::check(&broker, &stream, &confirmed);
        streams::fill(&broker, &stream, 1, &mut Vec::new()).unwrap();
    }
    assert!(full > 30, "{full}");
}

fn is_full(error: &Error) {
    let Error::Store(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.kind(), StoreErrorKind::DiskFull, "{error}");
}
