//! A message: its properties and headers, its payload, and the envelope that holds them.
//!
//! This layer does not know exchanges and queues.

pub mod codec;
pub(crate) mod envelope;
pub(crate) mod headers;
pub(crate) mod outgoing;
pub(crate) mod payload;
pub(crate) mod properties;
