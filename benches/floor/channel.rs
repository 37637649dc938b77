//! AMQP's own calls, which move bytes: through a [`Channel`] in each thread, with and without confirms.

use std::time::Duration;

use crossbeam_channel::unbounded;
use leveret::{
    Broker, Channel, ConsumeOptions, Credentials, Event, Outcome, Properties, PublishOptions, Queue,
};

use super::{
    group::Group,
    options::Options,
    race::{Job, Tally, race},
};

/// The bytes of a message.
const SIZE: usize = 64;

/// A publisher in confirm mode looks for what was confirmed after so many messages.
const WINDOW: u64 = 64;

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    vec![
        Group::throughput("channel")
            .row("raw-bytes", None, messages, raw)
            .row("leveret-channel", None, messages, |n| amqp(n, false))
            .row("leveret-confirms", None, messages, |n| amqp(n, true)),
    ]
}

fn body(id: u64) -> Vec<u8> {
    let mut body = vec![0; SIZE];
    body[..8].copy_from_slice(&id.to_le_bytes());
    body
}

fn id(body: &[u8]) -> u64 {
    let id = body[..8].try_into().expect("eight bytes");
    u64::from_le_bytes(id)
}

fn raw(messages: u64) -> Duration {
    let (sender, receiver) = unbounded::<Vec<u8>>();
    let sending: Job<()> = Box::new(move || {
        for number in 1..=messages {
            sender.send(body(number)).expect("the receiver is there");
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let mut tally = Tally::default();
        for body in receiver {
            tally.add(id(&body));
        }
        tally
    });
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

fn amqp(messages: u64, confirms: bool) -> Duration {
    let broker = Broker::new();
    let open = || -> Channel {
        let connection = broker.connect("/", Credentials::guest());
        let connection = connection.expect("guest is known");
        connection.open_channel().expect("a new connection")
    };
    let (publisher, consumer) = (open(), open());
    consumer
        .queue_declare(&Queue::new("floor"))
        .expect("a new queue");
    consumer.basic_qos(0, 256, false).expect("an open channel");
    consumer
        .basic_consume("floor", ConsumeOptions::new())
        .expect("the queue is there");
    if confirms {
        publisher.confirm_select().expect("an open channel");
    }
    let sending: Job<()> = Box::new(move || {
        let events = publisher.events();
        let mut confirmed = 0;
        for number in 1..=messages {
            publisher
                .basic_publish(
                    "",
                    "floor",
                    body(number),
                    Properties::new(),
                    PublishOptions::new(),
                )
                .expect("the queue is there");
            if !confirms || (number % WINDOW != 0 && number != messages) {
                continue;
            }
            while confirmed < number {
                match events.recv().expect("an open channel") {
                    Event::Confirm(confirm) => {
                        assert_eq!(confirm.outcome, Outcome::Ack);
                        confirmed = confirm.delivery_tag;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
    let receiving: Job<Tally> = Box::new(move || {
        let events = consumer.events();
        let mut tally = Tally::default();
        while tally.messages < messages {
            let Event::Delivery(delivery) = events.recv().expect("an open channel") else {
                panic!("only deliveries are due here");
            };
            tally.add(id(&delivery.body().expect("bytes")));
            consumer
                .basic_ack(delivery.delivery_tag(), false)
                .expect("an open channel");
        }
        tally
    });
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}
