//! Servers that end with calls in flight, and callers that go.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::Poll,
    thread,
};

use leveret::{
    Broker, Local, Queue,
    rpc::{Client, Endpoint, RpcError, Target},
};

use super::{client, serve, server};
use crate::common::{Alarm, PATIENCE, block_on};

/// An endpoint whose method `wait` waits until the test lets it go on.
struct Waits {
    begun: mpsc::Receiver<u32>,
    go_on: mpsc::Sender<()>,
    endpoint: Endpoint,
}

fn waits() -> Waits {
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let endpoint = Endpoint::new().method("wait", move |number: u32, _| {
        begins.send(number).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
        number
    });
    Waits {
        begun,
        go_on,
        endpoint,
    }
}

fn ready(broker: &Broker) -> u64 {
    let queues = &broker.snapshot().unwrap().vhosts[0].queues;
    queues.iter().map(|queue| queue.ready.messages).sum()
}

#[test]
fn a_server_that_is_dropped_answers_the_call_in_hand_and_the_others_fail_at_once() {
    let broker = Broker::new();
    let waits = waits();
    let server = server(&broker, waits.endpoint).prefetch(1).spawn().unwrap();
    let call = |number: u32| {
        let client = client(&broker);
        thread::spawn(move || client.call::<u32>("wait", number))
    };
    let in_hand = call(1);
    assert_eq!(waits.begun.recv(), Ok(1));
    let others = [2, 3, 4].map(call);
    while ready(&broker) < 3 {
        thread::yield_now();
    }
    drop(server);
    for other in others {
        assert_eq!(other.join().unwrap(), Err(RpcError::ServerGone));
    }
    waits.go_on.send(()).unwrap();
    assert_eq!(in_hand.join().unwrap(), Ok(1));
}

#[test]
fn requests_that_wait_go_to_another_server_of_the_topic() {
    let broker = Broker::new();
    let waits = waits();
    let stuck = server(&broker, waits.endpoint).prefetch(1).spawn().unwrap();
    let caller = client(&broker);
    let in_hand = thread::spawn(move || caller.call::<u32>("wait", 1_u32));
    assert_eq!(waits.begun.recv(), Ok(1));
    let caller = client(&broker);
    let waiting = thread::spawn(move || caller.call::<u32>("wait", 2_u32));
    while ready(&broker) < 1 {
        thread::yield_now();
    }
    let second = serve(
        &broker,
        Endpoint::new().method("wait", |number: u32, _| number * 100),
    );
    assert_eq!(waiting.join().unwrap(), Ok(200));
    stuck.stop();
    drop(waits.go_on);
    assert_eq!(in_hand.join().unwrap(), Ok(1));
    assert_eq!(client(&broker).call::<u32>("wait", 3_u32), Ok(300));
    drop((stuck, second));
}

#[test]
fn a_queue_that_is_purged_or_deleted_ends_the_calls_in_it() {
    let broker = Broker::new();
    let queue = broker.declare(&Queue::new("q")).unwrap();
    let call = || {
        let client = Client::new(&broker, Target::queue("q"));
        thread::spawn(move || client.call::<u32>("wait", 1_u32))
    };
    let waiting = [call(), call()];
    while ready(&broker) < 2 {
        thread::yield_now();
    }
    assert_eq!(broker.purge(&queue).unwrap(), 2);
    for call in waiting {
        assert_eq!(call.join().unwrap(), Err(RpcError::ServerGone));
    }
    let waiting = call();
    while ready(&broker) < 1 {
        thread::yield_now();
    }
    broker.delete(&queue).unwrap();
    assert_eq!(waiting.join().unwrap(), Err(RpcError::ServerGone));
}

#[test]
fn a_call_fails_when_the_task_of_its_server_is_dropped() {
    let broker = Broker::new();
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    let endpoint = Endpoint::new().method_async("never", move |(): (), context| {
        let held = Arc::clone(&held);
        async move {
            let _held = (held, context);
            pending::<()>().await;
        }
    });
    let alarm = Alarm::new();
    let mut serving = Box::pin(server(&broker, endpoint).run_async());
    assert!(alarm.poll(serving.as_mut()).is_pending());
    let client = client(&broker);
    let mut call = Box::pin(client.call_async::<()>("never", ()));
    assert!(alarm.poll(call.as_mut()).is_pending());
    assert!(alarm.poll(serving.as_mut()).is_pending());
    assert_eq!(Arc::strong_count(&dropped), 3); // the method runs
    assert!(alarm.poll(call.as_mut()).is_pending());
    drop(serving);
    let Poll::Ready(reply) = alarm.poll(call.as_mut()) else {
        panic!("the server is gone");
    };
    assert_eq!(reply, Err(RpcError::ServerGone));
    assert_eq!(Arc::strong_count(&dropped), 1);
    assert!(matches!(client.ping(), Err(RpcError::NoServer { .. })));
}

/// Two servers in tasks, of which the first one is dropped with a request in hand. Returns the
/// result of the call, and how often the method was called.
fn dies_in_hand(
    at_least_once: bool,
    arguments: impl leveret::Payload + Clone,
) -> (Result<u32, RpcError>, usize) {
    let broker = Broker::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let serving = |is_first: bool| {
        let calls = Arc::clone(&calls);
        let endpoint = Endpoint::new().method_async("double", move |number: u32, _| {
            calls.fetch_add(1, SeqCst);
            async move {
                if is_first {
                    pending::<()>().await;
                }
                number * 2
            }
        });
        let server = server(&broker, endpoint);
        let server = if at_least_once {
            server.at_least_once()
        } else {
            server
        };
        Box::pin(server.run_async())
    };
    let alarm = Alarm::new();
    let mut first = serving(true);
    assert!(alarm.poll(first.as_mut()).is_pending());
    let client = client(&broker);
    let mut call = Box::pin(client.call_async::<u32>("double", arguments));
    assert!(alarm.poll(call.as_mut()).is_pending());
    assert!(alarm.poll(first.as_mut()).is_pending());
    let mut second = serving(false);
    assert!(alarm.poll(second.as_mut()).is_pending());
    drop(first);
    loop {
        let _ = alarm.poll(second.as_mut());
        if let Poll::Ready(reply) = alarm.poll(call.as_mut()) {
            return (reply, calls.load(SeqCst));
        }
        assert!(alarm.has_rung(), "nothing happens");
    }
}

#[test]
fn a_request_in_the_hands_of_a_server_that_dies_is_executed_at_most_once() {
    assert_eq!(dies_in_hand(false, 4_u32), (Err(RpcError::ServerGone), 1));
}

#[test]
fn on_request_another_server_gets_it_so_that_it_is_executed_at_least_once() {
    assert_eq!(dies_in_hand(true, 4_u32), (Ok(8), 2));
    assert_eq!(dies_in_hand(true, serde_json::json!(4)), (Ok(8), 2));
}

#[test]
fn at_least_once_needs_arguments_that_can_be_copied_and_does_not_repeat_a_panic() {
    let broker = Broker::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let endpoint = Endpoint::new()
        .method("local", |Local(number): Local<u32>, _| number)
        .method("panic", move |(): (), _| -> () {
            count.fetch_add(1, SeqCst);
            panic!("no");
        });
    let server = server(&broker, endpoint).at_least_once().spawn().unwrap();
    let client = client(&broker);
    let error = client.call::<u32>("local", Local(4_u32)).unwrap_err();
    assert!(matches!(error, RpcError::BadArguments(_)), "{error}");
    let error = client.call::<()>("panic", ()).unwrap_err();
    assert_eq!(error, RpcError::Panicked("no".into()));
    server.stop_and_drain(PATIENCE);
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn a_request_fails_when_no_server_is_left_to_repeat_it() {
    let broker = Broker::new();
    let endpoint = Endpoint::new().method_async("never", |(): (), _| pending::<()>());
    let alarm = Alarm::new();
    let mut serving = Box::pin(server(&broker, endpoint).at_least_once().run_async());
    assert!(alarm.poll(serving.as_mut()).is_pending());
    let client = client(&broker);
    let mut call = Box::pin(client.call_async::<()>("never", ()));
    assert!(alarm.poll(call.as_mut()).is_pending());
    assert!(alarm.poll(serving.as_mut()).is_pending());
    drop(serving);
    assert_eq!(block_on(call), Err(RpcError::ServerGone));
}

#[test]
fn a_caller_that_goes_while_it_waits_is_seen_by_the_method() {
    let broker = Broker::new();
    let (begins, begun) = mpsc::channel();
    let (ends, ended) = mpsc::channel();
    let note = ends.clone();
    let endpoint = Endpoint::new()
        .method("wait", move |(): (), context| {
            begins.send(()).unwrap();
            context.stop_signal().wait();
            ends.send(context.is_cancelled()).unwrap();
        })
        .method_async("wait_async", move |(): (), context| {
            let note = note.clone();
            async move {
                context.stop_signal().wait_async().await;
                note.send(context.is_cancelled()).unwrap();
            }
        });
    let server = server(&broker, endpoint).concurrency(2).spawn().unwrap();
    let client = client(&broker);
    let alarm = Alarm::new();
    let mut call = Box::pin(client.call_async::<()>("wait", ()));
    assert!(alarm.poll(call.as_mut()).is_pending());
    begun.recv().unwrap();
    drop(call);
    assert_eq!(ended.recv(), Ok(true));

    let mut call = Box::pin(client.call_async::<()>("wait_async", ()));
    assert!(alarm.poll(call.as_mut()).is_pending());
    drop(call); // the method may not have begun
    let requests = server.stop_and_drain(PATIENCE).requests;
    assert_eq!(requests.late + requests.expired, 2);
}

#[test]
fn a_request_whose_caller_has_gone_is_not_begun() {
    let broker = Broker::new();
    let waits = waits();
    let server = serve(&broker, waits.endpoint);
    let caller = client(&broker);
    let in_hand = thread::spawn(move || caller.call::<u32>("wait", 1_u32));
    assert_eq!(waits.begun.recv(), Ok(1));
    let client = client(&broker);
    let alarm = Alarm::new();
    let mut call = Box::pin(client.call_async::<u32>("wait", 2_u32));
    assert!(alarm.poll(call.as_mut()).is_pending());
    drop(call);
    drop(waits.go_on);
    assert_eq!(in_hand.join().unwrap(), Ok(1));
    let requests = server.stop_and_drain(PATIENCE).requests;
    assert_eq!((requests.expired, requests.late), (1, 0));
    assert!(waits.begun.try_recv().is_err());
}

#[test]
fn arguments_and_replies_that_no_one_gets_are_dropped() {
    type Tracked = Local<Arc<()>>;
    let tracker = Arc::new(());
    {
        let broker = Broker::new();
        let kept = Arc::clone(&tracker);
        let endpoint = Endpoint::new()
            .method("drop", |Local(value): Tracked, _| drop(value))
            .method("make", move |wait: bool, context| -> Tracked {
                if wait {
                    context.stop_signal().wait();
                }
                Local(Arc::clone(&kept))
            });
        let server = serve(&broker, endpoint);
        let client = client(&broker);
        let value = || Local(Arc::clone(&tracker));
        client.call::<()>("drop", value()).unwrap();
        client.cast("drop", value()).unwrap();
        client.cast("make", false).unwrap();
        client.call::<String>("drop", value()).unwrap_err();
        client.call::<()>("none", value()).unwrap_err();
        client
            .prepare()
            .server("none")
            .call::<()>("drop", value())
            .unwrap_err();
        drop(client.call::<Tracked>("make", false).unwrap());
        client.call::<u32>("make", false).unwrap_err();
        let alarm = Alarm::new();
        for (method, wait) in [("make", true), ("drop", false)] {
            let mut call = Box::pin(async {
                match wait {
                    true => client.call_async::<Tracked>(method, true).await.map(drop),
                    false => client.call_async::<()>(method, value()).await,
                }
            });
            let _ = alarm.poll(call.as_mut());
        }
        server.stop_and_drain(PATIENCE);
    }
    while Arc::strong_count(&tracker) > 1 {
        thread::yield_now();
    }
}
