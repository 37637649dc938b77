//! [`Replies`], the replies of several servers, or of a stream.

use std::{fmt, sync::Arc, task::Poll, time::Instant};

use futures_util::future::{Either, select};

use super::{
    any_call::{AnyCall, Reply},
    call::Call,
    pending::{Pending, gone},
};
use crate::{
    message::payload::Payload,
    model::error::RpcError,
    runtime::waiter::{self, Ticket, WaitList, Waitable, Waiting},
    session::connection::Connection,
};

/// The replies of several servers ([`Client::scatter`](super::Client::scatter)), or of a stream
/// ([`Client::call_stream`](super::Client::call_stream)). It is an iterator, which waits for each
/// reply.
///
/// # If dropped
/// The caller gives up. Methods that still run see that.
#[must_use = "dropping the replies gives up on them"]
pub struct Replies<R: Payload> {
    connection: Connection,
    source: Arc<dyn Source<R>>,
    deadline: Option<Instant>,
    /// The servers that have ended without a reply and were not reported yet. `None` before the
    /// end.
    missing: Option<usize>,
    /// The time is over, and is to be reported.
    is_over: bool,
    has_ended: bool,
}

/// A pending call without the type of its arguments.
trait Source<R>: Send + Sync {
    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<Reply<R>>>;

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList));

    fn missing(&self) -> usize;

    /// Gives up. Returns a reply that is there already.
    fn give_up(&self) -> Option<Reply<R>>;
}

impl<A: Payload, R: Payload> Source<R> for Pending<A, R> {
    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<Reply<R>>> {
        Waitable::attempt(&**self.call(), ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        Waitable::with_waiters(&**self.call(), f);
    }

    fn missing(&self) -> usize {
        Call::missing(self.call())
    }

    fn give_up(&self) -> Option<Reply<R>> {
        self.call().abandon()
    }
}

impl<R> Waitable for dyn Source<R> {
    type Output = Option<Reply<R>>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<Reply<R>>> {
        Source::attempt(self, ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        Source::with_waiters(self, f);
    }
}

impl<R: Payload> Replies<R> {
    pub(super) fn new<A: Payload>(connection: Connection, pending: Pending<A, R>) -> Replies<R> {
        Replies {
            connection,
            deadline: pending.call().head().deadline,
            source: Arc::new(pending),
            missing: None,
            is_over: false,
            has_ended: false,
        }
    }

    /// Waits for the next reply, for a task. `None` at the end.
    ///
    /// # If dropped
    /// No reply is lost.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let endpoint = Endpoint::new().stream_async("squares", |to: u32, _, replies| async move {
    ///     for number in 1..=to {
    ///         replies.send_async(number * number).await?;
    ///     }
    ///     Ok::<(), leveret::rpc::CallerGone>(())
    /// });
    /// let server = Server::new(&broker, Target::topic("numbers")).endpoint(endpoint).spawn()?;
    /// let client = Client::new(&broker, Target::topic("numbers"));
    /// let mut sum = 0;
    /// let mut squares = client.call_stream::<u32>("squares", 3_u32)?;
    /// futures_lite::future::block_on(async {
    ///     while let Some(square) = squares.next_async().await {
    ///         sum += square?;
    ///     }
    ///     Ok::<(), leveret::rpc::RpcError>(())
    /// })?;
    /// assert_eq!(sum, 1 + 4 + 9);
    /// # drop(server);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub async fn next_async(&mut self) -> Option<Result<R, RpcError>> {
        if let Some(end) = self.end() {
            return end;
        }
        let reply = Waiting::new(Arc::clone(&self.source));
        let waited = match self.deadline {
            None => Some(reply.await),
            Some(deadline) => match select(reply, self.connection.until(deadline)).await {
                Either::Left((reply, _)) => Some(reply),
                Either::Right(_) => None,
            },
        };
        self.after(waited)
    }

    /// The item after the last reply. `None` if that has not come.
    fn end(&mut self) -> Option<Option<Reply<R>>> {
        match self.is_over || self.has_ended || self.missing.is_some() {
            true => Some(self.after(Some(None))),
            false => None,
        }
    }

    /// The reply after a wait. `None` means that the time is over, and an inner `None` that no more
    /// replies come.
    fn after(&mut self, waited: Option<Option<Reply<R>>>) -> Option<Reply<R>> {
        match waited {
            _ if self.has_ended => None,
            _ if self.is_over => {
                self.has_ended = true;
                Some(Err(RpcError::Timeout))
            }
            Some(Some(reply)) => Some(reply),
            None => {
                self.is_over = true;
                self.source.give_up().or_else(|| self.after(None))
            }
            Some(None) => {
                let missing = match self.missing {
                    Some(missing) => missing,
                    None => self.source.missing(),
                };
                self.missing = Some(missing.saturating_sub(1));
                if missing == 0 {
                    self.has_ended = true;
                    return None;
                }
                Some(Err(gone(&self.connection)))
            }
        }
    }
}

impl<R: Payload> Iterator for Replies<R> {
    type Item = Result<R, RpcError>;

    fn next(&mut self) -> Option<Result<R, RpcError>> {
        if let Some(end) = self.end() {
            return end;
        }
        let deadline = self.deadline.map(|at| self.connection.time().until(at));
        let waited = waiter::wait(&self.source, deadline);
        self.after(waited)
    }
}

impl<R: Payload> fmt::Debug for Replies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("missing", &self.missing)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
