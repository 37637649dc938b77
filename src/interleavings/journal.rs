//! The journal of a durable broker: appends and waits of several threads, beside its own thread.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use super::*;
use crate::{
    engine::{
        router::ExchangeTypes,
        store::{
            DiskSettings, Journal, KeptPositions, Mark, Operation, Recovered, Store, StoredChunk,
            StreamFiles, Usage,
        },
    },
    model::{
        bytes::Bytes,
        descriptions::{Durability, Offset},
        error::{StoreError, StoreErrorKind},
    },
    runtime::{
        clock::{ManualClock, Time},
        waiter,
    },
    session::broker_core::{BrokerCore, Settings},
};

/// A store in memory, which keeps all operations. It fails when it tidies, if it is told to.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Operation>>>, Arc<AtomicBool>);

impl Memory {
    /// The positions of the messages that it has.
    fn messages(&self) -> BTreeSet<u64> {
        let mut messages = BTreeSet::new();
        for operation in &*self.0.lock().unwrap() {
            match operation {
                Operation::Put { position, .. } => {
                    messages.insert(*position);
                }
                Operation::Settle { position, .. } => {
                    messages.remove(position);
                }
                _ => {}
            }
        }
        messages
    }
}

impl Store for Memory {
    fn commit(&mut self, batch: &[Operation], _: bool) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        match self.1.load(SeqCst) {
            true => Err(Store::damaged(self, "it is told to fail")),
            false => Ok(false),
        }
    }

    fn recover(&mut self, _: &mut dyn FnMut(Recovered<'_>)) -> Result<(), StoreError> {
        Ok(())
    }

    fn stream_files(&self) -> Option<Arc<dyn StreamFiles>> {
        Some(Arc::new(self.clone()))
    }

    fn each_message(&self, _: &mut dyn FnMut(u64, u64, Option<Mark>)) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::new("memory", StoreErrorKind::Damaged, reason)
    }

    fn was_closed(&self) -> bool {
        true
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Each message of a stream is in a file as soon as it is committed, and none has to be in memory.
impl StreamFiles for Memory {
    fn end(&self, _: u64) -> u64 {
        let operations = self.0.lock().unwrap();
        let ends = operations.iter().filter_map(|operation| match operation {
            Operation::Append { offset, .. } => Some(offset + 1),
            _ => None,
        });
        ends.max().unwrap_or(0)
    }

    fn memory(&self) -> u64 {
        0
    }

    fn read(&self, _: u64, wanted: u64) -> Result<Option<StoredChunk>, StoreError> {
        let mut found = None;
        for operation in &*self.0.lock().unwrap() {
            match operation {
                Operation::Append {
                    offset,
                    message,
                    arrival,
                    ..
                } if *offset == wanted => {
                    let entry = (arrival.came, 0..message.len());
                    found = Some(StoredChunk::new(
                        wanted,
                        message.to_vec().into(),
                        vec![entry],
                    ));
                }
                Operation::Trim { offset, .. } if *offset > wanted => found = None,
                _ => {}
            }
        }
        Ok(found)
    }

    fn since(&self, _: u64, _: u64) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn damaged(&self, reason: &str) -> StoreError {
        Store::damaged(self, reason)
    }
}

fn put(position: u64) -> Operation {
    Operation::Put {
        queue: 1,
        position,
        message: Bytes::from(vec![1]),
        body: None,
    }
}

/// A broker with this store.
fn start(memory: &Memory, time: Time, disk: DiskSettings) -> Broker {
    let core = BrokerCore::recover(
        time,
        Settings::default(),
        ExchangeTypes::default(),
        Durability::Synced,
        Box::new(memory.clone()),
        disk,
    );
    Broker::start(core.unwrap())
}

#[test]
fn every_wait_ends_when_its_operations_are_in_the_store() {
    explore(|| {
        let memory = Memory::default();
        let journal = Journal::start(Box::new(memory.clone()), 1).unwrap();
        let threads = [1, 2].map(|position| {
            let (memory, journal) = (memory.clone(), journal.clone());
            thread::spawn(move || {
                journal.append(put(position), Duration::MAX);
                assert_eq!(waiter::wait(&journal.synced(), None), Some(Ok(())));
                assert!(memory.messages().contains(&position));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        journal.close(KeptPositions::new()).unwrap();
        assert_eq!(memory.messages(), BTreeSet::from([1, 2]));
    });
}

#[test]
fn nothing_is_confirmed_that_comes_after_the_store_has_failed() {
    explore(|| {
        let memory = Memory::default();
        memory.1.store(true, SeqCst);
        let journal = Journal::start(Box::new(memory.clone()), 1).unwrap();
        let threads = [1, 2].map(|position| {
            let (memory, journal) = (memory.clone(), journal.clone());
            thread::spawn(move || {
                journal.append(put(position), Duration::MAX);
                let synced = waiter::wait(&journal.synced(), None).unwrap();
                assert!(synced.is_err() || memory.messages().contains(&position));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(journal.close(KeptPositions::new()).is_err());
    });
}

#[test]
fn an_end_commits_everything_and_ends_every_wait_and_call() {
    explore(|| {
        let memory = Memory::default();
        let journal = Journal::start(Box::new(memory.clone()), 1).unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        journal.append(put(1), Duration::MAX);
        let waiting = thread::spawn({
            let (journal, calls) = (journal.clone(), Arc::clone(&calls));
            move || {
                let synced = journal.synced();
                synced.clone().then(move |outcome| {
                    assert_eq!(outcome, Ok(()));
                    calls.fetch_add(1, SeqCst);
                });
                assert_eq!(waiter::wait(&synced, None), Some(Ok(())));
            }
        });
        journal.close(KeptPositions::new()).unwrap();
        waiting.join().unwrap();
        assert_eq!(memory.messages(), BTreeSet::from([1]));
        assert_eq!(calls.load(SeqCst), 1);
    });
}

#[test]
fn a_transaction_is_in_one_batch() {
    explore(|| {
        let memory = Memory::default();
        let journal = Journal::start(Box::new(memory.clone()), 1).unwrap();
        let looking = thread::spawn({
            let (memory, journal) = (memory.clone(), journal.clone());
            move || {
                journal.append(put(9), Duration::ZERO);
                waiter::wait(&journal.synced(), None).unwrap().unwrap();
                let found = memory.messages();
                assert_eq!(found.contains(&1), found.contains(&2), "{found:?}");
            }
        });
        let whole = journal.begin_whole();
        journal.append(put(1), Duration::ZERO);
        thread::yield_now();
        journal.append(put(2), Duration::ZERO);
        drop(whole);
        looking.join().unwrap();
        journal.close(KeptPositions::new()).unwrap();
        assert_eq!(memory.messages(), BTreeSet::from([1, 2, 9]));
    });
}

#[test]
fn what_is_published_and_acknowledged_at_the_same_time_is_not_left_in_the_store() {
    explore(|| {
        let memory = Memory::default();
        let broker = start(&memory, Time::default(), DiskSettings::none());
        let queue = queue().durable();
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        let publishing = thread::spawn({
            let persistent = Properties::new().persistent();
            let producer = broker
                .producer_builder::<u32>(&queue)
                .properties(persistent);
            let producer = producer.build().unwrap();
            move || {
                producer.publish(1).unwrap();
                producer.publish(2).unwrap();
            }
        });
        for number in [1, 2] {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        }
        publishing.join().unwrap();
        drop(consumer);
        drop(broker);
        assert_eq!(memory.messages(), BTreeSet::new());
    });
}

#[test]
fn a_publish_that_waits_for_room_on_the_disk_goes_on_when_there_is_some() {
    explore(|| {
        let free = Arc::new(AtomicUsize::new(1));
        let space = Arc::clone(&free);
        let disk = DiskSettings {
            limit: 10,
            free_space: Box::new(move |_| Ok(space.load(SeqCst) as u64)),
            ..DiskSettings::none()
        };
        let broker = start(&Memory::default(), Time::new(ManualClock::new()), disk);
        let producer = broker
            .producer_builder::<u32>(&queue().durable())
            .properties(Properties::new().persistent());
        let producer = producer.build().unwrap();
        let publishing = thread::spawn(move || producer.publish(1).unwrap().routed);
        free.store(20, SeqCst);
        broker.core().disk().unwrap().watch();
        assert_eq!(publishing.join().unwrap(), 1);
    });
}

#[test]
fn a_declaration_returns_when_its_own_record_is_in_the_store() {
    explore(|| {
        let memory = Memory::default();
        let broker = start(&memory, Time::default(), DiskSettings::none());
        let declare = |name: &'static str| {
            let (broker, memory) = (broker.clone(), memory.clone());
            thread::spawn(move || {
                broker.declare(&Queue::new(name).durable()).unwrap();
                let operations = memory.0.lock().unwrap();
                let is_own = |operation: &Operation| match operation {
                    Operation::Record { key, .. } => key.name.contains(name),
                    _ => false,
                };
                assert!(operations.iter().any(is_own), "{operations:?}");
            })
        };
        let (one, other) = (declare("first"), declare("second"));
        one.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_reader_gets_each_message_from_memory_or_from_the_disk_or_counts_it_as_missed() {
    explore(|| {
        let memory = Memory::default();
        let broker = start(&memory, Time::default(), DiskSettings::none());
        // Each message is a segment, and two more are kept.
        let log = Queue::stream("log")
            .max_segment_bytes(0)
            .max_length_bytes(350);
        let reader = broker.reader::<u32>(&log).from(Offset::First);
        let reader = reader.build().unwrap();
        let producer = broker.producer::<u32>(&log).unwrap();
        let publishing = thread::spawn(move || {
            (0..4).for_each(|number| drop(producer.publish(number).unwrap()));
        });
        let mut read = Vec::new();
        while read.last() != Some(&3) {
            let entry = reader.recv().unwrap();
            assert_eq!(entry.offset(), u64::from(*entry));
            read.push(entry.offset());
        }
        publishing.join().unwrap();
        assert!(read.is_sorted());
        assert_eq!(read.len() as u64 + reader.lagged(), 4);
    });
}

#[test]
fn a_consumer_gets_each_message_once_while_they_go_from_memory_to_the_disk() {
    explore(|| {
        let memory = Memory::default();
        let broker = start(&memory, Time::default(), DiskSettings::none());
        let log = Queue::stream("log");
        let consumer = broker.consumer_builder::<u32>(&log).prefetch(1);
        let consumer = consumer.build().unwrap();
        let producer = broker.producer::<u32>(&log).unwrap();
        let publishing = thread::spawn(move || {
            (0..4).for_each(|number| drop(producer.publish(number).unwrap()));
        });
        for number in 0..4 {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        }
        publishing.join().unwrap();
    });
}
