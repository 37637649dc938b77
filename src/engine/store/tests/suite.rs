//! What every store must do, tried on each of them against a model.

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree};

use super::disk::Disk;
use crate::{
    engine::store::{Mark, Operation, RecordKey, RecordKind, Recovered, Store, redb::RedbStore},
    model::bytes::Bytes,
};

/// What a store has to show.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    messages: BTreeMap<(u64, u64), Vec<u8>>,
    marks: BTreeMap<(u64, u64), Mark>,
    bodies: BTreeMap<u64, Vec<u8>>,
    records: BTreeMap<(u8, String), Vec<u8>>,
}

impl Model {
    fn apply(&mut self, operation: &Operation) {
        match operation.clone() {
            Operation::Nothing => {}
            Operation::Put {
                queue,
                position,
                message,
                ..
            } => {
                self.messages.insert((queue, position), message.to_vec());
            }
            Operation::Mark {
                queue,
                position,
                mark,
            } => self.set_mark((queue, position), mark),
            Operation::Move {
                queue,
                from,
                to,
                mark,
            } => {
                if let Some(message) = self.messages.remove(&(queue, from)) {
                    self.messages.insert((queue, to), message);
                    self.marks.remove(&(queue, from));
                    self.set_mark((queue, to), mark);
                }
            }
            Operation::Settle { queue, position } => {
                self.messages.remove(&(queue, position));
                self.marks.remove(&(queue, position));
            }
            Operation::PutBody { body, octets } => {
                self.bodies.insert(body, octets.to_vec());
            }
            Operation::DropBody { body } => {
                self.bodies.remove(&body);
            }
            Operation::DropQueue { queue } => {
                self.messages.retain(|(other, _), _| *other != queue);
                self.marks.retain(|(other, _), _| *other != queue);
            }
            Operation::Record { key, value } => {
                let key = (key.kind as u8, key.name);
                match value {
                    Some(value) => self.records.insert(key, value.to_vec()),
                    None => self.records.remove(&key),
                };
            }
        }
    }

    fn set_mark(&mut self, place: (u64, u64), mark: Option<Mark>) {
        match mark {
            Some(mark) => self.marks.insert(place, mark),
            None => self.marks.remove(&place),
        };
    }

    fn of(store: &mut dyn Store) -> Model {
        let mut model = Model::default();
        store
            .recover(&mut |recovered| match recovered {
                Recovered::Record { kind, name, value } => {
                    let key = (kind as u8, name.to_owned());
                    model.records.insert(key, value.to_vec());
                }
                Recovered::Body { body, octets } => {
                    model.bodies.insert(body, octets.to_vec());
                }
                Recovered::Message {
                    queue,
                    position,
                    message,
                } => {
                    model.messages.insert((queue, position), message.to_vec());
                }
                Recovered::Mark {
                    queue,
                    position,
                    mark,
                } => {
                    model.marks.insert((queue, position), mark);
                }
            })
            .unwrap();
        model
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let place = || (0..3u64, 0..6u64);
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let mark = || {
        let mark = (1..9u32, any::<bool>()).prop_map(|(acquired, returned)| Mark {
            acquired,
            returned,
            ..Mark::default()
        });
        proptest::option::of(mark)
    };
    let record = (
        proptest::sample::select(RecordKind::ALL.as_slice()),
        "[ab]",
        proptest::option::of(bytes()),
    );
    prop_oneof![
        4 => (place(), bytes()).prop_map(|((queue, position), message)| Operation::Put {
            queue,
            position,
            message,
            body: None,
        }),
        2 => (place(), mark()).prop_map(|((queue, position), mark)| Operation::Mark {
            queue,
            position,
            mark,
        }),
        // To a position that no other message has.
        1 => (place(), 6..9u64, mark()).prop_map(|((queue, from), to, mark)| Operation::Move {
            queue,
            from,
            to,
            mark,
        }),
        2 => place().prop_map(|(queue, position)| Operation::Settle { queue, position }),
        1 => (0..3u64, bytes()).prop_map(|(body, octets)| Operation::PutBody { body, octets }),
        1 => (0..3u64).prop_map(|body| Operation::DropBody { body }),
        1 => (0..3u64).prop_map(|queue| Operation::DropQueue { queue }),
        1 => record.prop_map(|(kind, name, value)| Operation::Record {
            key: RecordKey { kind, name },
            value,
        }),
    ]
}

fn batches() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    proptest::collection::vec(proptest::collection::vec(operation(), 1..8), 1..6)
}

/// The states after each batch, the first of which is empty.
fn states(batches: &[Vec<Operation>]) -> Vec<Model> {
    let mut states = vec![Model::default()];
    for batch in batches {
        let mut state = states.last().unwrap().clone();
        batch.iter().for_each(|operation| state.apply(operation));
        states.push(state);
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_shows_what_was_committed(batches in batches()) {
        let disk = Disk::new(u64::MAX);
        let mut store = RedbStore::open_on(disk.clone()).unwrap();
        prop_assert!(store.was_closed());
        for batch in &batches {
            store.commit(batch).unwrap();
        }
        let expected = states(&batches).pop().unwrap();
        prop_assert_eq!(&Model::of(&mut store), &expected);
        store.close().unwrap();
        drop(store);
        let mut store = RedbStore::open_on(disk.after_power_loss(|_| 0)).unwrap();
        prop_assert!(store.was_closed());
        prop_assert_eq!(&Model::of(&mut store), &expected);
    }
}

#[test]
fn after_a_power_loss_at_any_moment_a_store_has_every_batch_that_was_committed() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let batches = batches().new_tree(&mut runner).unwrap().current();
    let states = states(&batches);
    let whole = Disk::new(u64::MAX);
    run(&whole, &batches);
    let mut random = 1u64;
    for operations in 0..whole.operations() {
        let disk = Disk::new(operations);
        // A file that was never whole is made under another name, which is tested elsewhere.
        let Some(committed) = run(&disk, &batches) else {
            continue;
        };
        let chance = |of: u32| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as u32 % of
        };
        let mut store = RedbStore::open_on(disk.after_power_loss(chance)).unwrap();
        let found = Model::of(&mut store);
        // A batch that has failed may be there, as a whole.
        let next = states.get(committed + 1);
        assert!(
            found == states[committed] || Some(&found) == next,
            "after {operations} operations and {committed} commits: {found:?}"
        );
    }
}

/// Commits the batches until the disk fails. Returns how many were committed. `None` if the store
/// was not made.
fn run(disk: &Disk, batches: &[Vec<Operation>]) -> Option<usize> {
    let mut store = RedbStore::open_on(disk.clone()).ok()?;
    let committed = batches
        .iter()
        .take_while(|batch| store.commit(batch).is_ok());
    Some(committed.count())
}
