//! Embedded engines without a broker, and a bare file that grows or has its length before. They
//! take values of 1 KiB, which are on disk after each commit of one or of a hundred. leveret's own
//! row is to be seen beside them.

use std::{
    fs::File,
    io::{Seek, Write},
    time::{Duration, Instant},
};

use redb::TableDefinition;

use super::{
    Rival,
    durable::{BODY, Folder},
    options::Options,
};

/// By queue and position, as leveret's own.
const VALUES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("values");

const VALUE: [u8; BODY] = [7; BODY];

/// Writes values of these numbers. They are on disk when it returns.
type Commit = Box<dyn FnMut(std::ops::Range<u64>)>;

pub fn rivals(options: &Options) -> Vec<Rival> {
    let few = options.size(10, 300);
    let many = options.size(100, 5_000);
    let row = |name, against, open: fn(&Folder) -> Commit, values, batch| {
        Rival::new(name, against, None, move || {
            let folder = Folder::new();
            let took = commits(open(&folder), values, batch);
            took.as_nanos() as f64 / values as f64
        })
    };
    let (one, hundred) = ("leveret-durable", "leveret-durable-100");
    vec![
        row("append", one, append, few, 1),
        row("append-100", hundred, append, many, 100),
        row("preallocated", one, preallocated, few, 1),
        row("preallocated-100", hundred, preallocated, many, 100),
        row("redb", one, redb, few, 1),
        row("redb-100", hundred, redb, many, 100),
        row("fjall", one, fjall, few, 1),
        row("fjall-100", hundred, fjall, many, 100),
    ]
}

/// The time of all commits, without that of opening and closing.
fn commits(mut commit: Commit, values: u64, batch: u64) -> Duration {
    let began = Instant::now();
    for number in 0..values / batch {
        commit(number * batch..(number + 1) * batch);
    }
    began.elapsed()
}

/// The bytes that a file has before, which are enough for all rows.
const LENGTH: usize = 8 << 20;

fn append(folder: &Folder) -> Commit {
    append_to(File::create(folder.path().join("file")).expect("a file"))
}

fn preallocated(folder: &Folder) -> Commit {
    let mut file = File::create(folder.path().join("file")).expect("a file");
    file.write_all(&vec![0; LENGTH]).expect("the disk works");
    file.rewind().expect("the disk works");
    file.sync_all().expect("the disk works");
    append_to(file)
}

fn append_to(mut file: File) -> Commit {
    Box::new(move |numbers| {
        for _ in numbers {
            file.write_all(&VALUE).expect("the disk works");
        }
        file.sync_data().expect("the disk works");
    })
}

fn redb(folder: &Folder) -> Commit {
    let database = redb::Database::create(folder.path().join("redb")).expect("a file");
    Box::new(move |numbers| {
        let transaction = database.begin_write().expect("the disk works");
        let mut table = transaction.open_table(VALUES).expect("a table");
        for number in numbers {
            let before = table.insert((1, number), VALUE.as_slice());
            drop(before.expect("the disk works"));
        }
        drop(table);
        transaction.commit().expect("the disk works");
    })
}

fn fjall(folder: &Folder) -> Commit {
    let database = fjall::Database::builder(folder.path().join("fjall")).open();
    let database = database.expect("a folder");
    let values = database.keyspace("values", fjall::KeyspaceCreateOptions::default);
    let values = values.expect("a keyspace");
    Box::new(move |numbers| {
        let mut batch = database.batch();
        for number in numbers {
            let mut key = [0; 16];
            key[8..].copy_from_slice(&number.to_be_bytes());
            batch.insert(&values, key, VALUE);
        }
        let synced = batch.durability(Some(fjall::PersistMode::SyncData));
        synced.commit().expect("the disk works");
    })
}
