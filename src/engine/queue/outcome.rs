//! What a queue's verbs are told and what they answer, besides effects.

use std::sync::Arc;

use super::{
    consumer_id::ConsumerId,
    credit::Credit,
    effects::{DeadLetter, Effect, Effects},
};
use crate::{
    message::{envelope::Envelope, headers::x_death::DeathReason},
    model::name::Name,
};

/// Who brings a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushedBy {
    /// A publisher, who can be refused or made to wait.
    Publisher,
    /// The broker itself, which cannot: a dead letter, a delayed message whose time has come.
    Broker,
}

/// Why a queue does not take a message, which stays where it was.
#[derive(Debug)]
pub(crate) enum PushError {
    /// The queue is deleted.
    Deleted,
    /// It is at its limit. If it wants what it refuses to be dead-lettered, this says where.
    Refused(Option<Box<DeadLetterTarget>>),
}

/// Where a queue wants dead letters of what it refuses to go.
#[derive(Debug)]
pub(crate) struct DeadLetterTarget {
    exchange: Name,
    routing_key: Option<Arc<str>>,
}

impl DeadLetterTarget {
    pub(super) fn new(exchange: Name, routing_key: Option<Arc<str>>) -> DeadLetterTarget {
        DeadLetterTarget {
            exchange,
            routing_key,
        }
    }

    /// What is to be done with the refused message, or a copy of it.
    pub(crate) fn dead_letter(self, envelope: Envelope) -> Effect {
        Effect::DeadLetter(Box::new(DeadLetter {
            envelope,
            reason: DeathReason::MaxLen,
            exchange: self.exchange,
            routing_key: self.routing_key,
        }))
    }
}

/// A message on its way back, and the consumer that held it (`None`: a get).
#[derive(Debug)]
pub(crate) struct ReturnedDelivery {
    pub(crate) consumer: Option<(ConsumerId, Arc<Credit>)>,
    pub(crate) envelope: Envelope,
}

/// What a consumer finds when it asks for its run.
#[derive(Debug)]
pub(crate) enum Checkout {
    /// The run was empty and now holds what the inbox held.
    Taken,
    /// Nothing there; the waiter, if one was given, is registered.
    Empty,
    /// The queue no longer knows the consumer.
    Gone,
}

/// Why a consumer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscribeRefused {
    /// An exclusive consumer is there, or this one wants to be alone and cannot.
    InUse,
    /// The queue was deleted.
    Deleted,
}

/// Why a queue is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteRefused {
    InUse,
    NotEmpty,
    /// It was deleted before.
    Deleted,
}

/// What a deleted queue leaves behind.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// How many messages were ready.
    pub(crate) messages: u64,
    pub(crate) effects: Effects,
}
