//! What the README promises of the typed handles and what `guide::differences` says of them, one test each.
//!
//! What holds for AMQP's methods is in `conformance`; this is about what RabbitMQ has no word for.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::mpsc,
    thread,
    time::Duration,
};

use leveret::{
    Broker, CancelReason, Credentials, Error, Exchange, Local, ManualClock, Message, Overflow,
    Queue, RecvError, RecvTimeoutError, Requeue, Result, TryRecvError,
};

#[test]
fn the_very_value_that_was_sent_arrives() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let sent = vec![String::from("not copied, not encoded")];
    let address = sent[0].as_ptr();
    assert_eq!(broker.producer(&queue)?.publish(sent)?.routed, 1);
    let received = broker.consumer::<Vec<String>>(&queue)?.recv()?;
    assert_eq!(received[0].as_ptr(), address);
    received.ack()
}

#[test]
fn a_publish_that_has_returned_is_in_its_queues() -> Result {
    let broker = Broker::new();
    let news = Exchange::fanout("news");
    let [a, b] = ["a", "b"].map(|name| Queue::new(name).bind(&news, ""));
    broker.declare(&a)?;
    broker.declare(&b)?;
    let producer = broker.producer::<u32>(&news)?;
    for n in 1..=100 {
        assert_eq!(producer.publish(n)?.routed, 2);
        assert_eq!(broker.simple_queue::<u32>(&a)?.len(), n as usize);
        assert_eq!(broker.simple_queue::<u32>(&b)?.len(), n as usize);
    }
    Ok(())
}

#[test]
fn a_worker_that_panics_gives_its_message_back_to_its_place() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 1..=3 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let consumer = broker.consumer_builder::<u32>(&queue).prefetch(1).build()?;
    let worker = AssertUnwindSafe(|| {
        let _held = consumer.recv().unwrap();
        panic::resume_unwind(Box::new("a worker's accident"));
    });
    assert!(panic::catch_unwind(worker).is_err());
    let first = consumer.recv()?;
    assert_eq!((*first, first.info().redelivered()), (1, true));
    first.ack()?;
    let second = consumer.recv()?;
    assert_eq!((*second, second.info().redelivered()), (2, false));
    Ok(())
}

#[test]
fn a_dropped_consumer_returns_what_nobody_has_seen_unflagged() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 1..=3 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let first = broker.consumer::<u32>(&queue)?;
    let held = first.recv()?;
    drop(first);
    let second = broker.consumer::<u32>(&queue)?;
    let seen = second.recv()?;
    assert_eq!((*seen, seen.info().redelivered()), (2, false));
    held.ack()?; // it outlived its consumer, and is still valid
    seen.ack()?;
    second.recv()?.ack()?;
    assert!(matches!(second.try_recv(), Err(TryRecvError::Empty)));
    Ok(())
}

#[test]
fn an_auto_acked_message_does_not_come_back() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    assert_eq!(broker.producer::<u32>(&queue)?.publish(1)?.routed, 1);
    let consumer = broker.consumer_builder::<u32>(&queue).auto_ack().build()?;
    drop(consumer.recv()?);
    drop(consumer);
    assert_eq!(broker.purge(&queue)?, 0);
    Ok(())
}

#[test]
fn what_is_refused_comes_back_to_the_publisher() -> Result {
    let broker = Broker::new();
    let full = Queue::new("full")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    let producer = broker.producer::<String>(&full)?;
    assert_eq!(producer.publish("first".to_owned())?.routed, 1);
    let error = producer.publish("second".to_owned()).unwrap_err();
    assert!(matches!(error.error(), Error::Refused { .. }));
    assert_eq!(error.into_inner(), "second");

    broker.delete(&full)?;
    let error = producer.publish("third".to_owned()).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(312));
    assert_eq!(error.into_inner(), "third");
    Ok(())
}

#[test]
fn refusal_is_per_queue() -> Result {
    let broker = Broker::new();
    let news = Exchange::fanout("news");
    let full = Queue::new("full")
        .max_length(0)
        .overflow(Overflow::RejectPublish);
    broker.declare(&full.bind(&news, ""))?;
    broker.declare(&Queue::new("free").bind(&news, ""))?;
    let published = broker.producer::<u32>(&news)?.publish(1)?;
    assert_eq!((published.routed, published.refused), (1, 1));
    Ok(())
}

#[test]
fn a_producer_for_a_queue_is_mandatory_and_one_for_an_exchange_is_not() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let to_queue = broker.producer::<u32>(&queue)?;
    broker.delete(&queue)?;
    assert!(to_queue.publish(1).is_err());
    assert_eq!(
        to_queue
            .publish_message(Message::new(2).not_mandatory())?
            .routed,
        0
    );
    let to_exchange = broker.producer::<u32>(&Exchange::direct("x"))?;
    assert_eq!(to_exchange.publish(3)?.routed, 0);
    assert!(
        to_exchange
            .publish_message(Message::new(4).mandatory())
            .is_err()
    );
    Ok(())
}

#[test]
fn an_error_closes_nothing_and_changes_nothing() -> Result {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest())?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q"))?;
    let error = channel
        .queue_declare(&Queue::new("q").durable())
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(406));
    let error = channel
        .exchange_declare(&Exchange::new("x", "nonsense"))
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(503)); // RabbitMQ closes the whole connection
    assert_eq!(channel.queue_declare_passive("q")?.message_count, 0);
    Ok(())
}

#[test]
fn a_failed_declaration_leaves_nothing_half_done() -> Result {
    let broker = Broker::new();
    let twice = Queue::new("q")
        .bind(Exchange::direct("made"), "k")
        .bind("missing", "k");
    assert!(broker.declare(&twice).unwrap_err().is_not_found());
    assert!(
        broker
            .declare(&Queue::existing("q"))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        broker
            .declare(&Exchange::existing("made"))
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

#[test]
fn a_blocked_receiver_is_woken_with_the_reason() -> Result {
    type End = fn(&mut Option<Broker>, &Queue);
    let ends: [(CancelReason, End); 2] = [
        (CancelReason::QueueDeleted, |broker, queue| {
            broker.as_ref().unwrap().delete(queue).unwrap();
        }),
        (CancelReason::ShutDown, |broker, _| *broker = None),
    ];
    for (expected, end) in ends {
        let mut broker = Some(Broker::new());
        let queue = Queue::new("q");
        let consumer = broker.as_ref().unwrap().consumer::<u32>(&queue)?;
        let receiver = thread::spawn(move || consumer.recv().map(drop));
        end(&mut broker, &queue);
        let woken = receiver.join().unwrap();
        assert!(matches!(woken, Err(RecvError::Cancelled(reason)) if reason == expected));
    }
    Ok(())
}

#[test]
fn settling_after_the_broker_is_gone_is_an_error_and_no_panic() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    assert_eq!(producer.publish(1)?.routed, 1);
    let delivery = broker.consumer::<u32>(&queue)?.recv()?;
    drop(broker);
    assert_eq!(*delivery, 1);
    assert_eq!(delivery.ack(), Err(Error::ShutDown));
    assert_eq!(producer.publish(2).unwrap_err().error(), &Error::ShutDown);
    Ok(())
}

#[test]
fn settling_after_the_queue_is_gone_does_nothing() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    assert_eq!(producer.publish(1)?.routed + producer.publish(2)?.routed, 2);
    let consumer = broker.consumer::<u32>(&queue)?;
    let (first, second) = (consumer.recv()?, consumer.recv()?);
    broker.delete(&queue)?;
    first.ack()?;
    second.nack(Requeue::Yes)
}

#[test]
fn a_typed_consumer_holds_256_unless_told_otherwise() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 0..300 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let _takes_256 = broker.consumer::<u32>(&queue)?;
    assert_eq!(broker.simple_queue::<u32>(&queue)?.len(), 300 - 256);
    let _takes_10 = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(10)
        .build()?;
    assert_eq!(broker.simple_queue::<u32>(&queue)?.len(), 300 - 256 - 10);
    Ok(())
}

#[test]
fn what_does_not_decode_is_rejected_and_never_returns() -> Result {
    let broker = Broker::new();
    let dead = Queue::new("dead");
    broker.declare(&dead)?;
    let numbers = Queue::new("numbers")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    assert_eq!(
        broker
            .producer(&numbers)?
            .publish("seven".to_owned())?
            .routed,
        1
    );
    assert_eq!(broker.producer(&numbers)?.publish(7_u64)?.routed, 1);
    let consumer = broker.consumer::<u64>(&numbers)?;
    assert!(matches!(consumer.recv(), Err(RecvError::Decode(_))));
    assert_eq!(*consumer.recv()?, 7);
    assert_eq!(*broker.consumer::<String>(&dead)?.recv()?, "seven");
    Ok(())
}

#[test]
fn a_local_reaches_one_queue_or_none() -> Result {
    let broker = Broker::new();
    let jobs = Exchange::fanout("jobs");
    let [a, b] = ["a", "b"].map(|name| Queue::new(name).bind(&jobs, ""));
    broker.declare(&a)?;
    let producer = broker.producer::<Local<mpsc::Sender<u32>>>(&jobs)?;
    let (sender, receiver) = mpsc::channel();
    assert_eq!(producer.publish(Local(sender.clone()))?.routed, 1);
    broker.declare(&b)?;
    let refused = producer.publish(Local(sender)).unwrap_err();
    assert!(matches!(
        refused.error(),
        Error::NotShareable { queues: 2, .. }
    ));

    let job = broker.consumer::<Local<mpsc::Sender<u32>>>(&a)?.recv()?;
    job.send(42).unwrap();
    assert_eq!(receiver.recv(), Ok(42));
    job.ack()
}

#[test]
fn durable_is_remembered_and_survives_nothing() -> Result {
    let queue = Queue::new("q").durable();
    let before = Broker::new();
    let message = Message::new(1_u32).persistent();
    assert_eq!(
        before
            .producer::<u32>(&queue)?
            .publish_message(message)?
            .routed,
        1
    );
    assert!(
        before
            .declare(&Queue::new("q"))
            .unwrap_err()
            .is_inequivalent()
    );
    drop(before);
    let after = Broker::new();
    assert!(
        after
            .declare(&Queue::existing("q"))
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

#[test]
fn a_quorum_queue_is_a_classic_one_and_a_stream_is_refused() -> Result {
    let broker = Broker::new();
    let of_type = |kind: &str| Queue::new(kind).durable().argument("x-queue-type", kind);
    broker.declare(&of_type("quorum").delivery_limit(1))?;
    let error = broker.declare(&of_type("stream")).unwrap_err();
    assert_eq!(error.reply_code(), Some(540));
    Ok(())
}

#[test]
fn a_message_can_wait_before_it_comes_again() -> Result {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = Queue::new("q");
    assert_eq!(broker.producer::<u32>(&queue)?.publish(1)?.routed, 1);
    let consumer = broker.consumer::<u32>(&queue)?;
    consumer
        .recv()?
        .nack(Requeue::After(Duration::from_secs(10)))?;
    clock.advance(Duration::from_secs(9));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    clock.advance(Duration::from_secs(1));
    assert!(consumer.recv()?.info().redelivered());
    Ok(())
}

#[test]
fn a_time_out_goes_by_the_brokers_clock() -> Result {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let consumer = broker.consumer::<u32>(&Queue::new("q"))?;
    let receiver =
        thread::spawn(move || consumer.recv_timeout(Duration::from_secs(3600)).map(drop));
    while !receiver.is_finished() {
        clock.advance(Duration::from_secs(3600));
        thread::yield_now();
    }
    assert!(matches!(
        receiver.join().unwrap(),
        Err(RecvTimeoutError::Timeout)
    ));
    Ok(())
}

#[test]
fn a_blocking_queue_lets_its_publisher_wait_for_room() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    assert_eq!(producer.publish(1)?.routed, 1);
    let waiting = thread::spawn(move || producer.publish(2).map(|published| published.routed));
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    for n in [1, 2] {
        let delivery = mailbox.get()?;
        assert_eq!(*delivery, n);
        delivery.ack()?;
    }
    assert_eq!(waiting.join().unwrap()?, 1);
    Ok(())
}

#[test]
fn a_thousand_dead_letter_queues_need_no_stack() -> Result {
    let broker = Broker::new();
    for n in 0..1_000 {
        let next = Queue::new(format!("q{n}"))
            .max_length(0)
            .dead_letter_exchange("");
        broker.declare(&next.dead_letter_routing_key(format!("q{}", n + 1)))?;
    }
    let last = broker.simple_queue::<u32>(&Queue::new("q1000"))?;
    assert_eq!(
        broker
            .producer::<u32>(&Queue::existing("q0"))?
            .publish(7)?
            .routed,
        1
    );
    assert_eq!(*last.get()?, 7);
    Ok(())
}

#[test]
fn what_was_handed_over_is_not_overtaken_by_what_comes_back() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 1..=3 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let consumer = broker.consumer_builder::<u32>(&queue).prefetch(2).build()?;
    consumer.recv()?.nack(Requeue::Yes)?;
    let mut order = Vec::new();
    for _ in 0..3 {
        let delivery = consumer.recv()?;
        order.push(*delivery);
        delivery.ack()?;
    }
    assert_eq!(order, [2, 1, 3]);
    Ok(())
}

#[test]
fn a_single_active_consumer_that_leaves_at_its_limit_hands_the_backlog_over() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").single_active_consumer();
    let producer = broker.producer::<u32>(&queue)?;
    assert_eq!(producer.publish(1)?.routed + producer.publish(2)?.routed, 2);
    let active = broker.consumer_builder::<u32>(&queue).prefetch(1).build()?;
    let next = broker.consumer::<u32>(&queue)?;
    let _held = active.recv()?;
    assert!(matches!(next.try_recv(), Err(TryRecvError::Empty)));
    drop(active);
    assert_eq!(*next.try_recv()?, 2);
    Ok(())
}

#[test]
fn handles_go_to_other_threads_and_may_be_shared() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    shared::<Broker>();
    shared::<leveret::Connection>();
    shared::<leveret::Channel>();
    shared::<leveret::Producer<String>>();
    shared::<leveret::Consumer<String>>();
    shared::<leveret::SimpleQueue<String>>();
    sent::<leveret::Delivery<String>>();
}
