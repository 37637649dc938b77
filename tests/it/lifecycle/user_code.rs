//! User code that is due at a timer: the drops of payloads, and the wakers of tasks. It runs on
//! threads of its own. Neither the other timers nor the end of the broker waits for it.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Wake, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant, SystemTime},
};

use leveret::{
    Broker, Clock, Exchange, Local, Message, Queue, Result, ShutdownReport, SystemClock,
};

use crate::common::{HOUR, PATIENCE, SECOND, block_on, in_time, on_a_manual_clock};

const SHORT: Duration = Duration::from_millis(5);

/// User code that says that it has begun, and then wants a lock.
#[derive(Clone)]
struct Locker {
    lock: Arc<Mutex<()>>,
    begins: Sender<()>,
}

impl Locker {
    fn new() -> (Locker, Receiver<()>) {
        let (begins, begun) = mpsc::channel();
        let lock = Arc::default();
        (Locker { lock, begins }, begun)
    }

    fn run(&self) {
        // The test may be over.
        let _ = self.begins.send(());
        drop(self.lock.lock());
    }
}

struct Dropped(Locker);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.run();
    }
}

impl Wake for Locker {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

/// Has the payload dropped at a timer.
type Way = fn(&Broker, Local<Dropped>) -> Result;

fn ways() -> [(&'static str, Way); 6] {
    fn publish(broker: &Broker, queue: &Queue, value: Local<Dropped>) -> Result {
        broker.producer(queue)?.publish(value)?;
        Ok(())
    }
    [
        ("an expired message", |broker, value| {
            publish(broker, &Queue::new("q").message_ttl(SHORT), value)
        }),
        ("a dead letter without an exchange", |broker, value| {
            let queue = Queue::new("q").message_ttl(SHORT);
            publish(broker, &queue.dead_letter_exchange("nowhere"), value)
        }),
        (
            "a dead letter that a full queue refuses",
            |broker, value| {
                let full = Queue::new("full").max_length(0);
                broker.declare(&full)?;
                let queue = Queue::new("q").message_ttl(SHORT);
                let queue = queue.dead_letter_exchange("");
                publish(broker, &queue.dead_letter_routing_key("full"), value)
            },
        ),
        (
            "a message of a queue whose lease is over",
            |broker, value| publish(broker, &Queue::new("q").expires(SHORT), value),
        ),
        (
            "a message that is unroutable after its delay",
            |broker, value| {
                let producer = broker.producer(Exchange::fanout("x").delayed())?;
                producer.publish_message(Message::new(value).delay(SHORT))?;
                Ok(())
            },
        ),
        (
            "a message that a delayed one drives out",
            |broker, value| {
                let queue = Queue::new("q").max_length(1);
                publish(broker, &queue, value)?;
                let late = Message::new(7).deliver_after(SHORT);
                broker.producer::<u32>(&queue)?.publish_message(late)?;
                Ok(())
            },
        ),
    ]
}

/// Ends the broker in each way of `ends`, while this thread holds the lock that the user code
/// wants. `begin` has the user code run at a timer, and returns when it has begun.
fn ends_while_user_code_waits(
    name: &str,
    ends: &'static [&str],
    begin: impl Fn(&Broker, Locker, Receiver<()>) + Send + Sync + 'static,
) {
    let begin = Arc::new(begin);
    for &end in ends {
        let begin = Arc::clone(&begin);
        let ended = in_time(move || {
            let (locker, begun) = Locker::new();
            let lock = Arc::clone(&locker.lock);
            let _held = lock.lock().unwrap();
            let broker = Broker::new();
            begin(&broker, locker, begun);
            match end {
                "drop" => drop(broker),
                "shutdown" => drop(broker.shutdown(SHORT).unwrap()),
                _ => drop(block_on(broker.shutdown_async(SHORT)).unwrap()),
            }
        });
        assert!(ended.is_some(), "{name}: {end}");
    }
}

#[test]
fn the_end_of_the_broker_does_not_wait_for_the_drop_of_a_payload() {
    for (name, way) in ways() {
        let ends = &["drop", "shutdown", "shutdown_async"];
        ends_while_user_code_waits(name, ends, move |broker, locker, begun| {
            way(broker, Local(Dropped(locker))).unwrap();
            begun.recv().unwrap();
        });
    }
}

#[test]
fn the_end_of_the_broker_does_not_wait_for_a_waker() {
    // A task that ends the broker needs its own waker at the deadline.
    let ends = &["drop", "shutdown"];
    ends_while_user_code_waits("a waker", ends, |broker, locker, begun| {
        let queue = Queue::new("q");
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        let waker = Waker::from(Arc::new(locker));
        let mut receiving = pin!(consumer.recv_async());
        let mut context = Context::from_waker(&waker);
        assert!(receiving.as_mut().poll(&mut context).is_pending());
        let late = Message::new(7).deliver_after(SHORT);
        let producer = broker.producer::<u32>(&queue).unwrap();
        producer.publish_message(late).unwrap();
        begun.recv().unwrap();
    });
}

#[test]
fn the_end_of_the_broker_does_not_wait_for_a_clock() {
    /// Wants a lock on the timer thread.
    #[derive(Debug)]
    struct Slow(Mutex<Sender<()>>, Arc<Mutex<()>>);
    impl Clock for Slow {
        fn now(&self) -> Instant {
            if thread::current().name() == Some("leveret-timer") {
                let _ = self.0.lock().unwrap().send(());
                drop(self.1.lock());
            }
            Instant::now()
        }
        fn system_now(&self) -> SystemTime {
            SystemClock.system_now()
        }
    }
    for end in ["drop", "shutdown", "shutdown_async"] {
        let ended = in_time(move || {
            let (begins, begun) = mpsc::channel();
            let lock = Arc::default();
            let broker = Broker::builder().clock(Slow(Mutex::new(begins), Arc::clone(&lock)));
            let broker = broker.build();
            let _held = lock.lock().unwrap();
            let producer = broker.producer::<u32>("q").unwrap();
            let late = Message::new(7).deliver_after(HOUR);
            producer.publish_message(late).unwrap();
            begun.recv().unwrap();
            match end {
                "drop" => drop(broker),
                "shutdown" => drop(broker.shutdown(SHORT).unwrap()),
                _ => drop(block_on(broker.shutdown_async(SHORT)).unwrap()),
            }
        });
        assert!(ended.is_some(), "{end}");
    }
}

#[test]
fn a_drop_that_takes_long_delays_no_thread_and_no_task() {
    for (name, way) in ways() {
        let (locker, begun) = Locker::new();
        let lock = Arc::clone(&locker.lock);
        let held = lock.lock().unwrap();
        let broker = Broker::new();
        way(&broker, Local(Dropped(locker))).unwrap();
        begun.recv_timeout(PATIENCE).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>("other").unwrap());
        let producer = broker.producer::<u32>("other").unwrap();
        let late = || Message::new(7).deliver_after(SHORT);
        producer.publish_message(late()).unwrap();
        assert_eq!(*consumer.recv_timeout(PATIENCE).expect(name), 7);
        producer.publish_message(late()).unwrap();
        let task = Arc::clone(&consumer);
        let received = in_time(move || *block_on(task.recv_async()).unwrap());
        assert_eq!(received, Some(7), "{name}");
        drop(held);
    }
}

#[test]
fn a_waker_that_takes_long_delays_no_thread_and_no_drop() {
    let (locker, begun) = Locker::new();
    let lock = Arc::clone(&locker.lock);
    let held = lock.lock().unwrap();
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>("slow").unwrap();
    let mut receiving = pin!(consumer.recv_async());
    let waker = Waker::from(Arc::new(locker));
    let polled = receiving.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let late = || Message::new(7).deliver_after(SHORT);
    let to_slow = broker.producer::<u32>("slow").unwrap();
    to_slow.publish_message(late()).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    let other = broker.simple_queue::<u32>("other").unwrap();
    other.put_message(late()).unwrap();
    assert_eq!(*other.get_timeout(PATIENCE).unwrap(), 7);
    let (dropped, drops) = Locker::new();
    let expiring = Queue::new("q").message_ttl(SHORT);
    let producer = broker.producer(&expiring).unwrap();
    producer.publish(Local(Dropped(dropped))).unwrap();
    drops.recv_timeout(PATIENCE).unwrap();
    drop(held);
}

#[test]
fn a_shutdown_waits_for_user_code_that_a_timer_made_due() {
    /// Ends long after it has begun.
    struct Slow(Sender<()>, Mutex<Receiver<()>>, Arc<AtomicBool>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.lock().unwrap().recv().unwrap();
            (0..1_000).for_each(|_| thread::yield_now());
            self.2.store(true, SeqCst);
        }
    }
    type End = fn(Broker) -> Result<ShutdownReport>;
    let ends: [End; 2] = [
        |broker| broker.shutdown(PATIENCE),
        |broker| block_on(broker.shutdown_async(PATIENCE)),
    ];
    for end in ends {
        let ((begins, begun), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
        let over = Arc::new(AtomicBool::new(false));
        let broker = Broker::new();
        let queue = Queue::new("q").message_ttl(SHORT);
        let producer = broker.producer(&queue).unwrap();
        let slow = Slow(begins, Mutex::new(goes_on), Arc::clone(&over));
        producer.publish(Local(slow)).unwrap();
        begun.recv_timeout(PATIENCE).unwrap();
        let ending = thread::spawn(move || end(broker));
        go_on.send(()).unwrap();
        assert!(!ending.join().unwrap().unwrap().timed_out);
        assert!(over.load(SeqCst));
    }
}

#[test]
fn a_payload_may_end_the_broker_when_a_timer_drops_it() {
    /// Ends the broker when it is dropped.
    struct End(Option<Broker>, bool, Sender<()>);
    impl Drop for End {
        fn drop(&mut self) {
            match (self.0.take(), self.1) {
                (Some(broker), true) => drop(broker.shutdown(HOUR).unwrap()),
                (broker, _) => drop(broker),
            }
            let _ = self.2.send(());
        }
    }
    for by_shutdown in [false, true] {
        let (ends, ended) = mpsc::channel();
        let broker = Broker::new();
        let queue = Queue::new("q").message_ttl(SHORT);
        let producer = broker.producer(&queue).unwrap();
        let end = End(Some(broker), by_shutdown, ends);
        producer.publish(Local(end)).unwrap();
        ended.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn with_a_manual_clock_user_code_runs_on_the_thread_that_advances_it() {
    /// Notes the thread that drops or wakes it.
    struct Note(Arc<Mutex<Vec<ThreadId>>>);
    impl Note {
        fn note(&self) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }
    impl Drop for Note {
        fn drop(&mut self) {
            self.note();
        }
    }
    struct NotingWaker(Arc<Mutex<Vec<ThreadId>>>);
    impl Wake for NotingWaker {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }
    let (broker, clock) = on_a_manual_clock();
    let notes = Arc::default();
    let queue = Queue::new("expiring").message_ttl(SECOND);
    let producer = broker.producer(&queue).unwrap();
    producer.publish(Local(Note(Arc::clone(&notes)))).unwrap();
    let consumer = broker.consumer::<u32>("delayed").unwrap();
    let mut receiving = pin!(consumer.recv_async());
    let waker = Waker::from(Arc::new(NotingWaker(Arc::clone(&notes))));
    let polled = receiving.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let producer = broker.producer::<u32>("delayed").unwrap();
    let late = Message::new(7).deliver_after(SECOND);
    producer.publish_message(late).unwrap();
    let advancing = thread::spawn(move || {
        clock.advance(SECOND);
        thread::current().id()
    });
    let advanced = advancing.join().unwrap();
    assert_eq!(*notes.lock().unwrap(), [advanced; 2]);
}
