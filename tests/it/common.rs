//! Helpers for several test modules.

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
    Broker, CancelReason, Channel, Connection, Consumer, Credentials, Delivery, ManualClock,
    Payload, Producer, Queue, QueueSnapshot, RecvError, Result, TryRecvError,
};
use proptest::test_runner::Config;

pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3_600);
/// A time limit far beyond the need of a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of random tests: the number of cases that `PROPTEST_CASES` says, else 32. The gate
/// sets it to 256.
pub fn cases() -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(32),
    }
}

/// A share of `whole`: all of it for 256 cases, fewer for fewer cases, and at least one.
pub fn share_of(whole: u32) -> u32 {
    let share = u64::from(whole) * u64::from(cases().cases) / 256;
    share.max(1).try_into().unwrap_or(u32::MAX)
}

/// A broker with a manual clock, whose time stands still until the test advances it.
pub fn on_a_manual_clock() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

/// Advances the clock by a second again and again, until `done` says so.
pub fn advance_until(clock: &ManualClock, done: impl Fn() -> bool) {
    while !done() {
        clock.advance(SECOND);
        thread::yield_now();
    }
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

/// Publishes 17 numbers to a queue. The consumer holds the first 16, which is its prefetch, and the
/// last one is ready.
pub fn after_a_full_prefetch(
    broker: &Broker,
    queue: &Queue,
) -> (Producer<u32>, Consumer<u32>, Vec<Delivery<u32>>) {
    let producer = broker.producer(queue).unwrap();
    let builder = broker.consumer_builder(queue);
    let consumer = builder.prefetch(16).build().unwrap();
    for number in 0..17 {
        producer.publish(number).unwrap();
    }
    let held = (0..16).map(|_| consumer.recv().unwrap()).collect();
    (producer, consumer, held)
}

/// Takes the ready messages of a queue. Returns them with their redelivered flags, in order.
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

/// The reason for which receiving has ended.
pub fn reason<T: std::fmt::Debug>(received: Result<T, RecvError>) -> CancelReason {
    match received {
        Err(RecvError::Cancelled(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// Checks that each message taken in is still in the queue or in one of the counts of ended
/// messages.
pub fn assert_conserved(counts: &QueueSnapshot) {
    assert_eq!(counts.accounted_for(), counts.taken_in, "{counts:?}");
}

/// Runs `code` on another thread. Returns `None` if it does not end in time.
pub fn in_time<R: Send + 'static>(code: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(code()));
    result.recv_timeout(PATIENCE).ok()
}

/// A waker that records its call and unparks the thread that created it.
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

    /// Whether the waker was called since the last call of this method.
    pub fn has_rung(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    pub fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
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

/// A minimal executor for one future.
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

/// The fields of a span or an event, as text.
#[cfg(feature = "tracing")]
#[derive(Default)]
pub struct SpanFields(pub std::collections::BTreeMap<&'static str, String>);

#[cfg(feature = "tracing")]
impl tracing::field::Visit for SpanFields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
