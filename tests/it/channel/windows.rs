//! The window of a channel: how many deliveries may be unread.

use leveret::{
    Broker, Channel, MessageTotals, Properties, Queue, Result, TryRecvError,
    channel::{
        AckMode, ChannelOptions, ConsumeOptions, Event, Events, Multiple, PublishOptions, QosScope,
    },
};

use crate::common::{channel_of, connect};

fn publish(channel: &Channel, count: usize) -> Result {
    for number in 0..count {
        let body = number.to_string();
        channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    }
    Ok(())
}

fn with_window(broker: &Broker, window: u32) -> Result<Channel> {
    connect(broker)?.open_channel_with(ChannelOptions::new().window(window))
}

fn ready(channel: &Channel) -> Result<u64> {
    Ok(channel.queue_declare_passive("q")?.message_count)
}

/// The bodies of the deliveries that are there.
fn read(events: &Events, most: usize) -> Vec<String> {
    let mut read = Vec::new();
    events.drain_into(&mut read, most);
    let body = |event| match event {
        Event::Delivery(delivery) => delivery.body().unwrap().as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    read.into_iter().map(body).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_reader_that_stops_costs_its_window_and_other_consumers_get_the_rest() -> Result {
    for auto_ack in [true, false] {
        let broker = Broker::new();
        let (stopped, reading) = (with_window(&broker, 20)?, channel_of(&broker)?);
        stopped.queue_declare(&Queue::new("q"))?;
        let options = match auto_ack {
            true => ConsumeOptions::new().auto_ack(),
            false => ConsumeOptions::new(),
        };
        stopped.basic_consume("q", options.clone())?;
        reading.basic_consume("q", options)?;
        publish(&reading, 1_000)?;
        assert_eq!(read(&reading.events(), usize::MAX).len(), 980);
        assert_eq!(read(&stopped.events(), usize::MAX).len(), 20);
        assert_eq!(ready(&reading)?, 0);
    }
    Ok(())
}

#[test]
fn a_queue_goes_on_when_half_of_the_window_is_read() -> Result {
    for queue in [Queue::new("q"), Queue::quorum("q")] {
        let broker = Broker::new();
        let channel = with_window(&broker, 4)?;
        channel.queue_declare(&queue)?;
        channel.basic_consume("q", ConsumeOptions::new())?;
        publish(&channel, 10)?;
        assert_eq!(ready(&channel)?, 6);
        let events = channel.events();
        assert_eq!(read(&events, 1), ["0"]);
        assert_eq!(ready(&channel)?, 6);
        assert_eq!(read(&events, 1), ["1"]);
        assert_eq!(ready(&channel)?, 4);
        // Settling makes no room, since it is the reader who is slow.
        channel.basic_ack(4, Multiple::Yes)?;
        assert_eq!(ready(&channel)?, 4);
        let mut rest = Vec::new();
        while rest.len() < 8 {
            rest.extend(read(&events, 2));
        }
        assert_eq!(rest, numbers(2..10));
        assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    }
    Ok(())
}

#[test]
fn a_window_and_a_common_limit_hold_together() -> Result {
    let broker = Broker::new();
    let channel = with_window(&broker, 2)?;
    channel.queue_declare(&Queue::new("q"))?;
    channel.basic_qos(0, 3, QosScope::Channel)?;
    channel.basic_consume("q", ConsumeOptions::new())?;
    publish(&channel, 10)?;
    let events = channel.events();
    assert_eq!(ready(&channel)?, 8);
    assert_eq!(read(&events, usize::MAX), ["0", "1"]);
    assert_eq!(ready(&channel)?, 7); // the limit of three unsettled ones
    channel.basic_ack(2, Multiple::Yes)?;
    assert_eq!(ready(&channel)?, 6); // the window of two unread ones
    let mut seen = 2;
    while seen < 10 {
        let new = read(&events, usize::MAX);
        assert_eq!(new, numbers(seen..seen + new.len()));
        seen += new.len();
        channel.basic_ack(0, Multiple::Yes)?;
    }
    Ok(())
}

#[test]
fn each_message_is_ready_or_unsettled_or_acknowledged_behind_a_window() -> Result {
    let broker = Broker::new();
    let channel = with_window(&broker, 3)?;
    channel.queue_declare(&Queue::new("q"))?;
    channel.basic_consume("q", ConsumeOptions::new().tag("c"))?;
    publish(&channel, 20)?;
    let count = |what: fn(&leveret::QueueSnapshot) -> MessageTotals| -> Result<u64> {
        let snapshot = broker.snapshot()?;
        let queue = &snapshot.vhosts[0].queues[0];
        assert_eq!(queue.accounted_for(), queue.taken_in);
        Ok(what(queue).messages)
    };
    let events = channel.events();
    for read in 1..=20 {
        match events.try_recv()? {
            Event::Delivery(delivery) => {
                channel.basic_ack(delivery.delivery_tag(), Multiple::No)?
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(count(|queue| queue.acked)?, read);
        assert!(count(|queue| queue.unsettled)? <= 3);
        if read == 10 {
            // The window returns with the channel's end, each message to its place.
            break;
        }
    }
    channel.close()?;
    assert_eq!(count(|queue| queue.unsettled)?, 0);
    let other = channel_of(&broker)?;
    let left: Vec<_> = std::iter::from_fn(|| other.basic_get("q", AckMode::Auto).unwrap())
        .map(|delivery| delivery.body().unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, numbers(10..20));
    Ok(())
}

#[test]
fn one_window_covers_all_consumers_of_a_channel_and_a_cancel_leaves_none_waiting() -> Result {
    let broker = Broker::new();
    let channel = with_window(&broker, 2)?;
    for name in ["q", "other"] {
        channel.queue_declare(&Queue::new(name))?;
    }
    channel.basic_consume("q", ConsumeOptions::new().auto_ack().tag("c"))?;
    publish(&channel, 5)?;
    channel.basic_consume("other", ConsumeOptions::new().auto_ack())?;
    channel.basic_publish("", "other", "x", Properties::new(), PublishOptions::new())?;
    channel.basic_cancel("c")?;
    let events = channel.events();
    assert_eq!(read(&events, usize::MAX), ["0", "1"]);
    assert_eq!(read(&events, usize::MAX), ["x"]);
    assert_eq!(ready(&channel)?, 3);
    Ok(())
}
