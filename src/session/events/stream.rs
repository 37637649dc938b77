//! One ordered stream of events, of a channel or of a whole connection.
//!
//! It knows channels by their numbers only. Its lock is a leaf lock: a channel sends under its own
//! lock, so that the events have the order in which the broker acts.

use std::{collections::VecDeque, task::Poll};

use super::{BlockedReason, Confirm, Event};
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
    /// The publishes of the connection that wait for room.
    blocked: usize,
    ended: Option<CancelReason>,
    waiting: WaitList,
}

/// The number of the connection itself.
const CONNECTION: u16 = 0;

impl State {
    /// Appends that the connection is blocked, or that it is no more. The one takes back the other,
    /// if that is the last event and is not read yet. So a connection without a reader keeps one at
    /// most.
    fn alarm(&mut self, event: Event) -> Option<Wake> {
        match self.events.back() {
            Some((CONNECTION, _)) => {
                self.events.pop_back();
                None
            }
            _ => self.push(CONNECTION, event),
        }
    }

    /// Appends that the connection to an engine outside is lost or there again. The latest unread
    /// one of each kind stays.
    #[cfg(feature = "rabbitmq")]
    fn connection_changed(&mut self, event: Event) -> Option<Wake> {
        let is_loss = |event: &Event| matches!(event, Event::ConnectionLost { .. });
        let is_return = |event: &Event| matches!(event, Event::ConnectionRestored { .. });
        if is_loss(&event) {
            let unread = self.events.iter();
            let stale = unread.filter(|(_, unread)| is_loss(unread) || is_return(unread));
            if stale.count() > 0 {
                self.events
                    .retain(|(_, unread)| !is_loss(unread) && !is_return(unread));
            }
        }
        self.push(CONNECTION, event)
    }

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

    /// Notes that a publish through the connection begins to wait. Returns the reader to be woken.
    #[must_use = "woken after all locks are released"]
    pub(super) fn block(&self, reason: BlockedReason) -> Option<Wake> {
        let mut state = self.state.lock();
        state.blocked += 1;
        match state.blocked {
            1 => state.alarm(Event::Blocked { reason }),
            _ => None,
        }
    }

    /// Notes that a publish through the connection waits no more. Returns the reader to be woken.
    #[must_use = "woken after all locks are released"]
    pub(super) fn unblock(&self) -> Option<Wake> {
        let mut state = self.state.lock();
        state.blocked -= 1;
        match state.blocked {
            0 => state.alarm(Event::Unblocked),
            _ => None,
        }
    }

    /// As the start of a publish that waits, by an engine outside of this process.
    #[cfg(feature = "rabbitmq")]
    pub(crate) fn block_by(&self, reason: BlockedReason) {
        self.block(reason).into_iter().for_each(Wake::wake);
    }

    /// As the end of a publish that waits, by an engine outside of this process.
    #[cfg(feature = "rabbitmq")]
    pub(crate) fn unblock_by(&self) {
        self.unblock().into_iter().for_each(Wake::wake);
    }

    /// Appends that the connection to an engine outside is lost or there again. Returns the reader
    /// to be woken.
    #[cfg(feature = "rabbitmq")]
    #[must_use = "woken after all locks are released"]
    pub(crate) fn connection_changed(&self, event: Event) -> Option<Wake> {
        self.state.lock().connection_changed(event)
    }

    /// Whether a publish through the connection waits for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state.lock().blocked > 0
    }

    /// Moves up to `most` events into `into`, and returns how many there were. `seen` is called
    /// with each under the lock of the stream.
    pub(super) fn drain_into<E: From<(u16, Event)>>(
        &self,
        into: &mut impl Extend<E>,
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
