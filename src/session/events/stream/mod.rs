//! One ordered stream of events, of a channel or of a whole connection.
//!
//! It knows channels by their numbers only. Its locks are leaf locks: a channel sends under its own
//! lock, so that the events have the order in which the broker acts.
//!
//! Readers take over all events that are there at once, and share them behind a lock of their own.
//! So a reader meets a sender once for many events.

use std::{collections::VecDeque, mem, task::Poll};

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

/// The order of the fields is that in memory: readers write the first one, and senders the last
/// one. The fields between keep them on different cache lines.
#[repr(C)]
pub(crate) struct EventStream {
    /// The first unread events, which the readers have taken over. Its lock comes before that of
    /// the state.
    front: Mutex<Sent>,
    time: Time,
    _apart: [u64; 6],
    state: Mutex<State>,
}

/// Events, each with the number of its channel.
type Sent = VecDeque<(u16, Event)>;

#[derive(Default)]
struct State {
    /// The unread events behind those that the readers have taken over.
    events: Sent,
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
    /// most. `front` has the unread events before those that are here.
    fn alarm(&mut self, front: &mut Sent, event: Event) -> Option<Wake> {
        let last = match self.events.is_empty() {
            true => front,
            false => &mut self.events,
        };
        match last.back() {
            Some((CONNECTION, Event::Blocked { .. } | Event::Unblocked)) => {
                last.pop_back();
                None
            }
            _ => self.push(CONNECTION, event),
        }
    }

    // An event is large. Inlined, it is moved once.
    #[inline(always)]
    fn push(&mut self, channel: u16, event: Event) -> Option<Wake> {
        self.events.push_back((channel, event));
        match self.waiting.is_empty() {
            true => None,
            false => self.waiting.take_one(),
        }
    }
}

/// Gives back the memory of a backlog that was read. It comes before each exchange of buffers,
/// since senders go on with that of the readers.
fn trim(read: &mut Sent) {
    if read.is_empty() && read.capacity() > IDLE {
        read.shrink_to(IDLE);
    }
}

/// Takes the first event.
#[inline(always)]
fn pop(front: &mut Sent) -> Option<(u16, Event)> {
    let sent = front.pop_front()?;
    trim(front);
    Some(sent)
}

impl EventStream {
    /// `time` is that of the broker.
    pub(crate) fn new(time: &Time) -> EventStream {
        EventStream {
            front: Mutex::default(),
            time: time.clone(),
            _apart: [0; 6],
            state: Mutex::default(),
        }
    }

    pub(super) fn time(&self) -> &Time {
        &self.time
    }

    /// Appends an event of a channel, and returns the reader to be woken.
    #[must_use = "woken after the lock of the channel is released"]
    #[inline(always)]
    pub(crate) fn send(&self, channel: u16, event: Event) -> Option<Wake> {
        self.state.lock().push(channel, event)
    }

    /// As [`send`](Self::send) of many events. It has the lock of the stream until it is dropped.
    pub(crate) fn sender(&self, channel: u16) -> impl FnMut(Event) -> Option<Wake> {
        let mut state = self.state.lock();
        move |event| state.push(channel, event)
    }

    /// Appends the confirm of a message. If the last event is the confirm of an earlier message of
    /// the same channel with the same outcome, and no reader has taken it over, it becomes one
    /// confirm of both.
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
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        state.blocked += 1;
        match state.blocked {
            1 => state.alarm(&mut front, Event::Blocked { reason }),
            _ => None,
        }
    }

    /// Notes that a publish through the connection waits no more. Returns the reader to be woken.
    #[must_use = "woken after all locks are released"]
    pub(super) fn unblock(&self) -> Option<Wake> {
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        state.blocked -= 1;
        match state.blocked {
            0 => state.alarm(&mut front, Event::Unblocked),
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

    /// Appends that the connection to an engine outside is lost or there again. The latest unread
    /// one of each kind stays. Returns the reader to be woken.
    #[cfg(feature = "rabbitmq")]
    #[must_use = "woken after all locks are released"]
    pub(crate) fn connection_changed(&self, event: Event) -> Option<Wake> {
        let is_loss = |event: &Event| matches!(event, Event::ConnectionLost { .. });
        let is_return = |event: &Event| matches!(event, Event::ConnectionRestored { .. });
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        if is_loss(&event) {
            for unread in [&mut *front, &mut state.events] {
                unread.retain(|(_, unread)| !is_loss(unread) && !is_return(unread));
            }
        }
        state.push(CONNECTION, event)
    }

    /// Whether a publish through the connection waits for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state.lock().blocked > 0
    }

    /// Moves up to `most` events into `into`, and returns how many there were. `seen` is called
    /// with each under the lock of the readers. Events that come meanwhile stay, so that senders
    /// cannot keep it going.
    pub(super) fn drain_into<E: From<(u16, Event)>>(
        &self,
        into: &mut impl Extend<E>,
        most: usize,
        mut seen: impl FnMut(&Event),
    ) -> usize {
        let mut move_some = |front: &mut Sent, most: usize| {
            let count = front.len().min(most);
            let events = front.drain(..count);
            into.extend(events.inspect(|(_, event)| seen(event)).map(E::from));
            count
        };
        let mut front = self.front.lock();
        let mut drained = move_some(&mut front, most);
        if drained < most && self.advance(&mut front) {
            drained += move_some(&mut front, most - drained);
        }
        trim(&mut front);
        drained
    }

    /// Gives the first unread events to `run`, which is empty: those that the readers have taken
    /// over, or else all that were sent since. It gives none if there are none.
    #[cfg(feature = "amqp")]
    pub(super) fn take_run(&self, run: &mut Sent) {
        trim(run);
        let mut front = self.front.lock();
        match front.is_empty() {
            true => mem::swap(&mut self.state.lock().events, run),
            false => mem::swap(&mut *front, run),
        }
    }

    /// Takes the events that were sent over for the readers, who have read all before. `false` if
    /// there are none.
    fn advance(&self, front: &mut Sent) -> bool {
        trim(front);
        mem::swap(&mut self.state.lock().events, front);
        !front.is_empty()
    }

    /// The next event, if the readers have taken it over already.
    #[inline(always)]
    pub(super) fn next_taken_over(&self) -> Option<(u16, Event)> {
        pop(&mut self.front.lock())
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
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        let mut taken = take_of(channel, &mut front);
        taken.append(&mut take_of(channel, &mut state.events));
        taken
    }

    /// Takes out all unread events, since no reader is left.
    #[must_use = "dropped without a lock"]
    pub(super) fn take_all(&self) -> [Sent; 2] {
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        [mem::take(&mut *front), mem::take(&mut state.events)]
    }

    /// The number of unread events.
    pub(super) fn len(&self) -> usize {
        let front = self.front.lock();
        front.len() + self.state.lock().events.len()
    }
}

/// Takes out the events of a channel.
fn take_of(channel: u16, events: &mut Sent) -> Vec<Event> {
    if events.iter().all(|(of, _)| *of != channel) {
        return Vec::new();
    }
    let (own, others): (Vec<_>, Vec<_>) = mem::take(events)
        .into_iter()
        .partition(|(of, _)| *of == channel);
    *events = others.into();
    own.into_iter().map(|(_, event)| event).collect()
}

impl Waitable for EventStream {
    type Output = Result<(u16, Event), CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let mut front = self.front.lock();
        if front.is_empty() {
            trim(&mut front);
            let mut state = self.state.lock();
            mem::swap(&mut state.events, &mut *front);
            if front.is_empty() {
                if let Some(reason) = state.ended {
                    return Poll::Ready(Err(reason));
                }
                if let Some(ticket) = ticket {
                    state.waiting.register(ticket);
                }
                return Poll::Pending;
            }
        }
        match pop(&mut front) {
            Some(sent) => Poll::Ready(Ok(sent)),
            None => Poll::Pending,
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().waiting);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
