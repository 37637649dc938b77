//! Byte budgets that queues share: which messages pay, which publishers are refused and which wait.
//! Every byte comes back exactly once.

mod declaring;
mod model;
mod threads;
mod waiting;

use leveret::channel::Multiple;
use leveret::{
    Broker, Budget, Channel, Error, Exchange, ManualClock, Message, Properties, Queue, Requeue,
    Selection, SimpleQueue,
    channel::{AckMode, ConfirmOutcome, ConsumeOptions, Event, PublishOptions},
};

use crate::common::{SECOND, channel_of, connect, on_a_manual_clock};

/// A broker on a manual clock with a budget named "b".
fn with_budget(budget: Budget) -> (Broker, ManualClock) {
    let (broker, clock) = on_a_manual_clock();
    broker.declare(&budget).unwrap();
    (broker, clock)
}

fn ten_bytes() -> Budget {
    Budget::new("b", 10)
}

fn covered(name: &str) -> Queue {
    Queue::new(name).budget("b")
}

fn used(broker: &Broker) -> u64 {
    broker.budget("b").unwrap().used
}

fn mailbox(broker: &Broker, queue: &Queue) -> SimpleQueue<String> {
    broker.simple_queue(queue).unwrap()
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[test]
fn ready_and_unsettled_messages_of_all_covered_queues_count_together() {
    let (broker, _) = with_budget(ten_bytes());
    let (one, other) = (
        mailbox(&broker, &covered("one")),
        mailbox(&broker, &covered("other")),
    );
    let free = mailbox(&broker, &Queue::new("free"));
    one.put(text(4)).unwrap();
    other.put(text(5)).unwrap();
    free.put(text(100)).unwrap();
    assert_eq!(used(&broker), 9);
    let held = one.get().unwrap();
    let error = other.put(text(2)).unwrap_err();
    assert_eq!(
        error.error(),
        &Error::Refused {
            queue: "other".parse().unwrap(),
            dead_lettered: false
        }
    );
    assert_eq!(error.into_inner().as_deref(), Some("xx"));
    other.put(text(1)).unwrap();
    held.ack().unwrap();
    assert_eq!(used(&broker), 6);
    assert_eq!(
        (
            one.len().unwrap(),
            other.len().unwrap(),
            free.len().unwrap()
        ),
        (0, 2, 1),
        "nothing is evicted"
    );
}

#[test]
fn a_message_that_comes_back_keeps_its_bytes_and_is_never_refused() {
    let (broker, clock) = with_budget(ten_bytes());
    let queue = mailbox(&broker, &covered("q"));
    queue.put(text(10)).unwrap();
    drop(queue.get().unwrap());
    assert_eq!((used(&broker), queue.len().unwrap()), (10, 1));
    queue.get().unwrap().nack(Requeue::Yes).unwrap();
    queue.get().unwrap().nack(Requeue::After(SECOND)).unwrap();
    assert_eq!(
        (used(&broker), queue.len().unwrap()),
        (10, 0),
        "a delayed message counts"
    );
    clock.advance(SECOND);
    assert_eq!((used(&broker), queue.len().unwrap()), (10, 1));
    queue.get().unwrap().reject().unwrap();
    assert_eq!(used(&broker), 0);
}

#[test]
fn every_way_out_of_a_queue_gives_the_bytes_back_once() {
    let (broker, clock) = with_budget(ten_bytes());
    let root = broker.vhost("/").unwrap();
    let channel = channel_of(&broker).unwrap();
    let put = |queue: &Queue| mailbox(&broker, queue).put(text(3)).unwrap();

    let q = covered("q");
    put(&q);
    assert_eq!(broker.purge(&q).unwrap(), 1);
    assert_eq!(used(&broker), 0, "purged");

    put(&q);
    channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
    assert_eq!(used(&broker), 0, "got and settled at once");

    let consumer = broker
        .consumer_builder::<String>(&q)
        .auto_ack()
        .build()
        .unwrap();
    put(&q);
    assert_eq!(used(&broker), 3, "lies in the inbox");
    let shown = consumer.recv().unwrap();
    assert_eq!(used(&broker), 0, "shown");
    drop((shown, consumer));

    let tag = channel
        .basic_consume("q", ConsumeOptions::new().auto_ack())
        .unwrap();
    put(&q);
    assert_eq!(
        used(&broker),
        0,
        "delivered to a channel without acknowledgement"
    );
    delivered(&channel);
    channel.basic_cancel(&tag).unwrap();

    channel.basic_consume("q", ConsumeOptions::new()).unwrap();
    let tags = [(); 3].map(|()| {
        put(&q);
        delivered(&channel)
    });
    assert_eq!(used(&broker), 9);
    channel.basic_ack(tags[1], Multiple::Yes).unwrap();
    assert_eq!(used(&broker), 3, "two settled at once");
    channel.basic_reject(tags[2], Requeue::No).unwrap();
    assert_eq!(used(&broker), 0, "rejected");

    let short = covered("short").max_length(1);
    put(&short);
    put(&short);
    assert_eq!(used(&broker), 3, "the head was dropped");
    broker.delete(&short).unwrap();
    assert_eq!(used(&broker), 0, "deleted");

    let ttl = covered("ttl").message_ttl(SECOND);
    put(&ttl);
    clock.advance(SECOND);
    assert_eq!(used(&broker), 0, "expired");

    let later = covered("later");
    let producer = broker.producer::<String>(&later).unwrap();
    let message = Message::new(text(3)).deliver_after(SECOND);
    producer.publish_message(message).unwrap();
    assert_eq!(used(&broker), 3);
    assert_eq!(broker.delayed(&later).unwrap().cancel_all(), 1);
    assert_eq!(used(&broker), 0, "cancelled before its time");

    let tired = covered("tired").classic_delivery_limit(0);
    put(&tired);
    drop(mailbox(&broker, &tired).get().unwrap());
    assert_eq!(used(&broker), 0, "returned too often");

    // A message goes from a covered queue to a queue without a budget, and back.
    let dead = broker.declare(&Queue::new("dead")).unwrap();
    let dying = covered("dying")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    put(&dying);
    mailbox(&broker, &dying).get().unwrap().reject().unwrap();
    assert_eq!(used(&broker), 0, "dead-lettered");
    assert_eq!(root.redrive(&dead, Selection::all()).unwrap(), 1);
    assert_eq!(used(&broker), 3, "it came back and is paid for again");
    broker.delete(&dying).unwrap();

    // A redrive moves a message out of a covered queue.
    let home = Queue::new("home")
        .dead_letter_exchange("")
        .dead_letter_routing_key("grave");
    let grave = broker.declare(&covered("grave")).unwrap();
    put(&home);
    mailbox(&broker, &home).get().unwrap().reject().unwrap();
    assert_eq!(used(&broker), 3);
    assert_eq!(root.redrive(&grave, Selection::all()).unwrap(), 1);
    assert_eq!(used(&broker), 0, "moved");

    // Closing a connection deletes its exclusive queues.
    let connection = connect(&broker).unwrap();
    let own = connection.declare(&Queue::exclusive().budget("b")).unwrap();
    connection
        .producer::<String>(&own)
        .unwrap()
        .publish(text(3))
        .unwrap();
    assert_eq!(used(&broker), 3);
    connection.close().unwrap();
    assert_eq!(used(&broker), 0, "gone with its connection");
}

/// The delivery tag of the next delivery.
fn delivered(channel: &Channel) -> u64 {
    match channel.events().try_recv().unwrap() {
        Event::Delivery(delivery) => delivery.delivery_tag(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deleted_queue_gives_the_bytes_of_unsettled_messages_back_once() {
    let (broker, _) = with_budget(Budget::new("b", 100));
    let queue = covered("q");
    let producer = broker.producer::<String>(&queue).unwrap();
    let consumer = broker.consumer::<String>(&queue).unwrap();
    for _ in 0..5 {
        producer.publish(text(10)).unwrap();
    }
    // The program holds four messages, and the consumer's run holds the fifth.
    let [acked, rejected, returned, dropped] = [(); 4].map(|()| consumer.recv().unwrap());
    broker.delete(&queue).unwrap();
    assert_eq!(used(&broker), 0);
    let other = mailbox(&broker, &covered("other"));
    other.put(text(7)).unwrap();
    acked.ack().unwrap();
    rejected.reject().unwrap();
    returned.nack(Requeue::Yes).unwrap();
    drop((dropped, consumer));
    assert_eq!(used(&broker), 7);
}

#[test]
fn a_message_in_several_covered_queues_counts_in_each_and_refusal_is_per_queue() {
    let (broker, _) = with_budget(ten_bytes());
    let all = Exchange::fanout("all");
    for queue in [covered("one"), covered("two"), Queue::new("free")] {
        broker.declare(&queue.bind(&all, "")).unwrap();
    }
    let producer = broker.producer::<String>(&all).unwrap();
    assert_eq!(producer.publish(text(4)).unwrap().routed, 3);
    assert_eq!(used(&broker), 8);
    let published = producer.publish(text(2)).unwrap();
    assert_eq!((published.routed, published.refused), (2, 1));
    assert_eq!(used(&broker), 10);
}

#[test]
fn a_budget_for_the_whole_virtual_host_covers_every_queue_beside_those_that_queues_name() {
    let (broker, _) = with_budget(ten_bytes());
    broker
        .declare(&Budget::new("all", 15).whole_vhost())
        .unwrap();
    let (named, plain) = (
        mailbox(&broker, &covered("named")),
        mailbox(&broker, &Queue::new("plain")),
    );
    plain.put(text(9)).unwrap();
    named.put(text(5)).unwrap();
    let usage = || (used(&broker), broker.budget("all").unwrap().used);
    assert_eq!(usage(), (5, 14));
    // The first budget has room and the second has not. Neither is charged.
    assert!(named.put(text(2)).is_err());
    assert_eq!(usage(), (5, 14));
    plain.get().unwrap().ack().unwrap();
    assert!(
        named.put(text(6)).is_err(),
        "now it is the other that has none"
    );
    assert_eq!(usage(), (5, 5));

    // The budget does not cover another virtual host.
    broker.create_vhost("elsewhere").unwrap();
    let elsewhere = broker.vhost("elsewhere").unwrap();
    elsewhere
        .simple_queue::<String>("q")
        .unwrap()
        .put(text(100))
        .unwrap();
    assert!(elsewhere.budget("all").unwrap_err().is_not_found());
}

#[test]
fn messages_that_the_broker_itself_publishes_are_never_refused() {
    let (broker, clock) = with_budget(ten_bytes());
    let grave = mailbox(&broker, &covered("grave"));
    let dying = Queue::new("dying")
        .dead_letter_exchange("")
        .dead_letter_routing_key("grave");
    let dying = mailbox(&broker, &dying);
    let later = covered("later");
    let producer = broker.producer::<String>(&later).unwrap();
    producer
        .publish_message(Message::new(text(8)).deliver_after(SECOND))
        .unwrap();
    assert_eq!(
        used(&broker),
        8,
        "a delayed message counts from its arrival"
    );
    assert!(
        producer
            .publish_message(Message::new(text(8)).deliver_after(SECOND))
            .is_err()
    );
    dying.put(text(5)).unwrap();
    dying.get().unwrap().reject().unwrap();
    assert_eq!(
        (used(&broker), grave.len().unwrap()),
        (13, 1),
        "over its limit"
    );
    clock.advance(SECOND);
    assert_eq!((used(&broker), broker.purge(&later).unwrap()), (13, 1));
    assert!(grave.put(text(6)).is_err());
    grave.put(text(5)).unwrap();
}

#[test]
fn a_channel_hears_of_a_refusal_by_its_confirm() {
    let (broker, _) = with_budget(ten_bytes());
    broker.declare(&covered("q")).unwrap();
    let channel = channel_of(&broker).unwrap();
    channel.confirm_select().unwrap();
    let outcomes = ["123456", "12345"].map(|body| {
        channel
            .basic_publish("", "q", body, Properties::new(), PublishOptions::new())
            .unwrap();
        match channel.events().try_recv().unwrap() {
            Event::Confirm(confirm) => confirm.outcome,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(outcomes, [ConfirmOutcome::Ack, ConfirmOutcome::Nack]);
}

#[test]
fn huge_sizes_overflow_no_budget() {
    let (broker, _) = with_budget(Budget::new("b", u64::MAX).block());
    broker.declare(&Budget::new("small", 1)).unwrap();
    let huge = broker
        .producer_builder::<u8>(&covered("q"))
        .sized_by(|_| u64::MAX)
        .build()
        .unwrap();
    for _ in 0..3 {
        huge.publish(1).unwrap();
    }
    broker.purge(covered("q")).unwrap();
    assert_eq!(used(&broker), 0);
    let queue = Queue::new("r").budget("small");
    let huge = broker
        .producer_builder::<u8>(&queue)
        .sized_by(|_| u64::MAX)
        .build()
        .unwrap();
    assert!(huge.publish(1).is_err());
    assert_eq!(broker.budget("small").unwrap().used, 0);
}
