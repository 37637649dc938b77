//! Calls while the broker ends.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use leveret::{
    Broker, Error, Local,
    rpc::{Client, Endpoint, RpcError, Server, Target},
};

use super::{client, serve};
use crate::common::{Alarm, PATIENCE, block_on, connect};

const CALLS: u32 = 10_000;

type Tracked = Local<(u32, Arc<()>)>;

/// Makes ten thousand calls of a server that is busy, and ends the broker then. Returns how often
/// each result came.
fn ten_thousand(end: impl FnOnce(Broker, mpsc::Sender<()>)) -> (usize, Vec<RpcError>) {
    let broker = Broker::new();
    let tracker = Arc::new(());
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let endpoint = Endpoint::new().method("wait", move |Local(value): Tracked, _| {
        if value.0 == 0 {
            begins.send(()).unwrap();
            let _ = may_go_on.lock().unwrap().recv();
        }
        Local(value)
    });
    let server = serve(&broker, endpoint);
    let client = client(&broker).timeout(Duration::MAX);
    let calls = (0..CALLS).map(|number| {
        let value: Tracked = Local((number, Arc::clone(&tracker)));
        client.call_async::<Tracked>("wait", value)
    });
    let mut calls: FuturesUnordered<_> = calls.collect();
    let alarm = Alarm::new();
    assert!(alarm.poll(std::pin::pin!(calls.next())).is_pending());
    begun.recv().unwrap();
    end(broker, go_on);
    let results = block_on(calls.collect::<Vec<_>>());
    assert_eq!(results.len(), CALLS as usize);
    let replies = results.iter().filter(|result| result.is_ok()).count();
    let errors = results.into_iter().filter_map(Result::err).collect();
    server.join();
    assert_eq!(Arc::strong_count(&tracker), 1, "something is left behind");
    (replies, errors)
}

#[test]
fn ten_thousand_calls_are_answered_by_a_graceful_shutdown() {
    let (replies, errors) = ten_thousand(|broker, go_on| {
        drop(go_on);
        let report = broker.shutdown(PATIENCE).unwrap();
        assert!(!report.timed_out);
    });
    assert_eq!((replies, errors.len()), (CALLS as usize, 0));
}

#[test]
fn ten_thousand_calls_end_with_a_broker_that_ends_at_once() {
    let (replies, errors) = ten_thousand(|broker, go_on| {
        broker.shutdown(Duration::ZERO).unwrap();
        drop(go_on);
    });
    // The server had one in hand.
    assert_eq!(replies, 1);
    let shut_down = RpcError::Broker(Error::ShutDown);
    assert!(errors.iter().all(|error| *error == shut_down));
    let (replies, errors) = ten_thousand(|broker, go_on| {
        drop(broker);
        drop(go_on);
    });
    assert_eq!(replies, 1);
    let dropped = RpcError::Broker(Error::BrokerDropped);
    assert!(errors.iter().all(|error| *error == dropped));
}

#[test]
fn a_method_calls_others_while_the_broker_shuts_down() {
    let broker = Broker::new();
    let inner = Endpoint::new().method("inner", |number: u32, _| number + 1);
    let inner = Server::new(&broker, Target::topic("inner")).endpoint(inner);
    let inner = inner.spawn().unwrap();
    let to_inner = Client::new(&broker, Target::topic("inner"));
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let outside = to_inner.clone();
    let outer = Endpoint::new()
        .try_method("outer", {
            let to_inner = to_inner.clone();
            move |number: u32, _| {
                begins.send(()).unwrap();
                let _ = may_go_on.lock().unwrap().recv();
                to_inner.call::<u32>("inner", number)
            }
        })
        .try_method_async("outer_async", move |number: u32, context| {
            let to_inner = context.client(&to_inner);
            async move { to_inner.call_async::<u32>("inner", number).await }
        });
    let outer = super::server(&broker, outer).prefetch(1).spawn().unwrap();
    let call = |method: &'static str| {
        let client = client(&broker);
        thread::spawn(move || client.call::<u32>(method, 1_u32))
    };
    let called = call("outer");
    begun.recv().unwrap();
    let task = call("outer_async");
    while broker.snapshot().unwrap().vhosts[0]
        .queues
        .iter()
        .all(|queue| queue.ready.messages == 0)
    {
        thread::yield_now();
    }
    let ending = broker.clone();
    let ending = thread::spawn(move || ending.shutdown(PATIENCE).unwrap());
    // Callers from outside are refused as soon as it has begun.
    let refused = loop {
        match outside.call::<u32>("inner", 1_u32) {
            Ok(_) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RpcError::Broker(Error::ShutDown));
    drop(go_on);
    assert_eq!(called.join().unwrap(), Ok(2));
    assert_eq!(task.join().unwrap(), Ok(2));
    assert!(!ending.join().unwrap().timed_out);
    inner.join();
    outer.join();
}

#[test]
fn calls_of_a_connection_end_with_it() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let (begins, begun) = mpsc::channel();
    let endpoint = Endpoint::new().method("wait", move |(): (), context| {
        begins.send(()).unwrap();
        context.stop_signal().wait();
    });
    let server = Server::new(&connection, super::target()).endpoint(endpoint);
    let server = server.prefetch(1).spawn().unwrap();
    let caller = client(&broker);
    let in_hand = thread::spawn(move || caller.call::<()>("wait", ()));
    begun.recv().unwrap();
    let caller = Client::new(&connection, super::target());
    let waiting = thread::spawn(move || caller.call::<()>("wait", ()));
    while broker.snapshot().unwrap().vhosts[0]
        .queues
        .iter()
        .all(|queue| queue.ready.messages == 0)
    {
        thread::yield_now();
    }
    connection.close().unwrap();
    let closed = RpcError::Broker(Error::ConnectionClosed);
    assert_eq!(waiting.join().unwrap(), Err(closed.clone()));
    let again = Client::new(&connection, super::target());
    assert_eq!(again.call::<()>("wait", ()), Err(closed));
    server.stop();
    assert_eq!(in_hand.join().unwrap(), Ok(()));
    server.join();
}
