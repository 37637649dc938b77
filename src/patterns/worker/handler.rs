//! The handlers of a worker, without their types.

use std::{
    future::Future,
    pin::Pin,
    task::{self, Poll, ready},
};

use super::{
    Context, Job,
    settle::{HandlerError, HandlerResult, Verdict},
};
use crate::{
    message::payload::Payload,
    runtime::catch_panic::{catch_panic, catch_panic_text},
};

/// A handler.
pub(super) enum Handler<T: Payload> {
    /// It is called with a borrowed payload.
    Call(Box<Call<T>>),
    /// It is called with the payload itself.
    Consume(Box<Consume<T>>),
    /// It returns a future.
    Task(Box<Task<T>>),
}

/// It may panic.
pub(super) type Call<T> = dyn Fn(&T, &Context<'_>) -> Verdict + Send + Sync;
/// It returns no settlement, since the message cannot return.
pub(super) type Consume<T> = dyn Fn(T, &Context<'_>) -> Result<(), HandlerError> + Send + Sync;
pub(super) type Task<T> = dyn Fn(Job<T>, Context<'static>) -> Handling + Send + Sync;
pub(super) type Handling = Pin<Box<dyn Future<Output = Verdict> + Send>>;

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
            // The call itself may panic as well, before there is a future.
            let called = catch_panic_text(|| handler(job, context));
            match called {
                Ok(handling) => Box::pin(Contained(Some(Box::pin(handling)))),
                Err(panic) => Box::pin(std::future::ready(Err(HandlerError::panicked(panic)))),
            }
        }))
    }
}

/// Reads the result of a handler. Runs user code, since the text of an error does.
fn verdict<R: HandlerResult>(result: R) -> Verdict {
    result.into_result().map(Into::into)
}

/// The future of a handler. A panic is its failure. The future is dropped before the result is
/// there, and as user code.
struct Contained<R>(Option<Pin<Box<R>>>);

impl<R: Future<Output: HandlerResult>> Future for Contained<R> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Verdict> {
        let polled = catch_panic_text(|| {
            let future = self.0.as_mut();
            future.map(|future| future.as_mut().poll(context).map(verdict))
        });
        let verdict = match polled {
            Ok(Some(polled)) => ready!(polled),
            // It is not polled again after its end.
            Ok(None) => return Poll::Pending,
            Err(panic) => Err(HandlerError::panicked(panic)),
        };
        catch_panic(|| drop(self.0.take()));
        Poll::Ready(verdict)
    }
}

impl<R> Drop for Contained<R> {
    fn drop(&mut self) {
        catch_panic(|| drop(self.0.take()));
    }
}
