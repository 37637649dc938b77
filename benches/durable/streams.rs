//! The rows with streams, and the row that looks at the size of the folder.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use leveret::{Broker, Bytes, Offset, Queue, Reader};

use super::{BODY, Folder, body, producer, queue};

fn stream() -> Queue {
    Queue::stream("log").max_segment_bytes(16 << 20)
}

/// Publishes to a stream, with one sync for each batch.
pub fn publish(messages: u64, batch: u64) -> Duration {
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = broker.producer::<Bytes>(stream()).unwrap();
    let began = Instant::now();
    for _ in 0..messages / batch {
        for published in producer.publish_batch((0..batch).map(|_| body())) {
            published.unwrap();
        }
    }
    began.elapsed()
}

/// A folder with a stream of this number of messages, all of them in its files.
fn filled(messages: u64) -> Folder {
    let folder = Folder::new();
    {
        let broker = folder.broker();
        let producer = broker.producer::<Bytes>(stream()).unwrap();
        let published = producer.publish_batch((0..messages).map(|_| body()));
        assert!(published.iter().all(Result::is_ok));
    }
    Broker::builder().data_dir(&folder.0).compact().unwrap();
    folder
}

/// Reads the files of a stream.
pub fn read_files(messages: u64) -> Duration {
    let folder = filled(messages);
    let mut bytes = 0;
    let began = Instant::now();
    for file in fs::read_dir(&folder.0).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|it| it == "stream") {
            bytes += fs::read(path).unwrap().len();
        }
    }
    let elapsed = began.elapsed();
    assert!(bytes as u64 > messages * BODY as u64);
    elapsed
}

/// Reads a stream whose messages are all on disk.
pub fn read_stream(messages: u64) -> Duration {
    let folder = filled(messages);
    let broker = folder.broker();
    let reader = broker.reader(stream()).from(Offset::First);
    let reader: Reader<Bytes> = reader.build().unwrap();
    let began = Instant::now();
    let read = reader.try_iter().map(|entry| entry.unwrap().len() as u64);
    assert_eq!(read.sum::<u64>(), messages * BODY as u64);
    began.elapsed()
}

/// Publishes and acknowledges, and checks the size of the folder at the end: at most four times the
/// largest backlog, and 64 MiB.
pub fn steady(messages: u64) -> Duration {
    const BATCH: u64 = 100;
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = producer(&broker);
    let consumer = broker.consumer::<Bytes>(queue()).unwrap();
    let (acknowledged, mut backlog) = (AtomicU64::new(0), 0);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..messages {
                consumer.recv().unwrap().ack().unwrap();
                acknowledged.fetch_add(1, SeqCst);
            }
        });
        for batch in 1..=messages / BATCH {
            for published in producer.publish_batch((0..BATCH).map(|_| body())) {
                published.unwrap();
            }
            backlog = backlog.max(batch * BATCH - acknowledged.load(SeqCst).min(batch * BATCH));
        }
    });
    let elapsed = began.elapsed();
    let (bytes, limit) = (size(&folder.0), 4 * backlog * BODY as u64 + (64 << 20));
    println!("  after {messages} messages: {bytes} bytes on disk, a backlog of {backlog} at most");
    assert!(bytes <= limit, "{bytes} of {limit}");
    elapsed
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap();
    files.map(|it| it.unwrap().metadata().unwrap().len()).sum()
}
