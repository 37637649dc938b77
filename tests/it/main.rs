//! The integration tests: one module for each subject. The name of each test is the sentence that
//! it proves.
//!
//! All modules are one test program, so Cargo compiles and links it once.
//!
//! The two other programs in `tests/` compare leveret with RabbitMQ and print reports of their own.
//! `conformance` replays recorded scenarios. `differential` runs random programs on both brokers.
//!
//! Two modules test the source code, not the broker. `layering` checks the imports between modules.
//! `english` checks the words and line widths of comments and pages.
//!
//! No test sleeps to wait for another thread. Tests of times use a manual clock. Tests of waiting
//! use an [`Alarm`](common::Alarm), join a thread, or yield until a count changes. Only
//! `differential` sleeps, because it polls a real RabbitMQ.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod alone;
#[cfg(feature = "amqp")]
mod amqp;
mod bad_input;
mod channel;
mod common;
mod consume;
mod control;
mod dead_letter;
mod definitions;
mod delay;
#[cfg(feature = "durable")]
mod durable;
mod english;
mod examples;
mod export;
mod layering;
mod lifecycle;
mod limits;
mod middleware;
mod model;
mod notify;
mod payloads;
mod publish;
mod quorum;
mod redrive;
mod rpc;
mod schedules;
mod settle;
mod steering;
mod stream;
mod stress;
#[cfg(feature = "testing")]
mod testing;
mod topology;
mod watching;
#[cfg(feature = "amqp")]
#[path = "../wire/mod.rs"]
mod wire;
mod worker;
