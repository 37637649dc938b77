//! Errors close the channel or the connection, and whatever belongs to it ends.

use leveret::{
    Broker,
    amqp::{CloseReason, ServerConfig},
};

use super::{client, close_by, settle};
use crate::wire::{Arguments, Client, Closed, content, frame, method};

fn passive(queue: &str) -> Arguments {
    Arguments::new()
        .short(0)
        .text(queue)
        .bits([true, false, false, false, false])
        .long(0)
}

fn publish_to(exchange: &str, key: &str, bits: u8) -> Arguments {
    Arguments::new()
        .short(0)
        .text(exchange)
        .text(key)
        .octet(bits)
}

#[test]
fn an_error_of_a_channel_closes_it_and_the_connection_goes_on() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.open_channel(2).unwrap();
    let not_found = Closed {
        of_connection: false,
        reply_code: 404,
        reply_text: "NOT_FOUND - no queue 'none' in vhost '/'".to_owned(),
        method: (50, 10),
    };
    assert_eq!(close_by(&mut client, (50, 10), passive("none")), not_found);
    client.declare(2, "q").unwrap();
    // The number is free again.
    client.open_channel(1).unwrap();
    client.declare(1, "q").unwrap();
}

#[test]
fn after_an_error_the_frames_of_the_channel_are_ignored_until_the_client_has_answered() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.send(&method(1, (50, 10), passive("none")));
    client.send(&method(1, (50, 10), passive("nothing")));
    client.publish(1, "q", b"lost");
    client.send(&method(1, (20, 10), Arguments::new().text("")));
    client.pump();
    let closed: Vec<_> = client
        .incoming
        .drain(..)
        .filter_map(|it| Closed::of(&it))
        .collect();
    assert_eq!(closed.len(), 1);
    // A client that closes at the same time is answered.
    let close = Arguments::new().short(200).text("").short(0).short(0);
    client.call(1, (20, 40), close, &[(20, 41)]).unwrap();
    client.send(&method(1, (20, 41), Arguments::new()));
    client.open_channel(1).unwrap();
}

#[test]
fn an_asynchronous_method_that_fails_closes_its_channel() {
    let broker = Broker::new();
    for (octets, id, text) in [
        (
            settle(80, 9, 0),
            (60, 80),
            "PRECONDITION_FAILED - unknown delivery tag 9",
        ),
        (
            settle(90, 9, 0),
            (60, 90),
            "PRECONDITION_FAILED - unknown delivery tag 9",
        ),
        (
            settle(120, 9, 0),
            (60, 120),
            "PRECONDITION_FAILED - unknown delivery tag 9",
        ),
        (
            [
                method(1, (60, 40), publish_to("none", "", 0)),
                content(1, &[0, 0], b"x", 9),
            ]
            .concat(),
            (60, 40),
            "NOT_FOUND - no exchange 'none' in vhost '/'",
        ),
    ] {
        let mut client = client(&broker);
        client.send(&octets);
        let closed = client.await_reply(1, &[]).unwrap_err();
        assert_eq!((closed.method, &*closed.reply_text), (id, text));
        assert!(!closed.of_connection);
    }
}

#[test]
fn a_hard_error_closes_the_connection_and_deletes_its_exclusive_queues() {
    let broker = Broker::new();
    let mut client = client(&broker);
    let exclusive = Arguments::new().short(0).text("mine").octet(4).long(0);
    client.call(1, (50, 10), exclusive, &[(50, 11)]).unwrap();
    let closed = close_by(
        &mut client,
        (60, 10),
        Arguments::new().long(5).short(1).octet(0),
    );
    assert!(closed.of_connection);
    assert_eq!(closed.reply_text, "NOT_IMPLEMENTED - prefetch_size!=0 (5)");
    assert_eq!((closed.reply_code, closed.method), (540, (60, 10)));
    assert!(client.is_over);
    assert!(
        broker
            .purge(leveret::Queue::new("mine"))
            .unwrap_err()
            .is_not_found()
    );
    let reason = CloseReason::Server {
        reply_code: 540,
        reply_text: closed.reply_text,
    };
    assert_eq!(client.server.close_reason(), Some(&reason));
}

/// The connection's close by octets on an open channel.
fn hard(octets: &[u8]) -> (u16, String, (u16, u16)) {
    let broker = Broker::new();
    let mut client = client(&broker);
    let _ = client.server.receive(octets);
    let closed = client.await_reply(0, &[]).unwrap_err();
    assert!(closed.of_connection && client.is_over);
    (closed.reply_code, closed.reply_text, closed.method)
}

#[test]
fn octets_that_are_no_amqp_get_the_codes_and_texts_of_rabbitmq() {
    let mut end = frame(1, 1, &[0, 50, 0, 10]);
    *end.last_mut().unwrap() = 0x11;
    let none = (0, 0);
    let publish = method(1, (60, 40), publish_to("", "q", 0));
    let header =
        |class: u8, size: u8| frame(2, 1, &[0, class, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0]);
    let after_publish = |rest: &[u8]| [&publish[..], rest].concat();
    for (octets, code, text, id) in [
        (
            end,
            501,
            "FRAME_ERROR - type 1, all octets = <<0,50,0,10>>: {invalid_frame_end_marker,17}",
            none,
        ),
        (
            frame(9, 1, b"abc"),
            501,
            "FRAME_ERROR - type 9, all octets = <<\"abc\">>: unknown_frame",
            none,
        ),
        (
            frame(8, 0, b"x"),
            501,
            "FRAME_ERROR - type 8, all octets = <<\"x\">>: unknown_frame",
            none,
        ),
        (
            frame(8, 1, b""),
            505,
            "UNEXPECTED_FRAME - type 8, all octets = <<>>",
            none,
        ),
        (
            frame(3, 0, b"x"),
            505,
            "UNEXPECTED_FRAME - type 3, all octets = <<\"x\">>",
            none,
        ),
        (
            [&[1, 0, 1][..], &200_000_u32.to_be_bytes()].concat(),
            501,
            "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,200000,131064}",
            none,
        ),
        (
            method(1, (50, 10), Arguments::new().short(0)),
            501,
            "FRAME_ERROR - cannot decode <<0,0>>",
            (50, 10),
        ),
        (
            frame(1, 1, b"\0"),
            501,
            "FRAME_ERROR - cannot decode <<0>>",
            none,
        ),
        (
            method(1, (50, 99), Arguments::new()),
            540,
            "NOT_IMPLEMENTED - no method 99 of class 50",
            (50, 99),
        ),
        (
            method(
                1,
                (50, 10),
                Arguments::new()
                    .short(0)
                    .text("q")
                    .octet(0)
                    .long_string(b"\x01k?"),
            ),
            502,
            "SYNTAX_ERROR - a field table has a value of the unknown type ?",
            (50, 10),
        ),
        (
            method(
                1,
                (50, 10),
                Arguments::new()
                    .short(0)
                    .octets(b"\x01\xff")
                    .octet(0)
                    .long(0),
            ),
            501,
            "FRAME_ERROR - Malformed UTF-8 in shortstr",
            (50, 10),
        ),
        (
            header(60, 1),
            505,
            "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
            none,
        ),
        (
            after_publish(&settle(80, 1, 0)),
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
            (60, 40),
        ),
        (
            after_publish(&header(50, 1)),
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
            (60, 40),
        ),
        (
            after_publish(&[header(60, 1), header(60, 1)].concat()),
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            (60, 40),
        ),
        (
            after_publish(&[header(60, 1), frame(3, 1, b"abc")].concat()),
            505,
            "UNEXPECTED_FRAME - expected content body, got 3 octets instead of 1",
            (60, 40),
        ),
        (
            method(5, (50, 10), passive("q")),
            504,
            "CHANNEL_ERROR - expected 'channel.open'",
            (50, 10),
        ),
        (
            method(1, (20, 10), Arguments::new().text("")),
            504,
            "CHANNEL_ERROR - second 'channel.open' seen",
            (20, 10),
        ),
        (
            method(0, (50, 10), passive("q")),
            504,
            "CHANNEL_ERROR - unexpected method in connection state running",
            (50, 10),
        ),
        (
            method(1, (10, 40), Arguments::new().text("/").text("").octet(0)),
            503,
            "COMMAND_INVALID - unimplemented method",
            (10, 40),
        ),
        (
            method(1, (50, 11), Arguments::new().text("q").long(0).long(0)),
            503,
            "COMMAND_INVALID - unimplemented method",
            (50, 11),
        ),
        (
            method(1, (20, 20), Arguments::new().octet(0)),
            540,
            "NOT_IMPLEMENTED - active=false",
            (20, 20),
        ),
        (
            method(1, (60, 110), Arguments::new().octet(0)),
            540,
            "NOT_IMPLEMENTED - requeue=false",
            (60, 110),
        ),
        (
            [
                method(1, (60, 40), publish_to("", "q", 2)),
                content(1, &[0, 0], b"", 9),
            ]
            .concat(),
            540,
            "NOT_IMPLEMENTED - immediate=true",
            (60, 40),
        ),
    ] {
        assert_eq!(hard(&octets), (code, text.to_owned(), id), "{octets:?}");
    }
}

#[test]
fn every_method_is_answered_and_none_with_no_wait() {
    let broker = Broker::new();
    let mut client = client(&broker);
    let text = |text: &str| Arguments::new().short(0).text(text);
    for (id, arguments, answer) in [
        ((40, 10), text("x").text("topic").octet(0).long(0), (40, 11)),
        (
            (40, 30),
            text("x").text("amq.topic").text("#").octet(0).long(0),
            (40, 31),
        ),
        (
            (40, 40),
            text("x").text("amq.topic").text("#").octet(0).long(0),
            (40, 51),
        ),
        ((50, 10), text("q").octet(0).long(0), (50, 11)),
        (
            (50, 20),
            text("q").text("x").text("#").octet(0).long(0),
            (50, 21),
        ),
        ((50, 50), text("q").text("x").text("#").long(0), (50, 51)),
        ((50, 30), text("q").octet(0), (50, 31)),
        (
            (60, 10),
            Arguments::new().long(0).short(9).octet(0),
            (60, 11),
        ),
        ((60, 20), text("q").text("c").octet(0).long(0), (60, 21)),
        ((60, 30), Arguments::new().text("c").octet(0), (60, 31)),
        (
            (60, 30),
            Arguments::new().text("unknown").octet(0),
            (60, 31),
        ),
        ((60, 70), text("q").octet(0), (60, 72)),
        ((60, 110), Arguments::new().octet(1), (60, 111)),
        ((20, 20), Arguments::new().octet(1), (20, 21)),
        ((30, 10), Arguments::new().text("/data").octet(31), (30, 11)),
        ((50, 40), text("q").octet(0), (50, 41)),
        ((40, 20), text("x").octet(0), (40, 21)),
        ((85, 10), Arguments::new().octet(0), (85, 11)),
    ] {
        client.call(1, id, arguments, &[answer]).unwrap();
        assert_eq!(client.take_ids(), [], "{id:?}");
    }
    client.open_channel(2).unwrap();
    for (number, answer) in [(10, 11), (20, 21), (30, 31)] {
        client
            .call(2, (90, number), Arguments::new(), &[(90, answer)])
            .unwrap();
    }
    let secret = Arguments::new().long_string(b"new").text("why");
    client.call(0, (10, 70), secret, &[(10, 71)]).unwrap();
    for (id, arguments) in [
        ((40, 10), text("x").text("topic").octet(16).long(0)),
        ((50, 10), text("q").octet(16).long(0)),
        ((50, 20), text("q").text("x").text("#").octet(1).long(0)),
        ((60, 20), text("q").text("c").octet(8).long(0)),
        ((60, 30), Arguments::new().text("c").octet(1)),
        ((60, 100), Arguments::new().octet(1)),
        ((50, 30), text("q").octet(1)),
        ((50, 40), text("q").octet(4)),
        ((40, 20), text("x").octet(2)),
    ] {
        client.send(&method(1, id, arguments));
        assert_eq!(client.take_ids(), [], "{id:?}");
    }
    client.declare(1, "q").unwrap(); // the channel is open
}

#[test]
fn a_client_that_closes_is_answered_and_the_connection_ends() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.declare(1, "q").unwrap();
    client.publish(1, "q", b"m");
    let get = Arguments::new().short(0).text("q").octet(0);
    client.call(1, (60, 70), get, &[(60, 71)]).unwrap();
    let close = Arguments::new().short(200).text("Bye").short(0).short(0);
    client.call(0, (10, 50), close, &[(10, 51)]).unwrap();
    assert!(client.is_over);
    let reason = CloseReason::Peer {
        reply_code: 200,
        reply_text: "Bye".to_owned(),
    };
    assert_eq!(client.server.close_reason(), Some(&reason));
    assert_eq!(broker.purge(leveret::Queue::new("q")).unwrap(), 1);
}

#[test]
fn a_peer_that_is_lost_leaves_its_messages_and_no_exclusive_queue() {
    let broker = Broker::new();
    let queue = leveret::Queue::new("q");
    for is_dropped in [true, false] {
        let mut client = client(&broker);
        client.declare(1, "q").unwrap();
        let exclusive = Arguments::new().short(0).text("mine").octet(4).long(0);
        client.call(1, (50, 10), exclusive, &[(50, 11)]).unwrap();
        client.consume(1, "q", "c", [false; 4]).unwrap();
        client.publish(1, "q", b"m");
        client.pump_until(|incoming| incoming.len() == 1);
        assert_eq!(broker.purge(&queue).unwrap(), 0);
        match is_dropped {
            true => drop(client),
            false => {
                client.server.handle_disconnect();
                client.pump();
                assert!(client.is_over);
                assert_eq!(
                    client.server.close_reason(),
                    Some(&CloseReason::Disconnected)
                );
            }
        }
        let got = broker
            .consumer::<leveret::Bytes>(&queue)
            .unwrap()
            .recv()
            .unwrap();
        assert!(got.info().redelivered());
        got.ack().unwrap();
        assert!(
            broker
                .purge(leveret::Queue::new("mine"))
                .unwrap_err()
                .is_not_found()
        );
    }
}

#[test]
fn the_end_of_what_a_connection_needs_closes_it_with_320() {
    let text = |end: &dyn Fn(Broker)| {
        let broker = Broker::new();
        broker.create_vhost("v").unwrap();
        let user = leveret::User::new("ada").password("ada");
        broker.add_user(user).unwrap();
        let all = leveret::Permissions::new(".*", ".*", ".*");
        broker.set_permissions("v", "ada", &all).unwrap();
        let mut client = Client::new(&broker, ServerConfig::new());
        client.log_in("v", "ada", "ada", 0).unwrap();
        end(broker);
        let closed = client.await_reply(0, &[]).unwrap_err();
        assert_eq!((closed.of_connection, closed.reply_code), (true, 320));
        assert!(client.is_over);
        closed.reply_text
    };
    let deleted = text(&|broker| broker.delete_vhost("v").unwrap());
    assert_eq!(deleted, "CONNECTION_FORCED - vhost 'v' is deleted");
    let deleted = text(&|broker| broker.delete_user("ada").unwrap());
    assert_eq!(deleted, "CONNECTION_FORCED - user 'ada' is deleted");
    let shut_down = text(&|broker| drop(broker.shutdown(std::time::Duration::ZERO)));
    assert_eq!(shut_down, "CONNECTION_FORCED - the broker is shut down");
    let dropped = text(&drop);
    assert!(
        dropped.starts_with("CONNECTION_FORCED - the broker has ended"),
        "{dropped}"
    );
}

#[test]
fn a_client_that_was_closed_and_goes_on_with_no_amqp_is_given_up() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.send(&frame(9, 0, b""));
    client.send(&frame(9, 0, b"")); // ignored
    assert!(!client.is_over);
    assert_eq!(client.take_ids(), [(10, 50)]);
    let mut end = frame(1, 0, b"");
    *end.last_mut().unwrap() = 0;
    client.send(&end);
    client.pump();
    assert!(client.is_over && client.incoming.is_empty());
}

#[test]
fn a_queue_that_lets_publishers_wait_is_refused_as_by_rabbitmq() {
    let broker = Broker::new();
    let mut client = client(&broker);
    let arguments = leveret::FieldTable::from([("x-overflow", "block")]);
    let declare = Arguments::new()
        .short(0)
        .text("q")
        .octet(0)
        .table(&arguments);
    let closed = close_by(&mut client, (50, 10), declare);
    assert_eq!((closed.of_connection, closed.reply_code), (false, 406));
    assert!(
        closed.reply_text.contains("invalid_overflow"),
        "{}",
        closed.reply_text
    );
}

#[test]
fn the_program_closes_a_connection_and_the_client_is_told() {
    let broker = Broker::new();
    let mut client = client(&broker);
    client.server.close("maintenance");
    let closed = client.await_reply(0, &[]).unwrap_err();
    assert_eq!(closed.reply_text, "CONNECTION_FORCED - maintenance");
    assert!(client.is_over);
}
