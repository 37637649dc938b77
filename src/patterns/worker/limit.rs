//! The time limit of a handler, and what becomes of one that blocks its thread.
//!
//! A thread cannot be stopped. So the message is taken from the handler when its time is over. A
//! spare thread settles it, and takes the place of the thread that is stuck.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    core::Core,
    ordered::KeyHold,
    settle::{Failure, HandlerError},
    slot::{Place, Slot},
};
use crate::{
    message::payload::Payload,
    runtime::{clock::TimerTarget, signal::Signal, sync::Mutex},
    session::{delivery_info::DeliveryInfo, publisher::Claim},
};

/// The time limit of a handler.
pub(super) enum TimeLimit<T> {
    /// The same for each message.
    Of(Duration),
    /// That of a message, which may have none.
    By(Box<LimitOf<T>>),
}

/// Finds the time limit of a message. It does not panic.
type LimitOf<T> = dyn Fn(&T) -> Option<Duration> + Send + Sync;

impl<T> TimeLimit<T> {
    /// The time limit of a message.
    pub(super) fn of(&self, payload: &T) -> Option<Duration> {
        match self {
            TimeLimit::Of(limit) => Some(*limit),
            TimeLimit::By(limit_of) => limit_of(payload),
        }
    }

    /// The time limit of several messages together.
    pub(super) fn of_all<'a>(&self, payloads: impl Iterator<Item = &'a T>) -> Option<Duration>
    where
        T: 'a,
    {
        payloads.filter_map(|payload| self.of(payload)).min()
    }
}

/// The right to settle a message whose handler runs. A batch has several.
pub(super) struct Unsettled {
    pub(super) info: DeliveryInfo,
    /// The number of middlewares that learn of the outcome.
    pub(super) passed: usize,
    /// The key of the message, if the worker is ordered.
    pub(super) hold: Option<Arc<KeyHold>>,
}

/// One call of a handler that has a time limit.
pub(super) struct LimitedCall<T: Payload> {
    me: Weak<LimitedCall<T>>,
    core: Weak<Core<T>>,
    /// The number of the slot that calls.
    slot: u64,
    place: Place,
    limit: Duration,
    pub(super) time: Limited,
}

/// The time of a handler.
pub(super) struct Limited {
    /// Set when the time is over.
    over: Arc<Signal>,
    state: Mutex<State>,
}

enum State {
    /// It is empty if the payload can be in one place only. The handler has it then, and the
    /// message is settled when the handler ends.
    Runs(Vec<Unsettled>),
    /// The handler has its result, so that its time is not over any more.
    HasResult(Vec<Unsettled>),
    /// The time is over.
    Over(Late),
}

/// What a slot does whose handler ends after its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It goes on.
    GoesOn,
    /// It goes on, and is no longer stuck.
    WasStuck,
    /// It ends, since a spare has taken its place.
    Replaced,
}

pub(super) fn timed_out(limit: Duration) -> HandlerError {
    let message = format!("the handler took longer than {limit:?}");
    HandlerError::of(Failure::TimedOut, "timeout", message)
}

impl<T: Payload> LimitedCall<T> {
    pub(super) fn begin(
        core: &Arc<Core<T>>,
        (slot, place): (u64, Place),
        limit: Duration,
        unsettled: Vec<Unsettled>,
    ) -> Arc<LimitedCall<T>> {
        Arc::new_cyclic(|me| LimitedCall {
            me: Weak::clone(me),
            core: Arc::downgrade(core),
            slot,
            place,
            limit,
            time: Limited {
                over: Arc::default(),
                state: Mutex::new(State::Runs(unsettled)),
            },
        })
    }
}

impl Limited {
    /// Set when the time is over.
    pub(super) fn over(&self) -> &Arc<Signal> {
        &self.over
    }

    /// The claim of a message, for a producer. `None` if the message is not settled from here: the
    /// handler has it, or the time is over.
    pub(super) fn claim(&self, shown: &DeliveryInfo) -> Option<Claim> {
        let state = self.state.lock();
        let (State::Runs(unsettled) | State::HasResult(unsettled)) = &*state else {
            return None;
        };
        let mut infos = unsettled.iter().map(|unsettled| &unsettled.info);
        let same = |info: &&DeliveryInfo| {
            info.position() == shown.position() && info.queue() == shown.queue()
        };
        infos.find(same).map(DeliveryInfo::claim)
    }

    /// The handler has its result, before its end. Returns whether that is in time. It has all time
    /// then.
    pub(super) fn has_result(&self) -> bool {
        let mut state = self.state.lock();
        match &mut *state {
            State::Runs(unsettled) => {
                *state = State::HasResult(std::mem::take(unsettled));
                true
            }
            State::HasResult(_) => true,
            State::Over(_) => false,
        }
    }

    /// The handler has ended. Returns the right to settle its message, or its messages.
    ///
    /// # Errors
    /// The handler has ended after its time.
    pub(super) fn end(&self) -> Result<Vec<Unsettled>, Late> {
        let over = State::Over(Late::GoesOn);
        match std::mem::replace(&mut *self.state.lock(), over) {
            State::Runs(unsettled) | State::HasResult(unsettled) => Ok(unsettled),
            State::Over(late) => Err(late),
        }
    }
}

impl<T: Payload> TimerTarget for LimitedCall<T> {
    /// Settles the message on a thread of its own, since that runs user code. If the system has no
    /// thread, the handler goes on as without a time limit.
    fn fire(&self, _: Instant) {
        // Without them the handler has ended.
        let (Some(core), Some(call)) = (self.core.upgrade(), self.me.upgrade()) else {
            return;
        };
        let shared = Arc::clone(&core.shared);
        let spare = Slot::spare(core);
        let _ = shared.spawn(spare.number(), move || call.take_over(spare));
    }
}

impl<T: Payload> LimitedCall<T> {
    /// Settles the message, if its handler runs still. The spare takes the place of the slot.
    fn take_over(&self, mut spare: Slot<T>) {
        let (unsettled, late) = {
            let mut state = self.time.state.lock();
            let State::Runs(unsettled) = &mut *state else {
                return;
            };
            let unsettled = std::mem::take(unsettled);
            let late = match self.place {
                Place::Thread => spare.shared().members.is_stuck(),
                Place::Task => Late::GoesOn,
            };
            *state = State::Over(late);
            (unsettled, late)
        };
        self.time.over.set();
        spare.shared().forget_thread(self.slot);
        if late == Late::Replaced {
            spare.replace();
        }
        spare.run_for(unsettled, self.limit);
    }
}
