//! Properties as a program outside has sent them: octets, which are decoded when someone looks at
//! them.
//!
//! Most such messages go to a program outside again, and as they came. The protocol that reads the
//! octets checks that they can be decoded, and knows the way.

use std::{fmt, sync::OnceLock};

use super::{Properties, PropertyList};

/// The octets of properties, and what a publish asks of them.
pub(crate) struct Opaque {
    octets: Box<[u8]>,
    asked: Asked,
    /// Decodes octets that were checked.
    decode: fn(&[u8]) -> Properties,
    decoded: OnceLock<Properties>,
}

/// What the broker asks of the properties of each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) delivery_mode: Option<u8>,
    pub(crate) priority: Option<u8>,
    /// There is an expiration, a user id, a reply-to, a `CC` or a `BCC` header, which a publish
    /// checks or changes.
    pub(crate) is_checked: bool,
}

impl Opaque {
    /// `octets` were checked, and `asked` is what they have. They have a property.
    #[cfg_attr(
        not(feature = "amqp"),
        expect(dead_code, reason = "for a wire protocol")
    )]
    pub(crate) fn new(octets: &[u8], asked: Asked, decode: fn(&[u8]) -> Properties) -> Opaque {
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
        self.decoded.get_or_init(|| (self.decode)(&self.octets))
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.list(), f)
    }
}
