//! [`Deduplicate`]: of messages with the same id, one is handled.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::line::Line;
use crate::{
    patterns::worker::{Before, Context, Middleware, Outcome, Settle, WakeupHandle},
    runtime::sync::Mutex,
};

/// Handles one of several messages with the same message id, and acknowledges the others.
///
/// It remembers the ids of the messages whose handlers have acknowledged them, for a window of
/// time. A message that fails, is requeued, forwarded or dead-lettered is not remembered, and may
/// come again. While one message is handled, others with its id wait for its outcome. Messages
/// without an id pass.
///
/// The ids are in memory: a new program knows none. The time is that of the broker's clock. Clones
/// share the ids, so that several workers can share them.
///
/// # RabbitMQ
/// The property `message-id`, which the publisher sets.
///
/// # Examples
/// ```
/// use leveret::{Broker, Message, middleware::Deduplicate};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let hour = Duration::from_secs(3_600);
/// let worker = broker.worker::<u32>("payments").middleware(Deduplicate::new(hour));
/// let worker = worker.handler(|_, _| ()).spawn()?;
/// let payments = broker.producer::<u32>("payments")?;
/// for _ in 0..2 {
///     payments.publish_message(Message::new(100).message_id("order 7"))?;
/// }
/// let counts = worker.stop_and_drain(Duration::from_secs(10)).counts;
/// assert_eq!((counts.handled, counts.acked), (1, 2));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a middleware does nothing until a worker has it"]
pub struct Deduplicate {
    window: Duration,
    most: usize,
    key: Option<Arc<Key>>,
    duplicate: Settle,
    ids: Arc<Mutex<Ids>>,
}

type Key = dyn Fn(&Context<'_>) -> Option<String> + Send + Sync;

#[derive(Default)]
struct Ids {
    states: HashMap<Arc<str>, State>,
    /// Those that are done, the earliest first.
    done: VecDeque<(Instant, Arc<str>)>,
}

enum State {
    /// One message is handled. The others wait.
    InHand(Line),
    /// One message was acknowledged.
    Done,
}

/// The default of [`Deduplicate::max_ids`].
const MOST_IDS: usize = 100_000;

impl Deduplicate {
    /// Remembers ids for this time.
    pub fn new(window: Duration) -> Deduplicate {
        Deduplicate {
            window,
            most: MOST_IDS,
            key: None,
            duplicate: Settle::Ack,
            ids: Arc::default(),
        }
    }

    /// Sets how many ids are remembered at most, 100,000 by default. Of more the earliest are
    /// forgotten. Zero counts as 1.
    pub fn max_ids(mut self, ids: usize) -> Self {
        self.most = ids.max(1);
        self
    }

    /// Sets another id than the message id. A message for which it is `None` passes. It is asked
    /// for before and after each attempt, and must be the same for the same message.
    ///
    /// # Examples
    /// ```
    /// use leveret::middleware::Deduplicate;
    /// # let broker = leveret::Broker::new();
    /// let deduplicate = Deduplicate::new(std::time::Duration::from_secs(60))
    ///     .by_key(|context| context.properties().correlation_id.clone());
    /// let worker = broker.worker::<u32>("payments").middleware(deduplicate);
    /// # drop(worker);
    /// ```
    pub fn by_key(
        mut self,
        key: impl Fn(&Context<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Sets what becomes of a duplicate. By default it is acknowledged.
    pub fn duplicates(mut self, settle: Settle) -> Self {
        self.duplicate = settle;
        self
    }

    /// The number of ids that it remembers. Those whose time is over are among them until the next
    /// message comes.
    pub fn len(&self) -> usize {
        self.ids.lock().done.len()
    }

    /// Whether it remembers no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn id(&self, context: &Context<'_>) -> Option<String> {
        match &self.key {
            Some(key) => key(context),
            None => context.properties().message_id.clone(),
        }
    }
}

impl Ids {
    fn forget_before(&mut self, window: Duration, now: Instant) {
        while let Some((at, _)) = self.done.front() {
            if now.saturating_duration_since(*at) < window {
                break;
            }
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.done.pop_front() {
            self.states.remove(&id);
        }
    }

    /// A message is done. Returns those with its id that wait.
    fn remember(&mut self, id: &str, now: Instant, most: usize) -> Vec<WakeupHandle> {
        let Some(state) = self.states.get_mut(id) else {
            return Vec::new();
        };
        let State::InHand(mut waiting) = std::mem::replace(state, State::Done) else {
            return Vec::new();
        };
        if let Some((id, _)) = self.states.get_key_value(id) {
            self.done.push_back((now, Arc::clone(id)));
        }
        if self.done.len() > most {
            self.forget_first();
        }
        waiting.take_all()
    }

    /// A message is not done. Lets the next one with its id pass.
    fn pass_on(&mut self, id: &str) -> Option<WakeupHandle> {
        let Some(State::InHand(waiting)) = self.states.get_mut(id) else {
            return None;
        };
        let next = waiting.let_first_pass();
        if next.is_none() {
            self.states.remove(id);
        }
        next.map(|((), handle)| handle)
    }
}

impl Middleware for Deduplicate {
    fn before(&self, context: &Context<'_>) -> Before {
        let Some(id) = self.id(context) else {
            return Before::Go;
        };
        let now = context.now();
        let mut ids = self.ids.lock();
        ids.forget_before(self.window, now);
        match ids.states.get_mut(&*id) {
            Some(State::InHand(waiting)) => return Before::WaitFor(waiting.join(())),
            Some(State::Done) => {}
            None => {
                ids.states.insert(id.into(), State::InHand(Line::default()));
                return Before::Go;
            }
        }
        drop(ids);
        Before::Settle(self.duplicate.clone())
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        let Some(id) = self.id(context) else {
            return;
        };
        let is_done = outcome.error.is_none() && outcome.settle == Settle::Ack;
        let now = context.now();
        let mut ids = self.ids.lock();
        if is_done {
            let waiting = ids.remember(&id, now, self.most);
            drop(ids);
            for handle in waiting {
                handle.wake();
            }
        } else {
            let next = ids.pass_on(&id);
            drop(ids);
            if let Some(next) = next {
                next.notify();
            }
        }
    }
}

impl fmt::Debug for Deduplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deduplicate")
            .field("window", &self.window)
            .field("max_ids", &self.most)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
