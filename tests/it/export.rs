//! Copies of the messages of queues, with nothing taken out.

use std::{thread, time::Duration};

use leveret::{
    Broker, Credentials, Exchange, ExportedMessage, ExportedMessages, Local, Message, Queue,
    Requeue,
    channel::{AckMode, Multiple},
};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

use crate::common::{SECOND, on_a_manual_clock};

const HOUR: Duration = Duration::from_secs(3_600);

fn body(message: &ExportedMessage) -> String {
    String::from_utf8(message.body().unwrap().to_vec()).unwrap()
}

#[test]
fn a_copy_has_everything_of_its_message_which_stays_unchanged() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let logs = Exchange::topic("logs");
    broker.declare(&queue.clone().bind(&logs, "#")).unwrap();
    let producer = broker.producer::<Vec<u32>>(&logs).unwrap();
    let message = Message::new(vec![1, 2])
        .routing_key("disk.full")
        .message_id("m-1")
        .header("k", "v")
        .priority(3)
        .persistent();
    producer.publish_message(message).unwrap();
    let channel = broker.vhost("/").unwrap().open_channel().unwrap();
    for _ in 0..2 {
        let copies: Vec<_> = broker.export_messages(&queue).unwrap().collect();
        let [copy] = &copies[..] else {
            panic!("{copies:?}")
        };
        assert_eq!(body(copy), "[1,2]");
        let properties = copy.properties();
        assert_eq!(properties.content_type.as_deref(), Some("application/json"));
        assert_eq!(properties.message_id.as_deref(), Some("m-1"));
        assert_eq!(properties.header_value("k"), Some(&"v".into()));
        assert!(properties.is_persistent() && properties.priority == Some(3));
        assert_eq!((&**copy.source(), &**copy.exchange()), ("q", "logs"));
        assert_eq!((copy.routing_key(), copy.position()), ("disk.full", 0));
        assert_eq!((copy.redelivered(), copy.delivery_count()), (false, 0));
    }
    // It was not delivered by that.
    let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
    assert!(!got.redelivered());
    assert_eq!(broker.export_messages(&queue).unwrap().count(), 0);
    channel
        .basic_reject(got.delivery_tag(), Requeue::Yes)
        .unwrap();
    let copy = broker.export_messages(&queue).unwrap().next().unwrap();
    assert!(copy.redelivered());
    // The value itself comes to a consumer.
    let delivery = broker.consumer::<Vec<u32>>(&queue).unwrap().recv().unwrap();
    assert_eq!(*delivery, [1, 2]);
}

#[test]
fn pages_give_every_message_once_in_the_order_of_delivery() {
    let (broker, _clock) = on_a_manual_clock();
    let queue = Queue::new("q").max_priority(2);
    let producer = broker.producer::<u32>(&queue).unwrap();
    let mut expected = Vec::new();
    for number in 0..2_000u32 {
        let priority = (number % 3) as u8;
        let message = Message::new(number).priority(priority);
        let late = number % 10 == 9;
        let delay = HOUR - SECOND * (number / 10);
        producer
            .publish_message(match late {
                true => message.deliver_after(delay),
                false => message,
            })
            .unwrap();
        expected.push((late, if late { 0 } else { 2 - priority }, number));
    }
    // The last of the delayed ones is due first.
    expected.sort_by_key(|(late, level, number)| match late {
        true => (true, 0, u32::MAX - number),
        false => (false, *level, *number),
    });
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(late, _, number)| (late, number.to_string()))
        .collect();
    let copies = broker.export_messages(&queue).unwrap();
    let copies: Vec<_> = copies
        .map(|copy| (copy.due_in().is_some(), body(&copy)))
        .collect();
    assert_eq!(copies, expected);
    assert_eq!(broker.delayed(&queue).unwrap().len(), 200);
}

#[test]
fn all_queues_of_a_virtual_host_are_copied_but_those_of_others() {
    let broker = Broker::new();
    broker.create_vhost("other").unwrap();
    let other = broker.vhost("other").unwrap();
    other.producer::<u32>("far").unwrap().publish(1).unwrap();
    for (queue, number) in [("b", 3), ("a", 2)] {
        broker
            .producer::<u32>(queue)
            .unwrap()
            .publish(number)
            .unwrap();
    }
    let later = Exchange::fanout("later").delayed();
    broker.declare(&Queue::new("c").bind(&later, "")).unwrap();
    let producer = broker.producer::<u32>(&later).unwrap();
    producer
        .publish_message(Message::new(4).header("x-delay", 60_000))
        .unwrap();
    let stranger = broker.connect("/", Credentials::guest()).unwrap();
    let own = stranger
        .declare(&Queue::new("own").exclusive_flag())
        .unwrap();
    stranger.producer::<u32>(&own).unwrap().publish(5).unwrap();
    let all = |copies: ExportedMessages| -> Vec<_> {
        copies
            .map(|it| (it.source().to_string(), body(&it)))
            .collect()
    };
    let pair = |source: &str, body: &str| (source.to_owned(), body.to_owned());
    let of_all = [pair("a", "2"), pair("b", "3"), pair("later", "4")];
    assert_eq!(all(broker.export_all_messages().unwrap()), of_all);
    let of_stranger = [
        pair("a", "2"),
        pair("b", "3"),
        pair("own", "5"),
        pair("later", "4"),
    ];
    assert_eq!(all(stranger.export_all_messages().unwrap()), of_stranger);
    assert_eq!(
        all(other.export_all_messages().unwrap()),
        [pair("far", "1")]
    );
    assert_eq!(
        all(broker.export_messages(&later).unwrap()),
        [pair("later", "4")]
    );
}

/// Its serialization fails.
#[derive(Debug, Deserialize, PartialEq)]
struct Closed(u32);

impl Serialize for Closed {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("it is closed"))
    }
}

#[test]
fn what_has_no_octets_says_why_and_stays_as_it_is() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let local = broker.producer::<Local<u32>>(&queue).unwrap();
    let message = Message::new(Local::new(1)).message_id("m-1");
    local.publish_message(message).unwrap();
    broker.producer(&queue).unwrap().publish(Closed(2)).unwrap();
    broker.producer(&queue).unwrap().publish(3u32).unwrap();
    for _ in 0..2 {
        let copies: Vec<_> = broker.export_messages(&queue).unwrap().collect();
        let [local, closed, plain] = &copies[..] else {
            panic!("{copies:?}")
        };
        let error = local.body().unwrap_err().to_string();
        assert!(error.contains("never leaves the process"), "{error}");
        assert!(local.type_name().contains("u32"), "{}", local.type_name());
        assert_eq!(local.properties().message_id.as_deref(), Some("m-1"));
        assert_eq!(local.size(), 4);
        let error = closed.body().unwrap_err().to_string();
        assert!(error.contains("it is closed"), "{error}");
        assert_eq!(body(plain), "3");
    }
    let first = broker.consumer::<Local<u32>>(&queue).unwrap();
    let local = first.recv().unwrap();
    assert_eq!(**local, 1);
    local.ack().unwrap();
    drop(first);
    let closed = broker.consumer::<Closed>(&queue).unwrap().recv().unwrap();
    assert_eq!(*closed, Closed(2));
}

#[test]
fn a_message_that_stays_is_copied_once_while_others_are_taken() {
    const TAKEN: u32 = 1_500;
    const ALL: u32 = 3_000;
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    for number in 0..ALL {
        producer.publish(number).unwrap();
    }
    let taking = thread::spawn({
        let channel = broker.vhost("/").unwrap().open_channel().unwrap();
        move || {
            for number in 0..TAKEN {
                let got = channel.basic_get("q", AckMode::Manual).unwrap().unwrap();
                // Some come back once.
                if number % 7 == 0 {
                    channel
                        .basic_reject(got.delivery_tag(), Requeue::Yes)
                        .unwrap();
                    channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
                } else {
                    channel.basic_ack(got.delivery_tag(), Multiple::No).unwrap();
                }
            }
        }
    });
    loop {
        let is_last = taking.is_finished();
        let copies = broker.export_messages(&queue).unwrap();
        let copies: Vec<u32> = copies.map(|it| body(&it).parse().unwrap()).collect();
        assert!(copies.is_sorted_by(|one, next| one < next), "{copies:?}");
        let stay = copies.iter().copied().filter(|number| *number >= TAKEN);
        assert!(stay.eq(TAKEN..ALL), "{copies:?}");
        if is_last {
            assert_eq!(copies.len() as u32, ALL - TAKEN);
            break;
        }
    }
    taking.join().unwrap();
}

#[test]
fn messages_that_arrive_during_an_export_are_not_in_it() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    (0..300).for_each(|number| assert_eq!(producer.publish(number).unwrap().routed, 1));
    let mut copies = broker.export_messages(&queue).unwrap();
    assert_eq!(body(&copies.next().unwrap()), "0");
    (300..310).for_each(|number| assert_eq!(producer.publish(number).unwrap().routed, 1));
    assert_eq!(copies.count(), 299);
    assert_eq!(broker.export_messages(&queue).unwrap().count(), 310);
}

#[test]
fn errors_name_what_is_missing() {
    let broker = Broker::new();
    let missing = broker.export_messages("no such").unwrap_err();
    assert!(missing.is_not_found());
    let missing = broker.export_messages(Exchange::existing("no such"));
    assert!(missing.unwrap_err().is_not_found());
    let plain = broker.export_messages(Exchange::existing("amq.fanout"));
    assert_eq!(plain.unwrap_err().reply_code(), Some(406));
    let stranger = broker.connect("/", Credentials::guest()).unwrap();
    let own = stranger
        .declare(&Queue::new("own").exclusive_flag())
        .unwrap();
    let locked = broker.export_messages(&own).unwrap_err();
    assert_eq!(locked.reply_code(), Some(405));
    let copies = stranger.export_messages(&own).unwrap();
    stranger.close().unwrap();
    assert_eq!(copies.count(), 0);
    assert!(stranger.export_all_messages().is_err());
}
