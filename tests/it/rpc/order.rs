//! Servers with an order: the requests of one key, one after the other.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Barrier, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Broker, FieldTable, Local,
    rpc::{Endpoint, RequestInfo, RpcError, Server},
};
use serde_json::json;

use super::{client, serve, server};
use crate::common::{Alarm, PATIENCE, SECOND, block_on, on_a_manual_clock};

/// The key of an argument, and its number.
type Numbered = (String, u32);

type Seen = Arc<Mutex<HashMap<String, Vec<u32>>>>;

fn by_key(request: &RequestInfo<'_>) -> Option<String> {
    request.arguments(|(key, _): &Numbered| key.clone())
}

fn note(seen: &Seen, (key, number): Numbered) -> usize {
    let mut seen = seen.lock().unwrap();
    let numbers = seen.entry(key).or_default();
    numbers.push(number);
    numbers.len()
}

fn assert_in_order(seen: &Seen, keys: u32, numbers: u32) {
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len() as u32, keys);
    for (key, noted) in &*seen {
        assert!(noted.iter().copied().eq(0..numbers), "{key}: {noted:?}");
    }
}

#[test]
fn requests_of_one_key_are_served_in_their_order() {
    for in_tasks in [false, true] {
        let broker = Broker::new();
        let seen = Seen::default();
        let (noted, endpoint) = (Arc::clone(&seen), Endpoint::new());
        let endpoint = match in_tasks {
            false => endpoint.method("note", move |numbered: Numbered, _| note(&noted, numbered)),
            true => endpoint.method_async("note", move |numbered: Numbered, _| {
                let noted = Arc::clone(&noted);
                async move { note(&noted, numbered) }
            }),
        };
        let server = server(&broker, endpoint).concurrency(4).ordered_by(by_key);
        let server = server.spawn().unwrap();
        let clients = (0..3).map(|key| {
            let client = client(&broker);
            let key = format!("key {key}");
            thread::spawn(move || {
                for number in 0..200_u32 {
                    match number % 50 {
                        49 => {
                            let noted = client.call::<usize>("note", (key.clone(), number));
                            assert_eq!(noted, Ok(number as usize + 1));
                        }
                        _ => assert_eq!(client.cast("note", (key.clone(), number)), Ok(1)),
                    }
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.join().unwrap();
        }
        server.stop_and_drain(PATIENCE);
        assert_in_order(&seen, 3, 200);
    }
}

#[test]
fn requests_of_different_keys_run_at_the_same_time() {
    let broker = Broker::new();
    let meet = Barrier::new(2);
    let endpoint = Endpoint::new().method("meet", move |_: Numbered, _| {
        meet.wait();
    });
    let server = server(&broker, endpoint).concurrency(2).ordered_by(by_key);
    let server = server.spawn().unwrap();
    let calls = ["a", "b"].map(|key| {
        let client = client(&broker);
        thread::spawn(move || client.call::<()>("meet", (key.to_owned(), 0_u32)))
    });
    for call in calls {
        assert_eq!(call.join().unwrap(), Ok(()));
    }
    drop(server);
}

#[test]
fn a_key_sees_everything_of_its_request_and_the_method_gets_the_arguments_themselves() {
    let broker = Broker::new();
    let (keys, seen) = mpsc::channel();
    let endpoint = Endpoint::new()
        .namespace("math")
        .version((1, 3))
        .method("id", |Local(value): Local<Box<u32>>, _| Local(value))
        .method("sum", |(a, b): (u64, u64), _| a + b)
        .method("unit", |(): (), _| ());
    let server = server(&broker, endpoint).ordered_by(move |request| {
        assert!(format!("{request:?}").contains(request.method()));
        let user = request
            .request_context()
            .and_then(|table| table.get("user"));
        let nested = request.arguments(|_: &Local<Box<u32>>| request.arguments(|(): &()| ()));
        keys.send((
            request.method().to_owned(),
            request.namespace().map(str::to_owned),
            request.version().to_string(),
            user == Some(&"Ada".into()),
            request.arguments(|Local(value): &Local<Box<u32>>| **value),
            request.arguments(|(a, b): &(u64, u64)| (*a, *b)),
            nested,
        ))
        .unwrap();
        request.method().len()
    });
    let server = server.spawn().unwrap();
    let client = client(&broker).namespace("math").version((1, 2));
    let head = |method: &str| (method.to_owned(), Some("math".to_owned()), "1.2".to_owned());

    let value = Box::new(7_u32);
    let address = &raw const *value;
    let ada = client
        .prepare()
        .context(FieldTable::from([("user", "Ada")]));
    let Local(back) = ada.call::<Local<Box<u32>>>("id", Local(value)).unwrap();
    assert_eq!(&raw const *back, address);
    let (method, namespace, version) = head("id");
    let expected = (method, namespace, version, true, Some(7), None, Some(None));
    assert_eq!(seen.recv(), Ok(expected));

    // They are decoded for the key, and for the method again.
    for arguments in [json!([1, 2]), json!([3, 4])] {
        let sum = arguments[0].as_u64().unwrap() + arguments[1].as_u64().unwrap();
        let pair = (
            arguments[0].as_u64().unwrap(),
            arguments[1].as_u64().unwrap(),
        );
        assert_eq!(client.call::<u64>("sum", arguments), Ok(sum));
        let (method, namespace, version) = head("sum");
        let expected = (method, namespace, version, false, None, Some(pair), None);
        assert_eq!(seen.recv(), Ok(expected));
    }
    // Each server of a fanout gets a copy.
    assert_eq!(client.prepare().fanout().cast("sum", (5_u64, 6_u64)), Ok(1));
    let (method, namespace, version) = head("sum");
    let expected = (method, namespace, version, false, None, Some((5, 6)), None);
    assert_eq!(seen.recv(), Ok(expected));
    client.ping().unwrap();
    assert_eq!(seen.recv().unwrap().0, "rpc.ping");
    drop(server);
}

#[test]
fn a_key_that_panics_fails_the_call_and_the_server_lives_on() {
    let broker = Broker::new();
    let endpoint = Endpoint::new().method("note", |(_, number): Numbered, _| number);
    let server = server(&broker, endpoint).ordered_by(|request| {
        let look = |(key, number): &Numbered| {
            assert_ne!(*number, 13, "unlucky");
            key.clone()
        };
        request.arguments(look)
    });
    let server = server.spawn().unwrap();
    let client = client(&broker);
    let call = |number: u32| client.call::<u32>("note", ("a".to_owned(), number));
    assert_eq!(call(1), Ok(1));
    match call(13) {
        Err(RpcError::Panicked(text)) => assert!(text.contains("unlucky"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(call(2), Ok(2));
    let counts = server.stop_and_drain(PATIENCE).worker.counts;
    assert_eq!((counts.panicked, counts.acked), (1, 3));
}

#[test]
fn a_key_goes_on_when_its_late_method_has_ended() {
    let (broker, clock) = on_a_manual_clock();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let endpoint = Endpoint::new().method("note", move |(_, number): Numbered, _| {
        begins.send(number).unwrap();
        if number == 1 {
            let _ = may_go_on.lock().unwrap().recv();
        }
        number
    });
    let server = server(&broker, endpoint).timeout(SECOND).ordered_by(by_key);
    let server = server.concurrency(2).spawn().unwrap();
    let call = |key: &'static str, number: u32| {
        let client = client(&broker).timeout(Duration::MAX);
        thread::spawn(move || client.call::<u32>("note", (key.to_owned(), number)))
    };
    let first = call("a", 1);
    assert_eq!(begun.recv(), Ok(1));
    while !first.is_finished() {
        clock.advance(SECOND);
        thread::yield_now();
    }
    let error = first.join().unwrap().unwrap_err();
    assert!(matches!(error, RpcError::MethodTimeout { .. }), "{error}");
    let second = call("a", 2);
    // Another key goes on meanwhile.
    assert_eq!(call("b", 3).join().unwrap(), Ok(3));
    assert_eq!(begun.recv(), Ok(3));
    drop(go_on);
    assert_eq!(second.join().unwrap(), Ok(2));
    assert_eq!(begun.recv(), Ok(2));
    let counts = server.stop_and_drain(PATIENCE).worker.counts;
    assert_eq!((counts.timed_out, counts.late), (1, 1));
}

#[test]
fn a_caller_that_goes_while_its_request_waits_for_the_key_takes_it_back() {
    let broker = Broker::new();
    let held = Arc::new(());
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let endpoint = Endpoint::new().method("hold", move |_: Local<Arc<()>>, _| {
        begins.send(()).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
    });
    // The key looks at the arguments, so that they leave the call and return.
    let server = server(&broker, endpoint)
        .concurrency(2)
        .ordered_by(|request| {
            request.arguments(|Local(value): &Local<Arc<()>>| Arc::strong_count(value) > 0)
        });
    let server = server.spawn().unwrap();
    let client = client(&broker);
    client.cast("hold", Local(Arc::clone(&held))).unwrap();
    begun.recv().unwrap();
    let alarm = Alarm::new();
    let mut call = Box::pin(client.call_async::<()>("hold", Local(Arc::clone(&held))));
    assert!(alarm.poll(call.as_mut()).is_pending());
    drop(call);
    drop(go_on);
    let requests = server.stop_and_drain(PATIENCE).requests;
    assert_eq!((requests.expired, requests.late), (1, 0));
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn requests_that_wait_for_a_key_go_to_another_server_or_end_with_theirs() {
    let broker = Broker::new();
    let endpoint = || {
        Endpoint::new().method_async("never", |(_, number): Numbered, _| async move {
            if number == 1 {
                pending::<()>().await;
            }
            number
        })
    };
    let alarm = Alarm::new();
    let start = || server(&broker, endpoint()).ordered_by(by_key);
    let mut first = Box::pin(Server::run_async(start()));
    assert!(alarm.poll(first.as_mut()).is_pending());
    let client = client(&broker);
    let call = |number: u32| Box::pin(client.call_async::<u32>("never", ("a".to_owned(), number)));
    let mut calls = [call(1), call(2), call(3)];
    for call in &mut calls {
        assert!(alarm.poll(call.as_mut()).is_pending());
        assert!(alarm.poll(first.as_mut()).is_pending());
    }
    let second = serve_ordered(&broker, endpoint());
    drop(first);
    let [in_hand, second_call, third] = calls;
    assert_eq!(block_on(in_hand), Err(RpcError::ServerGone));
    assert_eq!(block_on(second_call), Ok(2));
    assert_eq!(block_on(third), Ok(3));
    drop(second);
    let gone = block_on(client.call_async::<u32>("never", ("a".to_owned(), 2_u32)));
    assert!(matches!(
        gone,
        Err(RpcError::NoServer { .. } | RpcError::ServerGone)
    ));
    drop(serve(&broker, endpoint()));
}

fn serve_ordered(broker: &Broker, endpoint: Endpoint) -> leveret::rpc::ServerHandle {
    server(broker, endpoint).ordered_by(by_key).spawn().unwrap()
}
