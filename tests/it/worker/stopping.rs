//! The end of a worker.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Broker, CancelReason, Error, Queue,
    worker::{Settle, WorkerEnd},
};

use crate::common::{
    PATIENCE, SECOND, advance_until, block_on, connect, in_time, on_a_manual_clock, rest,
};

/// A broker whose worker is in its handler with the message 0, and has the next ones in advance.
/// The handler goes on when the test says so.
struct Busy {
    broker: Broker,
    worker: leveret::worker::WorkerHandle,
    go_on: mpsc::Sender<()>,
}

fn busy(messages: u32) -> Busy {
    let broker = Broker::new();
    let (go_on, may_go_on) = mpsc::channel();
    let (begins, has_begun) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let worker = broker.worker::<u32>("q").handler(move |number, _| {
        if *number == 0 {
            begins.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
    });
    let worker = worker.spawn().unwrap();
    let _ = broker
        .producer::<u32>("q")
        .unwrap()
        .publish_batch(0..messages);
    has_begun.recv().unwrap();
    Busy {
        broker,
        worker,
        go_on,
    }
}

#[test]
fn a_stop_ends_the_handler_in_hand_and_returns_the_rest_unseen() {
    let Busy {
        broker,
        worker,
        go_on,
    } = busy(4);
    worker.stop();
    assert!(!worker.is_finished());
    assert_eq!(
        rest::<u32>(&broker, "q"),
        [(1, false), (2, false), (3, false)]
    );
    go_on.send(()).unwrap();
    let report = worker.join();
    assert_eq!(report.end, WorkerEnd::Stopped);
    assert_eq!((report.counts.acked, report.running), (1, 0));
    assert!(report.left.is_empty());
}

#[test]
fn a_drain_works_off_the_queue() {
    let Busy {
        broker: _broker,
        worker,
        go_on,
    } = busy(500);
    let draining = thread::spawn(move || worker.stop_and_drain(PATIENCE));
    go_on.send(()).unwrap();
    let report = draining.join().unwrap();
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 500));
}

#[test]
fn a_drain_whose_deadline_passes_reports_the_rest() {
    let Busy {
        broker,
        worker,
        go_on,
    } = busy(4);
    let report = worker.stop_and_drain(Duration::ZERO);
    assert_eq!((report.end, report.running), (WorkerEnd::TimedOut, 1));
    assert_eq!(report.left, [("q".try_into().unwrap(), 3)]);
    go_on.send(()).unwrap();
    assert_eq!(rest::<u32>(&broker, "q").len(), 3);
}

#[test]
fn a_drain_waits_for_the_messages_that_the_worker_has_delayed() {
    let (broker, clock) = on_a_manual_clock();
    let (sender, received) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .concurrency(2)
        .handler(move |_, context| {
            sender.send(context.acquired_count()).unwrap();
            match context.acquired_count() {
                0..3 => Settle::Requeue(SECOND),
                _ => Settle::Ack,
            }
        });
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    assert_eq!(received.recv().unwrap(), 0);
    let draining = thread::spawn(move || worker.stop_and_drain(Duration::MAX));
    for count in 1..4 {
        // The message is delayed some time after its handler has sent.
        while received.try_recv() != Ok(count) {
            clock.advance(SECOND);
            thread::yield_now();
        }
    }
    advance_until(&clock, || draining.is_finished());
    let report = draining.join().unwrap();
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 1));
}

#[test]
fn a_worker_without_messages_stops_at_once() {
    let broker = Broker::new();
    let worker = broker.worker::<u32>("q").concurrency(4).handler(|_, _| ());
    let report = worker.spawn().unwrap().stop_and_drain(PATIENCE);
    assert_eq!(report.end, WorkerEnd::Drained);
    let worker = broker.worker::<u32>("q").concurrency(4).handler(|_, _| ());
    let worker = worker.spawn().unwrap();
    worker.stop();
    worker.stop();
    assert_eq!(worker.join().end, WorkerEnd::Stopped);
}

#[test]
fn a_handler_sees_the_stop_and_may_wait_for_it() {
    let broker = Broker::new();
    let waiting = Arc::new(Barrier::new(2));
    let handler_waiting = waiting.clone();
    let worker = broker.worker::<u32>("q").handler(move |_, context| {
        assert!(!context.is_stopping());
        handler_waiting.wait();
        assert!(context.stop_signal().wait_timeout(PATIENCE));
        context.stop_signal().wait();
        assert!(context.is_stopping() && context.stop_signal().is_set());
    });
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    waiting.wait();
    worker.stop_handle().stop();
    assert_eq!(worker.join().counts.acked, 1);
}

#[test]
fn a_worker_that_is_dropped_is_stopped() {
    let broker = Broker::new();
    let (sender, stopped) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .on_stop(move |report| sender.send(report.end).unwrap());
    drop(worker.handler(|_, _| ()).spawn().unwrap());
    assert_eq!(stopped.recv().unwrap(), WorkerEnd::Stopped);
}

#[test]
fn a_worker_ends_with_its_queue_its_connection_and_its_broker() {
    let end = |ends: fn(&mut Option<Broker>, leveret::Connection)| {
        let mut broker = Some(Broker::new());
        let connection = connect(broker.as_ref().unwrap()).unwrap();
        let worker = connection
            .worker::<u32>("q")
            .concurrency(2)
            .handler(|_, _| ());
        let worker = worker.spawn().unwrap();
        ends(&mut broker, connection);
        in_time(move || worker.join().end).unwrap()
    };
    let deleted = end(|broker, _| {
        let queue = Queue::new("q");
        broker.as_ref().unwrap().delete(&queue).unwrap();
    });
    assert_eq!(deleted, WorkerEnd::Cancelled(CancelReason::QueueDeleted));
    let closed = end(|_, connection| connection.close().unwrap());
    assert_eq!(closed, WorkerEnd::Cancelled(CancelReason::ConnectionClosed));
    let shut_down = end(|broker, _| {
        let report = broker.as_ref().unwrap().shutdown(PATIENCE).unwrap();
        assert!(!report.timed_out);
    });
    assert_eq!(shut_down, WorkerEnd::Cancelled(CancelReason::ShutDown));
    let dropped = end(|broker, _| *broker = None);
    assert_eq!(dropped, WorkerEnd::Cancelled(CancelReason::BrokerDropped));
}

#[test]
fn a_shutdown_lets_the_workers_of_a_pipeline_finish() {
    let broker = Broker::new();
    let second = broker.producer::<u32>("second").unwrap();
    let first = broker
        .worker::<u32>("first")
        .concurrency(2)
        .handler(move |number, _| second.publish(*number).map(drop));
    let first = first.spawn().unwrap();
    let third = broker.producer::<u32>("third").unwrap();
    let second = broker
        .worker::<u32>("second")
        .handler_async(move |job, context| {
            let third = context.producer(&third);
            async move { third.publish_async(*job).await.map(drop) }
        });
    let second = second.spawn().unwrap();
    let third = broker
        .worker::<u32>("third")
        .handler(|_, _| ())
        .spawn()
        .unwrap();
    let _ = broker
        .producer::<u32>("first")
        .unwrap()
        .publish_batch(0..100);
    let report = broker.shutdown(PATIENCE).unwrap();
    assert!(!report.timed_out, "{report:?}");
    for worker in [first, second, third] {
        let report = worker.join();
        assert_eq!(report.counts.acked, 100, "{report:?}");
    }
}

#[test]
fn a_worker_on_this_thread_returns_when_it_is_stopped() {
    let broker = Broker::new();
    let this = thread::current().id();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..3);
    let worker = broker.worker::<u32>("q");
    let (sender, received) = mpsc::channel();
    let worker = worker.handler(move |number, _| {
        sender.send((*number, thread::current().id())).unwrap();
    });
    let stop_handle = worker.stop_handle().unwrap();
    let stopping = thread::spawn(move || {
        let received: Vec<_> = received.iter().take(3).collect();
        stop_handle.stop();
        received
    });
    let report = worker.run().unwrap();
    assert_eq!((report.end, report.counts.handled), (WorkerEnd::Stopped, 3));
    assert_eq!(stopping.join().unwrap(), [(0, this), (1, this), (2, this)]);
}

#[test]
fn a_worker_that_is_stopped_before_it_runs_handles_nothing() {
    let broker = Broker::new();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    let worker = broker
        .worker::<u32>("q")
        .handler(|_, _| -> () { unreachable!() });
    worker.stop_handle().unwrap().stop();
    assert_eq!(worker.run().unwrap().counts.handled, 0);
    assert_eq!(rest::<u32>(&broker, "q"), [(7, false)]);
}

#[test]
fn a_join_with_a_time_limit_gives_the_worker_back() {
    let (broker, clock) = on_a_manual_clock();
    let worker = broker
        .worker::<u32>("q")
        .handler(|_, _| ())
        .spawn()
        .unwrap();
    let worker = worker.join_timeout(Duration::ZERO).unwrap_err();
    worker.stop();
    assert_eq!(worker.join_timeout(SECOND).unwrap().end, WorkerEnd::Stopped);
    drop(clock);
}

#[test]
fn a_worker_for_a_queue_that_cannot_be_consumed_does_not_start() {
    let broker = Broker::new();
    let connection = connect(&broker).unwrap();
    let _exclusive = broker
        .consumer_builder::<u32>("q")
        .exclusive()
        .build()
        .unwrap();
    let refused = broker
        .worker::<u32>("q")
        .handler(|_, _| ())
        .spawn()
        .unwrap_err();
    assert_eq!(refused.reply_code(), Some(403));
    let refused = broker
        .worker::<u32>("q")
        .accept(["yaml"])
        .handler(|_, _| ())
        .run()
        .unwrap_err();
    assert!(matches!(refused, Error::Codec(_)));
    connection.close().unwrap();
    let refused = connection
        .worker::<u32>("q")
        .handler(|_, _| ())
        .spawn()
        .unwrap_err();
    assert_eq!(refused, Error::ConnectionClosed);
}

#[test]
fn a_handler_sees_the_end_of_its_consumer_as_a_stop() {
    let ends: [fn(Broker); 3] = [
        |broker| assert!(broker.shutdown(Duration::ZERO).unwrap().timed_out),
        drop,
        |broker| broker.delete(&Queue::new("tasks")).unwrap(),
    ];
    for end in ends {
        let broker = Broker::new();
        let (begins, begun) = mpsc::channel();
        let worker = broker.worker::<u32>("tasks").concurrency(2);
        let worker = worker.handler(move |number, context| {
            let stop = context.stop_signal();
            assert!(!stop.is_set() && !context.is_stopping());
            begins.send(()).unwrap();
            match number {
                0 => stop.wait(),
                _ => block_on(stop.wait_async()),
            }
            assert!(stop.is_set() && context.is_stopping());
        });
        let worker = worker.spawn().unwrap();
        let _ = broker.producer("tasks").unwrap().publish_batch([0_u32, 1]);
        begun.recv().unwrap();
        begun.recv().unwrap();
        end(broker);
        assert_eq!(worker.join().counts.panicked, 0);
    }
}
