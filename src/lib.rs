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

mod error;
mod field_value;
mod name;
mod properties;
mod sync;

pub use crate::{
    error::{
        CancelReason, CodecError, Entity, Error, Inequivalent, Precondition, Resource, Result,
        Scope,
    },
    field_value::{FieldTable, FieldValue},
    name::Name,
    properties::{Properties, PropertyList},
};
