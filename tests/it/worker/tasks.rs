//! Workers in tasks.

use std::{
    future::pending,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    task::Poll,
    thread,
};

use futures_lite::future::{yield_now, zip};
use leveret::{Broker, CancelReason, Local, Message, Queue, worker::WorkerEnd};

use super::{header, with_dead_letters};
use crate::common::{Alarm, PATIENCE, block_on, queue, rest};

#[test]
fn one_future_holds_as_many_handlers_as_the_concurrency_says() {
    let broker = Broker::new();
    let running = Arc::new(AtomicU32::new(0));
    let handler_running = running.clone();
    let worker = broker
        .worker::<u32>("q")
        .concurrency(10)
        .handler_async(move |_, _| {
            handler_running.fetch_add(1, SeqCst);
            pending::<()>()
        });
    let alarm = Alarm::new();
    let mut worker = Box::pin(worker.run_async());
    assert!(alarm.poll(worker.as_mut()).is_pending());
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..20);
    while running.load(SeqCst) < 10 {
        assert!(alarm.has_rung());
        assert!(alarm.poll(worker.as_mut()).is_pending());
    }
    assert!(alarm.poll(worker.as_mut()).is_pending());
    assert_eq!(running.load(SeqCst), 10);
    drop(worker);
    let rest = rest::<u32>(&broker, "q");
    assert_eq!(rest.len(), 20);
    assert_eq!(
        rest.iter().filter(|(_, redelivered)| *redelivered).count(),
        10
    );
}

#[test]
fn a_future_settles_its_message_by_its_result() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker =
        broker
            .worker::<u32>(&tasks)
            .concurrency(2)
            .handler_async(|job, context| async move {
                assert_eq!(context.info().queue(), "tasks");
                assert!(*job != 3, "three");
                match *job {
                    1 => Err("one"),
                    _ => Ok(()),
                }
            });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch(0..4);
    let mut letters: Vec<_> = (0..2)
        .map(|_| {
            let letter = dead.recv().unwrap();
            let headers = letter.info().properties().headers.clone().unwrap();
            let number = *letter;
            letter.ack().unwrap();
            (number, header(&headers, "x-exception-message"))
        })
        .collect();
    letters.sort();
    assert_eq!(letters, [(1, "one".to_owned()), (3, "three".to_owned())]);
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.failed, counts.panicked), (2, 1, 1));
}

#[test]
fn a_handler_that_panics_before_it_returns_a_future_fails_too() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(&tasks).handler_async(|job, _| {
        assert!(*job == 0, "not zero");
        async {}
    });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch([1, 0]);
    assert_eq!(*dead.recv().unwrap(), 1);
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
}

#[test]
fn a_message_stays_unsettled_while_its_job_or_its_context_is_elsewhere() {
    let broker = Broker::new();
    let (sender, kept) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .handler_async(move |job, context| {
            sender.send((job, context)).unwrap();
            async {}
        });
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    let (job, context) = kept.recv().unwrap();
    // The handler has ended when the worker has.
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!(report.counts.handled, 1);
    let unsettled = || {
        broker.snapshot().unwrap().vhosts[0].queues[0]
            .unsettled
            .messages
    };
    assert_eq!((unsettled(), *job), (1, 7));
    drop(job);
    assert_eq!(unsettled(), 1);
    drop(context);
    assert_eq!(unsettled(), 0);
    assert!(rest::<u32>(&broker, "q").is_empty());
}

#[test]
fn a_local_payload_returns_with_its_message() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let worker =
        broker
            .worker::<Local<Box<u32>>>(&queue)
            .handler_async(|job, context| async move {
                assert_eq!(***job, 7);
                match context.acquired_count() {
                    0 => leveret::worker::Settle::Requeue(std::time::Duration::ZERO),
                    _ => leveret::worker::Settle::Ack,
                }
            });
    let worker = worker.spawn().unwrap();
    broker
        .producer(&queue)
        .unwrap()
        .publish(Local(Box::new(7_u32)))
        .unwrap();
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.requeued, counts.acked, counts.panicked), (1, 1, 0));
}

#[test]
fn a_worker_in_a_task_lets_other_tasks_run() {
    let broker = Broker::new();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch(0..1_000);
    let worker = broker.worker::<u32>("q").handler(|_, _| ());
    let stop_handle = worker.stop_handle().unwrap();
    let alarm = Alarm::new();
    let mut worker = pin!(worker.run_async());
    assert!(alarm.poll(worker.as_mut()).is_pending());
    assert!(alarm.has_rung());
    assert!(
        !broker
            .simple_queue::<u32>(queue())
            .unwrap()
            .is_empty()
            .unwrap()
            || {
                // The worker has taken all of them in advance, and handled a part.
                broker.snapshot().unwrap().vhosts[0].queues[0]
                    .unsettled
                    .messages
                    > 0
            }
    );
    stop_handle.stop();
    match alarm.poll(worker.as_mut()) {
        Poll::Ready(report) => assert_eq!(report.unwrap().end, WorkerEnd::Stopped),
        Poll::Pending => panic!("it is stopped"),
    }
}

#[test]
fn a_worker_in_a_task_starts_at_the_call_and_ends_with_its_future() {
    let broker = Broker::new();
    let (sender, stopped) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .concurrency(2)
        .on_stop(move |report| sender.send(report.end).unwrap());
    let worker = worker.handler_async(|_, _| async {}).run_async();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    // The consumer has the message in advance.
    assert!(broker.simple_queue::<u32>("q").unwrap().is_empty().unwrap());
    drop(worker);
    assert_eq!(stopped.recv().unwrap(), WorkerEnd::Stopped);
    assert_eq!(rest::<u32>(&broker, "q"), [(7, false)]);

    let worker = broker.worker::<u32>("q").handler_async(|_, _| async {});
    let worker = thread::spawn({
        let running = worker.run_async();
        move || block_on(running)
    });
    let report = broker.shutdown(PATIENCE).unwrap();
    assert!(!report.timed_out);
    assert_eq!(
        worker.join().unwrap().unwrap().end,
        WorkerEnd::Cancelled(CancelReason::ShutDown)
    );
}

#[test]
fn a_drain_can_be_awaited() {
    let broker = Broker::new();
    let worker = broker
        .worker::<u32>("q")
        .handler_async(|_, _| async {})
        .spawn()
        .unwrap();
    let message = Message::new(7);
    broker
        .producer::<u32>("q")
        .unwrap()
        .publish_message(message)
        .unwrap();
    let report = block_on(worker.stop_and_drain_async(PATIENCE));
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 1));
    let worker = broker
        .worker::<u32>("q")
        .handler(|_, _| ())
        .spawn()
        .unwrap();
    worker.stop();
    assert_eq!(block_on(worker.join_async()).end, WorkerEnd::Stopped);
}

#[test]
fn a_worker_can_be_spawned_as_a_task() {
    fn is_spawnable<F: Future + Send + 'static>(_: F) {}
    let broker = Broker::new();
    is_spawnable(broker.worker::<u32>("q").handler(|_, _| ()).run_async());
    let worker = broker
        .worker::<Local<u32>>("q")
        .handler_async(|_, _| async {});
    is_spawnable(worker.run_async());
}

#[test]
fn a_task_beside_a_worker_is_outside_in_a_shutdown() {
    let broker = Broker::new();
    let results = broker.producer::<u32>("results").unwrap();
    let outside = results.clone();
    let worker = broker
        .worker::<u32>("tasks")
        .handler_async(move |task, context| {
            let (captured, own) = (results.clone(), context.producer(&results));
            async move {
                // Until the broker shuts down, both publish.
                while captured.publish_async(0).await.is_ok() {
                    yield_now().await;
                }
                own.publish_async(*task).await.map(drop)
            }
        });
    broker.producer("tasks").unwrap().publish(7_u32).unwrap();
    let running = worker.run_async();
    let beside = async {
        while outside.publish_async(0).await.is_ok() {
            yield_now().await;
        }
    };
    let ending = async {
        yield_now().await;
        broker.shutdown_async(PATIENCE).await
    };
    let all = zip(zip(beside, running), ending);
    let (((), report), ended) = block_on(all);
    assert!(!ended.unwrap().timed_out);
    assert_eq!(report.unwrap().counts.acked, 1);
}
