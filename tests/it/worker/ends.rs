//! Workers whose broker, queue or task ends while a message is in hand.

use std::{
    future::{Future, pending},
    panic,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use leveret::{
    Broker, Queue,
    worker::{Before, Context, Middleware, Outcome, Settle, WorkerBuilder, WorkerEnd},
};

use crate::common::{Alarm, HOUR, PATIENCE, SECOND, in_time, on_a_manual_clock, rest};

/// Waits for an hour before each message, and tells of it.
struct Waits(mpsc::Sender<()>);

impl Middleware for Waits {
    fn before(&self, _: &Context<'_>) -> Before {
        let _ = self.0.send(());
        Before::Wait(HOUR)
    }
}

/// A worker with one message for which a middleware waits.
fn waiting(broker: &Broker) -> leveret::worker::WorkerHandle {
    let (waits, waiting) = mpsc::channel();
    let worker = broker.worker::<u32>("q").middleware(Waits(waits));
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    broker.producer("q").unwrap().publish(7_u32).unwrap();
    waiting.recv().unwrap();
    worker
}

#[test]
fn a_worker_ends_with_its_broker_or_its_queue_while_a_middleware_waits() {
    let broker = Broker::new();
    let worker = waiting(&broker);
    drop(broker);
    assert!(in_time(move || worker.join()).is_some());

    let broker = Broker::new();
    let worker = waiting(&broker);
    broker.delete(&Queue::new("q")).unwrap();
    let report = in_time(move || worker.join()).unwrap();
    assert!(matches!(report.end, WorkerEnd::Cancelled(_)), "{report:?}");
}

/// A worker whose handlers have a short time, and that loses its broker while one runs.
fn without_broker(
    build: impl FnOnce(WorkerBuilder<u32>, mpsc::Sender<()>) -> leveret::worker::Worker<u32>,
) -> leveret::worker::WorkerHandle {
    let broker = Broker::new();
    let (begins, begun) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .timeout(Duration::from_millis(100));
    let worker = build(worker, begins).spawn().unwrap();
    broker.producer("q").unwrap().publish(7_u32).unwrap();
    begun.recv().unwrap();
    drop(broker);
    worker
}

#[test]
fn the_time_of_a_handler_ends_although_the_broker_is_gone() {
    let worker = without_broker(|worker, begins| {
        worker.handler_async(move |_, _| {
            begins.send(()).unwrap();
            pending::<()>()
        })
    });
    assert!(in_time(move || worker.join()).is_some());

    let worker = without_broker(|worker, begins| {
        worker.handler(move |_, context| {
            begins.send(()).unwrap();
            context.stop_signal().wait();
        })
    });
    assert!(in_time(move || worker.join()).is_some());
}

#[test]
fn a_drain_ends_with_the_broker_while_it_waits_for_a_delayed_message() {
    let broker = Broker::new();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<u32>("q").handler(move |_, _| {
        begins.send(()).unwrap();
        Settle::Requeue(HOUR)
    });
    let worker = worker.spawn().unwrap();
    broker.producer("q").unwrap().publish(7_u32).unwrap();
    begun.recv().unwrap();
    let draining = thread::spawn(move || in_time(move || worker.stop_and_drain(Duration::MAX)));
    while broker.snapshot().unwrap().vhosts[0].queues[0]
        .delayed
        .messages
        == 0
    {
        thread::yield_now();
    }
    drop(broker);
    assert!(draining.join().unwrap().is_some());
}

#[test]
fn a_drain_handles_what_it_has_delayed_whatever_the_clock_says() {
    for _ in 0..100 {
        let broker = Broker::new();
        let worker = broker.worker::<u32>("q").handler_async(|_, context| {
            let settle = match context.acquired_count() {
                0 => Settle::Requeue(Duration::from_millis(1)),
                _ => Settle::Ack,
            };
            async { settle }
        });
        let worker = worker.spawn().unwrap();
        broker.producer("q").unwrap().publish(7_u32).unwrap();
        let report = worker.stop_and_drain(PATIENCE);
        assert_eq!((report.counts.requeued, report.counts.acked), (1, 1));
        assert_eq!(report.end, WorkerEnd::Drained);
    }
}

#[test]
fn a_drain_whose_deadline_passes_is_no_drain_although_some_slots_found_nothing() {
    let broker = Broker::new();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<u32>("q").prefetch(1).concurrency(2);
    let worker = worker.handler(move |_, context| {
        begins.send(()).unwrap();
        context.stop_signal().wait();
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..5);
    begun.recv().unwrap();
    let report = worker.stop_and_drain(Duration::from_millis(50));
    assert_eq!(report.end, WorkerEnd::TimedOut);
    assert_eq!(report.left.len(), 1);
}

#[test]
fn a_drain_without_time_can_be_awaited_on_a_clock_that_stands_still() {
    let (broker, _clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<u32>("q").handler_async(move |_, _| {
        begins.send(()).unwrap();
        pending::<()>()
    });
    let worker = worker.spawn().unwrap();
    broker.producer("q").unwrap().publish(7_u32).unwrap();
    begun.recv().unwrap();
    let drain = move || crate::common::block_on(worker.stop_and_drain_async(Duration::ZERO));
    assert_eq!(in_time(drain).unwrap().end, WorkerEnd::TimedOut);
}

#[test]
fn a_middleware_that_waits_no_time_needs_no_clock() {
    struct Thrice(AtomicU32);
    impl Middleware for Thrice {
        fn before(&self, _: &Context<'_>) -> Before {
            match self.0.fetch_add(1, SeqCst) {
                0..3 => Before::Wait(Duration::ZERO),
                _ => Before::Go,
            }
        }
    }
    let (broker, _clock) = on_a_manual_clock();
    let worker = broker
        .worker::<u32>("q")
        .middleware(Thrice(AtomicU32::new(0)));
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    broker.producer("q").unwrap().publish(7_u32).unwrap();
    let report = in_time(move || worker.stop_and_drain(Duration::MAX)).unwrap();
    assert_eq!(report.counts.acked, 1);
}

/// A value whose drop panics.
struct PanicsAtDrop;

impl Drop for PanicsAtDrop {
    fn drop(&mut self) {
        panic::resume_unwind(Box::new("an accident of a drop"));
    }
}

#[test]
fn a_task_that_is_dropped_drops_each_handler_and_returns_its_message() {
    let broker = Broker::new();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..3);
    let seen = Arc::new(Mutex::new(None));
    let worker = broker.worker::<u32>("q").concurrency(3).on_stop({
        let seen = Arc::clone(&seen);
        move |report| *seen.lock().unwrap() = Some(report.clone())
    });
    let worker = worker.handler_async(|_, _| {
        let held = PanicsAtDrop;
        async move {
            let _held = held;
            pending::<()>().await;
        }
    });
    let mut running = Box::pin(worker.run_async());
    assert!(Alarm::new().poll(running.as_mut()).is_pending());
    drop(running);
    let report = seen.lock().unwrap().take().unwrap();
    assert_eq!((report.end, report.running), (WorkerEnd::Stopped, 0));
    assert_eq!(rest::<u32>(&broker, "q").len(), 3);
}

#[test]
fn a_future_whose_drop_panics_at_its_end_ends_nothing_else() {
    let broker = Broker::new();
    let worker = broker.worker::<u32>("q").handler_async(|_, _| {
        struct Ready(PanicsAtDrop);
        impl Future for Ready {
            type Output = ();
            fn poll(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<()> {
                std::task::Poll::Ready(())
            }
        }
        Ready(PanicsAtDrop)
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..3);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 3));
}

#[test]
fn closures_whose_drops_panic_end_no_worker() {
    let broker = Broker::new();
    let (first, second) = (PanicsAtDrop, PanicsAtDrop);
    let worker = broker.worker::<u32>("q").on_idle(move || {
        let _ = &first;
    });
    let worker = worker.handler(move |_, _| {
        let _ = &second;
    });
    worker.stop_handle().unwrap().stop();
    assert_eq!(worker.run().unwrap().end, WorkerEnd::Stopped);
}

#[test]
fn middlewares_learn_of_a_message_whose_task_is_dropped() {
    #[derive(Default)]
    struct Open(AtomicU32);
    impl Middleware for Open {
        fn before(&self, _: &Context<'_>) -> Before {
            self.0.fetch_add(1, SeqCst);
            Before::Go
        }
        fn after(&self, _: &Context<'_>, outcome: &mut Outcome) {
            assert_eq!(outcome.settle, Settle::Requeue(Duration::ZERO));
            self.0.fetch_sub(1, SeqCst);
        }
    }
    for waits in [true, false] {
        let open = Arc::new(Open::default());
        let broker = Broker::new();
        let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..3);
        let worker = broker.worker::<u32>("q").middleware(Arc::clone(&open));
        let worker = worker.middleware(waits.then(|| Waits(mpsc::channel().0)));
        let worker = worker.handler_async(|_, _| pending::<()>());
        let mut running = Box::pin(worker.run_async());
        assert!(Alarm::new().poll(running.as_mut()).is_pending());
        assert_eq!(open.0.load(SeqCst), 1);
        drop(running);
        assert_eq!(open.0.load(SeqCst), 0);
        assert_eq!(rest::<u32>(&broker, "q").len(), 3);
    }
}

#[test]
fn futures_that_are_ready_at_once_let_other_tasks_run() {
    let broker = Broker::new();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..1_000);
    let handled = Arc::new(AtomicU32::new(0));
    let worker = broker.worker::<u32>("q").handler_async({
        let handled = Arc::clone(&handled);
        move |_, _| {
            handled.fetch_add(1, SeqCst);
            async {}
        }
    });
    let mut running = Box::pin(worker.run_async());
    let alarm = Alarm::new();
    assert!(alarm.poll(running.as_mut()).is_pending());
    assert!(alarm.has_rung());
    assert!((1..1_000).contains(&handled.load(SeqCst)));
}

#[test]
fn a_concurrency_beyond_all_bounds_starts_a_worker() {
    let broker = Broker::new();
    let worker = broker.worker::<u32>("q").concurrency(usize::MAX);
    let worker = worker.handler(|_, _| ());
    worker.stop_handle().unwrap().stop();
    let report = crate::common::block_on(worker.run_async()).unwrap();
    assert_eq!(report.end, WorkerEnd::Stopped);
}

#[test]
fn the_hook_at_the_end_does_not_run_where_timers_do() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(Mutex::new(may_go_on));
    let (stops, stopped) = mpsc::channel();
    let worker = broker.worker::<u32>("q").timeout(SECOND);
    let worker = worker.on_stop(move |report| {
        let _ = stops.send((thread::current().id(), report.counts.timed_out));
    });
    let worker = worker.handler(move |_, _| {
        begins.send(()).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..2);
    begun.recv().unwrap();
    clock.advance(SECOND); // A spare takes its place.
    begun.recv().unwrap();
    worker.stop();
    clock.advance(SECOND); // No spare is left, so that the worker ends.
    let (thread, timed_out) = stopped.recv().unwrap();
    assert_ne!(thread, thread::current().id());
    assert_eq!(timed_out, 2);
    drop(go_on);
}
