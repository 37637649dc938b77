//! Received messages in spans of the crate `tracing`.

use tracing::info_span;

use super::{delivery_info::DeliveryInfo, unacked::DeliveryOrigin};
use crate::message::{envelope::Envelope, headers::trace_context::TraceContext};

impl DeliveryOrigin {
    /// Opens and ends the span of a message, if the consumer is traced. The subscriber of the spans
    /// is user code, so this must be called without any lock held.
    #[inline]
    pub(super) fn show_trace(&self, envelope: &Envelope) {
        if let Some((_, credit)) = &self.consumer
            && credit.is_traced()
        {
            self.trace(envelope);
        }
    }

    #[cold]
    #[inline(never)]
    fn trace(&self, envelope: &Envelope) {
        let properties = envelope.properties();
        let parent = TraceContext::of(properties);
        let own = match parent {
            Some(parent) => parent.child(),
            None => TraceContext::new_root(),
        };
        let span = info_span!(
            target: "leveret",
            "receive",
            queue = self.queue.name().as_str(),
            exchange = self.exchange(envelope.origin()).as_str(),
            routing_key = envelope.routing_key(),
            message_id = properties.message_id.as_deref(),
            trace_id = format!("{:032x}", own.trace_id()),
            span_id = format!("{:016x}", own.span_id()),
            parent_id = parent.map(|it| format!("{:016x}", it.span_id())),
        );
        span.in_scope(|| ());
    }
}

impl DeliveryInfo {
    /// The context of the trace that the message carries in its header `traceparent`. `None` if
    /// there is no valid one. Needs the feature `tracing`.
    ///
    /// # Source
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context/), level 1.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, TraceContext};
    ///
    /// let broker = Broker::new();
    /// let producer = broker.producer_builder::<u32>("q").traced().build()?;
    /// let consumer = broker.consumer_builder::<u32>("q").traced().build()?;
    /// let request = TraceContext::new_root();
    /// request.in_scope(|| producer.publish(7))?;
    ///
    /// let delivery = consumer.recv()?; // a subscriber sees the span "receive"
    /// let carried = delivery.info().trace_context().expect("the publish is traced");
    /// assert_eq!(carried.trace_id(), request.trace_id());
    /// // The messages that the work publishes belong to the same trace.
    /// carried.child().in_scope(|| producer.publish(8))?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of(self.properties())
    }
}
