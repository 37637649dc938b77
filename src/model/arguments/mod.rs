//! The `x-` arguments of queues, exchanges and consumers, parsed once into plain values.
//!
//! This module checks argument tables by RabbitMQ's rules. A refusal has RabbitMQ's text and adds
//! the accepted values. Arguments that RabbitMQ does not know stay in the description and have no
//! effect. `equivalence` compares a declaration with the existing thing. This module knows no live
//! queues or exchanges, and no policies.

mod consumer;
mod delayed_retry;
mod equivalence;
mod exchange;
mod exchange_type;
mod queue;
mod queue_type;
mod reader;
mod stream;
mod trigger;

pub(crate) use self::{
    consumer::ConsumerArguments,
    delayed_retry::DelayedRetry,
    equivalence::{check_budget_equivalence, check_exchange_equivalence, check_queue_equivalence},
    exchange::{ExchangeArguments, delayed_type},
    exchange_type::ExchangeTypeArguments,
    queue::{AppliedPolicies, QueueArguments},
    queue_type::QueueType,
    stream::{LARGEST_SEGMENT, StreamArguments, StreamReading},
};

/// The longest time to live and the longest lease of a queue, in milliseconds. It is ten years, as
/// in RabbitMQ.
pub(crate) const MAX_EXPIRY_MILLIS: u64 = 315_360_000_000;

#[cfg(test)]
mod tests;
