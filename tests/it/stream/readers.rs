//! What the readers of a stream get.

use std::{sync::Arc, thread};

use leveret::{
    Broker, CancelReason, Credentials, Entry, FieldTable, FieldValue, LocalArc, Message, Offset,
    Permissions, Queue, Reader, RecvError, Result, TryRecvError, User,
};
use serde::{Deserialize, Serialize};

use crate::common::{Alarm, on_a_manual_clock};

fn log() -> Queue {
    Queue::stream("log")
}

fn from_first<T: leveret::Payload>(broker: &Broker) -> Result<Reader<T>> {
    broker.reader(log()).from(Offset::First).build()
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Large {
    text: String,
    numbers: [u64; 16],
}

#[test]
fn all_readers_share_one_value_and_none_encodes_it() -> Result {
    let broker = Broker::new();
    let large = Large {
        text: "large".to_owned(),
        numbers: [7; 16],
    };
    broker.producer(log())?.publish(large)?;
    let read: Vec<Entry<Large>> = (0..10)
        .map(|_| Ok(from_first(&broker)?.recv()?))
        .collect::<Result<_>>()?;
    for entry in &read {
        assert!(std::ptr::eq(&**entry, &*read[0]) && entry.numbers == [7; 16]);
    }
    Ok(())
}

#[test]
fn a_reader_of_another_type_decodes_for_itself() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u64>(log())?;
    producer.publish(7)?;
    producer.publish(8)?;
    let bytes = from_first::<leveret::Bytes>(&broker)?;
    assert_eq!((&**bytes.recv()?, &**bytes.recv()?), (&b"7"[..], &b"8"[..]));
    let small = from_first::<u8>(&broker)?;
    assert_eq!((*small.recv()?, *small.recv()?), (7, 8));
    Ok(())
}

#[test]
fn a_message_that_does_not_decode_is_an_error_and_stays() -> Result {
    let broker = Broker::new();
    broker.producer(log())?.publish("text".to_owned())?;
    broker.producer::<u32>(log())?.publish(7)?;
    let numbers = from_first::<u32>(&broker)?;
    match numbers.recv() {
        Err(RecvError::Decode(undecoded)) => {
            assert_eq!(&*undecoded.info().body()?, b"text");
            undecoded.reject()?;
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(*numbers.recv()?, 7);
    let texts = from_first::<String>(&broker)?;
    assert_eq!(*texts.recv()?, "text");
    Ok(())
}

#[test]
fn what_cannot_be_encoded_is_shared_as_a_local_arc_and_refused_as_a_local() -> Result {
    let broker = Broker::new();
    let shared: Arc<dyn Fn() -> u32 + Send + Sync> = Arc::new(|| 7);
    let arcs = broker.producer::<LocalArc<dyn Fn() -> u32 + Send + Sync>>(log())?;
    arcs.publish(LocalArc(shared))?;
    for _ in 0..2 {
        let reader = from_first::<LocalArc<dyn Fn() -> u32 + Send + Sync>>(&broker)?;
        assert_eq!((reader.recv()?.0)(), 7);
    }
    let locals = broker.producer::<leveret::Local<std::cell::Cell<u32>>>(log())?;
    let refused = locals
        .publish(leveret::Local(std::cell::Cell::new(7)))
        .unwrap_err();
    assert!(
        refused.to_string().contains("cannot go to a stream"),
        "{refused}"
    );
    assert_eq!(refused.into_inner().unwrap().0.get(), 7);
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].ready.messages, 1);
    Ok(())
}

#[test]
fn a_reader_waits_in_a_thread_and_in_a_task() -> Result {
    let broker = Broker::new();
    let reader = broker.reader::<u32>(log()).build()?;
    let producer = broker.producer::<u32>(log())?;
    let thread = thread::spawn(move || reader.recv().map(|entry| *entry));
    let second = broker.reader::<u32>(log()).build()?;
    let alarm = Alarm::new();
    let mut task = Box::pin(second.recv_async());
    assert!(alarm.poll(task.as_mut()).is_pending());
    while !thread.is_finished() {
        producer.publish(7)?;
        thread::yield_now();
    }
    assert_eq!(thread.join().unwrap()?, 7);
    assert!(alarm.has_rung());
    match alarm.poll(task.as_mut()) {
        std::task::Poll::Ready(entry) => assert_eq!(*entry?, 7),
        std::task::Poll::Pending => panic!("there is a message"),
    }
    Ok(())
}

#[test]
fn the_end_of_the_stream_or_of_the_broker_ends_its_readers() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    producer.publish(1)?;
    producer.publish(2)?;
    let reader = from_first::<u32>(&broker)?;
    let held = reader.recv()?;
    broker.delete(&log())?;
    let deleted = TryRecvError::Cancelled(CancelReason::QueueDeleted);
    assert_eq!(
        reader.try_recv().unwrap_err().to_string(),
        deleted.to_string()
    );
    assert_eq!(*held, 1); // an entry stays

    let reader = broker.reader::<u32>(log()).build()?;
    let blocked = thread::spawn(move || reader.recv().unwrap_err().to_string());
    drop(broker);
    assert!(blocked.join().unwrap().contains("cancelled"));
    Ok(())
}

#[test]
fn an_entry_outlives_its_reader_and_its_segment() -> Result {
    let broker = Broker::new();
    let log = log().max_segment_bytes(100).max_length_bytes(100);
    let producer = broker.producer::<String>(&log)?;
    producer.publish("first".to_owned())?;
    let first = broker
        .reader::<String>(&log)
        .from(Offset::First)
        .build()?
        .recv()?;
    for number in 0..10 {
        producer.publish(format!("later {number}"))?;
    }
    assert_eq!(broker.snapshot()?.vhosts[0].queues[0].ready.messages, 1);
    assert_eq!((first.as_str(), first.clone().offset()), ("first", 0));
    Ok(())
}

#[test]
fn two_threads_that_share_a_reader_get_each_message_once() -> Result {
    let broker = Broker::new();
    let _ = broker.producer::<u64>(log())?.publish_batch(0..10_000);
    let reader = from_first::<u64>(&broker)?;
    let sum = || reader.try_iter().map(|entry| *entry.unwrap()).sum::<u64>();
    let total = thread::scope(|scope| {
        let threads = [scope.spawn(sum), scope.spawn(sum)];
        threads
            .map(|thread| thread.join().unwrap())
            .iter()
            .sum::<u64>()
    });
    assert_eq!(total, (0..10_000).sum::<u64>());
    Ok(())
}

#[test]
fn a_filter_reads_its_values_only() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    for number in 0..1_000 {
        let message = Message::new(number);
        producer.publish_message(match number % 3 {
            0 => message.header("x-stream-filter-value", "zero"),
            1 => message.header("x-stream-filter-value", "one"),
            _ => message,
        })?;
    }
    let count = |values: &[&str], unfiltered: bool| -> Result<usize> {
        let reader = broker.reader::<u32>(log()).from(Offset::First);
        let reader = reader.filter(values.iter().copied());
        let reader = match unfiltered {
            true => reader.match_unfiltered().build()?,
            false => reader.build()?,
        };
        Ok(reader.try_iter().count())
    };
    assert_eq!(count(&[], false)?, 1_000);
    assert_eq!(count(&["zero"], false)?, 334);
    assert_eq!(count(&["zero", "one"], false)?, 667);
    assert_eq!(count(&["one"], true)?, 666);
    assert_eq!(count(&["none"], false)?, 0);
    Ok(())
}

/// A RabbitMQ 4.3.6 closes the connection of such a publish with an internal error (541).
#[test]
fn a_filter_value_that_is_no_text_is_none() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    let values = [
        FieldValue::from(7),
        FieldValue::from(true),
        FieldValue::Void,
        FieldValue::from(vec![FieldValue::from("a")]),
        FieldValue::Table(FieldTable::from([("a", 1)])),
        FieldValue::from("a"),
    ];
    for (number, value) in (0..).zip(values) {
        let message = Message::new(number).header("x-stream-filter-value", value);
        producer.publish_message(message)?;
    }
    let read = |unfiltered: bool| -> Result<Vec<u32>> {
        let reader = broker
            .reader::<u32>(log())
            .from(Offset::First)
            .filter(["a"]);
        let reader = match unfiltered {
            true => reader.match_unfiltered().build()?,
            false => reader.build()?,
        };
        Ok(reader.try_iter().map(|entry| *entry.unwrap()).collect())
    };
    assert_eq!(read(false)?, [5]);
    assert_eq!(read(true)?, [0, 1, 2, 3, 4, 5]);
    Ok(())
}

#[test]
fn a_user_who_may_not_read_any_more_gets_no_entry() -> Result {
    let broker = Broker::new();
    broker.add_user(User::new("alice").password("secret"))?;
    broker.declare(&log())?;
    broker.set_permissions("/", "alice", &Permissions::new("", "", ".*"))?;
    let connection = broker.connect("/", Credentials::new("alice", "secret"))?;
    let reader = connection
        .reader::<u32>(Queue::existing("log"))
        .from(Offset::First)
        .build()?;
    broker.producer::<u32>(log())?.publish(7)?;
    assert_eq!(*reader.try_recv()?, 7);
    broker.clear_permissions("/", "alice")?;
    assert!(matches!(
        reader.try_recv(),
        Err(TryRecvError::Cancelled(CancelReason::AccessRefused))
    ));
    Ok(())
}

#[test]
fn a_named_reader_goes_on_behind_its_stored_offset() -> Result {
    let broker = Broker::new();
    let _ = broker.producer::<u32>(log())?.publish_batch(0..10);
    let named = || {
        broker
            .reader::<u32>(log())
            .name("billing")
            .from(Offset::First)
            .build()
    };
    let first = named()?;
    assert_eq!(first.stored_offset(), None);
    for entry in first.try_iter().take(4) {
        first.store_offset(entry.unwrap().offset())?;
    }
    assert_eq!(
        (named()?.recv()?.offset(), named()?.stored_offset()),
        (4, Some(3))
    );
    let nameless = from_first::<u32>(&broker)?;
    assert_eq!(
        nameless.store_offset(1).unwrap_err().reply_code(),
        Some(406)
    );
    Ok(())
}

#[test]
fn the_times_of_entries_are_those_of_the_clock() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>(log())?;
    producer.publish(1)?;
    clock.advance(crate::common::HOUR);
    producer.publish(2)?;
    let reader = from_first::<u32>(&broker)?;
    let (first, second) = (reader.recv()?, reader.recv()?);
    let between = second
        .timestamp()
        .duration_since(first.timestamp())
        .unwrap();
    assert_eq!(between, crate::common::HOUR);
    Ok(())
}
