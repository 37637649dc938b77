//! How a payload gets from a producer into queues.

use std::sync::Arc;

use super::{
    Producer, PublishError,
    completed::{Completed, complete, sized},
    refused::payload_of,
};
use crate::{
    engine::vhost::Published,
    message::{
        codec::{Codec, Json},
        envelope::{Address, Envelope, Meta},
        outgoing::Message,
        payload::{Body, Payload},
        properties::Properties,
    },
    model::error::{Error, Result},
    session::publisher::{OnFull, Overrides, Prepared},
};

/// A message that was not published: why, its payload, and what travelled with it.
type Unpublished<T> = (Error, T, Option<Arc<Meta>>);

/// The message of a payload about which nothing is said.
#[inline(always)]
pub(super) fn plain<T: Payload>(payload: T, address: &Address, position: u64) -> Envelope {
    Envelope::new(Body::new(payload), address, None).at(position)
}

impl<T: Payload> Producer<T> {
    /// Publishes a payload with the producer's own key and properties.
    #[inline]
    pub(super) fn send_plain(
        &self,
        payload: T,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        match self.try_push(payload) {
            Ok(()) => Ok(Published::to_one()),
            Err(payload) => self.send(payload, Overrides::default(), on_full),
        }
    }

    #[inline]
    fn try_push(&self, payload: T) -> std::result::Result<(), T> {
        if self.sized_by.is_some() {
            return Err(payload);
        }
        self.publisher
            .try_push(payload, |payload| payload.size() as u64, plain)
    }

    /// Publishes a payload with any key.
    pub(super) fn send_to(
        &self,
        routing_key: &str,
        payload: T,
    ) -> Result<Published, PublishError<T>> {
        let pushed = match self.sized_by {
            Some(_) => Err(payload),
            None => self.publisher.try_push_with_key(
                routing_key,
                payload,
                |payload| payload.size() as u64,
                plain,
            ),
        };
        let overrides = Overrides {
            routing_key: Some(routing_key),
            ..Overrides::default()
        };
        match pushed {
            Ok(()) => Ok(Published::to_one()),
            Err(payload) => self.send(payload, overrides, OnFull::Wait),
        }
    }

    #[inline(never)]
    fn send(
        &self,
        payload: T,
        overrides: Overrides<'_>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        match self.prepare(overrides, None, on_full) {
            Ok(prepared) => self.push_prepared(prepared, payload),
            Err(error) => Err(PublishError { error, payload }),
        }
    }

    /// Publishes a payload whose checks are done, with the producer's own properties.
    pub(super) fn push_prepared(
        &self,
        prepared: Prepared<'_>,
        payload: T,
    ) -> Result<Published, PublishError<T>> {
        let meta = self.publisher.meta().cloned();
        self.push(prepared, payload, meta)
            .map_err(|(error, payload, _)| PublishError { error, payload })
    }

    pub(super) fn send_message(
        &self,
        message: Message<T>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<Message<T>>> {
        let Message {
            payload,
            properties,
            routing_key,
            mandatory,
            delay,
        } = message;
        let overrides = Overrides {
            routing_key: routing_key.as_deref(),
            mandatory,
            delay,
        };
        let own = (!properties.is_empty()).then_some(&properties);
        let (error, payload, properties) = match self.prepare(overrides, own, on_full) {
            Err(error) => (error, payload, properties),
            Ok(prepared) => {
                let (meta, completed) = match properties.is_empty() {
                    true => (self.publisher.meta().cloned(), None),
                    false => {
                        let (meta, completed) = complete::<T>(properties, self.codec.clone());
                        (Some(Arc::new(meta)), Some(completed))
                    }
                };
                match self.push(prepared, payload, meta) {
                    Ok(published) => return Ok(published),
                    Err((error, payload, meta)) => {
                        let undo = |completed: Completed| completed.undo(meta);
                        (error, payload, completed.map(undo).unwrap_or_default())
                    }
                }
            }
        };
        Err(PublishError {
            error,
            payload: Message {
                payload,
                properties,
                routing_key,
                mandatory,
                delay,
            },
        })
    }

    fn prepare<'a>(
        &'a self,
        overrides: Overrides<'a>,
        properties: Option<&Properties>,
        on_full: OnFull,
    ) -> Result<Prepared<'a>> {
        let gate = self.publisher.gate();
        self.publisher.prepare(gate, overrides, properties, on_full)
    }

    /// Makes the message and pushes it.
    fn push(
        &self,
        prepared: Prepared<'_>,
        payload: T,
        meta: Option<Arc<Meta>>,
    ) -> std::result::Result<Published, Unpublished<T>> {
        // Lent, not shared: a reference count that both ends write would cost as much as the hop.
        let meta = self.measured(&payload, meta);
        let mut envelope = Envelope::new(Body::new(payload), prepared.address(), meta);
        let mut original = None;
        if self.always_encode {
            match self.encode(&mut envelope) {
                Ok(body) => original = Some(body),
                Err(error) => {
                    let meta = envelope.meta().cloned();
                    return Err((error, payload_of(Some(envelope.into_body())), meta));
                }
            }
        }
        let key = prepared.routing_key();
        let mut message = Some(envelope);
        prepared.push(&mut message).map_err(|failure| {
            let error = failure.into_error(self.publisher.exchange(), key);
            let meta = message.as_ref().and_then(Envelope::meta).cloned();
            let body = original.or_else(|| message.map(Envelope::into_body));
            (error, payload_of(body), meta)
        })
    }

    /// Has the message carry octets. Returns its payload.
    #[cold]
    fn encode(&self, message: &mut Envelope) -> Result<Body> {
        let codec: &dyn Codec = self.codec.as_deref().unwrap_or(&Json);
        let octets = Body::encoded(message.body().encode(codec).map_err(Error::Codec)?);
        Ok(std::mem::replace(message.body_mut(), octets))
    }

    /// What a message carries besides its payload: with its size, if the producer has a measure of its
    /// own.
    #[inline]
    fn measured(&self, payload: &T, meta: Option<Arc<Meta>>) -> Option<Arc<Meta>> {
        match self.sized_by {
            Some(size) => Some(Arc::new(sized::<T>(meta, size(payload)))),
            None => meta,
        }
    }
}
