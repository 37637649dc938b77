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

#[allow(unused_imports, reason = "the virtual host and the queue read them")]
pub(crate) use self::{
    consumer::ConsumerArguments,
    equivalence::{check_budget_equivalence, check_exchange_equivalence, check_queue_equivalence},
    exchange::{ExchangeArguments, delayed_type},
    queue::{QueueArguments, QueueType},
};

#[cfg(test)]
mod tests;
