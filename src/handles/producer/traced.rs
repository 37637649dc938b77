//! Publishes in spans of the crate `tracing`.

use std::sync::Arc;

use tracing::{Span, info_span};

use super::{Producer, ProducerBuilder};
use crate::{
    message::{
        envelope::Meta,
        headers::trace_context::{TRACEPARENT, TraceContext},
        payload::Payload,
    },
    model::field_value::FieldValue,
};

impl<T: Payload> ProducerBuilder<T> {
    /// Opens a span of the crate `tracing` for each publish, and writes its
    /// [context](crate::TraceContext) into the header `traceparent` of the message. Needs the
    /// feature `tracing`.
    ///
    /// The span is called `publish`, of the target `leveret` and the level `INFO`. Its fields are
    /// `exchange`, `routing_key`, `trace_id`, `span_id` and `parent_id`, the last only if the
    /// publish belongs to a context. It ends with the publish. A message that has a `traceparent`
    /// of its own keeps it; one that is given back after an error keeps the one that it was given.
    ///
    /// A traced producer publishes without the shortest way. One that is not traced pays nothing.
    ///
    /// [`TraceContext`] has an example.
    pub fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }
}

impl<T: Payload> Producer<T> {
    /// The span of a publish, and the properties of its message with the context of the span.
    #[cold]
    pub(super) fn trace(
        &self,
        meta: Option<Arc<Meta>>,
        key: &str,
    ) -> (Option<Arc<Meta>>, Option<Span>) {
        let parent = TraceContext::current();
        let own = meta
            .as_ref()
            .and_then(|meta| TraceContext::of(&meta.properties));
        let context = match (own, parent) {
            (Some(own), _) => own,
            (None, Some(parent)) => parent.child(),
            (None, None) => TraceContext::new_root(),
        };
        let parent_id = parent.map(|parent| parent.span_id());
        let span = info_span!(
            target: "leveret",
            "publish",
            exchange = self.exchange().as_str(),
            routing_key = key,
            trace_id = format!("{:032x}", context.trace_id()),
            span_id = format!("{:016x}", context.span_id()),
            parent_id = parent_id.map(|id| format!("{id:016x}")),
        );
        let meta = match own {
            Some(_) => meta,
            None => meta.map(|mut meta| {
                let properties = &mut Arc::make_mut(&mut meta).properties;
                let headers = properties.headers.get_or_insert_default();
                headers.insert(TRACEPARENT, FieldValue::from(context.to_string()));
                meta
            }),
        };
        (meta, Some(span))
    }
}
