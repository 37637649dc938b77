//! Taps: copies of the messages that pass, which slow no one down.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Exchange, Feed, FieldTable, Local, LocalArc, Message, Overflow, Properties, Queue,
    TapDirection, TapFilter, TappedMessage,
    channel::{AckMode, ConsumeOptions, Event, PublishOptions},
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::{channel_of, connect};

fn drain(tap: &Feed<TappedMessage>) -> Vec<TappedMessage> {
    std::iter::from_fn(|| tap.try_recv().ok()).collect()
}

fn numbers(tap: &Feed<TappedMessage>) -> Vec<u32> {
    let bodies = drain(tap).into_iter().map(|tapped| tapped.body.unwrap());
    bodies
        .map(|body| serde_json::from_slice(&body).unwrap())
        .collect()
}

#[test]
fn every_way_to_publish_passes_the_tap() {
    let broker = Broker::new();
    let (first, second) = (Queue::new("first"), Queue::new("second"));
    let fanout = Exchange::fanout("fanout");
    for queue in [&first, &second] {
        broker.declare(&queue.clone().bind(&fanout, "")).unwrap();
    }
    let old = broker.producer::<u32>(&first).unwrap();
    old.publish(0).unwrap();
    let channel = channel_of(&broker).unwrap();
    let tap = broker.tap(TapFilter::publishes());
    let new = connect(&broker).unwrap();
    old.publish(1).unwrap();
    new.producer::<u32>(&first).unwrap().publish(2).unwrap();
    assert_eq!(old.publish_batch(3..=4).len(), 2);
    old.publish_message(Message::new(5).priority(1)).unwrap();
    old.try_publish(6).unwrap();
    old.publish_to("second", 7).unwrap();
    broker.producer::<u32>(&fanout).unwrap().publish(8).unwrap();
    let (properties, options) = (Properties::new(), PublishOptions::new());
    channel
        .basic_publish("", "first", "9", properties.clone(), options)
        .unwrap();
    channel.tx_select().unwrap();
    channel
        .basic_publish("", "first", "10", properties, options)
        .unwrap();
    channel.tx_rollback().unwrap();
    broker
        .simple_queue::<u32>(&second)
        .unwrap()
        .put(11)
        .unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let publishing = pin!(old.publish_async(12));
    assert!(publishing.poll(&mut context).is_ready());
    assert_eq!(numbers(&tap), [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]);
    assert_eq!(tap.missed(), 0);
}

#[test]
fn every_way_to_receive_passes_the_tap_once() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    assert_eq!(producer.publish_batch(0..7).len(), 7);
    consumer.recv().unwrap().ack().unwrap();
    let tap = broker.tap(TapFilter::deliveries());
    // The consumer has some of them in advance.
    consumer.recv().unwrap().ack().unwrap();
    consumer.try_recv().unwrap().ack().unwrap();
    consumer
        .recv_timeout(Duration::ZERO)
        .unwrap()
        .ack()
        .unwrap();
    for delivery in consumer.recv_batch(2, Duration::ZERO).unwrap() {
        delivery.ack().unwrap();
    }
    drop(consumer.recv().unwrap());
    assert_eq!(numbers(&tap), [1, 2, 3, 4, 5, 6]);
    let again = consumer.recv().unwrap();
    let shown = tap.recv().unwrap();
    assert!(shown.redelivered && shown.consumer_tag.as_ref() == Some(consumer.tag()));
    again.ack().unwrap();
    drop(consumer);

    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    let auto_ack = || {
        broker
            .consumer_builder::<u32>(&queue)
            .auto_ack()
            .build()
            .unwrap()
    };
    producer.publish(7).unwrap();
    simple.get().unwrap().ack().unwrap();
    producer.publish(8).unwrap();
    let _ = auto_ack().recv().unwrap();
    let channel = channel_of(&broker).unwrap();
    producer.publish(9).unwrap();
    assert!(channel.basic_get("q", AckMode::Auto).unwrap().is_some());
    channel
        .basic_consume("q", ConsumeOptions::new().auto_ack())
        .unwrap();
    for number in 10..13 {
        producer.publish(number).unwrap();
    }
    assert_eq!(numbers(&tap), [7, 8, 9], "the events are not read yet");
    assert!(matches!(
        channel.events().recv().unwrap(),
        Event::Delivery(_)
    ));
    let mut events = Vec::new();
    assert_eq!(channel.events().drain_into(&mut events, 9), 2);
    assert_eq!(numbers(&tap), [10, 11, 12]);
}

#[test]
fn a_payload_stays_unshared_and_a_local_one_shows_its_type() {
    let broker = Broker::new();
    let tap = broker.tap(TapFilter::all());
    let names = broker.simple_queue::<String>("names").unwrap();
    names.put("Ada".to_owned()).unwrap();
    assert_eq!(names.get().unwrap().ack_into().unwrap(), "Ada");
    let shown = drain(&tap);
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().all(|it| it.type_name.contains("String")));
    assert!(
        shown
            .iter()
            .all(|it| it.body.as_ref().is_ok_and(|body| &**body == b"Ada"))
    );

    struct Handle;
    let handles = broker.simple_queue::<Local<Handle>>("handles").unwrap();
    handles.put(Local::new(Handle)).unwrap();
    handles.get().unwrap().ack().unwrap();
    for shown in drain(&tap) {
        assert!(
            shown.body.is_err() && shown.type_name.contains("Handle"),
            "{shown:?}"
        );
    }
    let shared = broker.producer::<LocalArc<Handle>>("shared").unwrap();
    shared
        .publish(LocalArc::from(std::sync::Arc::new(Handle)))
        .unwrap();
    assert!(tap.recv().unwrap().body.is_err());
}

/// Counts how often it is encoded, and panics if it is 13.
#[derive(Deserialize)]
struct Counted(u32);

static ENCODED: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ENCODED.fetch_add(1, SeqCst);
        assert_ne!(self.0, 13);
        serializer.serialize_u32(self.0)
    }
}

#[test]
fn a_payload_is_encoded_only_for_a_tap_that_wants_it_and_has_room() {
    let broker = Broker::new();
    let producer = broker.producer::<Counted>("q").unwrap();
    let consumer = broker.consumer::<Counted>("q").unwrap();
    let encoded = |number: u32| {
        let before = ENCODED.load(SeqCst);
        producer.publish(Counted(number)).unwrap();
        consumer.recv().unwrap().ack().unwrap();
        ENCODED.load(SeqCst) - before
    };
    assert_eq!(encoded(1), 0);
    let other = broker.tap(TapFilter::all().queue("other"));
    assert_eq!(encoded(2), 0);
    let tap = broker.tap_with_capacity(TapFilter::publishes(), 2);
    let twin = broker.tap_with_capacity(TapFilter::publishes(), 9);
    assert_eq!((encoded(3), encoded(13)), (1, 1), "once for both");
    drop(twin);
    assert_eq!(encoded(4), 0, "there is no room");
    assert_eq!((tap.len(), tap.missed()), (2, 1));
    assert!(tap.recv().unwrap().body.is_ok());
    assert!(
        tap.recv().unwrap().body.is_err(),
        "its encoding has panicked"
    );
    drop((tap, other));
    assert_eq!(encoded(5), 0);
    assert_eq!(encoded(6), 0);
}

#[test]
fn a_tap_that_is_not_read_makes_no_one_wait() {
    let broker = Broker::new();
    let tap = broker.tap_with_capacity(TapFilter::all(), 10);
    let producer = broker.producer::<u32>("q").unwrap();
    for number in 0..1_000 {
        producer.publish(number).unwrap();
    }
    assert_eq!((tap.len(), tap.missed()), (10, 990));
    assert_eq!(numbers(&tap), Vec::from_iter(0..10));
}

#[test]
fn a_publish_that_is_refused_or_unroutable_is_shown() {
    let broker = Broker::new();
    let tap = broker.tap(TapFilter::publishes());
    let full = Queue::new("full")
        .max_length(0)
        .overflow(Overflow::RejectPublish);
    broker
        .producer::<u32>(&full)
        .unwrap()
        .publish(1)
        .unwrap_err();
    let nowhere = Exchange::direct("nowhere");
    assert_eq!(
        broker
            .producer::<u32>(&nowhere)
            .unwrap()
            .publish(2)
            .unwrap()
            .routed,
        0
    );
    let shown = drain(&tap);
    assert_eq!(shown[0].queues, ["full"]);
    assert!(shown[1].queues.is_empty() && shown[1].exchange == "nowhere");
}

#[test]
fn what_begins_after_a_tap_is_there_passes_it_whatever_other_threads_do() {
    let broker = Broker::new();
    broker.declare(&Queue::new("q")).unwrap();
    for _ in 0..20 {
        thread::scope(|scope| {
            for _ in 0..2 {
                // Taps come and go, and connections forget them.
                scope.spawn(|| {
                    for _ in 0..20 {
                        drop(broker.tap(TapFilter::publishes()));
                        broker.producer::<u32>("q").unwrap().publish(0).unwrap();
                    }
                });
            }
            scope.spawn(|| {
                let connection = connect(&broker).unwrap();
                let producer = connection.producer::<u32>("own").unwrap();
                for _ in 0..20 {
                    let tap = broker.tap(TapFilter::publishes().queue("own"));
                    producer.publish(7).unwrap();
                    assert_eq!(tap.try_recv().unwrap().queues, ["own"]);
                }
            });
        });
    }
}

#[derive(Clone, Debug)]
struct Passed {
    publish: bool,
    exchange: usize,
    key: String,
}

const EXCHANGES: [&str; 3] = ["", "x", "y"];

fn filters() -> impl Strategy<Value = (Option<bool>, Option<usize>, Option<usize>, Option<String>)>
{
    (
        proptest::option::of(any::<bool>()),
        proptest::option::of(0..3_usize),
        proptest::option::of(0..2_usize),
        proptest::option::of("([ab*#](\\.[ab*#]){0,2})"),
    )
}

/// Whether a pattern fits a key, by recursion.
fn fits(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => (0..=key.len()).any(|covered| fits(rest, &key[covered..])),
        (["*", rest @ ..], [_, others @ ..]) => fits(rest, others),
        ([wanted, rest @ ..], [word, others @ ..]) => wanted == word && fits(rest, others),
        _ => false,
    }
}

proptest! {

    #![proptest_config(crate::common::cases())]

    #[test]
    fn a_tap_shows_what_its_filter_selects(
        (direction, exchange, queue, pattern) in filters(),
        sent in proptest::collection::vec((0..3_usize, "[ab](\\.[ab]){0,2}"), 1..12),
    ) {
        let broker = Broker::new();
        let queues = ["a", "all"];
        broker.declare(&Queue::new("a")).unwrap();
        let all = Queue::new("all").bind(Exchange::fanout("x"), "").bind(Exchange::fanout("y"), "");
        broker.declare(&all).unwrap();
        let mut filter = match direction {
            None => TapFilter::all(),
            Some(true) => TapFilter::publishes(),
            Some(false) => TapFilter::deliveries(),
        };
        if let Some(exchange) = exchange {
            filter = filter.exchange(EXCHANGES[exchange]);
        }
        if let Some(queue) = queue {
            filter = filter.queue(queues[queue]);
        }
        if let Some(pattern) = &pattern {
            filter = filter.routing_key(pattern.as_str());
        }
        let (tap, elsewhere) = (broker.tap(filter.clone()), broker.tap(filter.vhost("elsewhere")));
        let mut passed = Vec::new();
        for (to, key) in &sent {
            let exchange = Exchange::existing(EXCHANGES[*to]);
            let producer = broker.producer_builder::<u8>(&exchange).routing_key(key.as_str());
            let _ = producer.build().unwrap().publish(1);
            let routed = broker.route(&exchange, key, &FieldTable::new()).unwrap();
            let one = |publish, queue: Option<String>| (Passed {
                publish,
                exchange: *to,
                key: key.clone(),
            }, queue);
            let queue = routed.first().map(ToString::to_string);
            passed.push(one(true, queue.clone()));
            if let Some(queue) = queue {
                let simple = broker.simple_queue::<u8>(Queue::existing(queue.as_str())).unwrap();
                simple.get().unwrap().ack().unwrap();
                passed.push(one(false, Some(queue)));
            }
        }
        let words = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let is_wanted = |(it, of): &(Passed, Option<String>)| {
            let (pattern, key) = (pattern.as_deref().unwrap_or("#"), &it.key);
            let (pattern, key) = (words(pattern), words(key));
            let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            direction.is_none_or(|publish| publish == it.publish)
                && exchange.is_none_or(|exchange| exchange == it.exchange)
                && queue.is_none_or(|queue| of.as_deref() == Some(queues[queue]))
                && fits(&pattern, &key)
        };
        let expected: Vec<_> = passed
            .iter()
            .filter(|it| is_wanted(it))
            .map(|(it, _)| (it.publish, it.key.clone()))
            .collect();
        let shown: Vec<_> = drain(&tap)
            .into_iter()
            .map(|it| (it.direction == TapDirection::Publish, it.routing_key))
            .collect();
        prop_assert_eq!(shown, expected);
        prop_assert!(elsewhere.is_empty());
    }
}
