//! [`AnyCall`], a call as a server sees it, without its types.

use std::{any::Any, sync::Arc, task::Poll, time::Instant};

use super::{
    arguments::{Arguments, Octets},
    foreign::ForeignCall,
    request::Head,
};
use crate::{
    message::payload::{Body, ReplyAddress, ReplyTaker},
    model::error::{CodecError, RpcError},
    runtime::{
        signal::Signal,
        waiter::{Ticket, WaitList},
    },
};

/// A reply, or the reason why there is none.
pub(super) type Reply<R> = Result<R, RpcError>;

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The caller has it.
    Yes,
    /// The caller wants none, or has one already.
    Unwanted,
    /// There is none, since the arguments were taken: the caller has given up, or another server
    /// has begun.
    NotCalled,
    /// The caller has given up.
    Late,
    /// The caller wants none, and the arguments do not decode.
    Undecoded,
}

/// A call without its types, as a server sees it.
pub(super) trait AnyCall: ReplyTaker + Any {
    fn head(&self) -> &Head;

    /// The call, if its caller is a program outside.
    fn as_foreign(&self) -> Option<&ForeignCall> {
        None
    }

    /// From this instant on the method is not called any more, and the caller does not wait.
    #[inline]
    fn deadline(&self) -> Option<Instant> {
        self.head().deadline
    }

    /// The request leaves the process, and its replies come to this address.
    fn leaves(&self, address: Arc<dyn ReplyAddress>);

    /// The call itself, to find out its types.
    fn as_any(&self) -> &dyn Any;

    /// Moves the arguments out, as `take_typed` of a call does.
    fn take(&self) -> Arguments<Body>;

    /// Shows the arguments to `look`, which returns whether they have the type that it wants. If
    /// not, or if they are encoded already, returns their encoding. Runs user code.
    fn show(&self, look: &mut dyn FnMut(&dyn Any) -> bool) -> Option<Octets>;

    /// Copies the arguments, and keeps them for another attempt. Runs user code. `None` if they
    /// are taken.
    fn copy(&self) -> Option<Result<Octets, CodecError>>;

    /// Replies. Runs user code. `is_last` tells whether this server replies no more.
    fn reply(&self, reply: Reply<Body>, is_last: bool) -> Delivered;

    /// One server replies no more.
    fn finish(&self) -> Delivered;

    /// No server has the request any more.
    fn end(&self);

    /// Whether the caller has given up.
    fn is_abandoned(&self) -> bool;

    /// The signal that the caller has given up.
    fn cancelled(&self) -> Arc<Signal>;

    /// Ready if there is room for a reply, with `true`, or if none is wanted any more.
    fn room(&self, ticket: Option<Ticket<'_>>) -> Poll<bool>;

    fn with_senders(&self, f: &mut dyn FnMut(&mut WaitList));
}
