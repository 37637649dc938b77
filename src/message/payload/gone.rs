//! [`Gone`], the place of a payload that was moved out for good.

use std::any::Any;

use super::{
    Encoding, LOCAL,
    body::Body,
    forms::{ErasedPayload, Sharing},
};
use crate::{
    message::codec::Codec,
    model::{bytes::Bytes, error::CodecError},
};

/// The facts about a payload that was moved out. Its message is settled with the same size.
#[derive(Clone, Copy)]
pub(super) struct Gone {
    size: usize,
    type_name: &'static str,
    encoding: Option<Encoding>,
}

impl Gone {
    pub(super) fn of(payload: &dyn ErasedPayload) -> Gone {
        Gone {
            size: payload.size(),
            type_name: payload.type_name(),
            encoding: payload.encoding(),
        }
    }
}

impl ErasedPayload for Gone {
    fn form(&self) -> &dyn Any {
        self
    }

    fn another(&self) -> Option<Body> {
        Some(Body::stored(*self))
    }

    fn share(&mut self) -> Sharing {
        Sharing::Unchanged
    }

    fn size(&self) -> usize {
        self.size
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    fn encode(&self, _codec: &dyn Codec) -> Result<Bytes, CodecError> {
        let text = format!("`{}` is with its handler", self.type_name);
        Err(CodecError::new(LOCAL, text))
    }
}
