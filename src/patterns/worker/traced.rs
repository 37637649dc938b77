//! Handlers in spans of the crate `tracing`.

use std::future::poll_fn;

use tracing::{Instrument, Span, debug, error, field, info_span};

use super::{
    Context,
    handler::Handler,
    settle::{HandlerError, Settle},
};
use crate::{
    message::{headers::trace_context::TraceContext, payload::Payload},
    runtime::catch_panic::catch_panic_text,
};

impl<T: Payload> Handler<T> {
    /// The same handler, in a span for each message.
    pub(super) fn traced(self) -> Handler<T> {
        match self {
            Handler::Call(call) => Handler::Call(Box::new(move |payload, context| {
                let trace = trace(context);
                let run = || {
                    // The event of a panic belongs to the span.
                    let called = catch_panic_text(|| call(payload, context));
                    let verdict = called.unwrap_or_else(|panic| Err(HandlerError::panicked(panic)));
                    tell(verdict.as_ref());
                    verdict
                };
                trace.in_scope(|| span(context, trace).in_scope(run))
            })),
            Handler::Consume(consume) => Handler::Consume(Box::new(move |payload, context| {
                let trace = trace(context);
                let run = || {
                    let result = consume(payload, context);
                    tell(result.as_ref().map(|()| &Settle::Ack));
                    result
                };
                trace.in_scope(|| span(context, trace).in_scope(run))
            })),
            Handler::Task(task) => Handler::Task(Box::new(move |job, context| {
                let trace = trace(&context);
                let span = span(&context, trace);
                let run = || span.in_scope(|| task(job, context));
                let mut handling = trace.in_scope(run);
                let handling = async move {
                    let poll = poll_fn(|cx| trace.in_scope(|| handling.as_mut().poll(cx)));
                    let verdict = poll.await;
                    tell(verdict.as_ref());
                    verdict
                };
                Box::pin(handling.instrument(span))
            })),
            Handler::Batch(batches) => Handler::Batch(batches.traced()),
        }
    }
}

/// The context of the span: a child of that in the message, or the root of a new trace.
fn trace(context: &Context<'_>) -> TraceContext {
    match TraceContext::of(context.properties()) {
        Some(parent) => parent.child(),
        None => TraceContext::new_root(),
    }
}

fn span(context: &Context<'_>, trace: TraceContext) -> Span {
    let parent = TraceContext::of(context.properties());
    let (info, properties) = (context.info(), context.properties());
    info_span!(
        target: "leveret",
        "handle",
        worker = context.worker(),
        queue = info.queue().as_str(),
        exchange = info.exchange().as_str(),
        routing_key = info.routing_key(),
        message_id = properties.message_id.as_deref(),
        delivery_count = context.acquired_count(),
        trace_id = format!("{:032x}", trace.trace_id()),
        span_id = format!("{:016x}", trace.span_id()),
        parent_id = parent.map(|it| format!("{:016x}", it.span_id())),
        request_context = context.request_context().map(field::debug),
    )
}

pub(super) fn tell(verdict: Result<&Settle, &HandlerError>) {
    match verdict {
        Ok(settle) => debug!(target: "leveret", outcome = ?settle, "handled"),
        Err(failed) => error!(
            target: "leveret",
            failure = ?failed.failure(),
            error_type = failed.type_name(),
            error = failed.message(),
            "failed"
        ),
    }
}
