//! Handlers of batches in spans of the crate `tracing`.

use tracing::{Instrument, Span, info_span};

use super::{Batch, BatchHandler, Batches};
use crate::{
    message::payload::Payload,
    patterns::worker::{
        settle::{HandlerError, Verdict},
        traced::tell,
    },
    runtime::catch_panic::catch_panic_text,
};

impl<T: Payload> Batches<T> {
    /// The same handler, in a span for each batch. Each message has an event of its own.
    pub(in super::super) fn traced(mut self) -> Batches<T> {
        self.handler = match self.handler {
            BatchHandler::Call(call) => BatchHandler::Call(Box::new(move |batch| {
                span(batch).in_scope(|| {
                    // The events of a panic belong to the span.
                    let called = catch_panic_text(|| call(batch));
                    told(called.unwrap_or_else(|panic| {
                        vec![Err(HandlerError::panicked(panic)); batch.len()]
                    }))
                })
            })),
            BatchHandler::Task(task) => BatchHandler::Task(Box::new(move |batch| {
                let span = span(&batch);
                let handling = span.in_scope(|| task(batch));
                let handling = async move { told(handling.await) };
                Box::pin(handling.instrument(span))
            })),
        };
        self
    }
}

fn told(verdicts: Vec<Verdict>) -> Vec<Verdict> {
    verdicts.iter().for_each(|verdict| tell(verdict.as_ref()));
    verdicts
}

fn span<T: Payload>(batch: &Batch<'_, T>) -> Span {
    let first = batch.first().map(|message| message.context());
    info_span!(
        target: "leveret",
        "handle",
        worker = first.map(|context| context.worker()),
        queue = first.map(|context| context.info().queue().as_str()),
        messages = batch.len(),
    )
}
