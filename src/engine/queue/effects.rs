//! Effects: the work that an operation of a queue leaves to its caller, because it must not happen
//! under the queue's lock.
//!
//! A queue never routes messages and never runs user code. It returns effects, and the virtual host
//! carries them out once the lock is free. This file defines the effects and knows nothing of how
//! they are carried out.

use std::sync::Arc;

use super::{
    consumer_id::ConsumerId, in_flight::Move, in_transit::TransitId, inbox::InboxOwner,
    trigger::TriggerEvent,
};
use crate::{
    engine::stream::{Block, Segment},
    message::{envelope::Envelope, headers::x_death::DeathReason},
    model::name::Name,
    runtime::waiter::Wake,
};

/// The work to do after a queue's lock is released. Most operations have at most one wake, which
/// needs no allocation.
#[must_use = "effects must be carried out after the lock is released"]
#[derive(Debug, Default)]
pub(crate) struct Effects {
    wake: Option<Wake>,
    /// Whether the queue needs another timer.
    set_timer: bool,
    more: Vec<Effect>,
}

/// One piece of that work.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Wake a waiter. This may run a task's waker, so it comes last.
    Wake(Wake),
    /// Drop a message. This may run its payload's `Drop`, so it comes last.
    Drop(Envelope),
    /// Drop the messages of a segment. As for one message, this comes last.
    DropSegment(Segment),
    /// Drop blocks of a stream that are on disk too. As for one message, this comes last.
    DropBlocks(Vec<Block>),
    /// Read the message at this offset of a stream from the disk, and serve the consumer from
    /// there.
    ReadStream(ConsumerId, u64),
    /// Have a typed consumer return what it has in advance, since it is late. This runs user code,
    /// so it comes last.
    Late(Arc<dyn InboxOwner>),
    /// Have typed consumers put their runs back in which the time of a message is over, and then
    /// call the timer of the queue.
    RunsDue(Vec<Arc<dyn InboxOwner>>),
    /// Cancel a typed consumer, since it is too slow. This runs user code, so it comes last.
    Slow(Arc<dyn InboxOwner>),
    /// Publish a dead letter to the queue's dead-letter exchange.
    DeadLetter(Box<DeadLetter>),
    /// Send a trigger message to the initiation queue.
    Trigger(Box<TriggerEvent>),
    /// The last consumer of an auto-delete queue was removed. Check again under the topology lock,
    /// and delete the queue.
    Unused,
    /// The queue was not used for the time of its lease, which was over at this time. Check again
    /// under the topology lock, and delete the queue.
    LeaseOver(u64),
}

/// A message to be dead-lettered, and its target.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) envelope: Envelope,
    pub(crate) reason: DeathReason,
    pub(crate) exchange: Name,
    pub(crate) routing_key: Option<Arc<str>>,
    /// Whether it was in the queue. One that the queue has refused was not.
    pub(crate) was_in_queue: bool,
    /// Ends once the message is in its next queue.
    pub(crate) on_its_way: Move,
    /// Of a message that stays in its queue until other queues have taken it.
    pub(crate) transit: Option<Transit>,
}

/// A message that waits in its queue until other queues have taken it.
#[derive(Debug)]
pub(crate) struct Transit {
    pub(crate) id: TransitId,
    /// The queues that have taken it in earlier tries.
    pub(crate) taken_by: Vec<Name>,
}

impl Effects {
    pub(crate) fn none() -> Effects {
        Effects::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wake.is_none() && !self.set_timer && self.more.is_empty()
    }

    pub(crate) fn wake(&mut self, wake: Option<Wake>) {
        let Some(wake) = wake else { return };
        match self.wake {
            None => self.wake = Some(wake),
            Some(_) => self.more.push(Effect::Wake(wake)),
        }
    }

    pub(crate) fn add(&mut self, effect: Effect) {
        self.more.push(effect);
    }

    /// Has the timer of the queue set to the next due time that the queue has by then.
    pub(crate) fn set_timer(&mut self) {
        self.set_timer = true;
    }

    /// Whether the timer of the queue must be set. It comes before all other effects, so that
    /// nothing that happens in one of them can prevent it.
    pub(crate) fn sets_timer(&self) -> bool {
        self.set_timer
    }

    /// The wake, if there is no other effect.
    #[inline]
    pub(crate) fn into_only_wake(mut self) -> Result<Wake, Effects> {
        match self.wake.take() {
            Some(wake) if self.more.is_empty() && !self.set_timer => Ok(wake),
            wake => {
                self.wake = wake;
                Err(self)
            }
        }
    }

    /// All effects but the timer, in the order in which they were added.
    pub(crate) fn into_list(self) -> impl Iterator<Item = Effect> {
        self.wake.map(Effect::Wake).into_iter().chain(self.more)
    }
}
