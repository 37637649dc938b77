//! How messages come into streams.

use std::time::Duration;

use leveret::channel::{ConsumeOptions, Event, PublishOptions, QosScope};
use leveret::{Broker, Exchange, Local, Message, Offset, Properties, Queue, Result};

use crate::common::{channel_of, on_a_manual_clock};

fn log() -> Queue {
    Queue::stream("log")
}

#[test]
fn a_stream_is_one_of_several_queues_of_an_exchange() -> Result {
    let broker = Broker::new();
    let news = Exchange::fanout("news");
    broker.declare(&log().bind(&news, ""))?;
    broker.declare(&Queue::new("q").bind(&news, ""))?;
    let published = broker
        .producer::<String>(&news)?
        .publish("hello".to_owned())?;
    assert_eq!(published.routed, 2);
    let reader = broker.reader::<String>(log()).from(Offset::First).build()?;
    assert_eq!(
        (
            reader.recv()?.as_str(),
            &*reader.recv_timeout(Duration::ZERO).unwrap_err().to_string()
        ),
        ("hello", "timed out waiting for a message")
    );
    assert_eq!(*broker.simple_queue::<String>("q")?.get()?, "hello");
    Ok(())
}

#[test]
fn a_stream_delays_no_message_itself_and_a_delayed_exchange_does() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let second = Duration::from_secs(1);
    let producer = broker.producer::<u32>(log())?;
    let refused = producer.publish_message(Message::new(1).deliver_after(second));
    assert_eq!(refused.unwrap_err().error().reply_code(), Some(540));
    let later = Exchange::fanout("later").delayed();
    broker.declare(&log().bind(&later, ""))?;
    broker
        .producer::<u32>(&later)?
        .publish_message(Message::new(2).delay(second))?;
    producer.publish(3)?;
    clock.advance(second);
    let reader = broker.reader::<u32>(log()).from(Offset::First).build()?;
    assert!(reader.try_iter().map(|entry| *entry.unwrap()).eq([3, 2]));
    Ok(())
}

#[test]
fn the_messages_of_a_batch_have_their_offsets_and_retention_counts_them() -> Result {
    let broker = Broker::new();
    // Segments end in the middle of the batch.
    let log = log().max_segment_bytes(2_000).max_length_bytes(4_000);
    let reader = broker.reader::<Vec<u8>>(&log).from(Offset::First).build()?;
    let producer = broker.producer::<Vec<u8>>(&log)?;
    let results = producer.publish_batch((0..200).map(|number| vec![number; 100]));
    assert!(results.iter().all(|result| result.is_ok()));
    let read = reader.try_iter().map(|entry| entry.unwrap());
    let read: Vec<_> = read.map(|entry| (entry.offset(), entry[0])).collect();
    assert!((read.iter()).all(|(offset, number)| *offset == u64::from(*number)));
    assert_eq!(read.last(), Some(&(199, 199)));
    assert_eq!(read.len() as u64 + reader.lagged(), 200);
    let snapshot = broker.snapshot()?;
    assert_eq!(snapshot.queue("log").unwrap().taken_in.messages, 200);
    Ok(())
}

#[test]
fn a_batch_of_values_that_readers_cannot_share_is_given_back() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<Local<u32>>(log())?;
    let results = producer.publish_batch((0..100).map(Local));
    let given_back = results.into_iter().map(|result| result.unwrap_err());
    assert!(
        given_back
            .map(|error| error.into_inner().unwrap().0)
            .eq(0..100)
    );
    let reader = broker.reader::<u32>(log()).from(Offset::First).build()?;
    assert!(reader.try_recv().is_err());
    Ok(())
}

#[test]
fn an_export_copies_the_messages_of_a_stream() -> Result {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(log())?;
    for number in 0..1_000 {
        producer.publish(number)?;
    }
    let exported = broker.export_messages("log")?;
    for (number, message) in (0..1_000).zip(exported) {
        assert_eq!(message.position(), number);
        assert_eq!(&**message.body().unwrap(), number.to_string().as_bytes());
    }
    Ok(())
}

#[test]
fn an_expiration_has_no_meaning_in_a_stream() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let second = Duration::from_secs(1);
    let producer = broker.producer::<u32>(log())?;
    producer.publish_message(Message::new(7).expiration(second))?;
    clock.advance(second * 10);
    let entry = broker
        .reader::<u32>(log())
        .from(Offset::First)
        .build()?
        .try_recv()?;
    assert_eq!(
        (*entry, entry.info().properties().expiration.as_deref()),
        (7, Some("1000"))
    );
    Ok(())
}

#[test]
fn a_typed_message_shows_its_offset_to_a_channel() -> Result {
    let broker = Broker::new();
    broker.producer::<u32>(log())?.publish(7)?;
    let channel = channel_of(&broker)?;
    channel.basic_qos(0, 10, QosScope::Consumer)?;
    let options = ConsumeOptions::new().argument("x-stream-offset", "first");
    channel.basic_consume("log", options)?;
    channel.basic_publish("", "log", "8", Properties::new(), PublishOptions::new())?;
    for (offset, body) in [(0, "7"), (1, "8")] {
        let Event::Delivery(delivery) = channel.events().recv()? else {
            panic!("no delivery");
        };
        let shown = delivery
            .properties()
            .header_value("x-stream-offset")
            .unwrap();
        assert_eq!(
            (shown.as_i64(), &*delivery.body()?),
            (Some(offset), body.as_bytes())
        );
    }
    Ok(())
}
