//! One ordered stream of events, of a channel or of a whole connection.
//!
//! It knows channels by their numbers only. Its lock is a leaf lock: a channel sends under its own
//! lock, so that the events have the order in which the broker acts.

use std::{collections::VecDeque, task::Poll};

use super::{Confirm, Event};
use crate::{
    model::error::CancelReason,
    runtime::{
        clock::Time,
        sync::Mutex,
        waiter::{Ticket, WaitList, Waitable, Wake},
    },
};

/// The capacity that a stream keeps when it is empty.
const IDLE: usize = 256;

pub(crate) struct EventStream {
    time: Time,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Each with the number of its channel.
    events: VecDeque<(u16, Event)>,
    ended: Option<CancelReason>,
    waiting: WaitList,
}

impl State {
    fn push(&mut self, channel: u16, event: Event) -> Option<Wake> {
        self.events.push_back((channel, event));
        match self.waiting.is_empty() {
            true => None,
            false => self.waiting.take_one(),
        }
    }

    /// A backlog that was read leaves its memory behind.
    fn trim(&mut self) {
        if self.events.is_empty() && self.events.capacity() > IDLE {
            self.events.shrink_to(IDLE);
        }
    }
}

impl EventStream {
    /// `time` is that of the broker.
    pub(crate) fn new(time: &Time) -> EventStream {
        EventStream {
            time: time.clone(),
            state: Mutex::default(),
        }
    }

    pub(super) fn time(&self) -> &Time {
        &self.time
    }

    /// Appends an event of a channel, and returns the reader to be woken.
    #[must_use = "woken after the lock of the channel is released"]
    pub(crate) fn send(&self, channel: u16, event: Event) -> Option<Wake> {
        self.state.lock().push(channel, event)
    }

    /// Appends the confirm of a message. If the last unread event is the confirm of an earlier
    /// message of the same channel with the same outcome, it becomes one confirm of both.
    ///
    /// `covers_all` tells that every earlier message of the channel has been confirmed.
    #[must_use = "woken after the lock of the channel is released"]
    pub(crate) fn confirm(&self, channel: u16, confirm: Confirm, covers_all: bool) -> Option<Wake> {
        let mut state = self.state.lock();
        match state.events.back_mut() {
            Some((of, Event::Confirm(last)))
                if covers_all
                    && *of == channel
                    && last.outcome == confirm.outcome
                    && last.delivery_tag < confirm.delivery_tag =>
            {
                last.delivery_tag = confirm.delivery_tag;
                last.multiple = true;
                None
            }
            _ => state.push(channel, Event::Confirm(confirm)),
        }
    }

    /// Moves up to `most` events into `into`, and returns how many there were. `seen` is called
    /// with each under the lock of the stream.
    pub(super) fn drain_into<E: From<(u16, Event)>>(
        &self,
        into: &mut Vec<E>,
        most: usize,
        mut seen: impl FnMut(&Event),
    ) -> usize {
        let mut state = self.state.lock();
        let count = most.min(state.events.len());
        let drained = state.events.drain(..count);
        into.extend(drained.inspect(|(_, event)| seen(event)).map(E::from));
        state.trim();
        count
    }

    /// Ends the stream: no event follows those that it has. Returns the readers to be woken.
    #[must_use = "woken after the lock of the channel is released"]
    pub(crate) fn end(&self, reason: CancelReason) -> Vec<Wake> {
        let mut state = self.state.lock();
        state.ended.get_or_insert(reason);
        state.waiting.take_all()
    }

    /// Takes out the unread events of a channel that is closed, since another channel may get its
    /// number. They hold payloads, which run user code when they are dropped.
    #[must_use = "dropped without a lock"]
    pub(crate) fn take_of(&self, channel: u16) -> Vec<Event> {
        let mut state = self.state.lock();
        if state.events.iter().all(|(of, _)| *of != channel) {
            return Vec::new();
        }
        let all = std::mem::take(&mut state.events);
        let (own, others): (Vec<_>, VecDeque<_>) = all
            .into_iter()
            .map(|sent| match sent.0 == channel {
                true => (Some(sent.1), None),
                false => (None, Some(sent)),
            })
            .unzip();
        state.events = others.into_iter().flatten().collect();
        own.into_iter().flatten().collect()
    }

    /// Takes out all unread events, since no reader is left.
    #[must_use = "dropped without a lock"]
    pub(super) fn take_all(&self) -> VecDeque<(u16, Event)> {
        std::mem::take(&mut self.state.lock().events)
    }

    /// The number of unread events.
    pub(super) fn len(&self) -> usize {
        self.state.lock().events.len()
    }
}

impl Waitable for EventStream {
    type Output = Result<(u16, Event), CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let mut state = self.state.lock();
        if let Some(sent) = state.events.pop_front() {
            state.trim();
            return Poll::Ready(Ok(sent));
        }
        if let Some(reason) = state.ended {
            return Poll::Ready(Err(reason));
        }
        if let Some(ticket) = ticket {
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().waiting);
    }
}
