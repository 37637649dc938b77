//! The ways into a queue for messages that need no check: one lock, one slot, one count.

use std::collections::vec_deque;

use super::{QueueCore, effects::Effects, ready::Order};
use crate::{
    message::{
        envelope::{Envelope, Meta},
        payload::Payload,
    },
    runtime::waiter::Wake,
};

impl QueueCore {
    /// Puts a message into the queue if a slot is free at once. One critical section reserves the
    /// slot, writes the message and counts it. Wakes a receiver afterwards.
    ///
    /// `make` makes the message from the payload and its position. It runs under the lock and must
    /// not run user code.
    ///
    /// # Errors
    /// Returns the payload if the message needs any other check.
    #[inline(always)]
    pub(crate) fn try_push<P: Payload>(
        &self,
        size: u64,
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<(), P> {
        match self.is_timed() {
            true => self.try_append(size, payload, make),
            false => {
                if let Some(wake) = self.try_put(size, None, payload, make)? {
                    wake.wake();
                }
                Ok(())
            }
        }
    }

    /// As [`try_push`](Self::try_push), for a message with these properties, which does not expire
    /// by itself. A stream takes none. Returns the receiver to be woken.
    ///
    /// # Errors
    /// Returns the payload if the message needs any other check.
    #[inline]
    pub(crate) fn try_push_with_meta<P: Payload>(
        &self,
        size: u64,
        meta: &Meta,
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<Option<Wake>, P> {
        match self.is_timed() {
            true => Err(payload),
            false => self.try_put(size, Some(meta), payload, make),
        }
    }

    #[inline(always)]
    fn try_put<P: Payload>(
        &self,
        size: u64,
        meta: Option<&Meta>,
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<Option<Wake>, P> {
        let mut state = self.lock();
        let Some(permit) = state.reserve(size, |order| order.level_of(meta)) else {
            return Err(payload);
        };
        Ok(permit.send(size, |position| make(payload, position)))
    }

    /// As [`try_push`](Self::try_push), for a message of this size that is made already and does
    /// not expire by itself. Takes the message out of `message`. `false` if it needs any other
    /// check.
    #[inline]
    pub(crate) fn try_push_message(&self, size: u64, message: &mut Option<Envelope>) -> bool {
        if self.is_timed() || message.is_none() {
            return false;
        }
        let mut state = self.lock();
        let level = |order: Order| message.as_ref().map_or(0, |message| order.level(message));
        let Some(permit) = state.reserve(size, level) else {
            return false;
        };
        let Some(envelope) = message.take() else {
            return false;
        };
        let wake = permit.send(size, |position| envelope.at(position));
        drop(state);
        if let Some(wake) = wake {
            wake.wake();
        }
        true
    }

    /// As [`try_push_message`](Self::try_push_message), for a copy of a message whose payload is
    /// shared. The copy is made in its slot. `false` also if the payload is not shared.
    #[inline]
    pub(crate) fn try_push_copy(&self, size: u64, original: &Envelope) -> bool {
        if self.is_timed() {
            return false;
        }
        let Some(body) = original.body().another() else {
            return false;
        };
        let mut state = self.lock();
        let Some(permit) = state.reserve(size, |order| order.level(original)) else {
            return false;
        };
        let wake = permit.send(size, |position| original.with_body(body).at(position));
        drop(state);
        if let Some(wake) = wake {
            wake.wake();
        }
        true
    }

    /// As [`try_push`](Self::try_push) for many payloads in one critical section.
    ///
    /// Returns the message that the queue refused after it was made, if there is one. The payloads
    /// behind it stay in `payloads`. All payloads stay there if the queue takes none this way.
    pub(crate) fn try_push_run<P: Payload>(
        &self,
        payloads: &mut vec_deque::Drain<'_, P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
    ) -> (Option<Envelope>, Effects) {
        let mut effects = Effects::none();
        if self.is_timed() {
            self.try_append_run(payloads, size, make);
            return (None, effects);
        }
        let refused = self
            .lock()
            .enqueue_batch(payloads, size, make, &mut effects);
        (refused, effects)
    }
}
