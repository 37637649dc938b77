//! [`ConcurrencyLimit`]: a limit of the messages that are handled at the same time.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{key::KeyOf, line::Line};
use crate::{
    patterns::worker::{Before, Context, Middleware, Outcome},
    runtime::sync::Mutex,
};

/// Limits how many messages are handled at the same time, by all workers that have a clone of it.
///
/// The other messages wait with their workers. They get in as they came, each when another message
/// is done. A message that waits occupies a thread or a future of its worker, so that a worker with
/// several limits needs a [`concurrency`](crate::worker::WorkerBuilder::concurrency) to match.
///
/// Clones share the permits.
///
/// # Examples
/// Two workers that use the same database, which has two connections.
/// ```
/// use leveret::{Broker, middleware::ConcurrencyLimit};
///
/// let broker = Broker::new();
/// let connections = ConcurrencyLimit::new(2);
/// let orders = broker.worker::<u32>("orders").concurrency(4).middleware(connections.clone());
/// let orders = orders.handler(|_, _| ()).spawn()?;
/// let returns = broker.worker::<u32>("returns").concurrency(4).middleware(connections.clone());
/// let returns = returns.handler(move |_, _| assert!(connections.in_use() <= 2)).spawn()?;
/// # for worker in [orders, returns] { worker.stop(); }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a middleware does nothing until a worker has it"]
pub struct ConcurrencyLimit {
    limit: usize,
    key: KeyOf,
    keys: Arc<Mutex<HashMap<String, Permits>>>,
}

/// The permits of one key. A key without a message has none.
#[derive(Debug, Default)]
struct Permits {
    used: usize,
    /// No message waits while a permit is free.
    waiting: Line,
}

impl ConcurrencyLimit {
    /// Limits to this many messages at the same time. Zero counts as 1.
    pub fn new(limit: usize) -> ConcurrencyLimit {
        ConcurrencyLimit {
            limit: limit.max(1),
            key: KeyOf::default(),
            keys: Arc::default(),
        }
    }

    /// Limits the messages of each key by themselves: those of a customer, say. The key is asked
    /// for before and after each attempt. It must be the same for the same message, and must not
    /// panic after the attempt: the permit would stay taken.
    ///
    /// # Examples
    /// ```
    /// use leveret::{FieldValue, middleware::ConcurrencyLimit};
    /// # let broker = leveret::Broker::new();
    /// let one_each = ConcurrencyLimit::new(1).by_key(|context| {
    ///     let customer = context.headers().and_then(|headers| headers.get("customer"));
    ///     customer.and_then(FieldValue::as_str).unwrap_or_default().to_owned()
    /// });
    /// let worker = broker.worker::<u32>("orders").concurrency(8).middleware(one_each);
    /// # drop(worker);
    /// ```
    pub fn by_key<K: Into<String>>(
        mut self,
        key: impl Fn(&Context<'_>) -> K + Send + Sync + 'static,
    ) -> Self {
        self.key = KeyOf::by(key);
        self
    }

    /// The number of messages that are handled now, of all keys.
    pub fn in_use(&self) -> usize {
        self.keys.lock().values().map(|permits| permits.used).sum()
    }
}

impl Middleware for ConcurrencyLimit {
    fn before(&self, context: &Context<'_>) -> Before {
        let key = self.key.of(context);
        let mut keys = self.keys.lock();
        let permits = keys.entry(key).or_default();
        if permits.used < self.limit {
            permits.used += 1;
            return Before::Go;
        }
        Before::WaitFor(permits.waiting.join(()))
    }

    fn after(&self, context: &Context<'_>, _: &mut Outcome) {
        let key = self.key.of(context);
        let next = {
            let mut keys = self.keys.lock();
            let Entry::Occupied(mut permits) = keys.entry(key) else {
                return;
            };
            // A message that waits gets the permit itself, so that no other can take it.
            let next = permits.get_mut().waiting.let_first_pass();
            if next.is_none() {
                permits.get_mut().used -= 1;
                if permits.get().used == 0 {
                    permits.remove();
                }
            }
            next
        };
        if let Some(((), next)) = next {
            next.notify();
        }
    }
}
