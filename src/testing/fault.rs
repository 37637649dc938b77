//! Faults: the ways in which a test makes publishes go wrong.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::random::Random;
use crate::{
    model::{error::Error, name::Name},
    runtime::sync::atomic::{AtomicU64, Ordering::SeqCst},
    session::publisher::{Attempt, Course},
};

/// A way in which publishes go wrong. [`TestBroker::inject`](super::TestBroker::inject) puts it
/// into effect.
///
/// A new fault applies to every publish of the broker. [`to_exchange`](Self::to_exchange) and
/// [`to_queue`](Self::to_queue) select publishes by their target. [`nth`](Self::nth),
/// [`first`](Self::first) and [`chance`](Self::chance) then select some of these; the last call
/// counts.
///
/// # Examples
/// The second publish to a queue fails. The program under test must publish again.
/// ```
/// use leveret::{Error, testing::{Fault, TestBroker}};
///
/// let test = TestBroker::new();
/// let fault = test.inject(Fault::fail(Error::Timeout).to_queue("jobs").nth(2));
///
/// let producer = test.producer::<u32>("jobs")?;
/// producer.publish(7)?;
/// let failed = producer.publish(8).unwrap_err();
/// assert_eq!((failed.error(), fault.fired()), (&Error::Timeout, 1));
/// producer.publish(failed.into_inner().expect("it is in no queue"))?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "`TestBroker::inject` puts it into effect"]
pub struct Fault {
    kind: Kind,
    target: Target,
    chosen: Chosen,
}

#[derive(Clone, Debug)]
enum Kind {
    Fail(Error),
    Delay(Duration),
    Duplicate,
    Reorder(Duration),
}

#[derive(Clone, Debug)]
enum Target {
    All,
    Exchange(String),
    Queue(String),
}

/// Which publishes to its target a fault chooses.
#[derive(Clone, Copy, Debug)]
enum Chosen {
    Each,
    First(u64),
    Nth(u64),
    Chance(f64),
}

impl Fault {
    fn new(kind: Kind) -> Fault {
        Fault {
            kind,
            target: Target::All,
            chosen: Chosen::Each,
        }
    }

    /// The publish fails with this error. No queue has the message, and the publisher gets it back.
    ///
    /// On a channel in confirm mode an [`Error::Refused`] comes as a negative confirm.
    ///
    /// [`Fault`] has an example.
    pub fn fail(error: Error) -> Fault {
        Fault::new(Kind::Fail(error))
    }

    /// The message is delivered later by this time of the test's clock, as by
    /// [`Message::deliver_after`](crate::Message::deliver_after). The publish returns at once.
    ///
    /// A message that is delayed is not under way: [`settled`](super::TestBroker::settled) does not
    /// wait for it. A direct reply (`amq.rabbitmq.reply-to`) is not delayed.
    ///
    /// # Examples
    /// ```
    /// use leveret::testing::{Fault, TestBroker};
    /// use std::time::Duration;
    ///
    /// let test = TestBroker::new();
    /// test.inject(Fault::delay(Duration::from_secs(3)).nth(1));
    /// let queue = test.simple_queue::<String>("q")?;
    /// queue.put("late".to_owned())?;
    /// queue.put("soon".to_owned())?;
    /// let soon = queue.get()?;
    /// assert_eq!((&**soon, queue.len()?), ("soon", 0));
    /// test.advance(Duration::from_secs(3));
    /// assert_eq!(*queue.get()?, "late");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delay(delay: Duration) -> Fault {
        Fault::new(Kind::Delay(delay))
    }

    /// A copy of the message follows it into the same queues, as after a publisher that has missed
    /// a confirm.
    ///
    /// The copy carries the encoded payload, so that the payload of the original can still be moved
    /// out. A [`Local`](crate::Local) cannot be encoded, and has no copy.
    ///
    /// # Examples
    /// ```
    /// use leveret::testing::{Fault, TestBroker};
    ///
    /// let test = TestBroker::new();
    /// test.inject(Fault::duplicate().first(1));
    /// let queue = test.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// assert_eq!(queue.len()?, 3);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn duplicate() -> Fault {
        Fault::new(Kind::Duplicate)
    }

    /// The message is delivered later by a random time, from zero to `most` by the test's clock. It
    /// does not overtake another message of the same queue, so that messages change their order
    /// between queues only.
    ///
    /// # Examples
    /// ```
    /// use leveret::testing::{Fault, TestBroker};
    /// use std::time::Duration;
    ///
    /// let test = TestBroker::new();
    /// test.inject(Fault::reorder(Duration::from_millis(5)));
    /// let queue = test.simple_queue::<u32>("q")?;
    /// for number in 0..10 {
    ///     queue.put(number)?;
    /// }
    /// test.advance(Duration::from_millis(5));
    /// for number in 0..10 {
    ///     let delivery = queue.try_get()?;
    ///     assert_eq!(*delivery, number);
    ///     delivery.ack()?;
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn reorder(most: Duration) -> Fault {
        Fault::new(Kind::Reorder(most))
    }

    /// Applies to publishes to this exchange only. The default exchange has an empty name.
    pub fn to_exchange(mut self, exchange: impl Into<String>) -> Fault {
        self.target = Target::Exchange(exchange.into());
        self
    }

    /// Applies to publishes only that lead to this queue, through any exchange. If they lead to
    /// other queues as well, the fault applies there too.
    pub fn to_queue(mut self, queue: impl Into<String>) -> Fault {
        self.target = Target::Queue(queue.into());
        self
    }

    /// Applies to the `n`th publish to the target only. The count begins with 1 at the call of
    /// [`inject`](super::TestBroker::inject), so that 0 never comes.
    pub fn nth(mut self, n: u64) -> Fault {
        self.chosen = Chosen::Nth(n);
        self
    }

    /// Applies to the first `count` publishes to the target only.
    pub fn first(mut self, count: u64) -> Fault {
        self.chosen = Chosen::First(count);
        self
    }

    /// Applies to each publish to the target with this probability, from 0.0 to 1.0. The
    /// [seed](super::TestBroker::seed) of the test determines the choice.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Error, testing::{Fault, TestBroker}};
    ///
    /// let test = TestBroker::new().seed(7);
    /// let fault = test.inject(Fault::fail(Error::Timeout).chance(0.5));
    /// let producer = test.producer::<u32>("q")?;
    /// let failed = (0..100).filter(|number| producer.publish(*number).is_err()).count();
    /// assert!(failed > 0 && failed < 100);
    /// assert_eq!(fault.fired(), failed as u64);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn chance(mut self, probability: f64) -> Fault {
        self.chosen = Chosen::Chance(probability);
        self
    }
}

/// A fault that is in effect. [`TestBroker::inject`](super::TestBroker::inject) returns it.
///
/// # If dropped
/// The fault stays in effect.
///
/// [`Fault`] has an example.
#[derive(Clone)]
pub struct InjectedFault {
    fired: Arc<AtomicU64>,
}

impl InjectedFault {
    /// How many publishes the fault has applied to.
    pub fn fired(&self) -> u64 {
        self.fired.load(SeqCst)
    }
}

impl fmt::Debug for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedFault")
            .field("fired", &self.fired())
            .finish()
    }
}

/// The faults in effect, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Faults {
    injected: Vec<FaultInEffect>,
    /// When the last message of each queue is due, by virtual host and queue.
    last_due: BTreeMap<(Name, Name), Instant>,
}

#[derive(Debug)]
struct FaultInEffect {
    fault: Fault,
    /// The publishes to the target so far.
    seen: u64,
    fired: Arc<AtomicU64>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> InjectedFault {
        let fired = Arc::default();
        self.injected.push(FaultInEffect {
            fault,
            seen: 0,
            fired: Arc::clone(&fired),
        });
        InjectedFault { fired }
    }

    pub(super) fn clear(&mut self) {
        self.injected.clear();
    }

    /// Changes the course of a publish that begins at this instant.
    pub(super) fn apply(
        &mut self,
        attempt: &Attempt<'_>,
        now: Instant,
        random: &mut Random,
        course: &mut Course,
    ) {
        let mut reorders = false;
        for injected in &mut self.injected {
            if !injected.fault.target.is_of(attempt) {
                continue;
            }
            // A message that is not late itself does not overtake one that is.
            reorders |= matches!(injected.fault.kind, Kind::Reorder(_));
            injected.seen += 1;
            if !injected.fault.chosen.has(injected.seen, random) {
                continue;
            }
            injected.fired.fetch_add(1, SeqCst);
            match &injected.fault.kind {
                Kind::Fail(error) => {
                    course.failure.get_or_insert_with(|| error.clone());
                }
                Kind::Delay(delay) => course.delay = course.delay.max(*delay),
                Kind::Duplicate => course.copies += 1,
                Kind::Reorder(most) => course.delay = course.delay.max(random.up_to(*most)),
            }
        }
        if reorders && course.failure.is_none() {
            self.keep_order(attempt, now, course);
        }
    }

    /// Delays a message at least until the last one of each of its queues is due.
    fn keep_order(&mut self, attempt: &Attempt<'_>, now: Instant, course: &mut Course) {
        let queues = attempt.queues.iter();
        let keys: Vec<_> = queues
            .map(|queue| (attempt.vhost.clone(), (*queue).clone()))
            .collect();
        let last = keys.iter().filter_map(|key| self.last_due.get(key)).max();
        let behind = last.map(|last| last.saturating_duration_since(now));
        course.delay = course.delay.max(behind.unwrap_or_default());
        if let Some(due) = now.checked_add(course.delay) {
            self.last_due.extend(keys.into_iter().map(|key| (key, due)));
        }
    }
}

impl Target {
    fn is_of(&self, attempt: &Attempt<'_>) -> bool {
        match self {
            Target::All => true,
            Target::Exchange(exchange) => **attempt.exchange == **exchange,
            Target::Queue(name) => attempt.queues.iter().any(|queue| ***queue == **name),
        }
    }
}

impl Chosen {
    /// Whether it chooses the publish with this number, from 1 on.
    fn has(self, number: u64, random: &mut Random) -> bool {
        match self {
            Chosen::Each => true,
            Chosen::First(count) => number <= count,
            Chosen::Nth(n) => number == n,
            Chosen::Chance(probability) => random.chance(probability),
        }
    }
}
