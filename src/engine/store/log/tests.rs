//! The log on a fake disk: losses of power, damage, cleaning.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;
use crate::{
    engine::store::{
        RecordKey, RecordKind,
        tests::{disk::FakeDisk, model::Model, workload::Workload},
    },
    model::bytes::Bytes,
};

impl Settings {
    /// Sizes with which a short workload does everything.
    pub(crate) fn tiny() -> Settings {
        Settings {
            segment: 2_048,
            ahead: 512,
            slack: 4_096,
            piece: 700,
            buffer: 300,
            chunk: 300,
            memory: 2_000,
        }
    }
}

fn open(disk: &FakeDisk) -> Result<LogStore, StoreError> {
    LogStore::open_on(Box::new(disk.clone()), Settings::tiny(), Box::new(|_| {}))
}

/// Random numbers.
fn chance(seed: u64) -> impl FnMut(u32) -> u32 {
    let mut random = seed;
    move |of| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u32 % of
    }
}

/// How far a workload came until the disk failed.
#[derive(Debug, Default, PartialEq)]
struct Done {
    /// These batches are on disk.
    synced: usize,
    /// These may be on disk.
    begun: usize,
    closed: bool,
}

impl Done {
    /// Commits the batches until the disk fails. Every third one is not synced by itself.
    fn run(disk: &FakeDisk, workload: &Workload) -> Done {
        let mut done = Done::default();
        let Ok(mut store) = open(disk) else {
            return done;
        };
        for (number, batch) in workload.batches.iter().enumerate() {
            let sync = number % 3 != 1;
            done.begun = number + 1;
            if Store::commit(&mut store, batch, sync).is_err() {
                return done;
            }
            if sync {
                done.synced = number + 1;
            }
            if store.tidy().is_err() {
                return done;
            }
        }
        done.synced = done.begun;
        done.closed = Store::close(&mut store).is_ok();
        done
    }

    /// Whether a store may show this after the disk has failed.
    fn allows(&self, found: &Model, workload: &Workload) -> bool {
        workload.states[self.synced..=self.begun].contains(found)
    }
}

/// The kinds of what happens to files, which a workload must all do.
fn names_of(workload: &Workload) -> Vec<String> {
    let disk = FakeDisk::new(u64::MAX);
    Done::run(&disk, workload);
    disk.files().into_keys().collect()
}

#[test]
fn after_a_power_loss_at_any_moment_a_log_has_every_batch_that_was_committed_and_goes_on() {
    let workload = Workload::some(120);
    let names = names_of(&workload);
    let segments: Vec<u32> = names
        .iter()
        .filter_map(|name| Some(segment::of_name(name)?.0))
        .collect();
    let last = *segments.last().unwrap();
    assert!(
        last > 8 && segments.len() < last as usize / 2,
        "{segments:?}"
    );
    let streams = names.iter().filter(|name| name.ends_with(".stream"));
    assert!(streams.count() > 3, "{names:?}");
    let whole = FakeDisk::new(u64::MAX);
    assert!(Done::run(&whole, &workload).closed);
    for operations in 0..whole.operations() {
        let disk = FakeDisk::new(operations);
        let done = Done::run(&disk, &workload);
        let mut chance = chance(operations);
        // The next moments get the other ends.
        let disk = match operations % 3 {
            0 => disk.after_end_of_process(),
            1 => disk.after_failed_sync(),
            _ => disk.after_power_loss(&mut chance),
        };
        let look = |disk: &FakeDisk| {
            let mut store = match open(disk) {
                Ok(store) => store,
                Err(error) => panic!("{operations} {done:?}: {error}"),
            };
            let found = Model::of(&mut store).unwrap();
            assert!(
                done.allows(&found, &workload),
                "{operations} {done:?}: {found:?}"
            );
            (store, found)
        };
        // It may fail again while it is opened.
        let again = disk.after_end_of_process();
        again.fail_after(u64::from(chance(9)));
        drop(open(&again));
        look(&again.after_power_loss(&mut chance));
        let (mut store, mut expected) = look(&disk);
        let had = workload.states.iter().position(|it| *it == expected);
        let rest = &workload.batches[had.unwrap()..];
        for batch in &rest[..rest.len().min(chance(20) as usize)] {
            Store::commit(&mut store, batch, true).unwrap();
            store.tidy().unwrap();
            expected.apply_all(batch);
        }
        assert_eq!(Model::of(&mut store).unwrap(), expected, "{operations}");
        drop(store);
        let lost = disk.after_power_loss(&mut chance);
        assert_eq!(show(&lost), Ok(expected), "{operations}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_log_that_is_ended_and_opened_at_random_has_what_a_map_has(
        workload in Workload::any(20..80),
        seed in any::<u64>(),
    ) {
        let mut chance = chance(seed);
        let mut disk = FakeDisk::new(u64::MAX);
        let mut store = open(&disk).unwrap();
        for (batch, state) in workload.batches.iter().zip(&workload.states[1..]) {
            Store::commit(&mut store, batch, true).unwrap();
            for _ in 0..chance(3) {
                store.tidy().unwrap();
            }
            match chance(12) {
                0 => {
                    Store::close(&mut store).unwrap();
                    store = open(&disk).unwrap();
                    prop_assert!(store.was_closed);
                }
                1 => {
                    disk = disk.after_power_loss(&mut chance);
                    store = open(&disk).unwrap();
                    prop_assert!(!store.was_closed);
                }
                2 => {
                    store.compact().unwrap();
                    store = open(&disk).unwrap();
                }
                _ => {}
            }
            prop_assert_eq!(&Model::of(&mut store).unwrap(), state);
        }
    }
}

/// A log of some segments, which was closed, and its contents.
fn closed() -> (FakeDisk, Model) {
    let workload = Workload::some(24);
    let disk = FakeDisk::new(u64::MAX);
    assert!(Done::run(&disk, &workload).closed);
    assert!(disk.files().len() > 1, "{:?}", disk.files().keys());
    (disk, workload.states.last().unwrap().clone())
}

fn show(disk: &FakeDisk) -> Result<Model, StoreErrorKind> {
    let opened = open(disk).and_then(|mut store| Model::of(&mut store));
    opened.map_err(|error| error.kind())
}

/// Where the frames of each file end. A segment that is not the last one has old frames and zeros
/// behind them.
fn ends(disk: &FakeDisk) -> BTreeMap<String, usize> {
    let store = open(&disk.copy()).unwrap();
    let files = disk.files();
    let mut ends: BTreeMap<_, _> = files
        .into_iter()
        .map(|(name, it)| (name, it.len()))
        .collect();
    for segment in &store.segments {
        ends.insert(segment::name(segment.number, false), segment.end as usize);
    }
    ends
}

#[test]
fn a_flipped_bit_of_a_closed_log_is_an_error() {
    let (disk, expected) = closed();
    assert_eq!(show(&disk.copy()), Ok(expected.clone()));
    let ends = ends(&disk);
    for (name, bytes) in disk.files() {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match show(&disk.with_file(&name, flipped)) {
                Ok(found) if at >= ends[&name] => assert_eq!(found, expected),
                found => assert!(
                    matches!(
                        found,
                        Err(StoreErrorKind::Damaged | StoreErrorKind::NewerFormat)
                    ),
                    "{name} {at}: {found:?}"
                ),
            }
        }
    }
}

#[test]
fn a_flipped_bit_of_a_log_that_was_not_closed_is_an_error_or_in_the_last_batch() {
    let workload = Workload::some(24);
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    for batch in &workload.batches {
        Store::commit(&mut store, batch, true).unwrap();
        store.tidy().unwrap();
    }
    drop(store);
    let [.., before, last] = &workload.states[..] else {
        panic!("{workload:?}");
    };
    let mut torn = 0;
    for (name, bytes) in disk.files() {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match show(&disk.with_file(&name, flipped)) {
                Ok(found) if found == *before => torn += 1,
                Ok(found) => assert_eq!(found, *last, "{name} {at}"),
                Err(StoreErrorKind::Damaged | StoreErrorKind::NewerFormat) => {}
                Err(other) => panic!("{name} {at}: {other:?}"),
            }
        }
    }
    assert!(torn > 0);
}

#[test]
fn a_closed_log_that_ends_too_early_or_misses_a_segment_is_an_error() {
    let (disk, _) = closed();
    let ends = ends(&disk);
    for (name, bytes) in disk.files() {
        for length in (0..ends[&name]).step_by(5) {
            let found = show(&disk.with_file(&name, bytes[..length].to_vec()));
            assert_eq!(found, Err(StoreErrorKind::Damaged), "{name} {length}");
        }
        let found = show(&disk.without_file(&name));
        let is_last = name.ends_with("closed");
        assert!(is_last || found == Err(StoreErrorKind::Damaged), "{name}");
    }
}

fn put(position: u64, message: Vec<u8>) -> Operation {
    Operation::Put {
        queue: 1,
        position,
        message: Bytes::from(message),
        body: None,
    }
}

#[test]
fn a_batch_that_is_longer_than_a_segment_has_one_for_itself() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    let mut model = Model::default();
    for position in 0..9 {
        let length = if position % 3 == 1 { 50_000 } else { 500 };
        let batch = [put(position, vec![position as u8; length])];
        Store::commit(&mut store, &batch, true).unwrap();
        model.apply_all(&batch);
    }
    assert_eq!(Model::of(&mut store).unwrap(), model);
    store.compact().unwrap();
    assert_eq!(show(&disk), Ok(model));
}

#[test]
fn a_log_is_at_most_twice_as_long_as_what_is_kept_and_the_slack_and_two_segments() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    let mut longest = 0;
    for position in 0..2_000 {
        // One of a hundred stays, so that no segment gets empty by itself.
        let mut batch = vec![put(position, vec![7; 100])];
        if position % 100 != 0 {
            let settled = position.saturating_sub(10);
            batch.extend((settled % 100 != 0).then_some(Operation::Settle {
                queue: 1,
                position: settled,
            }));
        }
        Store::commit(&mut store, &batch, true).unwrap();
        store.tidy().unwrap();
        let Settings { slack, segment, .. } = store.settings;
        let limit = 2 * store.index.live_bytes() + slack + 2 * segment;
        let bytes = store.usage().bytes;
        assert!(bytes <= limit, "{bytes} of {limit} at {position}");
        longest = longest.max(bytes);
        assert_eq!(
            bytes,
            disk.files().values().map(|it| it.len() as u64).sum::<u64>()
        );
    }
    assert!(store.head.number() > 100);
    while store.tidy().unwrap() {}
    Store::commit(&mut store, &[Operation::DropQueue { queue: 1 }], true).unwrap();
    while store.tidy().unwrap() {}
    assert!(store.segments.is_empty());
}

#[test]
fn a_file_is_used_again_for_later_segments() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    let mut created = 0;
    for position in 0..400 {
        let settle = Operation::Settle { queue: 1, position };
        Store::commit(&mut store, &[put(position, vec![7; 100])], true).unwrap();
        Store::commit(&mut store, &[settle], true).unwrap();
        let head = store.head.number();
        store.tidy().unwrap();
        created = disk.created();
        assert!(disk.files().len() <= 3, "{head}: {:?}", disk.files().keys());
    }
    assert!(store.head.number() > 20 && created <= 3, "{created}");
}

#[test]
fn a_frame_of_another_segment_is_no_frame_whatever_its_number_is() {
    let mut frame = Vec::new();
    frame::begin(&mut frame);
    Entry::DropQueue { queue: 1 }.write(&mut frame);
    let [before, now] = [Header::new(1, 1), Header::new(1, 1)];
    frame::finish(&mut frame, before.salt, 1, 0).unwrap();
    assert!(Frame::read(&frame, before.salt).is_some());
    assert!(Frame::read(&frame, now.salt).is_none());
}

#[test]
fn a_frame_behind_a_torn_one_does_not_come_back_when_the_torn_one_is_replaced() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    let mut places = Vec::new();
    for position in 1..=3 {
        places.push(store.head.end() as usize);
        let batch = [put(position, vec![position as u8; 200])];
        Store::commit(&mut store, &batch, position == 1).unwrap();
    }
    let (name, mut bytes) = disk.files().into_iter().next().unwrap();
    bytes[places[1]..places[2]].fill(0);
    let disk = disk.with_file(&name, bytes);
    let mut store = open(&disk).unwrap();
    let positions = |store: &mut LogStore| {
        let found = Model::of(store).unwrap();
        found
            .messages
            .into_keys()
            .map(|it| it.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(positions(&mut store), [1]);
    Store::commit(&mut store, &[put(4, vec![4; 200])], true).unwrap();
    assert_eq!(store.head.end() as usize, places[2]);
    assert_eq!(positions(&mut open(&disk.copy()).unwrap()), [1, 4]);
}

/// Adds a frame to a log that was not closed, as another version of leveret might.
fn with_frame(version: u16, entries: &[u8]) -> FakeDisk {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    Store::commit(&mut store, &[put(1, vec![1])], true).unwrap();
    frame::begin(&mut store.buffer);
    store.buffer.extend_from_slice(entries);
    let (salt, end) = (store.head.salt(), store.head.end());
    frame::finish(&mut store.buffer, salt, 2, 1).unwrap();
    store.buffer[24..26].copy_from_slice(&version.to_le_bytes());
    let sum = frame::checksum(&store.buffer[4..], salt);
    store.buffer[..4].copy_from_slice(&sum.to_le_bytes());
    let (name, mut bytes) = disk.files().into_iter().next().unwrap();
    bytes[end as usize..end as usize + store.buffer.len()].copy_from_slice(&store.buffer);
    disk.with_file(&name, bytes)
}

#[test]
fn an_entry_or_a_record_that_a_newer_version_has_added_is_refused_and_says_so() {
    let unknown_record = [10, 200, 1, b'n', 1, b'v'];
    for entries in [&[99, 1, 2][..], &unknown_record] {
        let next = frame::VERSION + 1;
        let newer = open(&with_frame(next, entries)).err().unwrap();
        assert_eq!(newer.kind(), StoreErrorKind::NewerFormat);
        assert!(
            newer.to_string().contains(&format!("version {next}")),
            "{newer}"
        );
        let damaged = open(&with_frame(frame::VERSION, entries)).err().unwrap();
        assert_eq!(damaged.kind(), StoreErrorKind::Damaged);
    }
    // A settlement is known.
    assert!(open(&with_frame(frame::VERSION + 1, &[6, 1, 1])).is_ok());
}

#[test]
fn a_newer_format_is_refused() {
    let (disk, _) = closed();
    let (name, mut bytes) = disk.files().into_iter().next().unwrap();
    bytes[8] = 2;
    let error = open(&disk.with_file(&name, bytes)).err().unwrap();
    assert_eq!(error.kind(), StoreErrorKind::NewerFormat, "{error}");
    assert!(error.to_string().contains("it is 2"), "{error}");
}

#[test]
fn every_entry_comes_back_as_it_was_and_no_part_of_it_is_an_entry() {
    let mut runner = TestRunner::deterministic();
    let workload = Workload::any(1..4);
    runner
        .run(&workload, |workload| {
            for operation in workload.batches.iter().flatten() {
                let Some(entry) = Entry::of(operation) else {
                    continue;
                };
                let mut bytes = Vec::new();
                entry.write(&mut bytes);
                let mut rest = &bytes[..];
                prop_assert_eq!(Entry::read(&mut rest), Ok(entry));
                prop_assert!(rest.is_empty());
                for length in (0..bytes.len()).take(30) {
                    prop_assert!(Entry::read(&mut &bytes[..length]).is_err());
                }
            }
            Ok(())
        })
        .unwrap();
    for number in [0, 1, 127, 128, u64::MAX] {
        let entry = Entry::DropBody { body: number };
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        assert_eq!(Entry::read(&mut &bytes[..]), Ok(entry));
    }
    let too_long = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2];
    assert!(Entry::read(&mut &too_long[..]).is_err());
}

#[test]
fn a_record_replaces_the_one_before_over_a_cleaning() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    let mut model = Model::default();
    for number in 0..300u32 {
        let record = Operation::Record {
            key: RecordKey {
                kind: RecordKind::Queue,
                name: format!("queue {}", number % 3),
            },
            value: Some(Bytes::from(number.to_string().repeat(9).into_bytes())),
        };
        Store::commit(&mut store, std::slice::from_ref(&record), true).unwrap();
        model.apply(&record);
        while store.tidy().unwrap() {}
    }
    assert_eq!(show(&disk.copy()), Ok(model));
}
