//! Programs outside call services of this process, and serve its clients.

use std::{pin::pin, sync::mpsc, thread, time::Duration};

use futures_lite::future::{block_on, poll_once};
use leveret::{
    Broker, Connection, Credentials, FieldTable, ManualClock, Message, Properties, Queue,
    channel::{AckMode, ConsumeOptions, Event, PublishOptions},
    rpc::{self, Client as RpcClient, Endpoint, RpcError, Server, ServerHandle, Target},
};
use serde::{Deserialize, Serialize};

use super::client;
use crate::wire::{Arguments, Client, Incoming, content, method};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    number: u32,
}

/// Publishes to a queue by the default exchange.
fn publish(client: &mut Client, queue: &str, properties: &Properties, body: &[u8]) {
    let publish = Arguments::new().short(0).text("").text(queue).octet(0);
    client.send(&method(1, (60, 40), publish));
    let properties = Arguments::new().properties(properties).0;
    client.send(&content(1, &properties, body, 131_064));
}

/// The next delivery to the client.
fn delivery(client: &mut Client) -> Incoming {
    let is_delivery = |it: &Incoming| it.id == (60, 60);
    client.pump_until(|incoming| incoming.iter().any(is_delivery));
    let at = client.incoming.iter().position(is_delivery).unwrap();
    client.incoming.remove(at).unwrap()
}

/// A client that consumes from a queue of its own for replies.
fn caller(broker: &Broker) -> Client {
    let mut client = client(broker);
    client.declare(1, "replies").unwrap();
    client
        .consume(1, "replies", "", [false, true, false, false])
        .unwrap();
    client
}

/// Calls the service at the queue `service`, and returns its reply.
fn call(client: &mut Client, properties: Properties, body: &[u8]) -> Incoming {
    let properties = properties.reply_to("replies").correlation_id("id-7");
    publish(client, "service", &properties, body);
    let reply = delivery(client);
    let id = reply.properties.correlation_id.as_deref();
    assert_eq!(id, Some("id-7"));
    reply
}

fn doubling(broker: &Broker) -> ServerHandle {
    rpc::serve::<Asked, u32>(broker, "service", |asked, _| asked.number * 2).unwrap()
}

fn header<'a>(reply: &'a Incoming, name: &str) -> Option<&'a str> {
    reply.properties.header_value(name)?.as_str()
}

#[test]
fn a_service_answers_a_client_at_a_queue_of_its_own() {
    let broker = Broker::new();
    let _server = doubling(&broker);
    let mut client = caller(&broker);
    // As kombu sends it, and as a client that sets nothing.
    let kombu = Properties::new()
        .content_type("application/json")
        .content_encoding("utf-8");
    for properties in [kombu, Properties::new()] {
        let reply = call(&mut client, properties, br#"{"number": 21}"#);
        assert_eq!(reply.body, b"42");
        let content_type = reply.properties.content_type.as_deref();
        assert_eq!(content_type, Some("application/json"));
        assert_eq!(reply.properties.headers, None);
    }
}

#[test]
fn a_service_answers_a_client_by_direct_reply_to() {
    let broker = Broker::new();
    let _server = doubling(&broker);
    let mut client = client(&broker);
    let reply_to = "amq.rabbitmq.reply-to";
    client
        .consume(1, reply_to, "", [false, true, false, false])
        .unwrap();
    let properties = Properties::new().reply_to(reply_to).correlation_id("1");
    publish(&mut client, "service", &properties, br#"{"number": 4}"#);
    let reply = delivery(&mut client);
    assert_eq!(reply.body, b"8");
    assert_eq!(reply.properties.correlation_id.as_deref(), Some("1"));
}

#[test]
fn a_service_answers_a_channel_of_this_process() {
    let broker = Broker::new();
    let _server = doubling(&broker);
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    let reply_to = "amq.rabbitmq.reply-to";
    let options = ConsumeOptions::new().auto_ack();
    channel.basic_consume(reply_to, options).unwrap();
    let properties = Properties::new().reply_to(reply_to);
    let options = PublishOptions::new();
    channel
        .basic_publish("", "service", r#"{"number": 5}"#, properties, options)
        .unwrap();
    match channel.events().recv().unwrap() {
        Event::Delivery(reply) => assert_eq!(&*reply.body().unwrap(), b"10"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_is_answered_by_text_and_a_packed_request_in_its_format() {
    let broker = Broker::new();
    let _server =
        rpc::serve::<String, String>(&broker, "service", |name, _| format!("hello, {name}"))
            .unwrap();
    let mut client = caller(&broker);
    let text = Properties::new().content_type("text/plain");
    let reply = call(&mut client, text, b"Ada");
    assert_eq!(reply.body, b"hello, Ada");
    let content_type = reply.properties.content_type.as_deref();
    assert_eq!(content_type, Some("text/plain"));
}

#[test]
fn text_is_answered_by_json_if_the_answer_is_no_text() {
    let broker = Broker::new();
    let _server = rpc::serve::<String, usize>(&broker, "service", |name, _| name.len()).unwrap();
    let mut client = caller(&broker);
    let text = Properties::new().content_type("text/plain");
    let reply = call(&mut client, text, b"Ada");
    assert_eq!(reply.body, b"3");
    let content_type = reply.properties.content_type.as_deref();
    assert_eq!(content_type, Some("application/json"));
}

#[test]
#[cfg(feature = "msgpack")]
fn a_request_in_msgpack_is_answered_in_msgpack() {
    let broker = Broker::new();
    let _server = rpc::serve::<Asked, Asked>(&broker, "service", |asked, _| asked).unwrap();
    let mut client = caller(&broker);
    let properties = Properties::new().content_type("application/x-msgpack");
    let body = b"\x81\xa6number\x07";
    let reply = call(&mut client, properties, body);
    assert_eq!(reply.body, body);
    let content_type = reply.properties.content_type.as_deref();
    assert_eq!(content_type, Some("application/x-msgpack"));
}

/// Serves methods that fail in different ways.
fn failing(broker: &Broker) -> ServerHandle {
    let endpoint = Endpoint::new()
        .method("double", |asked: Asked, _| asked.number * 2)
        .try_method("half", |asked: Asked, _| match asked.number % 2 {
            0 => Ok(asked.number / 2),
            _ => Err(format!("{} is odd", asked.number)),
        })
        .method("panic", |(): (), _| -> u32 { panic!("no") });
    Server::new(broker, Target::queue("service"))
        .endpoint(endpoint)
        .access(|context| context.method() != "secret")
        .spawn()
        .unwrap()
}

#[test]
fn errors_reach_a_client_as_a_header_and_a_text() {
    let broker = Broker::new();
    let _server = failing(&broker);
    let mut client = caller(&broker);
    let expected = [
        ("double", r#"{"n": 1}"#, "BadArguments", "bad arguments: "),
        ("double", "not JSON", "BadArguments", "bad arguments: "),
        ("half", r#"{"number": 7}"#, "Remote", "7 is odd"),
        ("panic", "null", "Panicked", "the method panicked: no"),
        (
            "triple",
            "null",
            "NoSuchMethod",
            "the server has no method 'triple'",
        ),
        (
            "secret",
            "null",
            "Denied",
            "access to the method 'secret' is denied",
        ),
    ];
    for (name, body, kind, text) in expected {
        let properties = Properties::new().message_type(name);
        let reply = call(&mut client, properties, body.as_bytes());
        assert_eq!(header(&reply, "x-rpc-error"), Some(kind), "{name}");
        let told = String::from_utf8(reply.body.clone()).unwrap();
        assert!(told.starts_with(text), "{name}: {told}");
        let type_name = header(&reply, "x-rpc-error-type");
        assert_eq!(type_name.is_some(), kind == "Remote", "{type_name:?}");
    }
    let properties = Properties::new().message_type("half");
    let reply = call(&mut client, properties, br#"{"number": 8}"#);
    assert_eq!(
        (&*reply.body, &reply.properties.headers),
        (&b"4"[..], &None)
    );
}

#[test]
fn a_method_sees_the_headers_of_a_client_as_its_context() {
    let broker = Broker::new();
    let endpoint = Endpoint::new().namespace("shop").version((1, 4));
    let endpoint = endpoint.method("who", |(): (), context| {
        let context = context.request_context().cloned();
        context.map(|context| context.iter().map(|(name, _)| name.to_owned()).collect())
            as Option<Vec<String>>
    });
    let _server = Server::new(&broker, Target::topic("users"))
        .endpoint(endpoint)
        .spawn()
        .unwrap();
    let mut client = caller(&broker);
    let properties = Properties::new()
        .message_type("who")
        .header("user", "ada")
        .header("x-rpc-namespace", "shop")
        .header("x-rpc-version", "1.2")
        .reply_to("replies");
    publish(&mut client, "rpc.users", &properties, b"null");
    assert_eq!(delivery(&mut client).body, br#"["user"]"#);
    let properties = properties.header("x-rpc-version", "1.5");
    publish(&mut client, "rpc.users", &properties, b"null");
    let refused = delivery(&mut client);
    assert_eq!(header(&refused, "x-rpc-error"), Some("UnsupportedVersion"));
}

#[test]
fn a_request_without_reply_to_is_served_and_not_answered() {
    let broker = Broker::new();
    let (called, calls) = mpsc::channel();
    let _server = rpc::serve::<u32, u32>(&broker, "service", move |number, _| {
        called.send(number).unwrap();
        number
    })
    .unwrap();
    let mut client = caller(&broker);
    publish(&mut client, "service", &Properties::new(), b"7");
    assert_eq!(calls.recv(), Ok(7));
    // The answer to the next one comes first.
    assert_eq!(call(&mut client, Properties::new(), b"8").body, b"8");
}

#[test]
fn a_reply_to_a_queue_that_is_gone_counts_as_late() {
    let broker = Broker::new();
    let server = doubling(&broker);
    let mut client = client(&broker);
    let properties = Properties::new().reply_to("nowhere");
    publish(&mut client, "service", &properties, br#"{"number": 1}"#);
    let report = server.stop_and_drain(Duration::from_secs(10));
    assert_eq!((report.worker.counts.handled, report.requests.late), (1, 1));
}

#[test]
fn the_first_reply_of_a_stream_answers_a_client() {
    let broker = Broker::new();
    let endpoint = Endpoint::new().stream("", |to: u32, _, replies| {
        (1..=to).try_for_each(|number: u32| replies.send(number))
    });
    let _server = Server::new(&broker, Target::queue("service"))
        .endpoint(endpoint)
        .spawn()
        .unwrap();
    let mut client = caller(&broker);
    assert_eq!(call(&mut client, Properties::new(), b"3").body, b"1");
    assert_eq!(call(&mut client, Properties::new(), b"2").body, b"1");
    let reply = call(&mut client, Properties::new(), b"0");
    assert_eq!(header(&reply, "x-rpc-error"), Some("BadReply"));
}

#[test]
fn a_request_that_expires_in_the_hands_of_a_server_is_not_served() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let (begun, begins) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let endpoint = Endpoint::new().method("", move |number: u32, _| {
        begun.send(number).unwrap();
        released.lock().unwrap().recv().unwrap();
        number
    });
    let (took, taken) = mpsc::channel();
    // The second request waits for the first one, since both have the same key.
    let server = Server::new(&broker, Target::queue("service"))
        .endpoint(endpoint)
        .concurrency(2)
        .ordered_by(move |_| took.send(()).unwrap())
        .spawn()
        .unwrap();
    let mut client = caller(&broker);
    let properties = Properties::new().reply_to("replies").expiration("1000");
    for body in [b"1", b"2"] {
        publish(&mut client, "service", &properties, body);
    }
    assert_eq!((taken.recv(), taken.recv()), (Ok(()), Ok(())));
    assert_eq!(begins.recv(), Ok(1));
    clock.advance(Duration::from_secs(1));
    release.send(()).unwrap();
    assert_eq!(delivery(&mut client).body, b"1");
    let refused = delivery(&mut client);
    assert_eq!(header(&refused, "x-rpc-error"), Some("Timeout"));
    let report = server.stop_and_drain(Duration::from_secs(10));
    assert_eq!(report.requests.expired, 1);
    assert!(begins.recv().is_err());
}

/// A client that serves the queue `service`.
fn service(broker: &Broker) -> Client {
    let mut client = client(broker);
    client.declare(1, "service").unwrap();
    client
        .consume(1, "service", "", [false, true, false, false])
        .unwrap();
    client
}

/// Calls the service on a thread of its own.
fn calling(broker: &Broker, number: u32) -> thread::JoinHandle<Result<u32, RpcError>> {
    let client = rpc::client::<Asked, u32>(broker, "service");
    thread::spawn(move || client.call(Asked { number }))
}

#[test]
fn a_client_in_rust_calls_a_service_outside() {
    let broker = Broker::new();
    let mut service = service(&broker);
    for number in 1..4 {
        let calling = calling(&broker, number);
        let request = delivery(&mut service);
        assert_eq!(
            request.body,
            format!(r#"{{"number":{number}}}"#).into_bytes()
        );
        let asked = &request.properties;
        assert_eq!(asked.content_type.as_deref(), Some("application/json"));
        let reply_to = asked.reply_to.clone().unwrap();
        let id = asked.correlation_id.clone().unwrap();
        // A reply to another request is none.
        let other = Properties::new().correlation_id("other");
        publish(&mut service, &reply_to, &other, b"0");
        let properties = Properties::new().correlation_id(id);
        let body = (number * number).to_string();
        publish(&mut service, &reply_to, &properties, body.as_bytes());
        // Only the first reply counts.
        publish(&mut service, &reply_to, &properties, b"0");
        assert_eq!(calling.join().unwrap(), Ok(number * number));
    }
}

#[test]
fn a_client_in_rust_calls_a_service_on_a_channel() {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    channel.queue_declare(&Queue::new("service")).unwrap();
    let calling = calling(&broker, 3);
    let request = loop {
        match channel.basic_get("service", AckMode::Auto).unwrap() {
            Some(request) => break request,
            None => thread::yield_now(),
        }
    };
    assert_eq!(&*request.body().unwrap(), br#"{"number":3}"#);
    let reply_to = request.properties().reply_to.clone().unwrap();
    // A reply without a correlation id counts, since the address is that of one request.
    let (properties, options) = (Properties::new(), PublishOptions::new());
    channel
        .basic_publish("", &reply_to, "9", properties, options)
        .unwrap();
    assert_eq!(calling.join().unwrap(), Ok(9));
}

#[test]
fn a_value_of_rust_answers_as_well_as_octets() {
    let broker = Broker::new();
    let mut service = service(&broker);
    let calling = calling(&broker, 3);
    let reply_to = delivery(&mut service).properties.reply_to.clone().unwrap();
    let replies = broker
        .producer::<u32>(leveret::Exchange::existing(""))
        .unwrap();
    replies
        .publish_message(Message::new(27).routing_key(reply_to))
        .unwrap();
    assert_eq!(calling.join().unwrap(), Ok(27));
}

#[test]
fn errors_of_a_service_outside_reach_the_caller() {
    let broker = Broker::new();
    let mut service = service(&broker);
    let asked = calling(&broker, 3);
    let reply_to = delivery(&mut service).properties.reply_to.clone().unwrap();
    let error = Properties::new()
        .content_type("text/plain")
        .header("x-rpc-error", "Remote")
        .header("x-rpc-error-type", "ValueError");
    publish(&mut service, &reply_to, &error, b"3 is odd");
    let Err(RpcError::Remote(error)) = asked.join().unwrap() else {
        panic!("it is an error");
    };
    assert_eq!(
        (error.type_name(), error.message()),
        ("ValueError", "3 is odd")
    );
    assert_eq!(error.downcast_ref::<()>(), None);

    let asked = calling(&broker, 3);
    let reply_to = delivery(&mut service).properties.reply_to.clone().unwrap();
    publish(&mut service, &reply_to, &Properties::new(), b"nine");
    assert!(matches!(asked.join().unwrap(), Err(RpcError::BadReply(_))));
}

#[test]
fn a_request_tells_a_service_outside_all_that_a_method_sees() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let mut service = service(&broker);
    let target = Target::queue("service").namespace("shop").version((1, 4));
    let client = RpcClient::new(&broker, target)
        .context(FieldTable::from([("user", "ada")]))
        .timeout(Duration::from_secs(5));
    client.cast("restock", Asked { number: 7 }).unwrap();
    let request = delivery(&mut service);
    let properties = &request.properties;
    assert_eq!(properties.message_type.as_deref(), Some("restock"));
    assert_eq!(properties.expiration.as_deref(), Some("5000"));
    assert_eq!(header(&request, "user"), Some("ada"));
    assert_eq!(header(&request, "x-rpc-namespace"), Some("shop"));
    assert_eq!(header(&request, "x-rpc-version"), Some("1.4"));
    // The caller waits for no reply.
    assert_eq!(
        (&properties.reply_to, &properties.correlation_id),
        (&None, &None)
    );
}

#[test]
fn a_request_whose_caller_has_given_up_does_not_leave() {
    let broker = Broker::new();
    let mut service = client(&broker);
    service.declare(1, "service").unwrap();
    let client = rpc::client::<Asked, u32>(&broker, "service");
    let given_up = client.call_timeout(Asked { number: 1 }, Duration::ZERO);
    assert_eq!(given_up, Err(RpcError::Timeout));
    service
        .consume(1, "service", "", [false, true, false, false])
        .unwrap();
    let calling = calling(&broker, 2);
    let request = delivery(&mut service);
    assert_eq!(request.body, br#"{"number":2}"#);
    let reply_to = request.properties.reply_to.clone().unwrap();
    publish(&mut service, &reply_to, &Properties::new(), b"4");
    assert_eq!(calling.join().unwrap(), Ok(4));
}

#[test]
fn a_service_outside_that_does_not_answer_lets_its_caller_wait_until_the_time_is_over() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let mut service = service(&broker);
    let connection: Connection = broker.connect("/", Credentials::guest()).unwrap();
    let caller = rpc::client::<Asked, u32>(&connection, "service");
    let calling =
        thread::spawn(move || caller.call_timeout(Asked { number: 1 }, Duration::from_secs(5)));
    let reply_to = delivery(&mut service).properties.reply_to.clone().unwrap();
    drop(service);
    while !calling.is_finished() {
        clock.advance(Duration::from_secs(1));
        thread::yield_now();
    }
    assert_eq!(calling.join().unwrap(), Err(RpcError::Timeout));
    // A reply that comes now goes nowhere.
    let mut late = client(&broker);
    publish(&mut late, &reply_to, &Properties::new(), b"1");
}

#[test]
fn a_reply_from_outside_that_comes_too_late_is_not_taken_by_a_caller_who_has_not_looked() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let mut service = service(&broker);
    let client = RpcClient::new(&broker, Target::queue("service"));
    let client = client.timeout(Duration::from_micros(1_500));
    for (waited, outcome) in [(1_499, Ok(4)), (1_500, Err(RpcError::Timeout))] {
        let mut calling = pin!(client.call_async::<u32>("double", Asked { number: 2 }));
        assert!(block_on(poll_once(&mut calling)).is_none());
        let request = delivery(&mut service);
        // The service does not stop before its caller.
        assert_eq!(request.properties.expiration.as_deref(), Some("2"));
        let reply_to = request.properties.reply_to.clone().unwrap();
        clock.advance(Duration::from_micros(waited));
        publish(&mut service, &reply_to, &Properties::new(), b"4");
        assert_eq!(block_on(calling), outcome);
    }
}

#[test]
fn a_local_argument_does_not_leave_and_its_caller_is_told() {
    let broker = Broker::new();
    let mut service = service(&broker);
    let client = rpc::client::<leveret::Local<u32>, u32>(&broker, "service");
    let (tell, told) = mpsc::channel();
    let main = thread::current();
    thread::spawn(move || {
        tell.send(client.call(leveret::Local(7))).unwrap();
        main.unpark();
    });
    let mut reply = None;
    service.pump_until(|_| {
        reply = reply.take().or_else(|| told.try_recv().ok());
        reply.is_some()
    });
    assert_eq!(reply, Some(Err(RpcError::ServerGone)));
}
