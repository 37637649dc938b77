//! The state of a running worker.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{
    handler::Handler,
    hooks::Hooks,
    limit::TimeLimit,
    members::Members,
    middleware::sealed::Chain,
    ordered::{Keys, Order},
    receiver::ReceiverLock,
    report::{SlotCounts, WorkerCounts, WorkerEnd, WorkerReport},
    settle::Settle,
};
use crate::{
    handles::consumer::{CancelHandle, Consumer},
    message::payload::Payload,
    model::{
        error::{Error, Result},
        name::Name,
    },
    runtime::{
        clock::Time,
        signal::Signal,
        sync::{
            Mutex,
            atomic::{
                AtomicBool, AtomicU64,
                Ordering::{Acquire, Relaxed, Release},
            },
            thread::{self, JoinHandle},
        },
        user_drop::drop_user_value,
    },
    session::connection::Connection,
};

/// The part of a worker that does not know its payload.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) connection: Connection,
    pub(super) time: Time,
    /// Set when the worker is to stop.
    pub(super) stop: Arc<Signal>,
    /// Set when the worker is to stop once its queues are empty.
    pub(super) drain: Arc<Signal>,
    /// Set with the first of the two.
    is_ending: AtomicBool,
    /// Set when all slots have ended.
    pub(super) ended: Signal,
    pub(super) hooks: Hooks,
    pub(super) members: Members,
    /// The threads of the slots, by the number of the slot.
    threads: Mutex<Vec<(u64, JoinHandle<()>)>>,
    next_slot: AtomicU64,
    /// The deadline of a drain. `None` if it has none.
    drain_ends: Mutex<Option<Instant>>,
    /// Why it has ended. The first reason counts.
    end: OnceLock<WorkerEnd>,
    /// The consumer and its queues, once the worker runs.
    started: Mutex<Option<(CancelHandle, Vec<Name>)>>,
    counts: Mutex<Counts>,
    /// The keys of its messages, if it is ordered.
    pub(super) keys: Arc<Keys>,
}

/// The counts of the slots.
#[derive(Default)]
struct Counts {
    /// The sum of those that have ended.
    ended: WorkerCounts,
    /// The others, by the number of the slot.
    slots: BTreeMap<u64, Arc<SlotCounts>>,
}

impl Shared {
    pub(super) fn new(
        name: String,
        connection: Connection,
        hooks: Hooks,
        concurrency: usize,
    ) -> Shared {
        let time = connection.time().clone();
        Shared {
            name: name.into(),
            keys: Arc::new(Keys::new(time.clone())),
            time,
            connection,
            stop: Arc::default(),
            drain: Arc::default(),
            is_ending: AtomicBool::new(false),
            ended: Signal::default(),
            hooks,
            members: Members::new(concurrency),
            threads: Mutex::default(),
            next_slot: AtomicU64::new(0),
            drain_ends: Mutex::new(None),
            end: OnceLock::new(),
            started: Mutex::new(None),
            counts: Mutex::default(),
        }
    }

    /// Makes the number and the counts of one more slot.
    pub(super) fn add_slot(&self) -> (u64, Arc<SlotCounts>) {
        let counts = Arc::new(SlotCounts::default());
        let number = self.next_slot.fetch_add(1, Relaxed);
        let mut all = self.counts.lock();
        all.slots.insert(number, Arc::clone(&counts));
        (number, counts)
    }

    /// A slot has ended.
    pub(super) fn remove_slot(&self, number: u64) {
        let mut all = self.counts.lock();
        if let Some(slot) = all.slots.remove(&number) {
            slot.add_to(&mut all.ended);
        }
    }

    /// Starts the thread of a slot.
    ///
    /// # Errors
    /// [`Error::Thread`]. `body` is dropped then.
    pub(super) fn spawn(&self, slot: u64, body: impl FnOnce() + Send + 'static) -> Result {
        let thread = thread::Builder::new().name(format!("worker {}", self.name));
        let thread = thread.spawn(body);
        let thread = thread.map_err(|error| Error::Thread(error.to_string().into()))?;
        self.threads.lock().push((slot, thread));
        Ok(())
    }

    /// The thread of a slot is stuck, so the end of the worker does not wait for it. Forgets those
    /// of the slots that have ended as well.
    pub(super) fn forget_thread(&self, slot: u64) {
        let mut threads = self.threads.lock();
        let counts = self.counts.lock();
        threads.retain(|(number, _)| *number != slot && counts.slots.contains_key(number));
    }

    /// Waits for the ends of the threads. They have nothing more to do.
    pub(super) fn join_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        for (_, thread) in threads {
            // A slot contains the panics of user code.
            let _ = thread.join();
        }
    }

    /// Ends the worker if its last slot has ended. Runs user code.
    pub(super) fn check_end(&self) {
        if self.members.end(self.stop.is_set()) {
            self.ends(match self.stop.is_set() {
                true => WorkerEnd::Stopped,
                false => WorkerEnd::Drained,
            });
            self.cancel();
            self.hooks.stop(&self.report());
            self.ended.set();
        }
    }

    /// The worker has started. It may be stopped already.
    pub(super) fn started(&self, cancel: CancelHandle, queues: Vec<Name>) {
        *self.started.lock() = Some((cancel, queues));
        if self.stop.is_set() {
            self.cancel();
        }
    }

    /// Whether the worker may be about to stop or to drain.
    #[inline(always)]
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Acquire)
    }

    /// Begins a drain that lasts at most this long.
    pub(super) fn drain(&self, deadline: Duration) {
        *self.drain_ends.lock() = self.time.now().checked_add(deadline);
        self.is_ending.store(true, Release);
        self.drain.set();
    }

    pub(super) fn stop(&self) {
        self.is_ending.store(true, Release);
        self.stop.set();
        self.cancel();
        self.check_end();
    }

    /// Ends the consumer. The messages that it has in advance return to their queues, and so do
    /// those that wait for their keys.
    fn cancel(&self) {
        // First, so that the next consumer of a single-active queue gets them in their order.
        self.keys.close();
        if let Some(consumer) = self.consumer() {
            consumer.cancel();
        }
    }

    /// The consumer, once the worker runs.
    pub(super) fn consumer(&self) -> Option<CancelHandle> {
        let started = self.started.lock();
        started.as_ref().map(|(consumer, _)| consumer.clone())
    }

    /// Whether a drain waits for a message that is due at `due`.
    pub(super) fn awaits(&self, due: Instant) -> bool {
        let ends = *self.drain_ends.lock();
        ends.is_none_or(|ends| due <= ends)
    }

    /// Notes why the worker ends.
    pub(super) fn ends(&self, end: WorkerEnd) {
        let end = match end {
            // The stop has cancelled the consumer.
            WorkerEnd::Cancelled(_) if self.stop.is_set() => WorkerEnd::Stopped,
            end => end,
        };
        // The first reason counts.
        let _ = self.end.set(end);
    }

    pub(super) fn report(&self) -> WorkerReport {
        let (counts, running) = {
            let all = self.counts.lock();
            let mut counts = all.ended;
            all.slots.values().for_each(|slot| slot.add_to(&mut counts));
            let running = all.slots.values().map(|slot| slot.running());
            (counts, running.sum())
        };
        let queues = self
            .started
            .lock()
            .as_ref()
            .map(|(_, queues)| queues.clone());
        let left = queues.unwrap_or_default().into_iter().filter_map(|name| {
            let ready = self.ready(&name);
            (ready > 0).then_some((name, ready))
        });
        WorkerReport {
            worker: self.name.to_string(),
            end: self.end.get().copied().unwrap_or(WorkerEnd::Running),
            counts,
            left: left.collect(),
            running,
        }
    }

    /// The number of ready messages of a queue. A queue that is gone has none, and one that cannot
    /// be asked counts as such.
    fn ready(&self, queue: &Name) -> u64 {
        self.connection.gate().ready_len(queue).unwrap_or(0) as u64
    }
}

/// A running worker. Its slots share it.
///
/// # If dropped
/// The closures of the user are dropped as user code.
pub(super) struct Core<T: Payload> {
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: Consumer<T>,
    pub(super) handler: Handler<T>,
    pub(super) middleware: Box<dyn Chain>,
    /// The number of middlewares.
    pub(super) middlewares: usize,
    pub(super) timeout: Option<TimeLimit<T>>,
    /// The order of the messages, if there is one within their keys.
    pub(super) ordered: Option<Order<T>>,
    /// Held by the slot that receives, if the worker has one at a time.
    pub(super) receiver: ReceiverLock,
}

impl<T: Payload> Core<T> {
    /// The time limit of the handler of a message.
    pub(super) fn time_limit(&self, payload: &T) -> Option<Duration> {
        self.timeout.as_ref()?.of(payload)
    }

    /// The time limit of a handler that gets several messages.
    pub(super) fn time_limit_of_all<'a>(
        &self,
        payloads: impl Iterator<Item = &'a T>,
    ) -> Option<Duration> {
        self.timeout.as_ref()?.of_all(payloads)
    }
}

impl<T: Payload> Drop for Core<T> {
    fn drop(&mut self) {
        let none = Handler::Call(Box::new(|_, _| Ok(Settle::Ack)));
        drop_user_value(std::mem::replace(&mut self.handler, none));
        drop_user_value(std::mem::replace(&mut self.middleware, Box::new(())));
        drop_user_value(self.ordered.take());
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
