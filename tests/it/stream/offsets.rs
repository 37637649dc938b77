//! Where readers begin.

use std::time::{Duration, SystemTime};

use leveret::{Broker, Clock, Message, Offset, Queue, Result};

use crate::common::{HOUR, SECOND, on_a_manual_clock};

fn log() -> Queue {
    Queue::stream("log")
}

fn first_of(broker: &Broker, from: Offset) -> Result<Option<u64>> {
    let reader = broker.reader::<u32>(log()).from(from).build()?;
    Ok(reader.try_recv().ok().map(|entry| entry.offset()))
}

#[test]
fn a_number_begins_there_or_waits_for_it() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    let _ = producer.publish_batch(0..1_000);
    for offset in [0, 1, 15, 16, 17, 255, 256, 999] {
        assert_eq!(first_of(&broker, Offset::At(offset))?, Some(offset));
    }
    let later = broker
        .reader::<u32>(log())
        .from(Offset::At(1_002))
        .build()?;
    let _ = producer.publish_batch(1_000..1_002);
    assert!(later.try_recv().is_err());
    producer.publish(1_002)?;
    assert_eq!(*later.try_recv()?, 1_002);
    Ok(())
}

#[test]
fn a_message_shows_the_time_at_which_it_came() -> Result {
    const MILLI: Duration = Duration::from_millis(1);
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>(log())?;
    let reader = broker.reader::<u32>(log()).from(Offset::First).build()?;
    let mut last = SystemTime::UNIX_EPOCH;
    for number in 0..100 {
        match number % 3 {
            0 => drop(producer.publish(number)?),
            1 => assert!(
                producer
                    .publish_batch([number])
                    .all(|result| result.is_ok())
            ),
            _ => drop(producer.publish_message(Message::new(number).header("k", "v"))?),
        }
        let came = reader.recv()?.timestamp();
        let now = clock.system_now();
        assert!(came >= last && came + MILLI >= now && came <= now + MILLI);
        last = came;
        clock.advance(Duration::from_micros(300 * u64::from(number)));
    }
    Ok(())
}

#[test]
fn a_time_begins_at_the_first_message_since_then() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>(log())?;
    let mut times = Vec::new();
    for number in 0..100 {
        producer.publish(number)?;
        let reader = broker.reader::<u32>(log()).from(Offset::Last).build()?;
        times.push(reader.recv()?.timestamp());
        clock.advance(HOUR);
    }
    for (offset, time) in (0..).zip(&times) {
        assert_eq!(first_of(&broker, Offset::Timestamp(*time))?, Some(offset));
        let after = *time + Duration::from_millis(1);
        let next = Some(offset + 1).filter(|next| *next < 100);
        assert_eq!(first_of(&broker, Offset::Timestamp(after))?, next);
    }
    assert_eq!(first_of(&broker, Offset::Interval(HOUR * 3))?, Some(97));
    assert_eq!(first_of(&broker, Offset::Interval(HOUR * 1_000))?, Some(0));
    assert_eq!(first_of(&broker, Offset::Interval(SECOND))?, None);
    Ok(())
}

#[test]
fn the_last_messages_are_those_that_were_published_together() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    producer.publish(0)?;
    let _ = producer.publish_batch(1..10);
    assert_eq!(first_of(&broker, Offset::Last)?, Some(1));
    producer.publish(10)?;
    assert_eq!(first_of(&broker, Offset::Last)?, Some(10));
    Ok(())
}

#[test]
fn a_message_of_a_clock_that_goes_back_has_the_time_of_the_one_before() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>(log())?;
    clock.advance(HOUR);
    producer.publish(0)?;
    producer.publish(1)?;
    let reader = broker.reader::<u32>(log()).from(Offset::First).build()?;
    assert!(reader.recv()?.timestamp() <= reader.recv()?.timestamp());
    Ok(())
}

#[test]
fn a_reader_seeks_forwards_and_backwards() -> Result {
    let broker = Broker::new();
    let _ = broker.producer::<u32>(log())?.publish_batch(0..1_000);
    let reader = broker.reader::<u32>(log()).build()?;
    for offset in [500, 0, 999, 16] {
        reader.seek(Offset::At(offset));
        assert_eq!(reader.try_recv()?.offset(), offset);
    }
    reader.seek(Offset::Next);
    assert!(reader.try_recv().is_err());
    assert_eq!((reader.next_offset(), reader.lagged()), (1_000, 0));
    Ok(())
}
