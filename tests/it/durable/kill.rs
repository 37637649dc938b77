//! A process that is killed at any moment, and started again.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use leveret::{Broker, Bytes, Offset, Properties, Queue};

use super::Folder;

/// This variable has the folder of the process that is killed.
const FOLDER: &str = "LEVERET_KILLED_IN";

/// How often the process is killed; more often in the long run.
fn kills() -> u64 {
    let kills = env::var("LEVERET_KILLS").ok();
    kills.and_then(|kills| kills.parse().ok()).unwrap_or(10)
}

fn queue() -> Queue {
    Queue::new("jobs").durable()
}

/// A stream. Its messages are so long that some of them get into files of their own.
fn log() -> Queue {
    let log = Queue::stream("log").max_segment_bytes(4_000_000);
    log.max_length_bytes(60_000_000)
}

/// The length of a message of the stream.
const LONG: usize = 1 << 20;

fn long(number: u64) -> Bytes {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(LONG, number as u8);
    Bytes::from(body)
}

/// What the process has told before it was killed.
#[derive(Debug, Default)]
struct Ledger {
    confirmed: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    /// Those in the stream.
    logged: BTreeSet<u64>,
}

/// Publishes and acknowledges for ever. Says a line after each publish, and before each
/// acknowledgement.
fn work_until_killed(folder: &str) {
    let broker = Broker::builder().data_dir(folder).build().unwrap();
    let persistent = Properties::new().persistent();
    let producer = broker
        .producer_builder::<u64>(&queue())
        .properties(persistent)
        .build();
    let producer = producer.unwrap();
    let consumer = broker
        .consumer_builder::<u64>(&queue())
        .prefetch(3)
        .build()
        .unwrap();
    let logger = broker.producer::<Bytes>(log()).unwrap();
    let first: u64 = env::var("LEVERET_FIRST").unwrap().parse().unwrap();
    let mut out = std::io::stdout();
    for number in first.. {
        producer.publish(number).unwrap();
        writeln!(out, "confirmed {number}").unwrap();
        logger.publish(long(number)).unwrap();
        writeln!(out, "logged {number}").unwrap();
        if number % 3 != 0 {
            let delivery = consumer.recv().unwrap();
            writeln!(out, "acknowledged {}", *delivery).unwrap();
            delivery.ack().unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn a_process_that_is_killed_loses_no_confirmed_message() {
    if let Ok(folder) = env::var(FOLDER) {
        return work_until_killed(&folder);
    }
    let folder = Folder::new();
    let mut ledger = Ledger::default();
    let mut random = 3u64;
    for round in 0..kills() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let lines = 1 + (random >> 33) % 60;
        let mut child = start(&folder, 1_000_000 * round);
        read(&mut child, lines as usize, &mut ledger);
        child.kill().unwrap();
        child.wait().unwrap();
        // The lines that were not read yet.
        read(&mut child, usize::MAX, &mut ledger);
    }
    let broker = folder.broker();
    let consumer = broker.consumer::<u64>(&queue()).unwrap();
    let mut left = BTreeSet::new();
    while let Ok(delivery) = consumer.try_recv() {
        assert!(left.insert(*delivery), "{} is there twice", *delivery);
        delivery.ack().unwrap();
    }
    let lost = ledger.confirmed.difference(&ledger.acknowledged);
    let lost: Vec<_> = lost.filter(|number| !left.contains(number)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(ledger.confirmed.len() as u64 > kills());
    let reader = broker.reader::<Bytes>(log()).from(Offset::First);
    let reader = reader.build().unwrap();
    let mut found = Vec::new();
    for entry in reader.try_iter() {
        let entry = entry.unwrap();
        let number = u64::from_le_bytes(*entry.first_chunk().unwrap());
        assert!(*entry == long(number));
        found.push((entry.offset(), number));
    }
    let in_order = |pair: &[(u64, u64)]| pair[0].0 + 1 == pair[1].0 && pair[0].1 < pair[1].1;
    assert!(found.windows(2).all(in_order), "{found:?}");
    // Retention has dropped those before the first one.
    let first = found[0].1;
    let found: BTreeSet<u64> = found.into_iter().map(|it| it.1).collect();
    let lost: Vec<_> = ledger
        .logged
        .range(first..)
        .filter(|it| !found.contains(it))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(folder.has_stream_files());
}

fn start(folder: &Folder, first: u64) -> Child {
    let name = "durable::kill::a_process_that_is_killed_loses_no_confirmed_message";
    Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FOLDER, &folder.0)
        .env("LEVERET_FIRST", first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what the process says, at most this number of lines.
fn read(child: &mut Child, lines: usize, ledger: &mut Ledger) {
    let Some(out) = child.stdout.as_mut() else {
        return;
    };
    let mut out = BufReader::with_capacity(1, out);
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            return;
        }
        let mut words = line.split_whitespace();
        match (words.next(), words.next().and_then(|it| it.parse().ok())) {
            (Some("confirmed"), Some(number)) => ledger.confirmed.insert(number),
            (Some("logged"), Some(number)) => ledger.logged.insert(number),
            (Some("acknowledged"), Some(number)) => ledger.acknowledged.insert(number),
            // The test runner says something too.
            _ => false,
        };
    }
}
