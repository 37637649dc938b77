//! Channels: their unsettled deliveries and their events, against all other operations.

use super::*;
use crate::session::channel::Multiple;
use crate::{
    engine::vhost::Published,
    model::error::Error,
    session::{
        channel::{AckMode, ConsumeOptions, Event, Events, IfEmpty, IfUnused, QosScope},
        receive::RecvError,
    },
};

/// Takes the ready messages. Returns their numbers and redelivered flags, in order.
fn ready(channel: &Channel, queue: &str) -> Vec<(u8, bool)> {
    std::iter::from_fn(|| channel.basic_get(queue, AckMode::Auto).unwrap())
        .map(|delivery| (delivery.body().unwrap()[0], delivery.redelivered()))
        .collect()
}

#[test]
fn closing_a_channel_against_publishing_and_acking_settles_each_message_once() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        theirs.basic_consume("q", ConsumeOptions::new()).unwrap();
        let events = theirs.events();
        let reading = thread::spawn({
            let theirs = theirs.clone();
            move || {
                let mut acked = Vec::new();
                loop {
                    match events.recv() {
                        Ok(Event::Delivery(delivery)) => {
                            match theirs.basic_ack(delivery.delivery_tag(), Multiple::No) {
                                Ok(()) => acked.push(delivery.body().unwrap()[0]),
                                Err(error) => assert_eq!(error, Error::ChannelClosed),
                            }
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(RecvError::Cancelled(_)) => return acked,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        });
        let publishing = thread::spawn({
            let ours = ours.clone();
            move || publish_bytes(&ours, "q", 0..3)
        });
        theirs.close().unwrap();
        let mut all = reading.join().unwrap();
        publishing.join().unwrap();
        let left: Vec<u8> = ready(&ours, "q").iter().map(|(id, _)| *id).collect();
        assert!(left.is_sorted(), "{left:?}");
        all.extend(left);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    });
}

/// Reads and acknowledges messages of the queue `q`, with a prefetch that holds it up.
fn read_and_acknowledge(theirs: &Channel, messages: u8) -> JoinHandle<Vec<u8>> {
    theirs.queue_declare(&queue()).unwrap();
    theirs.basic_qos(0, 8, QosScope::Consumer).unwrap();
    theirs.basic_consume("q", ConsumeOptions::new()).unwrap();
    let theirs = theirs.clone();
    thread::spawn(move || {
        let events = theirs.events();
        let read = |_| match events.recv().unwrap() {
            Event::Delivery(delivery) => {
                theirs
                    .basic_ack(delivery.delivery_tag(), Multiple::No)
                    .unwrap();
                delivery.body().unwrap()[0]
            }
            other => panic!("{other:?}"),
        };
        (0..messages).map(read).collect()
    })
}

#[test]
fn a_consumer_out_of_credit_against_publishing_gets_every_message_in_order() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        publish_bytes(&ours, "q", 0..10);
        let reading = read_and_acknowledge(&theirs, 12);
        publish_bytes(&ours, "q", 10..12);
        assert_eq!(reading.join().unwrap(), (0..12).collect::<Vec<u8>>());
        assert_eq!(ready(&ours, "q"), []);
    });
}

#[test]
fn acknowledgements_of_one_thread_bring_messages_to_the_reader_of_another() {
    explore(|| {
        let broker = Broker::new();
        let theirs = channel(&broker);
        theirs.queue_declare(&queue()).unwrap();
        publish_bytes(&theirs, "q", 0..11);
        theirs.basic_qos(0, 8, QosScope::Consumer).unwrap();
        theirs.basic_consume("q", ConsumeOptions::new()).unwrap();
        let events = theirs.events();
        let reading = thread::spawn(move || {
            let tag = |_| match events.recv().unwrap() {
                Event::Delivery(delivery) => delivery.delivery_tag(),
                other => panic!("{other:?}"),
            };
            (0..11).map(tag).collect::<Vec<u64>>()
        });
        for tag in 1..=3 {
            theirs.basic_ack(tag, Multiple::No).unwrap();
        }
        assert_eq!(reading.join().unwrap(), (1..=11).collect::<Vec<u64>>());
    });
}

#[test]
fn an_acknowledgement_brings_a_message_to_the_second_of_two_readers() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        theirs.basic_qos(0, 8, QosScope::Consumer).unwrap();
        theirs.basic_consume("q", ConsumeOptions::new()).unwrap();
        publish_bytes(&ours, "q", 0..7);
        let mut taken: Vec<Event> = Vec::new();
        assert_eq!(theirs.events().drain_into(&mut taken, 7), 7);
        let read = |events: Events| match events.recv().unwrap() {
            Event::Delivery(delivery) => delivery.delivery_tag(),
            other => panic!("{other:?}"),
        };
        let readers = [theirs.events(), theirs.events()];
        let readers = readers.map(|events| thread::spawn(move || read(events)));
        publish_bytes(&ours, "q", 7..9);
        theirs.basic_ack(1, Multiple::No).unwrap();
        let mut tags = readers.map(|reader| reader.join().unwrap());
        tags.sort_unstable();
        assert_eq!(tags, [8, 9]);
    });
}

#[test]
fn a_cancel_on_a_channel_against_publishing_keeps_pushed_deliveries() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        theirs
            .basic_consume("q", ConsumeOptions::new().tag("c"))
            .unwrap();
        let publishing = thread::spawn({
            let ours = ours.clone();
            move || publish_bytes(&ours, "q", 0..3)
        });
        theirs.basic_cancel("c").unwrap();
        publishing.join().unwrap();
        let mut pushed = Vec::new();
        while let Ok(Event::Delivery(delivery)) = theirs.events().try_recv() {
            pushed.push(delivery.body().unwrap()[0]);
        }
        let left = ready(&ours, "q");
        let all: Vec<u8> = pushed
            .iter()
            .copied()
            .chain(left.iter().map(|(id, _)| *id))
            .collect();
        assert_eq!(all, [0, 1, 2]);
        theirs.basic_ack(0, Multiple::Yes).unwrap();
        theirs.close().unwrap();
        assert_eq!(ready(&ours, "q"), []);
    });
}

#[test]
fn a_get_against_the_close_of_its_channel_returns_the_message_or_keeps_it() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        publish_bytes(&ours, "q", 0..2);
        let getting = thread::spawn({
            let theirs = theirs.clone();
            move || drop(theirs.basic_get("q", AckMode::Manual))
        });
        theirs.close().unwrap();
        getting.join().unwrap();
        let left: Vec<u8> = ready(&ours, "q").iter().map(|(id, _)| *id).collect();
        assert_eq!(left, [0, 1]);
    });
}

#[test]
fn consuming_against_the_close_of_the_channel_leaves_no_consumer_behind() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        publish_bytes(&ours, "q", 0..2);
        let consuming = thread::spawn({
            let theirs = theirs.clone();
            move || drop(theirs.basic_consume("q", ConsumeOptions::new()))
        });
        theirs.close().unwrap();
        consuming.join().unwrap();
        assert_eq!(ours.queue_declare_passive("q").unwrap().consumer_count, 0);
        let left: Vec<u8> = ready(&ours, "q").iter().map(|(id, _)| *id).collect();
        assert_eq!(left, [0, 1]);
    });
}

#[test]
fn consuming_against_the_deletion_of_the_queue_says_so_once() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        let deleting =
            thread::spawn(move || ours.queue_delete("q", IfUnused::No, IfEmpty::No).unwrap());
        let consumed = theirs.basic_consume("q", ConsumeOptions::new().tag("c"));
        deleting.join().unwrap();
        match consumed {
            Ok(_) => assert!(matches!(
                theirs.events().recv().unwrap(),
                Event::Cancelled { .. }
            )),
            Err(error) => assert!(error.is_not_found()),
        }
        assert!(theirs.events().try_recv().is_err());
        // In both cases the tag is free again.
        theirs.queue_declare(&queue()).unwrap();
        theirs
            .basic_consume("q", ConsumeOptions::new().tag("c"))
            .unwrap();
    });
}

#[test]
fn a_commit_against_the_deletion_of_one_of_its_queues_does_the_rest() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        for name in ["q", "other"] {
            ours.queue_declare(&Queue::new(name)).unwrap();
        }
        publish_bytes(&ours, "q", [7]);
        publish_bytes(&ours, "other", [8, 9]);
        theirs.tx_select().unwrap();
        for (queue, tag) in [("q", 1), ("other", 2)] {
            let got = theirs.basic_get(queue, AckMode::Manual).unwrap().unwrap();
            assert_eq!(got.delivery_tag(), tag);
            theirs.basic_ack(tag, Multiple::No).unwrap();
        }
        publish_bytes(&theirs, "q", [0]);
        publish_bytes(&theirs, "other", [1]);
        let deleting = thread::spawn({
            let ours = ours.clone();
            move || ours.queue_delete("q", IfUnused::No, IfEmpty::No).unwrap()
        });
        let committed = theirs.tx_commit();
        // The acknowledged message was unacknowledged, not ready. The committed message may have
        // been ready.
        assert!(deleting.join().unwrap() <= 1);
        match committed {
            Ok(()) => {
                assert_eq!(ready(&ours, "other"), [(9, false), (1, false)]);
                drop(theirs);
                assert_eq!(ready(&ours, "other"), []);
            }
            // The queue was deleted first. The acknowledged message is unsettled again.
            Err(error) => {
                assert_eq!(error.reply_code(), Some(506));
                assert_eq!(ready(&ours, "other"), [(9, false)]);
                drop(theirs);
                assert_eq!(ready(&ours, "other"), [(8, true)]);
            }
        }
    });
}

#[test]
fn a_commit_against_the_close_of_its_channel_settles_each_delivery_once() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        ours.queue_declare(&queue()).unwrap();
        publish_bytes(&ours, "q", 0..2);
        theirs.tx_select().unwrap();
        for tag in [1, 2] {
            theirs.basic_get("q", AckMode::Manual).unwrap().unwrap();
            theirs.basic_ack(tag, Multiple::No).unwrap();
        }
        let closing = thread::spawn({
            let theirs = theirs.clone();
            move || theirs.close().unwrap()
        });
        let committed = theirs.tx_commit().is_ok();
        closing.join().unwrap();
        match committed {
            true => assert_eq!(ready(&ours, "q"), []),
            false => assert_eq!(ready(&ours, "q"), [(0, true), (1, true)]),
        }
    });
}

/// A payload that publishes to another queue when it is dropped.
struct Echo(crate::handles::producer::Producer<u32>);

impl Drop for Echo {
    fn drop(&mut self) {
        let _: Result<Published, _> = self.0.publish(0);
    }
}

#[test]
fn a_channel_may_be_dropped_while_its_queue_is_deleted() {
    explore(|| {
        let broker = Broker::new();
        let echo = broker.producer::<u32>(&Queue::new("echo")).unwrap();
        let producer = broker
            .producer::<crate::message::payload::LocalArc<Echo>>(&queue())
            .unwrap();
        let theirs = channel(&broker);
        theirs
            .basic_consume("q", ConsumeOptions::new().auto_ack())
            .unwrap();
        // No thread reads the event, so the event and its payload are dropped with the channel.
        producer
            .publish(crate::message::payload::LocalArc::new(Arc::new(Echo(echo))))
            .unwrap();
        let dropping = thread::spawn(move || drop(theirs));
        broker.delete(&queue()).unwrap();
        dropping.join().unwrap();
        assert_eq!(rest(&broker, "echo"), [(0, false)]);
    });
}

#[test]
fn readers_of_one_stream_take_each_event_once() {
    explore(|| {
        let broker = Broker::new();
        let (theirs, ours) = (channel(&broker), channel(&broker));
        theirs.queue_declare(&queue()).unwrap();
        theirs
            .basic_consume("q", ConsumeOptions::new().auto_ack())
            .unwrap();
        let reading = [(); 2].map(|()| {
            let events = theirs.events();
            thread::spawn(move || match events.recv().unwrap() {
                Event::Delivery(delivery) => delivery.delivery_tag(),
                other => panic!("{other:?}"),
            })
        });
        publish_bytes(&ours, "q", 0..2);
        let mut tags = join(reading);
        tags.sort_unstable();
        assert_eq!(tags, [1, 2]);
    });
}
