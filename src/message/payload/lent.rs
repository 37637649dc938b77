//! [`Lent`]: a payload that stays with its owner, who keeps many of them.

use std::{any::Any, sync::Arc};

use super::{
    Encoding, LOCAL,
    body::Body,
    forms::{ErasedPayload, Sharing},
};
use crate::{
    message::codec::Codec,
    model::{bytes::Bytes, error::CodecError},
};

/// Keeps payloads that it lends.
pub(crate) trait Lender: Send + Sync + 'static {
    /// The payload at this index. It never changes.
    fn body(&self, index: u32) -> Option<&Body>;
}

/// A payload that is lent. A receiver gets a copy of its own by an encoding, since it may take the
/// payload for itself.
pub(super) struct Lent {
    lender: Arc<dyn Lender>,
    index: u32,
}

impl Lent {
    pub(super) fn new(lender: &Arc<dyn Lender>, index: u32) -> Self {
        Self {
            lender: Arc::clone(lender),
            index,
        }
    }

    pub(super) fn body(&self) -> Option<&Body> {
        self.lender.body(self.index)
    }

    fn erased(&self) -> Option<&dyn ErasedPayload> {
        self.body().map(Body::erased)
    }
}

impl ErasedPayload for Lent {
    fn form(&self) -> &dyn Any {
        self
    }

    fn another(&self) -> Option<Body> {
        Some(Body::stored(Self::new(&self.lender, self.index)))
    }

    fn share(&mut self) -> Sharing {
        Sharing::Unchanged
    }

    fn size(&self) -> usize {
        self.erased().map_or(0, ErasedPayload::size)
    }

    fn type_name(&self) -> &'static str {
        self.erased().map_or("", ErasedPayload::type_name)
    }

    fn encoding(&self) -> Option<Encoding> {
        self.erased()?.encoding()
    }

    fn encode(&self, codec: &dyn Codec) -> Result<Bytes, CodecError> {
        match self.erased() {
            Some(erased) => erased.encode(codec),
            None => Err(CodecError::new(LOCAL, "the payload is gone")),
        }
    }
}
