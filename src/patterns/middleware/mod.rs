//! Middlewares: decisions that many workers need before and after each attempt at a message.
//!
//! A worker asks its middlewares before it calls the handler, and tells them of the outcome. One
//! middleware serves handlers of threads and of tasks. [`WorkerBuilder::middleware`] adds one, and
//! the trait [`Middleware`] makes others.
//!
//! | middleware | decides |
//! |---|---|
//! | [`Retry`] | when a message that has failed is tried again, and when it is dead-lettered |
//! | [`Throttle`] | when a message may be handled, by a rate |
//! | [`ConcurrencyLimit`] | when a message may be handled, by the number that is handled now |
//! | [`CircuitBreaker`] | whether messages wait after many failures |
//! | [`Deduplicate`] | whether a message was handled before |
//!
//! The clones of a middleware share its state. Several workers with clones of one limit, say, have
//! that limit together.
//!
//! The order matters. A [`Retry`] belongs outside of the others, so that it learns last of a
//! failure. A [`Deduplicate`] comes before a [`Throttle`], so that duplicates do not use up the
//! rate.
//!
//! [`WorkerBuilder::middleware`]: crate::worker::WorkerBuilder::middleware
//! [`Middleware`]: crate::worker::Middleware

mod circuit_breaker;
mod concurrency_limit;
mod deduplicate;
mod failure_window;
mod key;
mod line;
mod retry;
mod retry_queues;
mod throttle;

pub use self::{
    circuit_breaker::{CircuitBreaker, CircuitState},
    concurrency_limit::ConcurrencyLimit,
    deduplicate::Deduplicate,
    retry::Retry,
    throttle::Throttle,
};
