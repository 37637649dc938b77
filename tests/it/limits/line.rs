//! The line of publishers that wait for room: first come first served, one wake for each place, and
//! never over the limit.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use leveret::{
    Broker, Budget, Delivery, Overflow, Payload, Policy, Producer, PublishError, Published, Queue,
    Requeue, Result, SimpleQueue,
};
use proptest::prelude::*;

use crate::common::{Alarm, block_on, cases, share_of};

type Sent<'a, T> =
    Pin<Box<dyn Future<Output = std::result::Result<Published, PublishError<T>>> + Send + 'a>>;

/// A task that publishes, with the number of its wakes and of its polls.
struct Publishing<'a, T> {
    future: Option<Sent<'a, T>>,
    wakes: Arc<Count>,
    seen: usize,
    polls: usize,
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl<'a, T> Publishing<'a, T> {
    /// Polls it once. It has to wait.
    fn new(
        future: impl Future<Output = std::result::Result<Published, PublishError<T>>> + Send + 'a,
    ) -> Self {
        let mut publishing = Publishing {
            future: Some(Box::pin(future)),
            wakes: Arc::new(Count(AtomicUsize::new(0))),
            seen: 0,
            polls: 0,
        };
        assert!(!publishing.poll());
        publishing
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(SeqCst)
    }

    fn has_rung(&mut self) -> bool {
        let wakes = self.wakes();
        std::mem::replace(&mut self.seen, wakes) < wakes
    }

    /// Whether its message is in the queue now.
    fn poll(&mut self) -> bool {
        let Some(future) = &mut self.future else {
            return false;
        };
        self.polls += 1;
        let waker = Waker::from(Arc::clone(&self.wakes));
        let done = match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(published)) => {
                assert_eq!((published.routed, published.refused), (1, 0));
                true
            }
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => return false,
        };
        self.future = None;
        done
    }
}

fn blocking(length: u64) -> Queue {
    Queue::new("q").max_length(length).overflow(Overflow::Block)
}

/// A blocking queue with room for that number of `u32`, and a queue whose budget has it.
fn places(broker: &Broker, room: u64) -> Result<[Queue; 2]> {
    broker.declare(&Budget::new("b", 4 * room).block())?;
    Ok([blocking(room), Queue::new("r").budget("b")])
}

fn take<T: Payload + Clone>(queue: &SimpleQueue<T>) -> T {
    let delivery = queue.try_get().unwrap();
    let value = T::clone(&delivery);
    delivery.ack().unwrap();
    value
}

#[test]
fn each_place_wakes_one_publisher_in_the_order_of_their_coming() -> Result {
    let count = share_of(4_000);
    let broker = Broker::new();
    for queue in places(&broker, 1)? {
        let producer = broker.producer::<u32>(&queue)?;
        producer.publish(0)?;
        let mailbox = broker.simple_queue::<u32>(&queue)?;
        let mut tasks: Vec<_> = (1..=count)
            .map(|id| Publishing::new(producer.publish_async(id)))
            .collect();
        for turn in 0..tasks.len() {
            assert_eq!(take(&mailbox), turn as u32);
            assert!(tasks[turn].has_rung());
            let woken: usize = tasks.iter().map(Publishing::wakes).sum();
            assert_eq!(woken, turn + 1, "one wake for each place");
            assert!(tasks[turn].poll());
            assert_eq!(tasks[turn].polls, 2);
        }
        assert_eq!(take(&mailbox), count);
    }
    Ok(())
}

#[test]
fn a_newcomer_does_not_take_the_place_of_a_publisher_that_was_woken() -> Result {
    let broker = Broker::new();
    for queue in places(&broker, 1)? {
        let producer = broker.producer::<u32>(&queue)?;
        producer.publish(0)?;
        let mailbox = broker.simple_queue::<u32>(&queue)?;
        let mut first = Publishing::new(producer.publish_async(1));
        assert_eq!(take(&mailbox), 0);
        assert!(first.has_rung());
        let mut newcomers = vec![producer.try_publish(2).unwrap_err().into_inner()];
        let batch = producer.try_publish_batch([3]);
        newcomers.extend(
            batch
                .into_iter()
                .map(|refused| refused.unwrap_err().into_inner()),
        );
        assert_eq!(
            (newcomers, mailbox.len().unwrap()),
            (vec![Some(2), Some(3)], 0)
        );
        assert!(first.poll());
        assert_eq!(take(&mailbox), 1);
        producer.try_publish(4)?;
    }
    Ok(())
}

#[test]
fn as_many_places_as_become_free_at_once_are_given_away_at_once() -> Result {
    let broker = Broker::new();
    for queue in places(&broker, 4)? {
        let producer = broker.producer::<u32>(&queue)?;
        for id in 0..4 {
            producer.publish(id)?;
        }
        let mut tasks: Vec<_> = (4..10)
            .map(|id| Publishing::new(producer.publish_async(id)))
            .collect();
        assert_eq!(broker.purge(&queue)?, 4);
        let woken: Vec<bool> = tasks.iter_mut().map(Publishing::has_rung).collect();
        assert_eq!(woken, [true, true, true, true, false, false]);
        // The places are taken, though the queue is empty.
        assert!(producer.try_publish(10).is_err());
        assert!(tasks[..4].iter_mut().all(Publishing::poll));
        assert!(producer.try_publish(10).is_err());
        let mailbox = broker.simple_queue::<u32>(&queue)?;
        assert!((4..8).all(|id| take(&mailbox) == id));
        assert!(tasks[4..].iter_mut().all(Publishing::poll));
        // No publisher waits any more, and two places are left.
        producer.try_publish(10)?;
        producer.try_publish(11)?;
        assert!(producer.try_publish(12).is_err());
        assert_eq!(broker.purge(&queue)?, 4);
    }
    Ok(())
}

#[test]
fn a_future_that_is_dropped_after_its_wake_gives_its_place_to_the_next() -> Result {
    let broker = Broker::new();
    for queue in places(&broker, 1)? {
        let producer = broker.producer::<u32>(&queue)?;
        producer.publish(0)?;
        let mailbox = broker.simple_queue::<u32>(&queue)?;
        let mut first = Publishing::new(producer.publish_async(1));
        let mut second = Publishing::new(producer.publish_async(2));
        let third = Publishing::new(producer.publish_async(3));
        assert_eq!(take(&mailbox), 0);
        assert!(first.has_rung() && !second.has_rung());
        assert!(
            producer.try_publish(4).is_err(),
            "no newcomer gets the place"
        );
        drop(third);
        drop(first);
        assert!(second.has_rung());
        assert!(second.poll());
        assert_eq!(take(&mailbox), 2);
        producer.try_publish(4)?;
        assert_eq!(broker.purge(&queue)?, 1);
    }
    Ok(())
}

#[test]
fn a_smaller_message_does_not_overtake_a_larger_one() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 10).block())?;
    let bytes = Queue::new("q")
        .max_length_bytes(10)
        .overflow(Overflow::Block);
    for queue in [bytes, Queue::new("r").budget("b")] {
        let producer = broker.producer::<String>(&queue)?;
        let text = |bytes| "x".repeat(bytes);
        for bytes in [4, 4, 2] {
            producer.publish(text(bytes))?;
        }
        let mailbox = broker.simple_queue::<String>(&queue)?;
        let mut large = Publishing::new(producer.publish_async(text(8)));
        let mut small = Publishing::new(producer.publish_async(text(1)));
        for left in [6, 2] {
            assert_eq!(take(&mailbox).len(), 4);
            assert_eq!(large.has_rung(), left == 2, "{left} bytes are left");
            assert!(!small.has_rung());
            assert!(producer.try_publish(text(1)).is_err());
        }
        assert!(large.poll());
        assert!(!small.has_rung(), "all ten bytes are used");
        assert_eq!(take(&mailbox).len(), 2);
        assert!(small.has_rung() && small.poll());
        assert_eq!(broker.purge(&queue)?, 2);

        // If the large one gives up, the small one behind it is let in.
        for bytes in [6, 3] {
            producer.publish(text(bytes))?;
        }
        let large = Publishing::new(producer.publish_async(text(2)));
        let mut small = Publishing::new(producer.publish_async(text(1)));
        drop(large);
        assert!(small.has_rung() && small.poll());
        assert_eq!(broker.purge(&queue)?, 3);
    }
    Ok(())
}

#[test]
fn a_message_larger_than_the_whole_limit_waits_until_it_is_alone() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 10).block())?;
    let bytes = Queue::new("q")
        .max_length_bytes(10)
        .overflow(Overflow::Block);
    for queue in [bytes, Queue::new("r").budget("b")] {
        let producer = broker.producer::<String>(&queue)?;
        let text = |bytes| "x".repeat(bytes);
        producer.publish(text(1))?;
        let mut huge = Publishing::new(producer.publish_async(text(11)));
        let mut small = Publishing::new(producer.publish_async(text(1)));
        let mailbox = broker.simple_queue::<String>(&queue)?;
        assert_eq!(take(&mailbox).len(), 1);
        assert!(huge.has_rung() && huge.poll());
        assert!(!small.has_rung());
        assert_eq!(take(&mailbox).len(), 11);
        assert!(small.has_rung() && small.poll());
        assert_eq!(broker.purge(&queue)?, 1);
    }
    Ok(())
}

#[test]
fn a_raised_limit_lets_in_as_many_as_fit_and_a_lifted_one_lets_in_all() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    let root = broker.vhost("/")?;
    let limit =
        |length: i64| root.set_policy(Policy::new("limit", ".*").setting("max-length", length));
    limit(1)?;
    producer.publish(0)?;
    let mut tasks: Vec<_> = (1..8)
        .map(|id| Publishing::new(producer.publish_async(id)))
        .collect();
    let woken = |tasks: &mut Vec<Publishing<'_, u32>>| {
        let woken = tasks
            .iter_mut()
            .filter_map(|task| task.has_rung().then(|| task.poll()));
        let woken: Vec<bool> = woken.collect();
        assert!(woken.iter().all(|done| *done));
        woken.len()
    };
    limit(3)?;
    assert_eq!(woken(&mut tasks), 2);
    limit(2)?;
    assert_eq!(woken(&mut tasks), 0);
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    assert_eq!(take(&mailbox), 0);
    assert_eq!(woken(&mut tasks), 0, "it is full still");
    assert_eq!(take(&mailbox), 1);
    assert_eq!(woken(&mut tasks), 1);
    root.clear_policy("limit")?;
    assert_eq!(woken(&mut tasks), 4);
    assert!((2..8).all(|id| take(&mailbox) == id));
    Ok(())
}

#[test]
fn a_message_that_comes_back_takes_the_place_and_the_publisher_waits_again_as_the_first() -> Result
{
    let broker = Broker::new();
    let queue = blocking(1);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish(0)?;
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    let mut first = Publishing::new(producer.publish_async(1));
    let mut second = Publishing::new(producer.publish_async(2));
    let held = mailbox.try_get()?;
    assert!(first.has_rung());
    held.nack(Requeue::Yes)?;
    assert!(!first.poll());
    assert_eq!(mailbox.len().unwrap(), 1);
    assert_eq!(take(&mailbox), 0);
    assert!(first.has_rung() && !second.has_rung());
    assert!(first.poll());
    assert_eq!(take(&mailbox), 1);
    assert!(second.has_rung() && second.poll());
    Ok(())
}

#[test]
fn an_unsettled_message_of_a_consumer_makes_room_for_one_publisher_at_a_time() -> Result {
    let broker = Broker::new();
    let queue = blocking(1);
    let producer = broker.producer::<u32>(&queue)?;
    let consumer = broker.consumer_builder::<u32>(&queue).prefetch(1).build()?;
    producer.publish(0)?;
    producer.publish(1)?;
    let mut tasks: Vec<_> = (2..5)
        .map(|id| Publishing::new(producer.publish_async(id)))
        .collect();
    for turn in 0..3 {
        let delivery = consumer.recv()?;
        assert_eq!(*delivery, turn as u32);
        assert!(!tasks[turn].has_rung());
        delivery.ack()?;
        // The consumer gets the ready message, and the place of that is free.
        assert!(tasks[turn].has_rung());
        assert!(tasks[turn].poll());
        assert!(tasks[turn + 1..].iter_mut().all(|task| !task.has_rung()));
    }
    Ok(())
}

#[test]
fn a_queue_with_two_budgets_takes_a_message_when_both_have_room() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("small", 8).block())?;
    broker.declare(&Budget::new("all", 12).block().whole_vhost())?;
    let (named, plain) = (Queue::new("named").budget("small"), Queue::new("plain"));
    let (to_named, to_plain) = (
        broker.producer::<u32>(&named)?,
        broker.producer::<u32>(&plain)?,
    );
    let (from_named, from_plain) = (
        broker.simple_queue::<u32>(&named)?,
        broker.simple_queue::<u32>(&plain)?,
    );
    to_named.publish(0)?;
    to_named.publish(1)?;
    to_plain.publish(2)?;
    let used = || {
        let used = |name| broker.budget(name).unwrap().used;
        (used("small"), used("all"))
    };
    assert_eq!(used(), (8, 12));
    // Both budgets are spent. The first waits for the small one, the second only for the other.
    let mut first = Publishing::new(to_named.publish_async(3));
    let mut second = Publishing::new(to_plain.publish_async(4));
    assert_eq!(take(&from_plain), 2);
    assert!(!first.has_rung() && second.has_rung());
    assert!(second.poll());
    assert_eq!((used(), take(&from_named)), ((8, 12), 0));
    assert!(first.has_rung());
    assert_eq!(used(), (4, 8), "what waits uses nothing");
    assert!(first.poll());
    assert_eq!(used(), (8, 12));
    drop(Publishing::new(to_named.publish_async(5)));
    broker.purge(&named)?;
    broker.purge(&plain)?;
    assert_eq!(used(), (0, 0));
    Ok(())
}

#[test]
fn a_publisher_keeps_its_room_in_the_queue_while_it_waits_for_the_budget() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 8).block())?;
    let (queue, other) = (blocking(2).budget("b"), Queue::new("other").budget("b"));
    let producer = broker.producer::<u32>(&queue)?;
    let to_other = broker.producer::<u32>(&other)?;
    producer.publish(0)?;
    to_other.publish(1)?;
    let mut first = Publishing::new(producer.publish_async(2));
    let mut second = Publishing::new(producer.publish_async(3));
    let mut third = Publishing::new(to_other.publish_async(4));
    assert_eq!(
        broker.budget("b")?.waiting,
        2,
        "the second waits for room in the queue"
    );
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    assert_eq!(take(&mailbox), 0);
    assert!(first.has_rung() && second.has_rung() && !third.has_rung());
    // The second has room in the queue now. It is behind the third in the line of the budget.
    assert!(first.poll() && !second.poll());
    assert_eq!(take(&mailbox), 2);
    assert!(third.has_rung() && third.poll());
    assert!(!second.has_rung());
    drop(second);
    for id in [5, 6] {
        assert!(producer.try_publish(id).is_err(), "the budget is spent");
    }
    assert_eq!(broker.purge(&other)?, 2);
    for id in [5, 6] {
        producer.try_publish(id)?;
    }
    assert!(producer.try_publish(7).is_err());
    assert_eq!(broker.purge(&queue)?, 2);
    assert_eq!(broker.budget("b")?.used, 0);
    Ok(())
}

#[test]
fn a_deleted_queue_sends_its_own_publishers_away_and_no_others() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 4).block())?;
    let (doomed, other) = (
        Queue::new("doomed").budget("b"),
        Queue::new("other").budget("b"),
    );
    let (to_doomed, to_other) = (
        broker.producer::<u32>(&doomed)?,
        broker.producer::<u32>(&other)?,
    );
    to_other.publish(0)?;
    let alarm = Alarm::new();
    let mut leaving = Box::pin(to_doomed.publish_async(1));
    assert!(alarm.poll(leaving.as_mut()).is_pending());
    let mut staying = Publishing::new(to_other.publish_async(2));
    broker.delete(&doomed)?;
    assert!(alarm.has_rung() && !staying.has_rung());
    let refused = block_on(leaving).unwrap_err();
    assert_eq!(
        (refused.error().reply_code(), refused.into_inner()),
        (Some(312), Some(1))
    );
    assert_eq!(broker.budget("b")?.used, 4);
    assert!(!staying.has_rung());
    assert_eq!(broker.purge(&other)?, 1);
    assert!(staying.has_rung() && staying.poll());
    Ok(())
}

#[test]
fn threads_and_tasks_are_served_in_the_order_in_which_they_came() {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 4).block()).unwrap();
    let queue = Queue::new("q").budget("b");
    let producer = broker.producer::<u32>(&queue).unwrap();
    producer.publish(0).unwrap();
    let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
    thread::scope(|scope| {
        for id in 1..=24_u32 {
            let producer = producer.clone();
            scope.spawn(move || match id % 3 {
                0 => block_on(producer.publish_async(id)).unwrap(),
                _ => producer.publish(id).unwrap(),
            });
            while broker.budget("b").unwrap().waiting < u64::from(id) {
                thread::yield_now();
            }
        }
        for id in 0..=24 {
            let delivery = mailbox.get().unwrap();
            assert_eq!(*delivery, id);
            delivery.ack().unwrap();
        }
    });
    assert_eq!(broker.budget("b").unwrap().used, 0);
}

/// Threads and tasks publish to a queue, some of them give up. Consumers take the messages. Returns
/// how many messages the queue held at most.
fn crowd(broker: &Broker, queue: &Queue) -> usize {
    const PUBLISHERS: u32 = 12;
    let each = share_of(800);
    let over = AtomicBool::new(false);
    let taken = AtomicUsize::new(0);
    let mut most = 0;
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let producer = broker.producer::<u32>(queue).unwrap();
                scope.spawn(move || {
                    let publish = |id: u32| match (number + id) % 4 {
                        0 => producer.publish(id).is_ok(),
                        1 => block_on(producer.publish_async(id)).is_ok(),
                        2 => producer.try_publish(id).is_ok(),
                        _ => {
                            let alarm = Alarm::new();
                            let mut future = Box::pin(producer.publish_async(id));
                            alarm.poll(future.as_mut()).is_ready()
                        }
                    };
                    (0..each).filter(|id| publish(*id)).count()
                })
            })
            .collect();
        for _ in 0..2 {
            let (mailbox, over, taken) =
                (broker.simple_queue::<u32>(queue).unwrap(), &over, &taken);
            scope.spawn(move || {
                while !over.load(SeqCst) {
                    match mailbox.try_get() {
                        Ok(delivery) => {
                            taken.fetch_add(1, Relaxed);
                            delivery.ack().unwrap();
                        }
                        Err(_) => thread::yield_now(),
                    }
                }
            });
        }
        let observed = broker.simple_queue::<u32>(queue).unwrap();
        while !publishers.iter().all(|publisher| publisher.is_finished()) {
            most = most.max(observed.len().unwrap());
        }
        let published: usize = publishers
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        while taken.load(SeqCst) < published {
            thread::yield_now();
        }
        over.store(true, SeqCst);
        assert_eq!(
            (taken.load(SeqCst), observed.len().unwrap()),
            (published, 0)
        );
    });
    most
}

#[test]
fn no_crowd_of_publishers_takes_a_queue_over_its_limit() {
    for length in [1, 4] {
        let broker = Broker::new();
        let most = crowd(&broker, &blocking(length));
        assert!(most <= length as usize, "{most}");
        // No place is lost.
        let producer = broker.producer::<u32>("q").unwrap();
        assert!((0..length).all(|_| producer.try_publish(0).is_ok()));
        assert!(producer.try_publish(0).is_err());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Publish {
        size: usize,
    },
    TryPublish {
        size: usize,
    },
    /// Polls a task, whether it was woken or not.
    Poll(usize),
    DropTask(usize),
    Take,
    Hold,
    Return,
    Purge,
    Limit {
        length: u64,
        bytes: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..6_usize).prop_map(|size| Op::Publish { size }),
        1 => (1..6_usize).prop_map(|size| Op::TryPublish { size }),
        6 => (0..16_usize).prop_map(Op::Poll),
        2 => (0..16_usize).prop_map(Op::DropTask),
        3 => Just(Op::Take),
        1 => Just(Op::Hold),
        1 => Just(Op::Return),
        1 => Just(Op::Purge),
        1 => (1..4_u64, 3..12_u64).prop_map(|(length, bytes)| Op::Limit { length, bytes }),
    ]
}

/// A blocking queue with limits in messages and bytes, and its line of publishers.
struct Model {
    length: u64,
    bytes: u64,
    /// The sizes of the ready messages.
    ready: VecDeque<usize>,
    /// The arrival and the size of each publisher that waits.
    waiting: Vec<(usize, usize)>,
    granted: Vec<(usize, usize)>,
}

impl Model {
    fn fits(&self, others: &[(usize, usize)], size: usize) -> bool {
        let messages = self.ready.len() + others.len();
        let bytes = self
            .ready
            .iter()
            .chain(others.iter().map(|(_, size)| size))
            .sum::<usize>();
        messages == 0 || (messages as u64) < self.length && (bytes + size) as u64 <= self.bytes
    }

    /// Gives room to those who wait. Returns their arrivals.
    fn serve(&mut self) -> Vec<usize> {
        let mut woken = Vec::new();
        while let Some(first) = self.waiting.first().copied() {
            if !self.fits(&self.granted, first.1) {
                break;
            }
            self.waiting.remove(0);
            self.granted.push(first);
            woken.push(first.0);
        }
        woken
    }

    /// A poll of this publisher. Returns whether its message is in the queue now.
    fn poll(&mut self, arrival: usize) -> bool {
        let Some(index) = self.granted.iter().position(|(other, _)| *other == arrival) else {
            return false;
        };
        let own = self.granted.remove(index);
        if self.fits(&[], own.1) {
            self.ready.push_back(own.1);
            return true;
        }
        let later = self.waiting.iter().position(|(other, _)| *other > arrival);
        self.waiting
            .insert(later.unwrap_or(self.waiting.len()), own);
        false
    }
}

struct Real<'a> {
    broker: &'a Broker,
    producer: &'a Producer<String>,
    mailbox: SimpleQueue<String>,
    tasks: Vec<(usize, Publishing<'a, String>)>,
    held: Option<Delivery<String>>,
    arrivals: usize,
}

impl<'a> Real<'a> {
    fn limit(&self, length: u64, bytes: u64) {
        let policy = Policy::new("limit", ".*")
            .setting("max-length", length as i64)
            .setting("max-length-bytes", bytes as i64);
        self.broker.vhost("/").unwrap().set_policy(policy).unwrap();
    }

    fn step(&mut self, op: Op, model: &mut Model) -> std::result::Result<(), TestCaseError> {
        let text = |size| "x".repeat(size);
        match op {
            Op::Publish { size } => {
                let published = self.producer.try_publish(text(size));
                let fits = model.waiting.is_empty() && model.fits(&model.granted, size);
                prop_assert_eq!(published.is_ok(), fits);
                if fits {
                    model.ready.push_back(size);
                } else {
                    self.arrivals += 1;
                    let task = Publishing::new(self.producer.publish_async(text(size)));
                    self.tasks.push((self.arrivals, task));
                    model.waiting.push((self.arrivals, size));
                }
            }
            Op::TryPublish { size } => {
                let fits = model.waiting.is_empty() && model.fits(&model.granted, size);
                prop_assert_eq!(self.producer.try_publish(text(size)).is_ok(), fits);
                if fits {
                    model.ready.push_back(size);
                }
            }
            Op::Poll(index) if index < self.tasks.len() => {
                let (arrival, task) = &mut self.tasks[index];
                let done = model.poll(*arrival);
                prop_assert_eq!(task.poll(), done);
                if done {
                    self.tasks.remove(index);
                }
            }
            Op::DropTask(index) if index < self.tasks.len() => {
                let (arrival, task) = self.tasks.remove(index);
                drop(task);
                model.waiting.retain(|(other, _)| *other != arrival);
                model.granted.retain(|(other, _)| *other != arrival);
            }
            Op::Take => {
                let taken = self.mailbox.try_get().ok().map(|delivery| {
                    let size = delivery.len();
                    delivery.ack().unwrap();
                    size
                });
                prop_assert_eq!(taken, model.ready.pop_front());
            }
            Op::Hold if self.held.is_none() => {
                self.held = self.mailbox.try_get().ok();
                let held = self.held.as_ref().map(|delivery| delivery.len());
                prop_assert_eq!(held, model.ready.pop_front());
            }
            Op::Return => {
                if let Some(held) = self.held.take() {
                    // It was the head when it was taken, and nothing else has come back since.
                    model.ready.push_front(held.len());
                    held.nack(Requeue::Yes).unwrap();
                }
            }
            Op::Purge => {
                let purged = self.broker.purge("q").unwrap();
                prop_assert_eq!(purged, model.ready.len() as u64);
                model.ready.clear();
            }
            Op::Limit { length, bytes } => {
                (model.length, model.bytes) = (length, bytes);
                self.limit(length, bytes);
            }
            Op::Poll(_) | Op::DropTask(_) | Op::Hold => {}
        }
        let expected = model.serve();
        let woken: Vec<usize> = self
            .tasks
            .iter_mut()
            .filter_map(|(arrival, task)| task.has_rung().then_some(*arrival))
            .collect();
        prop_assert_eq!(woken, expected);
        prop_assert_eq!(self.mailbox.len().unwrap(), model.ready.len());
        Ok(())
    }
}

proptest! {

    #![proptest_config(cases())]

    /// Whatever happens to a blocking queue, exactly those publishers are woken that have room, in
    /// their order.
    #[test]
    fn the_line_is_served_as_in_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let broker = Broker::new();
        let queue = Queue::new("q").overflow(Overflow::Block);
        let producer = broker.producer::<String>(&queue).unwrap();
        let mailbox = broker.simple_queue(&queue).unwrap();
        let (length, bytes) = (2, 8);
        let mut model = Model {
            length,
            bytes,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            granted: Vec::new(),
        };
        let mut real = Real {
            broker: &broker,
            producer: &producer,
            mailbox,
            tasks: Vec::new(),
            held: None,
            arrivals: 0,
        };
        real.limit(length, bytes);
        for op in ops {
            real.step(op, &mut model)?;
        }
    }
}
