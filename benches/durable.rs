//! The durable bench: compares publishes that are on disk with the same bytes appended to a file by
//! hand, and with a queue by hand on a log like leveret's. All run in one process, in turn, with
//! bodies of 1 KiB.
//!
//! The lines, the table and the options are those of the bench `floor`. A ratio is throughput
//! divided by that of the floor. The number of messages is that of each row. The files are in the
//! folder `LEVERET_BENCH_DIR`, or in the folder for temporary files: the figures are those of its
//! disk.

#[path = "durable/by_hand.rs"]
mod by_hand;
#[path = "floor/cores.rs"]
mod cores;
#[allow(dead_code, reason = "this bench measures no latency")]
#[path = "floor/group.rs"]
mod group;
#[allow(dead_code, reason = "the number of messages is that of each row")]
#[path = "floor/options.rs"]
mod options;
#[path = "floor/others.rs"]
mod others;
#[path = "floor/report.rs"]
mod report;
#[path = "durable/streams.rs"]
mod streams;

use std::{
    env,
    fs::{self, File},
    future::Future,
    io::{Seek, Write},
    path::PathBuf,
    pin::pin,
    process,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use leveret::{Broker, Bytes, Durability, Producer, Properties, Queue};

use self::{by_hand::Log, group::Group, options::Options, report::Report};

/// The bytes of a body.
const BODY: usize = 1_024;

/// The publishers of the rows with many.
const PUBLISHERS: u64 = 16;

fn main() {
    let options = Options::read();
    let mut report = Report::new(options.quick);
    for group in groups(&options) {
        group.run(&options, &mut report);
    }
    report.close();
}

fn groups(options: &Options) -> Vec<Group> {
    let few = options.size(32, 320);
    let many = options.size(320, 6_400);
    let recovered = options.size(500, 100_000);
    let read = options.size(500, 50_000);
    let steady = options.size(20_000, 1_000_000);
    vec![
        Group::throughput("one by one")
            .row("append", None, few, |messages| append(messages, 1))
            .row("preallocated", None, few, |messages| {
                preallocated(messages, 1)
            })
            .row("publish", Some(1.0 / 1.3), few, |messages| {
                publish(messages, 1)
            })
            .row("to a stream", Some(1.0 / 1.3), few, |messages| {
                streams::publish(messages, 1)
            }),
        Group::throughput("per 100")
            .row("append", None, many, |messages| append(messages, 100))
            .row("preallocated", None, many, |messages| {
                preallocated(messages, 100)
            })
            .row("publish", Some(0.4), many, |messages| {
                publish(messages, 100)
            })
            .row("to a stream", Some(0.4), many, |messages| {
                streams::publish(messages, 100)
            }),
        Group::throughput("16 wait")
            .row("group commit", None, many, group_commit)
            .row("publish", Some(0.8), many, publish_from_threads),
        Group::throughput("one task")
            .row("1 at once", None, few, |messages| {
                publish_async(messages, 1)
            })
            .row("16 at once", Some(8.0), many, |messages| {
                publish_async(messages, PUBLISHERS)
            }),
        consumed("and consume", few, 1),
        consumed("and consume per 100", options.size(300, 6_400), 100),
        Group::throughput("recovery")
            .row("1 us", None, recovered, Duration::from_micros)
            .row("stopped", Some(1.0), recovered, |messages| {
                recover(messages, End::Stopped)
            })
            .row("killed", None, recovered, |messages| {
                recover(messages, End::Killed)
            })
            .row("a full read", None, recovered, read_all),
        Group::throughput("a stream on disk")
            .row("read its files", None, read, streams::read_files)
            .row("reader", Some(0.5), read, streams::read_stream),
        Group::throughput("steady").row("publish and acknowledge", None, steady, streams::steady),
    ]
}

/// Rows that publish in batches of this many messages, and acknowledge them on another thread. The
/// module `by_hand` says what the floor promises.
fn consumed(shape: &str, messages: u64, batch: u64) -> Group {
    Group::throughput(shape)
        .row("by hand", None, messages, move |messages| {
            queue_by_hand(messages, batch)
        })
        .row("synced", Some(2.0), messages, move |messages| {
            consume(messages, batch, Durability::Synced)
        })
        .row("buffered", None, messages, move |messages| {
            let durability = Durability::Buffered(Duration::from_millis(50));
            consume(messages, batch, durability)
        })
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, SeqCst);
        let parent = env::var_os("LEVERET_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
        let folder = parent.join(format!("leveret-bench-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn broker(&self) -> Broker {
        Broker::builder().data_dir(&self.0).build().unwrap()
    }

    fn file(&self) -> File {
        File::create(self.0.join("file")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn queue() -> Queue {
    Queue::new("q").durable()
}

fn producer(broker: &Broker) -> Producer<Bytes> {
    let persistent = Properties::new().persistent();
    let producer = broker
        .producer_builder(queue())
        .properties(persistent)
        .build();
    broker.declare(&queue()).unwrap();
    producer.unwrap()
}

fn body() -> Bytes {
    Bytes::from(vec![7; BODY])
}

fn append(messages: u64, batch: u64) -> Duration {
    let folder = Folder::new();
    let mut file = folder.file();
    let bytes = [7; BODY];
    let began = Instant::now();
    for number in 1..=messages {
        file.write_all(&bytes).unwrap();
        if number % batch == 0 {
            file.sync_data().unwrap();
        }
    }
    began.elapsed()
}

/// As [`append`], to a file that has its length before.
fn preallocated(messages: u64, batch: u64) -> Duration {
    let folder = Folder::new();
    let mut file = folder.file();
    let length = messages as usize * BODY;
    file.write_all(&vec![0; length]).unwrap();
    file.rewind().unwrap();
    file.sync_all().unwrap();
    let bytes = [7; BODY];
    let began = Instant::now();
    for number in 1..=messages {
        file.write_all(&bytes).unwrap();
        if number % batch == 0 {
            file.sync_data().unwrap();
        }
    }
    began.elapsed()
}

fn publish(messages: u64, batch: u64) -> Duration {
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = producer(&broker);
    let began = Instant::now();
    for _ in 0..messages / batch {
        let bodies = (0..batch).map(|_| body());
        for published in producer.publish_batch(bodies) {
            published.unwrap();
        }
    }
    began.elapsed()
}

/// Runs a function on 16 threads. Returns the time until all have ended.
fn on_threads(run: impl Fn() + Sync) -> Duration {
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(&run);
        }
    });
    began.elapsed()
}

/// A file to which many threads append. The first that wants a sync makes it for all.
struct GroupCommit {
    state: Mutex<Commits>,
    changed: Condvar,
}

struct Commits {
    file: File,
    waiting: Vec<u8>,
    appended: u64,
    synced: u64,
    syncing: bool,
}

impl GroupCommit {
    fn append(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.waiting.extend_from_slice(bytes);
        state.appended += 1;
        let own = state.appended;
        while state.synced < own {
            if state.syncing {
                state = self.changed.wait(state).unwrap();
                continue;
            }
            state.syncing = true;
            let (waiting, up_to) = (std::mem::take(&mut state.waiting), state.appended);
            let mut file = state.file.try_clone().unwrap();
            drop(state);
            file.write_all(&waiting).unwrap();
            file.sync_data().unwrap();
            state = self.state.lock().unwrap();
            state.synced = up_to;
            state.syncing = false;
            self.changed.notify_all();
        }
    }
}

fn group_commit(messages: u64) -> Duration {
    let folder = Folder::new();
    let commits = Commits {
        file: folder.file(),
        waiting: Vec::new(),
        appended: 0,
        synced: 0,
        syncing: false,
    };
    let log = GroupCommit {
        state: Mutex::new(commits),
        changed: Condvar::new(),
    };
    let bytes = [7; BODY];
    on_threads(|| (0..messages / PUBLISHERS).for_each(|_| log.append(&bytes)))
}

fn publish_from_threads(messages: u64) -> Duration {
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = producer(&broker);
    on_threads(|| {
        for _ in 0..messages / PUBLISHERS {
            producer.publish(body()).unwrap();
        }
    })
}

/// Wakes the thread that runs a task.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn publish_async(messages: u64, at_once: u64) -> Duration {
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = producer(&broker);
    let began = Instant::now();
    for _ in 0..messages / at_once {
        let publishes = (0..at_once).map(|_| producer.publish_async(body()));
        let all = futures_util::future::join_all(publishes);
        block_on(all).into_iter().for_each(|published| {
            published.unwrap();
        });
    }
    began.elapsed()
}

/// Publishes from one thread and acknowledges on another, with a queue by hand.
fn queue_by_hand(messages: u64, batch: u64) -> Duration {
    let folder = Folder::new();
    let log = Log::new(folder.file());
    let (mut publisher, consumer) = log.queue();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Some((number, _)) = consumer.receive() {
                consumer.acknowledge(number);
            }
        });
        for _ in 0..messages / batch {
            publisher.publish((0..batch).map(|_| body()));
        }
        drop(publisher);
    });
    began.elapsed()
}

fn consume(messages: u64, batch: u64, durability: Durability) -> Duration {
    let folder = Folder::new();
    let broker = folder.broker();
    let queue = queue().durability(durability);
    let persistent = Properties::new().persistent();
    broker.declare(&queue).unwrap();
    let producer = broker
        .producer_builder::<Bytes>(&queue)
        .properties(persistent)
        .build();
    let (producer, consumer) = (producer.unwrap(), broker.consumer::<Bytes>(&queue).unwrap());
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..messages {
                consumer.recv().unwrap().ack().unwrap();
            }
        });
        for _ in 0..messages / batch {
            for published in producer.publish_batch((0..batch).map(|_| body())) {
                published.unwrap();
            }
        }
    });
    began.elapsed()
}

/// How a broker has ended before its folder is opened again.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stopped,
    Killed,
}

/// A folder with messages of 100 bytes.
fn filled(messages: u64, end: End) -> Folder {
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = producer(&broker);
    let bodies = (0..messages).map(|_| Bytes::from(vec![7; 100]));
    assert!(producer.publish_batch(bodies).iter().all(Result::is_ok));
    if end == End::Stopped {
        return folder;
    }
    // The files as they are while the broker runs.
    let killed = Folder::new();
    for file in fs::read_dir(&folder.0).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), killed.0.join(file.file_name())).unwrap();
    }
    killed
}

/// The time in which a broker opens a folder.
fn recover(messages: u64, end: End) -> Duration {
    let folder = filled(messages, end);
    let began = Instant::now();
    let broker = folder.broker();
    let elapsed = began.elapsed();
    assert_eq!(broker.purge(queue()).unwrap(), messages);
    elapsed
}

/// The time in which all files of a folder are read.
fn read_all(messages: u64) -> Duration {
    let folder = filled(messages, End::Stopped);
    let began = Instant::now();
    for file in fs::read_dir(&folder.0).unwrap() {
        fs::read(file.unwrap().path()).unwrap();
    }
    began.elapsed()
}
