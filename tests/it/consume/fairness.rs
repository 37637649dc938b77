//! Consumers of several queues, and selects, serve all queues that have messages.

use leveret::{Broker, Consumer, Queue, Result, Select};

use crate::common::block_on;

const MESSAGES: usize = 3_000;

fn name(number: usize) -> String {
    format!("q{number}")
}

/// Publishes `count` numbers to each of these queues.
fn fill(broker: &Broker, queues: &[usize], count: usize) {
    for number in queues {
        let producer = broker.producer(name(*number)).unwrap();
        for published in producer.publish_batch(0..count as u64) {
            published.unwrap();
        }
    }
}

/// A consumer for each of `queues` queues.
fn one_each(broker: &Broker, queues: usize) -> Vec<Consumer<u64>> {
    let consumer = |number| broker.consumer(name(number)).unwrap();
    (0..queues).map(consumer).collect()
}

/// One consumer of `queues` queues.
fn one_of_all(broker: &Broker, queues: usize) -> Consumer<u64> {
    let first = broker.consumer_builder(name(0));
    let builder = (1..queues).fold(first, |builder, number| builder.also(name(number)));
    builder.build().unwrap()
}

/// The number of the queue that a message came from.
fn source(delivery: &leveret::Delivery<u64>) -> usize {
    delivery.info().queue()[1..].parse().unwrap()
}

#[test]
fn a_new_select_for_each_message_serves_all_busy_consumers() {
    // Of 64 consumers, these are busy. A start at a random consumer would serve the first of the
    // neighbours far more often.
    let busy = [3, 4, 5];
    let broker = Broker::new();
    let consumers = one_each(&broker, 64);
    fill(&broker, &busy, MESSAGES);
    let mut served = [0; 64];
    for _ in 0..MESSAGES {
        let mut select = Select::new();
        for consumer in &consumers {
            select.recv(consumer);
        }
        let selected = select.select();
        let index = selected.index();
        selected.recv(&consumers[index]).unwrap().ack().unwrap();
        served[index] += 1;
    }
    // A fair share is 1,000. Less than 700 is eleven standard deviations away.
    assert!(busy.iter().all(|index| served[*index] > 700), "{served:?}");
}

#[test]
fn a_select_that_is_kept_serves_busy_neighbours_in_turn() {
    let broker = Broker::new();
    let consumers = one_each(&broker, 64);
    fill(&broker, &[7, 8], 100);
    let mut select = Select::new();
    for consumer in &consumers {
        select.recv(consumer);
    }
    let mut order = Vec::new();
    for _ in 0..200 {
        let selected = select.select();
        let index = selected.index();
        selected.recv(&consumers[index]).unwrap().ack().unwrap();
        order.push(index);
    }
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
}

#[test]
fn a_select_serves_a_consumer_of_many_queues_no_more_often_than_one_of_a_single_queue() {
    let broker = Broker::new();
    let many = one_of_all(&broker, 8);
    let single = broker.consumer::<u64>(name(9)).unwrap();
    // All queues are busy but for one, so that a turn of the first consumer begins anywhere.
    fill(&broker, &[0, 1, 2, 4, 5, 6, 7, 9], 100);
    let mut select = Select::new();
    let of_many = select.recv(&many);
    select.recv(&single);
    let mut of_queue = [0; 10];
    for _ in 0..140 {
        let selected = select.select();
        let delivery = match selected.index() == of_many {
            true => selected.recv(&many).unwrap(),
            false => selected.recv(&single).unwrap(),
        };
        of_queue[source(&delivery)] += 1;
        delivery.ack().unwrap();
    }
    assert_eq!(of_queue, [10, 10, 10, 0, 10, 10, 10, 10, 0, 70]);
}

#[test]
fn a_consumer_of_64_queues_serves_busy_neighbours_in_turn() -> Result {
    type Receive = fn(&Consumer<u64>) -> Vec<leveret::Delivery<u64>>;
    let forms: [Receive; 5] = [
        |consumer| vec![consumer.recv().unwrap()],
        |consumer| vec![consumer.try_recv().unwrap()],
        |consumer| vec![consumer.recv_timeout(crate::common::PATIENCE).unwrap()],
        |consumer| vec![block_on(consumer.recv_async()).unwrap()],
        |consumer| Vec::from_iter(consumer.recv_batch(2, crate::common::PATIENCE).unwrap()),
    ];
    for receive in forms {
        let broker = Broker::new();
        let consumer = one_of_all(&broker, 64);
        fill(&broker, &[0, 1, 40], 100);
        let mut of_queue = [0; 64];
        for _ in 0..60 {
            for delivery in receive(&consumer) {
                of_queue[source(&delivery)] += 1;
                delivery.ack()?;
            }
        }
        assert!([0, 1, 40].iter().all(|queue| of_queue[*queue] % 20 == 0));
        assert_eq!(of_queue[0], of_queue[1]);
        assert_eq!(of_queue[0], of_queue[40]);
    }
    Ok(())
}

#[test]
fn a_fresh_consumer_begins_with_any_of_its_queues() {
    let broker = Broker::new();
    let queues = [0, 1, 2, 3];
    for number in queues {
        broker.declare(&Queue::new(name(number))).unwrap();
    }
    let mut first = [0; 4];
    // That one of four queues never is the first has a probability of 4 * (3/4)^256: 10^-31.
    for _ in 0..256 {
        fill(&broker, &queues, 1);
        let consumer = one_of_all(&broker, 4);
        let delivery = consumer.recv().unwrap();
        first[source(&delivery)] += 1;
        delivery.ack().unwrap();
        drop(consumer);
        queues.iter().for_each(|number| {
            broker.purge(name(*number)).unwrap();
        });
    }
    assert!(first.iter().all(|times| *times > 0), "{first:?}");
}
