//! The typed handles: broker, producer, consumer, simple queue, select.

pub(crate) mod broker;
pub(crate) mod consumer;
pub(crate) mod declare;
#[cfg(all(test, not(shuttle)))]
mod over_backend;
pub(crate) mod producer;
pub(crate) mod select;
pub(crate) mod simple_queue;
pub(crate) mod verbs;
