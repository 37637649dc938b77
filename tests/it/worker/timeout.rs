//! Handlers that take longer than their time.

use std::{
    future::pending,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Consumer, Error, Local, ManualClock, Producer, Queue,
    worker::{Failure, Settle, WorkerBuilder, WorkerEnd, WorkerHandle},
};

use super::{header, with_dead_letters};
use crate::common::{Alarm, PATIENCE, SECOND, on_a_manual_clock};

/// A worker with a time limit of one second, whose handler hangs at even numbers until the test
/// lets it go on.
struct Hanging {
    broker: Broker,
    clock: ManualClock,
    worker: WorkerHandle,
    producer: Producer<u32>,
    dead: Consumer<u32>,
    /// The numbers in the order in which their handlers begin.
    begun: mpsc::Receiver<u32>,
    go_on: mpsc::Sender<()>,
}

fn hanging(build: impl FnOnce(WorkerBuilder<u32>) -> WorkerBuilder<u32>) -> Hanging {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(Mutex::new(may_go_on));
    let worker = build(broker.worker::<u32>(&tasks).timeout(SECOND));
    let worker = worker.handler(move |number, _| {
        begins.send(*number).unwrap();
        if number % 2 == 0 {
            let _ = may_go_on.lock().unwrap().recv();
        }
    });
    let producer = broker.producer(&tasks).unwrap();
    let worker = worker.spawn().unwrap();
    Hanging {
        broker,
        clock,
        worker,
        producer,
        dead,
        begun,
        go_on,
    }
}

#[test]
fn a_handler_in_time_settles_its_message_as_without_a_limit() {
    let Hanging {
        broker: _broker,
        worker,
        producer,
        clock,
        begun: _begun,
        ..
    } = hanging(|worker| worker);
    let _ = producer.publish_batch([1, 3, 5]);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.acked, report.counts.timed_out), (3, 0));
    clock.advance(10 * SECOND);
}

#[test]
fn a_handler_past_its_time_loses_its_message_and_a_spare_thread_takes_its_place() {
    let Hanging {
        broker: _broker,
        clock,
        worker,
        producer,
        dead,
        begun,
        go_on,
    } = hanging(|worker| worker);
    let _ = producer.publish_batch([0, 1]);
    assert_eq!(begun.recv().unwrap(), 0);
    clock.advance(SECOND);
    let letter = dead.recv().unwrap();
    let headers = letter.info().properties().headers.clone().unwrap();
    assert_eq!(*letter, 0);
    assert_eq!(header(&headers, "x-exception-type"), "timeout");
    assert_eq!(
        header(&headers, "x-exception-message"),
        "the handler took longer than 1s"
    );
    // The first handler still hangs.
    assert_eq!(begun.recv().unwrap(), 1);
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.end, report.running), (WorkerEnd::Drained, 1));
    let counts = report.counts;
    assert_eq!((counts.timed_out, counts.rejected, counts.acked), (1, 1, 1));
    go_on.send(()).unwrap();
}

#[test]
fn a_late_result_is_dropped_and_counted() {
    let Hanging {
        broker: _broker,
        clock,
        worker,
        producer,
        dead,
        begun,
        go_on,
    } = hanging(|worker| worker);
    producer.publish(0).unwrap();
    assert_eq!(begun.recv().unwrap(), 0);
    clock.advance(SECOND);
    dead.recv().unwrap().ack().unwrap();
    go_on.send(()).unwrap();
    while worker.report().counts.late == 0 {
        thread::yield_now();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.handled, counts.acked, counts.rejected), (1, 0, 1));
}

#[test]
fn a_worker_has_at_most_as_many_spares_as_its_concurrency_and_goes_on_when_a_handler_ends() {
    let Hanging {
        broker,
        clock,
        worker,
        producer,
        dead,
        begun,
        go_on,
    } = hanging(|worker| worker.prefetch(1));
    let _ = producer.publish_batch([0, 2, 1]);
    for number in [0, 2] {
        assert_eq!(begun.recv().unwrap(), number);
        clock.advance(SECOND);
        let letter = dead.recv().unwrap();
        assert_eq!(*letter, number);
        letter.ack().unwrap();
    }
    // Both threads hang, so the last message waits.
    assert!(begun.try_recv().is_err());
    assert_eq!(worker.report().running, 2);
    // One of them goes on. If it is the one that a spare has replaced, it ends.
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(begun.recv().unwrap(), 1);
    while worker.report().counts.late < 2 {
        thread::yield_now();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.timed_out, counts.acked), (2, 1));
    drop(broker);
}

#[test]
fn a_worker_whose_handlers_all_hang_can_be_stopped() {
    let Hanging {
        broker,
        clock,
        worker,
        producer,
        dead,
        begun,
        go_on,
    } = hanging(|worker| worker);
    let _ = producer.publish_batch([0, 2, 4]);
    for number in [0, 2] {
        assert_eq!(begun.recv().unwrap(), number);
        clock.advance(SECOND);
        dead.recv().unwrap().ack().unwrap();
    }
    let report = worker.stop_and_drain(Duration::ZERO);
    assert_eq!((report.end, report.running), (WorkerEnd::TimedOut, 2));
    assert_eq!(crate::common::rest::<u32>(&broker, "tasks"), [(4, false)]);
    drop(go_on);
}

#[test]
fn a_message_that_is_requeued_after_the_time_is_handled_while_the_first_handler_hangs() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let worker = broker
        .worker::<String>("q")
        .timeout(SECOND)
        .on_error(|error, _| {
            assert_eq!(error.failure(), Failure::TimedOut);
            Settle::Requeue(Duration::ZERO)
        });
    let worker = worker.handler(move |text, context| {
        begins
            .send((text.clone(), context.acquired_count()))
            .unwrap();
        if context.acquired_count() == 0 {
            assert!(context.stop_signal().wait_timeout(PATIENCE) && context.is_stopping());
            let _ = may_go_on.lock().unwrap().recv();
            // The payload is still there.
            assert_eq!(text, "a text");
        }
    });
    let worker = worker.spawn().unwrap();
    broker
        .producer("q")
        .unwrap()
        .publish("a text".to_owned())
        .unwrap();
    assert_eq!(begun.recv().unwrap(), ("a text".to_owned(), 0));
    clock.advance(SECOND);
    assert_eq!(begun.recv().unwrap(), ("a text".to_owned(), 1));
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.acked, report.running), (1, 1));
    go_on.send(()).unwrap();
}

#[test]
fn a_decoded_payload_stays_with_the_handler_that_hangs() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<Vec<u32>>("q").timeout(SECOND);
    let worker = worker.handler(move |numbers, context| {
        begins.send(context.acquired_count()).unwrap();
        context.stop_signal().wait();
        assert_eq!(*numbers, [1, 2]);
    });
    let worker = worker.spawn().unwrap();
    let message = leveret::Message::new("[1,2]".to_owned());
    let message = message.properties(leveret::Properties::new().content_type("application/json"));
    broker
        .producer("q")
        .unwrap()
        .publish_message(message)
        .unwrap();
    assert_eq!(begun.recv().unwrap(), 0);
    clock.advance(SECOND);
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.timed_out, counts.panicked), (1, 0));
}

#[test]
fn a_local_payload_is_settled_when_its_handler_has_ended() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q");
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<Local<u32>>(&queue).timeout(SECOND);
    let worker = worker.on_error(|_, _| Settle::Requeue(SECOND));
    let worker = worker.handler(move |_, context| {
        begins.send(context.acquired_count()).unwrap();
        if context.acquired_count() == 0 {
            context.stop_signal().wait();
        }
    });
    let worker = worker.spawn().unwrap();
    broker
        .producer(&queue)
        .unwrap()
        .publish(Local(7_u32))
        .unwrap();
    assert_eq!(begun.recv().unwrap(), 0);
    clock.advance(SECOND);
    // The message may be delayed after an advance.
    while begun.try_recv() != Ok(1) {
        if !broker.delayed("q").unwrap().is_empty() {
            clock.advance(SECOND);
        }
        thread::yield_now();
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.timed_out, counts.late, counts.acked), (1, 1, 1));
}

#[test]
fn a_future_past_its_time_is_dropped() {
    struct Drops(mpsc::Sender<u32>, u32);
    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.send(self.1).unwrap();
            assert!(self.1 != 2, "a drop that panics");
        }
    }
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let (drops, dropped) = mpsc::channel();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<u32>(&tasks).timeout(SECOND);
    let worker = worker.handler_async(move |job, _context| {
        let drops = Drops(drops.clone(), *job);
        begins.send(*job).unwrap();
        async move {
            let _drops = drops;
            if *job > 0 {
                pending::<()>().await;
            }
        }
    });
    let worker = worker.spawn().unwrap();
    for number in [0, 1, 2] {
        broker.producer(&tasks).unwrap().publish(number).unwrap();
        assert_eq!(begun.recv().unwrap(), number);
        if number > 0 {
            // The time begins with the first poll, which may come later than the call.
            while dropped.try_recv() != Ok(number) {
                clock.advance(SECOND);
                thread::yield_now();
            }
            let letter = dead.recv().unwrap();
            assert_eq!(*letter, number);
            letter.ack().unwrap();
        } else {
            assert_eq!(dropped.recv().unwrap(), 0);
        }
    }
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.timed_out, counts.late), (1, 2, 0));
}

#[test]
fn a_handler_that_blocks_a_task_loses_its_message_and_the_task_goes_on() {
    let (broker, clock) = on_a_manual_clock();
    let (tasks, dead) = with_dead_letters(&broker);
    let handler_clock = clock.clone();
    let worker = broker.worker::<u32>(&tasks).timeout(SECOND);
    let worker = worker.handler(move |number, _| {
        if *number == 0 {
            handler_clock.advance(SECOND);
            assert_eq!(*dead.recv().unwrap(), 0);
        }
    });
    let stop_handle = worker.stop_handle().unwrap();
    let _ = broker.producer(&tasks).unwrap().publish_batch([0, 1]);
    let alarm = Alarm::new();
    let mut worker = Box::pin(worker.run_async());
    assert!(alarm.poll(worker.as_mut()).is_pending());
    stop_handle.stop();
    match alarm.poll(worker.as_mut()) {
        std::task::Poll::Ready(report) => {
            let counts = report.unwrap().counts;
            assert_eq!((counts.late, counts.acked, counts.timed_out), (1, 1, 1));
        }
        std::task::Poll::Pending => panic!("it is stopped"),
    }
}

#[test]
fn a_producer_of_the_context_publishes_for_its_message_from_any_thread_until_the_time_is_over() {
    let (broker, clock) = on_a_manual_clock();
    let results = broker.producer::<u32>("results").unwrap();
    let (begins, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let worker = broker.worker::<u32>("tasks").timeout(SECOND);
    let worker = worker.on_error(|_, _| Settle::Ack);
    let worker = worker.handler(move |number, context| {
        let on_behalf = context.producer(&results);
        let publish = |producer: &Producer<u32>, number: u32| {
            thread::scope(|scope| scope.spawn(|| producer.publish(number)).join().unwrap())
        };
        begins.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        // The broker shuts down, and this thread is none that holds the message.
        assert_eq!(publish(&results, 0).unwrap_err().error(), &Error::ShutDown);
        publish(&on_behalf, *number).unwrap();
        publish(&context.producer(&results), number + 1).unwrap();
        begins.send(()).unwrap();
        context.stop_signal().wait();
        let late = publish(&context.producer(&results), 0).unwrap_err();
        assert_eq!(late.error(), &Error::ShutDown);
        // The other producer publishes until a spare thread has settled the message.
        while publish(&on_behalf, 0).is_ok() {
            thread::yield_now();
        }
        begins.send(()).unwrap();
    });
    let worker = worker.spawn().unwrap();
    let tasks = broker.producer::<u32>("tasks").unwrap();
    tasks.publish(7).unwrap();
    begun.recv().unwrap();
    let ending = broker.clone();
    let ending = thread::spawn(move || ending.shutdown(PATIENCE).unwrap());
    while tasks.publish_to("nowhere", 0).unwrap_err().error() != &Error::ShutDown {
        thread::yield_now();
    }
    go_on.send(()).unwrap();
    begun.recv().unwrap();
    clock.advance(SECOND);
    let report = ending.join().unwrap();
    assert!(!report.timed_out, "{report:?}");
    assert_eq!(worker.join().counts.timed_out, 1);
    begun.recv().unwrap(); // no assertion of the handler has failed
}
