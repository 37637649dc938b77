//! Dialogues that a RabbitMQ was recorded in: the same octets get the same octets in answer.
//!
//! `record.py` records them. A line is a frame in hexadecimal, behind `>` if the client sends it,
//! and behind `<` if the broker does.

use std::task::{Context, Poll, Waker};

use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};

use crate::wire::{Arguments, method};

const DIALOGUES: [(&str, &str); 5] = [
    (
        "a return comes before its confirm",
        include_str!("a_return_comes_before_its_confirm.txt"),
    ),
    (
        "an error closes the channel and it opens again",
        include_str!("an_error_closes_the_channel_and_it_opens_again.txt"),
    ),
    (
        "cancel-ok comes after the last delivery",
        include_str!("cancel_ok_comes_after_the_last_delivery.txt"),
    ),
    (
        "gets count what is left",
        include_str!("gets_count_what_is_left.txt"),
    ),
    (
        "returns come before commit-ok",
        include_str!("returns_come_before_commit_ok.txt"),
    ),
];

/// Sends octets, and returns the answer in hexadecimal, a frame a line.
fn answers(server: &mut ServerConnection, octets: &[u8]) -> Vec<String> {
    let mut context = Context::from_waker(Waker::noop());
    let (mut answer, mut rest) = (Vec::new(), octets);
    loop {
        let taken = server.receive(rest);
        rest = &rest[taken..];
        while let Poll::Ready(more) = server.poll_output(&mut context, &mut answer) {
            assert!(more.is_some(), "{:?}", server.close_reason());
        }
        if rest.is_empty() {
            break;
        }
    }
    let (mut frames, mut rest) = (Vec::new(), &answer[..]);
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[3..7].try_into().unwrap()) as usize;
        let (frame, behind) = rest.split_at(size + 8);
        frames.push(frame.iter().map(|octet| format!("{octet:02x}")).collect());
        rest = behind;
    }
    frames
}

/// A connection of guest with an open channel 1.
fn open(broker: &Broker) -> ServerConnection {
    let mut server = ServerConnection::new(broker, ServerConfig::new());
    let start_ok = Arguments::new()
        .long(0)
        .text("PLAIN")
        .long_string(b"\0guest\0guest")
        .text("en_US");
    let octets = [
        b"AMQP\x00\x00\x09\x01".to_vec(),
        method(0, (10, 11), start_ok),
        method(0, (10, 31), Arguments::new().short(9).long(4096).short(0)),
        method(0, (10, 40), Arguments::new().text("/").text("").octet(0)),
        method(1, (20, 10), Arguments::new().text("")),
    ];
    assert_eq!(answers(&mut server, &octets.concat()).len(), 4);
    server
}

fn octets(line: &str) -> Vec<u8> {
    let pairs = line.as_bytes().chunks(2);
    let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(octet).collect()
}

#[test]
fn the_octets_of_recorded_dialogues_are_those_of_rabbitmq() {
    for (name, dialogue) in DIALOGUES {
        let broker = Broker::new();
        let mut server = open(&broker);
        let mut lines = dialogue.lines().peekable();
        while lines.peek().is_some() {
            let mut sent = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('>')) {
                sent.extend(octets(line.trim_start_matches("> ")));
            }
            let mut expected = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('<')) {
                expected.push(line.trim_start_matches("< ").to_owned());
            }
            assert!(!sent.is_empty() && !expected.is_empty(), "{name}");
            assert_eq!(answers(&mut server, &sent), expected, "{name}");
        }
    }
}
