//! The state of a running worker.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{
    handler::Handler,
    hooks::Hooks,
    middleware::Middleware,
    report::{SlotCounts, WorkerCounts, WorkerEnd, WorkerReport},
};
use crate::{
    handles::consumer::{CancelHandle, Consumer},
    message::payload::Payload,
    model::{bytes::Bytes, descriptions::Queue, name::Name},
    runtime::{
        clock::Time,
        signal::Signal,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering::AcqRel},
        },
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
    /// Set when all slots have ended.
    pub(super) ended: Signal,
    /// When the last message is due that the worker has requeued with a delay.
    last_due: Mutex<Option<Instant>>,
    /// Why it has ended. The first reason counts.
    end: OnceLock<WorkerEnd>,
    /// The consumer and its queues, once the worker runs.
    started: Mutex<Option<(CancelHandle, Vec<Name>)>>,
    counts: Vec<Arc<SlotCounts>>,
}

impl Shared {
    pub(super) fn new(name: String, connection: Connection, concurrency: usize) -> Shared {
        Shared {
            name: name.into(),
            time: connection.time().clone(),
            connection,
            stop: Arc::default(),
            drain: Arc::default(),
            ended: Signal::default(),
            last_due: Mutex::new(None),
            end: OnceLock::new(),
            started: Mutex::new(None),
            counts: (0..concurrency).map(|_| Arc::default()).collect(),
        }
    }

    pub(super) fn counts(&self) -> &[Arc<SlotCounts>] {
        &self.counts
    }

    /// The worker has started. It may be stopped already.
    pub(super) fn started(&self, cancel: CancelHandle, queues: Vec<Name>) {
        *self.started.lock() = Some((cancel, queues));
        if self.stop.is_set() {
            self.cancel();
        }
    }

    pub(super) fn stop(&self) {
        self.stop.set();
        self.cancel();
    }

    /// Ends the consumer. The messages that it has in advance return to their queues.
    fn cancel(&self) {
        let cancel = self
            .started
            .lock()
            .as_ref()
            .map(|(cancel, _)| cancel.clone());
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    /// Notes that the worker has requeued a message with a delay.
    pub(super) fn requeued_after(&self, delay: Duration) {
        let due = self.time.now().checked_add(delay);
        let mut last_due = self.last_due.lock();
        *last_due = due.max(*last_due);
    }

    /// How long the worker waits for messages that it has requeued, at the end of a drain.
    pub(super) fn until_last_due(&self) -> Option<Duration> {
        let last_due = (*self.last_due.lock())?;
        let left = last_due.checked_duration_since(self.time.now())?;
        (!left.is_zero()).then_some(left)
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
        let (mut counts, mut running) = (WorkerCounts::default(), 0);
        for slot in &self.counts {
            slot.add_to(&mut counts, &mut running);
        }
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

    /// The number of ready messages of a queue. A queue that is gone has none.
    fn ready(&self, queue: &Name) -> u64 {
        let queue = self
            .connection
            .simple_queue::<Bytes>(Queue::existing(queue.to_string()));
        queue.map_or(0, |queue| queue.len() as u64)
    }
}

/// A running worker. Its slots share it.
pub(super) struct Core<T: Payload> {
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: Consumer<T>,
    pub(super) handler: Handler<T>,
    pub(super) middleware: Vec<Arc<dyn Middleware>>,
    pub(super) hooks: Hooks,
    /// The slots that have not ended.
    pub(super) slots: AtomicUsize,
}

impl<T: Payload> Core<T> {
    /// One slot ends. The last one ends the worker.
    pub(super) fn leave(&self) {
        if self.slots.fetch_sub(1, AcqRel) > 1 {
            return;
        }
        self.shared.ends(WorkerEnd::Stopped);
        self.consumer.cancel();
        self.hooks.stop(&self.shared.report());
        self.shared.ended.set();
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
