//! A broker for a test.

use std::{fmt, future::Future, ops::Deref, sync::Arc, time::Duration};

use super::{
    executor::{Executor, Task},
    fault::{Fault, InjectedFault},
    not_settled::NotSettled,
    publish_record::PublishRecord,
    published_messages::PublishedMessages,
    random::Random,
    recorder::Recorder,
    report,
};
use crate::{
    engine::queue::Move,
    handles::broker::{Broker, BrokerBuilder},
    message::payload::Payload,
    runtime::clock::{Clock, ManualClock, Time},
};

/// A broker on a [`ManualClock`], which a test controls and looks into. It derefs to its
/// [`Broker`].
///
/// The [module](super) has a complete test.
///
/// # If dropped
/// Its tasks are dropped, and then its handle to the broker.
///
/// # Examples
/// ```
/// use leveret::testing::TestBroker;
/// use std::{thread, time::Duration};
///
/// let test = TestBroker::new();
/// let consumer = test.consumer::<u32>("jobs")?;
/// let worker = thread::spawn(move || -> leveret::Result {
///     consumer.iter().try_for_each(|job| job?.ack())
/// });
///
/// test.producer::<u32>("jobs")?.publish(7)?;
/// test.wait_settled().unwrap();
/// assert!(test.settled());
/// test.published::<u32>("", "jobs").assert_count(1);
///
/// test.shutdown(Duration::ZERO)?;
/// worker.join().unwrap()?; // the consumer has ended
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct TestBroker {
    // First, so that it is dropped while the broker lives.
    executor: Executor,
    broker: Broker,
    clock: ManualClock,
    recorder: Arc<Recorder>,
}

/// Marks a program as busy. [`TestBroker::busy`] returns it.
///
/// # If dropped
/// The program is not busy any more.
#[derive(Debug)]
#[must_use = "the program is busy until it is dropped"]
pub struct Busy {
    /// `None` if the broker is shut down.
    _handler: Option<Move>,
}

/// The real time for which [`TestBroker::wait_settled`] waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Making one, and its parts.
impl TestBroker {
    /// Creates a broker with the settings of [`Broker::new`].
    pub fn new() -> TestBroker {
        TestBroker::with_builder(Broker::builder())
    }

    /// Creates a broker with the settings of a builder, except for its clock.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Credentials, testing::TestBroker};
    ///
    /// let test = TestBroker::with_builder(Broker::builder().user("ada", "secret"));
    /// test.connect("/", Credentials::new("ada", "secret"))?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn with_builder(builder: BrokerBuilder) -> TestBroker {
        let clock = ManualClock::new();
        let recorder = Arc::new(Recorder::new(clock.clone()));
        let tap: Arc<Recorder> = Arc::clone(&recorder);
        TestBroker {
            executor: Executor::new(),
            broker: builder.clock(clock.clone()).build_tapped(tap),
            clock,
            recorder,
        }
    }

    /// Sets the seed of all random choices: the order of [tasks](Self::spawn) and the choices of
    /// [faults](Fault::chance). The same seed gives the same choices.
    ///
    /// Without a seed, the task that was woken first runs first.
    ///
    /// # Examples
    /// ```
    /// use leveret::testing::TestBroker;
    ///
    /// for seed in 0..10 {
    ///     let test = TestBroker::new().seed(seed);
    ///     let producer = test.producer::<u32>("q")?;
    ///     let tasks = (0..3).map(|number| {
    ///         let producer = producer.clone();
    ///         test.spawn(async move { producer.publish(number) })
    ///     });
    ///     let tasks: Vec<_> = tasks.collect();
    ///     test.run_until_settled().unwrap(); // in another order for another seed
    ///     assert!(tasks.iter().all(|task| task.take().is_some_and(|done| done.is_ok())));
    ///     test.published::<u32>("", "q").assert_count(3);
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn seed(self, seed: u64) -> TestBroker {
        self.executor.shuffle(Random::new(seed));
        self.recorder.set_random(Random::new(seed));
        self
    }

    /// The broker, for the program under test. Clone it where the program owns it.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The clock of the broker.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Moves the clock forward, as [`ManualClock::advance`] does. It runs no [task](Self::spawn);
    /// [`run_for`](Self::run_for) does.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Message, testing::TestBroker};
    /// use std::time::Duration;
    ///
    /// let test = TestBroker::new();
    /// let queue = test.simple_queue::<u32>("q")?;
    /// queue.put_message(Message::new(7).deliver_after(Duration::from_secs(60)))?;
    /// test.advance(Duration::from_secs(60));
    /// assert_eq!(queue.len()?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

/// Waiting until all work is done.
impl TestBroker {
    /// Whether nothing is under way, at one moment of this call.
    ///
    /// The [module](super#when-is-a-broker-settled) lists what counts.
    ///
    /// # Examples
    /// ```
    /// use leveret::testing::TestBroker;
    ///
    /// let test = TestBroker::new();
    /// let producer = test.producer::<u32>("q")?;
    /// producer.publish(7)?;
    /// assert!(test.settled()); // the queue has no consumer
    /// let consumer = test.consumer::<u32>("q")?;
    /// assert!(!test.settled());
    /// consumer.recv()?.ack()?;
    /// assert!(test.settled());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn settled(&self) -> bool {
        self.broker.core().is_settled()
    }

    /// Waits until the broker is [settled](Self::settled), for at most 30 seconds of real time.
    ///
    /// It runs no [task](Self::spawn). [`TestBroker`] has an example.
    ///
    /// # Errors
    /// [`NotSettled`] after that time, with the work that is under way.
    pub fn wait_settled(&self) -> Result<(), NotSettled> {
        self.wait_settled_timeout(PATIENCE)
    }

    /// The same as [`wait_settled`](Self::wait_settled), with another limit. The limit is in real
    /// time, whatever the broker's clock shows.
    ///
    /// # Errors
    /// [`NotSettled`] after that time. It has an example.
    pub fn wait_settled_timeout(&self, timeout: Duration) -> Result<(), NotSettled> {
        let real = Time::default();
        match self.broker.core().wait_settled(real.deadline(timeout)) {
            true => Ok(()),
            false => Err(NotSettled::of(&self.broker, timeout)),
        }
    }

    /// The same as [`wait_settled`](Self::wait_settled), as a future without a limit.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let test = leveret::testing::TestBroker::new();
    /// let consumer = test.consumer::<u32>("q")?;
    /// test.producer::<u32>("q")?.publish(7)?;
    /// let mut settled = pin!(test.wait_settled_async());
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(settled.as_mut().poll(&mut context).is_pending());
    /// consumer.recv()?.ack()?;
    /// assert!(settled.poll(&mut context).is_ready());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn wait_settled_async(&self) {
        self.broker.core().wait_settled_async().await;
    }

    /// Marks the program as busy until the result is dropped: the broker is not
    /// [settled](Self::settled) meanwhile.
    ///
    /// For a handler that settles its message before it has done everything.
    ///
    /// # Examples
    /// ```
    /// let test = leveret::testing::TestBroker::new();
    /// let busy = test.busy();
    /// assert!(!test.settled());
    /// drop(busy);
    /// assert!(test.settled());
    /// ```
    pub fn busy(&self) -> Busy {
        let connection = self.broker.implicit().ok();
        Busy {
            _handler: connection.and_then(|connection| connection.gate().begin_handler()),
        }
    }
}

/// Running tasks on this thread.
impl TestBroker {
    /// Adds a task. It runs in [`run_until_stalled`](Self::run_until_stalled),
    /// [`run_until_settled`](Self::run_until_settled) and [`run_for`](Self::run_for), on the thread
    /// that calls them.
    ///
    /// A task that blocks its thread, by [`Consumer::recv`](crate::Consumer::recv) for example,
    /// blocks all others as well. A task waits by the asynchronous forms. Nor may the test itself
    /// block until a task has done something, by `rpc::Client::call` for example. That runs no
    /// task.
    ///
    /// [`Task`] has an example.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.executor.spawn(future)
    }

    /// Runs the tasks until none can go on: each of them is ready, or waits.
    ///
    /// # Panics
    /// If a task panics. That task is dropped, and the others stay.
    pub fn run_until_stalled(&self) {
        self.executor.run_until_stalled();
    }

    /// Runs the tasks until none can go on. All work must be done then.
    ///
    /// It never waits. If the program has threads of its own, use
    /// [`wait_settled`](Self::wait_settled).
    ///
    /// # Errors
    /// [`NotSettled`] if the broker is not [settled](Self::settled) then. No task can go on, so it
    /// would never be.
    ///
    /// # Panics
    /// If a task panics. That task is dropped, and the others stay.
    ///
    /// # Examples
    /// ```
    /// let test = leveret::testing::TestBroker::new();
    /// let consumer = test.consumer::<u32>("q")?;
    /// test.spawn(async move {
    ///     let _first = consumer.recv_async().await?; // it forgets to settle
    ///     consumer.recv_async().await?.ack()
    /// });
    /// test.producer::<u32>("q")?.publish(7)?;
    /// let error = test.run_until_settled().unwrap_err();
    /// let expected = "not settled: queue 'q': 0 ready, 1 unsettled, 1 consumer";
    /// assert_eq!(error.to_string(), expected);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn run_until_settled(&self) -> Result<(), NotSettled> {
        self.run_until_stalled();
        match self.settled() {
            true => Ok(()),
            false => Err(NotSettled::of(&self.broker, Duration::ZERO)),
        }
    }

    /// Runs the tasks while the clock moves forward by `duration`. The clock stops at each instant
    /// at which anything is due, and the tasks run there until none can go on.
    ///
    /// So a year of retries takes a moment, and each of them comes at its own time.
    ///
    /// # Panics
    /// If a task panics. That task is dropped, and the others stay.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Clock, Requeue, testing::TestBroker};
    /// use std::time::Duration;
    ///
    /// let test = TestBroker::new();
    /// let consumer = test.consumer::<u32>("q")?;
    /// let clock = test.clock().clone();
    /// let start = clock.now();
    /// let task = test.spawn(async move {
    ///     let mut times = Vec::new();
    ///     while times.len() < 3 {
    ///         let delivery = consumer.recv_async().await?;
    ///         times.push((clock.now() - start).as_secs());
    ///         delivery.nack(Requeue::After(Duration::from_secs(60)))?;
    ///     }
    ///     Ok::<_, leveret::Error>(times)
    /// });
    /// test.producer::<u32>("q")?.publish(7)?;
    /// test.run_for(Duration::from_secs(3_600));
    /// assert_eq!(task.take(), Some(Ok(vec![0, 60, 120])));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn run_for(&self, duration: Duration) {
        let start = self.clock.now();
        loop {
            self.run_until_stalled();
            let now = self.clock.now();
            let left = duration.saturating_sub(now.saturating_duration_since(start));
            let next = self.clock.next_due();
            let next = next.map(|next| next.saturating_duration_since(now));
            match next.filter(|next| *next <= left) {
                Some(next) => self.clock.advance(next),
                None => {
                    self.clock.advance(left);
                    return self.run_until_stalled();
                }
            }
        }
    }
}

/// Captured publishes and faults.
impl TestBroker {
    /// Returns the messages of type `T` that were published to an exchange with this routing key.
    /// The default exchange has an empty name, and its routing keys are the names of queues.
    ///
    /// A message is of type `T` if a consumer of `T` could receive it. Its value is a decoded copy,
    /// so that the payload itself still belongs to the consumer. Publishes that failed are left
    /// out; [`publishes`](Self::publishes) has them.
    ///
    /// # Examples
    /// A failed assertion shows what was published instead:
    /// ```should_panic
    /// # let test = leveret::testing::TestBroker::new();
    /// test.producer::<u32>("jobs")?.publish(7)?;
    /// test.published::<u32>("", "job").assert_count(1);
    /// // expected 1 message of `u32` to default exchange, routing key 'job', and there are 0
    /// // nearest: default exchange, routing key 'jobs', `u32` 7, to 1 queue
    /// //          the routing key differs
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn published<T: Payload>(&self, exchange: &str, routing_key: &str) -> PublishedMessages<T> {
        PublishedMessages::select(self.publishes(), exchange, routing_key)
    }

    /// Returns every publish since the start or the last
    /// [`clear_publishes`](Self::clear_publishes), in the order in which they began. Dead letters
    /// are no publishes; look at their queue.
    ///
    /// [`PublishRecord`] has an example.
    pub fn publishes(&self) -> Vec<PublishRecord> {
        self.recorder.publishes()
    }

    /// Asserts that nothing was published, apart from publishes that failed.
    ///
    /// # Panics
    /// If anything was.
    ///
    /// # Examples
    /// ```
    /// let test = leveret::testing::TestBroker::new();
    /// test.assert_nothing_published();
    /// test.producer::<u32>("q")?.publish(7)?;
    /// test.clear_publishes();
    /// test.assert_nothing_published();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[track_caller]
    pub fn assert_nothing_published(&self) {
        let mut text = String::new();
        let publishes = self.publishes().into_iter();
        let published = publishes.filter(PublishRecord::is_published);
        let published: Vec<String> = published.map(|publish| publish.to_string()).collect();
        report::list(&mut text, "published, and nothing should be:", &published);
        assert!(text.is_empty(), "{text}");
    }

    /// Forgets the publishes so far.
    pub fn clear_publishes(&self) {
        self.recorder.clear_publishes();
    }

    /// Puts a fault into effect, in addition to those that are.
    ///
    /// [`Fault`] has an example.
    pub fn inject(&self, fault: Fault) -> InjectedFault {
        self.recorder.inject(fault)
    }

    /// Ends all faults. Messages that a fault has delayed stay delayed.
    pub fn clear_faults(&self) {
        self.recorder.clear_faults();
    }
}

impl Default for TestBroker {
    fn default() -> TestBroker {
        TestBroker::new()
    }
}

impl Deref for TestBroker {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.broker
    }
}

impl fmt::Debug for TestBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBroker")
            .field("broker", &self.broker)
            .field("clock", &self.clock)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}
