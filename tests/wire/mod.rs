//! A client of AMQP 0-9-1 for tests, beside a `ServerConnection` in memory. Its codec is its own,
//! and does not share the faults of the library's.

#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

mod client;
mod codec;
mod values;

pub use client::{Client, Closed, Incoming};
pub use codec::{Arguments, Fields, content, frame, method};
