//! leveret with a data folder: publishes of 1 KiB that are on disk when they return.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Instant,
};

use leveret::{Broker, Bytes, Properties, Queue};

use super::{Rival, options::Options};

/// The bytes of a body.
pub const BODY: usize = 1_024;

pub fn rivals(options: &Options) -> Vec<Rival> {
    let few = options.size(10, 300);
    let many = options.size(100, 5_000);
    vec![
        Rival::new("leveret-durable", "leveret-durable", None, move || {
            publish(few, 1)
        }),
        Rival::new(
            "leveret-durable-100",
            "leveret-durable-100",
            None,
            move || publish(many, 100),
        ),
    ]
}

/// A folder that is removed when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, SeqCst);
        let name = format!("leveret-rivals-{}-{number}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        Folder(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nanoseconds per message.
fn publish(messages: u64, batch: u64) -> f64 {
    let folder = Folder::new();
    let broker = Broker::builder().data_dir(folder.path()).build();
    let broker = broker.expect("a folder for temporary files");
    let queue = Queue::new("q").durable();
    let persistent = Properties::new().persistent();
    let producer = broker.producer_builder(&queue).properties(persistent);
    let producer = producer.build().expect("a queue");
    broker.declare(&queue).expect("a queue");
    let began = Instant::now();
    for _ in 0..messages / batch {
        let bodies = (0..batch).map(|_| Bytes::from(vec![7; BODY]));
        for published in producer.publish_batch(bodies) {
            published.expect("the disk works");
        }
    }
    began.elapsed().as_nanos() as f64 / messages as f64
}
