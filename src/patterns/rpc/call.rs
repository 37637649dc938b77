//! [`Call`], which a caller and the servers of its request share: the arguments, and the slot for
//! the replies.
//!
//! A call is one allocation. Its caller waits on it, and a server replies into it. So there is no
//! queue for replies, and no list of calls that wait.

use std::{any::Any, mem, sync::Arc, task::Poll, time::Instant};

use super::{
    answer::Answer,
    any_call::{AnyCall, Delivered, Reply},
    arguments::{Arguments, Octets, convert},
    outside::{Outside, Taken},
    request::{Head, Wanted},
    rest::Rest,
};
use crate::{
    message::{
        codec::Codec,
        payload::{Body, Payload, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::error::{CodecError, Error, RpcError},
    runtime::{
        signal::Signal,
        sync::{
            Mutex,
            atomic::{
                AtomicBool,
                Ordering::{Acquire, Release},
            },
        },
        user_drop::drop_user_value,
        waiter::{Ticket, WaitList, Waitable, Wake, spin_until},
    },
};

/// How often a thread looks for its reply before it registers to be woken. A call between two
/// threads that are awake ends meanwhile.
const SPINS: u32 = 64;

/// How many replies may wait for their caller before a stream waits for room. Few in an
/// interleaving test, which would have to send more.
const MOST_WAITING: usize = if cfg!(shuttle) { 1 } else { 256 };

/// One call, with arguments `A` and replies `R`.
///
/// # If dropped
/// Values in it are dropped as user code.
pub(super) struct Call<A: Payload, R: Payload> {
    /// A leaf lock. No user code runs under it.
    state: Mutex<State<A, R>>,
    /// Whether the caller has something to take. It changes under the lock, and may stay `true`.
    is_ready: AtomicBool,
    head: Head,
}

/// It is small, since a server reads it from the memory of another core.
struct State<A, R> {
    arguments: Arguments<A>,
    /// The first of the replies that the caller has not taken.
    first: Option<Reply<R>>,
    /// No reply comes any more.
    has_ended: bool,
    /// The caller has given up.
    is_abandoned: bool,
    /// The servers that have replied to the end.
    finished: usize,
    /// `None` for a call that is answered at once.
    rest: Option<Box<Rest<R>>>,
}

impl<A, R> State<A, R> {
    fn rest(&mut self) -> &mut Rest<R> {
        self.rest.get_or_insert_default()
    }

    /// Claims the caller, if it waits.
    fn wake_caller(&mut self) -> Option<Wake> {
        self.rest.as_mut()?.caller.take_one()
    }

    /// Claims a stream that waits for room.
    fn wake_sender(&mut self) -> Option<Wake> {
        self.rest.as_mut()?.senders.take_one()
    }

    fn outside(&mut self) -> Option<&mut Outside> {
        self.rest.as_mut()?.outside.as_deref_mut()
    }

    fn servers(&self) -> Option<usize> {
        self.rest.as_ref()?.servers
    }

    /// Whether every server that has the request has replied to the end.
    fn all_finished(&self) -> bool {
        let servers = self.servers();
        servers.is_some_and(|servers| self.finished >= servers)
    }
}

impl<A: Payload, R: Payload> Call<A, R> {
    pub(super) fn new(head: Head, arguments: Arguments<A>) -> Call<A, R> {
        Call {
            state: Mutex::new(State {
                arguments,
                first: None,
                has_ended: false,
                is_abandoned: false,
                finished: 0,
                rest: None,
            }),
            is_ready: AtomicBool::new(false),
            head,
        }
    }

    /// Moves the arguments out. Octets stay, since several servers may share them.
    pub(super) fn take_typed(&self) -> Arguments<A> {
        let arguments = &mut self.state.lock().arguments;
        match arguments {
            Arguments::Octets(octets) => Arguments::Octets(octets.clone()),
            arguments => mem::replace(arguments, Arguments::Taken),
        }
    }

    /// Replies. A reply that its caller does not get is dropped as user code.
    pub(super) fn reply_typed(&self, reply: Reply<R>, is_last: bool) -> Delivered {
        let mut dropped = Some(reply);
        let (delivered, wake) = {
            let mut state = self.state.lock();
            state.finished += usize::from(is_last);
            let delivered = match self.head.replies {
                _ if state.is_abandoned => Delivered::Late,
                Wanted::None => Delivered::Unwanted,
                Wanted::One if state.has_ended => Delivered::Unwanted,
                Wanted::One | Wanted::Many => Delivered::Yes,
            };
            state.has_ended |= self.head.replies == Wanted::One;
            let mut wake = None;
            if delivered == Delivered::Yes {
                match state.first.is_none() {
                    true => state.first = dropped.take(),
                    false => state.rest().others.extend(dropped.take()),
                }
                self.is_ready.store(true, Release);
                wake = state.wake_caller();
            }
            (delivered, wake)
        };
        if let Some(wake) = wake {
            wake.wake();
        }
        if let Some(reply) = dropped {
            drop_user_value(reply);
        }
        delivered
    }

    /// Waits a moment for a reply. A thread does it before it sleeps.
    pub(super) fn spin_for_reply(&self) {
        if !cfg!(shuttle) {
            spin_until(SPINS, || self.is_ready.load(Acquire));
        }
    }

    /// The caller gives up. Servers that have not begun do not begin, and the others are told.
    /// Returns a reply that is there already. So a reply that its server in this process does
    /// not count as late reaches its caller.
    pub(super) fn abandon(&self) -> Option<Reply<R>> {
        let (arguments, first, rest, answer) = {
            let mut state = self.state.lock();
            state.is_abandoned = true;
            let arguments = mem::replace(&mut state.arguments, Arguments::Taken);
            let first = state.first.take();
            let answer = match first {
                Some(_) => None,
                None => state.outside().and_then(Outside::next),
            };
            let rest = state.rest.as_mut().map(|rest| rest.take_given());
            (arguments, first, rest, answer)
        };
        if let Some(rest) = rest {
            rest.give_up();
        }
        if let Arguments::Value(arguments) = arguments {
            drop_user_value(arguments);
        }
        first.or_else(|| answer.map(|(answer, _)| answer.open(&self.head)))
    }

    /// Decodes a reply from outside, and lets its server send more. Runs user code.
    #[cold]
    fn open(&self, answer: Answer, address: &dyn ReplyAddress) -> Reply<R> {
        if let Some((stream, credit)) = answer.credit() {
            stream.give(address, credit);
        }
        answer.open(&self.head)
    }

    /// The request has reached this number of servers.
    pub(super) fn reached(&self, servers: usize) {
        self.state.lock().rest().servers = Some(servers);
    }

    /// The number of servers that have the request and have not replied to the end.
    pub(super) fn missing(&self) -> usize {
        let state = self.state.lock();
        let servers = state.servers().unwrap_or(state.finished);
        servers.saturating_sub(state.finished)
    }
}

/// Arguments that are looked at outside of the lock of their call.
///
/// # If dropped
/// They return to their call. If the caller has gone, they are dropped.
struct Lent<'a, A: Payload, R: Payload> {
    call: &'a Call<A, R>,
    arguments: Option<A>,
}

impl<A: Payload, R: Payload> Drop for Lent<'_, A, R> {
    fn drop(&mut self) {
        let Some(arguments) = self.arguments.take() else {
            return;
        };
        let late = {
            let mut state = self.call.state.lock();
            match state.is_abandoned {
                true => Some(arguments),
                false => {
                    state.arguments = Arguments::Value(arguments);
                    None
                }
            }
        };
        if let Some(arguments) = late {
            drop_user_value(arguments);
        }
    }
}

impl<A: Payload, R: Payload> Drop for Call<A, R> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Arguments::Value(arguments) = mem::replace(&mut state.arguments, Arguments::Taken) {
            drop_user_value(arguments);
        }
        if let Some(reply) = state.first.take() {
            drop_user_value(reply);
        }
        if let Some(rest) = state.rest.take() {
            rest.others.into_iter().for_each(drop_user_value);
        }
    }
}

/// Takes replies from outside of the process. One to another request is dropped, as one that is
/// late.
impl<A: Payload, R: Payload> ReplyTaker for Call<A, R> {
    fn take_reply(&self, at: Instant, properties: &Properties, body: &Body, writer: &dyn Codec) {
        // The caller may not have looked at its clock yet, and the server may not know either.
        if self.head.deadline.is_some_and(|deadline| deadline <= at) {
            return;
        }
        let answer = Answer::new(properties, body, writer);
        let is_one = self.head.replies == Wanted::One;
        let is_last = is_one || answer.is_last();
        let (wake, streams) = {
            let mut state = self.state.lock();
            if state.is_abandoned || state.has_ended {
                return;
            }
            let Some(outside) = state.outside() else {
                return;
            };
            let streams = match outside.take(answer, is_last) {
                Taken::No => return,
                Taken::Yes => None,
                Taken::TooMany(streams) => Some(streams),
            };
            state.has_ended |= is_one || streams.is_some();
            state.finished += usize::from(is_last || streams.is_some());
            self.is_ready.store(true, Release);
            (state.wake_caller(), streams)
        };
        if let Some(wake) = wake {
            wake.wake();
        }
        if let Some(streams) = streams {
            streams.give_up();
        }
    }

    /// The caller is told after the replies that have come. Nothing is lost if those are all.
    fn no_reply(&self, error: Error) {
        let wake = {
            let mut state = self.state.lock();
            if state.is_abandoned || state.has_ended || state.all_finished() {
                return;
            }
            if let Some(outside) = state.outside() {
                outside.lose(error);
            }
            state.finished += 1;
            state.has_ended = true;
            self.is_ready.store(true, Release);
            state.wake_caller()
        };
        if let Some(wake) = wake {
            wake.wake();
        }
    }
}

impl<A: Payload, R: Payload> AnyCall for Call<A, R> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn leaves(&self, address: Arc<dyn ReplyAddress>) {
        let outside = Box::new(Outside::new(address));
        let previous = self.state.lock().rest().outside.replace(outside);
        drop(previous);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn take(&self) -> Arguments<Body> {
        match self.take_typed() {
            Arguments::Value(arguments) => Arguments::Value(Body::new(arguments)),
            Arguments::Octets(octets) => Arguments::Octets(octets),
            Arguments::Taken => Arguments::Taken,
        }
    }

    fn show(&self, look: &mut dyn FnMut(&dyn Any) -> bool) -> Option<Octets> {
        let arguments = match self.take_typed() {
            Arguments::Value(arguments) => Some(arguments),
            Arguments::Octets(octets) => return Some(octets),
            Arguments::Taken => return None,
        };
        let mut lent = Lent {
            call: self,
            arguments,
        };
        if look(lent.arguments.as_ref()?) {
            return None;
        }
        let body = Body::new(lent.arguments.take()?);
        let octets = Octets::encode(&body);
        // It is the value, and no one else has a handle to it.
        lent.arguments = body.into_inner().ok().and_then(Result::ok);
        octets.ok()
    }

    fn copy(&self) -> Option<Result<Octets, CodecError>> {
        let octets = match self.take() {
            Arguments::Value(body) => match Octets::encode(&body) {
                Ok(octets) => octets,
                Err(error) => return Some(Err(error)),
            },
            Arguments::Octets(octets) => octets,
            Arguments::Taken => return None,
        };
        let mut state = self.state.lock();
        if !state.is_abandoned {
            state.arguments = Arguments::Octets(octets.clone());
        }
        Some(Ok(octets))
    }

    fn reply(&self, reply: Reply<Body>, is_last: bool) -> Delivered {
        let reply = match reply {
            Ok(body) if self.head.replies == Wanted::None => {
                drop(body);
                Err(RpcError::ServerGone)
            }
            Ok(body) => convert(body).map_err(RpcError::BadReply),
            Err(error) => Err(error),
        };
        self.reply_typed(reply, is_last)
    }

    fn finish(&self) -> Delivered {
        let (is_late, wake) = {
            let mut state = self.state.lock();
            state.finished += 1;
            self.is_ready.store(true, Release);
            (state.is_abandoned, state.wake_caller())
        };
        if let Some(wake) = wake {
            wake.wake();
        }
        match is_late {
            true => Delivered::Late,
            false => Delivered::Yes,
        }
    }

    fn end(&self) {
        let wake = {
            let mut state = self.state.lock();
            state.has_ended = true;
            self.is_ready.store(true, Release);
            state.wake_caller()
        };
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.state.lock().is_abandoned
    }

    fn cancelled(&self) -> Arc<Signal> {
        let (signal, is_abandoned) = {
            let mut state = self.state.lock();
            let signal = Arc::clone(state.rest().cancelled.get_or_insert_default());
            (signal, state.is_abandoned)
        };
        if is_abandoned {
            signal.set();
        }
        signal
    }

    fn room(&self, ticket: Option<Ticket<'_>>) -> Poll<bool> {
        let mut state = self.state.lock();
        let has_reply = self.head.replies == Wanted::One && state.has_ended;
        if state.is_abandoned || has_reply {
            return Poll::Ready(false);
        }
        let waiting = state.rest.as_ref().map_or(0, |rest| rest.others.len());
        if self.head.replies == Wanted::None || waiting < MOST_WAITING {
            return Poll::Ready(true);
        }
        if let Some(ticket) = ticket {
            state.rest().senders.register(ticket);
        }
        Poll::Pending
    }

    fn with_senders(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().rest().senders);
    }
}

/// The caller waits for a reply. `None` if no more replies come.
impl<A: Payload, R: Payload> Waitable for Call<A, R> {
    type Output = Option<Reply<R>>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<Reply<R>>> {
        let (reply, sender) = {
            let mut state = self.state.lock();
            let Some(reply) = state.first.take() else {
                if let Some((answer, address)) = state.outside().and_then(Outside::next) {
                    drop(state);
                    return Poll::Ready(Some(self.open(answer, &*address)));
                }
                if state.has_ended || state.all_finished() {
                    return Poll::Ready(None);
                }
                if let Some(ticket) = ticket {
                    state.rest().caller.register(ticket);
                }
                return Poll::Pending;
            };
            if let Some(rest) = &mut state.rest {
                state.first = rest.others.pop_front();
            }
            (reply, state.wake_sender())
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        Poll::Ready(Some(reply))
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().rest().caller);
    }
}
