//! Whole frames, made of anything. Each is a frame that a client may send, changed by octets of the
//! input. So most of them get past the first checks.

/// A method or a content with the octets that a client may send.
enum Sample {
    /// A method, on the channel of the connection if its class is 10.
    Method(&'static [u8]),
    Header(&'static [u8]),
    Body(&'static [u8]),
    /// Neither channel nor payload fits.
    Heartbeat,
}

use Sample::{Body, Header, Heartbeat, Method};

/// The frames, without their envelopes. Names are `q`, `e` and `c`.
const SAMPLES: &[Sample] = &[
    // channel.open, flow, flow-ok, close, close-ok
    Method(b"\0\x14\0\x0a\0"),
    Method(b"\0\x14\0\x14\0"),
    Method(b"\0\x14\0\x15\0"),
    Method(b"\0\x14\0\x28\0\0\0\0\0\0\0"),
    Method(b"\0\x14\0\x29"),
    // access.request
    Method(b"\0\x1e\0\x0a\x05/data\0"),
    // exchange.declare, delete, bind, unbind
    Method(b"\0\x28\0\x0a\0\0\x01e\x06direct\0\0\0\0\0"),
    Method(b"\0\x28\0\x0a\0\0\x01f\x05topic\0\0\0\0\0"),
    Method(b"\0\x28\0\x0a\0\0\x01h\x07headers\0\0\0\0\0"),
    Method(b"\0\x28\0\x14\0\0\x01e\0"),
    Method(b"\0\x28\0\x1e\0\0\x01f\x01e\x01q\0\0\0\0\0"),
    Method(b"\0\x28\0\x28\0\0\x01f\x01e\x01q\0\0\0\0\0"),
    // queue.declare, also with a limit, a time and dead letters; of a quorum queue; of a stream
    Method(b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\0"),
    Method(
        b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x42\
        \x0cx-max-lengthI\0\0\0\x02\
        \x0dx-message-ttlI\0\0\0\0\
        \x16x-dead-letter-exchangeS\0\0\0\x01e",
    ),
    Method(b"\0\x32\0\x0a\0\0\x01k\x02\0\0\0\x18\x0cx-queue-typeS\0\0\0\x06quorum"),
    Method(b"\0\x32\0\x0a\0\0\x01s\x02\0\0\0\x18\x0cx-queue-typeS\0\0\0\x06stream"),
    // queue.bind, purge, delete, unbind
    Method(b"\0\x32\0\x14\0\0\x01q\x01e\x01q\0\0\0\0\0"),
    Method(b"\0\x32\0\x1e\0\0\x01q\0"),
    Method(b"\0\x32\0\x28\0\0\x01q\0"),
    Method(b"\0\x32\0\x32\0\0\x01q\x01e\x01q\0\0\0\0"),
    // basic.qos, consume, cancel
    Method(b"\0\x3c\0\x0a\0\0\0\0\0\x01\0"),
    Method(b"\0\x3c\0\x14\0\0\x01q\x01c\0\0\0\0\0"),
    Method(b"\0\x3c\0\x14\0\0\x01s\x01c\0\0\0\0\x1a\x0fx-stream-offsetS\0\0\0\x05first"),
    Method(b"\0\x3c\0\x1e\x01c\0"),
    // basic.publish to a queue, to an exchange, and as a request; its header; its body
    Method(b"\0\x3c\0\x28\0\0\0\x01q\0"),
    Method(b"\0\x3c\0\x28\0\0\x01e\x01q\x01"),
    Header(b"\0\x3c\0\0\0\0\0\0\0\0\0\x02\0\0"),
    Header(b"\0\x3c\0\0\0\0\0\0\0\0\0\x02\x18\x00\x02\x05"),
    Header(b"\0\x3c\0\0\0\0\0\0\0\0\0\x02\x20\0\0\0\0\x0e\x02CCA\0\0\0\x06S\0\0\0\x01k"),
    Body(b"ab"),
    // basic.get, ack, reject, recover-async, recover, nack
    Method(b"\0\x3c\0\x46\0\0\x01q\0"),
    Method(b"\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0"),
    Method(b"\0\x3c\0\x5a\0\0\0\0\0\0\0\x01\x01"),
    Method(b"\0\x3c\0\x64\x01"),
    Method(b"\0\x3c\0\x6e\x01"),
    Method(b"\0\x3c\0\x78\0\0\0\0\0\0\0\x01\x02"),
    // confirm.select, tx.select, commit, rollback
    Method(b"\0\x55\0\x0a\0"),
    Method(b"\0\x5a\0\x0a"),
    Method(b"\0\x5a\0\x14"),
    Method(b"\0\x5a\0\x1e"),
    // a consumer of direct replies, and a request
    Method(b"\0\x3c\0\x14\0\0\x15amq.rabbitmq.reply-to\0\x02\0\0\0\0"),
    Header(b"\0\x3c\0\0\0\0\0\0\0\0\0\x02\x02\0\x15amq.rabbitmq.reply-to"),
    // connection.close, close-ok, update-secret
    Method(b"\0\x0a\0\x32\0\0\0\0\0\0\0"),
    Method(b"\0\x0a\0\x33"),
    Method(b"\0\x0a\0\x46\0\0\0\x01x\0"),
    Heartbeat,
];

/// Makes frames of anything. Each takes three octets, and the octets that change it: the number of
/// its sample, its channel, and the number of these octets.
pub fn frames(mut octets: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    while let [sample, channel, count, rest @ ..] = octets {
        let (changes, rest) = rest.split_at(usize::from(*count).min(rest.len()));
        octets = rest;
        let (kind, payload) = match &SAMPLES[usize::from(*sample) % SAMPLES.len()] {
            Method(payload) => (1, *payload),
            Header(payload) => (2, *payload),
            Body(payload) => (3, *payload),
            Heartbeat => (8, &b""[..]),
        };
        let is_of_connection = kind == 8 || payload.starts_with(b"\0\x0a");
        // An even number is the channel that is open, if the frame has one.
        let channel = match (is_of_connection, channel % 2) {
            (true, 0) => 0,
            (false, 0) => 1,
            (_, _) => u16::from(channel / 2),
        };
        frames.push(kind);
        frames.extend(channel.to_be_bytes());
        let length = payload.len().max(changes.len());
        frames.extend((length as u32).to_be_bytes());
        frames.extend((0..length).map(|place| {
            let change = changes.get(place).copied().unwrap_or_default();
            payload.get(place).copied().unwrap_or_default() ^ change
        }));
        frames.push(0xce);
    }
    frames
}
