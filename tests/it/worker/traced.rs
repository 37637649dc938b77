//! Handlers in spans.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task,
    time::Duration,
};

use leveret::{Broker, FieldTable, FieldValue, Message, worker::Settle};
use tracing::{Event, Metadata, Subscriber, span};

use crate::common::{PATIENCE, SpanFields};

/// What happened, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    New(u64, BTreeMap<&'static str, String>),
    Enter(u64),
    Exit(u64),
    Close(u64),
    Event(String, BTreeMap<&'static str, String>),
}

/// Records everything of the target `leveret` and of these tests.
#[derive(Clone, Default)]
struct Recorder(Arc<(AtomicU64, Mutex<Vec<Seen>>)>);

impl Recorder {
    fn add(&self, seen: Seen) {
        self.0.1.lock().unwrap().push(seen);
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.1.lock().unwrap())
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "leveret" || metadata.target().starts_with("it")
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let number = self.0.0.fetch_add(1, SeqCst) + 1;
        let mut fields = SpanFields::default();
        attributes.record(&mut fields);
        assert_eq!(attributes.metadata().name(), "handle");
        // They are random. A batch has messages of several traces.
        for (field, digits) in [("trace_id", 32), ("span_id", 16)] {
            if let Some(id) = fields.0.remove(field) {
                assert_eq!(id.len(), digits, "{id}");
            }
        }
        self.add(Seen::New(number, fields.0));
        span::Id::from_u64(number)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = SpanFields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        self.add(Seen::Event(message, fields.0));
    }

    fn enter(&self, id: &span::Id) {
        self.add(Seen::Enter(id.into_u64()));
    }

    fn exit(&self, id: &span::Id) {
        self.add(Seen::Exit(id.into_u64()));
    }

    fn try_close(&self, id: span::Id) -> bool {
        self.add(Seen::Close(id.into_u64()));
        true
    }
}

fn fields<const N: usize>(all: [(&'static str, &str); N]) -> BTreeMap<&'static str, String> {
    all.map(|(name, value)| (name, value.to_owned())).into()
}

fn handled(outcome: &str) -> Seen {
    Seen::Event("handled".to_owned(), fields([("outcome", outcome)]))
}

fn inside() -> Seen {
    Seen::Event("inside".to_owned(), fields([]))
}

/// Runs a worker on this thread, which has the recorder, until it has drained its queue.
fn run(worker: leveret::worker::Worker<u32>, broker: &Broker, queue: &str, recorder: &Recorder) {
    let stop_handle = worker.stop_handle().unwrap();
    tracing::subscriber::with_default(recorder.clone(), || {
        let mut running = Box::pin(worker.run_async());
        let mut context = task::Context::from_waker(task::Waker::noop());
        let unsettled = || {
            let snapshot = broker.snapshot().unwrap();
            let queues = &snapshot.vhosts[0].queues;
            let counts = queues.iter().find(|counts| *counts.name == *queue).unwrap();
            counts.unsettled.messages + counts.ready.messages
        };
        while unsettled() > 0 {
            assert!(running.as_mut().poll(&mut context).is_pending());
        }
        stop_handle.stop();
        while running.as_mut().poll(&mut context).is_pending() {}
    });
}

#[test]
fn a_span_has_the_facts_about_the_message_and_the_call_is_inside() {
    let broker = Broker::new();
    let recorder = Recorder::default();
    let worker = broker.worker::<u32>("tasks").name("counter").traced();
    let worker = worker.handler(|_, _| tracing::info!("inside"));
    let context = FieldTable::from_iter([("traceparent", FieldValue::from("00-1-2-01"))]);
    let message = Message::new(7).message_id("id");
    let message = message.header("x-request-context", FieldValue::Table(context.clone()));
    let tasks = broker.producer::<u32>("tasks").unwrap();
    tasks.publish_message(message).unwrap();
    run(worker, &broker, "tasks", &recorder);
    let request = format!("{context:?}");
    let expected = fields([
        ("worker", "counter"),
        ("queue", "tasks"),
        ("exchange", ""),
        ("routing_key", "tasks"),
        ("message_id", "id"),
        ("delivery_count", "0"),
        ("request_context", &request),
    ]);
    let seen = [
        Seen::New(1, expected),
        Seen::Enter(1),
        inside(),
        handled("Ack"),
        Seen::Exit(1),
        Seen::Close(1),
    ];
    assert_eq!(recorder.take(), seen);
}

#[test]
fn a_failure_is_an_event_of_the_span() {
    let broker = Broker::new();
    for (number, failure, error_type, error) in [
        (0, "Error", "&str", "no"),
        (1, "Panic", "panic", "it panics"),
    ] {
        let recorder = Recorder::default();
        let worker = broker.worker::<u32>("tasks").traced();
        let worker = worker.handler(|number, _| match number {
            1 => std::panic::resume_unwind(Box::new("it panics")),
            _ => Err::<(), _>("no"),
        });
        broker.producer("tasks").unwrap().publish(number).unwrap();
        run(worker, &broker, "tasks", &recorder);
        let event = fields([
            ("failure", failure),
            ("error_type", error_type),
            ("error", error),
        ]);
        let seen = recorder.take();
        assert_eq!(
            seen[1..],
            [
                Seen::Enter(1),
                Seen::Event("failed".to_owned(), event),
                Seen::Exit(1),
                Seen::Close(1),
            ]
        );
    }
}

#[test]
fn a_future_is_in_its_span_at_each_poll_and_only_then() {
    let broker = Broker::new();
    let recorder = Recorder::default();
    let worker = broker.worker::<u32>("tasks").concurrency(2).traced();
    let worker = worker.handler_async(|_, _| async {
        tracing::info!("inside");
        futures_lite::future::yield_now().await;
        tracing::info!("inside");
        Settle::Reject
    });
    let published = broker.producer("tasks").unwrap().publish_batch(0..2);
    assert!(published.into_iter().all(|published| published.is_ok()));
    run(worker, &broker, "tasks", &recorder);
    let mut current = None;
    let mut inside_of = BTreeMap::<u64, usize>::new();
    let mut opened = 0;
    for seen in recorder.take() {
        match seen {
            Seen::New(..) => opened += 1,
            Seen::Enter(number) => assert_eq!(current.replace(number), None),
            Seen::Exit(number) => assert_eq!(current.take(), Some(number)),
            Seen::Event(..) => *inside_of.entry(current.unwrap()).or_default() += 1,
            Seen::Close(_) => assert_eq!(current, None),
        }
    }
    // Two events of the handler, and the outcome.
    assert_eq!((opened, inside_of), (2, BTreeMap::from([(1, 3), (2, 3)])));
}

#[test]
fn a_worker_that_is_not_traced_makes_no_span_and_one_without_a_subscriber_works() {
    let broker = Broker::new();
    let recorder = Recorder::default();
    let worker = broker.worker::<u32>("tasks").handler(|_, _| ());
    broker.producer("tasks").unwrap().publish(7).unwrap();
    run(worker, &broker, "tasks", &recorder);
    assert_eq!(recorder.take(), []);

    let worker = broker.worker::<u32>("tasks").traced();
    let worker = worker
        .handler_owned(|_, _| Err::<(), _>("no"))
        .spawn()
        .unwrap();
    broker.producer("tasks").unwrap().publish(7).unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.failed, 1);
}

#[test]
fn a_batch_has_one_span_with_an_event_for_each_message() {
    let broker = Broker::new();
    for in_a_future in [false, true] {
        let recorder = Recorder::default();
        let worker = broker.worker::<u32>("tasks").name("counter").traced();
        let worker = worker.batch(10, Duration::ZERO);
        let result = |number: u32| match number {
            1 => Err("no"),
            _ => Ok(()),
        };
        let worker = match in_a_future {
            false => worker.handler(move |batch| {
                tracing::info!("inside");
                batch
                    .iter()
                    .map(|number| result(**number))
                    .collect::<Vec<_>>()
            }),
            true => worker.handler_async(move |batch| async move {
                tracing::info!("inside");
                batch
                    .iter()
                    .map(|number| result(**number))
                    .collect::<Vec<_>>()
            }),
        };
        let _ = broker.producer("tasks").unwrap().publish_batch(0..3_u32);
        run(worker, &broker, "tasks", &recorder);
        let failed = fields([
            ("failure", "Error"),
            ("error_type", "&str"),
            ("error", "no"),
        ]);
        let expected = fields([("worker", "counter"), ("queue", "tasks"), ("messages", "3")]);
        let seen = recorder.take();
        assert_eq!(seen[0], Seen::New(1, expected));
        let events: Vec<_> = seen
            .into_iter()
            .filter(|seen| matches!(seen, Seen::Event(..)))
            .collect();
        let failed = Seen::Event("failed".to_owned(), failed);
        assert_eq!(events, [inside(), handled("Ack"), failed, handled("Ack")]);
    }
}

#[test]
fn a_batch_that_panics_fails_each_message_in_its_span() {
    let broker = Broker::new();
    let recorder = Recorder::default();
    let worker = broker
        .worker::<u32>("tasks")
        .traced()
        .batch(10, Duration::ZERO);
    let worker = worker.handler(|_| -> () { std::panic::resume_unwind(Box::new("it panics")) });
    let _ = broker.producer("tasks").unwrap().publish_batch(0..2_u32);
    run(worker, &broker, "tasks", &recorder);
    let panicked = fields([
        ("failure", "Panic"),
        ("error_type", "panic"),
        ("error", "it panics"),
    ]);
    let panicked = Seen::Event("failed".to_owned(), panicked);
    assert_eq!(recorder.take()[2..4], [panicked.clone(), panicked]);
}
