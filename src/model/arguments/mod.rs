//! The `x-` arguments of queues, exchanges and consumers, parsed once into plain values.
//!
//! What the rest of the broker holds of an argument table has been checked here, by RabbitMQ's rules and in its words; each refusal adds
//! what would have been accepted. Arguments that RabbitMQ does not know are kept in the description and mean nothing. `equivalence`
//! compares a declaration with what exists. Nothing here knows live queues or exchanges, nor policies.

mod consumer;
mod equivalence;
mod exchange;
mod queue;
mod reader;

pub(crate) use self::{
    consumer::ConsumerArguments,
    equivalence::{check_budget_equivalence, check_exchange_equivalence, check_queue_equivalence},
    exchange::{ExchangeArguments, delayed_type},
    queue::{QueueArguments, QueueType},
};

/// The longest time to live and the longest lease of a queue, in milliseconds: ten years, as in RabbitMQ.
pub(crate) const MAX_EXPIRY_MILLIS: u64 = 315_360_000_000;

#[cfg(test)]
mod tests;
