//! [`Method`], a method without its types.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::{
    Context, ReplySender,
    any_call::{AnyCall, Delivered, Reply},
    arguments::{Arguments, convert},
    call::Call,
    request::Wanted,
};
use crate::{
    message::payload::{Body, Payload},
    model::error::{CodecError, RemoteError, RpcError},
    runtime::{catch_panic::catch_panic_text, contained::Contained, user_drop::drop_user_value},
};

/// A method: it takes the arguments of a call, and replies.
pub(super) enum Method {
    /// It is called.
    Call(Box<CallMethod>),
    /// It returns a future.
    Task(Box<TaskMethod>),
}

pub(super) type CallMethod =
    dyn Fn(&Arc<dyn AnyCall>, Attempt, &Context<'_>) -> Delivered + Send + Sync;
pub(super) type TaskMethod =
    dyn Fn(&Arc<dyn AnyCall>, Attempt, Context<'static>) -> Replying + Send + Sync;

/// Whether there may be another attempt at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// This is the only one, and the arguments are moved.
    Only,
    /// The request was delivered before, so that there may have been one. It is the only one if the
    /// arguments have not been moved.
    Returned,
    /// Another server may need the arguments, so they are copied.
    Repeatable,
}

/// The future of a method, which has replied at its end.
pub(super) type Replying = Pin<Box<dyn Future<Output = Delivered> + Send>>;

impl Method {
    pub(super) fn call<A, R, E>(
        method: impl Fn(A, &Context<'_>) -> Result<R, E> + Send + Sync + 'static,
    ) -> Method
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
    {
        Method::Call(Box::new(move |call, attempt, context| {
            let Some(arguments) = arguments::<A, R>(call, attempt) else {
                return Delivered::NotCalled;
            };
            let reply = arguments.and_then(|arguments| {
                let called = catch_panic_text(|| method(arguments, context).map_err(remote));
                called.unwrap_or_else(panicked)
            });
            match in_time(context, reply) {
                Some(reply) => deliver::<A, R>(call, reply),
                None => Delivered::Unwanted,
            }
        }))
    }

    pub(super) fn task<A, R, E, F>(
        method: impl Fn(A, Context<'static>) -> F + Send + Sync + 'static,
    ) -> Method
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        Method::Task(Box::new(move |call, attempt, context| {
            let call = Arc::clone(call);
            let called = match arguments::<A, R>(&call, attempt) {
                None => return Box::pin(std::future::ready(Delivered::NotCalled)),
                // The call itself may panic as well, before there is a future.
                Some(Ok(arguments)) => catch_panic_text(|| method(arguments, context))
                    .map_err(|text| RpcError::Panicked(text.into())),
                Some(Err(error)) => Err(error),
            };
            Box::pin(async move {
                let reply = match called {
                    Ok(future) => Contained::new(future, ended).await,
                    Err(error) => Err(error),
                };
                deliver::<A, R>(&call, reply)
            })
        }))
    }

    pub(super) fn stream<A, R, E>(
        method: impl Fn(A, &Context<'_>, ReplySender<R>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Method
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
    {
        Method::Call(Box::new(move |call, attempt, context| {
            let Some(arguments) = arguments::<A, R>(call, attempt) else {
                return Delivered::NotCalled;
            };
            let ended = arguments.and_then(|arguments| {
                let sender = ReplySender::new(call, context);
                let called =
                    catch_panic_text(|| method(arguments, context, sender).map_err(remote));
                called.unwrap_or_else(panicked)
            });
            match in_time(context, ended) {
                Some(ended) => end_stream(call, ended),
                None => Delivered::Unwanted,
            }
        }))
    }

    pub(super) fn stream_task<A, R, E, F>(
        method: impl Fn(A, Context<'static>, ReplySender<R>) -> F + Send + Sync + 'static,
    ) -> Method
    where
        A: Payload,
        R: Payload,
        E: fmt::Display + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        Method::Task(Box::new(move |call, attempt, context| {
            let call = Arc::clone(call);
            let sender = ReplySender::new(&call, &context);
            let called = match arguments::<A, R>(&call, attempt) {
                None => return Box::pin(std::future::ready(Delivered::NotCalled)),
                Some(Ok(arguments)) => catch_panic_text(|| method(arguments, context, sender))
                    .map_err(|text| RpcError::Panicked(text.into())),
                Some(Err(error)) => Err(error),
            };
            Box::pin(async move {
                let reply = match called {
                    Ok(future) => Contained::new(future, ended).await,
                    Err(error) => Err(error),
                };
                end_stream(&call, reply)
            })
        }))
    }
}

/// The error of a method. Runs user code.
fn remote<E: fmt::Display + Send + Sync + 'static>(error: E) -> RpcError {
    RpcError::Remote(RemoteError::new(error))
}

/// The reply of a method that is a future, or that has panicked. Runs user code.
fn ended<R, E>(ended: Result<Result<R, E>, String>) -> Reply<R>
where
    E: fmt::Display + Send + Sync + 'static,
{
    match ended {
        Ok(result) => result.map_err(remote),
        Err(panic) => panicked(panic),
    }
}

fn panicked<R>(text: String) -> Reply<R> {
    Err(RpcError::Panicked(text.into()))
}

/// The arguments of a call. `None` if they are taken: the caller has gone, or another server has
/// begun. Runs user code.
fn arguments<A: Payload, R: Payload>(
    call: &Arc<dyn AnyCall>,
    attempt: Attempt,
) -> Option<Result<A, RpcError>> {
    let arguments = match (attempt, call.as_any().downcast_ref::<Call<A, R>>()) {
        (Attempt::Repeatable, _) => call.copy()?.and_then(|octets| octets.decode()),
        (_, Some(call)) => match call.take_typed() {
            Arguments::Value(arguments) => Ok(arguments),
            Arguments::Octets(octets) if attempt == Attempt::Only => octets.decode(),
            Arguments::Octets(_) | Arguments::Taken => return None,
        },
        (_, None) => match call.take() {
            Arguments::Value(body) => convert(body),
            Arguments::Octets(octets) if attempt == Attempt::Only => octets.decode(),
            Arguments::Octets(_) | Arguments::Taken => return None,
        },
    };
    Some(arguments.map_err(RpcError::BadArguments))
}

/// The result of a method that was called, unless its time is over. Its caller is told that by the
/// worker then.
fn in_time<R: Send + 'static>(context: &Context<'_>, reply: Reply<R>) -> Option<Reply<R>> {
    match context.worker().has_result() {
        true => Some(reply),
        false => {
            drop_user_value(reply);
            None
        }
    }
}

fn deliver<A: Payload, R: Payload>(call: &Arc<dyn AnyCall>, reply: Reply<R>) -> Delivered {
    match call.as_any().downcast_ref::<Call<A, R>>() {
        Some(call) => call.reply_typed(reply, true),
        None => call.reply(reply.map(Body::new), true),
    }
}

fn end_stream(call: &Arc<dyn AnyCall>, ended: Reply<()>) -> Delivered {
    match ended {
        // If the caller has a reply, it does not get this.
        Ok(()) if call.head().replies == Wanted::One => {
            let none = CodecError::new("", "the method has streamed no reply");
            call.reply(Err(RpcError::BadReply(none)), true)
        }
        Ok(()) => call.finish(),
        Err(error) => call.reply(Err(error), true),
    }
}
