//! Middlewares: decisions that many workers need before and after each attempt at a message.
//!
//! A worker asks its middlewares before it calls the handler, and tells them of the outcome. One
//! middleware serves handlers of threads and of tasks. [`WorkerBuilder::middleware`] adds one, and
//! the trait [`Middleware`] makes others.
//!
//! | middleware | decides |
//! |---|---|
//! | [`Retry`] | when a message that has failed is tried again, and when it is dead-lettered |
//!
//! [`WorkerBuilder::middleware`]: crate::worker::WorkerBuilder::middleware
//! [`Middleware`]: crate::worker::Middleware

mod retry;
mod retry_queues;

pub use self::retry::Retry;
