//! Waiting for several consumers at once.

use std::{pin::pin, time::Duration};

use leveret::{Broker, Bytes, CancelReason, Local, Queue, Select};

use crate::common::{Alarm, block_on, queue, reason, rest};

#[test]
fn a_select_tells_which_consumer_has_a_message_and_which_has_ended() {
    let broker = Broker::new();
    let (numbers, words) = (Queue::new("numbers"), Queue::new("words"));
    let number_consumer = broker.consumer::<u32>(&numbers).unwrap();
    let word_consumer = broker.consumer::<String>(&words).unwrap();
    let mut select = Select::new();
    let (n, w) = (select.recv(&number_consumer), select.recv(&word_consumer));
    assert!(select.try_select().is_err());
    assert!(select.select_timeout(Duration::from_millis(1)).is_err());

    broker
        .producer(&words)
        .unwrap()
        .publish("hello".to_owned())
        .unwrap();
    let selected = select.select();
    assert_eq!(selected.index(), w);
    // The message was selected but not received, so the next select gets it, without the
    // redelivered flag.
    drop(selected);
    let selected = select.select();
    assert_eq!(selected.index(), w);
    let word = selected.recv(&word_consumer).unwrap();
    assert_eq!((&**word, word.info().redelivered()), ("hello", false));
    word.ack().unwrap();

    broker.delete(&numbers).unwrap();
    let selected = select.select();
    assert_eq!(selected.index(), n);
    assert_eq!(
        reason(selected.recv(&number_consumer)),
        CancelReason::QueueDeleted
    );
}

#[test]
fn a_closure_travels_and_a_select_waits_for_several_types() -> leveret::Result {
    type Job = Local<Box<dyn FnOnce() -> u32 + Send>>;
    let broker = Broker::new();
    let (jobs, bytes) = (Queue::new("jobs"), Queue::new("bytes"));
    let job_consumer = broker.consumer::<Job>(&jobs)?;
    let byte_consumer = broker.consumer::<Bytes>(&bytes)?;
    broker
        .producer::<Job>(&jobs)?
        .publish(Local(Box::new(|| 42)))?;
    let mut select = Select::new();
    let job_index = select.recv(&job_consumer);
    let byte_index = select.recv(&byte_consumer);
    assert_ne!(job_index, byte_index);
    let selected = select.select();
    assert_eq!(selected.index(), job_index);
    let job = selected
        .recv(&job_consumer)?
        .ack_into()
        .unwrap_or_else(|_| unreachable!());
    assert_eq!((job.into_inner())(), 42);
    Ok(())
}

#[test]
fn a_selected_message_that_is_dropped_wakes_another_receiver() {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    producer.publish(7).unwrap();
    let mut select = Select::new();
    select.recv(&consumer);
    let selected = select.select();
    let alarm = Alarm::new();
    let mut other = pin!(consumer.recv_async());
    assert!(alarm.poll(other.as_mut()).is_pending());
    drop(selected);
    assert!(alarm.has_rung());
    assert_eq!(*block_on(other).unwrap(), 7);
}

#[test]
fn a_selected_message_that_is_dropped_after_the_cancel_returns_unseen() {
    let broker = Broker::new();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    broker.producer(queue()).unwrap().publish(7u32).unwrap();
    let mut select = Select::new();
    select.recv(&consumer);
    let selected = select.select();
    consumer.cancel();
    drop(selected);
    assert_eq!(rest::<u32>(&broker, "q"), [(7, false)]);
}
