//! The part of a server that handles a request.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde::Serialize;

use super::{
    Context,
    any_call::{AnyCall, Delivered},
    dispatch::{Dispatcher, PING},
    method::{Attempt, Method},
    request::Request,
};
use crate::{
    handles::producer::Producer,
    message::payload::Body,
    model::{bytes::Bytes, descriptions::Exchange, error::RpcError},
    patterns::worker::{self, Job},
    runtime::{
        catch_panic::catch_panic_text,
        signal::Signal,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
        user_drop::drop_user_value,
    },
};

pub(super) type Access = dyn Fn(&Context<'_>) -> bool + Send + Sync;

/// The arguments of a request do not decode, and its caller waits for no reply.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the arguments of the request do not decode")]
pub(super) struct Undecoded;

/// A server without its worker.
pub(super) struct Core {
    pub(super) dispatcher: Dispatcher,
    pub(super) access: Option<Box<Access>>,
    pub(super) at_least_once: bool,
    counts: Counters,
    /// Publishes the replies to programs outside. Made for the first of them.
    replies: OnceLock<Producer<Bytes>>,
}

/// The requests of a server that have not ended in a reply that its caller got.
///
/// Methods that were cut off at their [time limit](super::Endpoint::timeout), and those of them
/// that have ended later, are counts of the [worker](super::ServerReport::worker): `timed_out` and
/// `late`.
///
/// [`ServerReport`](super::ServerReport) has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RpcCounts {
    /// Requests whose caller had gone before the method was called, or whose time was over. The
    /// method was not called.
    pub expired: u64,
    /// Replies whose caller had gone. They were dropped.
    pub late: u64,
    /// Requests for a method or a version that the server does not have, and denied ones.
    pub refused: u64,
}

/// They count what is seldom, so that the threads of a server do not write to one place for each
/// request.
#[derive(Default)]
struct Counters {
    expired: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Core {
    pub(super) fn new(
        dispatcher: Dispatcher,
        access: Option<Box<Access>>,
        at_least_once: bool,
    ) -> Core {
        Core {
            dispatcher,
            access,
            at_least_once,
            counts: Counters::default(),
            replies: OnceLock::new(),
        }
    }

    pub(super) fn counts(&self) -> RpcCounts {
        RpcCounts {
            expired: self.counts.expired.load(Relaxed),
            late: self.counts.late.load(Relaxed),
            refused: self.counts.refused.load(Relaxed),
        }
    }

    /// Handles a request on this thread. All methods are [`Method::Call`].
    ///
    /// # Errors
    /// [`Undecoded`]: the worker rejects the request.
    pub(super) fn handle(
        &self,
        request: &Request,
        worker: &worker::Context<'_>,
    ) -> Result<(), Undecoded> {
        let call = request.call();
        self.connect(request, worker);
        let context = Context::borrowed(worker, call);
        let delivered = match self.admit(call, &context) {
            Some(Method::Call(method)) => method(call, self.attempt(worker), &context),
            Some(Method::Task(_)) | None => Delivered::Unwanted,
        };
        self.end(request, delivered)
    }

    /// Handles a request in a task.
    ///
    /// # Errors
    /// Those of [`handle`](Self::handle).
    ///
    /// # If dropped
    /// The caller is told, unless there is another attempt.
    pub(super) async fn handle_async(
        self: Arc<Self>,
        job: Job<Request>,
        worker: worker::Context<'static>,
    ) -> Result<(), Undecoded> {
        let request: &Request = &job;
        let call = request.call();
        self.connect(request, &worker);
        let method = self.admit(call, &Context::borrowed(&worker, call));
        let delivered = match method {
            Some(Method::Call(method)) => {
                let attempt = self.attempt(&worker);
                method(call, attempt, &Context::borrowed(&worker, call))
            }
            Some(Method::Task(method)) => {
                let attempt = self.attempt(&worker);
                let mut begun = Begun {
                    call,
                    over: worker.over().cloned(),
                    attempt,
                    has_ended: false,
                };
                let context = Context::owned(worker, Arc::clone(call));
                let delivered = method(call, attempt, context).await;
                begun.has_ended = true;
                delivered
            }
            None => Delivered::Unwanted,
        };
        self.end(request, delivered)
    }

    fn attempt(&self, worker: &worker::Context<'_>) -> Attempt {
        match self.at_least_once {
            true => Attempt::Repeatable,
            false if worker.acquired_count() > 0 => Attempt::Returned,
            false => Attempt::Only,
        }
    }

    #[inline]
    fn end(&self, request: &Request, delivered: Delivered) -> Result<(), Undecoded> {
        match delivered {
            Delivered::Yes | Delivered::Unwanted => request.answered(),
            Delivered::Late => count(&self.counts.late),
            Delivered::NotCalled => {
                count(&self.counts.expired);
                // A server has begun with it, and has ended. A caller outside does not see that.
                if request.call().as_foreign().is_some() {
                    request.call().reply(Err(RpcError::ServerGone), true);
                }
            }
            Delivered::Undecoded => return Err(Undecoded),
        }
        Ok(())
    }

    /// Lets a call of a program outside be answered.
    #[inline]
    pub(super) fn connect(&self, request: &Request, worker: &worker::Context<'_>) {
        let Some(call) = request.call().as_foreign() else {
            return;
        };
        if self.replies.get().is_none()
            && let Ok(producer) = worker.connection().producer(Exchange::existing(""))
        {
            // Another thread may be faster.
            let _ = self.replies.set(producer);
        }
        if let Some(producer) = self.replies.get() {
            let limits = self.limits_of(request);
            call.taken_by(worker, producer, limits.and_then(|limits| limits.time));
        }
    }

    /// The method of a request, if it is to be called. If not, the caller is told why.
    fn admit(&self, call: &Arc<dyn AnyCall>, context: &Context<'_>) -> Option<&Method> {
        let head = call.head();
        let deadline = call.deadline();
        if deadline.is_some_and(|deadline| deadline <= context.now()) {
            count(&self.counts.expired);
            call.reply(Err(RpcError::Timeout), true);
            return None;
        }
        let found = match &self.access {
            None => Ok(()),
            Some(access) => self.check(&**access, context),
        };
        match found.and_then(|()| self.dispatcher.find(head)) {
            Ok(method) => Some(method),
            Err(_) if head.method == PING => {
                call.reply(Ok(Body::new(())), true);
                None
            }
            Err(error) => {
                count(&self.counts.refused);
                call.reply(Err(error), true);
                None
            }
        }
    }

    #[cold]
    fn check(&self, access: &Access, context: &Context<'_>) -> Result<(), RpcError> {
        match catch_panic_text(|| access(context)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(RpcError::Denied {
                method: context.method().into(),
            }),
            Err(text) => Err(RpcError::Panicked(text.into())),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        drop_user_value(std::mem::take(&mut self.dispatcher));
        drop_user_value(self.access.take());
    }
}

/// A request whose method runs in a task.
///
/// # If dropped
/// If the method has not ended and is not called again, the caller is told. If its time is over,
/// the worker tells it.
struct Begun<'a> {
    call: &'a Arc<dyn AnyCall>,
    /// Set when the time of the method is over, if it has a limit.
    over: Option<Arc<Signal>>,
    attempt: Attempt,
    has_ended: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let is_over = self.over.as_ref().is_some_and(|over| over.is_set());
        if !self.has_ended && !is_over && self.attempt != Attempt::Repeatable {
            self.call.reply(Err(RpcError::ServerGone), true);
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("dispatcher", &self.dispatcher)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
