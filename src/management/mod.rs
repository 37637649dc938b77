//! What an operator does: look at the broker, list delayed messages, move messages back.

pub(crate) mod delayed_messages;
pub(crate) mod redrive;
pub(crate) mod snapshot;
