//! A codec of the user, as producers, consumers and messages keep it.

use super::{Codec, Reader, Value};
use crate::{model::error::CodecError, runtime::user_drop::drop_user_value};
use std::fmt::{self, Debug};

/// Forwards to the user's codec.
///
/// Its names are read once, so that to ask for them later runs no user code. Its drop, which may
/// come with the last message, is contained.
pub(crate) struct UserCodec<C: Codec + 'static> {
    /// `None` only during the drop.
    codec: Option<C>,
    content_type: Box<str>,
    content_encoding: Option<Box<str>>,
    name: Box<str>,
}

impl<C: Codec + 'static> UserCodec<C> {
    /// Asks the codec for its names.
    pub(crate) fn new(codec: C) -> UserCodec<C> {
        UserCodec {
            content_type: codec.content_type().into(),
            content_encoding: codec.content_encoding().map(Into::into),
            name: codec.name().into(),
            codec: Some(codec),
        }
    }

    fn codec(&self) -> Result<&C, CodecError> {
        let codec = self.codec.as_ref();
        codec.ok_or_else(|| CodecError::new(&*self.content_type, "the codec is dropped"))
    }
}

impl<C: Codec + 'static> Codec for UserCodec<C> {
    fn content_type(&self) -> &str {
        &self.content_type
    }

    fn content_encoding(&self) -> Option<&str> {
        self.content_encoding.as_deref()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        self.codec()?.encode(value)
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        self.codec()?.decode(octets, reader)
    }
}

impl<C: Codec + 'static> Drop for UserCodec<C> {
    fn drop(&mut self) {
        if let Some(codec) = self.codec.take() {
            drop_user_value(codec);
        }
    }
}

impl<C: Codec + 'static> Debug for UserCodec<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.codec {
            Some(codec) => codec.fmt(f),
            None => f.write_str(&self.name),
        }
    }
}
