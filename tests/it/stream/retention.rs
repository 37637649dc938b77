//! What a stream keeps.

use leveret::{ApplyTo, Broker, Budget, Offset, Policy, Queue, Result};

use crate::common::{HOUR, SECOND, on_a_manual_clock};

fn first_offset(broker: &Broker) -> Result<u64> {
    let snapshot = broker.snapshot()?;
    Ok(snapshot.vhosts[0].queues[0]
        .stream
        .as_ref()
        .unwrap()
        .first_offset)
}

#[test]
fn whole_segments_go_when_a_new_one_begins() -> Result {
    let broker = Broker::new();
    let log = Queue::stream("log")
        .max_segment_bytes(1_000)
        .max_length_bytes(2_000);
    let producer = broker.producer::<Vec<u8>>(&log)?;
    let mut firsts = Vec::new();
    for _ in 0..10 {
        producer.publish(vec![0; 400])?;
        firsts.push(first_offset(&broker)?);
    }
    assert_eq!(firsts, [0, 0, 0, 0, 2, 2, 4, 4, 6, 6]);
    let queue = &broker.snapshot()?.vhosts[0].queues[0];
    assert_eq!((queue.ready.messages, queue.dropped.messages), (4, 6));
    assert_eq!(queue.accounted_for(), queue.taken_in);
    Ok(())
}

#[test]
fn an_age_drops_segments_only_when_somebody_publishes() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let log = Queue::stream("log").max_segment_bytes(0).max_age(HOUR);
    let producer = broker.producer::<u32>(&log)?;
    for _ in 0..3 {
        producer.publish(0)?;
        clock.advance(SECOND);
    }
    clock.advance(HOUR * 2);
    assert_eq!(first_offset(&broker)?, 0);
    producer.publish(0)?;
    assert_eq!(first_offset(&broker)?, 3);
    Ok(())
}

#[test]
fn a_policy_replaces_the_limits_and_is_lifted_again() -> Result {
    let broker = Broker::new();
    let log = Queue::stream("log")
        .max_segment_bytes(0)
        .max_length_bytes(1_000_000);
    let producer = broker.producer::<Vec<u8>>(&log)?;
    let policy = Policy::new("small", "^log$").apply_to(ApplyTo::Streams);
    broker
        .vhost("/")?
        .set_policy(policy.setting("max-length-bytes", 999))?;
    for _ in 0..10 {
        producer.publish(vec![0; 400])?;
    }
    assert_eq!(first_offset(&broker)?, 9);
    broker.vhost("/")?.clear_policy("small")?;
    for _ in 0..10 {
        producer.publish(vec![0; 400])?;
    }
    assert_eq!(first_offset(&broker)?, 9);
    Ok(())
}

#[test]
fn a_reader_that_retention_overtakes_goes_on_and_counts_what_it_missed() -> Result {
    let broker = Broker::new();
    let log = Queue::stream("log")
        .max_segment_bytes(20_000)
        .max_length_bytes(40_000);
    let producer = broker.producer::<Vec<u8>>(&log)?;
    let slow = broker.reader::<Vec<u8>>(&log).from(Offset::First).build()?;
    for _ in 0..1_000 {
        producer.publish(vec![0; 400])?;
    }
    let read: Vec<u64> = slow
        .try_iter()
        .map(|entry| entry.unwrap().offset())
        .collect();
    assert!(read.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(
        (read.last(), slow.lagged() + read.len() as u64),
        (Some(&999), 1_000)
    );
    let reader = &broker.snapshot()?.vhosts[0].queues[0]
        .stream
        .clone()
        .unwrap()
        .readers[0];
    assert_eq!((reader.lag, reader.lagged), (0, slow.lagged()));
    Ok(())
}

#[test]
fn a_budget_gets_back_what_retention_drops() -> Result {
    let broker = Broker::new();
    broker.declare(&leveret::Budget::new("b", 10_000))?;
    let log = Queue::stream("log")
        .budget("b")
        .max_segment_bytes(0)
        .max_length_bytes(1);
    let producer = broker.producer::<Vec<u8>>(&log)?;
    for _ in 0..1_000 {
        producer.publish(vec![0; 400])?;
    }
    assert_eq!(broker.snapshot()?.vhosts[0].budgets[0].used, 400);
    broker.delete(&log)?;
    assert_eq!(broker.snapshot()?.vhosts[0].budgets[0].used, 0);
    Ok(())
}

#[test]
fn sizes_beyond_all_numbers_drop_segments_and_nothing_else() -> Result {
    let broker = Broker::new();
    let log = Queue::stream("log")
        .max_segment_bytes(0)
        .max_length_bytes(1_000);
    let huge = broker.producer_builder::<u32>(&log).sized_by(|_| u64::MAX);
    huge.build()?.publish(0)?;
    let producer = broker.producer::<u32>(&log)?;
    for number in 1..5 {
        producer.publish(number)?;
    }
    let queue = &broker.snapshot()?.vhosts[0].queues[0];
    assert_eq!(queue.ready.messages + queue.dropped.messages, 5);
    assert!(queue.ready.messages >= 1);
    Ok(())
}

#[test]
fn what_consumers_settle_stays_in_the_budget_of_a_stream() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 100))?;
    let log = Queue::stream("log").budget("b");
    let producer = broker.producer::<Vec<u8>>(&log)?;
    let consumer = broker.consumer::<Vec<u8>>(&log)?;
    for _ in 0..10 {
        producer.publish(vec![0; 10])?;
        consumer.recv()?.ack()?;
    }
    assert!(producer.publish(vec![0; 10]).is_err());
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].ready.messages, 10);
    Ok(())
}
