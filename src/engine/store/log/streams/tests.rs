//! The files of streams: their form, damage, and what they cost.

use super::super::{LogStore, Settings};
use crate::{
    engine::store::{
        Arrival, Operation, Store,
        tests::{disk::FakeDisk, model::Model},
    },
    model::{
        bytes::Bytes,
        error::{StoreError, StoreErrorKind},
    },
};

const STREAM: u64 = 7;

fn open(disk: &FakeDisk) -> Result<LogStore, StoreError> {
    LogStore::open_on(Box::new(disk.clone()), Settings::tiny(), Box::new(|_| {}))
}

fn append(offset: u64, message: &[u8]) -> Operation {
    Operation::Append {
        stream: STREAM,
        offset,
        message: Bytes::copy_from_slice(message),
        arrival: Arrival {
            came: 1_000 + 5 * offset,
            size: message.len() as u64,
            bytes: message.len() as u64 + 100,
            begins: offset.is_multiple_of(10),
        },
    }
}

fn commit(store: &mut LogStore, operations: &[Operation]) {
    Store::commit(store, operations, true).unwrap();
}

/// A closed store whose messages are all in files of their stream: its disk, and its contents.
fn filed(messages: u64) -> (FakeDisk, Model) {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    let mut model = Model::default();
    for offset in 0..messages {
        let operation = append(offset, &vec![offset as u8; 20 + offset as usize]);
        commit(&mut store, std::slice::from_ref(&operation));
        model.apply(&operation);
    }
    store.compact().unwrap();
    (disk, model)
}

fn show(disk: &FakeDisk) -> Result<Model, StoreErrorKind> {
    let opened = open(disk).and_then(|mut store| Model::of(&mut store));
    opened.map_err(|error| error.kind())
}

fn files(disk: &FakeDisk) -> Vec<(String, Vec<u8>)> {
    let files = disk.files().into_iter();
    files.filter(|it| it.0.ends_with(".stream")).collect()
}

#[test]
fn a_compacted_store_has_a_file_for_each_segment_and_no_message_in_its_log() {
    let (disk, model) = filed(35);
    let names: Vec<String> = files(&disk).into_iter().map(|it| it.0).collect();
    let expected = [0, 10, 20, 30].map(|first| format!("0000000007-{first:020}.stream"));
    assert_eq!(names, expected);
    let log = disk
        .files()
        .into_iter()
        .filter(|it| it.0.ends_with("closed"));
    let bytes = log.map(|it| it.1.len()).sum::<usize>();
    assert!(bytes < 200, "{bytes}");
    assert_eq!(show(&disk), Ok(model));
}

#[test]
fn a_flipped_bit_and_a_file_that_is_missing_or_too_short_are_errors() {
    let (disk, model) = filed(35);
    assert_eq!(show(&disk.copy()), Ok(model));
    let damaged = [StoreErrorKind::Damaged, StoreErrorKind::NewerFormat];
    for (name, bytes) in files(&disk) {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let found = show(&disk.with_file(&name, flipped));
            assert!(
                found.is_err_and(|kind| damaged.contains(&kind)),
                "{name} {at}"
            );
        }
        for length in (0..bytes.len()).step_by(7) {
            let found = show(&disk.with_file(&name, bytes[..length].to_vec()));
            assert_eq!(found, Err(StoreErrorKind::Damaged), "{name} {length}");
        }
        let found = show(&disk.without_file(&name));
        assert_eq!(found, Err(StoreErrorKind::Damaged), "{name}");
    }
}

#[test]
fn files_that_the_log_does_not_know_are_removed_and_what_is_behind_the_end_is_cut_off() {
    let (disk, model) = filed(35);
    let (last, bytes) = files(&disk).pop().unwrap();
    let other = disk.with_file("0000000008-00000000000000000000.stream", bytes.clone());
    let later = other.with_file("0000000007-00000000000000000035.stream", bytes.clone());
    let longer = later.with_file(&last, [&bytes[..], &[9; 50]].concat());
    assert_eq!(show(&longer), Ok(model));
    assert_eq!(files(&longer), files(&disk));
    // A file with another name is not one of the store.
    let foreign = disk.with_file("7-35.stream", bytes);
    assert!(show(&foreign).is_ok() && files(&foreign).len() == 5);
}

#[test]
fn a_message_of_a_stream_costs_one_write_and_one_sync() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    for offset in 0..5 {
        let before = disk.operations();
        commit(&mut store, &[append(offset, b"text")]);
        assert_eq!(disk.operations(), before + 2);
        assert!(!store.tidy().unwrap());
        assert_eq!(disk.operations(), before + 2);
    }
}

#[test]
fn a_stream_whose_messages_are_all_gone_keeps_its_next_offset_and_no_file() {
    let (disk, _) = filed(35);
    let mut store = open(&disk).unwrap();
    let trim = Operation::Trim {
        stream: STREAM,
        offset: 35,
    };
    commit(&mut store, &[trim]);
    while store.tidy().unwrap() {}
    assert_eq!(files(&disk), []);
    for _ in 0..2 {
        store.compact().unwrap();
        store = open(&disk).unwrap();
        let found = Model::of(&mut store).unwrap();
        assert_eq!(found.streams[&STREAM].next(), 35);
    }
    commit(&mut store, &[append(35, b"next")]);
    let skipped = Store::commit(&mut store, &[append(37, b"later")], true);
    assert_eq!(skipped.unwrap_err().kind(), StoreErrorKind::Damaged);
}

/// The bytes of a file, as this version and every later one reads them.
#[test]
fn the_format_of_a_file_is_this_one() {
    let disk = FakeDisk::new(u64::MAX);
    let mut store = open(&disk).unwrap();
    commit(&mut store, &[append(0, b"ab"), append(1, b"c")]);
    store.compact().unwrap();
    let [(name, bytes)] = &files(&disk)[..] else {
        panic!("{:?}", files(&disk));
    };
    assert_eq!(name, "0000000007-00000000000000000000.stream");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = "6c65766572657400 01000000 0700000000000000 0000000000000000";
    let chunk = "07000000 02000000 0000000000000000 e803000000000000 ed03000000000000 \
                 0300000000000000 cb00000000000000 00 02 6162 05 01 63";
    let expected = |text: &str| text.replace(' ', "");
    assert_eq!(hex[..56], expected(header));
    assert_eq!(hex[80..], expected(chunk));
    let mut newer = bytes.clone();
    newer[8] = 2;
    let found = show(&disk.with_file(name, newer));
    assert_eq!(found, Err(StoreErrorKind::NewerFormat));
}
