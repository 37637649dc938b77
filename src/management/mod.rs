//! The operations of an administrator: definitions, snapshots of the broker, lists of delayed
//! messages, copies of messages; moving, deleting and redriving of messages.

pub(crate) mod definitions;
pub(crate) mod delayed_messages;
pub(crate) mod export;
pub(crate) mod messages;
pub(crate) mod moves;
mod pause;
mod queue_limits;
pub(crate) mod redrive;
pub(crate) mod selection;
pub(crate) mod snapshot;
