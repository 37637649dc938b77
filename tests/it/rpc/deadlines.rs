//! Time-outs, by a clock that the tests advance.

use std::{
    sync::{Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use leveret::{
    Clock, ManualClock, Queue,
    rpc::{CallerGone, Client, Endpoint, RpcError, Server, Target},
};

use super::{client, serve};
use crate::common::{HOUR, PATIENCE, SECOND, advance_until, on_a_manual_clock};

/// Advances the clock until the thread has ended.
fn end<T>(thread: JoinHandle<T>, clock: &ManualClock) -> T {
    advance_until(clock, || thread.is_finished());
    thread.join().unwrap()
}

#[test]
fn an_expired_request_is_not_executed() {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker.declare(&Queue::new("q")).unwrap();
    let client = Client::new(&broker, Target::queue(queue)).timeout(5 * SECOND);
    client.cast("note", 1_u32).unwrap();
    let caller = client.clone();
    let call = thread::spawn(move || caller.call::<()>("note", 2_u32));
    assert_eq!(end(call, &clock), Err(RpcError::Timeout));
    // Of these, one is in time.
    client.cast("note", 3_u32).unwrap();
    clock.advance(3 * SECOND);
    client.cast("note", 4_u32).unwrap();
    client
        .prepare()
        .timeout(Duration::MAX)
        .cast("note", 5_u32)
        .unwrap();
    clock.advance(2 * SECOND);

    let (notes, seen) = mpsc::channel();
    let endpoint = Endpoint::new().method("note", move |number: u32, _| {
        notes.send(number).unwrap();
    });
    let server = Server::new(&broker, Target::queue("q")).endpoint(endpoint);
    let report = server.spawn().unwrap().stop_and_drain(PATIENCE);
    assert_eq!(report.requests.expired, 3);
    assert!(seen.into_iter().eq([4, 5]));
}

#[test]
fn a_late_reply_is_counted_and_dropped_and_the_method_sees_that_its_caller_has_gone() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let (states, seen) = mpsc::channel();
    let endpoint = Endpoint::new().method("slow", move |(): (), context| {
        states.send(context.is_cancelled()).unwrap();
        begins.send(context.deadline()).unwrap();
        context.stop_signal().wait();
        states
            .send(context.is_cancelled() && context.is_stopping())
            .unwrap();
    });
    let server = serve(&broker, endpoint);
    let caller = client(&broker);
    let expected = clock.now() + HOUR;
    let call = thread::spawn(move || caller.call_timeout::<()>("slow", (), HOUR));
    assert_eq!(begun.recv().unwrap(), Some(expected));
    assert_eq!(end(call, &clock), Err(RpcError::Timeout));
    assert!(seen.into_iter().take(2).eq([false, true]));
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!((report.requests.late, report.requests.expired), (1, 0));
    assert_eq!(report.worker.counts.handled, 1);
}

#[test]
fn a_call_waits_a_minute_by_default_and_without_a_limit_for_ever() {
    let (broker, clock) = on_a_manual_clock();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let endpoint = Endpoint::new().method("deadline", move |wait: bool, context| {
        if wait {
            let _ = may_go_on.lock().unwrap().recv();
        }
        context.deadline().map(|deadline| deadline - context.now())
    });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    let deadline = client.call::<Option<Duration>>("deadline", false);
    assert_eq!(deadline, Ok(Some(60 * SECOND)));
    let endless = client.prepare().timeout(Duration::MAX);
    let call = thread::spawn(move || endless.call::<Option<Duration>>("deadline", true));
    clock.advance(1_000 * HOUR);
    go_on.send(()).unwrap();
    assert_eq!(call.join().unwrap(), Ok(None));
    let zero = client.call_timeout::<Option<Duration>>("deadline", false, Duration::ZERO);
    assert!(matches!(zero, Err(RpcError::Timeout)));
    drop(server);
}

#[test]
fn a_call_of_a_task_times_out_by_the_brokers_clock() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let endpoint = Endpoint::new().method("slow", move |(): (), context| {
        begins.send(()).unwrap();
        context.stop_signal().wait();
    });
    let server = serve(&broker, endpoint);
    let client = client(&broker).timeout(5 * SECOND);
    let alarm = crate::common::Alarm::new();
    let mut call = Box::pin(client.call_async::<()>("slow", ()));
    assert!(alarm.poll(call.as_mut()).is_pending());
    begun.recv().unwrap();
    clock.advance(4 * SECOND);
    assert!(alarm.poll(call.as_mut()).is_pending());
    alarm.has_rung();
    clock.advance(SECOND);
    assert!(alarm.has_rung());
    let std::task::Poll::Ready(reply) = alarm.poll(call.as_mut()) else {
        panic!("its time is over");
    };
    assert_eq!(reply, Err(RpcError::Timeout));
    let late = server.stop_and_drain(PATIENCE).requests;
    assert_eq!((late.late, late.expired), (1, 0));
}

#[test]
fn a_stream_whose_time_is_over_is_told_so_while_its_caller_holds_the_replies() {
    let (broker, clock) = on_a_manual_clock();
    let (ends, ended) = mpsc::channel();
    let endpoint = Endpoint::new().stream("slow", move |(): (), context, replies| {
        replies.send(1_u32).unwrap();
        context.stop_signal().wait();
        ends.send((context.is_cancelled(), replies.send(2_u32)))
    });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    let mut replies = client.call_stream::<u32>("slow", ()).unwrap();
    assert_eq!(replies.next(), Some(Ok(1)));
    let next = thread::spawn(move || (replies.next(), replies));
    let (next, mut replies) = end(next, &clock);
    assert_eq!(next, Some(Err(RpcError::Timeout)));
    assert_eq!(ended.recv_timeout(PATIENCE), Ok((true, Err(CallerGone))));
    assert_eq!((replies.next(), replies.next()), (None, None));
    server.stop_and_drain(PATIENCE);
}

#[test]
fn replies_end_with_a_time_out() {
    let (broker, clock) = on_a_manual_clock();
    let (sent, is_sent) = mpsc::channel();
    let endpoint = Endpoint::new().stream("two", move |(): (), context, replies| {
        replies.send(1_u32)?;
        replies.send(2_u32)?;
        sent.send(()).unwrap();
        context.stop_signal().wait();
        replies.send(3_u32)
    });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    let mut replies = client.call_stream::<u32>("two", ()).unwrap();
    is_sent.recv().unwrap();
    assert_eq!(replies.next(), Some(Ok(1)));
    assert_eq!(replies.next(), Some(Ok(2)));
    let rest = thread::spawn(move || replies.collect::<Vec<_>>());
    assert_eq!(end(rest, &clock), [Err(RpcError::Timeout)]);
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!(report.requests.late, 1);
}
