//! A run of messages that expire, which its consumer has by itself, against the clock.
//!
//! Each message is received or dead-lettered, and none is both.

use super::*;
use crate::runtime::clock::ManualClock;

const TIME: Duration = Duration::from_millis(10);

/// Threads share it.
type Numbers = Arc<Consumer<u32>>;

/// A broker with the numbers 0 to 4, which live for [`TIME`]. The consumer has received the first
/// one, and has the others in its run.
fn with_a_run() -> (Broker, ManualClock, Numbers) {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let queue = queue().message_ttl(TIME).dead_letter_exchange("");
    let queue = queue.dead_letter_routing_key("dead");
    broker.declare(&Queue::new("dead")).unwrap();
    let consumer = Arc::new(broker.consumer::<u32>(&queue).unwrap());
    let producer = broker.producer::<u32>(&queue).unwrap();
    for number in 0..5 {
        producer.publish(number).unwrap();
    }
    assert_eq!(take(&consumer), Some(0));
    (broker, clock, consumer)
}

fn take(consumer: &Consumer<u32>) -> Option<u32> {
    let delivery = consumer.try_recv().ok()?;
    let number = *delivery;
    delivery.ack().unwrap();
    Some(number)
}

fn advancing(clock: &ManualClock) -> JoinHandle<Vec<u32>> {
    let clock = clock.clone();
    thread::spawn(move || {
        clock.advance(TIME);
        Vec::new()
    })
}

fn receiving(consumer: &Numbers, most: usize) -> JoinHandle<Vec<u32>> {
    let consumer = Arc::clone(consumer);
    thread::spawn(move || (0..most).filter_map(|_| take(&consumer)).collect())
}

/// Joins the threads, and checks what has become of the numbers 1 to 4. Time goes on before: a
/// thread may have read the clock before it was advanced.
fn each_has_one_end(
    (broker, clock): (&Broker, &ManualClock),
    threads: impl IntoIterator<Item = JoinHandle<Vec<u32>>>,
) {
    let received = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap());
    let mut ended: Vec<_> = received.collect();
    clock.advance(TIME);
    let dead = broker.consumer::<u32>("dead").unwrap();
    ended.extend(std::iter::from_fn(|| take(&dead)));
    ended.sort_unstable();
    assert_eq!(ended, [1, 2, 3, 4]);
}

#[test]
fn a_receiver_and_the_clock_share_the_messages_of_a_run() {
    explore(|| {
        let (broker, clock, consumer) = with_a_run();
        let threads = [receiving(&consumer, 2), advancing(&clock)];
        each_has_one_end((&broker, &clock), threads);
        assert_eq!(take(&consumer), None);
    });
}

#[test]
fn two_receivers_and_the_clock_share_the_messages_of_a_run() {
    explore(|| {
        let (broker, clock, consumer) = with_a_run();
        let receivers = [(); 2].map(|()| receiving(&consumer, 2));
        let threads = receivers.into_iter().chain([advancing(&clock)]);
        each_has_one_end((&broker, &clock), threads);
        assert_eq!(take(&consumer), None);
    });
}

#[test]
fn a_consumer_that_ends_loses_no_message_to_the_clock() {
    explore(|| {
        let (broker, clock, consumer) = with_a_run();
        let ending = thread::spawn(move || {
            let received = take(&consumer).into_iter().collect();
            drop(consumer);
            received
        });
        let threads = [ending, advancing(&clock)];
        each_has_one_end((&broker, &clock), threads);
    });
}

#[test]
fn a_consumer_that_gives_its_run_back_loses_no_message_to_the_clock() {
    explore(|| {
        let (broker, clock, consumer) = with_a_run();
        let returning = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || {
                consumer.return_unseen();
                take(&consumer).into_iter().collect()
            }
        });
        let threads = [returning, advancing(&clock)];
        each_has_one_end((&broker, &clock), threads);
        assert_eq!(take(&consumer), None);
    });
}
