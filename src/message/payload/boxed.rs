//! A form that does not fit into a body, and is a form in a box.

use std::any::{Any, TypeId};

use super::{
    Encoding,
    body::Body,
    departure::Departing,
    forms::{ErasedPayload, Sharing},
};
use crate::{
    message::codec::Codec,
    model::{bytes::Bytes, error::CodecError},
};

impl ErasedPayload for Box<dyn ErasedPayload> {
    fn form(&self) -> &dyn Any {
        (**self).form()
    }

    fn value(&self) -> Option<&dyn Any> {
        (**self).value()
    }

    fn holds(&self, payload: TypeId) -> bool {
        (**self).holds(payload)
    }

    fn give(&mut self, out: &mut dyn Any) {
        (**self).give(out);
    }

    fn another(&self) -> Option<Body> {
        (**self).another()
    }

    fn share(&mut self) -> Sharing {
        (**self).share()
    }

    fn size(&self) -> usize {
        (**self).size()
    }

    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }

    fn encoding(&self) -> Option<Encoding> {
        (**self).encoding()
    }

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        (**self).encode(codec)
    }

    fn departing(&self) -> Option<&dyn Departing> {
        (**self).departing()
    }
}
