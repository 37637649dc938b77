//! Readers of streams against publishers, retention and ends.

use super::*;
use crate::model::descriptions::Offset;

fn log() -> Queue {
    Queue::stream("log")
}

/// Reads until the stream ends. Returns the offsets.
fn read_all(reader: &crate::handles::reader::Reader<u32>) -> Vec<u64> {
    reader.iter().map(|entry| entry.unwrap().offset()).collect()
}

#[test]
fn a_waiting_reader_gets_each_message_once_and_in_order() {
    explore(|| {
        let broker = Broker::new();
        let reader = broker
            .reader::<u32>(log())
            .from(Offset::First)
            .build()
            .unwrap();
        let reading = thread::spawn(move || {
            let read = (0..3).map(|_| reader.recv().unwrap().offset());
            read.collect::<Vec<_>>()
        });
        let publishing = [0, 1].map(|first| {
            let producer = broker.producer::<u32>(log()).unwrap();
            thread::spawn(move || {
                (first..2).for_each(|number| drop(producer.publish(number).unwrap()));
            })
        });
        publishing.map(|thread| thread.join().unwrap());
        assert_eq!(reading.join().unwrap(), [0, 1, 2]);
    });
}

#[test]
fn a_batch_wakes_a_reader_and_no_other_message_comes_into_it() {
    explore(|| {
        let broker = Broker::new();
        let batch = broker.producer::<u32>(log()).unwrap();
        // The first message begins a segment, and a batch that does so comes one by one.
        batch.publish(9).unwrap();
        let reader = broker
            .reader::<u32>(log())
            .from(Offset::At(1))
            .build()
            .unwrap();
        let reading = thread::spawn(move || {
            let read = (0..3).map(|_| *reader.recv().unwrap());
            read.collect::<Vec<_>>()
        });
        let single = broker.producer::<u32>(log()).unwrap();
        let publishing = thread::spawn(move || drop(single.publish(2).unwrap()));
        assert!(batch.publish_batch(0..2).all(|it| it.is_ok()));
        publishing.join().unwrap();
        let read = reading.join().unwrap();
        assert!(read == [0, 1, 2] || read == [2, 0, 1], "{read:?}");
    });
}

#[test]
fn two_readers_are_both_woken_by_one_message() {
    explore(|| {
        let broker = Broker::new();
        let reading = [(), ()].map(|()| {
            let reader = broker
                .reader::<u32>(log())
                .from(Offset::First)
                .build()
                .unwrap();
            thread::spawn(move || *reader.recv().unwrap())
        });
        let producer = broker.producer::<u32>(log()).unwrap();
        producer.publish(7).unwrap();
        assert_eq!(join(reading), [7, 7]);
    });
}

#[test]
fn a_reader_that_retention_overtakes_misses_what_it_counts() {
    explore(|| {
        let broker = Broker::new();
        // Each message is a segment, and one more is kept.
        let log = log().max_segment_bytes(0).max_length_bytes(250);
        let reader = broker
            .reader::<u32>(&log)
            .from(Offset::First)
            .build()
            .unwrap();
        let producer = broker.producer::<u32>(&log).unwrap();
        let publishing = thread::spawn(move || {
            (0..5).for_each(|number| drop(producer.publish(number).unwrap()));
        });
        let mut read = Vec::new();
        while read.last() != Some(&4) {
            read.push(reader.recv().unwrap().offset());
        }
        publishing.join().unwrap();
        assert!(read.is_sorted());
        assert_eq!(read.len() as u64 + reader.lagged(), 5);
    });
}

#[test]
fn the_deletion_of_a_stream_ends_a_reader_that_waits_or_reads() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(log()).unwrap();
        producer.publish(0).unwrap();
        let reader = broker
            .reader::<u32>(log())
            .from(Offset::First)
            .build()
            .unwrap();
        let reading = thread::spawn(move || read_all(&reader));
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&log()).unwrap()
        });
        // It may be too late.
        let _ = producer.publish(1);
        deleting.join().unwrap();
        let read = reading.join().unwrap();
        assert!([0, 1].starts_with(&read), "{read:?}");
    });
}

#[test]
fn a_seek_wakes_a_thread_that_waits_for_the_next_message() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(log()).unwrap();
        producer.publish(7).unwrap();
        let reader = Arc::new(broker.reader::<u32>(log()).build().unwrap());
        let reading = thread::spawn({
            let reader = Arc::clone(&reader);
            move || *reader.recv().unwrap()
        });
        reader.seek(Offset::First);
        assert_eq!(reading.join().unwrap(), 7);
    });
}

#[test]
fn the_end_of_the_broker_ends_a_reader() {
    explore(|| {
        let broker = Broker::new();
        let reader = broker.reader::<u32>(log()).build().unwrap();
        let reading = thread::spawn(move || read_all(&reader));
        drop(broker);
        assert!(reading.join().unwrap().is_empty());
    });
}

#[test]
fn a_consumer_of_a_stream_gets_what_its_credit_allows() {
    explore(|| {
        let broker = Broker::new();
        let consumer = broker
            .consumer_builder::<u32>(log())
            .prefetch(1)
            .build()
            .unwrap();
        let producer = broker.producer::<u32>(log()).unwrap();
        let publishing = thread::spawn(move || {
            (0..3).for_each(|number| drop(producer.publish(number).unwrap()));
        });
        for number in 0..3 {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        }
        publishing.join().unwrap();
    });
}

#[test]
fn a_reader_that_leaves_drops_the_last_block_outside_of_all_locks() {
    explore(|| {
        let alive = Arc::new(());
        let broker = Broker::new();
        let log = log().max_segment_bytes(0).max_length_bytes(0);
        let producer = broker
            .producer::<crate::message::payload::LocalArc<()>>(&log)
            .unwrap();
        let publish = |producer: &crate::handles::producer::Producer<_>| {
            let shared = crate::message::payload::LocalArc(Arc::clone(&alive));
            producer.publish(shared).unwrap();
        };
        publish(&producer);
        let reader = broker.reader(&log).from(Offset::First).build().unwrap();
        let entry: crate::handles::reader::Entry<crate::message::payload::LocalArc<()>> =
            reader.recv().unwrap();
        let leaving = thread::spawn(move || drop((reader, entry)));
        publish(&producer);
        leaving.join().unwrap();
        drop((producer, broker));
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}
