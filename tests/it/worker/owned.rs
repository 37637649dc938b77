//! Handlers that consume their payloads.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use leveret::{
    Broker, Exchange, Local, LocalArc, Queue,
    worker::{Before, Context, Failure, Middleware, Outcome, Settle},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{header, with_dead_letters};
use crate::common::{Alarm, PATIENCE, SECOND, assert_conserved, on_a_manual_clock, queue, rest};

/// A value without a copy.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ticket(String);

fn ticket(number: u32) -> Ticket {
    Ticket(number.to_string())
}

fn counts_of(broker: &Broker, name: &str) -> leveret::QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts[0].queues.iter();
    queues.find(|queue| queue.name == name).unwrap().clone()
}

#[test]
fn a_handler_gets_the_very_value_that_was_sent() {
    let broker = Broker::new();
    type Job = Local<Box<dyn FnOnce() -> u32 + Send>>;
    let (sender, results) = mpsc::channel();
    let worker = broker.worker::<Job>("q").concurrency(2);
    let worker = worker.handler_owned(move |Local(job), _| sender.send(job()));
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<Job>("q").unwrap();
    for number in 0..10 {
        producer.publish(Local(Box::new(move || number))).unwrap();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.handled, counts.acked, counts.failed), (10, 10, 0));
    let mut results: Vec<_> = results.iter().collect();
    results.sort_unstable();
    assert_eq!(results, (0..10).collect::<Vec<_>>());
    assert_conserved(&counts_of(&broker, "q"));
}

#[test]
fn a_message_whose_payload_is_with_its_handler_is_unsettled_and_keeps_its_size_and_type() {
    let broker = Broker::new();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (sender, seen) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let worker = broker.worker::<String>("q");
    let worker = worker.handler_owned(move |text, context| {
        let info = context.info();
        let body = info.body().unwrap_err().to_string();
        let type_name = (info.type_name(), info.properties().content_type.clone());
        sender.send((text, info.size(), type_name, body)).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<String>("q").unwrap();
    producer.publish("hello".to_owned()).unwrap();
    let (text, size, type_name, body) = seen.recv().unwrap();
    assert_eq!((&*text, size), ("hello", 5));
    let plain = ("alloc::string::String", Some("text/plain".to_owned()));
    assert_eq!(type_name, plain);
    assert!(body.contains("is with its handler"), "{body}");
    let counts = counts_of(&broker, "q");
    assert_eq!((counts.unsettled.messages, counts.unsettled.bytes), (1, 5));
    go_on.send(()).unwrap();
    worker.stop_and_drain(PATIENCE);
    let counts = counts_of(&broker, "q");
    assert_eq!((counts.acked.messages, counts.acked.bytes), (1, 5));
    assert_conserved(&counts);
}

/// Wants every message back.
struct Insistent(mpsc::Sender<Settle>);

impl Middleware for Insistent {
    fn after(&self, _: &Context<'_>, outcome: &mut Outcome) {
        self.0.send(outcome.settle.clone()).unwrap();
        outcome.settle = Settle::Requeue(Duration::ZERO);
    }
}

#[test]
fn a_consumed_message_is_acknowledged_even_if_its_handler_fails() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let (sender, errors) = mpsc::channel();
    let (settles, settled) = mpsc::channel();
    let worker = broker.worker::<u32>(&tasks).on_error(move |error, _| {
        sender.send(error.to_string()).unwrap();
        Settle::Requeue(Duration::ZERO)
    });
    let worker = worker.middleware(Insistent(settles));
    let worker = worker.handler_owned(|number, _| match number {
        0 => panic!("zero"),
        1 => Err("one"),
        _ => Ok(()),
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch(0..3);
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.requeued, counts.rejected), (3, 0, 0));
    assert_eq!((counts.failed, counts.panicked, counts.handled), (1, 1, 3));
    let errors: Vec<_> = errors.iter().collect();
    assert_eq!(errors, ["the handler panicked: zero", "one"]);
    assert!(settled.iter().all(|settle| settle == Settle::Ack));
    assert!(dead.try_recv().is_err());
}

#[test]
fn a_payload_that_is_decoded_is_consumed_too() {
    let broker = Broker::new();
    let (sender, received) = mpsc::channel();
    let worker = broker.worker::<u32>("q").handler_owned(move |number, _| {
        sender.send(number).unwrap();
        Err("it failed")
    });
    let worker = worker.spawn().unwrap();
    broker.producer::<u64>("q").unwrap().publish(7).unwrap();
    assert_eq!(received.recv().unwrap(), 7);
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.failed, counts.rejected), (1, 1, 0));
}

#[test]
fn each_of_the_queues_that_share_a_payload_has_a_copy_of_it() {
    let broker = Broker::new();
    let fanout = Exchange::fanout("x");
    let (sender, received) = mpsc::channel();
    let workers: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let sender = sender.clone();
            let worker = broker.worker::<Ticket>(&Queue::new(name).bind(&fanout, ""));
            let worker = worker.handler_owned(move |ticket, _| sender.send((name, ticket)));
            worker.spawn().unwrap()
        })
        .collect();
    let producer = broker.producer::<Ticket>(&fanout).unwrap();
    producer.publish(ticket(7)).unwrap();
    let mut received: Vec<_> = received.iter().take(3).collect();
    received.sort_unstable_by_key(|(name, _)| *name);
    let expected = ["a", "b", "c"].map(|name| (name, ticket(7)));
    assert_eq!(received, expected);
    for worker in workers {
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
    }
}

#[test]
fn a_shared_payload_without_a_copy_is_whole_and_the_hook_for_errors_decides() {
    /// It is encoded, and never decoded.
    struct OneWay;
    impl Serialize for OneWay {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u32(7)
        }
    }
    impl<'de> Deserialize<'de> for OneWay {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
            Err(serde::de::Error::custom("there is one way"))
        }
    }
    let broker = Broker::new();
    let (tasks, _) = with_dead_letters(&broker);
    let fanout = Exchange::fanout("x");
    broker.declare(&tasks.clone().bind(&fanout, "")).unwrap();
    broker
        .declare(&Queue::new("other").bind(&fanout, ""))
        .unwrap();
    let worker = broker.worker::<OneWay>(&tasks).on_error(|error, context| {
        assert_eq!(error.failure(), Failure::Decode);
        match context.acquired_count() {
            0 => Settle::Requeue(Duration::ZERO),
            _ => Settle::Reject,
        }
    });
    let worker = worker
        .handler_owned(|_, _| -> () { unreachable!("there is no payload") })
        .spawn()
        .unwrap();
    let producer = broker.producer::<OneWay>(&fanout).unwrap();
    producer.publish(OneWay).unwrap();
    let dead = broker.consumer::<OneWay>("dead").unwrap().recv().unwrap();
    let headers = dead.info().properties().headers.clone().unwrap();
    assert_eq!(header(&headers, "x-exception-type"), "leveret::CodecError");
    assert!(header(&headers, "x-exception-message").contains("there is one way"));
    assert_eq!(&*dead.info().body().unwrap(), b"7");
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!(
        (counts.undecoded, counts.requeued, counts.rejected),
        (2, 1, 1)
    );
    assert_eq!((counts.handled, counts.acked), (0, 0));
}

#[test]
fn a_local_arc_needs_no_copy() {
    let broker = Broker::new();
    let fanout = Exchange::fanout("x");
    broker
        .declare(&Queue::new("other").bind(&fanout, ""))
        .unwrap();
    let value: Arc<dyn Fn() -> u32 + Send + Sync> = Arc::new(|| 7);
    let (sender, received) = mpsc::channel();
    let worker = broker.worker(queue().bind(&fanout, ""));
    let worker = worker.handler_owned(move |value: LocalArc<dyn Fn() -> u32 + Send + Sync>, _| {
        sender
            .send(value.into_inner())
            .map_err(|_| "nobody listens")
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer(&fanout).unwrap();
    producer.publish(LocalArc(value.clone())).unwrap();
    assert!(Arc::ptr_eq(&received.recv().unwrap(), &value));
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
}

/// Answers as it is told.
struct Answer(Before);

impl Middleware for Answer {
    fn before(&self, context: &Context<'_>) -> Before {
        match context.acquired_count() {
            0 => self.0.clone(),
            _ => Before::Go,
        }
    }
}

#[test]
fn a_message_that_a_middleware_requeues_has_its_payload_still() {
    let broker = Broker::new();
    let (sender, received) = mpsc::channel();
    let again = Before::Settle(Settle::Requeue(Duration::ZERO));
    let worker = broker.worker::<Local<u32>>("q").middleware(Answer(again));
    let worker = worker.handler_owned(move |Local(number), context| {
        sender.send((number, context.acquired_count()))
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<Local<u32>>("q").unwrap();
    producer.publish(Local(7)).unwrap();
    assert_eq!(received.recv().unwrap(), (7, 1));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.requeued, counts.acked, counts.handled), (1, 1, 1));
}

#[test]
fn a_task_that_is_dropped_before_its_handler_returns_the_message_with_its_payload() {
    let (broker, _clock) = on_a_manual_clock();
    let worker = broker.worker::<Local<u32>>("q");
    let worker = worker.middleware(Answer(Before::Wait(SECOND)));
    let mut running = Box::pin(worker.handler_owned(|_, _| ()).run_async());
    let alarm = Alarm::new();
    assert!(alarm.poll(running.as_mut()).is_pending());
    let producer = broker.producer::<Local<u32>>("q").unwrap();
    producer.publish(Local(7)).unwrap();
    assert!(alarm.poll(running.as_mut()).is_pending());
    assert_eq!(counts_of(&broker, "q").unsettled.messages, 1);
    drop(running);
    assert_eq!(rest::<Local<u32>>(&broker, "q"), [(Local(7), true)]);
}

#[test]
fn a_handler_past_its_time_keeps_its_payload_and_its_message_is_done() {
    let (broker, clock) = on_a_manual_clock();
    let (sender, seen) = mpsc::channel();
    let worker = broker.worker::<Local<u32>>("q").timeout(SECOND);
    let worker = worker.on_error(|error, _| {
        assert_eq!(error.failure(), Failure::TimedOut);
        Settle::Requeue(Duration::ZERO)
    });
    let worker = worker.handler_owned(move |Local(number), context| {
        sender.send(number).unwrap();
        if number == 0 {
            context.stop_signal().wait();
        }
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<Local<u32>>("q").unwrap();
    producer.publish(Local(1)).unwrap();
    assert_eq!(seen.recv().unwrap(), 1);
    producer.publish(Local(0)).unwrap();
    assert_eq!(seen.recv().unwrap(), 0);
    clock.advance(SECOND);
    while worker.report().counts.late == 0 {
        std::thread::yield_now();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.timed_out, counts.late), (1, 1));
    assert_eq!((counts.acked, counts.requeued, counts.rejected), (2, 0, 0));
    assert_conserved(&counts_of(&broker, "q"));
}
