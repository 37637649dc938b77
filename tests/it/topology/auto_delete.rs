//! Consumers of auto-delete queues: the last one may leave while the next one comes.

use std::{sync::Barrier, thread};

use leveret::{Broker, Exchange, Queue, Result};

use crate::common::{rest, share_of};

fn topic() -> Exchange {
    Exchange::topic("x")
}

fn auto_delete(name: &str) -> Queue {
    Queue::new(name).auto_delete().bind(topic(), "k.#")
}

fn exists(broker: &Broker, queue: &str) -> bool {
    broker.declare(&Queue::existing(queue)).is_ok()
}

fn in_exclusive_use(broker: &Broker) -> Result<leveret::Consumer<u32>> {
    broker.consumer_builder("taken").exclusive().build()
}

/// Runs `each` in three threads at once, many times.
fn in_three_threads(broker: &Broker, each: impl Fn(&Broker) -> Result + Sync) -> Result {
    let start = Barrier::new(3);
    thread::scope(|scope| {
        let run = || -> Result {
            start.wait();
            (0..share_of(4_000)).try_for_each(|_| each(broker))
        };
        let threads = [(); 3].map(|()| scope.spawn(run));
        let mut results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.try_for_each(|result| result)
    })
}

/// Between its making and its end, a consumer has all its queues with their bindings.
#[test]
fn a_consumer_that_comes_as_the_last_one_leaves_has_its_queues_and_their_bindings() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&topic())?;
    in_three_threads(&broker, |broker| {
        let builder = broker.consumer_builder::<u32>(&auto_delete("q"));
        let builder = builder.also(auto_delete("p")).prefetch(0).auto_ack();
        let consumer = builder.build()?;
        assert_eq!(producer.publish_to("k.1", 1)?.routed, 2);
        assert_eq!(consumer.queue(), "q");
        Ok(())
    })?;
    assert!(!exists(&broker, "q") && !exists(&broker, "p"));
    Ok(())
}

/// The queue may go as soon as it is opened, but it is opened all the same.
#[test]
fn a_simple_queue_is_opened_while_the_last_consumer_leaves() -> Result {
    in_three_threads(&Broker::new(), |broker| {
        let opened = broker.simple_queue::<u32>(&auto_delete("q"))?;
        assert_eq!(opened.name(), "q");
        drop(broker.consumer::<u32>(&auto_delete("q"))?);
        Ok(())
    })
}

#[test]
fn a_consumer_that_one_queue_refuses_declares_none_of_its_queues() -> Result {
    let broker = Broker::new();
    let _taken = in_exclusive_use(&broker)?;
    let builder = broker.consumer_builder::<u32>(&auto_delete("q"));
    let error = builder.also("taken").build().unwrap_err();
    assert_eq!(error.reply_code(), Some(403), "{error}");
    assert!(!exists(&broker, "q"));
    assert!(broker.declare(&Exchange::existing("x")).is_err());
    let exclusive = broker
        .consumer_builder::<u32>(&auto_delete("q"))
        .exclusive();
    let error = exclusive.also(auto_delete("q")).build().unwrap_err();
    assert_eq!(error.reply_code(), Some(403), "{error}");
    assert!(!exists(&broker, "q"));
    Ok(())
}

/// If the failed consumer had been the first one of the queue, the queue would go with it.
#[test]
fn a_consumer_that_one_queue_refuses_leaves_the_messages_of_the_others_alone() -> Result {
    let broker = Broker::new();
    let _taken = in_exclusive_use(&broker)?;
    broker.producer::<u32>(&auto_delete("q"))?.publish(1)?;
    let builder = broker.consumer_builder::<u32>(&auto_delete("q"));
    assert!(builder.also("taken").build().is_err());
    assert_eq!(rest::<u32>(&broker, "q"), [(1, false)]);
    Ok(())
}

#[test]
fn a_consumer_of_one_queue_twice_takes_turns_with_itself() -> Result {
    let broker = Broker::new();
    let builder = broker.consumer_builder::<u32>(&auto_delete("q"));
    let consumer = builder.also(auto_delete("q")).build()?;
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].consumers, 2);
    broker.producer::<u32>("q")?.publish(1)?;
    consumer.recv()?.ack()?;
    drop(consumer);
    assert!(!exists(&broker, "q"));
    Ok(())
}
