//! A client of AMQP 0-9-1 that sends anything, in portions of any size. The first octet tells how
//! it begins, whether it sends whole frames, and how large the portions are.
#![no_main]

mod frames;

use std::task::{Context, Poll, Waker};

use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};
use libfuzzer_sys::fuzz_target;

/// The largest frame, so that small inputs have bodies of several frames.
const FRAME: usize = 4096;

/// The most octets of a body.
const BODY: usize = 1 << 16;

/// A login of guest, and a channel.
const OPENED: &[u8] = b"AMQP\0\0\x09\x01\
    \x01\0\0\0\0\0\x24\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US\xce\
    \x01\0\0\0\0\0\x0c\0\x0a\0\x1f\0\x09\0\0\x10\0\0\0\xce\
    \x01\0\0\0\0\0\x08\0\x0a\0\x28\x01/\0\0\xce\
    \x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xce";

/// Hands over octets in portions, and reads everything that the server says meanwhile.
fn send(server: &mut ServerConnection, octets: &[u8], portion: usize) {
    let mut context = Context::from_waker(Waker::noop());
    for mut portion in octets.chunks(portion) {
        loop {
            let taken = server.receive(portion);
            portion = &portion[taken..];
            let mut said = false;
            while let Poll::Ready(more) = {
                let mut answer = Vec::new();
                let more = server.poll_output(&mut context, &mut answer);
                // The output has a bound, and one message may go beyond it.
                assert!(
                    answer.len() <= (64 << 10) + 2 * BODY,
                    "{} octets",
                    answer.len()
                );
                more
            } {
                said = true;
                if more.is_none() {
                    assert!(server.is_ended() && server.close_reason().is_some());
                    return;
                }
            }
            if portion.is_empty() {
                break;
            }
            // A client that may send no more waits for something. Nothing else happens here.
            if taken == 0 && !said {
                return;
            }
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    let Some((how, octets)) = octets.split_first() else {
        return;
    };
    let broker = Broker::new();
    let config = ServerConfig::new()
        .frame_max(FRAME as u32)
        .max_message_size(BODY as u64);
    let mut server = ServerConnection::new(&broker, config);
    let portion = usize::from(how >> 2) * 4 + 1;
    if how & 3 != 0 {
        send(&mut server, OPENED, OPENED.len());
        assert_eq!(server.close_reason(), None);
    }
    match how & 3 {
        0 | 1 => send(&mut server, octets, portion),
        _ => send(&mut server, &frames::frames(octets), portion),
    }
    server.handle_disconnect();
    assert!(server.is_ended());
});
