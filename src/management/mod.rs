//! The operations of an administrator: definitions, snapshots of the broker, lists of delayed
//! messages, copies of messages, and redriving of dead letters.

pub(crate) mod definitions;
pub(crate) mod delayed_messages;
pub(crate) mod export;
pub(crate) mod redrive;
pub(crate) mod snapshot;
