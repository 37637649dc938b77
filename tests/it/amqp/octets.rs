//! Octets in every portion, and octets that are no AMQP.

use std::task::{Context, Poll, Waker};

use leveret::{
    Broker, Consumer, Exchange, FieldTable, FieldValue, Message, Properties, Queue,
    amqp::{ServerConfig, ServerConnection},
    octets::to_text,
};
use proptest::prelude::*;

use super::client;
use crate::wire::{Arguments, content, frame, method};

/// Everything that a client sends: a login, a queue, a consumer, two messages, a get, the end.
fn dialogue() -> Vec<u8> {
    let start_ok = Arguments::new()
        .long(0)
        .text("PLAIN")
        .long_string(b"\0guest\0guest")
        .text("en_US");
    let publish = || Arguments::new().short(0).text("").text("q").octet(1);
    let named = |name: &str| Arguments::new().short(0).text(name);
    [
        b"AMQP\x00\x00\x09\x01".to_vec(),
        method(0, (10, 11), start_ok),
        method(0, (10, 31), Arguments::new().short(9).long(4096).short(0)),
        method(0, (10, 40), Arguments::new().text("/").text("").octet(0)),
        method(1, (20, 10), Arguments::new().text("")),
        method(1, (85, 10), Arguments::new().octet(0)),
        method(1, (50, 10), named("q").octet(0).long(0)),
        method(1, (60, 20), named("q").text("c").octet(0).long(0)),
        method(1, (60, 40), publish()),
        content(1, &[0, 0], b"hello", 3),
        frame(8, 0, b""),
        method(1, (60, 40), publish()),
        content(1, &[0, 0], b"", 3),
        method(1, (60, 80), Arguments::new().longlong(2).octet(1)),
        method(1, (60, 70), named("q").octet(0)),
        method(
            0,
            (10, 50),
            Arguments::new().short(200).text("").short(0).short(0),
        ),
    ]
    .concat()
}

/// Hands over the portions, and returns everything that the server says. The server may close
/// before the end.
fn answer<'a>(broker: &Broker, portions: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut server = ServerConnection::new(broker, ServerConfig::new().frame_max(4096));
    let mut context = Context::from_waker(Waker::noop());
    let (mut octets, mut portions) = (Vec::new(), portions.into_iter());
    loop {
        match server.poll_output(&mut context, &mut octets) {
            Poll::Ready(Some(_)) => continue,
            Poll::Ready(None) => return octets,
            Poll::Pending => {}
        }
        let Some(mut portion) = portions.next() else {
            return octets;
        };
        while !portion.is_empty() {
            let taken = server.receive(portion);
            portion = &portion[taken..];
            assert!(taken > 0 || server.poll_output(&mut context, &mut octets).is_ready());
        }
    }
}

#[test]
fn a_dialogue_is_the_same_in_whatever_portions_it_comes() {
    let octets = dialogue();
    let by_octet = answer(&Broker::new(), octets.chunks(1));
    // The last method is connection.close-ok.
    assert!(by_octet.ends_with(&method(0, (10, 51), Arguments::new())));
    for split in 1..octets.len() {
        let (before, after) = octets.split_at(split);
        let answer = answer(&Broker::new(), [before, after]);
        assert!(
            answer.ends_with(&method(0, (10, 51), Arguments::new())),
            "{split}"
        );
        // Events may be told earlier or later, and everything is told once.
        assert_eq!(sorted(&answer), sorted(&by_octet), "{split}");
    }
}

/// The frames, sorted, without confirms: one may stand for two.
fn sorted(octets: &[u8]) -> Vec<Vec<u8>> {
    let (mut frames, mut rest) = (Vec::new(), octets);
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[3..7].try_into().unwrap()) as usize;
        let (frame, behind) = rest.split_at(size + 8);
        if frame[7..11] != [0, 60, 0, 80] {
            frames.push(frame.to_vec());
        }
        rest = behind;
    }
    frames.sort();
    frames
}

/// The octets up to an open channel.
fn opened() -> Vec<u8> {
    let octets = dialogue();
    let open = method(1, (20, 10), Arguments::new().text(""));
    let at = octets.windows(open.len()).position(|it| it == open);
    octets[..at.unwrap() + open.len()].to_vec()
}

proptest! {
    #[test]
    fn random_octets_close_the_connection_or_are_taken(
        octets in prop::collection::vec(any::<u8>(), 0..400),
        portion in 1..50usize,
    ) {
        let broker = Broker::new();
        answer(&broker, octets.chunks(portion));
        let opened = opened();
        answer(&broker, std::iter::once(&opened[..]).chain(octets.chunks(portion)));
    }

    #[test]
    fn random_frames_close_the_channel_or_the_connection(
        frames in prop::collection::vec(
            (0..10u8, 0..3u16, prop::collection::vec(any::<u8>(), 0..60)),
            0..20,
        ),
    ) {
        let frames = frames.iter().map(|(kind, channel, payload)| frame(*kind, *channel, payload));
        let octets = [opened(), frames.flatten().collect()].concat();
        answer(&Broker::new(), [&octets[..]]);
    }

    #[test]
    fn random_methods_close_the_channel_or_the_connection(
        methods in prop::collection::vec(
            (
                0..3u16,
                prop::sample::select(vec![10u16, 20, 30, 40, 50, 60, 85, 90]),
                0..13u16,
                prop::collection::vec(prop::sample::select(&b"\0\x01\x02qS\xff"[..]), 0..30),
            ),
            0..30,
        ),
    ) {
        let methods = methods.iter().map(|(channel, class, number, fields)| {
            method(*channel, (*class, number * 10), Arguments::new().octets(fields))
        });
        let octets = [opened(), methods.flatten().collect()].concat();
        answer(&Broker::new(), [&octets[..]]);
    }

    #[test]
    fn a_dialogue_with_changed_octets_is_answered_to_its_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        portion in 1..200usize,
    ) {
        let mut octets = dialogue();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let broker = Broker::new();
        answer(&broker, octets.chunks(portion));
        // The broker serves the next client.
        let whole = answer(&broker, [&dialogue()[..]]);
        prop_assert!(whole.ends_with(&method(0, (10, 51), Arguments::new())));
    }
}

/// Properties with octets that are no UTF-8 wherever AMQP has octets.
fn octets_everywhere() -> Properties {
    let octets = to_text(b"\xff\0\xfe id").into_owned();
    let table = FieldTable::from([(&*octets, 1)]);
    Properties::new()
        .content_type(octets.clone())
        .content_encoding(octets.clone())
        .headers(FieldTable::from([("table", table)]))
        .header(octets.clone(), octets.clone())
        .correlation_id(octets.clone())
        .message_id(octets.clone())
        .message_type(octets.clone())
        .app_id(octets.clone())
        .cluster_id(octets.clone())
}

#[test]
fn octets_that_are_no_utf8_come_back_as_they_were_sent() {
    let broker = Broker::new();
    let queue = Queue::new("q").bind(Exchange::fanout("f"), "");
    // They pass a dead letter exchange too.
    let first = Queue::new("first").bind(Exchange::fanout("to first"), "");
    let first = first
        .dead_letter_exchange("f")
        .message_ttl(std::time::Duration::ZERO);
    broker.declare(&queue).unwrap();
    broker.declare(&first).unwrap();
    let mut client = client(&broker);
    client
        .consume(1, "q", "c", [false, true, false, false])
        .unwrap();
    let properties = octets_everywhere();
    let longest = to_text(&[0xff; 255]);
    for (exchange, key) in [
        ("f", to_text(b"a.\xff.b")),
        ("f", longest.clone()),
        ("to first", longest),
    ] {
        let publish = Arguments::new().short(0).text(exchange).text(&key).octet(0);
        client.send(&method(1, (60, 40), publish));
        let encoded = Arguments::new().properties(&properties).0;
        client.send(&content(1, &encoded, b"hello", 100));
        let mut came = client.await_reply(1, &[(60, 60)]).unwrap();
        let mut fields = came.fields();
        let (_tag, _, _) = (fields.text(), fields.longlong(), fields.octet());
        assert_eq!(fields.text(), "f");
        assert_eq!(fields.text(), key);
        if let Some(headers) = &mut came.properties.headers {
            let names: Vec<_> = headers.iter().map(|(name, _)| name.to_owned()).collect();
            let added = names.iter().filter(|name| name.starts_with("x-"));
            added.for_each(|name| drop(headers.remove(name)));
        }
        assert_eq!(came.properties, properties);
    }
}

#[test]
fn octets_that_are_no_utf8_are_returned_as_they_were_sent() {
    let broker = Broker::new();
    let mut client = client(&broker);
    let key = to_text(b"\xff");
    let publish = Arguments::new().short(0).text("").text(&key).octet(1);
    client.send(&method(1, (60, 40), publish));
    let encoded = Arguments::new().properties(&octets_everywhere()).0;
    client.send(&content(1, &encoded, b"hello", 100));
    let returned = client.await_reply(1, &[(60, 50)]).unwrap();
    let mut fields = returned.fields();
    let (code, _, _) = (fields.short(), fields.text(), fields.text());
    assert_eq!((code, &*fields.text()), (312, &*key));
    assert_eq!(returned.properties, octets_everywhere());
}

#[test]
fn a_headers_exchange_compares_the_octets_of_text_and_of_bytes() {
    let broker = Broker::new();
    let octets = b"\xff\xee\xbf\xbf";
    let binding = [("k", to_text(octets).into_owned())];
    let exchange = Exchange::headers("h");
    let queue = Queue::new("q").bind_with(&exchange, "", binding);
    let consumer: Consumer<u32> = broker.consumer(&queue).unwrap();
    let producer = broker.producer::<u32>(&exchange).unwrap();
    let publish = |value: FieldValue| {
        producer
            .publish_message(Message::new(7).header("k", value))
            .unwrap()
            .routed
    };
    assert_eq!(publish(FieldValue::Bytes(octets.to_vec())), 1);
    assert_eq!(publish(FieldValue::from(&*to_text(octets))), 1);
    assert_eq!(publish(FieldValue::Bytes(octets[1..].to_vec())), 0);
    drop(consumer);
}
