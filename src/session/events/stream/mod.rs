//! One ordered stream of events, of a channel or of a whole connection.
//!
//! It knows channels by their numbers only. Its locks are leaf locks: a channel sends under its own
//! lock, so that the events have the order in which the broker acts.
//!
//! Readers take over all events that are there at once, and share them behind a lock of their own.
//! So a reader meets a sender once for many events.
//!
//! The deliveries of a channel stay with the channel, and their number is here. The reader that
//! takes them over has the channel make them. So a queue that delivers a message does not write the
//! event, which would be in the cache of the reader.

use std::{collections::VecDeque, mem, sync::Arc, task::Poll};

use super::{BlockedReason, Confirm, Event};
use crate::{
    model::error::CancelReason,
    runtime::{
        clock::Time,
        sync::Mutex,
        waiter::{Ticket, WaitList, Waitable, Wake},
    },
    session::unacked::DeliveryOrigin,
};

/// The capacity that a stream keeps when it is empty.
const IDLE: usize = 256;

/// The order of the fields is that in memory: readers write the first one, and senders the last
/// one. The fields between keep them on different cache lines.
#[repr(C)]
pub(crate) struct EventStream {
    /// Its lock comes before those of the channels, and these before that of the state.
    front: Mutex<Front>,
    time: Time,
    _apart: [u64; 6],
    state: Mutex<State>,
}

/// The first unread events, which the readers have taken over.
#[derive(Default)]
struct Front {
    events: Events,
    /// Empty, between two exchanges with the senders.
    taken_over: VecDeque<(u16, Sent)>,
}

/// Events, each with the number of its channel.
type Events = VecDeque<(u16, Event)>;

/// What a channel has sent.
enum Sent {
    Event(Event),
    /// Deliveries that the channel has, and one of their handles. There is at least one.
    Deliveries(Arc<DeliveryOrigin>, usize),
}

#[derive(Default)]
struct State {
    /// Unread, behind the events that the readers have taken over.
    sent: VecDeque<(u16, Sent)>,
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
    fn alarm(&mut self, front: &mut Events, event: Event) -> Option<Wake> {
        let is_alarm = |event: &Event| matches!(event, Event::Blocked { .. } | Event::Unblocked);
        match (self.sent.back(), front.back()) {
            (Some((CONNECTION, Sent::Event(last))), _) if is_alarm(last) => {
                self.sent.pop_back();
                None
            }
            (None, Some((CONNECTION, last))) if is_alarm(last) => {
                front.pop_back();
                None
            }
            _ => self.push(CONNECTION, event),
        }
    }

    // An event is large. Inlined, it is moved once.
    #[inline(always)]
    fn push(&mut self, channel: u16, event: Event) -> Option<Wake> {
        self.sent.push_back((channel, Sent::Event(event)));
        self.next_reader()
    }

    /// A reader to be woken for one more event.
    #[inline(always)]
    fn next_reader(&mut self) -> Option<Wake> {
        match self.waiting.is_empty() {
            true => None,
            false => self.waiting.take_one(),
        }
    }
}

/// Gives back the memory of a backlog that was read. It comes before each exchange of buffers,
/// since senders go on with that of the readers.
fn trim<T>(read: &mut VecDeque<T>) {
    if read.is_empty() && read.capacity() > IDLE {
        read.shrink_to(IDLE);
    }
}

impl Front {
    /// Takes the first event.
    #[inline(always)]
    fn pop(&mut self) -> Option<(u16, Event)> {
        let event = self.events.pop_front()?;
        trim(&mut self.events);
        Some(event)
    }

    /// Makes the events that the readers have taken over. Takes the locks of the channels.
    fn open(&mut self) {
        for (number, sent) in self.taken_over.drain(..) {
            match sent {
                Sent::Event(event) => self.events.push_back((number, event)),
                // This is not the last handle, since one of the deliveries has one.
                Sent::Deliveries(origin, count) => origin.open_deliveries(count, |delivery| {
                    self.events.push_back((number, Event::Delivery(delivery)));
                }),
            }
        }
        trim(&mut self.taken_over);
    }
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

    /// Appends deliveries that the channel has, with a handle to the origin of one of them. `wake`
    /// gets a reader to be woken for each of them. Returns whether further readers wait.
    #[inline]
    pub(crate) fn send_deliveries(
        &self,
        channel: u16,
        count: usize,
        origin: impl FnOnce() -> Arc<DeliveryOrigin>,
        wake: impl FnMut(Wake),
    ) -> bool {
        let mut state = self.state.lock();
        match state.sent.back_mut() {
            Some((last, Sent::Deliveries(_, before))) if *last == channel => *before += count,
            _ => state
                .sent
                .push_back((channel, Sent::Deliveries(origin(), count))),
        }
        (0..count).map_while(|_| state.next_reader()).for_each(wake);
        !state.waiting.is_empty()
    }

    /// Appends the confirm of a message. If the last event is the confirm of an earlier message of
    /// the same channel with the same outcome, and no reader has taken it over, it becomes one
    /// confirm of both.
    ///
    /// `covers_all` tells that every earlier message of the channel has been confirmed.
    #[must_use = "woken after the lock of the channel is released"]
    pub(crate) fn confirm(&self, channel: u16, confirm: Confirm, covers_all: bool) -> Option<Wake> {
        let mut state = self.state.lock();
        match state.sent.back_mut() {
            Some((of, Sent::Event(Event::Confirm(last))))
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
            1 => state.alarm(&mut front.events, Event::Blocked { reason }),
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
            0 => state.alarm(&mut front.events, Event::Unblocked),
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
            let stays = |unread: &Event| !is_loss(unread) && !is_return(unread);
            front.events.retain(|(_, unread)| stays(unread));
            let stays = |sent: &Sent| !matches!(sent, Sent::Event(unread) if !stays(unread));
            state.sent.retain(|(_, unread)| stays(unread));
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
        let mut move_some = |events: &mut Events, most: usize| {
            let count = events.len().min(most);
            let events = events.drain(..count);
            into.extend(events.inspect(|(_, event)| seen(event)).map(E::from));
            count
        };
        let mut front = self.front.lock();
        let mut drained = move_some(&mut front.events, most);
        if drained < most && self.advance(&mut front) {
            drained += move_some(&mut front.events, most - drained);
        }
        trim(&mut front.events);
        drained
    }

    /// Gives the first unread events to `run`, which is empty: those that the readers have taken
    /// over, or else all that were sent since. It gives none if there are none.
    #[cfg(feature = "amqp")]
    pub(super) fn take_run(&self, run: &mut Events) {
        trim(run);
        let mut front = self.front.lock();
        if !front.events.is_empty() || self.advance(&mut front) {
            mem::swap(&mut front.events, run);
        }
    }

    /// Takes over what was sent for the readers, who have read all before. `false` if there is
    /// nothing.
    fn advance(&self, front: &mut Front) -> bool {
        trim(&mut front.events);
        mem::swap(&mut self.state.lock().sent, &mut front.taken_over);
        front.open();
        !front.events.is_empty()
    }

    /// The next event, if the readers have taken it over already.
    #[inline(always)]
    pub(super) fn next_taken_over(&self) -> Option<(u16, Event)> {
        self.front.lock().pop()
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
    pub(crate) fn take_of(&self, channel: u16) -> Unread {
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        Unread {
            events: take_of(channel, &mut front.events),
            sent: take_of(channel, &mut state.sent),
        }
    }

    /// Takes out all unread events, since no reader is left.
    #[must_use = "dropped without a lock"]
    pub(super) fn take_all(&self) -> Unread {
        let mut front = self.front.lock();
        let mut state = self.state.lock();
        Unread {
            events: mem::take(&mut front.events),
            sent: mem::take(&mut state.sent),
        }
    }

    /// The number of unread events.
    pub(super) fn len(&self) -> usize {
        let front = self.front.lock();
        let state = self.state.lock();
        let sent = state.sent.iter().map(|(_, sent)| sent.events());
        front.events.len() + sent.sum::<usize>()
    }
}

impl Sent {
    /// How many events it stands for.
    fn events(&self) -> usize {
        match self {
            Sent::Event(_) => 1,
            Sent::Deliveries(_, count) => *count,
        }
    }
}

/// Events that no reader will get.
///
/// # If dropped
/// Their deliveries are dropped. Runs user code, and takes the locks of the channels.
#[derive(Default)]
pub(crate) struct Unread {
    events: Events,
    sent: VecDeque<(u16, Sent)>,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.events.clear();
        for (_, sent) in self.sent.drain(..) {
            if let Sent::Deliveries(origin, count) = sent {
                let mut unread = Vec::with_capacity(count);
                origin.open_deliveries(count, |delivery| unread.push(delivery));
            }
        }
    }
}

/// Takes out what is of a channel.
fn take_of<T>(channel: u16, events: &mut VecDeque<(u16, T)>) -> VecDeque<(u16, T)> {
    if events.iter().all(|(of, _)| *of != channel) {
        return VecDeque::new();
    }
    let (own, others) = mem::take(events)
        .into_iter()
        .partition(|(of, _)| *of == channel);
    *events = others;
    own
}

impl Waitable for EventStream {
    type Output = Result<(u16, Event), CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let mut front = self.front.lock();
        loop {
            if let Some(event) = front.pop() {
                return Poll::Ready(Ok(event));
            }
            trim(&mut front.events);
            let mut state = self.state.lock();
            if state.sent.is_empty() {
                if let Some(reason) = state.ended {
                    return Poll::Ready(Err(reason));
                }
                if let Some(ticket) = ticket {
                    state.waiting.register(ticket);
                }
                return Poll::Pending;
            }
            mem::swap(&mut state.sent, &mut front.taken_over);
            drop(state);
            front.open();
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().waiting);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
