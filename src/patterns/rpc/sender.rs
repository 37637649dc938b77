//! [`ReplySender`], by which a method streams its replies.

use std::{fmt, marker::PhantomData, sync::Arc, task::Poll};

use super::{
    Context,
    any_call::{AnyCall, Delivered},
};
use crate::{
    message::payload::{Body, Payload},
    runtime::{
        signal::Signal,
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
    replies: PhantomData<fn(R)>,
}

/// The error of a reply whose caller has gone. A method may return it by `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller has gone")]
pub struct CallerGone;

impl<R: Payload> ReplySender<R> {
    pub(super) fn new(call: &Arc<dyn AnyCall>, context: &Context<'_>) -> ReplySender<R> {
        ReplySender {
            call: Arc::clone(call),
            over: context.worker().over().cloned(),
            replies: PhantomData,
        }
    }

    /// Sends one reply. Waits while 256 replies have not been taken by the caller.
    ///
    /// # Errors
    /// [`CallerGone`] if the caller waits no more: it has gone, it has called for one reply and has
    /// it, or the [time](super::Endpoint::timeout) of the method is over. The reply is dropped.
    pub fn send(&self, reply: R) -> Result<(), CallerGone> {
        let is_wanted = waiter::wait(&Room(&self.call), None);
        self.deliver(reply, is_wanted.unwrap_or(false))
    }

    /// Same as [`send`](Self::send), for a task.
    ///
    /// # If dropped
    /// The reply is not sent.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_async(&self, reply: R) -> Result<(), CallerGone> {
        let is_wanted = Waiting::new(Room(&self.call)).await;
        self.deliver(reply, is_wanted)
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
