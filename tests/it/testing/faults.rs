//! Faults that a test injects.

use leveret::{
    Error, Exchange, Local, Message, Overflow, Queue,
    channel::{ConfirmOutcome, PublishOptions},
    testing::{Fault, TestBroker},
};
use proptest::prelude::*;

use crate::common::{SECOND, cases, channel_of, rest};

fn numbers(test: &TestBroker, queue: &str) -> Vec<u32> {
    let found = rest::<u32>(test, queue);
    found.into_iter().map(|(number, _)| number).collect()
}

#[test]
fn a_publish_that_fails_gives_its_message_back() {
    let test = TestBroker::new();
    let fault = test.inject(Fault::fail(Error::Timeout).nth(2));
    let queue = test.simple_queue::<Local<String>>("q").unwrap();
    queue.put(Local("first".to_owned())).unwrap();
    let failed = queue.put(Local("second".to_owned())).unwrap_err();
    assert_eq!(failed.error(), &Error::Timeout);
    assert_eq!(failed.into_inner(), Some(Local("second".to_owned())));
    queue.put(Local("third".to_owned())).unwrap();
    assert_eq!((queue.len().unwrap(), fault.fired()), (2, 1));
    assert_eq!(test.publishes()[1].outcome(), Some(&Err(Error::Timeout)));
}

#[test]
fn a_fault_chooses_publishes_by_their_exchange() {
    let test = TestBroker::new();
    let fault = test.inject(Fault::fail(Error::Timeout).to_exchange("logs"));
    let logs = Exchange::fanout("logs");
    test.declare(&Queue::new("q").bind(&logs, "")).unwrap();
    test.producer::<u32>("q").unwrap().publish(7).unwrap();
    let producer = test.producer::<u32>(&logs).unwrap();
    producer.publish(8).unwrap_err();
    assert_eq!((numbers(&test, "q"), fault.fired()), (vec![7], 1));
}

#[test]
fn a_fault_chooses_publishes_by_a_queue_on_their_route() {
    let test = TestBroker::new();
    let fault = test.inject(Fault::fail(Error::Timeout).to_queue("two"));
    let logs = Exchange::direct("logs");
    for (queue, key) in [("one", "a"), ("one", "b"), ("two", "b")] {
        test.declare(&Queue::new(queue).bind(&logs, key)).unwrap();
    }
    let producer = test.producer::<u32>(&logs).unwrap();
    producer.publish_to("a", 1).unwrap();
    producer.publish_to("b", 2).unwrap_err();
    producer.publish_to("c", 3).unwrap();
    test.producer::<u32>("two").unwrap().publish(4).unwrap_err();
    assert_eq!((numbers(&test, "one"), fault.fired()), (vec![1], 2));
}

#[test]
fn the_first_publishes_fail_until_the_faults_end() {
    let test = TestBroker::new();
    let queue = test.simple_queue::<u32>("q").unwrap();
    queue.put(0).unwrap();
    test.inject(Fault::fail(Error::Timeout).first(2));
    let failed = (1..=4).filter(|number| queue.put(*number).is_err());
    assert_eq!(failed.collect::<Vec<_>>(), [1, 2]);
    test.inject(Fault::fail(Error::Timeout));
    queue.put(5).unwrap_err();
    test.clear_faults();
    queue.put(6).unwrap();
    assert_eq!(numbers(&test, "q"), [0, 3, 4, 6]);
}

#[test]
fn the_first_of_several_failures_counts() {
    let test = TestBroker::new();
    let first = test.inject(Fault::fail(Error::Timeout));
    let second = test.inject(Fault::fail(Error::ConnectionClosed));
    let refused = test.simple_queue::<u32>("q").unwrap().put(7).unwrap_err();
    assert_eq!(refused.error(), &Error::Timeout);
    assert_eq!((first.fired(), second.fired()), (1, 1));
}

#[test]
fn a_number_or_a_chance_that_never_comes_has_no_effect() {
    let test = TestBroker::new();
    for fault in [
        Fault::fail(Error::Timeout).nth(0),
        Fault::fail(Error::Timeout).first(0),
        Fault::fail(Error::Timeout).chance(0.0),
        Fault::fail(Error::Timeout).chance(-1.0),
        Fault::fail(Error::Timeout).chance(f64::NAN),
        Fault::fail(Error::Timeout).to_queue("another"),
    ] {
        test.inject(fault);
    }
    let queue = test.simple_queue::<u32>("q").unwrap();
    assert!((0..20).all(|number| queue.put(number).is_ok()));
    test.inject(Fault::fail(Error::Timeout).chance(f64::INFINITY));
    assert!((0..20).all(|number| queue.put(number).is_err()));
}

#[test]
fn a_refused_publish_of_a_channel_has_a_negative_confirm() {
    let test = TestBroker::new();
    let queue = test.declare(&Queue::new("q")).unwrap();
    let channel = channel_of(&test).unwrap();
    channel.confirm_select().unwrap();
    let publish = || {
        let (properties, options) = (leveret::Properties::new(), PublishOptions::new());
        channel.basic_publish("", "q", "body", properties, options)
    };
    let refused = Error::Refused {
        queue: queue.name().try_into().unwrap(),
        dead_lettered: false,
    };
    test.inject(Fault::fail(refused).nth(1));
    publish().unwrap();
    assert_eq!(channel.wait_for_confirms().unwrap(), ConfirmOutcome::Nack);
    test.inject(Fault::fail(Error::ChannelClosed).nth(1));
    assert_eq!(publish(), Err(Error::ChannelClosed));
    publish().unwrap();
    assert_eq!(channel.wait_for_confirms().unwrap(), ConfirmOutcome::Ack);
}

#[test]
fn a_delayed_publish_is_published_at_once_and_delivered_later() {
    let test = TestBroker::new();
    test.inject(Fault::delay(10 * SECOND).nth(1));
    test.inject(Fault::delay(5 * SECOND).nth(1));
    let queue = test.simple_queue::<u32>("q").unwrap();
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let later = Message::new(3).deliver_after(20 * SECOND);
    queue.put_message(later).unwrap();
    assert_eq!(numbers(&test, "q"), [2]);
    test.advance(9 * SECOND);
    assert!(queue.is_empty().unwrap());
    test.advance(SECOND);
    assert_eq!(numbers(&test, "q"), [1]);
    test.advance(10 * SECOND);
    assert_eq!(numbers(&test, "q"), [3]);
    test.published::<u32>("", "q").assert_count(3);
}

#[test]
fn a_duplicate_follows_its_message_and_leaves_the_payload_to_it() {
    let test = TestBroker::new();
    test.inject(Fault::duplicate().first(2));
    let queue = test.simple_queue::<String>("q").unwrap();
    queue.put("a".to_owned()).unwrap();
    queue.put("b".to_owned()).unwrap();
    for expected in ["a", "a", "b", "b"] {
        let delivery = queue.try_get().unwrap();
        assert_eq!(
            delivery.info().properties().content_type.as_deref(),
            Some("text/plain")
        );
        assert_eq!(delivery.ack_into().unwrap(), expected);
    }
    assert!(queue.is_empty().unwrap());
    test.published::<String>("", "q").assert_count(2);
}

#[test]
fn a_duplicate_goes_where_its_message_goes() {
    let test = TestBroker::new();
    let logs = Exchange::fanout("logs");
    for queue in ["one", "two"] {
        test.declare(&Queue::new(queue).bind(&logs, "")).unwrap();
    }
    test.inject(Fault::duplicate());
    test.inject(Fault::duplicate());
    let published = test.producer::<u32>(&logs).unwrap().publish(7).unwrap();
    assert_eq!(published.routed, 2);
    assert_eq!(numbers(&test, "one"), [7, 7, 7]);
    assert_eq!(numbers(&test, "two"), [7, 7, 7]);
}

#[test]
fn a_duplicate_without_room_is_given_up() {
    let test = TestBroker::new();
    test.inject(Fault::duplicate());
    for overflow in [Overflow::RejectPublish, Overflow::Block] {
        let full = Queue::new(overflow.as_str())
            .max_length(1)
            .overflow(overflow);
        let queue = test.simple_queue::<u32>(&full).unwrap();
        queue.put(7).unwrap();
        assert_eq!(queue.len().unwrap(), 1);
        queue.try_put(8).unwrap_err();
        queue.get().unwrap().ack().unwrap();
        queue.try_put(9).unwrap();
        assert!(test.settled());
    }
}

#[test]
fn a_local_value_has_no_duplicate() {
    let test = TestBroker::new();
    let fault = test.inject(Fault::duplicate());
    let queue = test.simple_queue::<Local<u32>>("q").unwrap();
    queue.put(Local(7)).unwrap();
    assert_eq!((queue.len().unwrap(), fault.fired()), (1, 1));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn reordered_messages_change_places_between_queues_and_never_within_one(
        seed: u64,
        targets in prop::collection::vec(0..3usize, 1..40),
        late in prop::collection::vec(any::<bool>(), 40),
    ) {
        let test = TestBroker::new().seed(seed);
        test.inject(Fault::reorder(SECOND).chance(0.5));
        let names = ["a", "b", "c"];
        let queues = names.map(|name| test.simple_queue::<u32>(name).unwrap());
        for (number, (target, late)) in (0..).zip(targets.iter().zip(late)) {
            queues[*target].put(number).unwrap();
            if late {
                test.advance(SECOND / 10);
            }
        }
        test.advance(SECOND);
        for (target, name) in names.iter().enumerate() {
            let found = numbers(&test, name);
            let sent = (0..).zip(&targets).filter(|(_, to)| **to == target);
            let sent: Vec<u32> = sent.map(|(number, _)| number).collect();
            prop_assert_eq!(found, sent);
        }
    }
}

#[test]
fn some_seed_lets_a_later_message_come_first() {
    let comes_first = |seed| {
        let test = TestBroker::new().seed(seed);
        test.inject(Fault::reorder(SECOND));
        let [one, two] = ["one", "two"].map(|name| test.simple_queue::<u32>(name).unwrap());
        one.put(1).unwrap();
        two.put(2).unwrap();
        while one.is_empty().unwrap() && two.is_empty().unwrap() {
            test.advance(SECOND / 100);
        }
        (one.len().unwrap(), two.len().unwrap())
    };
    let orders: Vec<_> = (0..20).map(comes_first).collect();
    assert!(orders.contains(&(1, 0)) && orders.contains(&(0, 1)));
    assert_eq!(orders, (0..20).map(comes_first).collect::<Vec<_>>());
}
