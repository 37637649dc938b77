//! [`Limits`] of the methods of an endpoint, and how the worker of a server keeps them.

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    request::{Request, Wanted},
};
use crate::{
    model::error::RpcError,
    patterns::{
        middleware::ConcurrencyLimit,
        worker::{Before, Context, Failure, HandlerError, Middleware, Outcome, Settle},
    },
};

/// The limits of a method.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// The longest time of a call.
    pub(super) time: Option<Duration>,
    /// The calls at the same time.
    pub(super) concurrency: Option<ConcurrencyLimit>,
}

/// Lets requests wait for the limits of their methods.
pub(super) struct Limiter(pub(super) Arc<Core>);

impl Limiter {
    fn limit_of(&self, context: &Context<'_>) -> Option<&ConcurrencyLimit> {
        let limits = self.0.limits_of(request_of(context)?)?;
        limits.concurrency.as_ref()
    }
}

impl Middleware for Limiter {
    fn before(&self, context: &Context<'_>) -> Before {
        let limit = self.limit_of(context);
        limit.map_or(Before::Go, |limit| limit.before(context))
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        if let Some(limit) = self.limit_of(context) {
            limit.after(context, outcome);
        }
    }
}

fn request_of<'a>(context: &'a Context<'_>) -> Option<&'a Request> {
    context.info().payload()
}

impl Core {
    /// The limits of the method of a request. `None` if it has no such method.
    pub(super) fn limits_of(&self, request: &Request) -> Option<&Limits> {
        self.dispatcher.limits(request.call().head())
    }

    /// Tells the caller of a request that its method was cut off, or that its key or its limit has
    /// panicked. The other failures are replies of the method.
    pub(super) fn failed(&self, error: &HandlerError, context: &Context<'_>) -> Settle {
        let Some(request) = request_of(context) else {
            return Settle::Reject;
        };
        let call = request.call();
        if call.as_foreign().is_some() && call.head().replies == Wanted::None {
            return Settle::Reject;
        }
        self.connect(request, context);
        let limits = self.limits_of(request);
        let limit = limits.and_then(|limits| limits.time);
        let reply = match (error.failure(), limit) {
            (Failure::TimedOut, Some(limit)) => RpcError::MethodTimeout {
                method: request.call().head().method.as_ref().into(),
                limit,
            },
            _ => RpcError::Panicked(error.message().into()),
        };
        request.call().reply(Err(reply), true);
        request.answered();
        Settle::Ack
    }
}
