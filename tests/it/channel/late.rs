//! A consumer of a channel that has unread deliveries is served late. Each operation finds the
//! queue as if each message had been delivered at once.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
};

use leveret::{
    Broker, Channel, Credentials, Permissions, Properties, Queue, QueueLimits, Requeue, Result,
    channel::{
        AckMode, ChannelDelivery, ConsumeOptions, Event, IfEmpty, IfUnused, Multiple,
        PublishOptions, QosScope,
    },
};
use proptest::prelude::*;

use crate::common::{Alarm, cases, channel_of};

#[derive(Clone, Debug)]
enum Op {
    Publish(u8),
    /// Reads as many deliveries.
    Read(u8),
    /// Reads up to as many deliveries at once.
    Drain(u8),
    /// Acknowledges all deliveries.
    AckAll,
    /// Acknowledges the delivery at this place among the unsettled ones, read or not.
    Ack(u8),
    AckUpTo(u8),
    /// Gives a delivery back.
    Requeue(u8),
    /// Gives all of them back.
    Recover,
    /// Another channel takes a message.
    Get,
    Count,
    /// The same by a handle of the queue.
    Length,
    /// The test looks whether everything is settled.
    Idle,
    /// The queue gets a limit, which is not reached, and then one that drops what is ready.
    Limit,
    Purge,
    /// Another channel subscribes and closes at once. It may hold one message.
    Visit,
    /// The channel closes, and another one takes its place.
    Close,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (1..6_u8).prop_map(Op::Publish),
        5 => (1..6_u8).prop_map(Op::Read),
        1 => (0..20_u8).prop_map(Op::Drain),
        1 => Just(Op::AckAll),
        12 => any::<u8>().prop_map(Op::Ack),
        2 => any::<u8>().prop_map(Op::AckUpTo),
        2 => any::<u8>().prop_map(Op::Requeue),
        1 => Just(Op::Recover),
        1 => Just(Op::Get),
        1 => Just(Op::Count),
        1 => Just(Op::Length),
        1 => Just(Op::Idle),
        1 => Just(Op::Limit),
        1 => Just(Op::Purge),
        1 => Just(Op::Visit),
        1 => Just(Op::Close),
    ];
    proptest::collection::vec(op, 0..80)
}

/// The number of a message, and whether it was delivered before.
type Message = (u32, bool);

/// A queue with one consumer, which gets each message as soon as its credit allows.
#[derive(Default)]
struct Model {
    prefetch: usize,
    published: u32,
    ready: VecDeque<Message>,
    unsettled: BTreeMap<u64, Message>,
    unread: VecDeque<(u64, Message)>,
    last_tag: u64,
}

impl Model {
    fn deliver(&mut self) {
        while self.unsettled.len() < self.prefetch
            && let Some(message) = self.ready.pop_front()
        {
            self.last_tag += 1;
            self.unsettled.insert(self.last_tag, message);
            self.unread.push_back((self.last_tag, message));
        }
    }

    fn tag_at(&self, place: u8) -> Option<u64> {
        let place = usize::from(place) % self.unsettled.len().max(1);
        self.unsettled.keys().nth(place).copied()
    }

    fn give_back(&mut self, messages: impl IntoIterator<Item = Message>) {
        let messages = messages.into_iter();
        self.ready
            .extend(messages.map(|(number, _)| (number, true)));
        self.ready.make_contiguous().sort_unstable();
    }
}

fn publish(channel: &Channel, number: u32, priority: u8) -> Result {
    let properties = Properties::new().priority(priority);
    let body = number.to_string();
    channel.basic_publish("", "q", body, properties, PublishOptions::new())?;
    Ok(())
}

fn message(delivery: &ChannelDelivery) -> Message {
    let body = delivery.body().unwrap();
    (
        body.as_str().unwrap().parse().unwrap(),
        delivery.redelivered(),
    )
}

fn tagged(event: Event) -> (u64, Message) {
    match event {
        Event::Delivery(delivery) => (delivery.delivery_tag(), message(&delivery)),
        other => panic!("{other:?}"),
    }
}

fn consuming(broker: &Broker, queue: &Queue, prefetch: u16) -> Result<Channel> {
    let channel = channel_of(broker)?;
    channel.queue_declare(queue)?;
    channel.basic_qos(0, prefetch, QosScope::Consumer)?;
    channel.basic_consume("q", ConsumeOptions::new())?;
    Ok(channel)
}

#[cfg(feature = "testing")]
fn looked_at() -> leveret::testing::TestBroker {
    leveret::testing::TestBroker::new()
}

#[cfg(feature = "testing")]
fn is_as_settled_as(broker: &leveret::testing::TestBroker, expected: bool) -> bool {
    broker.settled() == expected
}

#[cfg(not(feature = "testing"))]
fn looked_at() -> Broker {
    Broker::new()
}

#[cfg(not(feature = "testing"))]
fn is_as_settled_as(_: &Broker, _: bool) -> bool {
    true
}

fn check(ops: Vec<Op>, prefetch: u16) -> Result<(), TestCaseError> {
    let broker = looked_at();
    let open = || consuming(&broker, &Queue::new("q"), prefetch).unwrap();
    let (mut theirs, ours) = (open(), channel_of(&broker).unwrap());
    let mut events = theirs.events();
    let mut model = Model {
        prefetch: match prefetch {
            0 => usize::MAX,
            _ => prefetch.into(),
        },
        ..Model::default()
    };
    for op in ops {
        match op {
            Op::Publish(count) => {
                for _ in 0..count {
                    publish(&ours, model.published, 0).unwrap();
                    model.ready.push_back((model.published, false));
                    model.published += 1;
                }
            }
            Op::Read(count) => {
                for _ in 0..count {
                    let read = events.try_recv().ok().map(tagged);
                    prop_assert_eq!(read, model.unread.pop_front());
                }
            }
            Op::Drain(most) => {
                let mut read = Vec::new();
                events.drain_into(&mut read, most.into());
                let there = usize::from(most).min(model.unread.len());
                let read: Vec<_> = read.into_iter().map(tagged).collect();
                prop_assert_eq!(read, model.unread.drain(..there).collect::<Vec<_>>());
            }
            Op::AckAll => {
                theirs.basic_ack(0, Multiple::Yes).unwrap();
                model.unsettled.clear();
            }
            Op::Ack(place) => {
                if let Some(tag) = model.tag_at(place) {
                    theirs.basic_ack(tag, Multiple::No).unwrap();
                    model.unsettled.remove(&tag);
                }
            }
            Op::AckUpTo(place) => {
                if let Some(tag) = model.tag_at(place) {
                    theirs.basic_ack(tag, Multiple::Yes).unwrap();
                    model.unsettled = model.unsettled.split_off(&(tag + 1));
                }
            }
            Op::Requeue(place) => {
                if let Some(tag) = model.tag_at(place) {
                    theirs.basic_nack(tag, Multiple::No, Requeue::Yes).unwrap();
                    let message = model.unsettled.remove(&tag);
                    model.give_back(message);
                }
            }
            Op::Recover => {
                theirs.basic_recover(Requeue::Yes).unwrap();
                let all = std::mem::take(&mut model.unsettled);
                model.give_back(all.into_values());
            }
            Op::Get => {
                let got = ours.basic_get("q", AckMode::Auto).unwrap();
                let got = got.as_ref().map(message);
                prop_assert_eq!(got, model.ready.pop_front());
            }
            Op::Count => {
                let counts = ours.queue_declare_passive("q").unwrap();
                prop_assert_eq!(counts.message_count as usize, model.ready.len());
            }
            Op::Length => {
                let handle = broker
                    .simple_queue::<String>(&Queue::existing("q"))
                    .unwrap();
                prop_assert_eq!(handle.len().unwrap(), model.ready.len());
            }
            Op::Idle => {
                let is_settled = model.unsettled.is_empty();
                prop_assert!(is_as_settled_as(&broker, is_settled));
            }
            Op::Limit => {
                broker
                    .set_queue_limits("q", QueueLimits::new().max_length(0))
                    .unwrap();
                model.ready.clear();
                broker.set_queue_limits("q", QueueLimits::new()).unwrap();
            }
            Op::Purge => {
                let purged = ours.queue_purge("q").unwrap();
                prop_assert_eq!(purged as usize, model.ready.len());
                model.ready.clear();
            }
            Op::Visit => {
                let visitor = channel_of(&broker).unwrap();
                visitor.basic_qos(0, 1, QosScope::Consumer).unwrap();
                visitor.basic_consume("q", ConsumeOptions::new()).unwrap();
                let got = visitor.events().try_recv().ok().map(tagged);
                prop_assert_eq!(got.map(|(_, it)| it), model.ready.pop_front());
                visitor.close().unwrap();
                model.give_back(got.map(|(_, it)| it));
            }
            Op::Close => {
                theirs.close().unwrap();
                let all = std::mem::take(&mut model.unsettled);
                model.give_back(all.into_values());
                theirs = open();
                events = theirs.events();
                model.unread.clear();
                model.last_tag = 0;
            }
        }
        model.deliver();
    }
    let rest: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(tagged)
        .collect();
    prop_assert_eq!(rest, Vec::from(model.unread));
    let deleted = theirs.queue_delete("q", IfUnused::No, IfEmpty::No).unwrap();
    prop_assert_eq!(deleted as usize, model.ready.len());
    Ok(())
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn every_operation_finds_the_queue_as_if_each_message_had_been_delivered_at_once(
        ops in ops(),
        prefetch in prop_oneof![Just(0), 1..4_u16, 7..20_u16],
    ) {
        check(ops, prefetch)?;
    }
}

/// The numbers of the deliveries that are there.
fn read_all(channel: &Channel) -> Vec<u32> {
    let events = channel.events();
    let read = std::iter::from_fn(|| events.try_recv().ok());
    read.map(|event| tagged(event).1.0).collect()
}

#[test]
fn a_consumer_gets_the_messages_it_has_a_right_to_before_another_one_subscribes() -> Result {
    let broker = Broker::new();
    let (theirs, other) = (
        consuming(&broker, &Queue::new("q"), 8)?,
        channel_of(&broker)?,
    );
    for number in 0..20 {
        publish(&other, number, 0)?;
    }
    for tag in 1..=3 {
        theirs.basic_ack(tag, Multiple::No)?;
    }
    other.basic_consume("q", ConsumeOptions::new())?;
    assert_eq!(read_all(&other), (11..20).collect::<Vec<_>>());
    // From now on it gets one at once for each that it acknowledges, in turn with the other.
    publish(&other, 20, 0)?;
    assert_eq!(read_all(&other), [20]);
    theirs.basic_ack(4, Multiple::No)?;
    publish(&other, 21, 0)?;
    publish(&other, 22, 0)?;
    assert_eq!(read_all(&other).len(), 1);
    assert_eq!(read_all(&theirs).len(), 12);
    Ok(())
}

#[test]
fn a_message_of_higher_priority_does_not_overtake_one_that_the_consumer_has_a_right_to() -> Result {
    let broker = Broker::new();
    let theirs = consuming(&broker, &Queue::new("q").max_priority(9), 4)?;
    let ours = channel_of(&broker)?;
    for number in 0..6 {
        publish(&ours, number, 0)?;
    }
    theirs.basic_ack(1, Multiple::No)?;
    publish(&ours, 6, 9)?;
    for tag in 2..=3 {
        theirs.basic_ack(tag, Multiple::No)?;
    }
    assert_eq!(read_all(&theirs), [0, 1, 2, 3, 4, 6, 5]);
    Ok(())
}

#[test]
fn a_limit_of_the_whole_channel_counts_the_messages_that_are_due() -> Result {
    let broker = Broker::new();
    let theirs = consuming(&broker, &Queue::new("q"), 0)?;
    let ours = channel_of(&broker)?;
    for number in 0..10 {
        publish(&ours, number, 0)?;
    }
    theirs.basic_qos(0, 3, QosScope::Channel)?;
    assert_eq!(read_all(&theirs), (0..10).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_virtual_host_that_is_deleted_delivers_what_is_due_before_it_cancels() -> Result {
    let broker = Broker::new();
    broker.create_vhost("other")?;
    let guest = || Credentials::guest();
    broker.set_permissions("other", "guest", &Permissions::new(".*", ".*", ".*"))?;
    let theirs = broker.connect("other", guest())?.open_channel()?;
    theirs.queue_declare(&Queue::new("q"))?;
    theirs.basic_consume("q", ConsumeOptions::new())?;
    let ours = broker.connect("other", guest())?.open_channel()?;
    for number in 0..5 {
        publish(&ours, number, 0)?;
    }
    broker.delete_vhost("other")?;
    let events = theirs.events();
    for expected in 0..5 {
        let event = events.try_recv().expect("it was due");
        assert_eq!(tagged(event).1, (expected, false));
    }
    Ok(())
}

#[test]
fn a_reader_that_is_not_polled_leaves_the_later_messages_to_another() -> Result {
    let broker = Broker::new();
    let theirs = consuming(&broker, &Queue::new("q"), 0)?;
    let ours = channel_of(&broker)?;
    let (kept, reading) = (theirs.events(), theirs.events());
    let (first, second) = (Alarm::new(), Alarm::new());
    let (mut kept, mut waiting) = (pin!(kept.recv_async()), pin!(reading.recv_async()));
    assert!(first.poll(kept.as_mut()).is_pending());
    assert!(second.poll(waiting.as_mut()).is_pending());
    publish(&ours, 0, 0)?;
    assert!(first.has_rung() && !second.has_rung());
    publish(&ours, 1, 0)?;
    assert!(second.has_rung());
    Ok(())
}

#[test]
fn a_confirm_comes_after_the_delivery_of_a_message_that_was_published_before() -> Result {
    let broker = Broker::new();
    for consumes_first in [true, false] {
        let channel = channel_of(&broker)?;
        channel.queue_declare(&Queue::new("q"))?;
        if consumes_first {
            channel.basic_consume("q", ConsumeOptions::new())?;
        }
        channel.confirm_select()?;
        if !consumes_first {
            channel.basic_consume("q", ConsumeOptions::new())?;
        }
        for number in 0..3 {
            publish(&channel, number, 0)?;
        }
        let mut events: Vec<Event> = Vec::new();
        channel.events().drain_into(&mut events, 100);
        let is_delivery = |event: &Event| matches!(event, Event::Delivery(_));
        let order: Vec<bool> = events.iter().map(is_delivery).collect();
        assert_eq!(order, [true, false, true, false, true, false]);
        channel.basic_ack(0, Multiple::Yes)?;
    }
    Ok(())
}

#[test]
fn a_dead_letter_that_the_consumer_has_a_right_to_is_not_shown_as_delivered_before() -> Result {
    let broker = Broker::new();
    let theirs = consuming(&broker, &Queue::new("q"), 0)?;
    let ours = channel_of(&broker)?;
    let source = Queue::quorum("source")
        .dead_letter_exchange("")
        .dead_letter_routing_key("q");
    ours.queue_declare(&source)?;
    publish(&ours, 0, 0)?;
    for number in 1..=2 {
        let (body, properties) = (number.to_string(), Properties::new());
        ours.basic_publish("", "source", body, properties, PublishOptions::new())?;
        let got = ours
            .basic_get("source", AckMode::Manual)?
            .expect("one is ready");
        ours.basic_reject(got.delivery_tag(), Requeue::No)?;
    }
    let events = theirs.events();
    let read: Vec<Message> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| tagged(event).1)
        .collect();
    assert_eq!(read, [(0, false), (1, false), (2, false)]);
    Ok(())
}
