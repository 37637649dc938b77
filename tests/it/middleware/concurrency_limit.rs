//! A limit of the messages that are handled at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use leveret::{Broker, Message, middleware::ConcurrencyLimit, worker::WorkerEnd};

use crate::common::{PATIENCE, rest, share_of};

/// Messages whose handlers run until they are let go.
struct Held {
    begun: mpsc::Receiver<u32>,
    go: mpsc::Sender<()>,
}

/// A handler that says that it has begun, and waits.
fn holding() -> (impl Fn(&u32) + Send + Sync + Clone, Held) {
    let (begins, begun) = mpsc::channel();
    let (go, going) = mpsc::channel();
    let going = Arc::new(std::sync::Mutex::new(going));
    let handler = move |number: &u32| {
        begins.send(*number).unwrap();
        // Only the turn to wait is locked.
        going.lock().unwrap().recv().unwrap();
    };
    (handler, Held { begun, go })
}

#[test]
fn no_more_than_the_limit_are_handled_by_all_workers_together() {
    let broker = Broker::new();
    let limit = ConcurrencyLimit::new(2);
    let (handler, held) = holding();
    let worker = |queue: &str| {
        let handler = handler.clone();
        let worker = broker.worker::<u32>(queue).concurrency(3);
        worker
            .middleware(limit.clone())
            .handler(move |number, _| handler(number))
    };
    let workers = ["first", "second"].map(|queue| worker(queue).spawn().unwrap());
    for queue in ["first", "second"] {
        let messages = broker.producer::<u32>(queue).unwrap().publish_batch(0..3);
        assert!(messages.iter().all(|published| published.is_ok()));
    }
    for left in (0..6).rev() {
        if left == 5 {
            held.begun.recv().unwrap();
        }
        if left > 0 {
            held.begun.recv().unwrap();
            assert_eq!(limit.in_use(), 2);
        }
        assert!(held.begun.try_recv().is_err());
        held.go.send(()).unwrap();
    }
    for worker in workers {
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 3);
    }
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn each_key_has_permits_of_its_own() {
    let broker = Broker::new();
    let limit = ConcurrencyLimit::new(1)
        .by_key(|context| context.properties().app_id.clone().unwrap_or_default());
    let (handler, held) = holding();
    let worker = broker.worker::<u32>("tasks").concurrency(4);
    let worker = worker.middleware(limit.clone());
    let worker = worker
        .handler(move |number, _| handler(number))
        .spawn()
        .unwrap();
    let producer = broker.producer::<u32>("tasks").unwrap();
    for (number, app) in [(1, "a"), (2, "a"), (3, "b")] {
        let message = Message::new(number).app_id(app);
        producer.publish_message(message).unwrap();
    }
    let mut begun = [(); 2].map(|()| held.begun.recv().unwrap());
    begun.sort_unstable();
    assert_eq!(begun[1], 3);
    assert!(held.begun.try_recv().is_err());
    (0..3).for_each(|_| held.go.send(()).unwrap());
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 3);
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn a_permit_comes_back_however_the_handler_ends() {
    let broker = Broker::new();
    let limit = ConcurrencyLimit::new(1);
    let worker = broker.worker::<u32>("tasks").middleware(limit.clone());
    let worker = worker.handler(|number, _| match number {
        0 => panic!("no"),
        1 => Err("no"),
        _ => Ok(()),
    });
    let worker = worker.spawn().unwrap();
    let messages = broker.producer::<u32>("tasks").unwrap().publish_batch(0..3);
    assert!(messages.iter().all(|published| published.is_ok()));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.panicked, counts.failed, counts.acked), (1, 1, 1));
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn a_stop_ends_the_wait_and_the_permit_goes_to_another_worker() {
    let broker = Broker::new();
    let limit = ConcurrencyLimit::new(1);
    let (handler, held) = holding();
    let worker = |queue: &str| {
        let handler = handler.clone();
        let worker = broker.worker::<u32>(queue).middleware(limit.clone());
        worker
            .handler(move |number, _| handler(number))
            .spawn()
            .unwrap()
    };
    let (first, second, third) = (worker("first"), worker("second"), worker("third"));
    broker.producer("first").unwrap().publish(1).unwrap();
    assert_eq!(held.begun.recv().unwrap(), 1);
    broker.producer("second").unwrap().publish(2).unwrap();
    broker.producer("third").unwrap().publish(3).unwrap();
    second.stop();
    assert_eq!(second.join().end, WorkerEnd::Stopped);
    assert_eq!(rest::<u32>(&broker, "second").len(), 1);
    held.go.send(()).unwrap();
    assert_eq!(held.begun.recv().unwrap(), 3);
    held.go.send(()).unwrap();
    for worker in [first, third] {
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
    }
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn under_load_the_limit_holds_and_every_message_gets_in() {
    let broker = Broker::new();
    let limit = ConcurrencyLimit::new(3);
    let running = Arc::new(AtomicUsize::new(0));
    let count = |running: &AtomicUsize| {
        assert!(running.fetch_add(1, SeqCst) < 3);
        thread::yield_now();
        running.fetch_sub(1, SeqCst);
    };
    let called = broker.worker::<u32>("called").concurrency(4);
    let called = called.middleware(limit.clone()).handler({
        let running = Arc::clone(&running);
        move |_, _| count(&running)
    });
    let task = broker.worker::<u32>("task").concurrency(8);
    let task = task.middleware(limit.clone()).handler_async({
        let running = Arc::clone(&running);
        move |_, _| {
            let running = Arc::clone(&running);
            async move { count(&running) }
        }
    });
    let workers = [called.spawn().unwrap(), task.spawn().unwrap()];
    let messages = share_of(20_000);
    for queue in ["called", "task"] {
        let published = broker.producer(queue).unwrap().publish_batch(0..messages);
        assert!(published.iter().all(|published| published.is_ok()));
    }
    for worker in workers {
        let counts = worker.stop_and_drain(PATIENCE).counts;
        assert_eq!((counts.acked, counts.panicked), (u64::from(messages), 0));
    }
    assert_eq!(limit.in_use(), 0);
}

#[test]
fn a_batch_waits_for_its_permit_and_a_stop_leaves_it_to_others() {
    let broker = Broker::new();
    for round in 0..2 * share_of(256) {
        let is_stopped = round % 2 == 1;
        let limit = ConcurrencyLimit::new(1);
        let (handler, held) = holding();
        let single = broker.worker::<u32>("single").middleware(limit.clone());
        let single = single
            .handler(move |number, _| handler(number))
            .spawn()
            .unwrap();
        broker.producer("single").unwrap().publish(7).unwrap();
        held.begun.recv().unwrap();

        let (sender, batches) = mpsc::channel();
        let batched = broker
            .worker::<u32>("batched")
            .concurrency(2)
            .middleware(limit.clone());
        let batched = batched.batch(10, Duration::ZERO).handler(move |batch| {
            sender.send(batch.len()).unwrap();
        });
        let batched = batched.spawn().unwrap();
        let _ = broker.producer("batched").unwrap().publish_batch(0..2_u32);
        // The worker may wait already, or come to wait later.
        (0..round % 32).for_each(|_| thread::yield_now());
        if is_stopped {
            batched.stop();
            held.go.send(()).unwrap();
            assert_eq!(batched.join().counts.handled, 0);
            assert_eq!(broker.purge("batched").unwrap(), 2);
        } else {
            held.go.send(()).unwrap();
            // The permit is for one message, and the next one begins a batch of its own.
            assert_eq!([batches.recv().unwrap(), batches.recv().unwrap()], [1, 1]);
            assert_eq!(batched.stop_and_drain(PATIENCE).counts.acked, 2);
        }
        assert_eq!(single.stop_and_drain(PATIENCE).counts.acked, 1);
        assert_eq!(limit.in_use(), 0);
    }
}
