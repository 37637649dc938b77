//! The handlers of a worker, without their types.

use std::{future::Future, pin::Pin};

use super::{
    Context, Job,
    batch::Batches,
    settle::{HandlerError, HandlerResult, Verdict},
};
use crate::{
    message::payload::Payload,
    runtime::{catch_panic::catch_panic_text, contained::Contained},
};

/// A handler.
pub(super) enum Handler<T: Payload> {
    /// It is called with a borrowed payload.
    Call(Box<Call<T>>),
    /// It is called with the payload itself.
    Consume(Box<Consume<T>>),
    /// It returns a future.
    Task(Box<Task<T>>),
    /// It handles many messages at once.
    Batch(Batches<T>),
}

/// It may panic.
pub(super) type Call<T> = dyn Fn(&T, &Context<'_>) -> Verdict + Send + Sync;
/// It returns no settlement, since the message cannot return.
pub(super) type Consume<T> = dyn Fn(T, &Context<'_>) -> Result<(), HandlerError> + Send + Sync;
pub(super) type Task<T> = dyn Fn(Job<T>, Context<'static>) -> Handling + Send + Sync;
/// The future of a handler.
pub(super) type Handling<V = Verdict> = Pin<Box<dyn Future<Output = V> + Send>>;

impl<T: Payload> Handler<T> {
    pub(super) fn call<F, R>(handler: F) -> Handler<T>
    where
        F: Fn(&T, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult,
    {
        Handler::Call(Box::new(move |payload, context| {
            verdict(handler(payload, context))
        }))
    }

    pub(super) fn consume<F, R>(handler: F) -> Handler<T>
    where
        F: Fn(T, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult<Settle = ()>,
    {
        Handler::Consume(Box::new(move |payload, context| {
            let handled = catch_panic_text(|| handler(payload, context).into_result());
            handled.unwrap_or_else(|panic| Err(HandlerError::panicked(panic)))
        }))
    }

    pub(super) fn task<F, R>(handler: F) -> Handler<T>
    where
        F: Fn(Job<T>, Context<'static>) -> R + Send + Sync + 'static,
        R: Future<Output: HandlerResult> + Send + 'static,
    {
        Handler::Task(Box::new(move |job, context| {
            contained(|| handler(job, context), |ended| ended.and_then(verdict))
        }))
    }
}

/// Reads the result of a handler. Runs user code, since the text of an error does.
fn verdict<R: HandlerResult>(result: R) -> Verdict {
    result.into_result().map(Into::into)
}

/// Makes the future of a handler. A panic is its failure, also one of the call before there is a
/// future. `read` turns the result, or the failure, into verdicts. It may panic about a result.
pub(super) fn contained<F, V>(
    call: impl FnOnce() -> F,
    read: impl Fn(Result<F::Output, HandlerError>) -> V + Send + Unpin + 'static,
) -> Handling<V>
where
    F: Future + Send + 'static,
    V: Send + 'static,
{
    match catch_panic_text(call) {
        Ok(handling) => Box::pin(Contained::new(
            handling,
            move |ended: Result<F::Output, String>| read(ended.map_err(HandlerError::panicked)),
        )),
        Err(panic) => {
            let failed = read(Err(HandlerError::panicked(panic)));
            Box::pin(std::future::ready(failed))
        }
    }
}
