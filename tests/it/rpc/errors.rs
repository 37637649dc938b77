//! Each reason for which a call has no reply.

use std::time::Duration;

use leveret::{
    Broker, Error, Exchange, FieldTable, Local, Overflow, Queue,
    rpc::{self, Client, Endpoint, RpcError, Server, Target, Version},
};

use super::{client, serve, server, target};
use crate::common::{PATIENCE, SECOND};

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0} is odd")]
struct Odd(u32);

fn half() -> Endpoint {
    Endpoint::new().try_method("half", |number: u32, _| match number % 2 {
        0 => Ok(number / 2),
        _ => Err(Odd(number)),
    })
}

#[test]
fn a_call_without_a_server_fails_at_once() {
    let broker = Broker::new();
    let no_server = |error: RpcError, expected: &str| {
        assert!(matches!(&error, RpcError::NoServer { target } if **target == *expected));
        assert_eq!(
            error.to_string(),
            format!("no server listens at '{expected}'")
        );
    };
    let client = client(&broker);
    no_server(client.call::<u32>("half", 8_u32).unwrap_err(), "test");
    no_server(client.cast("half", 8_u32).unwrap_err(), "test");
    no_server(client.ping().unwrap_err(), "test");
    no_server(
        client.call_stream::<u32>("half", 8_u32).unwrap_err(),
        "test",
    );

    let server = serve(&broker, half());
    client.ping().unwrap();
    let other = client.prepare().server("server-1");
    no_server(
        other.call::<u32>("half", 8_u32).unwrap_err(),
        "test.server-1",
    );
    assert_eq!(client.call::<u32>("half", 8_u32), Ok(4));
    server.stop();
    server.join();
    no_server(client.call::<u32>("half", 8_u32).unwrap_err(), "test");
    let double = rpc::client::<u32, u32>(&broker, "double");
    no_server(double.call(1).unwrap_err(), "double");
    assert_eq!(client.prepare().fanout().cast("half", 8_u32), Ok(0));
    assert_eq!(client.scatter::<u32>("half", 8_u32).unwrap().count(), 0);
}

#[test]
fn an_error_of_a_method_keeps_its_type() {
    let broker = Broker::new();
    let server = serve(&broker, half());
    let client = client(&broker);
    let Err(RpcError::Remote(error)) = client.call::<u32>("half", 7_u32) else {
        panic!("7 is odd");
    };
    assert_eq!(error.downcast_ref(), Some(&Odd(7)));
    assert_eq!(error.downcast_ref::<String>(), None);
    assert_eq!(
        (error.message(), &*error.to_string()),
        ("7 is odd", "7 is odd")
    );
    assert!(error.type_name().ends_with("Odd"), "{error:?}");
    // It does not matter which type the caller wants.
    let error = client.call::<String>("half", 7_u32).unwrap_err();
    assert!(matches!(error, RpcError::Remote(_)));
    let Error::Rpc(error) = Error::from(error) else {
        panic!("an error of RPC");
    };
    assert_eq!(error.to_string(), "7 is odd");
    drop(server);
}

#[test]
fn a_panic_of_a_method_reaches_its_caller_and_the_server_lives_on() {
    let broker = Broker::new();
    let endpoint = half().method("panic", |text: String, _| -> u32 { panic!("{text}") });
    let endpoint = endpoint
        .method_async(
            "panic_async",
            |text: String, _| async move { panic_with(&text) },
        )
        .method_async("panic_early", |text: String, _| {
            panic_with(&text);
            async {}
        });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    for method in ["panic", "panic_async", "panic_early"] {
        let error = client.call::<()>(method, "oh".to_owned()).unwrap_err();
        assert_eq!(error, RpcError::Panicked("oh".into()));
    }
    assert_eq!(client.call::<u32>("half", 8_u32), Ok(4));
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!(report.worker.counts.handled, 4);
}

fn panic_with(text: &str) {
    assert!(text.is_empty(), "{text}");
}

#[test]
fn a_method_or_a_version_that_is_not_there_is_named() {
    let broker = Broker::new();
    let server = serve(&broker, half().version((1, 4)));
    let client = client(&broker);
    let missing = client.call::<u32>("double", 8_u32).unwrap_err();
    let method = "double".into();
    assert_eq!(missing, RpcError::NoSuchMethod { method });
    let version = Version::new(1, 5);
    let newer = client.prepare().version(version);
    let method = "half".into();
    let unsupported = newer.call::<u32>("half", 8_u32).unwrap_err();
    assert_eq!(
        unsupported,
        RpcError::UnsupportedVersion { method, version }
    );
    let other = client
        .prepare()
        .namespace("other")
        .call::<u32>("half", 8_u32);
    assert!(matches!(other, Err(RpcError::UnsupportedVersion { .. })));
    newer.ping().unwrap(); // every server answers
    assert_eq!(client.version((1, 4)).call::<u32>("half", 8_u32), Ok(4));
    assert_eq!(server.report().requests.refused, 3);
}

#[test]
fn a_version_cap_holds_back_requests() {
    let broker = Broker::new();
    let capped = client(&broker).version_cap((1, 2)).version((1, 3));
    let (version, cap) = (Version::new(1, 3), Version::new(1, 2));
    let error = RpcError::VersionCap { version, cap };
    assert_eq!(capped.call::<u32>("half", 8_u32), Err(error.clone()));
    assert_eq!(capped.cast("half", 8_u32), Err(error.clone()));
    assert_eq!(capped.scatter::<u32>("half", 8_u32).unwrap_err(), error);
    assert!(capped.can_send_version(Version::new(1, 0)));
    assert!(!capped.can_send_version(Version::new(2, 0)));
}

#[test]
fn arguments_that_do_not_fit_are_told_and_others_are_decoded() {
    let broker = Broker::new();
    let server = serve(&broker, half());
    let client = client(&broker);
    assert_eq!(client.call::<u32>("half", serde_json::json!(8)), Ok(4));
    assert_eq!(client.call::<u32>("half", 8_u64), Ok(4));
    let error = client.call::<u32>("half", "eight".to_owned()).unwrap_err();
    assert!(matches!(error, RpcError::BadArguments(_)), "{error}");
    let error = client.call::<u32>("half", Local(|| 8_u32)).unwrap_err();
    assert!(error.to_string().contains("cannot be encoded"), "{error}");
    let error = client
        .prepare()
        .fanout()
        .cast("half", Local(8))
        .unwrap_err();
    assert!(matches!(error, RpcError::BadArguments(_)), "{error}");
    drop(server);
}

#[test]
fn a_reply_of_another_type_is_decoded_or_an_error() {
    let broker = Broker::new();
    let endpoint = half().method("closure", |(): (), _| Local(|| 8_u32));
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    assert_eq!(
        client.call::<serde_json::Value>("half", 8_u32),
        Ok(4.into())
    );
    let error = client.call::<String>("half", 8_u32).unwrap_err();
    assert!(matches!(error, RpcError::BadReply(_)), "{error}");
    let error = client.call::<u32>("closure", ()).unwrap_err();
    assert!(matches!(error, RpcError::BadReply(_)), "{error}");
    assert_eq!(client.call::<u32>("half", 8_u32), Ok(4));
    drop(server);
}

#[test]
fn the_access_hook_denies_by_the_request_context() {
    let broker = Broker::new();
    let server = Server::new(&broker, target()).endpoint(half());
    let server = server.access(|context| match context.request_context() {
        Some(user) => user.get("user") == Some(&"Ada".into()),
        None => panic!("no user for {}", context.method()),
    });
    let server = server.spawn().unwrap();
    let user = |name: &str| client(&broker).context(FieldTable::from([("user", name)]));
    assert_eq!(user("Ada").call::<u32>("half", 8_u32), Ok(4));
    let method = "half".into();
    let denied = user("Bob").call::<u32>("half", 8_u32).unwrap_err();
    assert_eq!(denied, RpcError::Denied { method });
    let error = client(&broker).call::<u32>("half", 8_u32).unwrap_err();
    assert_eq!(error, RpcError::Panicked("no user for half".into()));
    drop(server);
}

#[test]
fn a_target_that_cannot_be_used_is_refused() {
    let broker = Broker::new();
    let invalid = [
        Target::topic(""),
        Target::topic("a.*"),
        target().exchange(""),
        target().server("#"),
        Target::queue(Queue::temporary()),
    ];
    for target in invalid {
        let call = Client::new(&broker, target.clone()).call::<u32>("half", 8_u32);
        assert!(matches!(call, Err(RpcError::InvalidTarget(_))), "{call:?}");
        let server = Server::new(&broker, target).spawn();
        assert!(matches!(server, Err(RpcError::InvalidTarget(_))));
    }
    let fanout = client(&broker).fanout();
    let invalid = [
        fanout.call::<u32>("half", 8_u32).map(drop),
        fanout.call_stream::<u32>("half", 8_u32).map(drop),
        fanout.ping(),
    ];
    for call in invalid {
        assert!(matches!(call, Err(RpcError::InvalidTarget(_))), "{call:?}");
    }
}

#[test]
fn a_client_whose_request_was_refused_works_when_the_cause_is_gone() {
    let broker = Broker::new();
    let wrong = Exchange::direct("rpc");
    broker.declare(&wrong).unwrap();
    let client = client(&broker);
    let is_inequivalent =
        |error: RpcError| matches!(error, RpcError::Broker(Error::Inequivalent { .. }));
    assert!(is_inequivalent(client.ping().unwrap_err()));
    assert!(is_inequivalent(
        server(&broker, half()).spawn().unwrap_err()
    ));
    broker.delete(&wrong).unwrap();
    let mut serving = serve(&broker, half());
    assert_eq!(client.call::<u32>("half", 4_u32), Ok(2));
    // It follows its exchange to a new one as well.
    serving.stop_and_drain(PATIENCE);
    broker.delete(&Exchange::existing("rpc")).unwrap();
    assert!(matches!(client.ping(), Err(RpcError::NoServer { .. })));
    serving = serve(&broker, half());
    assert_eq!(client.call::<u32>("half", 6_u32), Ok(3));
    drop(serving);
}

#[test]
fn an_endpoint_that_is_registered_twice_is_refused() {
    let broker = Broker::new();
    let spawn = |endpoints: [Endpoint; 2]| {
        let server = Server::new(&broker, target());
        let server = endpoints.into_iter().fold(server, Server::endpoint);
        server.spawn().map(|server| {
            server.stop();
            server.join();
        })
    };
    let duplicate = |name: &str| {
        let method = name.into();
        Err(RpcError::DuplicateMethod { method })
    };
    assert_eq!(spawn([half(), half()]), duplicate("half"));
    assert_eq!(
        spawn([
            half().namespace("a"),
            half().namespace("b").legacy_namespace("a")
        ]),
        duplicate("half")
    );
    assert_eq!(spawn([half(), half().version((2, 0))]), Ok(()));
    assert_eq!(spawn([half(), half().namespace("math")]), Ok(()));
    let reserved = Endpoint::new().method("rpc.ping", |(): (), _| ());
    assert_eq!(spawn([half(), reserved]), duplicate("rpc.ping"));
    // Nothing is left of the servers that were refused or have ended.
    assert_eq!(broker.snapshot().unwrap().vhosts[0].queues.len(), 0);
}

#[test]
fn a_full_queue_refuses_requests_and_a_broker_that_has_ended_says_so() {
    let broker = Broker::new();
    let small = Queue::new("small")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    broker.declare(&small).unwrap();
    let client = Client::new(&broker, Target::queue("small")).timeout(SECOND);
    assert_eq!(client.cast("half", 8_u32), Ok(1));
    let full = client.call::<u32>("half", 8_u32).unwrap_err();
    assert!(
        matches!(full, RpcError::Broker(Error::Refused { .. })),
        "{full}"
    );
    broker.shutdown(Duration::ZERO).unwrap();
    let error = RpcError::Broker(Error::ShutDown);
    assert_eq!(client.call::<u32>("half", 8_u32), Err(error.clone()));
    let server = Server::new(&broker, target()).spawn().map(drop);
    assert_eq!(server, Err(error.clone()));
    assert_eq!(Error::from(error), Error::ShutDown);
}
