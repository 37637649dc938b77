//! Messages that a worker forwards.

use std::sync::Arc;

use leveret::{
    Broker, Credentials, Exchange, FieldValue, Local, Message, Overflow, Properties, Queue,
    worker::{Forward, Settle},
};

use crate::common::{PATIENCE, SECOND, assert_conserved, on_a_manual_clock, rest};

#[test]
fn the_payload_itself_travels_with_its_properties() {
    let broker = Broker::new();
    let (value, target) = (Arc::new(7), broker.consumer::<Local<Arc<u32>>>("target"));
    let target = target.unwrap();
    let worker = broker.worker::<Local<Arc<u32>>>("tasks").handler(|_, _| {
        let forward = Forward::to_queue("target")
            .header("new", 1)
            .header("old", 2);
        Settle::Forward(
            forward
                .without_header("gone")
                .expiration(SECOND / 1_000 / 2),
        )
    });
    let worker = worker.spawn().unwrap();
    let message = Message::new(Local(Arc::clone(&value)))
        .message_id("id")
        .priority(3)
        .header("old", 1)
        .header("gone", 1)
        .header("kept", 1);
    let producer = broker.producer("tasks").unwrap();
    producer.publish_message(message).unwrap();
    let delivery = target.recv().unwrap();
    assert!(Arc::ptr_eq(&delivery.0, &value));
    let info = delivery.info();
    assert_eq!((&*info.exchange(), info.routing_key()), ("", "target"));
    assert!(!info.redelivered());
    let expected = Properties::new()
        .message_id("id")
        .priority(3)
        .header("old", 2)
        .header("kept", 1)
        .header("new", 1)
        .expiration("1");
    assert_eq!(*info.properties(), expected);
    delivery.ack().unwrap();
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.forwarded, counts.acked), (1, 0));
    let snapshot = broker.snapshot().unwrap();
    let queues = &snapshot.vhosts[0].queues;
    assert_eq!(queues.len(), 2);
    queues.iter().for_each(assert_conserved);
}

#[test]
fn a_future_and_a_limited_call_forward_as_well() {
    let broker = Broker::new();
    broker.declare(&Queue::new("target")).unwrap();
    let forward = || Settle::Forward(Forward::to_queue("target"));
    let task = broker.worker::<u32>("first");
    let task = task.handler_async(move |_, _| async move { forward() });
    let limited = broker.worker::<u32>("second").timeout(PATIENCE);
    let limited = limited.handler(move |_, _| forward());
    for (queue, worker) in [("first", task), ("second", limited)] {
        let worker = worker.spawn().unwrap();
        broker.producer(queue).unwrap().publish(7).unwrap();
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.forwarded, 1);
        assert_eq!(rest::<u32>(&broker, "target"), [(7, false)]);
        assert_eq!(rest::<u32>(&broker, queue), []);
    }
}

#[test]
fn an_exchange_routes_by_the_new_key_and_headers_but_not_by_the_old_copies() {
    let broker = Broker::new();
    let topic = Exchange::topic("topic");
    let bound = Queue::new("bound").bind(&topic, "a.*");
    for queue in [&bound, &Queue::new("copied")] {
        broker.declare(queue).unwrap();
    }
    let worker = broker.worker::<u32>("tasks");
    let worker = worker.handler(|_, _| Settle::Forward(Forward::to_exchange("topic", "a.b")));
    let worker = worker.spawn().unwrap();
    let copies = FieldValue::from(vec![FieldValue::from("copied")]);
    let message = Message::new(7).header("CC", copies);
    let producer = broker.producer("tasks").unwrap();
    producer.publish_message(message).unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.forwarded, 1);
    assert_eq!(rest::<u32>(&broker, "bound"), [(7, false)]);
    // The publish copied it, and the worker did not.
    assert_eq!(rest::<u32>(&broker, "copied"), [(7, false)]);
}

#[test]
fn the_user_of_another_connection_does_not_travel() {
    let broker = Broker::builder().user("ada", "secret").build();
    let target = broker.consumer::<u32>("target").unwrap();
    let of_ada = broker.connect("/", Credentials::new("ada", "secret"));
    let of_ada = of_ada.unwrap();
    let tasks = of_ada.producer::<u32>("tasks").unwrap();
    for connection in [of_ada.clone(), broker.vhost("/").unwrap()] {
        let worker = connection
            .worker::<u32>("tasks")
            .handler(move |_, context| {
                assert_eq!(context.properties().user_id.as_deref(), Some("ada"));
                Settle::Forward(Forward::to_queue("target"))
            });
        let worker = worker.spawn().unwrap();
        let message = Message::new(7).properties(Properties::new().user_id("ada"));
        tasks.publish_message(message).unwrap();
        let delivery = target.recv().unwrap();
        let kept = delivery.info().properties().user_id.clone();
        let is_own = **connection.user() == *"ada";
        assert_eq!(kept, is_own.then(|| "ada".to_owned()));
        delivery.ack().unwrap();
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.forwarded, 1);
    }
}

#[test]
fn a_message_that_no_queue_takes_returns_and_comes_again_after_a_second() {
    let (broker, clock) = on_a_manual_clock();
    let full = Queue::new("full").max_length(1);
    let full = full.overflow(Overflow::RejectPublish);
    broker.producer(&full).unwrap().publish(0).unwrap();
    let worker = broker.worker::<u32>("tasks").handler(|number, context| {
        let to = match number {
            1 => Forward::to_queue("missing"),
            2 => Forward::to_exchange("missing", ""),
            3 => Forward::to_queue("full"),
            _ => Forward::to_queue("long ".repeat(100)),
        };
        match context.acquired_count() {
            0 => Settle::Forward(to),
            _ => Settle::Reject,
        }
    });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer("tasks").unwrap();
    for number in 1..=4_u32 {
        producer.publish(number).unwrap();
        while broker.delayed("tasks").unwrap().is_empty() {
            std::thread::yield_now();
        }
        clock.advance(SECOND - std::time::Duration::from_nanos(1));
        assert_eq!(broker.delayed("tasks").unwrap().len(), 1);
        // Its timer may be set after an advance.
        while worker.report().counts.rejected < u64::from(number) {
            clock.advance(std::time::Duration::from_nanos(1));
            std::thread::yield_now();
        }
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.forwarded, counts.rejected), (4, 4));
    assert_eq!(rest::<u32>(&broker, "full"), [(0, false)]);
}

#[test]
fn a_worker_forwards_while_the_broker_shuts_down() {
    let broker = Broker::new();
    let target = broker.consumer::<u32>("target").unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let probe = broker.producer::<u32>("other").unwrap();
    let worker = broker.worker::<u32>("tasks").handler_async(move |_, _| {
        let (begun, probe) = (begun.clone(), probe.clone());
        async move {
            begun.send(()).unwrap();
            // Until the broker refuses what comes from outside.
            let publishing = move || while probe.publish(0).is_ok() {};
            std::thread::spawn(publishing).join().unwrap();
            Settle::Forward(Forward::to_queue("target"))
        }
    });
    let _worker = worker.spawn().unwrap();
    broker.producer("tasks").unwrap().publish(7).unwrap();
    has_begun.recv().unwrap();
    let receiving = std::thread::spawn(move || {
        let delivery = target.recv().unwrap();
        let number = *delivery;
        delivery.ack().unwrap();
        number
    });
    broker.shutdown(PATIENCE).unwrap();
    assert_eq!(receiving.join().unwrap(), 7);
}
