//! What a queue's verb leaves to its caller: work that must not happen under the queue's lock.
//!
//! A queue never routes and never runs user code; it says what is to be done, and the virtual host does it once the
//! lock is free. Knows what a queue can ask for, not how it is carried out.

use std::sync::Arc;

use crate::{
    message::{envelope::Envelope, headers::x_death::DeathReason},
    model::name::Name,
    runtime::waiter::Wake,
};

/// Work owed after a queue's lock is released. Most verbs owe at most one wake, which costs no allocation.
#[must_use = "effects must be carried out after the lock is released"]
#[derive(Debug, Default)]
pub(crate) struct Effects {
    wake: Option<Wake>,
    more: Vec<Effect>,
}

/// One piece of work.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Wake a sleeper: may run a task's waker, so it comes last.
    Wake(Wake),
    /// Drop a message: may run its payload's `Drop`, so it comes last.
    Drop(Envelope),
    /// Publish a message that died to the queue's dead-letter exchange.
    DeadLetter(Box<DeadLetter>),
    /// Look at the queue again at this time, in nanoseconds of the virtual host.
    Schedule(u64),
    /// The queue is deleted, and need not be looked at any more.
    Unschedule,
    /// The last consumer of an auto-delete queue is gone: look again, under the topology lock, and delete it.
    Unused,
    /// Nobody has used the queue for the time of its lease: look again, under the topology lock, and delete it.
    LeaseOver,
}

/// A message that died, and where it goes.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) envelope: Envelope,
    pub(crate) reason: DeathReason,
    pub(crate) exchange: Name,
    pub(crate) routing_key: Option<Arc<str>>,
}

impl Effects {
    pub(crate) fn none() -> Effects {
        Effects::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wake.is_none() && self.more.is_empty()
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

    /// The wake, if nothing else is owed.
    #[inline]
    pub(crate) fn into_only_wake(mut self) -> Result<Wake, Effects> {
        match self.wake.take() {
            Some(wake) if self.more.is_empty() => Ok(wake),
            wake => {
                self.wake = wake;
                Err(self)
            }
        }
    }

    /// Everything, in the order in which it was owed.
    pub(crate) fn into_list(self) -> impl Iterator<Item = Effect> {
        self.wake.map(Effect::Wake).into_iter().chain(self.more)
    }
}
