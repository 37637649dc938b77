//! A message: its properties and headers, its payload, and the envelope in which it travels.
//!
//! Knows nothing of exchanges and queues.

pub mod codec;
pub(crate) mod envelope;
pub(crate) mod headers;
pub(crate) mod outgoing;
pub(crate) mod payload;
pub(crate) mod properties;
