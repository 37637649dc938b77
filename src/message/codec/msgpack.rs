//! MessagePack.

use super::{Codec, Reader, TRAILING, Value, failure};
use crate::model::error::CodecError;

/// MessagePack, `application/x-msgpack`. It needs the feature `msgpack`.
///
/// A struct is a map with the names of its fields, as in JSON. So programs in other languages can
/// read it, and a reader may ignore fields that it does not know.
///
/// # RabbitMQ
/// The serializer `msgpack` of kombu, with the same content type and the same octets.
///
/// # Examples
/// ```
/// use leveret::codec::{Codec, Codecs, MsgPack, Value};
///
/// let broker = leveret::Broker::new();
/// let builder = broker.producer_builder::<Vec<(String, u32)>>("scores").codec(MsgPack);
/// builder.build()?.publish(vec![("Ada".to_owned(), 7)])?;
///
/// let builder = broker.consumer_builder::<Vec<(String, i64)>>("scores");
/// let consumer = builder.codecs(Codecs::default().with(MsgPack)).accept(["msgpack"]).build()?;
/// assert_eq!(*consumer.recv()?, [("Ada".to_owned(), 7)]);
/// assert_eq!(MsgPack.encode(Value::new(&7))?, [7]);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgPack;

/// How deep arrays and maps may be nested, as in JSON.
const MOST_NESTED: usize = 128;

impl Codec for MsgPack {
    fn content_type(&self) -> &str {
        "application/x-msgpack"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("binary")
    }

    fn name(&self) -> &str {
        "msgpack"
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        rmp_serde::to_vec_named(&value).map_err(|error| failure(self, error))
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let mut left = octets;
        let mut deserializer = rmp_serde::Deserializer::new(&mut left);
        deserializer.set_max_depth(MOST_NESTED);
        reader.read(&mut deserializer)?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(failure(self, TRAILING)),
        }
    }
}
