//! A RabbitMQ whose connection is lost, and one that cannot be reached.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_lite::future::block_on;
use leveret::{
    Backoff, Broker, CancelReason, Credentials, Error, Exchange, Message, Queue, RecvTimeoutError,
    Unconfirmed,
    channel::{Event, Events},
};

use crate::{
    engine::{Engine, LONG, SHORT, rabbitmq, rabbitmq_url},
    proxy::Proxy,
};

const QUICK: Backoff = Backoff::constant(Duration::from_millis(20));

/// A client behind a proxy, if there is a RabbitMQ.
pub(crate) fn behind_proxy() -> Option<(Engine, Proxy)> {
    let proxy = Proxy::of(&rabbitmq_url()?);
    let mut engine = rabbitmq()?;
    engine.broker = Broker::rabbitmq(&proxy.url())
        .reconnect(QUICK)
        .open()
        .unwrap();
    Some((engine, proxy))
}

pub(crate) fn is_lost(error: &Error, proxy: &Proxy) -> bool {
    matches!(error, Error::ConnectionLost { address, .. } if **address == *proxy.address())
}

/// Waits until a connection is told to be lost.
pub(crate) fn await_loss(events: &Events<(u16, Event)>) {
    let is_lost = |event| matches!(event, (0, Event::ConnectionLost { .. }));
    while !is_lost(events.recv_timeout(LONG).unwrap()) {}
}

#[test]
fn a_delivery_of_a_lost_connection_comes_again() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let consumer = engine.broker.consumer::<u32>(&queue).unwrap();
    for number in 0..10 {
        producer.publish(number).unwrap();
    }
    let connection = engine.broker.vhost("/").unwrap();
    let events = connection.events();
    let first = consumer.recv_timeout(LONG).unwrap();
    let dropped = consumer.recv_timeout(LONG).unwrap();
    consumer.recv_timeout(LONG).unwrap().ack().unwrap(); // 2
    // An acknowledgement has no answer. This has one, and comes behind it.
    engine.broker.declare(&queue).unwrap();
    proxy.cut();
    match events.recv_timeout(LONG).unwrap() {
        (0, Event::ConnectionLost { error }) => assert!(is_lost(&error, &proxy), "{error}"),
        other => panic!("{other:?}"),
    }
    let error = first.ack().unwrap_err();
    assert!(is_lost(&error, &proxy), "{error}");
    drop(dropped);
    while !matches!(
        events.recv_timeout(LONG).unwrap(),
        (0, Event::ConnectionRestored { address }) if *address == *proxy.address()
    ) {}
    let mut left: Vec<u32> = (0..9)
        .map(|_| {
            let delivery = consumer.recv_timeout(LONG).unwrap();
            let number = *delivery;
            assert!(delivery.info().redelivered(), "{number}");
            delivery.ack().unwrap();
            number
        })
        .collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 3, 4, 5, 6, 7, 8, 9]);
    assert!(matches!(
        consumer.recv_timeout(SHORT),
        Err(RecvTimeoutError::Timeout)
    ));
}

#[test]
fn no_confirmed_message_is_lost_while_connections_break() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u64>(&queue).unwrap();
    let consumer = engine.broker.consumer::<u64>(&queue).unwrap();
    let (is_over, expected) = (AtomicBool::new(false), OnceLock::new());
    let (confirmed, received) = thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut confirmed = 0;
            while !is_over.load(SeqCst) {
                let results = producer.publish_batch(confirmed..confirmed + 50);
                for result in results {
                    assert_eq!(result.unwrap().routed, 1);
                }
                confirmed += 50;
            }
            expected.set(confirmed).unwrap();
            confirmed
        });
        let receiving = scope.spawn(|| {
            let mut received: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
            let mut last = Instant::now();
            while expected.get() != Some(&(received.len() as u64)) {
                match consumer.recv_timeout(SHORT) {
                    Ok(delivery) => {
                        let is_again = delivery.info().redelivered();
                        received.entry(*delivery).or_default().push(is_again);
                        // A lost acknowledgement is no loss.
                        let _ = delivery.ack();
                        last = Instant::now();
                    }
                    Err(RecvTimeoutError::Timeout) if last.elapsed() < LONG => {}
                    Err(_) => break,
                }
            }
            received
        });
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(150));
            proxy.cut();
        }
        is_over.store(true, SeqCst);
        (publishing.join().unwrap(), receiving.join().unwrap())
    });
    assert!(received.keys().copied().eq(0..confirmed));
    println!(
        "{confirmed} confirmed, {} received more than once",
        received.values().filter(|times| times.len() > 1).count()
    );
}

#[test]
fn what_is_unconfirmed_is_given_back_if_that_is_wanted() {
    let Some(url) = rabbitmq_url() else { return };
    let (mut engine, proxy) = (rabbitmq().unwrap(), Proxy::of(&url));
    let builder = Broker::rabbitmq(&proxy.url()).reconnect(QUICK);
    engine.broker = builder.unconfirmed(Unconfirmed::GiveBack).open().unwrap();
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    producer.publish(0).unwrap();
    proxy.stall();
    let mut late = pin!(producer.publish_async(1));
    let mut context = Context::from_waker(Waker::noop());
    assert!(late.as_mut().poll(&mut context).is_pending());
    proxy.close();
    proxy.open();
    proxy.close();
    let (error, payload) = block_on(late).unwrap_err().into_parts();
    assert!(is_lost(&error, &proxy), "{error}");
    assert_eq!(payload, Some(1));
    let (error, payload) = producer.publish(2).unwrap_err().into_parts();
    assert!(is_lost(&error, &proxy), "{error}");
    assert_eq!(payload, Some(2));
    proxy.open();
    let begin = Instant::now();
    while producer.publish(3).is_err() {
        assert!(begin.elapsed() < LONG);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_this_program_declared_is_declared_again() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let news = Exchange::topic(engine.exchange("news"));
    let subscriber = engine.broker.subscribe_to::<u32>(&news, "a.*").unwrap();
    let exclusive = Queue::exclusive().bind(&news, "b.#");
    let exclusive = engine.broker.declare(&exclusive).unwrap();
    let publisher = engine.broker.producer::<u32>(&news).unwrap();
    for round in 0..3 {
        assert_eq!(publisher.publish_to("a.b", round).unwrap().routed, 1);
        assert_eq!(*subscriber.recv_timeout(LONG).unwrap(), round);
        assert_eq!(publisher.publish_to("b", round).unwrap().routed, 1);
        proxy.cut();
        // It waits for the next connection.
        assert_eq!(engine.broker.purge(&exclusive).unwrap(), 0);
    }
}

#[test]
fn connections_that_end_at_once_count_as_attempts() {
    let Some(url) = rabbitmq_url() else { return };
    let (engine, proxy) = (rabbitmq().unwrap(), Proxy::of(&url));
    let builder = Broker::rabbitmq(&proxy.url()).reconnect(QUICK.max_attempts(4));
    let client = builder.open().unwrap();
    let queue = engine.queue("q");
    let consumer = client.consumer::<u32>(&queue).unwrap();
    // The client is welcome, and its connection ends when it starts.
    proxy.limit(500);
    match consumer.recv_timeout(LONG) {
        Err(RecvTimeoutError::Cancelled(CancelReason::ConnectionClosed)) => {}
        other => panic!("{other:?}"),
    }
    assert!(
        (2..=5).contains(&proxy.connections()),
        "{}",
        proxy.connections()
    );
}

#[test]
fn a_client_is_closed_while_it_connects_again() {
    let Some(url) = rabbitmq_url() else { return };
    let (engine, proxy) = (rabbitmq().unwrap(), Proxy::of(&url));
    let client = Broker::rabbitmq(&proxy.url()).reconnect(QUICK);
    let client = client.open().unwrap();
    let connection = client.connect("/", Credentials::guest()).unwrap();
    let consumer = connection.consumer::<u32>(&engine.queue("q")).unwrap();
    let events = connection.events();
    // The next connection starts, and its server says nothing.
    proxy.stall();
    proxy.cut();
    await_loss(&events);
    let begin = Instant::now();
    connection.close().unwrap();
    assert!(matches!(
        consumer.recv_timeout(LONG),
        Err(RecvTimeoutError::Cancelled(CancelReason::ConnectionClosed))
    ));
    drop((connection, client));
    assert!(begin.elapsed() < LONG);
}

#[test]
fn an_address_of_ipv6_is_one() {
    let Some(url) = rabbitmq_url() else { return };
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap_or(5672);
    if TcpStream::connect(("::1", port)).is_err() {
        println!("SKIPPED: no RabbitMQ answers at [::1]:{port}");
        return;
    }
    let broker = Broker::open(&format!("amqp://guest:guest@[::1]:{port}")).unwrap();
    assert!(broker.vhost("/").unwrap().is_open());
}

#[test]
fn a_silent_server_is_noticed_by_its_heartbeats() {
    let Some(url) = rabbitmq_url() else { return };
    let (mut engine, proxy) = (rabbitmq().unwrap(), Proxy::of(&url));
    let builder = Broker::rabbitmq(&proxy.url()).reconnect(QUICK);
    let builder = builder.connect_timeout(Duration::from_secs(1));
    engine.broker = builder.heartbeat(Duration::from_secs(1)).open().unwrap();
    let events = engine.broker.vhost("/").unwrap().events();
    proxy.stall();
    match events.recv_timeout(LONG).unwrap() {
        (0, Event::ConnectionLost { error }) => assert!(is_lost(&error, &proxy), "{error}"),
        other => panic!("{other:?}"),
    }
    proxy.open();
    let queue = engine.queue("q");
    engine
        .broker
        .producer(&queue)
        .unwrap()
        .publish(1_u32)
        .unwrap();
}

#[test]
fn a_client_that_gives_up_ends_everything() {
    let Some(url) = rabbitmq_url() else { return };
    let (mut engine, proxy) = (rabbitmq().unwrap(), Proxy::of(&url));
    let builder = Broker::rabbitmq(&proxy.url()).reconnect(QUICK.max_attempts(3));
    let client = builder.open().unwrap();
    let queue = engine.queue("q");
    let producer = client.producer::<u32>(&queue).unwrap();
    let consumer = client.consumer::<u32>(&queue).unwrap();
    producer.publish(1).unwrap();
    let held = consumer.recv_timeout(LONG).unwrap();
    proxy.close();
    match consumer.recv_timeout(LONG) {
        Err(RecvTimeoutError::Cancelled(CancelReason::ConnectionClosed)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(held.ack(), Err(Error::ConnectionClosed));
    let (error, payload) = producer.publish(2).unwrap_err().into_parts();
    assert_eq!((error, payload), (Error::ConnectionClosed, Some(2)));
    assert_eq!(client.purge(&queue), Err(Error::ConnectionClosed));
    engine.broker = Broker::open(&url).unwrap();
    let again = engine.broker.consumer::<u32>(&queue).unwrap();
    assert_eq!(again.recv_timeout(LONG).unwrap().ack_into().unwrap(), 1);
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    // A port that was free a moment ago has no listener.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let Error::ConnectFailed { address, fault } =
        Broker::open(&format!("amqp://{free}")).unwrap_err()
    else {
        panic!("it connected");
    };
    assert_eq!(*address, free.to_string());
    assert!(!fault.is_empty());
    // This one accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let _kept = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = Instant::now();
    let timeout = Duration::from_millis(200);
    let builder = Broker::rabbitmq(&format!("amqp://{silent}")).connect_timeout(timeout);
    assert!(matches!(builder.open(), Err(Error::ConnectFailed { .. })));
    assert!(begin.elapsed() < LONG);
    if let Some(url) = rabbitmq_url() {
        // The next server is tried.
        let broker = Broker::open(&format!("amqp://{free};{url}")).unwrap();
        assert!(broker.vhost("/").unwrap().is_open());
    }
}

#[test]
fn a_login_is_refused_as_in_this_process() {
    let Some(url) = rabbitmq_url() else { return };
    let host = url.rsplit_once('@').unwrap().1;
    for (error, code) in [
        (Broker::open(&format!("amqp://guest:wrong@{host}")), 403),
        (
            Broker::open(&format!("amqp://guest:guest@{host}/no%20such")),
            530,
        ),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.reply_code(), Some(code), "{error}");
    }
    let broker = Broker::open(&url).unwrap();
    let here = Broker::new();
    let wrong = || Credentials::new("guest", "wrong");
    assert_eq!(
        broker.connect("/", wrong()).unwrap_err(),
        here.connect("/", wrong()).unwrap_err()
    );
    let nowhere = broker.vhost("nowhere").unwrap_err();
    assert_eq!(
        nowhere,
        here.connect("nowhere", Credentials::guest()).unwrap_err()
    );
}

#[test]
fn what_rabbitmq_cannot_do_is_refused_when_it_is_asked_for() {
    let Some(engine) = rabbitmq() else { return };
    let broker = &engine.broker;
    let queue = engine.queue("q");
    let not_implemented = |error: &Error| assert_eq!(error.reply_code(), Some(540), "{error}");
    not_implemented(&broker.snapshot().unwrap_err());
    not_implemented(&broker.create_vhost("x").unwrap_err());
    not_implemented(&broker.vhost("/").unwrap().open_channel().unwrap_err());
    not_implemented(&broker.simple_buffer::<u32>("b").unwrap_err());
    let blocks = queue
        .clone()
        .max_length(1)
        .overflow(leveret::Overflow::Block);
    not_implemented(&broker.declare(&blocks).unwrap_err());
    not_implemented(&broker.declare(&queue.clone().budget("b")).unwrap_err());
    not_implemented(&broker.declare(&leveret::Budget::new("b", 1)).unwrap_err());
    let producer = broker.producer::<u32>(&queue).unwrap();
    let later = Message::new(1).deliver_after(LONG);
    not_implemented(producer.publish_message(later).unwrap_err().error());
    producer.publish(1).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    let delivery = consumer.recv_timeout(LONG).unwrap();
    not_implemented(&delivery.nack(leveret::Requeue::After(LONG)).unwrap_err());
    // It is requeued at once.
    assert!(consumer.recv_timeout(LONG).unwrap().info().redelivered());
    let local = broker.producer::<leveret::Local<u32>>(&queue).unwrap();
    let refused = local.publish(leveret::Local(7)).unwrap_err();
    assert!(matches!(refused.error(), Error::Codec(_)), "{refused:?}");
    assert_eq!(refused.into_inner().map(|local| local.0), Some(7));
}

#[test]
fn a_shutdown_lets_workers_finish_what_they_have() {
    let Some(url) = rabbitmq_url() else { return };
    let engine = rabbitmq().unwrap();
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    assert!(producer.publish_batch(0..20).iter().all(Result::is_ok));
    let client = Broker::open(&url).unwrap();
    let (sender, handled) = mpsc::channel();
    let worker = client.worker::<u32>(&queue).prefetch(5);
    let worker = worker.handler(move |number, _| {
        thread::sleep(Duration::from_millis(2));
        sender.send(*number)
    });
    let worker = worker.spawn().unwrap();
    handled.recv_timeout(LONG).unwrap();
    assert!(!client.shutdown(LONG).unwrap().timed_out);
    let counts = worker.join().counts;
    assert_eq!(counts.handled, counts.acked);
    drop(client);
    // RabbitMQ has the rest, some of it a moment later. It has an acknowledgement of each message
    // that was handled.
    let (mut left, begin) = (0, Instant::now());
    while counts.acked + left < 20 {
        left += engine.broker.purge(&queue).unwrap();
        assert!(begin.elapsed() < LONG, "{counts:?}, {left} left");
    }
    assert_eq!(counts.acked + left, 20, "{counts:?}");
}
