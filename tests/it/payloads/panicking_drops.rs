//! Payloads whose drop panics harm no one else: on every way of a message, each payload is dropped,
//! no call of anyone unwinds, and the broker goes on.

use std::{
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use leveret::{
    Broker, CancelReason, Exchange, Local, ManualClock, Message, Overflow, Producer, Queue,
    RecvError, Requeue, Result,
    channel::{AckMode, ConsumeOptions, Event, Multiple},
};
use serde::{Deserialize, Serialize};

use crate::common::{HOUR, SECOND, channel_of, connect, in_time, on_a_manual_clock, queue, reason};

/// Counts its drop, and then panics. It skips the panic hook, so that the tests print nothing.
#[derive(Serialize, Deserialize)]
struct Bad {
    #[serde(skip)]
    drops: Option<Arc<AtomicUsize>>,
}

impl Drop for Bad {
    fn drop(&mut self) {
        if let Some(drops) = self.drops.take() {
            drops.fetch_add(1, SeqCst);
            panic::resume_unwind(Box::new("a payload's accident"));
        }
    }
}

/// A broker, and the number of dropped payloads.
struct Stage {
    broker: Broker,
    clock: ManualClock,
    drops: Arc<AtomicUsize>,
}

impl Stage {
    fn bad(&self) -> Bad {
        Bad {
            drops: Some(Arc::clone(&self.drops)),
        }
    }

    /// Publishes three bad payloads.
    fn fill(&self, queue: &Queue) -> Producer<Bad> {
        let producer = self.broker.producer::<Bad>(queue).unwrap();
        for _ in 0..3 {
            producer.publish(self.bad()).ok().unwrap();
        }
        producer
    }
}

/// Runs one way of three payloads. It must not unwind, and must drop each of them once. The broker
/// must then still work, unless the way ends it.
fn each_is_dropped(way: impl FnOnce(&Stage) -> Result) {
    let (broker, clock) = on_a_manual_clock();
    let stage = Stage {
        broker,
        clock,
        drops: Arc::default(),
    };
    let went = catch_unwind(AssertUnwindSafe(|| way(&stage)));
    went.expect("nothing unwinds").unwrap();
    assert_eq!(stage.drops.load(SeqCst), 3);
    if let Ok(after) = stage.broker.simple_queue::<u32>("after") {
        after.put(7).unwrap();
        assert_eq!(*after.get().unwrap(), 7);
    }
}

#[test]
fn the_run_of_a_consumer_whose_queue_is_deleted() {
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let consumer = stage.broker.consumer::<Bad>(&queue())?;
        consumer.recv()?.nack(Requeue::Yes)?; // takes the run
        stage.broker.delete(&queue())?;
        assert_eq!(
            reason(consumer.recv().map(drop)),
            CancelReason::QueueDeleted
        );
        Ok(())
    });
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let consumer = stage.broker.consumer::<Bad>(&queue())?;
        consumer.recv()?.nack(Requeue::Yes)?;
        stage.broker.delete(&queue())?;
        drop(consumer);
        Ok(())
    });
}

#[test]
fn messages_that_are_purged_expired_dropped_at_the_head_or_cancelled() {
    each_is_dropped(|stage| {
        stage.fill(&queue());
        assert_eq!(stage.broker.purge(queue())?, 3);
        Ok(())
    });
    each_is_dropped(|stage| {
        stage.fill(&queue().message_ttl(SECOND));
        stage.clock.advance(HOUR);
        Ok(())
    });
    each_is_dropped(|stage| {
        let short = queue().max_length(1);
        stage
            .fill(&short)
            .publish(Bad { drops: None })
            .ok()
            .unwrap();
        Ok(())
    });
    each_is_dropped(|stage| {
        let producer = stage.broker.producer::<Bad>(&queue())?;
        for _ in 0..3 {
            let message = Message::new(stage.bad()).deliver_after(HOUR);
            producer.publish_message(message).ok().unwrap();
        }
        assert_eq!(stage.broker.delayed(queue())?.cancel_all(), 3);
        Ok(())
    });
}

#[test]
fn settled_deliveries() {
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let consumer = stage.broker.consumer::<Bad>(&queue())?;
        consumer.recv()?.ack()?;
        consumer.recv()?.reject()?;
        consumer.recv()?.nack(Requeue::No)
    });
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let consumer = stage.broker.consumer_builder::<Bad>(&queue()).auto_ack();
        drop(consumer.build()?.recv_batch(3, SECOND)?);
        Ok(())
    });
    each_is_dropped(|stage| {
        let locals = stage.broker.simple_queue::<Local<Bad>>(&queue())?;
        for _ in 0..3 {
            locals.put(Local(stage.bad())).ok().unwrap();
        }
        locals.get()?.ack()?;
        locals.get()?.reject()?;
        stage.broker.delete(&queue())?;
        Ok(())
    });
}

#[test]
fn deliveries_that_a_panic_drops() {
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let consumer = stage.broker.consumer_builder::<Bad>(&queue()).auto_ack();
        let consumer = consumer.build()?;
        let worker = AssertUnwindSafe(|| {
            let _batch = consumer.recv_batch(3, SECOND);
            panic::resume_unwind(Box::new("a worker's accident"));
        });
        assert!(catch_unwind(worker).is_err());
        Ok(())
    });
}

#[test]
fn messages_that_do_not_decode() {
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let numbers = stage.broker.consumer::<u32>(&queue())?;
        for _ in 0..3 {
            assert!(matches!(numbers.recv(), Err(RecvError::Decode(_))));
        }
        Ok(())
    });
}

#[test]
fn the_decoded_values_of_settled_deliveries() {
    /// Decodes from anything.
    struct Decoded(Bad);
    impl Serialize for Decoded {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    static DROPS: std::sync::OnceLock<Arc<AtomicUsize>> = std::sync::OnceLock::new();
    impl<'de> Deserialize<'de> for Decoded {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Decoded, D::Error> {
            u32::deserialize(from)?;
            let drops = DROPS.get().cloned();
            Ok(Decoded(Bad { drops }))
        }
    }
    each_is_dropped(|stage| {
        DROPS.get_or_init(|| Arc::clone(&stage.drops));
        let numbers = stage.broker.producer::<u32>(&queue())?;
        let _ = numbers.publish_batch(0..3);
        let consumer = stage.broker.consumer::<Decoded>(&queue())?;
        consumer.recv()?.ack()?;
        consumer.recv()?.reject()?;
        let last = consumer.recv()?;
        assert!(last.payload().0.drops.is_some());
        last.nack(Requeue::After(HOUR))
    });
}

#[test]
fn unroutable_messages_and_dead_letters_without_a_place() {
    each_is_dropped(|stage| {
        let nowhere = stage.broker.producer::<Bad>(&Exchange::fanout("nowhere"))?;
        for _ in 0..3 {
            assert_eq!(nowhere.publish(stage.bad()).ok().unwrap().routed, 0);
        }
        Ok(())
    });
    each_is_dropped(|stage| {
        let dead = queue().dead_letter_exchange("no such exchange");
        stage.fill(&dead.message_ttl(SECOND));
        stage.clock.advance(HOUR);
        Ok(())
    });
    each_is_dropped(|stage| {
        // A cycle in which no consumer takes part ends at its second turn.
        let cycle = queue()
            .dead_letter_exchange("")
            .dead_letter_routing_key("q");
        stage.fill(&cycle.message_ttl(SECOND));
        stage.clock.advance(HOUR);
        Ok(())
    });
}

#[test]
fn copies_that_several_queues_share() {
    each_is_dropped(|stage| {
        let exchange = Exchange::fanout("x");
        for name in ["a", "b", "full"] {
            let bound = Queue::new(name).bind(&exchange, "");
            stage.broker.declare(&match name {
                "full" => bound.max_length(1).overflow(Overflow::RejectPublish),
                _ => bound,
            })?;
        }
        let producer = stage.broker.producer::<Bad>(&exchange)?;
        for _ in 0..3 {
            producer.publish(stage.bad()).ok().unwrap();
        }
        let consumer = stage.broker.consumer::<Bad>("a")?;
        while let Ok(delivery) = consumer.try_recv() {
            delivery.ack()?;
        }
        stage.broker.purge(Queue::existing("b"))?;
        stage.broker.delete(&Queue::existing("full")).map(drop)
    });
}

#[test]
fn deliveries_on_a_channel() {
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let channel = channel_of(&stage.broker)?;
        channel.basic_consume("q", ConsumeOptions::new())?;
        channel.basic_ack(2, Multiple::Yes)?;
        channel.tx_select()?;
        channel.basic_ack(3, Multiple::No)?;
        channel.tx_rollback()?;
        channel.close()?;
        drop(channel); // and the events that were not read
        stage.broker.delete(&queue()).map(drop)
    });
    each_is_dropped(|stage| {
        stage.fill(&queue());
        let channel = channel_of(&stage.broker)?;
        drop(channel.basic_get("q", AckMode::Auto)?);
        channel.basic_consume("q", ConsumeOptions::new().auto_ack())?;
        Ok(())
    });
}

/// Ends the broker or its virtual host. Others then learn of the end, though the payloads panic.
fn others_learn_of_the_end(end: impl FnOnce(Broker)) {
    let (broker, _) = on_a_manual_clock();
    let drops = Arc::new(AtomicUsize::new(0));
    let others = [(), ()].map(|()| connect(&broker).unwrap());
    let channel = others[0].open_channel().unwrap();
    let events = channel.events();
    let reader = std::thread::spawn(move || reason(events.recv().map(|_: Event| ())));
    for name in ["a", "b"] {
        let bad = || Bad {
            drops: Some(Arc::clone(&drops)),
        };
        let producer = broker.producer::<Bad>(name).unwrap();
        producer.publish(bad()).ok().unwrap();
        producer.publish(bad()).ok().unwrap();
    }
    let consumer = others[1].consumer::<Bad>("b").unwrap();
    consumer.recv().unwrap().nack(Requeue::Yes).unwrap(); // takes the run
    let ended = catch_unwind(AssertUnwindSafe(|| end(broker)));
    assert!(ended.is_ok());
    assert!(in_time(|| reader.join().unwrap()).is_some());
    assert!(others.iter().all(|other| other.open_channel().is_err()));
    assert!(matches!(consumer.recv(), Err(RecvError::Cancelled(_))));
    assert_eq!(drops.load(SeqCst), 4);
}

#[test]
fn what_is_left_at_the_end_of_a_broker() {
    others_learn_of_the_end(drop);
    others_learn_of_the_end(|broker| {
        broker.shutdown(std::time::Duration::ZERO).unwrap();
    });
    others_learn_of_the_end(|broker| {
        broker.delete_vhost("/").unwrap();
    });
}
