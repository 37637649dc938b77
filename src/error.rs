//! Errors.
use crate::name::Name;
/// What an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue,
}
/// The result of most operations.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
/// Everything that can go wrong.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Missing.
    #[error("NOT_FOUND - no {entity:?} '{name}' in vhost '{vhost}'")]
    NotFound {
        /// Kind.
        entity: Entity,
        /// Name.
        name: Name,
        /// Virtual host.
        vhost: Name,
    },
}
