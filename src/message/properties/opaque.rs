//! Properties as a program outside has sent them: octets, which are decoded when someone looks at
//! them.
//!
//! Most such messages go to a program outside again, and as they came. The protocol that reads the
//! octets checks that they can be decoded, and knows the way. It keeps no octets of properties that
//! a publish checks or changes: an expiration, a user id, the address of direct replies, `CC`,
//! `BCC`.

use std::{fmt, sync::OnceLock};

use super::PropertyList;

/// Decodes octets that were checked.
type Decode = fn(&[u8]) -> PropertyList;

/// The octets of properties, and what a publish asks of them.
pub(crate) struct Opaque {
    octets: Box<[u8]>,
    asked: Asked,
    decode: Decode,
    decoded: OnceLock<Box<PropertyList>>,
}

/// What the broker asks of the properties of each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) delivery_mode: Option<u8>,
    pub(crate) priority: Option<u8>,
}

impl Opaque {
    /// `octets` were checked, and `asked` is what they have. They have a property, and none that a
    /// publish checks or changes.
    #[cfg_attr(
        not(feature = "amqp"),
        expect(dead_code, reason = "for a wire protocol")
    )]
    pub(crate) fn new(octets: &[u8], asked: Asked, decode: Decode) -> Opaque {
        Opaque {
            octets: octets.into(),
            asked,
            decode,
            decoded: OnceLock::new(),
        }
    }

    /// The octets, as they came.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub(super) fn asked(&self) -> Asked {
        self.asked
    }

    pub(super) fn list(&self) -> &PropertyList {
        self.decoded.get_or_init(|| Box::new(self.decode()))
    }

    pub(super) fn decode(&self) -> PropertyList {
        (self.decode)(&self.octets)
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.list(), f)
    }
}
