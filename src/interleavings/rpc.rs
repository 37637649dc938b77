//! Calls, and the ends of their callers and servers.
//!
//! Each call has one outcome, and a method is called at most once for it. A lost wake-up would be a
//! deadlock.

use std::task::Poll as TaskPoll;

use super::*;
use crate::{
    model::error::RpcError,
    patterns::rpc::{Client, Endpoint, Server, ServerHandle, Target},
    runtime::{
        clock::ManualClock,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn target() -> Target {
    Target::topic("t")
}

fn client(broker: &Broker) -> Client {
    Client::new(broker, target())
}

/// A server with the method `id`, which returns its argument, and the number of its calls.
fn server(broker: &Broker) -> (ServerHandle, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let endpoint = Endpoint::new().method("id", move |value: Tracked, _| {
        count.fetch_add(1, SeqCst);
        value
    });
    let server = Server::new(broker, target()).endpoint(endpoint);
    (server.spawn().unwrap(), calls)
}

/// Polls a future until it is ready, but not more than `polls` times.
fn poll_up_to<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let TaskPoll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

#[test]
fn a_call_has_one_outcome_however_its_server_ends() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let (server, calls) = server(&broker);
            let (caller, value) = (client(&broker), tracker.payload(7));
            let calling = thread::spawn(move || caller.call::<Tracked>("id", value));
            server.stop();
            match calling.join().unwrap() {
                Ok(Local((7, _))) => assert_eq!(calls.load(SeqCst), 1),
                Err(RpcError::ServerGone | RpcError::NoServer { .. }) => {
                    assert_eq!(calls.load(SeqCst), 0);
                }
                other => panic!("{other:?}"),
            }
            server.join();
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_call_has_one_outcome_when_its_time_is_over_as_the_reply_comes() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let clock = ManualClock::new();
            let broker = Broker::builder().clock(clock.clone()).build();
            let (server, calls) = server(&broker);
            let (caller, value) = (client(&broker), tracker.payload(7));
            let calling =
                thread::spawn(move || caller.call_timeout::<Tracked>("id", value, SECOND));
            clock.advance(SECOND);
            let is_in_time = match calling.join().unwrap() {
                Ok(Local((7, _))) => true,
                Err(RpcError::Timeout) => false,
                other => panic!("{other:?}"),
            };
            let requests = server.stop_and_drain(Duration::MAX).requests;
            let (called, lost) = (calls.load(SeqCst), requests.late + requests.expired);
            assert_eq!(lost, u64::from(!is_in_time));
            assert_eq!(requests.expired, u64::from(called == 0));
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_call_has_one_outcome_when_the_time_of_its_method_is_over_as_it_ends() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let clock = ManualClock::new();
            let broker = Broker::builder().clock(clock.clone()).build();
            let endpoint = Endpoint::new()
                .timeout(SECOND)
                .method("id", |value: Tracked, _| value);
            let server = Server::new(&broker, target()).endpoint(endpoint);
            let server = server.spawn().unwrap();
            let (caller, value) = (client(&broker), tracker.payload(7));
            let calling = thread::spawn(move || caller.call::<Tracked>("id", value));
            clock.advance(SECOND);
            let is_in_time = match calling.join().unwrap() {
                Ok(Local((7, _))) => true,
                Err(RpcError::MethodTimeout { .. }) => false,
                other => panic!("{other:?}"),
            };
            let counts = server.stop_and_drain(Duration::MAX).worker.counts;
            assert_eq!(counts.timed_out, u64::from(!is_in_time));
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_method_that_ends_as_its_time_is_over_is_one_reply_of_a_scatter() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let endpoint = Endpoint::new().method("id", |value: u32, _| value);
        let server = Server::new(&broker, target()).endpoint(endpoint);
        let server = server.timeout(SECOND).spawn().unwrap();
        let replies = client(&broker).scatter::<u32>("id", 7_u32).unwrap();
        let gathering = thread::spawn(move || replies.collect::<Vec<_>>());
        clock.advance(SECOND);
        let replies = gathering.join().unwrap();
        match &replies[..] {
            [Ok(7) | Err(RpcError::MethodTimeout { .. })] => {}
            other => panic!("{other:?}"),
        }
        server.stop_and_drain(Duration::MAX);
    });
}

#[test]
fn arguments_that_a_key_looks_at_are_served_or_dropped_with_their_caller() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&calls);
            let endpoint = Endpoint::new().method("id", move |value: Tracked, _| {
                count.fetch_add(1, SeqCst);
                value
            });
            let server = Server::new(&broker, target()).endpoint(endpoint);
            let server =
                server.ordered_by(|request| request.arguments(|value: &Tracked| value.0.0));
            let server = server.spawn().unwrap();
            let (caller, value) = (client(&broker), tracker.payload(7));
            let calling = thread::spawn(move || {
                let call = caller.call_async::<Tracked>("id", value);
                poll_up_to(call, 1).map(Result::unwrap).is_some()
            });
            calling.join().unwrap();
            let requests = server.stop_and_drain(Duration::MAX).requests;
            assert_eq!(calls.load(SeqCst) as u64, 1 - requests.expired);
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_call_that_is_dropped_is_not_begun_or_late_or_answered() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let (server, calls) = server(&broker);
            let (caller, value) = (client(&broker), tracker.payload(7));
            let calling = thread::spawn(move || {
                let call = caller.call_async::<Tracked>("id", value);
                poll_up_to(call, 2).map(Result::unwrap).is_some()
            });
            let is_answered = calling.join().unwrap();
            let requests = server.stop_and_drain(Duration::MAX).requests;
            assert_eq!(calls.load(SeqCst) as u64, 1 - requests.expired);
            assert!(requests.late + requests.expired <= 1);
            if is_answered {
                assert_eq!((requests.late, requests.expired), (0, 0));
            }
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_method_learns_that_its_caller_has_gone() {
    explore(|| {
        let broker = Broker::new();
        let endpoint = Endpoint::new().method("wait", |(): (), context| {
            context.stop_signal().wait();
            assert!(context.is_cancelled());
        });
        let server = Server::new(&broker, target()).endpoint(endpoint);
        let server = server.spawn().unwrap();
        let caller = client(&broker);
        let calling =
            thread::spawn(move || poll_up_to(caller.call_async::<()>("wait", ()), 1).is_none());
        assert!(calling.join().unwrap());
        let report = server.stop_and_drain(Duration::MAX);
        let requests = report.requests;
        assert_eq!(
            (
                report.worker.counts.handled,
                requests.late + requests.expired
            ),
            (1, 1)
        );
    });
}

/// A server in a task that is dropped after some polls, and one that stays if `two`.
fn dropped_server(at_least_once: bool, two: bool) -> Result<u32, RpcError> {
    let broker = Broker::new();
    let serving = |is_slow: bool| {
        let endpoint = Endpoint::new().method_async("id", move |number: u32, _| async move {
            if is_slow {
                let mut has_waited = false;
                std::future::poll_fn(|context| {
                    context.waker().wake_by_ref();
                    match std::mem::replace(&mut has_waited, true) {
                        true => TaskPoll::Ready(()),
                        false => TaskPoll::Pending,
                    }
                })
                .await;
            }
            number
        });
        let server = Server::new(&broker, target()).endpoint(endpoint);
        if at_least_once {
            server.at_least_once()
        } else {
            server
        }
    };
    let first = serving(true).run_async();
    let second = two.then(|| serving(false).spawn().unwrap());
    let caller = client(&broker);
    let calling = thread::spawn(move || caller.call::<u32>("id", 7_u32));
    let dropping = thread::spawn(move || poll_up_to(first, 2).is_none());
    assert!(dropping.join().unwrap());
    let reply = calling.join().unwrap();
    drop(second);
    reply
}

#[test]
fn a_call_in_the_hands_of_a_task_that_is_dropped_has_one_outcome() {
    explore(|| match dropped_server(false, false) {
        Ok(7) | Err(RpcError::ServerGone | RpcError::NoServer { .. }) => {}
        other => panic!("{other:?}"),
    });
}

#[test]
fn at_least_once_means_a_reply_while_another_server_is_there() {
    explore(|| assert_eq!(dropped_server(true, true), Ok(7)));
}

#[test]
fn a_stream_that_waits_for_its_caller_goes_on_or_ends_with_it() {
    explore(|| {
        let tracker = Tracker::default();
        {
            let broker = Broker::new();
            let kept = tracker.clone();
            let endpoint = Endpoint::new().stream("count", move |(): (), _, replies| {
                (0..4).try_for_each(|number| replies.send(kept.payload(number)))
            });
            let server = Server::new(&broker, target()).endpoint(endpoint);
            let server = server.spawn().unwrap();
            let client = client(&broker);
            let replies = client.call_stream::<Tracked>("count", ()).unwrap();
            let taken: Vec<u32> = replies.take(2).map(|reply| reply.unwrap().0.0).collect();
            assert_eq!(taken, [0, 1]);
            server.stop_and_drain(Duration::MAX);
        }
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_scatter_has_one_outcome_for_each_server() {
    explore(|| {
        let broker = Broker::new();
        let servers = [7, 8].map(|number| {
            let endpoint = Endpoint::new().method("number", move |(): (), _| number);
            let server = Server::new(&broker, target()).endpoint(endpoint);
            server.spawn().unwrap()
        });
        let caller = client(&broker);
        let calling = thread::spawn(move || {
            let replies = caller.scatter::<u32>("number", ()).unwrap();
            replies.collect::<Vec<_>>()
        });
        let [first, second] = servers;
        first.stop();
        let replies = calling.join().unwrap();
        assert!(
            replies.len() <= 2 && replies.contains(&Ok(8)),
            "{replies:?}"
        );
        let is_other = |reply: &Result<u32, _>| *reply != Ok(8);
        assert!(
            replies
                .into_iter()
                .filter(is_other)
                .all(|reply| match reply {
                    Ok(number) => number == 7,
                    Err(error) => error == RpcError::ServerGone,
                })
        );
        drop(second);
    });
}
