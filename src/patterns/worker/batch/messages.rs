//! [`Batch`], the argument of a handler of batches, and [`BatchMessage`].

use std::{fmt, ops::Deref, slice, sync::Arc, vec};

use crate::{
    message::payload::Payload,
    patterns::worker::{Context, Job, core::Shared, job::JobCell, limit::Limited},
    runtime::signal::Signal,
    session::{delivery::Delivery, delivery_info::DeliveryInfo},
};

/// The messages that a handler gets at once, in the order of the queue. It is a slice of them, and
/// it is never empty.
///
/// A handler of [`BatchBuilder::handler`](super::BatchBuilder::handler) borrows it. A handler of
/// [`BatchBuilder::handler_async`](super::BatchBuilder::handler_async) owns it.
///
/// # If dropped
/// Nothing is lost. The worker settles a message when its handler has ended, and nothing refers to
/// the message any more.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # let broker = leveret::Broker::new();
/// let worker = broker.worker::<u32>("numbers").batch(100, Duration::from_secs(1));
/// let worker = worker.handler(|batch| {
///     let sum: u32 = batch.iter().map(|number| **number).sum();
///     let keys = batch.iter().map(|number| number.info().routing_key());
///     println!("{} numbers, {sum} in all, the last one for {:?}", batch.len(), keys.last());
/// });
/// # drop(worker);
/// ```
pub struct Batch<'a, T: Payload>(Vec<BatchMessage<'a, T>>);

/// One message of a [`Batch`]. It derefs to its payload.
///
/// # If dropped
/// As a [`Batch`].
pub struct BatchMessage<'a, T: Payload> {
    content: Content<'a, T>,
    context: Context<'a>,
}

enum Content<'a, T: Payload> {
    Borrowed(&'a T),
    Owned(Job<T>),
}

impl<'a, T: Payload> Batch<'a, T> {
    /// Borrows messages. `time` is that of the handler, if it has a limit.
    pub(super) fn borrowed(
        shared: &'a Arc<Shared>,
        deliveries: &'a [Delivery<T>],
        time: Option<&'a Limited>,
    ) -> Batch<'a, T> {
        let messages = deliveries.iter().map(|delivery| BatchMessage {
            content: Content::Borrowed(delivery.payload()),
            context: match time {
                Some(time) => Context::limited(shared, delivery.info(), time),
                None => Context::borrowed(shared, delivery.info()),
            },
        });
        Batch(messages.collect())
    }

    /// Makes a batch that owns its messages. Returns the worker's handles to them as well.
    pub(super) fn owned(
        shared: &Arc<Shared>,
        deliveries: Vec<Delivery<T>>,
        over: Option<&Arc<Signal>>,
    ) -> (Batch<'static, T>, Vec<Arc<JobCell>>) {
        let messages = deliveries.into_iter().map(|delivery| {
            let (job, cell) = Job::new(delivery, shared, None);
            let context = Context::owned(Arc::clone(shared), Arc::clone(&cell), over.cloned());
            let content = Content::Owned(job);
            (BatchMessage { content, context }, cell)
        });
        let (messages, cells) = messages.unzip();
        (Batch(messages), cells)
    }
}

impl<'a, T: Payload> Deref for Batch<'a, T> {
    type Target = [BatchMessage<'a, T>];

    fn deref(&self) -> &[BatchMessage<'a, T>] {
        &self.0
    }
}

impl<'a, T: Payload> IntoIterator for Batch<'a, T> {
    type Item = BatchMessage<'a, T>;
    type IntoIter = vec::IntoIter<BatchMessage<'a, T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, 'b, T: Payload> IntoIterator for &'b Batch<'a, T> {
    type Item = &'b BatchMessage<'a, T>;
    type IntoIter = slice::Iter<'b, BatchMessage<'a, T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T: Payload> BatchMessage<'a, T> {
    /// The payload. Dereferencing gives the same.
    pub fn payload(&self) -> &T {
        self
    }

    /// The information about the message besides its payload.
    pub fn info(&self) -> &DeliveryInfo {
        self.context.info()
    }

    /// Everything else that a handler gets with a message: producers, a reply, the stop signal.
    pub fn context(&self) -> &Context<'a> {
        &self.context
    }
}

impl<T: Payload> Deref for BatchMessage<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.content {
            Content::Borrowed(payload) => payload,
            Content::Owned(job) => job,
        }
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for Batch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for BatchMessage<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchMessage")
            .field("payload", self.payload())
            .field("info", self.info())
            .finish()
    }
}
