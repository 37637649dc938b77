//! [`Pending`], a call whose reply has not come.

use std::sync::Arc;

use super::{
    any_call::Reply,
    arguments::Arguments,
    call::Call,
    request::{Head, Request},
};
use crate::{
    message::payload::Payload, model::error::RpcError, runtime::user_drop::drop_user_value,
    session::connection::Connection,
};

/// A call whose reply has not come.
///
/// # If dropped
/// The caller gives up.
pub(super) struct Pending<A: Payload, R: Payload> {
    call: Arc<Call<A, R>>,
    has_ended: bool,
}

impl<A: Payload, R: Payload> Pending<A, R> {
    pub(super) fn call(&self) -> &Arc<Call<A, R>> {
        &self.call
    }

    /// There is nothing more to wait for.
    pub(super) fn ended(&mut self) {
        self.has_ended = true;
    }

    /// Gives up. Returns a reply that is there already.
    pub(super) fn give_up(&mut self) -> Option<Reply<R>> {
        match std::mem::replace(&mut self.has_ended, true) {
            true => None,
            false => self.call.abandon(),
        }
    }
}

impl<A: Payload, R: Payload> Drop for Pending<A, R> {
    fn drop(&mut self) {
        if let Some(reply) = self.give_up() {
            drop_user_value(reply);
        }
    }
}

/// Makes both sides of a call.
pub(super) fn begin<A: Payload, R: Payload>(
    head: Head,
    arguments: Arguments<A>,
) -> (Pending<A, R>, Request) {
    let call = Arc::new(Call::<A, R>::new(head, arguments));
    let request = Request::new(Arc::clone(&call) as _);
    let pending = Pending {
        call,
        has_ended: false,
    };
    (pending, request)
}

/// The reason why a request is gone without a reply.
#[cold]
pub(super) fn gone(connection: &Connection) -> RpcError {
    match connection.check_open() {
        Ok(()) => RpcError::ServerGone,
        Err(error) => RpcError::Broker(error),
    }
}
