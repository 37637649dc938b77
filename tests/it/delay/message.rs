//! Messages that are delivered later without a delayed exchange.

use std::time::{Duration, SystemTime};

use leveret::{Message, Queue, Requeue, Result, TryRecvError};

use crate::common::{SECOND, on_a_manual_clock, rest};

#[test]
fn a_delayed_message_wakes_a_consumer_when_it_is_due_and_not_before() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    let consumer = broker.consumer::<u32>(&queue)?;
    producer.publish_message(Message::new(2).deliver_after(2 * SECOND))?;
    producer.publish_message(Message::new(1).deliver_after(SECOND))?;
    producer.publish_message(Message::new(0).deliver_at(SystemTime::UNIX_EPOCH))?;
    assert_eq!(consumer.recv()?.ack_into().unwrap(), 0);
    clock.advance(SECOND - Duration::from_nanos(1));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(consumer.recv()?.ack_into().unwrap(), 1);
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].delayed.messages, 1);
    clock.advance(SECOND);
    assert_eq!(*consumer.recv()?, 2);
    Ok(())
}

#[test]
fn a_delay_that_never_ends_overflows_nothing() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker.simple_queue::<u32>("q")?;
    queue.put_message(Message::new(1).deliver_after(Duration::MAX))?;
    queue.put(2)?;
    queue.get()?.nack(Requeue::After(Duration::MAX))?;
    clock.advance(Duration::from_secs(1 << 40));
    assert!(queue.is_empty().unwrap());
    Ok(())
}

#[test]
fn delayed_messages_have_places_of_their_own_and_return_to_them() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let queue = broker.simple_queue::<u32>("q")?;
    for number in 0..3 {
        queue.put_message(Message::new(number).deliver_after(SECOND))?;
    }
    clock.advance(SECOND);
    queue.put(3)?;
    let held: Vec<_> = (0..4).map(|_| queue.get()).collect::<Result<_, _>>()?;
    assert!(held.iter().map(|delivery| **delivery).eq(0..4));
    drop(held);
    let again: Vec<_> = (0..4).map(|number| (number, true)).collect();
    assert_eq!(rest::<u32>(&broker, "q"), again);
    Ok(())
}
