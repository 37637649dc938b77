//! The credit of a consumer of a channel. While its client has unread deliveries, several
//! settlements are told to the queue together.

use std::{thread, time::Duration};

use leveret::{
    Broker, Channel, Credentials, Properties, Queue, TryRecvError,
    channel::{ConsumeOptions, Event, Events, Multiple, PublishOptions, QosScope},
};

const PREFETCH: u16 = 8;

/// A channel whose consumer has eight of this many messages.
fn consuming(broker: &Broker, messages: u8) -> leveret::Result<Channel> {
    let connection = broker.connect("/", Credentials::guest())?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q"))?;
    for number in 1..=messages {
        let (properties, options) = (Properties::new(), PublishOptions::new());
        channel.basic_publish("", "q", [number], properties, options)?;
    }
    channel.basic_qos(0, PREFETCH, QosScope::Consumer)?;
    channel.basic_consume("q", ConsumeOptions::new())?;
    Ok(channel)
}

/// The tags of the deliveries that are there.
fn read(events: &Events, most: usize) -> Vec<u64> {
    let mut tags = Vec::new();
    while tags.len() < most {
        match events.try_recv() {
            Ok(Event::Delivery(delivery)) => tags.push(delivery.delivery_tag()),
            Ok(other) => panic!("{other:?}"),
            Err(TryRecvError::Empty) => break,
            Err(error) => panic!("{error}"),
        }
    }
    tags
}

#[test]
fn a_client_that_has_read_everything_gets_a_message_for_each_that_it_acknowledges()
-> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 12)?;
    let events = channel.events();
    assert_eq!(read(&events, 100), (1..=8).collect::<Vec<_>>());
    for tag in 1..=4 {
        channel.basic_ack(tag, Multiple::No)?;
        assert_eq!(read(&events, 100), [tag + 8]);
    }
    channel.basic_ack(12, Multiple::Yes)?;
    assert_eq!(channel.queue_declare_passive("q")?.message_count, 0);
    Ok(())
}

#[test]
fn a_client_that_acknowledges_before_it_has_read_everything_gets_the_rest_in_order()
-> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 100)?;
    let (events, mut last) = (channel.events(), 0);
    while last < 100 {
        let tags = read(&events, 3);
        assert!(!tags.is_empty(), "{last} were read");
        for tag in tags {
            last += 1;
            assert_eq!(tag, last);
            channel.basic_ack(tag, Multiple::No)?;
        }
    }
    assert!(read(&events, 100).is_empty());
    Ok(())
}

#[test]
fn a_batch_of_events_brings_the_messages_that_were_acknowledged_for() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 10)?;
    let (events, mut taken) = (channel.events(), Vec::new());
    assert_eq!(events.drain_into(&mut taken, 100), 8);
    channel.basic_ack(1, Multiple::No)?;
    assert_eq!(events.drain_into(&mut taken, 100), 1);
    Ok(())
}

#[test]
fn a_reader_that_waits_is_woken_by_an_acknowledgement_of_another_thread() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 9)?;
    let events = channel.events();
    assert_eq!(read(&events, 100).len(), 8);
    let reading = thread::spawn(move || events.recv_timeout(Duration::from_secs(60)));
    channel.basic_ack(3, Multiple::No)?;
    assert!(matches!(reading.join(), Ok(Ok(Event::Delivery(_)))));
    Ok(())
}

#[test]
fn what_is_acknowledged_while_deliveries_are_unread_counts_at_once() -> leveret::Result<()> {
    let broker = Broker::new();
    let channel = consuming(&broker, 20)?;
    let events = channel.events();
    assert_eq!(read(&events, 1), [1]);
    channel.basic_ack(1, Multiple::No)?;
    // The ninth has left the ready messages.
    assert_eq!(channel.queue_declare_passive("q")?.message_count, 11);
    assert_eq!(channel.queue_purge("q")?, 11);
    assert_eq!(read(&events, 100), (2..=9).collect::<Vec<_>>());
    Ok(())
}
