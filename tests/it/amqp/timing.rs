//! Heartbeats and time-outs, on a manual clock.

use std::time::Duration;

use leveret::{
    Broker, ManualClock,
    amqp::{CloseReason, ServerConfig},
};

use crate::wire::{Arguments, Client, frame, method};

/// A client with this heartbeat in seconds.
fn client(heartbeat: u16) -> (ManualClock, Client) {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let mut client = Client::new(&broker, ServerConfig::new());
    client.log_in("/", "guest", "guest", heartbeat).unwrap();
    // The broker has to live.
    std::mem::forget(broker);
    (clock, client)
}

/// Lets the time pass to the next time-out. Returns the octets that are sent then.
fn tick(clock: &ManualClock, client: &mut Client) -> Vec<u8> {
    let now = leveret::Clock::now(clock);
    let next = client.server.poll_timeout().unwrap();
    clock.advance(next - now);
    client.server.handle_timeout(leveret::Clock::now(clock));
    let mut octets = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = client.server.poll_output(&mut context, &mut octets);
    octets
}

#[test]
fn a_silent_server_sends_a_heartbeat_in_each_interval() {
    let (clock, mut client) = client(10);
    let start = leveret::Clock::now(&clock);
    assert_eq!(
        client.server.poll_timeout(),
        Some(start + Duration::from_secs(5))
    );
    for _ in 0..20 {
        client.send(&frame(8, 0, b"")); // the client lives
        // It has sent something in the half before.
        assert_eq!(tick(&clock, &mut client), b"");
        assert_eq!(tick(&clock, &mut client), frame(8, 0, b""));
    }
    assert_eq!(client.server.close_reason(), None);
}

#[test]
fn a_peer_that_is_silent_for_two_intervals_is_given_up() {
    let (clock, mut client) = client(10);
    tick(&clock, &mut client);
    for _ in 0..3 {
        tick(&clock, &mut client);
        assert!(!client.server.is_ended());
    }
    assert_eq!(tick(&clock, &mut client), b"");
    assert_eq!(
        client.server.close_reason(),
        Some(&CloseReason::HeartbeatTimeout)
    );
    client.pump();
    assert!(client.is_over);
    assert_eq!(client.server.poll_timeout(), None);
}

#[test]
fn without_heartbeats_there_is_no_time_out() {
    let (_, client) = client(0);
    assert_eq!(client.server.poll_timeout(), None);
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_given_up_after_half_a_minute() {
    let (clock, mut client) = client(0);
    let before = leveret::Clock::now(&clock);
    client.send(&method(
        0,
        (50, 10),
        Arguments::new().short(0).text("q").octet(0).long(0),
    ));
    let end = client.server.poll_timeout().unwrap();
    assert_eq!(end - before, Duration::from_secs(30));
    client.send(&method(
        0,
        (50, 10),
        Arguments::new().short(0).text("q").octet(0).long(0),
    ));
    client.pump();
    assert_eq!((client.incoming.len(), client.is_over), (1, false));
    tick(&clock, &mut client);
    assert!(client.server.is_ended());
}

#[test]
fn a_peer_that_has_closed_the_connection_closes_its_socket_or_is_given_up_after_half_a_minute() {
    let close = method(
        0,
        (10, 50),
        Arguments::new().short(200).text("bye").short(0).short(0),
    );
    let reason = CloseReason::Peer {
        reply_code: 200,
        reply_text: "bye".to_owned(),
    };
    for ends_by_itself in [true, false] {
        let (clock, mut client) = client(10);
        client.stays = true;
        let before = leveret::Clock::now(&clock);
        client.send(&close);
        assert_eq!(client.incoming.pop_back().unwrap().id, (10, 51));
        assert_eq!(client.server.close_reason(), Some(&reason));
        // What other threads of the peer send then is no error, and has no answer.
        client.send(&close);
        client.send(b"no frame");
        assert!(client.incoming.is_empty() && !client.server.is_ended());
        let end = client.server.poll_timeout().unwrap();
        assert_eq!(end - before, Duration::from_secs(30));
        match ends_by_itself {
            true => client.server.handle_disconnect(),
            false => assert_eq!(tick(&clock, &mut client), b""),
        }
        client.pump();
        assert!(client.is_over && client.server.is_ended());
        assert_eq!(client.server.close_reason(), Some(&reason));
    }
}

#[test]
fn a_connection_that_its_peer_has_closed_ends_at_once_if_this_side_closes_it_too() {
    let (_, mut client) = client(10);
    client.stays = true;
    client.send(&method(
        0,
        (10, 50),
        Arguments::new().short(200).text("").short(0).short(0),
    ));
    client.server.close("the end");
    client.pump();
    assert!(client.is_over);
    assert!(matches!(
        client.server.close_reason(),
        Some(CloseReason::Peer { .. })
    ));
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let config = ServerConfig::new().handshake_timeout(Duration::from_secs(2));
    let mut client = Client::new(&broker, config);
    let now = leveret::Clock::now(&clock);
    assert_eq!(
        client.server.poll_timeout(),
        Some(now + Duration::from_secs(2))
    );
    client.send(b"AMQP");
    tick(&clock, &mut client);
    assert_eq!(
        client.server.close_reason(),
        Some(&CloseReason::HandshakeTimeout)
    );
}
