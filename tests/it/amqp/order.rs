//! The order of methods on the wire is that of RabbitMQ.

use std::ops::RangeInclusive;

use leveret::{Broker, Local, Queue};

use super::{client, settle};
use crate::wire::{Arguments, Client, Incoming, content, method};

const DELIVER: (u16, u16) = (60, 60);

fn delivery_tags(client: &mut Client) -> Vec<u64> {
    client.pump();
    let deliveries = client.incoming.drain(..).filter(|it| it.id == DELIVER);
    let tags = deliveries.map(|delivery| {
        let mut fields = delivery.fields();
        fields.text();
        fields.longlong()
    });
    tags.collect()
}

#[test]
fn consume_ok_comes_before_the_first_delivery() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.publish(1, "q", b"m");
    let consume = Arguments::new()
        .short(0)
        .text("q")
        .text("c")
        .octet(0)
        .long(0);
    client.send(&method(1, (60, 20), consume));
    assert_eq!(client.take_ids(), [(60, 21), DELIVER]);
}

#[test]
fn cancel_ok_comes_after_the_last_delivery() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    // It is delivered to the channel, and not read yet.
    broker
        .producer::<String>("q")
        .unwrap()
        .publish("m".to_owned())
        .unwrap();
    let cancel = Arguments::new().text("c").octet(0);
    client.send(&method(1, (60, 30), cancel));
    broker
        .producer::<String>("q")
        .unwrap()
        .publish("later".to_owned())
        .unwrap();
    assert_eq!(client.take_ids(), [DELIVER, (60, 31)]);
}

#[test]
fn a_returned_message_comes_before_its_confirm_and_before_commit_ok() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client
        .call(1, (85, 10), Arguments::new().octet(0), &[(85, 11)])
        .unwrap();
    let mandatory = Arguments::new().short(0).text("").text("nowhere").octet(1);
    let publish = [method(1, (60, 40), mandatory), content(1, &[0, 0], b"m", 9)].concat();
    client.send(&publish);
    assert_eq!(client.take_ids(), [(60, 50), (60, 80)]);
    client.open_channel(2).unwrap();
    client
        .call(2, (90, 10), Arguments::new(), &[(90, 11)])
        .unwrap();
    let in_tx = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        octets[2] = 2;
        octets
    };
    let mandatory = Arguments::new().short(0).text("").text("nowhere").octet(1);
    client.send(&in_tx(&method(1, (60, 40), mandatory)));
    client.send(&content(2, &[0, 0], b"m", 9));
    client.send(&method(2, (90, 20), Arguments::new()));
    assert_eq!(client.take_ids(), [(60, 50), (90, 21)]);
}

#[test]
fn deliveries_go_out_in_the_order_of_their_tags_around_a_get() {
    let broker = Broker::new();
    let mut client = client(&broker);
    for queue in ["consumed", "got"] {
        client.declare(1, queue).unwrap();
    }
    client.consume(1, "consumed", "c", [false; 4]).unwrap();
    client.publish(1, "got", b"m");
    client.pump();
    let producer = broker.producer::<String>("consumed").unwrap();
    producer.publish("first".to_owned()).unwrap(); // tag 1, unread
    let get = Arguments::new().short(0).text("got").octet(0);
    client.send(&method(1, (60, 70), get)); // tag 2
    producer.publish("third".to_owned()).unwrap(); // tag 3
    assert_eq!(client.take_ids(), [DELIVER, (60, 71), DELIVER]);
}

#[test]
fn deliveries_that_recover_are_seen_before_they_return() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    let producer = broker.producer::<String>("q").unwrap();
    for _ in 0..3 {
        producer.publish("m".to_owned()).unwrap();
    }
    client.send(&method(1, (60, 110), Arguments::new().octet(1)));
    let (all, recovered) = ([DELIVER; 3], [(60, 111)]);
    assert_eq!(client.take_ids(), [&all[..], &recovered, &all].concat());
    client.send(&settle(80, 6, 0));
    client.declare(1, "q").unwrap(); // the tag was known
}

#[test]
fn an_acknowledgement_of_all_settles_what_the_client_has_seen() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    for _ in 0..3 {
        client.publish(1, "q", b"m");
    }
    assert_eq!(delivery_tags(&mut client), [1, 2, 3]);
    client.send(&settle(80, 0, 1));
    client.send(&settle(80, 3, 0));
    let closed = client.await_reply(1, &[]).unwrap_err();
    assert_eq!(
        closed.reply_text,
        "PRECONDITION_FAILED - unknown delivery tag 3"
    );
}

#[test]
fn acknowledgements_that_come_together_take_effect_one_after_the_other() {
    for order in [[1, 2], [2, 1]] {
        let broker = Broker::new();
        let mut client = client(&broker);
        client.declare(1, "q").unwrap();
        let one_each = Arguments::new().long(0).short(1).octet(0);
        client.call(1, (60, 10), one_each, &[(60, 11)]).unwrap();
        for consumer in ["1", "2"] {
            client.consume(1, "q", consumer, [false; 4]).unwrap();
        }
        for _ in 0..5 {
            client.publish(1, "q", b"m");
        }
        assert_eq!(delivery_tags(&mut client), [1, 2]);
        // The server reads all of it at once.
        let count = Arguments::new().short(0).text("q").octet(1).long(0);
        let acks = order.map(|tag| settle(80, tag, 0)).concat();
        let octets = [acks, method(1, (50, 10), count)].concat();
        assert_eq!(client.server.receive(&octets), octets.len());
        client.pump();
        let is_answer = |it: &Incoming| it.id == (50, 11);
        let answer = client.incoming.iter().position(is_answer).unwrap();
        let answer = client.incoming.remove(answer).unwrap();
        let mut fields = answer.fields();
        assert_eq!((fields.text().as_str(), fields.long()), ("q", 1));
        let consumers = client.incoming.drain(..).map(|it| it.fields().text());
        let expected = order.map(|tag| tag.to_string());
        assert!(consumers.eq(expected), "{order:?}");
    }
}

#[test]
fn acknowledgements_that_come_with_an_unknown_one_count() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    let two = Arguments::new().long(0).short(2).octet(0);
    client.call(1, (60, 10), two, &[(60, 11)]).unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    for _ in 0..5 {
        client.publish(1, "q", b"m");
    }
    let acks = [1, 2, 7].map(|tag| settle(80, tag, 0)).concat();
    assert_eq!(client.server.receive(&acks), acks.len());
    let closed = client.await_reply(1, &[]).unwrap_err();
    let expected = "PRECONDITION_FAILED - unknown delivery tag 7";
    assert_eq!(closed.reply_text, expected);
    assert_eq!(broker.purge("q").unwrap(), 3);
}

/// The number of ready messages.
fn ready(broker: &Broker) -> u64 {
    let snapshot = broker.snapshot().unwrap();
    snapshot.vhosts[0].queues[0].ready.messages
}

#[test]
fn a_backlog_is_delivered_in_its_order_whatever_limits_it() {
    for (prefetch, window) in [(0, 200), (1, 1), (150, 150), (300, 200)] {
        let broker = Broker::new();
        let mut client = client(&broker);
        client.declare(1, "q").unwrap();
        for number in 0..1000_u32 {
            client.publish(1, "q", &number.to_be_bytes());
        }
        let limit = Arguments::new().long(0).short(prefetch).octet(0);
        client.call(1, (60, 10), limit, &[(60, 11)]).unwrap();
        let consume = Arguments::new().short(0).text("q").text("c");
        let octets = method(1, (60, 20), consume.octet(0).long(0));
        assert_eq!(client.server.receive(&octets), octets.len());
        assert_eq!(ready(&broker), 1000 - window, "{prefetch}");
        let mut number = 0;
        while number < 1000 {
            client.pump();
            let mut acks = Vec::new();
            for delivery in client.incoming.drain(..).filter(|it| it.id == DELIVER) {
                assert_eq!(delivery.body, u32::to_be_bytes(number));
                number += 1;
                acks.append(&mut settle(80, number.into(), 0));
            }
            assert!(!acks.is_empty(), "{number} of {prefetch}");
            let mut rest = &*acks;
            while !rest.is_empty() {
                rest = &rest[client.server.receive(rest)..];
            }
        }
        assert_eq!(broker.purge("q").unwrap(), 0);
    }
}

#[test]
fn deliveries_go_out_while_the_rest_of_many_acknowledgements_waits() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    for _ in 0..1000 {
        client.publish(1, "q", b"m");
    }
    let limit = Arguments::new().long(0).short(200).octet(0);
    client.call(1, (60, 10), limit, &[(60, 11)]).unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    assert_eq!(delivery_tags(&mut client).len(), 200);
    let acks: Vec<_> = (1..=200).flat_map(|tag| settle(80, tag, 0)).collect();
    let (mut rest, mut expected) = (&*acks, 201);
    for count in [96, 96, 8] {
        let taken = client.server.receive(rest);
        assert_eq!(taken, count * acks.len() / 200);
        rest = &rest[taken..];
        let next = expected + count as u64;
        assert!(delivery_tags(&mut client).into_iter().eq(expected..next));
        expected = next;
    }
    // Other frames begin the count anew.
    let between = method(
        1,
        (50, 10),
        Arguments::new().short(0).text("q").octet(1).long(0),
    );
    let some = |tags: RangeInclusive<u64>| tags.flat_map(|tag| settle(80, tag, 0));
    let octets: Vec<_> = some(201..=295)
        .chain(between)
        .chain(some(296..=390))
        .collect();
    assert_eq!(client.server.receive(&octets), octets.len());
}

#[test]
fn confirms_that_come_together_are_one() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client
        .call(1, (85, 10), Arguments::new().octet(0), &[(85, 11)])
        .unwrap();
    let publish = Arguments::new().short(0).text("").text("q").octet(0);
    let publish = [method(1, (60, 40), publish), content(1, &[0, 0], b"m", 9)].concat();
    // The server reads all of them at once.
    assert_eq!(
        client.server.receive(&publish.repeat(100)),
        publish.len() * 100
    );
    client.pump();
    let confirm = client.incoming.pop_front().unwrap();
    let mut fields = confirm.fields();
    assert_eq!(
        (confirm.id, fields.longlong(), fields.octet()),
        ((60, 80), 100, 1)
    );
    assert!(client.incoming.is_empty());
}

#[test]
fn a_consumer_whose_queue_is_deleted_is_told_if_its_client_knows_it() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    broker.delete(&Queue::new("q")).unwrap();
    client.pump();
    let cancel = client.incoming.pop_front().unwrap();
    assert_eq!(
        (cancel.id, cancel.fields().text().as_str()),
        ((60, 30), "c")
    );
    // Its answer has no effect.
    client.send(&method(1, (60, 31), Arguments::new().text("c")));
    client.declare(1, "q").unwrap();
}

#[test]
fn a_message_that_amqp_cannot_carry_is_rejected() {
    let broker = Broker::new();
    let mut client = client(&broker);
    let arguments = leveret::FieldTable::from([
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "dead"),
    ]);
    client.declare(1, "dead").unwrap();
    let declare = Arguments::new()
        .short(0)
        .text("q")
        .octet(0)
        .table(&arguments);
    client.call(1, (50, 10), declare, &[(50, 11)]).unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    let producer = broker.producer::<Local<fn()>>("q").unwrap();
    producer.publish(Local(|| {})).unwrap();
    let message = leveret::Message::new("m".to_owned()).message_id("i".repeat(256));
    broker
        .producer::<String>("q")
        .unwrap()
        .publish_message(message)
        .unwrap();
    broker
        .producer::<String>("q")
        .unwrap()
        .publish("carried".to_owned())
        .unwrap();
    client.pump();
    let delivered: Vec<_> = client.incoming.drain(..).map(|it| it.body).collect();
    assert_eq!(delivered, [b"carried"]);
    assert_eq!(broker.purge(Queue::new("dead")).unwrap(), 2);
}

#[test]
fn a_message_comes_back_as_it_was_sent() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    let headers = leveret::FieldTable::new()
        .with("z", 1)
        .with(
            "a",
            leveret::FieldValue::Array(vec!["x".into(), 2.5.into()]),
        )
        .with("n", ());
    let properties = leveret::Properties::new()
        .content_type("text/plain")
        .headers(headers)
        .priority(3)
        .correlation_id("c")
        .timestamp(7)
        .app_id("app");
    let encoded = Arguments::new().properties(&properties).0;
    for size in [0, 1, 131_064, 131_065, 400_000] {
        let body: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let publish = Arguments::new().short(0).text("").text("q").octet(0);
        client.send(&method(1, (60, 40), publish));
        client.send(&content(1, &encoded, &body, 131_064));
        let get = Arguments::new().short(0).text("q").octet(1);
        let got = client.call(1, (60, 70), get, &[(60, 71)]).unwrap();
        assert!(got.body == body, "{size}");
        assert_eq!(Arguments::new().properties(&got.properties).0, encoded);
    }
}

#[test]
fn an_ack_of_everything_settles_only_what_was_sent() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.consume(1, "q", "c", [false; 4]).unwrap();
    let producer = broker.producer::<u32>("q").unwrap();
    for number in 1..=2 {
        producer.publish(number).unwrap();
    }
    // Neither of them was sent when these are taken.
    let all = settle(80, 0, 1);
    assert_eq!(client.server.receive(&all), all.len());
    let all = settle(120, 0, 1);
    assert_eq!(client.server.receive(&all), all.len());
    assert_eq!(client.take_ids(), [(60, 60), (60, 60)]);
    producer.publish(3).unwrap();
    let all = settle(80, 0, 1);
    assert_eq!(client.server.receive(&all), all.len());
    assert_eq!(client.take_ids(), [(60, 60)]);
    client.server.handle_disconnect();
    let queue = broker.simple_queue::<u32>("q").unwrap();
    let left = queue.try_get().unwrap();
    assert_eq!(*left, 3);
    assert!(queue.try_get().is_err());
}

#[test]
fn a_client_that_asks_for_confirms_or_a_transaction_between_two_messages_has_them_for_the_second() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.open_channel(2).unwrap();
    client.declare(1, "q").unwrap();
    for channel in [1, 2] {
        for _ in 0..3 {
            client.publish(channel, "q", b"before");
        }
    }
    assert_eq!(broker.purge("q").unwrap(), 6);
    let no_wait = Arguments::new().octet(1);
    client.send(&method(1, (85, 10), no_wait));
    client.publish(1, "q", b"confirmed");
    assert_eq!(client.take_ids(), [(60, 80)]);
    assert_eq!(broker.purge("q").unwrap(), 1);
    let select = Arguments::new();
    client.call(2, (90, 10), select, &[(90, 11)]).unwrap();
    client.publish(2, "q", b"later");
    assert_eq!(broker.purge("q").unwrap(), 0);
    let commit = Arguments::new();
    client.call(2, (90, 20), commit, &[(90, 21)]).unwrap();
    assert_eq!(broker.purge("q").unwrap(), 1);
}

#[test]
fn messages_reach_a_queue_that_another_client_has_deleted_and_declared_again() {
    let broker = Broker::new();
    let (mut client, mut other) = (client(&broker), self::client(&broker));
    for is_published_between in [true, false, false] {
        other.declare(1, "q").unwrap();
        for _ in 0..3 {
            client.publish(1, "q", b"m");
        }
        assert_eq!(broker.purge("q").unwrap(), 3);
        broker.delete(&Queue::new("q")).unwrap();
        if is_published_between {
            client.publish(1, "q", b"nowhere");
        }
    }
}
