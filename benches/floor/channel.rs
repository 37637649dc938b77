//! AMQP methods, which send bytes: through a [`Channel`] in each thread, with and without confirms.

use leveret::channel::{Multiple, QosScope};
use std::time::Duration;

use leveret::{
    Broker, Channel, Credentials, Properties, Queue,
    channel::{ConfirmOutcome, ConsumeOptions, Event, PublishOptions},
};

use super::{
    group::Group,
    item::{Item, id_of},
    options::Options,
    race::{Job, Tally, race},
    raw,
};

/// A publisher in confirm mode reads its confirms after this number of messages.
const WINDOW: u64 = 64;

pub fn groups(options: &Options) -> Vec<Group> {
    let messages = options.messages;
    vec![
        Group::throughput("channel")
            .row("raw-bytes", None, messages, |n| {
                raw::channel::<Vec<u8>>(n, 1, 1)
            })
            .row("leveret-channel", Some(0.5), messages, |n| amqp(n, false))
            .row("leveret-confirms", Some(0.5), messages, |n| amqp(n, true)),
    ]
}

pub fn amqp(messages: u64, confirms: bool) -> Duration {
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
    consumer
        .basic_qos(0, 256, QosScope::Consumer)
        .expect("an open channel");
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
                    Vec::make(number),
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
                        assert_eq!(confirm.outcome, ConfirmOutcome::Ack);
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
            tally.add(id_of(&delivery.body().expect("bytes")));
            consumer
                .basic_ack(delivery.delivery_tag(), Multiple::No)
                .expect("an open channel");
        }
        tally
    });
    let (time, got) = race(vec![sending], vec![receiving], || {});
    assert_eq!(got, Tally::expected(messages, 1));
    time
}
