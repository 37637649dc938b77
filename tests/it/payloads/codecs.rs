//! Codecs and compressions, from producer to consumer.

use leveret::{
    Broker, Bytes, Message, Properties, RecvError, Result,
    codec::{Json, Value},
};
use serde::{Deserialize, Serialize};

#[cfg(feature = "cbor")]
use leveret::codec::Cbor;
#[cfg(feature = "gzip")]
use leveret::codec::Gzip;
#[cfg(feature = "msgpack")]
use leveret::codec::MsgPack;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use leveret::codec::Text;
#[cfg(feature = "zstd")]
use leveret::codec::Zstd;

#[cfg(any(
    feature = "cbor",
    feature = "gzip",
    feature = "msgpack",
    feature = "zstd"
))]
use leveret::codec::{Codec, Codecs};

use crate::common::queue;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u64,
    notes: Vec<String>,
}

/// The same message for a program that does not know the notes.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Id {
    id: u64,
}

#[cfg(any(
    feature = "cbor",
    feature = "gzip",
    feature = "msgpack",
    feature = "zstd"
))]
fn task() -> Task {
    Task {
        id: 7,
        notes: vec!["dig ".repeat(100)],
    }
}

fn brokers() -> [Broker; 2] {
    [Broker::new(), Broker::builder().always_encode().build()]
}

/// All codecs whose features are on.
#[cfg(any(
    feature = "cbor",
    feature = "gzip",
    feature = "msgpack",
    feature = "zstd"
))]
fn known() -> Codecs {
    let codecs = Codecs::default();
    #[cfg(feature = "msgpack")]
    let codecs = codecs.with(MsgPack);
    #[cfg(feature = "cbor")]
    let codecs = codecs.with(Cbor);
    codecs
}

#[cfg(any(
    feature = "cbor",
    feature = "gzip",
    feature = "msgpack",
    feature = "zstd"
))]
fn travels(codec: impl Codec + Clone + 'static, encoding: &str) -> Result {
    for broker in brokers() {
        let builder = broker.producer_builder::<Task>(&queue());
        let producer = builder.codec(codec.clone()).build()?;
        for _ in 0..3 {
            producer.publish(task())?;
        }
        let same = broker
            .consumer_builder::<Task>(&queue())
            .codecs(known())
            .prefetch(1)
            .build()?;
        let delivery = same.recv()?;
        assert_eq!(*delivery, task());
        let properties = delivery.info().properties().clone();
        assert_eq!(
            properties.content_type.as_deref(),
            Some(codec.content_type())
        );
        assert_eq!(properties.content_encoding.as_deref(), Some(encoding));
        delivery.ack()?;
        drop(same);
        let other = broker
            .consumer_builder::<Id>(&queue())
            .codecs(known())
            .prefetch(1)
            .build()?;
        let delivery = other.recv()?;
        assert_eq!(*delivery, Id { id: 7 });
        delivery.ack()?;
        drop(other);
        // A consumer of bytes gets the octets as they are.
        let octets = broker.consumer::<Bytes>(&queue())?.recv()?;
        assert_eq!(octets.info().body()?, *octets);
        assert_eq!(*octets, codec.encode(Value::new(&task()))?);
    }
    Ok(())
}

#[cfg(feature = "msgpack")]
#[test]
fn a_message_in_msgpack_arrives() -> Result {
    travels(MsgPack, "binary")
}

#[cfg(feature = "cbor")]
#[test]
fn a_message_in_cbor_arrives() -> Result {
    travels(Cbor, "binary")
}

#[cfg(feature = "gzip")]
#[test]
fn a_message_that_is_compressed_with_gzip_arrives() -> Result {
    travels(Gzip::new(Json), "gzip")?;
    #[cfg(feature = "msgpack")]
    travels(Gzip::new(MsgPack), "gzip")?;
    Ok(())
}

#[cfg(feature = "zstd")]
#[test]
fn a_message_that_is_compressed_with_zstd_arrives() -> Result {
    travels(Zstd::new(Json), "zstd")
}

#[cfg(feature = "msgpack")]
#[test]
fn a_consumer_without_the_codec_refuses_the_message() -> Result {
    for broker in brokers() {
        let builder = broker.producer_builder::<Task>(&queue()).codec(MsgPack);
        builder.build()?.publish(task())?;
        let received = broker.consumer::<Id>(&queue())?.recv();
        let Err(RecvError::Decode(undecoded)) = received else {
            panic!("{received:?}");
        };
        assert_eq!(undecoded.error().content_type(), "application/x-msgpack");
        undecoded.ack()?;
    }
    Ok(())
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
#[test]
fn a_payload_that_decompresses_to_too_much_does_not_decode() -> Result {
    #[cfg(feature = "gzip")]
    let codec = Gzip::new(Json);
    #[cfg(not(feature = "gzip"))]
    let codec = Zstd::new(Json);
    let broker = Broker::builder().always_encode().build();
    let producer = broker
        .producer_builder::<Task>(&queue())
        .codec(codec)
        .build()?;
    producer.publish(task())?;
    let consumer = |most| {
        let builder = broker.consumer_builder::<Task>(&queue());
        let codecs = Codecs::default().accept(["json"]).unwrap();
        builder.codecs(codecs.max_decompressed(most)).build()
    };
    let small = consumer(300)?;
    let Err(RecvError::Decode(undecoded)) = small.recv() else {
        panic!("it decodes");
    };
    assert_eq!(undecoded.error().exceeded_limit(), Some(300));
    undecoded.nack(leveret::Requeue::Yes)?;
    drop(small);
    assert_eq!(*consumer(1_000)?.recv()?, task());
    Ok(())
}

#[cfg(feature = "gzip")]
#[test]
fn compressed_text_from_elsewhere_is_a_string_again() -> Result {
    #[derive(Serialize, Deserialize)]
    struct Line(String);
    let broker = Broker::builder().always_encode().build();
    let builder = broker
        .producer_builder::<Line>(&queue())
        .codec(Gzip::new(Text));
    builder.build()?.publish(Line("hello".into()))?;
    assert_eq!(*broker.consumer::<String>(&queue())?.recv()?, "hello");
    Ok(())
}

#[cfg(feature = "gzip")]
#[test]
fn the_compression_is_named_though_the_message_has_a_content_type_of_its_own() -> Result {
    let broker = Broker::builder().always_encode().build();
    let builder = broker
        .producer_builder::<Task>(&queue())
        .codec(Gzip::new(Json));
    let producer = builder.build()?;
    let properties = Properties::new().content_type("application/json; v=2");
    producer.publish_message(Message::new(task()).properties(properties))?;
    let delivery = broker.consumer::<Task>(&queue())?.recv()?;
    assert_eq!(*delivery, task());
    assert_eq!(
        delivery.info().properties().content_encoding.as_deref(),
        Some("gzip")
    );
    Ok(())
}

#[test]
fn text_and_bytes_have_content_encodings_of_their_own() -> Result {
    #[cfg(feature = "gzip")]
    let codec = Gzip::new(Json);
    #[cfg(not(feature = "gzip"))]
    let codec = Json;
    for broker in brokers() {
        let text = broker
            .producer_builder::<String>("text")
            .codec(codec)
            .build()?;
        let octets = broker
            .producer_builder::<Vec<u8>>("octets")
            .codec(codec)
            .build()?;
        text.publish("hello".to_owned())?;
        octets.publish(b"hello".to_vec())?;
        let text = broker.consumer::<String>("text")?.recv()?;
        let octets = broker.consumer::<Vec<u8>>("octets")?.recv()?;
        let encoding = |info: &leveret::DeliveryInfo| info.properties().content_encoding.clone();
        assert_eq!(
            (&**text, encoding(text.info()).as_deref()),
            ("hello", Some("utf-8"))
        );
        assert_eq!(
            (&**octets, encoding(octets.info()).as_deref()),
            (&b"hello"[..], Some("binary"))
        );
    }
    Ok(())
}

#[cfg(not(all(feature = "gzip", feature = "zstd")))]
#[test]
fn a_compressed_message_names_the_feature_that_is_off() -> Result {
    let broker = Broker::new();
    for (feature, is_on) in [
        ("gzip", cfg!(feature = "gzip")),
        ("zstd", cfg!(feature = "zstd")),
    ] {
        if is_on {
            continue;
        }
        let properties = Properties::new().content_type("application/json");
        let message = Message::new(Bytes::from("?"));
        let message = message.properties(properties.content_encoding(feature));
        broker.producer(&queue())?.publish_message(message)?;
        let received = broker.consumer::<Task>(&queue())?.recv();
        let Err(RecvError::Decode(undecoded)) = received else {
            panic!("{received:?}");
        };
        assert!(
            undecoded
                .error()
                .message()
                .contains(&format!("the feature `{feature}`"))
        );
    }
    Ok(())
}

#[test]
fn a_payload_that_says_it_is_compressed_and_is_not_does_not_decode() -> Result {
    let broker = Broker::new();
    for encoding in ["gzip", "zstd"] {
        let message = Message::new(Bytes::from(r#"{"id":7}"#));
        let properties = Properties::new().content_type("application/json");
        let message = message.properties(properties.content_encoding(encoding));
        broker.producer(queue())?.publish_message(message)?;
        let received = broker.consumer::<Id>(&queue())?.recv();
        assert!(
            matches!(received, Err(RecvError::Decode(_))),
            "{received:?}"
        );
    }
    Ok(())
}
