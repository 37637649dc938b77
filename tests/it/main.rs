//! The integration tests, a module for each subject. Each test is named as the sentence it proves.
//!
//! One program, so that it is linked once. The judges beside it print reports of their own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod channel;
mod common;
mod consume;
mod dead_letter;
mod delay;
mod english;
mod examples;
mod layering;
mod lifecycle;
mod limits;
mod model;
mod payloads;
mod publish;
mod settle;
mod stress;
mod topology;
