//! The parameters and the results of a queue's operations, besides effects.

use std::sync::Arc;

use super::{
    consumer_id::ConsumerId,
    credit::Credit,
    effects::{DeadLetter, Effect, Effects},
    in_flight::Move,
    tally::Counts,
};
use crate::{
    message::{envelope::Envelope, headers::x_death::DeathReason},
    model::{error::Error, name::Name},
};

/// The origin of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushedBy {
    /// A publisher. The queue can refuse its message or make it wait.
    Publisher,
    /// The broker itself, with a dead letter or a message that a delayed exchange routes. It can
    /// neither be refused nor wait.
    Broker,
}

/// The reason why a delivery ends without an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The consumer gave the message back: `basic.nack`, `basic.recover`, a time-out.
    Returned,
    /// The delivery failed: `basic.reject`, or the end of its channel. The message counts it, as
    /// in RabbitMQ 4.3.
    Failed,
}

/// The reason why a queue does not take a message. The message stays with the caller.
#[derive(Debug)]
pub(crate) enum PushError {
    /// The queue is deleted.
    Deleted,
    /// The queue is at its limit. Has the target if the queue dead-letters the messages that it
    /// refuses.
    Refused(Option<Box<DeadLetterTarget>>),
    /// The queue is at its limit, and a copy of the message is dead-lettered.
    DeadLettered,
    /// The queue is durable, and the message cannot be written.
    NotStored(Box<Error>),
    /// The queue, or a budget that covers it, lets publishers wait and has no room now.
    Full,
}

/// The target of the dead letters of refused messages.
#[derive(Debug)]
pub(crate) struct DeadLetterTarget {
    exchange: Name,
    routing_key: Option<Arc<str>>,
    on_its_way: Move,
}

impl DeadLetterTarget {
    pub(super) fn new(
        exchange: Name,
        routing_key: Option<Arc<str>>,
        on_its_way: Move,
    ) -> DeadLetterTarget {
        DeadLetterTarget {
            exchange,
            routing_key,
            on_its_way,
        }
    }

    /// The effect that dead-letters the refused message, or a copy of it.
    pub(crate) fn dead_letter(self, envelope: Envelope) -> Effect {
        Effect::DeadLetter(Box::new(DeadLetter {
            envelope,
            reason: DeathReason::MaxLen,
            was_in_queue: false,
            exchange: self.exchange,
            routing_key: self.routing_key,
            on_its_way: self.on_its_way,
            transit: None,
        }))
    }
}

/// A returned message, and the consumer that held it. `None` stands for a get.
#[derive(Debug)]
pub(crate) struct ReturnedDelivery {
    pub(crate) consumer: Option<(ConsumerId, Arc<Credit>)>,
    pub(crate) envelope: Envelope,
}

/// The result of a consumer's request for its next run.
#[derive(Debug)]
pub(crate) enum Checkout {
    /// The run was empty and now holds the messages of the inbox.
    Taken,
    /// The inbox was empty. The waiter, if there is one, is registered.
    Empty,
    /// The queue has removed the consumer.
    Gone,
}

/// The reason why a queue refuses a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscribeRefused {
    /// The queue has an exclusive consumer, or an exclusive consumer found other consumers.
    InUse,
    /// The queue was deleted.
    Deleted,
}

/// The reason why a queue is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteRefused {
    InUse,
    NotEmpty,
    /// It was deleted before.
    Deleted,
}

/// The result of deleting a queue.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// The number of messages that were ready.
    pub(crate) messages: u64,
    /// The counts just before.
    pub(crate) counts: Counts,
    pub(crate) effects: Effects,
}
