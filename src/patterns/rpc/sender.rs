//! [`ReplySender`], by which a method streams its replies.

use std::{fmt, marker::PhantomData, pin::pin, sync::Arc, task::Poll};

use futures_util::future::{Either, select};

use super::{
    Context,
    any_call::{AnyCall, Delivered},
};
use crate::{
    message::payload::{Body, Payload},
    patterns::worker::StopSignal,
    runtime::{
        signal::Signal,
        time_out::Alarm,
        waiter::{self, Ticket, WaitList, Waitable, Waiting},
    },
};

/// Sends the replies of a [streaming method](super::Endpoint::stream) to its caller.
///
/// # If dropped
/// Nothing happens. The stream ends when the method does.
///
/// [`Endpoint::stream`](super::Endpoint::stream) has an example.
pub struct ReplySender<R> {
    call: Arc<dyn AnyCall>,
    /// Set when the time of the method is over, if it has a limit.
    over: Option<Arc<Signal>>,
    /// Ends a wait for room. `None` if only the caller does.
    stop: Option<StopSignal>,
    replies: PhantomData<fn(R)>,
}

/// The error of a reply whose caller has gone. A method may return it by `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller has gone")]
pub struct CallerGone;

impl<R: Payload> ReplySender<R> {
    pub(super) fn new(call: &Arc<dyn AnyCall>, context: &Context<'_>) -> ReplySender<R> {
        let over = context.worker().over();
        let time = context.connection().time();
        let stop = match call.as_foreign() {
            Some(_) => Some(context.worker().stop_signal()),
            // The end of a caller in this process is known.
            None => over.map(|over| StopSignal::only(over, time)),
        };
        ReplySender {
            call: Arc::clone(call),
            over: over.cloned(),
            stop,
            replies: PhantomData,
        }
    }

    /// Sends one reply. Waits while 256 replies have not been taken by the caller.
    ///
    /// A caller in another process may end without a word. So the wait also ends when the server is
    /// stopped. If neither the request nor the method has a time limit, it ends after five minutes
    /// in which the caller has taken nothing.
    ///
    /// # Errors
    /// [`CallerGone`] if the caller waits no more: it has gone, it has called for one reply and has
    /// it, or the [time](super::Endpoint::timeout) of the method is over. The reply is dropped.
    pub fn send(&self, reply: R) -> Result<(), CallerGone> {
        let is_wanted = match (self.call.room(None), &self.stop) {
            (Poll::Ready(is_wanted), _) => is_wanted,
            (Poll::Pending, None) => waiter::wait(&Room(&self.call), None).unwrap_or(false),
            (Poll::Pending, Some(stop)) => {
                let _limit = self.limit_silence();
                stop.or_wait(&Room(&self.call)).unwrap_or(false)
            }
        };
        self.deliver(reply, is_wanted)
    }

    /// Same as [`send`](Self::send), for a task.
    ///
    /// # If dropped
    /// The reply is not sent.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_async(&self, reply: R) -> Result<(), CallerGone> {
        let is_wanted = match (self.call.room(None), &self.stop) {
            (Poll::Ready(is_wanted), _) => is_wanted,
            (Poll::Pending, None) => Waiting::new(Room(&self.call)).await,
            (Poll::Pending, Some(stop)) => {
                let _limit = self.limit_silence();
                let stopped = pin!(stop.wait_async());
                match select(Waiting::new(Room(&self.call)), stopped).await {
                    Either::Left((is_wanted, _)) => is_wanted,
                    Either::Right(_) => false,
                }
            }
        };
        self.deliver(reply, is_wanted)
    }

    fn limit_silence(&self) -> Option<Alarm<'_>> {
        self.call.as_foreign()?.limit_silence()
    }

    fn deliver(&self, reply: R, is_wanted: bool) -> Result<(), CallerGone> {
        let body = Body::new(reply);
        let is_over = self.over.as_ref().is_some_and(|over| over.is_set());
        let is_wanted = is_wanted && !is_over;
        match is_wanted && self.call.reply(Ok(body), false) != Delivered::Late {
            true => Ok(()),
            false => Err(CallerGone),
        }
    }
}

/// Waits for room for a reply. The output tells whether one is wanted.
struct Room<'a>(&'a Arc<dyn AnyCall>);

impl Waitable for Room<'_> {
    type Output = bool;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<bool> {
        self.0.room(ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.0.with_senders(f);
    }
}

impl<R> fmt::Debug for ReplySender<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplySender")
            .field("head", self.call.head())
            .finish_non_exhaustive()
    }
}
