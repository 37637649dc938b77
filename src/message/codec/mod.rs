//! Codecs: how a payload becomes octets and back, where that is needed.
//!
//! A [`Codec`] belongs to a producer, and is used only when a message leaves its native form.
//! [`Codecs`] is the set that a consumer decodes with. A codec sees a [`Value`]
//! without its type, so that one object serves every payload type. Text and octets do not use a
//! codec when they are sent as such. This module does not know messages or queues.
//!
//! Every `encode` and `decode` runs user code, since serde's traits are implemented by the user.
//! Never call one under a lock. One that panics is one that fails: the callers contain the panic.

#[cfg(feature = "cbor")]
mod cbor;
mod compression;
mod formats;
#[cfg(feature = "msgpack")]
mod msgpack;
mod user_codec;
mod value;

#[cfg(feature = "cbor")]
pub use self::cbor::Cbor;
#[cfg(feature = "gzip")]
pub use self::compression::Gzip;
#[cfg(feature = "zstd")]
pub use self::compression::Zstd;
pub use self::formats::{Json, Raw, Text};
#[cfg(feature = "msgpack")]
pub use self::msgpack::MsgPack;
pub use self::value::{Reader, Value};
pub(crate) use self::{compression::is_compression, user_codec::UserCodec};

use crate::model::error::CodecError;
use serde::de::DeserializeOwned;
use std::{
    borrow::Cow,
    fmt::{self, Debug},
    sync::{Arc, LazyLock},
};

/// A way to encode payloads, named by its content type.
///
/// A producer has one codec. Its consumers need the codec in their [`Codecs`]. [`Json`] is the
/// default of both. The broker reads the names of a codec once, when it gets the codec. A codec
/// that panics counts as one that fails.
///
/// ```
/// use leveret::CodecError;
/// use leveret::codec::{Codec, Codecs, Reader, Value};
///
/// /// JSON with line breaks, for people who read messages.
/// #[derive(Debug)]
/// struct PrettyJson;
///
/// impl Codec for PrettyJson {
///     fn content_type(&self) -> &str {
///         "application/vnd.example.pretty+json"
///     }
///
///     fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
///         serde_json::to_vec_pretty(&value)
///             .map_err(|error| CodecError::new(self.content_type(), error))
///     }
///
///     fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
///         reader.read(&mut serde_json::Deserializer::from_slice(octets))
///     }
/// }
///
/// let octets = PrettyJson.encode(Value::new(&vec![1, 2]))?;
/// assert_eq!(octets, b"[\n  1,\n  2\n]");
///
/// let codecs = Codecs::default().with(PrettyJson);
/// let list: Vec<u32> = codecs.decode(&octets, Some("application/vnd.example.pretty+json"))?;
/// assert_eq!(list, [1, 2]);
/// # Ok::<(), CodecError>(())
/// ```
pub trait Codec: Debug + Send + Sync {
    /// The content type of the encoded octets, such as `application/json`, without parameters.
    fn content_type(&self) -> &str;

    /// The content encoding of its messages, if there is one, such as `utf-8`. If it is `gzip` or
    /// `zstd`, consumers undo that compression before a codec decodes the octets.
    fn content_encoding(&self) -> Option<&str> {
        None
    }

    /// The short name that [`Codecs::accept`] takes beside the content type: `json` for
    /// `application/json`.
    fn name(&self) -> &str {
        let content_type = self.content_type();
        content_type
            .rsplit_once('/')
            .map_or(content_type, |(_, subtype)| subtype)
    }

    /// Encodes one value.
    ///
    /// # Errors
    ///
    /// If the value does not serialize, or the format cannot hold it.
    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError>;

    /// Calls `reader` once, with a deserializer over `octets`.
    ///
    /// # Errors
    ///
    /// If `octets` are not in this format, or `reader` fails.
    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError>;
}

/// Decodes one `T` by `codec`. Runs user code.
pub(crate) fn decode_with<T: DeserializeOwned>(
    codec: &dyn Codec,
    octets: &[u8],
) -> Result<T, CodecError> {
    let mut value = None;
    let mut read = |deserializer: &mut dyn erased_serde::Deserializer<'_>| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    };
    codec.decode(octets, &mut Reader::new(codec.content_type(), &mut read))?;
    value.ok_or_else(|| CodecError::new(codec.content_type(), "the codec read no value"))
}

/// The codecs of a consumer: the content types that it accepts, and how it decodes them.
///
/// The default accepts JSON, text and raw octets. A message whose payload has the consumer's own
/// type is not decoded. A set restricted by [`accept`](Codecs::accept) still refuses such a message
/// if the set does not have its content type. Whether a message is accepted therefore does not
/// depend on the form in which it travelled.
/// ```
/// use leveret::codec::Codecs;
///
/// let codecs = Codecs::default().accept(["json"])?;
/// assert!(codecs.accepts("application/json; charset=utf-8"));
/// assert!(!codecs.accepts("text/plain"));
/// # Ok::<(), leveret::CodecError>(())
/// ```
#[derive(Clone)]
pub struct Codecs {
    /// Consumers with the same codecs share them.
    codecs: Arc<Vec<Arc<dyn Codec>>>,
    restricted: bool,
    /// The most octets that a payload decompresses to.
    most_decompressed: u64,
}

impl Codecs {
    /// A set without codecs; [`with`](Codecs::with) adds some. It counts as restricted.
    ///
    /// # Examples
    /// ```
    /// use leveret::{codec::{Codecs, Text}};
    /// let codecs = Codecs::none().with(Text);
    /// assert_eq!(codecs.content_types().collect::<Vec<_>>(), ["text/plain"]);
    /// assert!(codecs.get("application/json").is_none());
    /// ```
    pub fn none() -> Self {
        Self {
            codecs: Arc::default(),
            restricted: true,
            most_decompressed: compression::MOST_DECOMPRESSED,
        }
    }

    /// Adds a codec. It replaces a codec with the same content type.
    #[must_use]
    pub fn with(mut self, codec: impl Codec + 'static) -> Self {
        self.add(Arc::new(UserCodec::new(codec)));
        self
    }

    fn add(&mut self, codec: Arc<dyn Codec>) {
        let codecs = Arc::make_mut(&mut self.codecs);
        codecs.retain(|other| !same_type(other.content_type(), codec.content_type()));
        codecs.push(codec);
    }

    /// As [`with`](Self::with), for the codec of a producer.
    #[cfg(feature = "testing")]
    pub(crate) fn with_shared(mut self, codec: Arc<dyn Codec>) -> Self {
        self.add(codec);
        self
    }

    /// Keeps only the named codecs, by content type (`application/json`) or by [name](Codec::name)
    /// (`json`).
    ///
    /// # Errors
    ///
    /// If the set has no codec of that name.
    pub fn accept<I>(self, names: I) -> Result<Self, CodecError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut codecs: Vec<Arc<dyn Codec>> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let found = self
                .codecs
                .iter()
                .find(|codec| codec.name() == name || same_type(codec.content_type(), name));
            let Some(codec) = found else {
                return Err(CodecError::new(
                    name,
                    format!("no codec of that name; there are {}", self.named()),
                ));
            };
            if !codecs
                .iter()
                .any(|other| same_type(other.content_type(), codec.content_type()))
            {
                codecs.push(Arc::clone(codec));
            }
        }
        Ok(Self {
            codecs: Arc::new(codecs),
            restricted: true,
            ..self
        })
    }

    /// Limits the size of a decompressed payload, in bytes. The default is 64 MiB. A payload that
    /// is larger does not decode, and [`CodecError::exceeded_limit`] has the limit. So a small
    /// message cannot fill the memory.
    ///
    /// It needs the feature `gzip` or `zstd`.
    ///
    /// # Examples
    /// ```
    /// use leveret::RecvError;
    /// use leveret::codec::{Codecs, Json};
    ///
    /// let broker = leveret::Broker::builder().always_encode().build();
    /// # #[cfg(feature = "gzip")]
    /// let codec = leveret::codec::Gzip::new(Json);
    /// # #[cfg(not(feature = "gzip"))]
    /// # let codec = leveret::codec::Zstd::new(Json);
    /// let producer = broker.producer_builder::<Vec<u32>>("q").codec(codec).build()?;
    /// producer.publish(vec![0; 10_000])?;
    ///
    /// let builder = broker.consumer_builder::<Vec<u32>>("q");
    /// let consumer = builder.codecs(Codecs::default().max_decompressed(1_000)).build()?;
    /// let Err(RecvError::Decode(undecoded)) = consumer.recv() else { panic!("it decodes") };
    /// assert_eq!(undecoded.error().exceeded_limit(), Some(1_000));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    #[must_use]
    pub fn max_decompressed(mut self, bytes: u64) -> Self {
        self.most_decompressed = bytes;
        self
    }

    /// The codec for a content type. Parameters and the case of letters do not matter.
    pub fn get(&self, content_type: &str) -> Option<&Arc<dyn Codec>> {
        self.codecs
            .iter()
            .find(|codec| same_type(codec.content_type(), content_type))
    }

    /// Whether the set has a codec for `content_type`.
    pub fn accepts(&self, content_type: &str) -> bool {
        self.get(content_type).is_some()
    }

    /// The accepted content types, in the order in which their codecs were added.
    pub fn content_types(&self) -> impl Iterator<Item = &str> {
        self.codecs.iter().map(|codec| codec.content_type())
    }

    /// Decodes one value. The first codec of the set (by default JSON) decodes a message without a
    /// content type.
    ///
    /// # Errors
    ///
    /// If the content type is not accepted, or the octets do not decode to a `T`.
    ///
    /// # Examples
    /// ```
    /// use leveret::codec::Codecs;
    /// let codecs = Codecs::default();
    /// assert_eq!(codecs.decode::<u32>(b"7", None)?, 7);
    /// assert!(codecs.decode::<u32>(b"7", Some("application/yaml")).is_err());
    /// assert!(codecs.decode::<u32>(b"seven", Some("application/json")).is_err());
    /// # Ok::<(), leveret::CodecError>(())
    /// ```
    pub fn decode<T: DeserializeOwned>(
        &self,
        octets: &[u8],
        content_type: Option<&str>,
    ) -> Result<T, CodecError> {
        let codec = match content_type {
            Some(content_type) => self.get(content_type),
            None => self.codecs.first(),
        };
        match codec {
            Some(codec) => decode_with(codec.as_ref(), octets),
            None => Err(self.refusal(content_type)),
        }
    }

    /// A set with one codec, which refuses no content type.
    pub(crate) fn only(codec: Arc<dyn Codec>) -> Codecs {
        Codecs {
            codecs: Arc::new(vec![codec]),
            restricted: false,
            most_decompressed: compression::MOST_DECOMPRESSED,
        }
    }

    /// The first codec.
    pub(crate) fn first(&self) -> &dyn Codec {
        self.codecs.first().map_or(&Json, |codec| &**codec)
    }

    /// Undoes the compression of octets, if their content encoding is one.
    ///
    /// # Errors
    ///
    /// If the octets do not decompress, or are too many then.
    pub(crate) fn undo_compression<'a>(
        &self,
        octets: &'a [u8],
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Result<Cow<'a, [u8]>, CodecError> {
        let content_type = content_type.unwrap_or(NO_CONTENT_TYPE);
        compression::undo(
            octets,
            content_type,
            content_encoding,
            self.most_decompressed,
        )
    }

    pub(crate) fn is_restricted(&self) -> bool {
        self.restricted
    }

    /// Refuses a content type that a restricted set does not have. A message without a content type
    /// passes.
    pub(crate) fn check(&self, content_type: Option<&str>) -> Result<(), CodecError> {
        match content_type {
            Some(named) if self.restricted && !self.accepts(named) => {
                Err(self.refusal(content_type))
            }
            _ => Ok(()),
        }
    }

    fn refusal(&self, content_type: Option<&str>) -> CodecError {
        CodecError::new(
            content_type.unwrap_or(NO_CONTENT_TYPE),
            format!("not an accepted content type; accepted: {}", self.named()),
        )
    }

    fn named(&self) -> String {
        self.content_types().collect::<Vec<_>>().join(", ")
    }
}

impl Default for Codecs {
    fn default() -> Self {
        static DEFAULT: LazyLock<Arc<Vec<Arc<dyn Codec>>>> =
            LazyLock::new(|| Arc::new(vec![Arc::new(Json), Arc::new(Text), Arc::new(Raw)]));
        Self {
            codecs: Arc::clone(&DEFAULT),
            restricted: false,
            most_decompressed: compression::MOST_DECOMPRESSED,
        }
    }
}

impl Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.content_types()).finish()
    }
}

/// The content type in errors about a message without one.
const NO_CONTENT_TYPE: &str = "no content type";

fn failure(codec: &dyn Codec, error: impl fmt::Display) -> CodecError {
    CodecError::new(codec.content_type(), error)
}

#[cfg(any(feature = "cbor", feature = "msgpack"))]
const TRAILING: &str = "there are octets behind the value";

/// Whether two content types are the same, except for parameters (`; charset=utf-8`) and the case
/// of letters.
fn same_type(one: &str, other: &str) -> bool {
    essence(one).eq_ignore_ascii_case(essence(other))
}

/// Whether a content type is some kind of text.
pub(crate) fn is_text(content_type: &str) -> bool {
    essence(content_type)
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("text/"))
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests;
