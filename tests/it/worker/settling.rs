//! What becomes of a message after its handler.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use leveret::{
    Broker, Message, Queue,
    worker::{Failure, Settle},
};

use super::{header, with_dead_letters};
use crate::common::{PATIENCE, SECOND, on_a_manual_clock};

#[test]
fn a_handler_that_returns_acknowledges_its_message() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>("q").unwrap();
    let (sender, received) = mpsc::channel();
    let worker = broker.worker::<u32>("q").handler(move |number, context| {
        sender
            .send((*number, context.info().queue().to_string()))
            .unwrap();
    });
    let worker = worker.spawn().unwrap();
    for number in 0..100 {
        producer.publish(number).unwrap();
    }
    let received: Vec<_> = received.iter().take(100).collect();
    let expected: Vec<_> = (0..100).map(|number| (number, "q".to_owned())).collect();
    assert_eq!(received, expected);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.handled, report.counts.acked), (100, 100));
    assert!(broker.simple_queue::<u32>("q").unwrap().is_empty().unwrap());
}

#[test]
fn an_error_dead_letters_the_message_with_its_type_its_text_and_the_worker() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).name("checker");
    let worker = worker
        .handler(|_, _| "x".parse::<u32>().map(drop))
        .spawn()
        .unwrap();
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    let letter = dead.recv().unwrap();
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(*letter, 7);
    assert_eq!(
        header(&headers, "x-exception-type"),
        "core::num::error::ParseIntError"
    );
    assert_eq!(
        header(&headers, "x-exception-message"),
        "invalid digit found in string"
    );
    assert_eq!(header(&headers, "x-exception-worker"), "checker");
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.rejected, counts.acked), (1, 1, 0));
}

#[test]
fn a_panic_dead_letters_the_message_and_the_worker_lives_on() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).handler(|number, _| {
        assert!(number % 2 == 0, "{number} is odd");
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch(0..10);
    for odd in [1, 3, 5, 7, 9] {
        let letter = dead.recv().unwrap();
        let headers = letter.info().properties().headers.clone().unwrap();
        assert_eq!(*letter, odd);
        assert_eq!(header(&headers, "x-exception-type"), "panic");
        assert_eq!(
            header(&headers, "x-exception-message"),
            format!("{odd} is odd")
        );
        letter.ack().unwrap();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.panicked, counts.acked, counts.handled), (5, 5, 10));
}

#[test]
fn a_message_that_does_not_decode_is_dead_lettered_with_the_reason() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    drop(dead);
    let worker = broker
        .worker::<u32>(&tasks)
        .handler(|_, _| ())
        .spawn()
        .unwrap();
    let texts = broker.producer::<String>(&tasks).unwrap();
    texts.publish("seven".to_owned()).unwrap();
    let letter = broker.consumer::<String>("dead").unwrap().recv().unwrap();
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(*letter, "seven");
    assert_eq!(header(&headers, "x-exception-type"), "leveret::CodecError");
    assert!(header(&headers, "x-exception-message").contains("seven"));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.undecoded, counts.handled), (1, 0));
}

#[test]
fn the_hook_for_messages_that_do_not_decode_decides() {
    let broker = Broker::new();
    let (sender, seen) = mpsc::channel();
    let worker = broker.worker::<u32>("q").on_decode_error(move |undecoded| {
        sender
            .send(undecoded.info().body().unwrap().to_vec())
            .unwrap();
        Settle::Ack
    });
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    let texts = broker.producer::<String>("q").unwrap();
    texts.publish("seven".to_owned()).unwrap();
    assert_eq!(seen.recv().unwrap(), b"seven");
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.undecoded, counts.acked, counts.rejected), (1, 1, 0));
}

#[test]
fn a_settle_says_what_becomes_of_the_message() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let (sender, received) = mpsc::channel();
    let worker = broker
        .worker::<u32>(&tasks)
        .handler(move |number, context| {
            let again = context.acquired_count();
            sender.send((*number, again)).unwrap();
            match (number, again) {
                (1, 0) => Settle::Requeue(Duration::ZERO),
                (2, 0) => Settle::Requeue(SECOND),
                (3, _) => Settle::Reject,
                (4, _) => Settle::DeadLetter("four".to_owned()),
                _ => Settle::Ack,
            }
        });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer(&tasks).unwrap();
    producer.publish(1).unwrap();
    assert_eq!(received.recv().unwrap(), (1, 0));
    assert_eq!(received.recv().unwrap(), (1, 1));
    producer.publish(2).unwrap();
    assert_eq!(received.recv().unwrap(), (2, 0));
    producer.publish(3).unwrap();
    producer.publish(4).unwrap();
    let letter = dead.recv().unwrap();
    assert_eq!(*letter, 3);
    assert_eq!(
        letter
            .info()
            .properties()
            .headers
            .as_ref()
            .unwrap()
            .get("x-exception-worker"),
        None
    );
    letter.ack().unwrap();
    let letter = dead.recv().unwrap();
    assert_eq!(*letter, 4);
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(header(&headers, "x-exception-reason"), "four");
    let _ = received.iter().take(2).count();
    assert!(received.try_recv().is_err());
    clock.advance(SECOND);
    assert_eq!(received.recv().unwrap(), (2, 1));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.requeued, counts.rejected), (2, 2, 2));
}

#[test]
fn the_hook_for_errors_decides_and_its_own_panic_rejects() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).on_error(|error, context| {
        assert_eq!(error.failure(), Failure::Error);
        assert_eq!(context.info().queue(), "tasks");
        match error.message() {
            "1" => Settle::Ack,
            "2" => Settle::DeadLetter("two".to_owned()),
            _ => panic!("a hook that panics"),
        }
    });
    let worker = worker
        .handler(|number, _| Err::<(), _>(number.to_string()))
        .spawn()
        .unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch([1, 2, 3]);
    for number in [2, 3] {
        let letter = dead.recv().unwrap();
        let headers = letter.info().properties().headers.clone().unwrap();
        assert_eq!(*letter, number);
        assert_eq!(header(&headers, "x-exception-message"), number.to_string());
        letter.ack().unwrap();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.acked, counts.rejected), (3, 1, 2));
}

#[test]
fn a_text_of_an_error_that_panics_is_a_panic_of_the_handler() {
    struct Unprintable;
    impl std::fmt::Display for Unprintable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker
        .worker::<u32>(&tasks)
        .handler(|_, _| Err::<(), _>(Unprintable));
    let worker = worker.spawn().unwrap();
    broker.producer(&tasks).unwrap().publish(7).unwrap();
    let letter = dead.recv().unwrap();
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(header(&headers, "x-exception-message"), "no text");
    drop(worker);
}

#[test]
fn a_worker_receives_from_several_queues() {
    let broker = Broker::new();
    let (sender, received) = mpsc::channel();
    let worker = broker.worker::<u32>("a").also("b").concurrency(2);
    let worker = worker.handler(move |number, context| {
        sender
            .send((context.info().queue().to_string(), *number))
            .unwrap();
    });
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("a").unwrap().publish(1).unwrap();
    broker.producer::<u32>("b").unwrap().publish(2).unwrap();
    let mut both: Vec<_> = received.iter().take(2).collect();
    both.sort();
    assert_eq!(both, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    drop(worker);
}

#[test]
fn as_many_handlers_run_at_the_same_time_as_the_concurrency_says() {
    let broker = Broker::new();
    let together = Arc::new(std::sync::Barrier::new(3));
    let worker = broker
        .worker::<u32>("q")
        .concurrency(3)
        .handler(move |_, _| {
            together.wait();
        });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..9);
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 9);
}

#[test]
fn a_reply_goes_to_the_queue_that_the_message_names() {
    let broker = Broker::new();
    let replies = broker.consumer::<u32>(&Queue::temporary()).unwrap();
    let (sender, failed) = mpsc::channel();
    let worker = broker
        .worker::<u32>("double")
        .handler(move |number, context| {
            context
                .reply(number * 2)
                .map_err(|error| sender.send(error))
                .map_err(|_| "no reply")
        });
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<u32>("double").unwrap();
    let request = Message::new(21).correlation_id("a");
    producer
        .publish_message(request.clone().reply_to(replies.queue().to_string()))
        .unwrap();
    let reply = replies.recv().unwrap();
    assert_eq!(*reply, 42);
    assert_eq!(
        reply.info().properties().correlation_id.as_deref(),
        Some("a")
    );
    producer.publish_message(request.clone()).unwrap();
    assert_eq!(failed.recv().unwrap(), leveret::Error::NoReplyTo);
    producer
        .publish_message(request.reply_to("nowhere"))
        .unwrap();
    assert_eq!(failed.recv().unwrap().reply_code(), Some(312));
    drop(worker);
}

#[test]
fn the_context_of_a_request_goes_with_its_messages() {
    let broker = Broker::new();
    let next = broker.producer::<u32>("next").unwrap();
    let worker = broker.worker::<u32>("q").handler(move |number, context| {
        next.publish_message(context.message(number + 1)).map(drop)
    });
    let worker = worker.spawn().unwrap();
    let mut request = leveret::FieldTable::new();
    request.insert("tenant", "acme");
    let message = Message::new(1).header("x-request-context", request.clone());
    broker
        .producer::<u32>("q")
        .unwrap()
        .publish_message(message)
        .unwrap();
    let second = broker.consumer::<u32>("next").unwrap().recv().unwrap();
    let headers = second.info().properties().headers.clone().unwrap();
    assert_eq!(
        (*second, headers.get("x-request-context")),
        (2, Some(&request.into()))
    );
    drop(worker);
}
