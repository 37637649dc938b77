//! The shutdown of a broker.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Consumer, Credentials, Delivery, Error, Exchange, Message, Producer, Properties, Queue,
    Requeue, Result, Select, ShutdownReport, TryRecvError,
    channel::{AckMode, Multiple, PublishOptions},
};

use crate::common::{HOUR, SECOND, in_time, on_a_manual_clock, queue};

#[test]
fn a_shutdown_lets_consumers_finish_and_reports_the_remaining_messages() -> Result {
    let broker = Broker::new();
    let (worked, idle) = (Queue::new("worked"), Queue::new("idle"));
    let producer = broker.producer::<u32>(&worked)?;
    broker.producer::<u32>(&idle)?.publish(7)?;
    for number in 0..100 {
        producer.publish(number)?;
    }
    let consumer = broker
        .consumer_builder::<u32>(&worked)
        .prefetch(3)
        .build()?;
    let held = consumer.recv()?;
    let closing = broker.clone();
    let shutdown = thread::spawn(move || closing.shutdown(Duration::from_secs(60)));
    // The shutdown ends publishing a moment after its call begins.
    until_refused(producer);
    let mut received = 1;
    held.ack()?;
    while let Ok(delivery) = consumer.recv() {
        received += 1;
        if delivery.ack().is_err() {
            break;
        }
    }
    let report = shutdown.join().unwrap()?;
    assert!(received >= 100, "{received}");
    assert!(!report.timed_out);
    assert_eq!(report.queues.len(), 1, "{report:?}");
    assert_eq!(
        (&*report.queues[0].queue, report.queues[0].ready),
        ("idle", 1)
    );
    assert!(matches!(broker.snapshot(), Err(Error::ShutDown)));
    Ok(())
}

#[test]
fn a_shutdown_whose_time_is_over_says_so() -> Result {
    let broker = Broker::new();
    let queue = broker.simple_queue::<u32>("q")?;
    queue.put(1)?;
    let held = queue.get()?;
    let report = broker.shutdown(Duration::from_millis(5))?;
    assert!(report.timed_out);
    assert_eq!(report.queues[0].unsettled, 1);
    assert!(matches!(held.ack(), Err(Error::ShutDown)));
    Ok(())
}

/// It is a race whether the shutdown already waits when the credit is counted. So the test runs it
/// several times.
#[test]
fn a_shutdown_is_told_of_the_last_settlement_though_credit_was_counted_meanwhile() {
    for _ in 0..20 {
        let (broker, clock) = on_a_manual_clock();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let ring = Queue::new("elsewhere").max_length(1);
        let elsewhere = broker.producer::<u32>(&ring).unwrap();
        let builder = broker.consumer_builder::<u32>(&queue());
        let consumer = builder.prefetch(16).build().unwrap();
        for number in 0..16 {
            producer.publish(number).unwrap();
        }
        let expiring = Message::new(16).expiration(SECOND);
        producer.publish_message(expiring).unwrap();
        let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
        held.remove(0).ack().unwrap();
        clock.advance(2 * SECOND);
        let ended = thread::spawn(move || broker.shutdown(HOUR).unwrap().timed_out);
        until_refused(elsewhere);
        for _ in 0..100 {
            assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
            thread::yield_now();
        }
        for delivery in held {
            delivery.ack().unwrap();
        }
        assert_eq!(in_time(move || ended.join().unwrap()), Some(false));
    }
}

/// Publishes in a thread of its own, which holds no delivery, until the shutdown refuses it.
fn until_refused(producer: Producer<u32>) {
    let outside = move || {
        while producer.publish(1_000).is_ok() {
            thread::yield_now();
        }
    };
    thread::spawn(outside).join().unwrap();
}

/// The number of messages of a queue in the report: left, and gone.
fn of_queue(report: &ShutdownReport, queue: &str) -> (u64, [u64; 3]) {
    let left = report.queues.iter().find(|left| *left.queue == *queue);
    let drained = report
        .drained
        .iter()
        .find(|drained| *drained.queue == *queue);
    (
        left.map_or(0, |left| left.ready + left.unsettled + left.delayed),
        drained.map_or([0; 3], |drained| {
            [drained.delivered, drained.dead_lettered, drained.dropped]
        }),
    )
}

#[test]
fn a_pipeline_with_a_delivery_limit_is_completed() -> Result {
    let broker = Broker::new();
    let (orders, invoices) = (
        Queue::new("orders").classic_delivery_limit(3),
        Queue::new("invoices"),
    );
    let from = broker
        .consumer_builder::<u32>(&orders)
        .prefetch(1)
        .build()?;
    let (to, sink) = (
        broker.producer::<u32>(&invoices)?,
        broker.consumer::<u32>(&invoices)?,
    );
    let producer = broker.producer::<u32>(&orders)?;
    producer
        .publish_batch(0..100)
        .collect::<Result<Vec<_>, _>>()?;
    let (first, begun) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let worker = thread::spawn({
        let (first, begun) = (Arc::clone(&first), Arc::clone(&begun));
        move || {
            let mut deliveries = 0;
            while let Ok(order) = from.recv() {
                if deliveries == 0 {
                    first.wait();
                    begun.wait();
                }
                deliveries += 1;
                to.publish(*order).unwrap();
                order.ack().unwrap();
            }
            deliveries
        }
    });
    let counter = thread::spawn(move || {
        let mut invoices = Vec::new();
        while let Ok(invoice) = sink.recv() {
            invoices.push(*invoice);
            invoice.ack().unwrap();
        }
        invoices
    });
    first.wait();
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    until_refused(producer);
    begun.wait();
    let report = shutdown.join().unwrap()?;
    let deliveries = worker.join().unwrap();
    // Before the shutdown has begun, it refuses no message from outside.
    let invoices = counter.join().unwrap();
    assert!(invoices.iter().copied().filter(|id| *id < 1_000).eq(0..100));
    assert!(!report.timed_out && report.queues.is_empty(), "{report:?}");
    assert!(deliveries >= 100);
    assert_eq!(of_queue(&report, "invoices").1[0], invoices.len() as u64);
    Ok(())
}

#[test]
fn a_request_in_flight_gets_its_reply() -> Result {
    let broker = Broker::new();
    let server = broker.consumer::<u32>("double")?;
    let replies = broker.consumer::<u32>(&Queue::temporary())?;
    let answer = broker.producer::<u32>(&Exchange::existing(""))?;
    let ask = broker.producer::<u32>("double")?;
    let request = Message::new(21).reply_to(replies.queue().to_string());
    ask.publish_message(request).map_err(Error::from)?;
    let received = Arc::new(Barrier::new(2));
    let refused = Arc::new(Barrier::new(2));
    let serving = thread::spawn({
        let (received, refused) = (Arc::clone(&received), Arc::clone(&refused));
        move || {
            let request = server.recv()?;
            received.wait();
            refused.wait();
            let reply_to = request
                .info()
                .properties()
                .reply_to
                .clone()
                .unwrap_or_default();
            answer.publish_message(Message::new(*request * 2).routing_key(reply_to))?;
            request.ack()
        }
    });
    received.wait();
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    until_refused(ask);
    refused.wait();
    let reply = replies.recv()?;
    assert_eq!(*reply, 42);
    reply.ack()?;
    serving.join().unwrap()?;
    assert!(!shutdown.join().unwrap()?.timed_out);
    Ok(())
}

#[test]
fn nobody_outside_publishes_after_the_first_refusal() -> Result {
    let broker = Broker::new();
    let held = {
        broker.producer::<u32>(&queue())?.publish(1)?;
        broker.consumer::<u32>(&queue())?
    };
    let delivery = held.recv()?;
    let fanout = broker.producer::<u32>(&Exchange::fanout("x"))?;
    let headers = broker.producer::<u32>(&Exchange::headers("h"))?;
    let direct = broker.producer::<u32>(&queue())?;
    let ring = broker.producer::<u32>(&Queue::new("ring").max_length(1))?;
    let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    let shutting_down = broker.clone();
    let shutdown = thread::spawn(move || shutting_down.shutdown(HOUR));
    until_refused(ring);
    thread::spawn(move || {
        for _ in 0..100 {
            assert!(fanout.publish(1).is_err());
            assert!(fanout.publish_to("key", 1).is_err());
            assert!(headers.publish(1).is_err());
            assert!(headers.publish_to("key", 1).is_err());
            assert!(direct.publish(1).is_err());
            assert!(direct.try_publish(1).is_err());
            assert!(
                direct
                    .publish_batch([1, 2])
                    .iter()
                    .all(|published| published.is_err())
            );
            let options = PublishOptions::new();
            let published = channel.basic_publish("", "q", "x", Properties::new(), options);
            assert_eq!(published, Err(Error::ShutDown));
        }
        assert_eq!(channel.tx_select(), Ok(()));
        assert_eq!(channel.tx_commit(), Err(Error::ShutDown));
    })
    .join()
    .unwrap();
    assert_eq!(broker.create_vhost("late"), Err(Error::ShutDown));
    delivery.ack()?;
    assert_eq!(of_queue(&shutdown.join().unwrap()?, "q").0, 0);
    Ok(())
}

/// A thread is inside only while it holds a delivery, and only at the broker of that delivery.
#[test]
fn a_settled_delivery_and_one_of_another_broker_let_nobody_in() -> Result {
    let (broker, other) = (Broker::new(), Broker::new());
    let (keeper, shutdown) = drained_but_for_one(&broker)?;
    for broker in [&broker, &other] {
        broker.simple_queue::<u32>("mine")?;
    }
    other.producer::<u32>("mine")?.publish(1)?;
    let of_other = other.simple_queue::<u32>("mine")?.get()?;
    let producer = broker.producer::<u32>("mine")?;
    assert_eq!(producer.publish(2).unwrap_err().error(), &Error::ShutDown);
    of_other.ack()?;
    // The keeper lets this thread in, and lets it out again.
    let delivery = keeper.recv()?;
    producer.publish(3)?;
    delivery.ack()?;
    assert_eq!(producer.publish(4).unwrap_err().error(), &Error::ShutDown);
    assert_eq!(of_queue(&shutdown.join().unwrap()?, "mine"), (1, [0; 3]));
    Ok(())
}

/// Begins a shutdown that waits for one message, which the consumer has not received yet.
#[allow(clippy::type_complexity)]
fn drained_but_for_one(
    broker: &Broker,
) -> Result<(Consumer<u32>, thread::JoinHandle<Result<ShutdownReport>>)> {
    let keeper = broker.consumer::<u32>("kept")?;
    let outside = broker.producer::<u32>("kept")?;
    let ring = broker.producer::<u32>(&Queue::new("ring").max_length(1))?;
    outside.publish(0)?;
    let broker = broker.clone();
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    until_refused(ring);
    Ok((keeper, shutdown))
}

#[test]
fn what_a_thread_has_given_away_counts_for_neither_thread_but_by_its_own_producer() -> Result {
    let broker = Broker::new();
    let (keeper, shutdown) = drained_but_for_one(&broker)?;
    let producer = broker.producer::<u32>(&Queue::new("out"))?;
    let delivery = keeper.recv()?;
    let on_behalf = delivery.producer(&producer);
    thread::spawn(move || {
        assert_eq!(producer.publish(1).unwrap_err().error(), &Error::ShutDown);
        on_behalf.publish(2).unwrap();
        on_behalf.clone().publish_to("out", 3).unwrap();
        delivery.nack(Requeue::No).unwrap();
        assert_eq!(on_behalf.publish(4).unwrap_err().error(), &Error::ShutDown);
    })
    .join()
    .unwrap();
    let report = shutdown.join().unwrap()?;
    assert_eq!(of_queue(&report, "out"), (2, [0; 3]));
    assert_eq!(of_queue(&report, "kept"), (0, [0, 0, 1]));
    Ok(())
}

#[test]
fn a_delayed_message_and_a_delayed_return_are_waited_for_until_the_deadline() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let retried = broker.consumer::<u32>("retried")?;
    let producer = broker.producer::<u32>("retried")?;
    let exchange = Exchange::fanout("later").delayed();
    let bound = broker.declare(&Queue::new("bound").bind(&exchange, ""))?;
    let after_exchange = broker.consumer::<u32>(&bound)?;
    let later = broker.producer::<u32>(&exchange)?;
    producer.publish(1)?;
    let too_late = Message::new(3).deliver_after(2 * HOUR);
    producer.publish_message(too_late).map_err(Error::from)?;
    let delayed = Message::new(4).deliver_after(3 * SECOND);
    later.publish_message(delayed).map_err(Error::from)?;
    let ring = broker.producer::<u32>(&Queue::new("ring").max_length(1))?;
    retried.recv()?.nack(Requeue::After(5 * SECOND))?;
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    until_refused(ring);
    clock.advance(3 * SECOND);
    let delivery = after_exchange.recv()?;
    assert_eq!(*delivery, 4);
    delivery.ack()?;
    assert!(matches!(retried.try_recv(), Err(TryRecvError::Empty)));
    clock.advance(2 * SECOND);
    let delivery = retried.recv()?;
    assert_eq!(*delivery, 1);
    delivery.ack()?;
    let report = shutdown.join().unwrap()?;
    assert!(!report.timed_out);
    assert_eq!(of_queue(&report, "retried"), (1, [1, 0, 0]));
    Ok(())
}

#[test]
fn a_message_that_returns_again_and_again_backs_off() -> Result {
    let broker = Broker::new();
    broker.producer::<u32>("q")?.publish(7)?;
    let consumer = broker.consumer::<u32>("q")?;
    let ring = broker.producer::<u32>(&Queue::new("ring").max_length(1))?;
    let shutdown = thread::spawn(move || broker.shutdown(Duration::from_millis(300)));
    until_refused(ring);
    // Without a pause there are many thousands, and a slow machine has fewer than another.
    let deliveries = consumer.iter().map(drop).count();
    assert!((3..60).contains(&deliveries), "{deliveries}");
    let report = shutdown.join().unwrap()?;
    assert!(report.timed_out);
    assert_eq!(of_queue(&report, "q").0, 1);
    Ok(())
}

#[test]
fn by_a_manual_clock_a_message_that_returns_comes_at_once() -> Result {
    let (broker, _) = on_a_manual_clock();
    let (keeper, shutdown) = drained_but_for_one(&broker)?;
    for _ in 0..20 {
        drop(keeper.recv()?);
    }
    keeper.recv()?.ack()?;
    assert!(!shutdown.join().unwrap()?.timed_out);
    Ok(())
}

#[test]
fn a_shutdown_without_a_deadline_ends_if_there_is_nothing_to_wait_for() -> Result {
    for queue in [Queue::new("q"), Queue::new("q").message_ttl(SECOND)] {
        let broker = Broker::new();
        broker.declare(&Exchange::fanout("later").delayed())?;
        let consumer = broker.consumer::<u32>(&queue)?;
        let ended = in_time(move || broker.shutdown(Duration::MAX));
        assert!(!ended.expect("it ends")?.timed_out);
        drop(consumer);
    }
    Ok(())
}

#[test]
fn publishes_that_are_refused_do_not_keep_a_shutdown_busy() -> Result {
    let broker = Broker::new();
    for number in 0..2_000 {
        broker.declare(&Queue::new(format!("q{number}")))?;
    }
    let producer = broker.producer::<u32>("q0")?;
    let outside = thread::spawn(move || {
        let mut refused = 0;
        while refused < 1_000_000 {
            match producer.publish(7) {
                Ok(_) => {}
                Err(error) if error.error() == &Error::ShutDown => refused += 1,
                Err(_) => break,
            }
        }
    });
    let ended = in_time(move || broker.shutdown(Duration::MAX));
    assert!(!ended.expect("it ends")?.timed_out);
    drop(outside);
    Ok(())
}

#[test]
fn a_thread_that_has_settled_what_it_received_is_outside_beside_other_receivers() -> Result {
    let broker = Broker::new();
    let consumer = Arc::new(broker.consumer::<u32>("shared")?);
    let shared = broker.producer::<u32>("shared")?;
    let ring = broker.producer::<u32>(&Queue::new("ring").max_length(1))?;
    let _ = shared.publish_batch([1, 2]);
    consumer.recv()?.ack()?;
    let (held, done) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let holding = thread::spawn({
        let (consumer, held, done) = (Arc::clone(&consumer), Arc::clone(&held), Arc::clone(&done));
        move || {
            let delivery = consumer.recv()?;
            held.wait();
            done.wait();
            delivery.ack()
        }
    });
    held.wait();
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    until_refused(ring.clone());
    assert_eq!(ring.publish(3).unwrap_err().error(), &Error::ShutDown);
    done.wait();
    holding.join().unwrap()?;
    assert!(!shutdown.join().unwrap()?.timed_out);
    Ok(())
}

#[test]
fn the_messages_of_a_queue_that_is_deleted_meanwhile_are_in_the_report() -> Result {
    let broker = Broker::new();
    let consumer = broker.consumer_builder::<u32>("gone").prefetch(3).build()?;
    let _ = broker.producer::<u32>("gone")?.publish_batch(0..7);
    let held = [consumer.recv()?, consumer.recv()?];
    let (keeper, shutdown) = drained_but_for_one(&broker)?;
    broker.delete(&Queue::new("gone"))?;
    let [acked, dropped] = held;
    acked.ack()?;
    drop(dropped);
    keeper.recv()?.ack()?;
    let report = shutdown.join().unwrap()?;
    assert_eq!(of_queue(&report, "gone"), (0, [1, 0, 6]));
    drop(consumer);
    Ok(())
}

#[test]
fn a_report_counts_what_was_delivered_dead_lettered_and_dropped() -> Result {
    let broker = Broker::new();
    let work = Queue::new("work")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    broker.declare(&Queue::new("dead"))?;
    let consumer = broker.consumer_builder::<u32>(&work).prefetch(1).build()?;
    let plain = broker.consumer::<u32>("plain")?;
    let ring = broker.producer::<u32>(&Queue::new("ring").max_length(1))?;
    let _ = broker.producer::<u32>(&work)?.publish_batch(0..5);
    let _ = broker.producer::<u32>("plain")?.publish_batch(0..3);
    let shutdown = thread::spawn(move || broker.shutdown(HOUR));
    until_refused(ring);
    for _ in 0..2 {
        consumer.recv()?.ack()?;
    }
    for _ in 0..3 {
        consumer.recv()?.reject()?;
    }
    plain.recv()?.ack()?;
    plain.recv()?.reject()?;
    plain.recv()?.ack()?;
    let report = shutdown.join().unwrap()?;
    assert_eq!(of_queue(&report, "work"), (0, [2, 3, 0]));
    assert_eq!(of_queue(&report, "plain"), (0, [2, 0, 1]));
    assert_eq!(of_queue(&report, "dead"), (3, [0; 3]));
    Ok(())
}

#[test]
fn a_task_shuts_a_broker_down_without_stopping_its_thread() -> Result {
    let (broker, clock) = on_a_manual_clock();
    broker.producer::<u32>("q")?.publish(7)?;
    let consumer = broker.consumer::<u32>("q")?;
    let delivery = consumer.recv()?;
    let mut shutdown = pin!(broker.shutdown_async(SECOND));
    let mut context = Context::from_waker(Waker::noop());
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    clock.advance(Duration::from_millis(999));
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    delivery.ack()?;
    match shutdown.as_mut().poll(&mut context) {
        Poll::Ready(report) => assert!(!report?.timed_out),
        Poll::Pending => panic!("it is quiet"),
    }
    Ok(())
}

#[test]
fn the_shutdown_of_a_task_ends_at_its_deadline_and_a_dropped_one_can_be_repeated() -> Result {
    let (broker, clock) = on_a_manual_clock();
    broker.producer::<u32>("q")?.publish(7)?;
    let consumer = broker.consumer::<u32>("q")?;
    let _held = consumer.recv()?;
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        pin!(broker.shutdown_async(SECOND))
            .poll(&mut context)
            .is_pending()
    );
    let mut shutdown = pin!(broker.shutdown_async(SECOND));
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    clock.advance(SECOND);
    match shutdown.as_mut().poll(&mut context) {
        Poll::Ready(report) => assert!(report?.timed_out),
        Poll::Pending => panic!("the deadline has passed"),
    }
    Ok(())
}

#[test]
fn a_channel_with_unsettled_deliveries_publishes_and_commits() -> Result {
    let broker = Broker::new();
    let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    broker.producer::<u32>("mine")?.publish(7)?;
    let (keeper, shutdown) = drained_but_for_one(&broker)?;
    let options = || PublishOptions::new();
    let got = channel
        .basic_get("mine", AckMode::Manual)?
        .expect("one is ready");
    let publishing = channel.clone();
    thread::spawn(move || {
        publishing.basic_publish("", "ring", "x", Properties::new(), options())?;
        publishing.tx_select()?;
        publishing.basic_publish("", "ring", "y", Properties::new(), options())?;
        publishing.basic_ack(got.delivery_tag(), Multiple::No)?;
        publishing.tx_commit()?;
        let late = publishing.basic_publish("", "ring", "z", Properties::new(), options());
        assert_eq!(late, Err(Error::ShutDown));
        Ok::<(), Error>(())
    })
    .join()
    .unwrap()?;
    keeper.recv()?.ack()?;
    assert!(!shutdown.join().unwrap()?.timed_out);
    Ok(())
}

/// Ways to receive all messages of a queue, and to hold them.
type Receive = fn(&Broker, &Consumer<u32>) -> Result<Vec<Delivery<u32>>>;

#[test]
fn a_thread_holds_what_it_has_received_in_any_way() -> Result {
    let ways: [Receive; 6] = [
        |_, consumer| Ok(vec![consumer.recv()?, consumer.try_recv()?]),
        |_, consumer| Ok(vec![consumer.recv_timeout(HOUR)?]),
        |_, consumer| Ok(consumer.recv_batch(2, Duration::ZERO)?.collect()),
        |_, consumer| Ok(consumer.iter().take(2).map(Result::unwrap).collect()),
        |_, consumer| {
            let mut select = Select::new();
            select.recv(consumer);
            Ok(vec![select.select().recv(consumer)?])
        },
        |broker, consumer| {
            // The shutdown waits for the delivery that another thread has received.
            let kept = thread::scope(|scope| scope.spawn(|| consumer.recv()).join().unwrap())?;
            consumer.cancel();
            let got = broker.simple_queue::<u32>("kept")?.get()?;
            kept.ack()?;
            Ok(vec![got])
        },
    ];
    for receive in ways {
        let broker = Broker::new();
        broker.producer::<u32>("kept")?.publish(1)?;
        let (keeper, shutdown) = drained_but_for_one(&broker)?;
        let producer = broker.producer::<u32>(&Queue::new("out"))?;
        let held = receive(&broker, &keeper)?;
        assert!(!held.is_empty());
        producer.publish(1)?;
        keeper.cancel();
        for delivery in held {
            producer.publish(2)?;
            delivery.ack()?;
        }
        assert_eq!(producer.publish(3).unwrap_err().error(), &Error::ShutDown);
        assert!(!shutdown.join().unwrap()?.timed_out);
    }
    Ok(())
}
