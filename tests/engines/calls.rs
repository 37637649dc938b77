//! Calls between programs over a RabbitMQ: the messages, and the end of a connection.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use leveret::{
    Broker, Error, Exchange, Message, Queue,
    channel::Event,
    rpc::{self, CallerGone, Client, Endpoint, RpcError, Server, ServerHandle, Target},
};

use crate::{
    engine::{Engine, LONG, SHORT, rabbitmq, rabbitmq_url},
    losing::{await_loss, behind_proxy, is_lost},
};

/// Serves doubles.
fn doubling(engine: &Engine, queue: &Queue) -> ServerHandle {
    rpc::serve::<u32, u32>(&engine.broker, queue, |number, _| number * 2).unwrap()
}

#[test]
fn a_server_answers_a_message_of_any_program() {
    let Some(engine) = rabbitmq() else { return };
    let (requests, replies) = (engine.queue("requests"), engine.queue("replies"));
    let server = doubling(&engine, &requests);
    let consumer = engine.broker.consumer::<u32>(&replies).unwrap();
    let producer = engine.broker.producer::<u32>(&requests).unwrap();
    let request = Message::new(21)
        .reply_to(replies.name())
        .correlation_id("id-7");
    producer.publish_message(request).unwrap();
    let reply = consumer.recv_timeout(LONG).unwrap();
    let id = reply.info().properties().correlation_id.clone();
    assert_eq!((*reply, id.as_deref()), (42, Some("id-7")));
    reply.ack().unwrap();
    // An error is a text with a header.
    let request = Message::new(1)
        .message_type("triple")
        .reply_to(replies.name());
    producer.publish_message(request).unwrap();
    let texts = engine.broker.consumer::<String>(&replies).unwrap();
    drop(consumer);
    let refused = texts.recv_timeout(LONG).unwrap();
    let properties = refused.info().properties();
    let kind = properties.header_value("x-rpc-error").unwrap();
    assert_eq!(kind.as_str(), Some("NoSuchMethod"));
    assert_eq!(*refused, "the server has no method 'triple'");
    server.stop_and_drain(LONG);
}

#[test]
fn a_client_calls_a_service_of_any_program() {
    let Some(engine) = rabbitmq() else { return };
    let queue = engine.queue("service");
    let requests = engine.broker.consumer::<u32>(&queue).unwrap();
    let replies = engine.broker.producer::<u32>(Exchange::existing(""));
    let replies = replies.unwrap();
    let service = thread::spawn(move || {
        let request = requests.recv_timeout(LONG).unwrap();
        let properties = request.info().properties().clone();
        assert_eq!(properties.message_type, None);
        let millis: u64 = properties.expiration.as_ref().unwrap().parse().unwrap();
        assert!((1..=LONG.as_millis() as u64).contains(&millis), "{millis}");
        let reply = Message::new(*request * 3)
            .routing_key(properties.reply_to.clone().unwrap())
            .correlation_id(properties.correlation_id.clone().unwrap());
        replies.publish_message(reply).unwrap();
        request.ack().unwrap();
    });
    let client = rpc::client::<u32, u32>(&engine.broker, &queue).timeout(LONG);
    assert_eq!(client.call(14), Ok(42));
    service.join().unwrap();
}

#[test]
fn a_request_ends_in_its_queue_when_its_caller_has_given_up() {
    let Some(engine) = rabbitmq() else { return };
    let queue = engine.queue("double");
    let waiting = engine.broker.simple_queue::<u32>(&queue).unwrap();
    let client = rpc::client::<u32, u32>(&engine.broker, &queue);
    assert_eq!(client.call_timeout(1, SHORT), Err(RpcError::Timeout));
    // There is no time to send it.
    assert_eq!(
        client.call_timeout(1, Duration::ZERO),
        Err(RpcError::Timeout)
    );
    let begin = Instant::now();
    while !waiting.is_empty().unwrap() {
        assert!(begin.elapsed() < LONG);
        thread::yield_now();
    }
    let server = doubling(&engine, &queue);
    assert_eq!(client.call(2), Ok(4));
    let report = server.stop_and_drain(LONG);
    assert_eq!(report.worker.counts.handled, 1, "{report:?}");
}

#[test]
fn a_stream_reaches_its_caller_also_if_its_method_ends_at_once() {
    let (Some(engine), Some(other)) = (rabbitmq(), rabbitmq()) else {
        return;
    };
    let target = Target::queue(engine.queue("count"));
    let endpoint = Endpoint::new().stream("count", |to: u32, _, replies| {
        (0..to).try_for_each(|number| replies.send(number))
    });
    // The server has called no one, and so the first reply opens its channel of calls.
    let server = Server::new(&other.broker, target.clone()).endpoint(endpoint);
    let server = server.spawn().unwrap();
    let client = Client::new(&engine.broker, target).timeout(LONG);
    let replies: Result<Vec<u32>, _> = client.call_stream("count", 3_u32).unwrap().collect();
    assert_eq!(replies, Ok(vec![0, 1, 2]));
    server.stop_and_drain(LONG);
}

#[test]
fn a_stream_waits_for_a_caller_who_is_slow() {
    let Some(engine) = rabbitmq() else { return };
    let target = Target::queue(engine.queue("count"));
    let taken = Arc::new(AtomicI64::new(0));
    let seen = Arc::clone(&taken);
    let endpoint = Endpoint::new().stream("count", move |to: i64, _, replies| {
        (0..to).try_for_each(|number| {
            replies.send(number)?;
            // One reply is taken and not counted.
            let waiting = number - seen.load(SeqCst);
            assert!(waiting <= 256, "{waiting} wait");
            Ok::<(), CallerGone>(())
        })
    });
    let server = Server::new(&engine.broker, target.clone()).endpoint(endpoint);
    let server = server.spawn().unwrap();
    let client = Client::new(&engine.broker, target);
    let replies = client.call_stream::<i64>("count", 2_000_i64).unwrap();
    let mut expected = 0..2_000;
    for number in replies {
        assert_eq!(Some(number.unwrap()), expected.next());
        taken.fetch_add(1, SeqCst);
    }
    assert!(expected.is_empty());
    server.stop_and_drain(LONG);
}

#[test]
fn a_stream_ends_when_its_caller_has_gone() {
    let Some(engine) = rabbitmq() else { return };
    let target = Target::queue(engine.queue("count"));
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let endpoint = Endpoint::new().stream("count", move |(): (), _, replies| {
        let gone = (0..).try_for_each(|number: u64| replies.send(number));
        tell.lock().unwrap().send(gone).unwrap();
        gone
    });
    let server = Server::new(&engine.broker, target.clone()).endpoint(endpoint);
    let server = server.spawn().unwrap();
    let client = Client::new(&engine.broker, target);
    let replies = client.call_stream::<u64>("count", ()).unwrap();
    assert_eq!(replies.take(5).filter(Result::is_ok).count(), 5);
    assert_eq!(told.recv_timeout(LONG), Ok(Err(CallerGone)));
    server.stop_and_drain(LONG);
}

/// Serves a method that replies when it is told to. Returns how it is told, and when it begins.
fn waiting(broker: &Broker, queue: &Queue) -> (ServerHandle, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (release, released) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let (released, begin) = (Mutex::new(released), Mutex::new(begin));
    let server = rpc::serve::<u32, u32>(broker, queue, move |number, _| {
        begin.lock().unwrap().send(()).unwrap();
        // The other end may have gone.
        let _ = released.lock().unwrap().recv();
        number
    });
    (server.unwrap(), release, begun)
}

#[test]
fn a_publish_to_an_exchange_that_is_gone_loses_no_reply() {
    let Some(engine) = rabbitmq() else { return };
    let queue = engine.queue("slow");
    let (server, release, begun) = waiting(&engine.broker, &queue);
    let client = rpc::client::<u32, u32>(&engine.broker, &queue).timeout(LONG);
    let calling = thread::spawn(move || client.call(7));
    begun.recv_timeout(LONG).unwrap();
    let exchange = Exchange::fanout(engine.exchange("gone"));
    let lost = engine.broker.producer::<u32>(&exchange).unwrap();
    engine.broker.delete(&exchange).unwrap();
    assert!(lost.publish(1).unwrap_err().error().is_not_found());
    release.send(()).unwrap();
    assert_eq!(calling.join().unwrap(), Ok(7));
    server.stop_and_drain(LONG);
}

#[test]
fn a_call_to_an_exchange_that_is_gone_has_no_server_and_others_are_told() {
    let Some(engine) = rabbitmq() else { return };
    let queue = engine.queue("slow");
    let (server, release, begun) = waiting(&engine.broker, &queue);
    let slow = rpc::client::<u32, u32>(&engine.broker, &queue).timeout(LONG);
    let exchange = engine.exchange("rpc");
    let gone = Client::new(&engine.broker, Target::topic("t").exchange(&exchange));
    assert!(matches!(gone.ping(), Err(RpcError::NoServer { .. })));
    let calling = thread::spawn(move || (slow.call(7), slow));
    begun.recv_timeout(LONG).unwrap();
    engine
        .broker
        .delete(&Exchange::existing(&exchange))
        .unwrap();
    assert!(matches!(gone.ping(), Err(RpcError::NoServer { .. })));
    let (ended, slow) = calling.join().unwrap();
    let is_told = matches!(ended, Err(RpcError::Broker(Error::ConnectionLost { .. })));
    assert!(is_told, "{ended:?}");
    // The next call has another channel.
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(slow.call(8), Ok(8));
    server.stop_and_drain(LONG);
}

#[test]
fn a_call_ends_with_its_connection_and_the_next_one_has_another() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let events = engine.broker.vhost("/").unwrap().events();
    let queue = engine.queue("slow");
    let direct = rabbitmq().unwrap();
    let (server, release, begun) = waiting(&direct.broker, &queue);
    let client = rpc::client::<u32, u32>(&engine.broker, &queue).timeout(LONG);
    let calling = thread::spawn(move || (client.call(7), client));
    begun.recv_timeout(LONG).unwrap();
    proxy.cut();
    await_loss(&events);
    let (ended, client) = calling.join().unwrap();
    match ended {
        Err(RpcError::Broker(error)) => assert!(is_lost(&error, &proxy), "{error}"),
        other => panic!("{other:?}"),
    }
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(client.call(8), Ok(8));
    // A call without a connection waits for the next one, as long as it may.
    proxy.close();
    await_loss(&events);
    let begin = Instant::now();
    let late = client.client().call_timeout::<u32>("", 9_u32, SHORT);
    assert_eq!(late, Err(RpcError::Timeout));
    assert!(begin.elapsed() < LONG);
    server.stop_and_drain(Duration::ZERO);
}

#[test]
fn a_lost_connection_takes_no_reply_that_has_come() {
    let Some((engine, proxy)) = behind_proxy() else {
        return;
    };
    let events = engine.broker.vhost("/").unwrap().events();
    let direct = rabbitmq().unwrap();
    let target = Target::queue(engine.queue("count"));
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let endpoint = Endpoint::new()
        .stream("all", |to: u32, _, replies| {
            (0..to).try_for_each(|number| replies.send(number))
        })
        .stream("some", move |to: u32, _, replies| {
            let end = (0..to).try_for_each(|number| replies.send(number));
            // The other end may have gone.
            let _ = released.lock().unwrap().recv();
            end
        });
    let server = Server::new(&direct.broker, target.clone());
    let server = server.concurrency(2).endpoint(endpoint).spawn().unwrap();
    let client = Client::new(&engine.broker, target).timeout(LONG);
    let some = client.call_stream::<u32>("some", 3_u32).unwrap();
    let mut some = some.peekable();
    assert_eq!(some.peek(), Some(&Ok(0)));
    let all = client.call_stream::<u32>("all", 3_u32).unwrap();
    // The replies to a later call come after those to an earlier one.
    let later = client.call_stream::<u32>("all", 1_u32).unwrap();
    assert_eq!(later.collect::<Result<Vec<_>, _>>(), Ok(vec![0]));
    proxy.cut();
    await_loss(&events);
    let is_restored = |event| matches!(event, (0, Event::ConnectionRestored { .. }));
    while !is_restored(events.recv_timeout(LONG).unwrap()) {}
    assert_eq!(all.collect::<Result<Vec<_>, _>>(), Ok(vec![0, 1, 2]));
    let some: Vec<_> = some.collect();
    assert_eq!(some[..3], [Ok(0), Ok(1), Ok(2)]);
    assert!(matches!(
        some[3..],
        [Err(RpcError::Broker(Error::ConnectionLost { .. }))]
    ));
    drop(release);
    server.stop_and_drain(LONG);
}

#[test]
fn a_call_without_a_channel_fails_at_once_and_later_ones_have_one() {
    let (Some(engine), Some(url)) = (rabbitmq(), rabbitmq_url()) else {
        return;
    };
    let queue = engine.queue("double");
    let server = doubling(&engine, &queue);
    let few = Broker::open(&format!("{url}/?channel_max=8")).unwrap();
    let other = engine.queue("other");
    let mut consumers = Vec::new();
    let full = loop {
        assert!(consumers.len() < 8);
        match few.consumer::<u32>(&other) {
            Ok(consumer) => consumers.push(consumer),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::ResourceError(_)), "{full}");
    let client = rpc::client::<u32, u32>(&few, queue.name()).timeout(LONG);
    for _ in 0..2 {
        let refused = client.call(7);
        let is_told = matches!(refused, Err(RpcError::Broker(Error::ResourceError(_))));
        assert!(is_told, "{refused:?}");
    }
    drop(consumers);
    let begin = Instant::now();
    while client.call(8) != Ok(16) {
        assert!(begin.elapsed() < LONG);
    }
    server.stop_and_drain(LONG);
}
