//! The operations of an administrator: definitions, snapshots of the broker as values, JSON,
//! metrics and pictures, lists of delayed messages, copies of messages, and redriving of dead
//! letters.

pub(crate) mod dashboard;
pub(crate) mod definitions;
pub(crate) mod delayed_messages;
pub(crate) mod export;
mod metrics;
mod picture;
pub(crate) mod redrive;
pub(crate) mod snapshot;
mod snapshot_json;
