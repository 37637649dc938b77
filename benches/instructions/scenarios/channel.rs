//! AMQP methods on a channel: gets, and deliveries to a consumer.

use leveret::{
    Broker, Channel, Credentials, Properties, Queue,
    channel::{AckMode, ConsumeOptions, Event, Events, Multiple, PublishOptions, QosScope},
};

use super::CYCLE;
use crate::item::{Item, id_of};

const QUEUE: &str = "instructions";

/// The prefetch at which the queue waits for nearly every acknowledgement.
const PREFETCH: u16 = 2;

fn open() -> (Broker, Channel) {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest());
    let connection = connection.expect("guest is known");
    let channel = connection.open_channel().expect("a new connection");
    channel
        .queue_declare(&Queue::new(QUEUE))
        .expect("a new queue");
    (broker, channel)
}

pub fn run(cycles: u64) {
    let (_broker, channel) = open();
    for _ in 0..cycles {
        for id in 0..CYCLE {
            basic_publish(&channel, id);
        }
        for id in 0..CYCLE {
            let tag = basic_get(&channel, id);
            basic_ack(&channel, tag).expect("an open channel");
        }
    }
}

/// Each message is delivered by its publish.
pub fn run_with_consumer(cycles: u64) {
    consume(cycles, 0);
}

/// Each message is delivered by an acknowledgement, but for the first ones of a cycle.
pub fn run_with_prefetch(cycles: u64) {
    consume(cycles, PREFETCH);
}

fn consume(cycles: u64, prefetch: u16) {
    let (_broker, channel) = open();
    channel
        .basic_qos(0, prefetch, QosScope::Consumer)
        .expect("an open channel");
    channel
        .basic_consume(QUEUE, ConsumeOptions::new())
        .expect("the queue is there");
    let events = channel.events();
    for _ in 0..cycles {
        for id in 0..CYCLE {
            basic_publish(&channel, id);
        }
        for id in 0..CYCLE {
            let tag = recv(&events, id);
            basic_ack(&channel, tag).expect("an open channel");
        }
    }
}

#[inline(never)]
fn basic_publish(channel: &Channel, id: u64) {
    let (body, properties) = (Vec::make(id), Properties::new());
    channel
        .basic_publish("", QUEUE, body, properties, PublishOptions::new())
        .expect("the queue is there");
}

#[inline(never)]
fn basic_get(channel: &Channel, id: u64) -> u64 {
    let got = channel.basic_get(QUEUE, AckMode::Manual);
    let delivery = got.expect("the queue is there").expect("a message");
    assert_eq!(id_of(&delivery.body().expect("bytes")), id);
    delivery.delivery_tag()
}

#[inline(never)]
fn recv(events: &Events, id: u64) -> u64 {
    let Event::Delivery(delivery) = events.recv().expect("an open channel") else {
        panic!("only deliveries are due here");
    };
    assert_eq!(id_of(&delivery.body().expect("bytes")), id);
    delivery.delivery_tag()
}

#[inline(never)]
fn basic_ack(channel: &Channel, tag: u64) -> leveret::Result {
    channel.basic_ack(tag, Multiple::No)
}
