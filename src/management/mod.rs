//! The operations of an administrator: definitions, snapshots of the broker as values, JSON,
//! metrics and pictures, lists of delayed messages, copies of messages; moving, deleting and
//! redriving of messages.

pub(crate) mod dashboard;
pub(crate) mod definitions;
pub(crate) mod delayed_messages;
pub(crate) mod export;
pub(crate) mod messages;
mod metrics;
pub(crate) mod moves;
mod pause;
mod picture;
mod queue_limits;
pub(crate) mod redrive;
pub(crate) mod selection;
pub(crate) mod snapshot;
mod snapshot_json;
