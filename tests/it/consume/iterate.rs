//! The iterators over the messages of a consumer.

use leveret::{Broker, CancelReason, Result};

use crate::common::{queue, rest};

#[test]
fn the_iteration_over_the_present_messages_ends_although_the_dropped_ones_return() -> Result {
    for prefetch in [0, 1, 2, 3, 256] {
        let broker = Broker::new();
        let _ = broker.producer::<u32>(queue())?.publish_batch(0..3);
        let builder = broker.consumer_builder::<u32>(queue());
        let consumer = builder.prefetch(prefetch).build()?;
        assert_eq!(consumer.try_iter().count(), 3, "prefetch {prefetch}");
        // Nothing was lost: a second iteration gets them all.
        let mut left: Vec<u32> = Vec::new();
        for delivery in consumer.try_iter() {
            let delivery = delivery?;
            left.push(*delivery);
            delivery.ack()?;
        }
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2], "prefetch {prefetch}");
        assert_eq!(consumer.try_iter().count(), 0);
    }
    Ok(())
}

#[test]
fn the_iteration_over_the_present_messages_ends_beside_a_busy_publisher() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>("a")?;
    let _ = producer.publish_batch(0..3);
    let _ = broker.producer::<u32>("b")?.publish_batch(0..2);
    let consumer = broker.consumer_builder::<u32>("a").also("b").build()?;
    let mut came = 0;
    for delivery in consumer.try_iter() {
        delivery?.ack()?;
        producer.publish(7)?;
        came += 1;
    }
    assert_eq!(came, 5);
    Ok(())
}

#[test]
fn the_iteration_over_the_present_messages_ends_at_a_full_prefetch() -> Result {
    let broker = Broker::new();
    let _ = broker.producer::<u32>(queue())?.publish_batch(0..3);
    let builder = broker.consumer_builder::<u32>(queue());
    let consumer = builder.prefetch(2).build()?;
    let held: Vec<_> = consumer.try_iter().collect::<Result<_, _>>()?;
    assert_eq!(held.len(), 2);
    Ok(())
}

#[test]
fn an_iteration_shows_each_message_that_does_not_decode_and_ends_with_the_consumer() -> Result {
    let broker = Broker::new();
    let _ = broker.producer::<u32>(queue())?.publish_batch([1, 2]);
    let words = broker.producer::<String>(queue())?;
    words.publish("three".to_owned())?;
    words.publish("four".to_owned())?;
    let consumer = broker.consumer::<u32>(queue())?;
    let mut undecoded = Vec::new();
    let mut sum = 0;
    for received in consumer.iter() {
        match received {
            Ok(delivery) => {
                sum += *delivery;
                delivery.ack()?;
            }
            Err(bad) => undecoded.push(bad),
        }
        if undecoded.len() == 2 {
            consumer.cancel();
        }
    }
    assert_eq!(consumer.ended(), Some(CancelReason::ConsumerCancelled));
    assert_eq!(sum, 3);
    for bad in undecoded {
        bad.nack(leveret::Requeue::Yes)?;
    }
    let words = ["three", "four"].map(|word| (word.to_owned(), true));
    assert_eq!(rest::<String>(&broker, "q"), words);
    Ok(())
}

#[test]
fn an_undecoded_message_passes_as_an_error_of_every_kind() -> Result {
    let broker = Broker::new();
    let words = broker.producer::<String>(queue())?;
    words.publish("one".to_owned())?;
    words.publish("two".to_owned())?;
    let consumer = broker.consumer::<u32>(queue())?;
    let sum = || -> Result<u32> {
        let mut sum = 0;
        for delivery in consumer.try_iter() {
            sum += *delivery?;
        }
        Ok(sum)
    };
    assert!(matches!(sum(), Err(leveret::Error::Codec(_))));
    let error: Box<dyn std::error::Error> =
        Box::new(consumer.try_iter().next().unwrap().unwrap_err());
    assert!(error.to_string().contains("queue 'q'"), "{error}");
    assert!(error.source().is_some());
    Ok(())
}

#[test]
fn a_borrowed_consumer_can_be_looped_over() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(queue())?;
    let consumer = broker.consumer::<u32>(queue())?;
    for number in 0..3 {
        producer.publish(number)?;
    }
    let mut numbers = Vec::new();
    for delivery in &consumer {
        let delivery = delivery?;
        numbers.push(*delivery);
        delivery.ack()?;
        if numbers.len() == 3 {
            consumer.cancel();
        }
    }
    assert_eq!(numbers, [0, 1, 2]);
    Ok(())
}
