//! The bytes of an idle connection of a client by AMQP 0-9-1.

use std::task::{Context, Poll, Waker};

use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};

use super::{Row, count::Count};

pub const ROWS: &[Row] = &[Row {
    name: "amqp-connection",
    unit: "bytes",
    goal: Some(12.0 * 1024.0),
    measure: |options| {
        let connections = options.size(10, 1_000);
        let broker = Broker::new();
        // The first connection allocates the memory that all share.
        let _first = idle(&broker);
        let count = Count::begin();
        let idle: Vec<_> = (0..connections).map(|_| idle(&broker)).collect();
        let bytes = count.bytes();
        assert!(idle.iter().all(|(server, _)| !server.is_ended()));
        bytes / connections as f64
    },
}];

fn frame(channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&[1, 0, channel][..], &size, payload, &[0xce]].concat()
}

/// A connection with a channel and a consumer of a queue of its own, which has had a message. The
/// buffer is that of its driver.
fn idle(broker: &Broker) -> (ServerConnection, Vec<u8>) {
    let mut server = ServerConnection::new(broker, ServerConfig::new());
    let octets = [
        b"AMQP\0\0\x09\x01".to_vec(),
        frame(
            0,
            b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US",
        ),
        frame(0, b"\0\x0a\0\x1f\0\x09\0\x02\0\0\0\x3c"),
        frame(0, b"\0\x0a\0\x28\x01/\0\0"),
        frame(1, b"\0\x14\0\x0a\0"),
        frame(1, b"\0\x32\0\x0a\0\0\0\x04\0\0\0\0"), // exclusive, and named by the broker
        frame(1, b"\0\x3c\0\x14\0\0\0\0\0\0\0\0\0"),
    ];
    let mut context = Context::from_waker(Waker::noop());
    let mut output = Vec::new();
    for octets in octets {
        assert_eq!(server.receive(&octets), octets.len());
        while let Poll::Ready(more) = server.poll_output(&mut context, &mut output) {
            assert!(more.is_some(), "{:?}", server.close_reason());
            output.clear();
        }
    }
    (server, output)
}
