//! Limits of methods: of their time, and of how many run at the same time.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use leveret::{
    Broker, Local, ManualClock,
    middleware::ConcurrencyLimit,
    rpc::{CallerGone, Endpoint, RpcCounts, RpcError},
};

use super::{client, serve, server};
use crate::common::{HOUR, PATIENCE, SECOND, block_on, on_a_manual_clock};

/// Advances the clock until the thread has ended.
fn end<T>(thread: JoinHandle<T>, clock: &ManualClock) -> T {
    while !thread.is_finished() {
        clock.advance(SECOND);
        thread::yield_now();
    }
    thread.join().unwrap()
}

fn cut_off(method: &str, limit: Duration) -> RpcError {
    let method = method.into();
    RpcError::MethodTimeout { method, limit }
}

/// A method that ignores its stop signal, and the sender whose drop lets it end.
fn stuck() -> (
    mpsc::Sender<()>,
    impl Fn(u32, &leveret::rpc::Context<'_>) -> u32 + Send + Sync + 'static,
) {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let method = move |number: u32, _: &leveret::rpc::Context<'_>| {
        let _ = may_go_on.lock().unwrap().recv();
        number
    };
    (go_on, method)
}

#[test]
fn a_method_that_takes_too_long_fails_its_call_and_its_late_result_is_dropped() {
    let (broker, clock) = on_a_manual_clock();
    let (go_on, stuck) = stuck();
    let endpoint = Endpoint::new()
        .timeout(3 * SECOND)
        .method("stuck", stuck)
        .method("quick", |number: u32, _| number);
    let server = serve(&broker, endpoint);
    let client = client(&broker).timeout(Duration::MAX);
    let caller = client.clone();
    let call = thread::spawn(move || caller.call::<u32>("stuck", 1_u32));
    assert_eq!(end(call, &clock), Err(cut_off("stuck", 3 * SECOND)));
    // A spare thread has taken the place of the only one.
    assert_eq!(client.call::<u32>("quick", 2_u32), Ok(2));
    assert_eq!(server.report().worker.counts.late, 0);
    drop(go_on);
    while server.report().worker.counts.late == 0 {
        thread::yield_now();
    }
    assert_eq!(client.call::<u32>("quick", 3_u32), Ok(3));
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!(
        (report.worker.counts.timed_out, report.worker.counts.late),
        (1, 1)
    );
    assert_eq!(report.requests, RpcCounts::default());
}

#[test]
fn the_future_of_a_method_that_takes_too_long_is_dropped() {
    let (broker, clock) = on_a_manual_clock();
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let endpoint = Endpoint::new().method_async("never", move |(): (), context| {
        let kept = Arc::clone(&kept);
        async move {
            let _kept = (kept, context);
            pending::<()>().await;
        }
    });
    let server = server(&broker, endpoint).timeout(SECOND).spawn().unwrap();
    let caller = client(&broker).timeout(Duration::MAX);
    let call = thread::spawn(move || caller.call::<()>("never", ()));
    assert_eq!(end(call, &clock), Err(cut_off("never", SECOND)));
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!(
        (report.worker.counts.timed_out, report.worker.counts.late),
        (1, 0)
    );
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn an_endpoint_has_its_own_time_and_the_others_that_of_their_server() {
    let (broker, clock) = on_a_manual_clock();
    let wait = |name: &'static str| {
        Endpoint::new().method(name, |(): (), context| context.stop_signal().wait())
    };
    let server = server(&broker, wait("short").timeout(SECOND))
        .endpoint(wait("long"))
        .endpoint(wait("endless").timeout(Duration::MAX))
        .timeout(HOUR)
        .concurrency(3)
        .spawn()
        .unwrap();
    let call = |method: &'static str, timeout| {
        let client = client(&broker).timeout(timeout);
        thread::spawn(move || client.call::<()>(method, ()))
    };
    let endless = call("endless", 2 * HOUR);
    assert_eq!(
        end(call("short", Duration::MAX), &clock),
        Err(cut_off("short", SECOND))
    );
    assert_eq!(
        end(call("long", Duration::MAX), &clock),
        Err(cut_off("long", HOUR))
    );
    assert_eq!(end(endless, &clock), Err(RpcError::Timeout));
    let report = server.stop_and_drain(PATIENCE);
    assert_eq!(report.worker.counts.timed_out, 2);
    assert_eq!(report.requests.late, 1); // its caller has gone, and its time was not over
}

#[test]
fn a_method_in_time_has_its_reply_and_its_arguments_move() {
    let broker = Broker::new();
    let endpoint = Endpoint::new()
        .timeout(HOUR)
        .method("id", |Local(value): Local<Box<u32>>, _| Local(value))
        .try_method("fail", |(): (), _| Err::<(), _>("no"))
        .method("panic", |(): (), _| -> () { panic!("bug") });
    let server = serve(&broker, endpoint);
    let client = client(&broker);
    let value = Box::new(7_u32);
    let address = &raw const *value;
    let Local(back) = client.call::<Local<Box<u32>>>("id", Local(value)).unwrap();
    assert_eq!(&raw const *back, address);
    let error = client.call::<()>("fail", ()).unwrap_err();
    assert!(matches!(error, RpcError::Remote(_)), "{error}");
    let error = client.call::<()>("panic", ()).unwrap_err();
    assert_eq!(error, RpcError::Panicked("bug".into()));
    let error = client.call::<()>("none", ()).unwrap_err();
    assert!(matches!(error, RpcError::NoSuchMethod { .. }), "{error}");
    client.ping().unwrap();
    let counts = server.stop_and_drain(PATIENCE).worker.counts;
    assert_eq!((counts.handled, counts.acked, counts.timed_out), (5, 5, 0));
}

#[test]
fn a_cast_is_cut_off_and_at_least_once_does_not_repeat_it() {
    for at_least_once in [false, true] {
        let (broker, clock) = on_a_manual_clock();
        let calls = Arc::new(AtomicUsize::new(0));
        let (count, (begins, begun)) = (Arc::clone(&calls), mpsc::channel());
        let begins_async = begins.clone();
        let counted = Arc::clone(&calls);
        let endpoint = Endpoint::new()
            .timeout(SECOND)
            .method_async("never", move |(): (), _| {
                counted.fetch_add(1, SeqCst);
                begins_async.send(()).unwrap();
                pending::<()>()
            });
        let waits = Endpoint::new()
            .timeout(SECOND)
            .method("wait", move |(): (), context| {
                count.fetch_add(1, SeqCst);
                begins.send(()).unwrap();
                context.stop_signal().wait();
            });
        let futures = server(&broker, endpoint);
        let threads = super::Server::new(&broker, super::Target::topic("threads")).endpoint(waits);
        let servers = [futures, threads].map(|server| match at_least_once {
            true => server.at_least_once().spawn().unwrap(),
            false => server.spawn().unwrap(),
        });
        client(&broker).cast("never", ()).unwrap();
        begun.recv().unwrap();
        let to_threads = client(&broker).target(super::Target::topic("threads"));
        to_threads.cast("wait", ()).unwrap();
        begun.recv().unwrap();
        for server in servers {
            while server.report().worker.counts.timed_out == 0 {
                clock.advance(SECOND);
                thread::yield_now();
            }
            server.stop_and_drain(PATIENCE);
        }
        assert_eq!(calls.load(SeqCst), 2);
    }
}

#[test]
fn a_stream_that_is_cut_off_ends_with_that_and_sends_no_more() {
    let (broker, clock) = on_a_manual_clock();
    let (sent, last) = mpsc::channel();
    let (waits, waiting) = mpsc::channel();
    let endpoint = Endpoint::new().stream("numbers", move |(): (), context, replies| {
        replies.send(1_u32)?;
        replies.send(2_u32)?;
        waits.send(()).unwrap();
        context.stop_signal().wait();
        sent.send(replies.send(3_u32)).unwrap();
        Ok::<(), CallerGone>(())
    });
    let server = server(&broker, endpoint).timeout(SECOND).spawn().unwrap();
    let client = client(&broker).timeout(Duration::MAX);
    let numbers = client.call_stream::<u32>("numbers", ()).unwrap();
    let numbers = thread::spawn(move || numbers.collect::<Vec<_>>());
    waiting.recv().unwrap(); // or the time passes before the method has sent
    let numbers = end(numbers, &clock);
    assert_eq!(numbers, [Ok(1), Ok(2), Err(cut_off("numbers", SECOND))]);
    assert_eq!(last.recv(), Ok(Err(CallerGone)));
    while server.report().worker.counts.late == 0 {
        thread::yield_now();
    }
    server.stop_and_drain(PATIENCE);
}

#[test]
fn a_scatter_has_one_reply_of_a_server_whose_method_is_cut_off() {
    let (broker, clock) = on_a_manual_clock();
    let (go_on, stuck) = stuck();
    let slow = Endpoint::new().method("number", stuck);
    let slow = server(&broker, slow).timeout(SECOND).spawn().unwrap();
    let quick = [1, 2].map(|number| {
        serve(
            &broker,
            Endpoint::new().method("number", move |_: u32, _| number),
        )
    });
    let all = client(&broker).timeout(Duration::MAX);
    let replies = all.scatter::<u32>("number", 0_u32).unwrap();
    let replies = thread::spawn(move || replies.collect::<Vec<_>>());
    let replies = end(replies, &clock);
    drop(go_on);
    assert_eq!(replies.len(), 3);
    for reply in [Ok(1), Ok(2), Err(cut_off("number", SECOND))] {
        assert!(replies.contains(&reply), "{replies:?}");
    }
    drop((slow, quick));
}

/// A method that notes how many of it run at the same time, and the most that did.
#[derive(Clone, Default)]
struct Busy {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Busy {
    fn enter(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        thread::yield_now();
    }

    fn leave(&self) {
        self.now.fetch_sub(1, SeqCst);
    }

    fn method(&self) -> impl Fn((), &leveret::rpc::Context<'_>) + Send + Sync + 'static {
        let busy = self.clone();
        move |(), _| {
            busy.enter();
            busy.leave();
        }
    }

    fn most(&self) -> usize {
        self.most.load(SeqCst)
    }
}

/// Calls `method` from this number of threads.
fn call_from(threads: usize, broker: &Broker, method: &'static str) {
    let callers = (0..threads).map(|_| {
        let client = client(broker);
        thread::spawn(move || {
            for _ in 0..50 {
                client.call::<()>(method, ()).unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.join().unwrap();
    }
}

#[test]
fn methods_of_a_limited_endpoint_run_as_many_at_a_time_as_it_says_on_all_servers_together() {
    let broker = Broker::new();
    let (limit, busy) = (ConcurrencyLimit::new(2), Busy::default());
    let servers = [1, 2].map(|_| {
        let endpoint = Endpoint::new()
            .concurrency_limit(limit.clone())
            .method("a", busy.method())
            .method("b", busy.method());
        server(&broker, endpoint).concurrency(4).spawn().unwrap()
    });
    let others = ["a", "b"].map(|method| {
        let broker = broker.clone();
        thread::spawn(move || call_from(4, &broker, method))
    });
    for other in others {
        other.join().unwrap();
    }
    assert!((1..=2).contains(&busy.most()), "{}", busy.most());
    let handled = servers.map(|server| server.stop_and_drain(PATIENCE).worker.counts.handled);
    assert_eq!(handled.iter().sum::<u64>(), 400);
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn a_limit_does_not_hold_for_other_endpoints_and_waits_for_its_turn() {
    let broker = Broker::new();
    let (go_on, stuck) = stuck();
    let limit = ConcurrencyLimit::new(1);
    let slow = Endpoint::new()
        .concurrency_limit(limit.clone())
        .method("slow", stuck);
    let quick = Endpoint::new().method("quick", |number: u32, _| number);
    let server = server(&broker, slow).endpoint(quick).concurrency(3);
    let server = server.spawn().unwrap();
    let call = |number: u32| {
        let client = client(&broker);
        thread::spawn(move || client.call::<u32>("slow", number))
    };
    let calls = [call(1), call(2)];
    while limit.in_use() == 0 {
        thread::yield_now();
    }
    let client = client(&broker);
    for number in 0..100 {
        assert_eq!(client.call::<u32>("quick", number), Ok(number));
        assert_eq!(limit.in_use(), 1);
    }
    drop(go_on);
    let mut replies = calls.map(|call| call.join().unwrap().unwrap());
    replies.sort_unstable();
    assert_eq!(replies, [1, 2]);
    server.stop_and_drain(PATIENCE);
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn a_permit_returns_after_each_kind_of_end() {
    let (broker, clock) = on_a_manual_clock();
    for in_tasks in [false, true] {
        let limit = ConcurrencyLimit::new(1);
        let endpoint = Endpoint::new()
            .timeout(SECOND)
            .concurrency_limit(limit.clone())
            .method("ok", |(): (), _| ())
            .method("panic", |(): (), _| -> () { panic!("bug") });
        let endpoint = match in_tasks {
            true => endpoint
                .method_async("never", |(): (), _| pending::<()>())
                .try_method_async("fail", |(): (), _| async { Err::<(), _>("no") }),
            false => endpoint
                .method("never", |(): (), context| context.stop_signal().wait())
                .try_method("fail", |(): (), _| Err::<(), _>("no")),
        };
        let server = serve(&broker, endpoint);
        let client = client(&broker).timeout(Duration::MAX);
        client.call::<()>("panic", ()).unwrap_err();
        client.call::<()>("fail", ()).unwrap_err();
        client.call::<u32>("ok", ()).unwrap_err(); // a bad reply
        client.call::<()>("ok", 7_u32).unwrap_err(); // bad arguments
        let caller = client.clone();
        let never = thread::spawn(move || caller.call::<()>("never", ()));
        assert_eq!(end(never, &clock), Err(cut_off("never", SECOND)));
        block_on(client.call_async::<()>("ok", ())).unwrap();
        server.stop_and_drain(PATIENCE);
        assert_eq!(limit.in_use(), 0);
    }
}

#[test]
fn a_request_that_waits_for_a_limit_ends_with_its_server() {
    let broker = Broker::new();
    let (go_on, stuck) = stuck();
    let limit = ConcurrencyLimit::new(1);
    let endpoint = Endpoint::new()
        .concurrency_limit(limit.clone())
        .method("slow", stuck);
    let server = server(&broker, endpoint).concurrency(2).spawn().unwrap();
    let call = |number: u32| {
        let client = client(&broker);
        thread::spawn(move || client.call::<u32>("slow", number))
    };
    let first = call(1);
    while limit.in_use() == 0 {
        thread::yield_now();
    }
    let second = call(2);
    let waits = |broker: &Broker| {
        let queues = &broker.snapshot().unwrap().vhosts[0].queues;
        queues
            .iter()
            .map(|queue| queue.unsettled.messages)
            .sum::<u64>()
            == 2
    };
    while !waits(&broker) {
        thread::yield_now();
    }
    server.stop();
    assert_eq!(second.join().unwrap(), Err(RpcError::ServerGone));
    drop(go_on);
    assert_eq!(first.join().unwrap(), Ok(1));
    server.join();
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn the_key_of_a_limit_that_panics_fails_the_call() {
    let broker = Broker::new();
    let limit = ConcurrencyLimit::new(1).by_key(|_| -> String { panic!("no key") });
    let endpoint = Endpoint::new()
        .concurrency_limit(limit)
        .method("limited", |(): (), _| ());
    let server = server(&broker, endpoint).endpoint(Endpoint::new().method("free", |(): (), _| ()));
    let server = server.spawn().unwrap();
    let client = client(&broker);
    let error = client.call::<()>("limited", ()).unwrap_err();
    assert_eq!(error, RpcError::Panicked("no key".into()));
    client.call::<()>("free", ()).unwrap();
    drop(server);
}
