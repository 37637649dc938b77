//! Handlers in spans of the crate `tracing`.

use tracing::{Instrument, Span, debug, error, field, info_span};

use super::{
    Context,
    handler::Handler,
    settle::{HandlerError, Settle},
};
use crate::{message::payload::Payload, runtime::catch_panic::catch_panic_text};

impl<T: Payload> Handler<T> {
    /// The same handler, in a span for each message.
    pub(super) fn traced(self) -> Handler<T> {
        match self {
            Handler::Call(call) => Handler::Call(Box::new(move |payload, context| {
                span(context).in_scope(|| {
                    // The event of a panic belongs to the span.
                    let called = catch_panic_text(|| call(payload, context));
                    let verdict = called.unwrap_or_else(|panic| Err(HandlerError::panicked(panic)));
                    tell(verdict.as_ref());
                    verdict
                })
            })),
            Handler::Consume(consume) => Handler::Consume(Box::new(move |payload, context| {
                span(context).in_scope(|| {
                    let result = consume(payload, context);
                    tell(result.as_ref().map(|()| &Settle::Ack));
                    result
                })
            })),
            Handler::Task(task) => Handler::Task(Box::new(move |job, context| {
                let span = span(&context);
                let handling = span.in_scope(|| task(job, context));
                let handling = async move {
                    let verdict = handling.await;
                    tell(verdict.as_ref());
                    verdict
                };
                Box::pin(handling.instrument(span))
            })),
            Handler::Batch(batches) => Handler::Batch(batches.traced()),
        }
    }
}

fn span(context: &Context<'_>) -> Span {
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
