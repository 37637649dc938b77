//! Publishing: from an exchange and a routing key to messages in queues.

use std::{
    collections::{VecDeque, vec_deque},
    sync::Arc,
};

use super::{
    VirtualHost,
    blocked::{BlockedPublish, FullQueue},
    effects::PendingEffects,
    refusal::Refusal,
    route::Route,
};
use crate::{
    engine::{
        queue::{Effects, Place, PushError, PushedBy, QueueCore, after},
        store::StoredBody,
    },
    message::{
        envelope::{Envelope, NEVER},
        payload::Payload,
    },
    model::error::Error,
};

fn not_stored(error: Error) -> PushError {
    PushError::NotStored(Box::new(error))
}

/// The outcome of a publish.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange};
///
/// let broker = Broker::new();
/// let publisher = broker.producer::<String>(&Exchange::fanout("logs"))?;
/// let published = publisher.publish("nobody listens".to_owned())?;
/// assert_eq!(published.routed, 0);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// How many queues took the message. The requester that takes a direct reply counts as one.
    pub routed: usize,
    /// How many queues of the route refused it because they were full.
    pub refused: usize,
    /// How many [delayed exchanges](crate::Exchange::delayed) keep the message until its delay is
    /// over.
    pub delayed: usize,
}

impl Published {
    /// The usual outcome: one queue took the message.
    pub(crate) const fn to_one() -> Published {
        Published {
            routed: 1,
            refused: 0,
            delayed: 0,
        }
    }

    /// No queue took the message, and `refused` queues refused it.
    pub(crate) fn refused(refused: usize) -> Published {
        Published {
            refused,
            ..Published::default()
        }
    }

    /// Whether a queue or a delayed exchange has the message.
    pub(super) fn is_taken(&self) -> bool {
        self.routed + self.delayed > 0
    }
}

/// What a push says of a message besides its route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PushOptions<'a> {
    /// It is not ready before this time.
    pub(crate) due: Option<u64>,
    /// Its body, if a queue of the route keeps it.
    pub(crate) body: Option<&'a StoredBody>,
}

/// The reason why no queue took a message, or not every one.
pub(crate) enum PushFailure {
    /// The route leads to no queue.
    NoRoute,
    /// The only queue of the route is deleted. The route is out of date.
    QueueDeleted,
    /// Every queue of the route refused the message.
    Refused { by: Refusal, refused: usize },
    /// The payload cannot be shared among several queues.
    NotShareable,
    /// A durable queue cannot write the message. Other queues of the route may have it already.
    NotStored(Box<Error>),
    /// Blocking queues have no room. The other queues of the route may have the message already.
    Full(Box<BlockedPublish>),
}

impl PushOptions<'_> {
    fn is_default(&self) -> bool {
        self.due.is_none() && self.body.is_none()
    }
}

impl VirtualHost {
    /// Puts the message into every queue of the route. After a failure the message is in `message`
    /// again.
    #[inline]
    pub(crate) fn push(
        self: &Arc<Self>,
        route: &Route,
        message: &mut Option<Envelope>,
        options: PushOptions<'_>,
    ) -> std::result::Result<Published, PushFailure> {
        if let Some(queue) = route.only_queue() {
            self.push_to_one(queue, message, options)?;
            return Ok(Published::to_one());
        }
        // A message that was shared once can be shared again. So the first time decides, before any
        // queue has the message.
        if let (Some(envelope), 2..) = (message.as_mut(), route.len()) {
            let shared = envelope.body_mut().make_shareable();
            shared.map_err(|_| PushFailure::NotShareable)?;
        }
        let at_once = match route.is_plain() && options.is_default() {
            true => push_at_once(&route.queues, message),
            false => 0,
        };
        if at_once > 0 && message.is_none() {
            return Ok(Published {
                routed: at_once,
                ..Published::default()
            });
        }
        self.push_to_all(route, message, options, at_once)
    }

    /// As [`QueueCore::try_push_run`], and carries out the effects.
    pub(crate) fn push_run<P: Payload>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        payloads: &mut vec_deque::Drain<'_, P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
    ) -> Option<Envelope> {
        let (refused, effects) = queue.try_push_run(payloads, size, make);
        self.run_effects(queue, effects);
        refused
    }

    /// As [`QueueCore::try_enqueue`], and carries out the effects.
    #[inline]
    pub(crate) fn try_enqueue<P>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        size_and_priority: (u64, bool),
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> std::result::Result<(), P> {
        let effects = queue.try_enqueue(size_and_priority, payload, make)?;
        self.run_effects(queue, effects);
        Ok(())
    }

    /// As [`push`](Self::push), for a route that leads to [one queue](Route::only_queue).
    #[inline]
    pub(crate) fn push_to_one(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        message: &mut Option<Envelope>,
        options: PushOptions<'_>,
    ) -> std::result::Result<(), PushFailure> {
        let mut effects = Effects::none();
        let pushed = self.push_one(queue, message, options, None, &mut effects);
        self.run_effects(queue, effects);
        pushed.map_err(|not_taken| self.push_failure(queue, options, not_taken))
    }

    #[cold]
    fn push_failure(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        options: PushOptions<'_>,
        not_taken: PushError,
    ) -> PushFailure {
        match not_taken {
            PushError::Deleted => PushFailure::QueueDeleted,
            PushError::NotStored(error) => PushFailure::NotStored(error),
            PushError::Refused(_) | PushError::DeadLettered => PushFailure::Refused {
                by: Refusal {
                    queue: queue.name().clone(),
                    dead_lettered: matches!(not_taken, PushError::DeadLettered),
                },
                refused: 1,
            },
            PushError::Full => {
                let full = FullQueue {
                    queue: Arc::clone(queue),
                    due: options.due,
                    is_delay_queue: false,
                };
                let (full, none_yet) = (VecDeque::from([full]), Published::default());
                let blocked = BlockedPublish::new(self, full, none_yet, None);
                PushFailure::Full(Box::new(blocked.with_body(options.body)))
            }
        }
    }

    /// Puts the message into every queue of a route that does not lead to one queue only. The first
    /// `at_once` queues have it already. Requesters come first, and delay queues last.
    #[inline(never)]
    fn push_to_all(
        self: &Arc<Self>,
        route: &Route,
        message: &mut Option<Envelope>,
        options: PushOptions<'_>,
        at_once: usize,
    ) -> std::result::Result<Published, PushFailure> {
        let PushOptions { due, body } = options;
        if route.len() == 0 {
            return Err(PushFailure::NoRoute);
        }
        if message.is_none() {
            return Ok(Published::default());
        }
        let kept_until = match route.delay_queues.is_empty() {
            true => None,
            false => Some(after(self.nanos(), route.delay).max(due.unwrap_or(0))),
        };
        let mut published = Published {
            routed: at_once,
            ..Published::default()
        };
        let mut full = VecDeque::new();
        let (mut refused_by, mut refused) = (None, None);
        let mut returned = None;
        let mut not_stored = None;
        // The effects of one copy come after all copies, since its dead letter may go to the next
        // queue.
        let mut work = PendingEffects::new();
        if !route.replies.is_empty() {
            published.routed = hand_to_requesters(route, message);
        }
        let targets = route.queues.len() + route.delay_queues.len();
        for (number, queue) in (1..).zip(route.targets()).skip(at_once) {
            // The last queue gets the message itself.
            let mut copy = match number == targets && full.is_empty() {
                true => message.take(),
                false => message.as_mut().and_then(|message| message.share().ok()),
            };
            let is_delay_queue = number > route.queues.len();
            let due = if is_delay_queue { kept_until } else { due };
            let mut effects = Effects::none();
            let options = PushOptions { due, body };
            let pushed = self.push_one(queue, &mut copy, options, None, &mut effects);
            match effects.into_only_wake() {
                Ok(wake) => wake.wake(),
                Err(effects) if effects.is_empty() => {}
                Err(effects) => work.push_back((Arc::clone(queue), effects)),
            }
            match pushed {
                Ok(()) if is_delay_queue => published.delayed += 1,
                Ok(()) => published.routed += 1,
                // If the queue had been deleted later, it would have lost the message too.
                Err(PushError::Deleted) => returned = copy.take(),
                Err(not_taken @ (PushError::Refused(_) | PushError::DeadLettered)) => {
                    published.refused += 1;
                    let dead_lettered = matches!(not_taken, PushError::DeadLettered);
                    Refusal::note(&mut refused_by, queue, dead_lettered);
                    refused = refused.or(copy.take());
                }
                // No queue can be written to any more, or the payload cannot be encoded.
                Err(PushError::NotStored(error)) => {
                    not_stored = Some(error);
                    returned = copy.take();
                }
                Err(PushError::Full) => {
                    full.push_back(FullQueue {
                        queue: Arc::clone(queue),
                        due,
                        is_delay_queue,
                    });
                    if message.is_none() {
                        *message = copy.take();
                    }
                }
            }
        }
        self.run_all_effects(work);
        if !full.is_empty() {
            let blocked = BlockedPublish::new(self, full, published, refused_by);
            return Err(PushFailure::Full(Box::new(blocked.with_body(body))));
        }
        if let Some(error) = not_stored {
            *message = returned;
            return Err(PushFailure::NotStored(error));
        }
        match (refused_by, returned) {
            // If all queues are deleted, the route is out of date and another may exist.
            (None, Some(copy)) if !published.is_taken() => {
                *message = Some(copy);
                Err(PushFailure::QueueDeleted)
            }
            (Some(by), _) if !published.is_taken() => {
                *message = refused;
                Err(PushFailure::Refused {
                    by,
                    refused: published.refused,
                })
            }
            _ => Ok(published),
        }
    }

    /// Puts the message into one queue. If it has no room, a publisher with a place joins the line.
    #[inline]
    pub(super) fn push_one(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        message: &mut Option<Envelope>,
        PushOptions { due, body }: PushOptions<'_>,
        place: Option<&mut Place>,
        effects: &mut Effects,
    ) -> std::result::Result<(), PushError> {
        let Some(envelope) = message.as_mut() else {
            return Ok(());
        };
        let now = self.stamp(queue, envelope);
        if let Some(due) = due {
            queue.set_timed();
            // The time to live begins when the message becomes ready.
            if envelope.deadline() != NEVER {
                envelope.expire_after(due.max(now), ttl_in(queue, envelope));
            }
        }
        let mut state = match queue.stored() {
            None => queue.lock(),
            Some(stored) => {
                let record = self.record(stored, envelope, due, body);
                queue.lock_for(record.map_err(not_stored)?)
            }
        };
        let mut pushed = match (due, place) {
            (None, None) => state.enqueue(message, PushedBy::Publisher, now, effects),
            (None, Some(place)) => state.enqueue_in_line(message, place, now, effects),
            (Some(due), place) => {
                state.enqueue_delayed(message, due, PushedBy::Publisher, place, now, effects)
            }
        };
        drop(state);
        if let Err(PushError::Refused(target)) = &mut pushed {
            // The publisher gets the message back, so the dead letter is a copy.
            let copy = |target: Box<_>| Some((target, message.as_mut()?.separate_copy()?));
            if let Some((target, copy)) = target.take().and_then(copy) {
                effects.add(target.dead_letter(copy));
                pushed = Err(PushError::DeadLettered);
            }
        }
        pushed
    }

    /// Sets the deadline that the message has in this queue: the smaller of the queue's time to
    /// live and its own. Returns the time if anything here depends on it, else 0.
    #[inline]
    pub(super) fn stamp(&self, queue: &QueueCore, envelope: &mut Envelope) -> u64 {
        if !envelope.may_expire() && !queue.is_timed() {
            // A queue with a time to live is timed.
            envelope.set_deadline(NEVER);
            return 0;
        }
        self.stamp_timed(queue, envelope)
    }

    fn stamp_timed(&self, queue: &QueueCore, envelope: &mut Envelope) -> u64 {
        let ttl = ttl_in(queue, envelope);
        if ttl == NEVER {
            envelope.set_deadline(NEVER);
            return self.now_for(queue);
        }
        queue.set_timed();
        let now = self.nanos();
        envelope.expire_after(now, ttl);
        now
    }
}

/// How long the message may wait in this queue, in nanoseconds. [`NEVER`] for any time.
fn ttl_in(queue: &QueueCore, envelope: &Envelope) -> u64 {
    queue.ttl().min(envelope.expiration())
}

/// Gives a message to the first of these queues, as long as they have a slot for it at once and it
/// does not expire by itself. Returns their number. The last queue gets the message itself.
#[inline]
fn push_at_once(queues: &[Arc<QueueCore>], message: &mut Option<Envelope>) -> usize {
    let (Some(envelope), Some((last, others))) = (message.as_mut(), queues.split_last()) else {
        return 0;
    };
    if envelope.expiration() != NEVER {
        return 0;
    }
    let size = envelope.size();
    envelope.set_deadline(NEVER);
    for (number, queue) in (0..).zip(others) {
        if !queue.try_push_copy(size, envelope) {
            return number;
        }
    }
    match last.try_push_message(size, message) {
        true => queues.len(),
        false => others.len(),
    }
}

/// Hands a message to the requesters of its route, before the queues get it, and wakes them.
/// Returns how many took it.
#[inline(never)]
fn hand_to_requesters(route: &Route, message: &mut Option<Envelope>) -> usize {
    let mut taken = 0;
    for (number, reply) in (1..).zip(&route.replies) {
        // The last target of the route gets the message itself.
        let copy = match number == route.len() {
            true => message.take(),
            false => message.as_mut().and_then(|message| message.share().ok()),
        };
        if let Some(Ok(wake)) = copy.map(|copy| reply.hand_over(copy)) {
            taken += 1;
            if let Some(wake) = wake {
                wake.wake();
            }
        }
    }
    taken
}
