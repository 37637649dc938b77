//! AMQP 0-9-1 as octets: the server's side of a connection alone, on one thread. A client publishes
//! in large writes, gets the deliveries, and acknowledges each.

use std::{
    hint::black_box,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};

use super::{channel::amqp, group::Group, options::Options};

/// The messages of one write of the client.
const BATCH: u64 = 64;

/// The octets of a body.
const BODY: usize = 64;

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    // At most 1.2 times the time of a channel.
    let goal = Some(1.0 / 1.2);
    vec![
        Group::throughput("wire")
            .row("leveret-channel", None, messages, |n| amqp(n, false))
            .row("leveret-wire", goal, messages, |n| wire(n, false))
            .row("leveret-wire-confirms", None, messages, |n| wire(n, true)),
    ]
}

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&[kind, 0, channel][..], &size, payload, &[0xce]].concat()
}

/// Everything that the server says now.
fn output(server: &mut ServerConnection, octets: &mut Vec<u8>) {
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(more) = server.poll_output(&mut context, octets) {
        assert!(more.is_some(), "{:?}", server.close_reason());
    }
}

/// Hands over octets, and reads whenever the server takes no more.
fn send(server: &mut ServerConnection, mut octets: &[u8], answer: &mut Vec<u8>) {
    while !octets.is_empty() {
        let taken = server.receive(octets);
        octets = &octets[taken..];
        output(server, answer);
    }
}

/// A server with an open connection, a channel 1 with a consumer, and a channel 2.
fn open(broker: &Broker, confirms: bool) -> ServerConnection {
    let mut server = ServerConnection::new(broker, ServerConfig::new());
    let login = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
    let mut octets = b"AMQP\0\0\x09\x01".to_vec();
    octets.extend(frame(1, 0, login));
    octets.extend(frame(1, 0, b"\0\x0a\0\x1f\0\x09\0\x02\0\0\0\0"));
    octets.extend(frame(1, 0, b"\0\x0a\0\x28\x01/\0\0"));
    for channel in [1, 2] {
        octets.extend(frame(1, channel, b"\0\x14\0\x0a\0"));
    }
    octets.extend(frame(1, 1, b"\0\x32\0\x0a\0\0\x05floor\0\0\0\0\0"));
    octets.extend(frame(1, 1, b"\0\x3c\0\x0a\0\0\0\0\x01\0\0"));
    octets.extend(frame(1, 1, b"\0\x3c\0\x14\0\0\x05floor\x01c\0\0\0\0\0"));
    if confirms {
        octets.extend(frame(1, 2, b"\0\x55\0\x0a\0"));
    }
    let mut answer = Vec::new();
    send(&mut server, &octets, &mut answer);
    server
}

/// The time of publishes, deliveries and acknowledgements as octets.
fn wire(messages: u64, confirms: bool) -> Duration {
    let broker = Broker::new();
    let mut server = open(&broker, confirms);
    let publish = [
        frame(1, 2, b"\0\x3c\0\x28\0\0\0\x05floor\0"),
        frame(2, 2, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, BODY as u8, 0, 0]),
        frame(3, 2, &[7; BODY]),
    ];
    let batch = publish.concat().repeat(BATCH as usize);
    let ack = frame(1, 1, b"\0\x3c\0\x50\0\0\0\0\0\0\0\0\0");
    let mut acks = ack.repeat(BATCH as usize);
    let (mut octets, mut delivered) = (Vec::new(), 0);
    let start = Instant::now();
    for _ in 0..messages.div_ceil(BATCH) {
        octets.clear();
        send(&mut server, &batch, &mut octets);
        let first = delivered;
        delivered += deliveries(&octets, delivered);
        assert_eq!(delivered - first, BATCH, "every message is delivered");
        for (ack, tag) in acks.chunks_exact_mut(ack.len()).zip(first + 1..) {
            ack[11..19].copy_from_slice(&tag.to_be_bytes());
        }
        octets.clear();
        send(&mut server, &acks, &mut octets);
    }
    let time = start.elapsed();
    assert_eq!(broker.purge("floor").expect("the queue is there"), 0);
    black_box(&octets);
    // As many as were asked for.
    time.mul_f64(messages as f64 / delivered as f64)
}

/// Counts deliveries, which follow the tag `last`.
fn deliveries(mut octets: &[u8], last: u64) -> u64 {
    let mut count = 0;
    while let [kind, _, _, a, b, c, d, payload @ ..] = octets {
        let size = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if *kind == 1 && payload[..4] == [0, 60, 0, 60] {
            count += 1;
            // Behind the tag of the consumer.
            let tag = payload[6..14].try_into().expect("eight octets");
            assert_eq!(u64::from_be_bytes(tag), last + count);
        }
        octets = &payload[size + 1..];
    }
    count
}
