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

#[allow(dead_code, reason = "the layers above use it")]
mod clock;
mod error;
mod field_value;
mod name;
mod properties;
#[allow(dead_code, reason = "the layers above use it")]
mod sync;
#[allow(dead_code, reason = "the layers above use it")]
mod timers;
mod user_code;
#[allow(dead_code, unused_imports, reason = "the layers above use it")]
mod waiter;

pub use crate::{
    clock::{Clock, ManualClock, SystemClock},
    error::{
        CancelReason, CodecError, Entity, Error, Inequivalent, Precondition, Resource, Result,
        Scope,
    },
    field_value::{FieldTable, FieldValue},
    name::Name,
    properties::{Properties, PropertyList},
};
