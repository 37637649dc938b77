//! Traces that go from a producer through a worker to the next one.

use std::sync::mpsc;

use leveret::{Broker, FieldValue, Message, TraceContext};

const REQUEST: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn header(delivery: &leveret::Delivery<u32>) -> Option<TraceContext> {
    let headers = delivery.info().properties().headers.as_ref()?;
    headers.get("traceparent")?.as_str()?.parse().ok()
}

#[test]
fn a_trace_goes_through_two_stages_of_workers() {
    let broker = Broker::new();
    let producer = |queue: &str| {
        broker
            .producer_builder::<u32>(queue)
            .traced()
            .build()
            .unwrap()
    };
    let (first, second) = (producer("first"), producer("second"));
    let (contexts, seen) = mpsc::channel();
    let sent = contexts.clone();
    let stage = broker
        .worker::<u32>("first")
        .traced()
        .handler(move |number, context| {
            sent.send(TraceContext::current()).unwrap();
            context
                .producer(&second)
                .publish(*number)
                .map(drop)
                .map_err(|error| error.to_string())
        });
    let last = broker.worker::<u32>("second").traced();
    let last = last.handler_async(move |_, _| {
        let contexts = contexts.clone();
        async move { contexts.send(TraceContext::current()).unwrap() }
    });
    let workers = [stage.spawn().unwrap(), last.spawn().unwrap()];
    let request: TraceContext = REQUEST.parse().unwrap();
    request.in_scope(|| first.publish(7)).unwrap();
    let stages: Vec<TraceContext> = seen.iter().take(2).map(Option::unwrap).collect();
    drop(workers);
    for stage in &stages {
        assert_eq!(stage.trace_id(), request.trace_id());
        assert!(stage.is_sampled());
    }
    assert_ne!(stages[0].span_id(), stages[1].span_id());
    assert_eq!(TraceContext::current(), None);
}

#[test]
fn a_publish_without_a_context_begins_a_trace_and_one_of_its_own_is_kept() {
    let broker = Broker::new();
    let producer = broker
        .producer_builder::<u32>("q")
        .traced()
        .build()
        .unwrap();
    let consumer = broker.consumer::<u32>("q").unwrap();
    producer.publish(1).unwrap();
    producer.publish_to("q", 2).unwrap();
    producer
        .publish_message(Message::new(3).header("k", "v"))
        .unwrap();
    producer
        .publish_message(Message::new(4).header("traceparent", REQUEST))
        .unwrap();
    futures_lite::future::block_on(producer.publish_async(5)).unwrap();
    let _ = producer.publish_batch([6]);
    let mut traces = Vec::new();
    for number in 1..=6 {
        let delivery = consumer.recv().unwrap();
        let context = header(&delivery).unwrap();
        assert_eq!(
            (*delivery, context.to_string() == REQUEST),
            (number, number == 4)
        );
        traces.push(context.trace_id());
        delivery.ack().unwrap();
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 6);
}

#[test]
fn a_bad_traceparent_begins_a_new_trace() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>("q").unwrap();
    let (contexts, seen) = mpsc::channel();
    let worker = broker.worker::<u32>("q").traced();
    let worker = worker.handler(move |_, _| contexts.send(TraceContext::current()).unwrap());
    let worker = worker.spawn().unwrap();
    for bad in [FieldValue::from("00-what-ever-01"), FieldValue::from(7)] {
        producer
            .publish_message(Message::new(1).header("traceparent", bad))
            .unwrap();
        assert_ne!(seen.recv().unwrap().unwrap().trace_id(), 0);
    }
    drop(worker);
}
