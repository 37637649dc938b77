//! A message taken apart for its publish.

use super::{PublishError, send::GivenBack};
use crate::{
    message::{
        outgoing::{Delay, Message},
        properties::Properties,
    },
    session::publisher::Overrides,
};

/// The parts of a message besides its payload and its properties.
pub(super) struct Rest {
    routing_key: Option<String>,
    mandatory: Option<bool>,
    delay: Delay,
}

impl Rest {
    pub(super) fn split<T>(message: Message<T>) -> (T, Properties, Rest) {
        let Message {
            payload,
            properties,
            routing_key,
            mandatory,
            delay,
        } = message;
        let rest = Rest {
            routing_key,
            mandatory,
            delay,
        };
        (payload, properties, rest)
    }

    pub(super) fn overrides(&self) -> Overrides<'_> {
        Overrides {
            routing_key: self.routing_key.as_deref(),
            mandatory: self.mandatory,
            delay: self.delay,
        }
    }

    /// Gives the message back.
    pub(super) fn unpublished<T>(self, failed: GivenBack<T>) -> PublishError<Message<T>> {
        let (error, payload, properties) = failed;
        let Rest {
            routing_key,
            mandatory,
            delay,
        } = self;
        PublishError {
            error,
            payload: payload.map(|payload| Message {
                payload,
                properties,
                routing_key,
                mandatory,
                delay,
            }),
        }
    }
}
