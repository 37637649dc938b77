//! AMQP 0-9-1 as octets: what a publish, a delivery and an acknowledgement of a client cost the
//! thread that serves it.

use std::task::{Context, Poll, Waker};

use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};

use super::CYCLE;

/// The octets of a body.
const BODY: usize = 64;

/// The flags and the values of properties that a client of RPC sends: content type, headers,
/// delivery mode, correlation id, reply-to.
const PROPERTIES: &[u8] =
    b"\xb6\0\x10application/json\0\0\0\x0d\x06tenantS\0\0\0\x01a\x02\x02id\x02rq";

pub fn run(cycles: u64) {
    run_with(cycles, &[0, 0]);
}

pub fn run_with_properties(cycles: u64) {
    run_with(cycles, PROPERTIES);
}

fn run_with(cycles: u64, properties: &[u8]) {
    let broker = Broker::new();
    let mut server = open(&broker);
    let header = [
        &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, BODY as u8][..],
        properties,
    ];
    let message = [
        frame(1, 2, b"\0\x3c\0\x28\0\0\0\x01q\0"),
        frame(2, 2, &header.concat()),
        frame(3, 2, &[7; BODY]),
    ];
    let message = message.concat();
    let mut ack = frame(1, 1, b"\0\x3c\0\x50\0\0\0\0\0\0\0\0\0");
    let (mut octets, mut tag) = (Vec::new(), 0_u64);
    for _ in 0..cycles {
        for _ in 0..CYCLE {
            assert_eq!(publish(&mut server, &message), message.len());
        }
        octets.clear();
        deliver(&mut server, &mut octets);
        assert_eq!(
            octets.windows(4).filter(|it| it == b"\0\x3c\0\x3c").count() as u64,
            CYCLE
        );
        for _ in 0..CYCLE {
            tag += 1;
            acknowledge(&mut server, &mut ack, tag);
        }
    }
}

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&[kind, 0, channel][..], &size, payload, &[0xce]].concat()
}

/// A server with an open connection, a channel 1 with a consumer, and a channel 2.
fn open(broker: &Broker) -> ServerConnection {
    let mut server = ServerConnection::new(broker, ServerConfig::new());
    let login = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
    let mut octets = b"AMQP\0\0\x09\x01".to_vec();
    octets.extend(frame(1, 0, login));
    octets.extend(frame(1, 0, b"\0\x0a\0\x1f\0\x09\0\x02\0\0\0\0"));
    octets.extend(frame(1, 0, b"\0\x0a\0\x28\x01/\0\0"));
    for channel in [1, 2] {
        octets.extend(frame(1, channel, b"\0\x14\0\x0a\0"));
    }
    octets.extend(frame(1, 1, b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\0"));
    octets.extend(frame(1, 1, b"\0\x3c\0\x14\0\0\x01q\x01c\0\0\0\0\0"));
    assert_eq!(server.receive(&octets), octets.len());
    output(&mut server, &mut octets);
    server
}

#[inline(never)]
fn publish(server: &mut ServerConnection, message: &[u8]) -> usize {
    server.receive(message)
}

/// Takes everything that the server has to say.
#[inline(never)]
fn deliver(server: &mut ServerConnection, octets: &mut Vec<u8>) {
    output(server, octets);
}

#[inline(always)]
fn output(server: &mut ServerConnection, octets: &mut Vec<u8>) {
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(more) = server.poll_output(&mut context, octets) {
        assert!(more.is_some(), "{:?}", server.close_reason());
    }
}

/// It puts the tag into the frame, which also tells this function from `publish`.
#[inline(never)]
fn acknowledge(server: &mut ServerConnection, ack: &mut [u8], tag: u64) {
    ack[11..19].copy_from_slice(&tag.to_be_bytes());
    assert_eq!(server.receive(ack), ack.len());
}
