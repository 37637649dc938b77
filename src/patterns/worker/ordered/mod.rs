//! Workers that handle messages in order within a key: [`OrderedBuilder`].
//!
//! - `keys`: the keys, and the messages that wait for them.
//! - `slot`: the loop of a slot.

mod keys;
mod slot;

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, Hash, RandomState},
};

pub(super) use self::keys::{KeyHash, KeyHold, Keys, settle};
use super::{Chain, Context, HandlerResult, Job, Worker, WorkerBuilder, handler::Handler};
use crate::{message::payload::Payload, session::delivery::Delivery};

/// The order of the messages of a worker.
pub(super) struct Order<T: Payload> {
    by: Box<KeyOf<T>>,
}

/// Finds the key of a message. It is user code.
type KeyOf<T> = dyn Fn(&Delivery<T>) -> KeyHash + Send + Sync;

impl<T: Payload> Order<T> {
    fn new<K: Hash>(key: impl Fn(&Delivery<T>) -> K + Send + Sync + 'static) -> Order<T> {
        let hasher = RandomState::new();
        Order {
            by: Box::new(move |delivery| hasher.hash_one(key(delivery))),
        }
    }
}

/// Builds a worker that handles messages with the same key one after the other, in the order of the
/// queue. [`WorkerBuilder::ordered_by`] returns it.
///
/// Messages of different keys are handled at the same time, as many as the
/// [`concurrency`](WorkerBuilder::concurrency) says. All other settings come before `ordered_by`.
///
/// # Retries
/// A message that is to be tried again, by [`Settle::Requeue`](super::Settle::Requeue) or by a
/// middleware such as [`Retry`](crate::middleware::Retry), stays with the worker until its time has
/// come. Its key waits, and the other keys go on. Its attempts count in
/// [`Context::delivery_count`], though the queue does not see them: they count for no delivery
/// limit of the queue. A message that waits is unsettled, so that a
/// [shutdown](crate::Broker::shutdown) waits for it.
///
/// A message of a [`timeout`](WorkerBuilder::timeout) is settled in time, and its key goes on when
/// the late handler has ended. A handler that never ends blocks its key for as long.
///
/// # Prefetch
/// The messages that wait for a busy key count for the [`prefetch`](WorkerBuilder::prefetch). If a
/// slow key has as many messages as that, no other key gets one. A larger prefetch helps then.
/// Without a limit the worker may hold the whole backlog.
///
/// # The end
/// A worker that is stopped returns the messages that wait to their places in the queue. Those that
/// no handler has had are not marked as redelivered. One that waits for another try returns without
/// that wait, so that it is again the first of its key. A drain handles all of them, except those
/// whose next try is after the deadline.
///
/// # Several workers
/// The order holds within one worker. Of several workers at a queue each has an order of its own.
/// A [single-active queue](crate::Queue::single_active_consumer) lets one of them work at a time.
/// At a stop the next one begins at once, beside the handlers that still run. Drain first where the
/// order matters.
///
/// # RabbitMQ
/// RabbitMQ has no counterpart. A consistent hash exchange in front of several single-active queues
/// comes close.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// use std::{collections::BTreeMap, sync::Mutex, time::Duration};
///
/// let broker = Broker::new();
/// let orders = broker.producer::<(String, u32)>("orders")?;
/// for number in 1..=3 {
///     for customer in ["Ada", "Grace"] {
///         orders.publish((customer.to_owned(), number))?;
///     }
/// }
///
/// let handled = std::sync::Arc::new(Mutex::new(BTreeMap::<String, Vec<u32>>::new()));
/// let seen = handled.clone();
/// let worker = broker.worker::<(String, u32)>("orders").concurrency(4);
/// let worker = worker.ordered_by(|order| order.0.clone()).handler(move |(customer, number), _| {
///     seen.lock().unwrap().entry(customer.clone()).or_default().push(*number);
/// });
/// worker.spawn()?.stop_and_drain(Duration::from_secs(10));
/// let handled = handled.lock().unwrap();
/// assert!(handled.len() == 2 && handled.values().all(|numbers| *numbers == [1, 2, 3]));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a worker builder does nothing until it gets a handler, and the worker runs"]
pub struct OrderedBuilder<T: Payload, C: Chain = ()> {
    builder: WorkerBuilder<T, C>,
    order: Order<T>,
}

impl<T: Payload, C: Chain> WorkerBuilder<T, C> {
    /// Handles messages with the same key one after the other, in the order of the queue. A key
    /// waits while one of its messages is tried again.
    ///
    /// `key` gets each message as a [`Delivery`], which derefs to the payload and has the other
    /// information in its [`info`](Delivery::info). A key that panics fails the message, as a
    /// handler that panics.
    ///
    /// [`OrderedBuilder`] has the details and an example.
    pub fn ordered_by<K: Hash>(
        self,
        key: impl Fn(&Delivery<T>) -> K + Send + Sync + 'static,
    ) -> OrderedBuilder<T, C> {
        OrderedBuilder {
            builder: self,
            order: Order::new(key),
        }
    }
}

impl<T: Payload, C: Chain> OrderedBuilder<T, C> {
    /// Sets the handler, as [`WorkerBuilder::handler`] does.
    pub fn handler<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(&T, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult,
    {
        self.builder.build(Handler::call(handler), Some(self.order))
    }

    /// Sets a handler that gets each payload as its own, as [`WorkerBuilder::handler_owned`] does.
    pub fn handler_owned<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(T, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult<Settle = ()>,
    {
        let order = Some(self.order);
        self.builder.build(Handler::consume(handler), order)
    }

    /// Sets a handler that returns a future, as [`WorkerBuilder::handler_async`] does. Its key goes
    /// on when the message is settled: when the handler has ended, and its [`Job`] and its
    /// [`Context`] are dropped.
    pub fn handler_async<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(Job<T>, Context<'static>) -> R + Send + Sync + 'static,
        R: Future<Output: HandlerResult> + Send + 'static,
    {
        self.builder.build(Handler::task(handler), Some(self.order))
    }
}

impl<T: Payload, C: Chain> fmt::Debug for OrderedBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedBuilder")
            .field("builder", &self.builder)
            .finish_non_exhaustive()
    }
}
