//! What a user may do in a virtual host.

use crate::model::error::{EntityKind, Result};

/// The three permissions of RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// To declare and to delete.
    Configure,
    /// To publish to an exchange, and to bind to a destination.
    Write,
    /// To get, consume and purge from a queue, and to bind from a source.
    Read,
}

/// The permissions of one user in one virtual host.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everything is allowed.
    All,
}

impl Access {
    /// # Errors
    /// None yet: every user may do everything.
    pub(crate) fn check(&self, _: Permission, _: EntityKind, _name: &str) -> Result {
        match self {
            Access::All => Ok(()),
        }
    }
}
