//! Streams that come back.

use std::time::Duration;

use leveret::{Broker, Bytes, Exchange, Local, LocalArc, ManualClock, Offset, Queue, Reader};

use super::Folder;

fn log() -> Queue {
    Queue::stream("log")
}

fn from_first(broker: &Broker) -> Reader<u32> {
    let log = Queue::existing("log");
    broker.reader(&log).from(Offset::First).build().unwrap()
}

fn numbers(reader: &Reader<u32>) -> Vec<(u64, u32)> {
    let entries = reader.try_iter().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.offset(), *entry)).collect()
}

#[test]
fn a_stream_comes_back_with_its_offsets_and_times_and_goes_on() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let broker = || {
        let builder = Broker::builder().clock(clock.clone()).data_dir(&folder.0);
        builder.build().unwrap()
    };
    let times = |broker: &Broker| -> Vec<_> {
        let reader = from_first(broker);
        let entries = reader.try_iter().map(|entry| entry.unwrap());
        entries
            .map(|entry| (entry.offset(), entry.timestamp()))
            .collect()
    };
    let before = {
        let broker = broker();
        let producer = broker.producer::<u32>(log()).unwrap();
        for number in 0..1_000 {
            producer.publish(number).unwrap();
            clock.advance(Duration::from_millis(5));
        }
        times(&broker)
    };
    let broker = broker();
    assert_eq!(times(&broker), before);
    broker
        .producer::<u32>(log())
        .unwrap()
        .publish(1_000)
        .unwrap();
    let read = numbers(&from_first(&broker));
    assert!(
        read.iter()
            .copied()
            .eq((0..=1_000).map(|number| (number.into(), number)))
    );
    let last = broker
        .reader::<u32>(log())
        .from(Offset::Timestamp(before[700].1));
    assert_eq!(last.build().unwrap().recv().unwrap().offset(), 700);
}

#[test]
fn what_retention_has_dropped_does_not_come_back_and_offsets_do_not_begin_anew() {
    let folder = Folder::new();
    let log = log().max_segment_bytes(300).max_length_bytes(600);
    let (first, next) = {
        let broker = folder.broker();
        let producer = broker.producer::<u32>(&log).unwrap();
        for number in 0..100 {
            producer.publish(number).unwrap();
        }
        let snapshot = broker.snapshot().unwrap();
        let stream = snapshot.vhosts[0].queues[0].stream.clone().unwrap();
        (stream.first_offset, stream.next_offset)
    };
    assert!(first > 80 && next == 100);
    let broker = folder.broker();
    let read = numbers(&from_first(&broker));
    assert!(read.iter().map(|(offset, _)| *offset).eq(first..next));
    broker.producer::<u32>(&log).unwrap().publish(100).unwrap();
    let last = broker
        .reader::<u32>(&log)
        .from(Offset::Last)
        .build()
        .unwrap();
    assert_eq!(last.recv().unwrap().offset(), 100);
}

#[test]
fn settlements_of_consumers_take_nothing_from_the_disk() {
    let folder = Folder::new();
    {
        let broker = folder.broker();
        let consumer = broker.consumer::<u32>(log()).unwrap();
        let producer = broker.producer::<u32>(log()).unwrap();
        for number in 0..10 {
            producer.publish(number).unwrap();
            consumer.recv().unwrap().ack().unwrap();
        }
    }
    assert_eq!(numbers(&from_first(&folder.broker())).len(), 10);
}

#[test]
fn stored_offsets_come_back_and_go_with_their_stream() {
    let folder = Folder::new();
    let named = |broker: &Broker| {
        let reader = broker.reader::<u32>(log()).name("billing");
        reader.from(Offset::First).build().unwrap()
    };
    {
        let broker = folder.broker();
        let _ = broker.producer::<u32>(log()).unwrap().publish_batch(0..10);
        let reader = named(&broker);
        reader.store_offset(3).unwrap();
        reader.store_offset(5).unwrap();
    }
    {
        let broker = folder.broker();
        let reader = named(&broker);
        let read = (reader.stored_offset(), reader.recv().unwrap().offset());
        assert_eq!(read, (Some(5), 6));
        broker.delete(&log()).unwrap();
    }
    let broker = folder.broker();
    assert_eq!(named(&broker).stored_offset(), None);
    assert!(numbers(&from_first(&broker)).is_empty());
}

#[test]
fn an_offset_of_a_deleted_stream_is_not_that_of_the_next_one_of_its_name() {
    let folder = Folder::new();
    let named = |broker: &Broker| {
        let reader = broker.reader::<u32>(log()).name("billing");
        reader.from(Offset::First).build().unwrap()
    };
    {
        let broker = folder.broker();
        let old = named(&broker);
        broker.delete(&log()).unwrap();
        let _ = broker.producer::<u32>(log()).unwrap().publish_batch(0..10);
        let _ = old.store_offset(500);
    }
    let broker = folder.broker();
    let reader = named(&broker);
    assert_eq!(
        (reader.stored_offset(), reader.recv().unwrap().offset()),
        (None, 0)
    );
}

#[test]
fn a_message_that_goes_to_a_stream_and_a_queue_comes_back_in_both() {
    let folder = Folder::new();
    let news = Exchange::fanout("news").durable();
    let queue = Queue::new("q").durable().bind(&news, "");
    {
        let broker = folder.broker();
        broker
            .declare(
                &log()
                    .max_segment_bytes(0)
                    .max_length_bytes(0)
                    .bind(&news, ""),
            )
            .unwrap();
        broker.declare(&queue).unwrap();
        let producer = broker.producer_builder::<String>(&news);
        let producer = producer.properties(super::persistent()).build().unwrap();
        for number in 0..5 {
            producer.publish(format!("news {number}")).unwrap();
        }
    }
    let broker = folder.broker();
    let reader = broker
        .reader::<String>(Queue::existing("log"))
        .from(Offset::First);
    let entry = reader.build().unwrap().recv().unwrap();
    assert_eq!((entry.offset(), entry.as_str()), (4, "news 4"));
    let queue = broker.simple_queue::<String>(&queue).unwrap();
    for number in 0..5 {
        let delivery = queue.get().unwrap();
        assert_eq!(*delivery, format!("news {number}"));
        delivery.ack().unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_refused_by_a_durable_stream() {
    let folder = Folder::new();
    let broker = folder.broker();
    let arcs = broker.producer::<LocalArc<u32>>(log()).unwrap();
    assert!(arcs.publish(LocalArc::new(std::sync::Arc::new(7))).is_err());
    let locals = broker.producer::<Local<u32>>(log()).unwrap();
    assert!(locals.publish(Local(7)).is_err());
    broker.producer::<u32>(log()).unwrap().publish(7).unwrap();
    assert_eq!(numbers(&from_first(&broker)), [(0, 7)]);
}

#[test]
fn a_long_stream_is_in_memory_for_a_small_part_and_comes_back_whole() {
    const MESSAGES: u64 = 1_200;
    let folder = Folder::new();
    let body = |number: u64| Bytes::from(number.to_le_bytes().repeat(8 << 10));
    let memory = |broker: &Broker| {
        let snapshot = broker.snapshot().unwrap();
        let stream = snapshot.vhosts[0].queues[0].stream.clone().unwrap();
        (stream.next_offset, stream.memory_bytes)
    };
    let read = |broker: &Broker| {
        let reader = broker.reader::<Bytes>(Queue::existing("log"));
        let reader = reader.from(Offset::First).build().unwrap();
        let entries = reader.try_iter().map(|entry| entry.unwrap());
        entries.fold(0, |next, entry| {
            assert!(entry.offset() == next && *entry == body(next));
            next + 1
        })
    };
    {
        let broker = folder.broker();
        let producer = broker.producer::<Bytes>(log()).unwrap();
        for number in 0..MESSAGES {
            producer.publish(body(number)).unwrap();
        }
        let (next, memory) = memory(&broker);
        // The messages that are not in a file of the stream yet, of 75 MiB.
        assert!(next == MESSAGES && memory < 60 << 20, "{memory}");
        assert_eq!(read(&broker), MESSAGES);
    }
    assert!(folder.has_stream_files());
    let broker = folder.broker();
    let (next, memory) = memory(&broker);
    assert!(next == MESSAGES && memory < 60 << 20, "{memory}");
    assert_eq!(read(&broker), MESSAGES);
    drop(broker);
    Broker::builder().data_dir(&folder.0).compact().unwrap();
    assert_eq!(read(&folder.broker()), MESSAGES);
    folder.broker().delete(&log()).unwrap();
    let broker = folder.broker();
    assert!(!folder.has_stream_files());
    assert!(broker.snapshot().unwrap().vhosts[0].queues.is_empty());
}
