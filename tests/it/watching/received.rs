//! The spans of messages that are received without a worker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_lite::future::block_on;
use leveret::{Broker, Message, Queue, TraceContext};
use tracing::{Event, Metadata, Subscriber, span};

use crate::common::{PATIENCE, SpanFields};

type Fields = BTreeMap<&'static str, String>;

/// Records the spans of leveret.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(&'static str, Fields)>>>);

impl Recorder {
    fn take(&self) -> Vec<(&'static str, Fields)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "leveret"
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut fields = SpanFields::default();
        attributes.record(&mut fields);
        let mut spans = self.0.lock().unwrap();
        spans.push((attributes.metadata().name(), fields.0));
        span::Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn each_form_of_recv_has_a_span_with_the_facts_about_its_message() {
    let broker = Broker::new();
    let queues = [Queue::new("plain"), Queue::quorum("quorum")];
    let auto_ack = [false, true];
    for (queue, auto_ack) in queues.iter().flat_map(|it| auto_ack.map(|ack| (it, ack))) {
        let producer = broker.producer::<u32>(queue).unwrap();
        let builder = broker.consumer_builder::<u32>(queue).traced();
        let builder = if auto_ack {
            builder.auto_ack()
        } else {
            builder
        };
        let consumer = builder.build().unwrap();
        let recorder = Recorder::default();
        let context = TraceContext::new_root();
        for number in 0..7 {
            let message = Message::new(number).message_id(format!("m{number}"));
            let message = message.header("traceparent", context.to_string());
            producer.publish_message(message).unwrap();
        }
        let received = tracing::subscriber::with_default(recorder.clone(), || {
            let mut received = vec![
                consumer.recv().unwrap(),
                consumer.try_recv().unwrap(),
                consumer.recv_timeout(PATIENCE).unwrap(),
                block_on(consumer.recv_async()).unwrap(),
                consumer.iter().next().unwrap().unwrap(),
            ];
            let batch = consumer.recv_batch(2, PATIENCE).unwrap();
            received.extend(batch);
            received
        });
        let spans = recorder.take();
        assert_eq!(spans.len(), 7, "{spans:?}");
        for (number, (name, fields)) in spans.iter().enumerate() {
            assert_eq!(*name, "receive");
            assert_eq!(fields["queue"], queue.name());
            assert_eq!(fields["routing_key"], queue.name());
            assert_eq!(fields["exchange"], "");
            assert_eq!(fields["message_id"], format!("m{number}"));
            assert_eq!(fields["trace_id"], format!("{:032x}", context.trace_id()));
            assert_eq!(fields["parent_id"], format!("{:016x}", context.span_id()));
            assert_ne!(fields["span_id"], fields["parent_id"]);
        }
        for delivery in received {
            assert_eq!(delivery.info().trace_context(), Some(context));
            delivery.ack().unwrap();
        }
    }
}

#[test]
fn a_consumer_that_is_not_traced_opens_no_span() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>("q").unwrap();
    let consumer = broker.consumer::<u32>("q").unwrap();
    producer.publish(7).unwrap();
    let recorder = Recorder::default();
    let delivery = tracing::subscriber::with_default(recorder.clone(), || consumer.recv());
    let delivery = delivery.unwrap();
    assert_eq!(delivery.info().trace_context(), None);
    assert!(recorder.take().is_empty());
    delivery.ack().unwrap();
}
