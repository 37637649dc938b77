//! A message broker that lives inside your program.
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    missing_debug_implementations,
    rustdoc::broken_intra_doc_links
)]
#![deny(clippy::unwrap_used, clippy::expect_used)]
#![warn(unreachable_pub)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[allow(dead_code, reason = "the virtual host and the queue read them")]
mod arguments;
mod bytes;
#[allow(dead_code, reason = "the layers above use it")]
mod clock;
pub mod codec;
#[allow(dead_code, reason = "the virtual host and the queue read them")]
mod descriptions;
mod error;
mod field_value;
mod name;
#[allow(dead_code, reason = "the queue that carries bodies comes later")]
mod payload;
mod properties;
#[allow(dead_code, reason = "the layers above use it")]
mod sync;
#[allow(dead_code, reason = "the layers above use it")]
mod timers;
mod user_code;
#[allow(dead_code, reason = "the layers above use it")]
mod waiter;

pub use crate::{
    bytes::Bytes,
    clock::{Clock, ManualClock, SystemClock},
    descriptions::{Binding, Exchange, Overflow, Queue},
    error::{
        CancelReason, CodecError, Entity, Error, Inequivalent, Precondition, Resource, Result,
        Scope,
    },
    field_value::{FieldTable, FieldValue},
    name::Name,
    payload::{Local, LocalArc, Payload},
    properties::{Properties, PropertyList},
};
