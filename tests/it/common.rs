//! What the tests of several subjects need.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use leveret::{
    Broker, CancelReason, Channel, Connection, Credentials, ManualClock, Payload, Queue,
    QueueSnapshot, RecvError, Result, TryRecvError,
};
use proptest::test_runner::Config;

pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3_600);
/// Far beyond what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// As many of `whole` as `PROPTEST_CASES` asks for, at least one; 256 cases ask for all of them.
pub fn share_of(whole: u32) -> u32 {
    let share = u64::from(whole) * u64::from(Config::default().cases) / 256;
    share.max(1).try_into().unwrap_or(u32::MAX)
}

/// A broker whose time stands still until it is told to go on.
pub fn on_a_manual_clock() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

pub fn connect(broker: &Broker) -> Result<Connection> {
    broker.connect("/", Credentials::guest())
}

pub fn channel_of(broker: &Broker) -> Result<Channel> {
    connect(broker)?.open_channel()
}

pub fn queue() -> Queue {
    Queue::new("q")
}

/// What is ready, with the redelivered flags, in order; takes it away.
pub fn rest<T: Payload + Clone>(broker: &Broker, name: &str) -> Vec<(T, bool)> {
    let queue = broker.simple_queue::<T>(&Queue::existing(name)).unwrap();
    std::iter::from_fn(|| match queue.try_get() {
        Ok(delivery) => {
            let found = (T::clone(&delivery), delivery.info().redelivered());
            delivery.ack().unwrap();
            Some(found)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("{error}"),
    })
    .collect()
}

/// Why there is nothing more to receive.
pub fn reason<T: std::fmt::Debug>(received: Result<T, RecvError>) -> CancelReason {
    match received {
        Err(RecvError::Cancelled(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// What was taken in is somewhere, or has ended in one of the ways that are counted.
pub fn assert_conserved(counts: &QueueSnapshot) {
    let places = [
        counts.ready,
        counts.unsettled,
        counts.delayed,
        counts.acked,
        counts.dead_lettered,
        counts.expired,
        counts.dropped,
        counts.purged,
        counts.moved,
    ];
    let messages: u64 = places.iter().map(|place| place.messages).sum();
    let bytes: u64 = places.iter().map(|place| place.bytes).sum();
    assert_eq!(
        (counts.taken_in.messages, counts.taken_in.bytes),
        (messages, bytes),
        "{counts:?}"
    );
}

/// Runs `code` on another thread; `None` if it is not done in time.
pub fn in_time<R: Send + 'static>(code: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(code()));
    result.recv_timeout(PATIENCE).ok()
}

/// A waker that notes that it was woken, and unparks the thread that made it.
pub struct Alarm {
    rung: AtomicBool,
    thread: Thread,
}

impl Alarm {
    pub fn new() -> Arc<Alarm> {
        Arc::new(Alarm {
            rung: AtomicBool::new(false),
            thread: thread::current(),
        })
    }

    /// Whether it has rung since this was last asked.
    pub fn has_rung(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    pub fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        future.poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// All that running a future takes.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let alarm = Alarm::new();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = alarm.poll(future.as_mut()) {
            return output;
        }
        while !alarm.has_rung() {
            thread::park();
        }
    }
}
