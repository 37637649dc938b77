//! A durable broker that ends and opens its folder again: what begins anew.

use leveret::{Broker, Overflow, Producer, Queue, channel::AckMode};

use super::Folder;

const LIMIT: u64 = 10;

fn queue() -> Queue {
    Queue::quorum("q")
        .max_length(LIMIT)
        .overflow(Overflow::RejectPublish)
}

fn fill(producer: &Producer<u32>) -> usize {
    let published = producer.publish_batch(0..20);
    published.filter(Result::is_ok).count()
}

fn ready(broker: &Broker) -> u64 {
    broker.snapshot().unwrap().vhosts[0].queues[0]
        .ready
        .messages
}

/// As a RabbitMQ 4.3.6 that is stopped and started: the queue forgets that it refuses publishers
/// until it is below four fifths of its limit.
#[test]
fn a_full_quorum_queue_takes_messages_up_to_its_limit_after_a_restart() {
    let folder = Folder::new();
    let mut broker = folder.broker();
    let mut producer = broker.producer(queue()).unwrap();
    // It takes one more than its limit.
    assert_eq!(fill(&producer), 11);
    for (left, taken) in [(11, 0), (10, 1), (9, 2)] {
        let channel = broker.vhost("/").unwrap().open_channel().unwrap();
        while ready(&broker) > left {
            channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
        }
        drop(channel);
        assert_eq!((ready(&broker), fill(&producer)), (left, 0));
        drop((producer, broker));
        broker = folder.broker();
        producer = broker.producer(queue()).unwrap();
        assert_eq!((ready(&broker), fill(&producer)), (left, taken));
    }
}

/// As those of RabbitMQ, which are in its memory.
#[test]
fn the_totals_of_a_queue_begin_anew_after_a_restart() {
    let folder = Folder::new();
    let queue = Queue::quorum("q");
    {
        let broker = folder.broker();
        let producer = broker.producer(&queue).unwrap();
        (0..5).for_each(|number| assert_eq!(producer.publish(number).unwrap().routed, 1));
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        (0..2).for_each(|_| consumer.recv().unwrap().ack().unwrap());
        let totals = &broker.snapshot().unwrap().vhosts[0].queues[0];
        assert_eq!(totals.acked.messages, 2);
    }
    let broker = folder.broker();
    let totals = &broker.snapshot().unwrap().vhosts[0].queues[0];
    assert_eq!((totals.acked.messages, totals.ready.messages), (0, 3));
}
