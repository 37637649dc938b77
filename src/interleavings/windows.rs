//! The window of a channel, and the stream of a connection, against publishing and closing.

use super::*;
use crate::{
    model::error::CancelReason,
    session::{
        channel::{AckMode, ChannelOptions, ConsumeOptions, Event, Multiple},
        receive::RecvError,
    },
};

fn number_of(event: &Event) -> u8 {
    match event {
        Event::Delivery(delivery) => delivery.body().unwrap()[0],
        other => panic!("{other:?}"),
    }
}

fn open(broker: &Broker, options: ChannelOptions) -> Channel {
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    connection.open_channel_with(options).unwrap()
}

/// A channel that consumes the queue without acknowledgements, and has room for one delivery.
fn consuming_behind_a_window(broker: &Broker) -> Channel {
    let channel = open(broker, ChannelOptions::new().window(1));
    channel.queue_declare(&queue()).unwrap();
    let options = ConsumeOptions::new().auto_ack();
    channel.basic_consume("q", options).unwrap();
    channel
}

#[test]
fn a_reader_behind_a_window_gets_every_message_in_order() {
    explore(|| {
        let broker = Broker::new();
        let ours = channel(&broker);
        let theirs = consuming_behind_a_window(&broker);
        let events = theirs.events();
        let reading = thread::spawn(move || {
            let event = |_| number_of(&events.recv().unwrap());
            (0..4).map(event).collect::<Vec<u8>>()
        });
        publish_bytes(&ours, "q", 0..4);
        assert_eq!(reading.join().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn two_readers_behind_a_window_and_a_close_lose_no_message() {
    explore(|| {
        let broker = Broker::new();
        let ours = channel(&broker);
        let theirs = open(&broker, ChannelOptions::new().window(2));
        theirs.queue_declare(&queue()).unwrap();
        theirs.basic_consume("q", ConsumeOptions::new()).unwrap();
        let reading = [(); 2].map(|()| {
            let (theirs, events) = (theirs.clone(), theirs.events());
            thread::spawn(move || {
                let mut acked = Vec::new();
                let mut batch = Vec::new();
                if events.drain_into(&mut batch, 2) == 0 {
                    batch.extend(events.recv());
                }
                for event in batch {
                    let Event::Delivery(delivery) = &event else {
                        panic!("{event:?}");
                    };
                    if theirs
                        .basic_ack(delivery.delivery_tag(), Multiple::No)
                        .is_ok()
                    {
                        acked.push(u32::from(number_of(&event)));
                    }
                }
                acked
            })
        });
        publish_bytes(&ours, "q", 0..4);
        theirs.close().unwrap();
        let mut all: Vec<u32> = join(reading).into_iter().flatten().collect();
        let left = std::iter::from_fn(|| ours.basic_get("q", AckMode::Auto).unwrap());
        all.extend(left.map(|delivery| u32::from(delivery.body().unwrap()[0])));
        assert_eq!(sorted(all), [0, 1, 2, 3]);
    });
}

#[test]
fn the_reader_of_a_connection_gets_the_events_of_its_channels_and_its_end() {
    explore(|| {
        let broker = Broker::new();
        let ours = channel(&broker);
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let channels = ["a", "b"].map(|name| {
            let options = ChannelOptions::new().events_to_connection().window(1);
            let channel = connection.open_channel_with(options).unwrap();
            channel.queue_declare(&Queue::new(name)).unwrap();
            let options = ConsumeOptions::new().auto_ack();
            channel.basic_consume(name, options).unwrap();
            channel
        });
        let events = connection.events();
        let reading = thread::spawn(move || {
            let mut read = Vec::new();
            loop {
                match events.recv() {
                    Ok((number, event)) => read.push((number, number_of(&event))),
                    Err(RecvError::Cancelled(reason)) => return (read, reason),
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let publishing = thread::spawn({
            let ours = ours.clone();
            move || publish_bytes(&ours, "b", 0..2)
        });
        publish_bytes(&ours, "a", 0..2);
        publishing.join().unwrap();
        connection.close().unwrap();
        let (mut read, reason) = reading.join().unwrap();
        assert_eq!(reason, CancelReason::ConnectionClosed);
        for (channel, name) in (1..).zip(["a", "b"]) {
            // Those of one channel come in order, without a gap. The rest is in the queue.
            let own = read.extract_if(.., |(number, _)| *number == channel);
            let mut own: Vec<u8> = own.map(|(_, body)| body).collect();
            let left = std::iter::from_fn(|| ours.basic_get(name, AckMode::Auto).unwrap());
            own.extend(left.map(|delivery| delivery.body().unwrap()[0]));
            assert_eq!(own, [0, 1]);
        }
        drop(channels);
    });
}

#[test]
fn a_polled_task_behind_a_window_is_woken_for_every_message() {
    explore(|| {
        let broker = Broker::new();
        let ours = channel(&broker);
        let theirs = consuming_behind_a_window(&broker);
        let publishing = thread::spawn(move || publish_bytes(&ours, "q", 0..3));
        let events = theirs.events();
        for expected in 0..3 {
            let event = block_on(std::future::poll_fn(|context| events.poll_recv(context)));
            assert_eq!(number_of(&event.unwrap()), expected);
        }
        publishing.join().unwrap();
    });
}
