//! Encodings and decodings that panic count as failed ones: the message is rejected and counted.

use std::{fmt, panic};

use leveret::{
    Broker, CodecError, Consumer, Error, Overflow, Payload, Queue, QueueSnapshot, RecvError,
    Requeue, Result,
    channel::AckMode,
    codec::{Codec, Codecs, Reader, Value},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{SECOND, channel_of, queue, rest};

/// Skips the panic hook, so that the tests print nothing.
fn accident() -> ! {
    panic::resume_unwind(Box::new("an accident in user code"))
}

/// Its serialization panics.
#[derive(Debug, Deserialize, PartialEq)]
struct Closed(u32);

impl Serialize for Closed {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        accident()
    }
}

/// Its deserialization panics.
#[derive(Debug, Serialize)]
struct Bomb;

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Bomb, D::Error> {
        accident()
    }
}

/// Panics at everything but its names.
struct Broken;

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broken")
    }
}

impl Codec for Broken {
    fn content_type(&self) -> &str {
        "application/x-broken"
    }

    fn encode(&self, _: Value<'_>) -> Result<Vec<u8>, CodecError> {
        accident()
    }

    fn decode(&self, _: &[u8], _: &mut Reader<'_>) -> Result<(), CodecError> {
        accident()
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        accident()
    }
}

fn counts(broker: &Broker, name: &str) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts[0].queues.iter();
    queues.find(|queue| *queue.name == *name).unwrap().clone()
}

/// Receives the first of two messages, whose payload does not decode, and drops it. The second one
/// decodes. The first one was rejected.
fn the_first_is_rejected<T: Payload + fmt::Debug>(broker: &Broker, consumer: &Consumer<T>) {
    match consumer.recv() {
        Err(RecvError::Decode(undecoded)) => {
            let text = undecoded.error().to_string();
            assert!(text.contains("has panicked"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    consumer.recv().unwrap().ack().unwrap();
    let counts = counts(broker, "q");
    assert_eq!((counts.dropped.messages, counts.acked.messages), (1, 1));
    assert_eq!(counts.ready.messages + counts.unsettled.messages, 0);
}

#[test]
fn a_payload_that_panics_when_it_is_encoded_is_rejected() {
    let broker = Broker::new();
    let closed = broker.producer::<Closed>(&queue()).unwrap();
    closed.publish(Closed(1)).unwrap();
    broker.producer(queue()).unwrap().publish(2_u32).unwrap();
    the_first_is_rejected(&broker, &broker.consumer::<u32>(&queue()).unwrap());
    closed.publish(Closed(3)).unwrap();
    let delivery = broker.consumer::<Closed>(&queue()).unwrap().recv().unwrap();
    assert_eq!(*delivery, Closed(3)); // it needs no encoding
    assert!(delivery.info().body().is_err());
}

#[test]
fn a_payload_that_panics_when_it_is_decoded_is_rejected() {
    let broker = Broker::new();
    let numbers = broker.producer::<u32>(&queue()).unwrap();
    numbers.publish(1).unwrap();
    broker.producer(queue()).unwrap().publish(Bomb).unwrap();
    the_first_is_rejected(&broker, &broker.consumer::<Bomb>(&queue()).unwrap());
}

#[test]
fn a_message_that_panics_when_it_is_decoded_can_go_back() -> Result {
    let broker = Broker::new();
    broker.producer(queue())?.publish(1_u32)?;
    let bombs = broker.consumer_builder::<Bomb>(&queue()).prefetch(1);
    let bombs = bombs.build()?;
    match bombs.recv() {
        Err(RecvError::Decode(undecoded)) => undecoded.nack(Requeue::Yes)?,
        other => panic!("{other:?}"),
    }
    bombs.cancel();
    assert_eq!(rest::<u32>(&broker, "q"), [(1, true)]);
    Ok(())
}

#[test]
fn a_codec_that_panics_is_one_that_fails() {
    let broker = Broker::new();
    let builder = broker.producer_builder::<Vec<u32>>(&queue()).codec(Broken);
    let producer = builder.build().unwrap();
    producer.publish(vec![1]).unwrap();
    broker.producer(queue()).unwrap().publish(2_u32).unwrap();
    drop(producer); // the message has the codec now, and drops it
    the_first_is_rejected(&broker, &broker.consumer::<u32>(&queue()).unwrap());
}

#[test]
fn a_consumers_codec_that_panics_is_one_that_fails() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    channel.queue_declare(&queue())?;
    let properties = leveret::Properties::new().content_type("application/x-broken");
    channel.basic_publish(
        "",
        "q",
        "?",
        properties,
        leveret::channel::PublishOptions::new(),
    )?;
    broker.producer(queue())?.publish(2_u32)?;
    let builder = broker.consumer_builder::<u32>(&queue());
    let consumer = builder.codecs(Codecs::default().with(Broken)).build()?;
    the_first_is_rejected(&broker, &consumer);
    drop(consumer);
    Ok(())
}

#[test]
fn a_batch_keeps_its_messages_if_the_next_one_panics() -> Result {
    let broker = Broker::new();
    for auto_ack in [false, true] {
        let queue = broker.declare(&Queue::temporary())?;
        let bombs = broker.producer::<Bomb>(&queue)?;
        bombs.publish(Bomb)?;
        bombs.publish(Bomb)?;
        broker.producer(&queue)?.publish(3_u32)?;
        let builder = broker.consumer_builder::<Bomb>(&queue);
        let consumer = match auto_ack {
            false => builder.build()?,
            true => builder.auto_ack().build()?,
        };
        let batch = consumer.recv_batch(3, SECOND)?;
        assert_eq!(batch.len(), 2);
        let next = consumer.recv_batch(3, SECOND);
        assert!(matches!(next, Err(RecvError::Decode(_))));
    }
    Ok(())
}

#[test]
fn what_must_be_encoded_and_panics_comes_back_to_its_publisher() {
    let broker = Broker::builder().always_encode().build();
    let closed = broker.producer::<Closed>(&queue()).unwrap();
    let (error, payload) = closed.publish(Closed(1)).unwrap_err().into_parts();
    assert!(matches!(error, Error::Codec(_)), "{error}");
    assert_eq!(payload, Some(Closed(1)));
    assert!(closed.publish_batch([Closed(2)]).all(|it| it.is_err()));
    assert_eq!(counts(&broker, "q").taken_in.messages, 0);
}

#[test]
fn the_copy_of_a_refused_message_may_panic() {
    let broker = Broker::new();
    let exchange = leveret::Exchange::fanout("x");
    let dead = broker.declare(&Queue::new("dead")).unwrap();
    let full = Queue::new("full").max_length(1).dead_letter_exchange("");
    let full = full.dead_letter_routing_key("dead");
    let full = full
        .overflow(Overflow::RejectPublishDlx)
        .bind(&exchange, "");
    let open = Queue::new("open").max_length(1).bind(&exchange, "");
    let open = open
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    broker.declare(&open).unwrap();
    broker.declare(&full).unwrap();
    let closed = broker.producer::<Closed>(&exchange).unwrap();
    assert_eq!(closed.publish(Closed(1)).unwrap().routed, 2);
    let published = closed.publish(Closed(2)).unwrap();
    assert_eq!((published.routed, published.refused), (1, 1));
    // The dead letter of the other queue is not lost with the copy.
    let dead = broker.consumer::<Closed>(&dead).unwrap();
    assert_eq!(*dead.recv().unwrap(), Closed(1));
}

#[test]
fn a_channel_gets_an_error_for_a_body_that_panics() -> Result {
    let broker = Broker::new();
    broker.producer(queue())?.publish(Closed(1)).unwrap();
    let channel = channel_of(&broker)?;
    let got = channel.basic_get("q", AckMode::Manual)?.unwrap();
    assert!(got.body().is_err());
    Ok(())
}
