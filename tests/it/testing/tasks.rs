//! Tasks on the thread of the test.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use leveret::{Broker, Clock, Message, Queue, Requeue, Result, testing::TestBroker};

use crate::common::{HOUR, SECOND};

/// The notes of tasks, in order.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u32>>>);

impl Notes {
    fn add(&self, number: u32) {
        self.0.lock().unwrap().push(number);
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Lets all other tasks that are woken run first.
fn yield_now() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    poll_fn(move |context| match std::mem::replace(&mut yielded, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
}

/// Runs three tasks that note their numbers twice each.
fn order(test: &TestBroker) -> Vec<u32> {
    let notes = Notes::default();
    for number in 0..3 {
        let notes = notes.clone();
        test.spawn(async move {
            notes.add(number);
            yield_now().await;
            notes.add(number);
        });
    }
    assert_eq!(notes.take(), [0_u32; 0]);
    test.run_until_stalled();
    notes.take()
}

#[test]
fn tasks_run_in_the_order_in_which_they_are_woken() {
    assert_eq!(order(&TestBroker::new()), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_seed_chooses_another_order_and_always_the_same() {
    let orders = || -> Vec<_> {
        (0..20)
            .map(|seed| order(&TestBroker::new().seed(seed)))
            .collect()
    };
    let mut first = orders();
    assert_eq!(first, orders());
    first.sort();
    first.dedup();
    assert!(first.len() > 5, "{first:?}");
}

#[test]
fn a_task_may_spawn_and_run_others() {
    let test = Arc::new(TestBroker::new());
    let notes = Notes::default();
    let (outer, inner) = (notes.clone(), notes.clone());
    let spawner = Arc::downgrade(&test);
    test.spawn(async move {
        let test = spawner.upgrade().unwrap();
        test.spawn(async move { inner.add(1) });
        test.run_until_stalled();
        outer.add(2);
    });
    test.run_until_settled().unwrap();
    assert_eq!(notes.take(), [1, 2]);
}

#[test]
fn a_task_that_panics_ends_the_run_and_no_other_task() {
    let test = TestBroker::new();
    let notes = Notes::default();
    let noting = notes.clone();
    let panicking = test.spawn(async {
        std::panic::resume_unwind(Box::new("an accident"));
    });
    test.spawn(async move { noting.add(1) });
    assert!(catch_unwind(AssertUnwindSafe(|| test.run_until_stalled())).is_err());
    assert_eq!(notes.take(), [0_u32; 0]);
    test.run_until_stalled();
    assert_eq!((notes.take(), panicking.take()), (vec![1], None::<()>));
}

#[test]
fn the_output_of_a_task_is_taken_once() {
    let test = TestBroker::new();
    let task = test.spawn(async { "done" });
    assert_eq!(format!("{task:?}"), "Task { is_ready: false }");
    test.run_until_stalled();
    assert_eq!((task.take(), task.take()), (Some("done"), None));
}

#[test]
fn a_task_that_another_thread_wakes_goes_on_in_the_next_run() {
    let test = TestBroker::new();
    let slot: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let waiting = Arc::clone(&slot);
    let task = test.spawn(poll_fn(move |context| {
        let mut slot = waiting.lock().unwrap();
        slot.1 = Some(context.waker().clone());
        if slot.0 {
            Poll::Ready(7)
        } else {
            Poll::Pending
        }
    }));
    test.run_until_settled().unwrap();
    let waking = thread::spawn(move || {
        let mut slot = slot.lock().unwrap();
        slot.0 = true;
        slot.1.take().unwrap().wake();
    });
    waking.join().unwrap();
    assert_eq!(task.take(), None);
    test.run_until_settled().unwrap();
    assert_eq!(task.take(), Some(7));
}

#[test]
fn tasks_end_with_their_test() {
    let test = TestBroker::new();
    let consumer = test.consumer::<u32>("q").unwrap();
    let broker = test.broker().clone();
    test.spawn(async move { consumer.recv_async().await.map(drop) });
    test.run_until_settled().unwrap();
    let consumers = |broker: &Broker| broker.snapshot().unwrap().vhosts[0].queues[0].consumers;
    assert_eq!(consumers(&broker), 1);
    drop(test);
    assert_eq!(consumers(&broker), 0);
}

/// Moves messages from one queue to the next, one second each.
async fn slow_stage(broker: Broker, from: &'static str, to: &'static str) -> Result {
    let consumer = broker.consumer_builder::<u32>(from).prefetch(1).build()?;
    let producer = broker.producer::<u32>(to)?;
    drop(broker);
    loop {
        let delivery = consumer.recv_async().await?;
        if delivery.info().redelivered() {
            producer.publish_async(*delivery).await?;
            delivery.ack()?;
        } else {
            delivery.nack(Requeue::After(SECOND))?;
        }
    }
}

#[test]
fn a_pipeline_runs_to_its_end_in_every_order_of_its_tasks() {
    for seed in 0..20 {
        let test = TestBroker::new().seed(seed);
        for (from, to) in [("a", "b"), ("b", "c"), ("c", "d")] {
            test.spawn(slow_stage(test.broker().clone(), from, to));
        }
        test.run_until_settled().unwrap();
        let producer = test.producer::<u32>("a").unwrap();
        assert!(producer.publish_batch(0..5).iter().all(Result::is_ok));
        test.run_until_settled().unwrap();
        test.published::<u32>("", "b").assert_count(0);
        test.run_for(2 * SECOND);
        test.published::<u32>("", "c").assert_count(5);
        test.published::<u32>("", "d").assert_count(0);
        test.run_for(SECOND);
        let numbers = test.published::<u32>("", "d");
        let mut numbers: Vec<u32> = numbers.iter().map(|number| **number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        test.run_until_settled().unwrap();
    }
}

#[test]
fn time_passes_from_one_due_instant_to_the_next() {
    let test = TestBroker::new();
    let queue = Queue::new("q");
    let consumer = test.consumer::<u32>(&queue).unwrap();
    let producer = test.producer::<u32>(&queue).unwrap();
    let start = test.clock().now();
    let clock = test.clock().clone();
    let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let noting = Arc::clone(&times);
    test.spawn(async move {
        while let Ok(delivery) = consumer.recv_async().await {
            noting.lock().unwrap().push(clock.now() - start);
            delivery.ack().unwrap();
        }
    });
    for seconds in [30, 10, 20, 10] {
        let message = Message::new(7).deliver_after(seconds * SECOND);
        producer.publish_message(message).unwrap();
    }
    test.run_for(20 * SECOND);
    let expected = [10, 10, 20].map(|seconds| seconds * SECOND);
    assert_eq!(*times.lock().unwrap(), expected);
    test.run_for(HOUR);
    assert_eq!(times.lock().unwrap().last(), Some(&(30 * SECOND)));
    assert_eq!(test.clock().now() - start, HOUR + 20 * SECOND);
    test.run_for(Duration::ZERO);
    assert_eq!(test.clock().now() - start, HOUR + 20 * SECOND);
}
