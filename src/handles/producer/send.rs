//! The way of a payload from a producer to the queues.

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
    session::{
        backend::Confirmation,
        publisher::{OnFull, Overrides, Prepared, Started},
    },
};

/// A publish that has started, with its message.
pub(super) struct Begun {
    pub(super) started: Started,
    pub(super) message: Unfinished,
}

/// A message whose publish has not ended.
pub(super) struct Unfinished {
    /// `None` after the queues of this process have taken it.
    envelope: Option<Envelope>,
    /// The payload, if the message carries its encoded form.
    original: Option<Body>,
    /// The routing key. `None` is the routing key of the producer.
    key: Option<String>,
}

/// A message that was not published: the reason, the payload, and the other parts of the message.
type Unpublished<T> = (Error, T, Option<Arc<Meta>>);

/// Creates a message from a payload, without properties.
#[inline(always)]
pub(super) fn plain<T: Payload>(payload: T, address: &Address, position: u64) -> Envelope {
    Envelope::new(Body::new(payload), address, None).at(position)
}

/// Splits a message that is in no queue into its parts.
#[cold]
fn unpublished<T: Payload>(
    error: Error,
    envelope: Option<Envelope>,
    original: Option<Body>,
) -> Unpublished<T> {
    let meta = envelope.as_ref().and_then(Envelope::meta).cloned();
    let body = original.or_else(|| envelope.map(Envelope::into_body));
    (error, payload_of(body), meta)
}

impl<T: Payload> Producer<T> {
    /// Publishes a payload with the routing key and the properties of the producer.
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

    /// Publishes a payload with the given routing key.
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
            Ok(prepared) => {
                let meta = self.publisher.meta().cloned();
                self.push(prepared, payload, meta, on_full)
                    .map_err(PublishError::of_payload)
            }
            Err(error) => Err(PublishError { error, payload }),
        }
    }

    /// Same as [`publish`](Self::publish), for a task.
    pub(super) async fn send_async(&self, payload: T) -> Result<Published, PublishError<T>> {
        let gate = self.publisher.gate();
        let overrides = Overrides::default();
        let prepared = match self.publisher.prepare_async(gate, overrides, None).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(PublishError { error, payload }),
        };
        let meta = self.publisher.meta().cloned();
        let published = match self.begin(prepared, payload, meta) {
            Ok(Begun { started, message }) => {
                let outcome = started.confirmation().await;
                self.finish(outcome, message)
            }
            Err(unpublished) => Err(unpublished),
        };
        published.map_err(PublishError::of_payload)
    }

    /// Same as [`publish`](Self::publish), for many payloads. Starts all publishes, and waits for
    /// their confirms afterwards.
    pub(super) fn send_all(
        &self,
        payloads: impl Iterator<Item = T>,
        results: &mut Vec<Result<Published, PublishError<T>>>,
    ) {
        let gate = self.publisher.gate();
        let begun: Vec<_> = payloads
            .map(
                |payload| match self.prepare(Overrides::default(), None, OnFull::Wait) {
                    Ok(prepared) => {
                        let meta = self.publisher.meta().cloned();
                        self.begin(prepared, payload, meta)
                    }
                    Err(error) => Err((error, payload, None)),
                },
            )
            .collect();
        results.extend(begun.into_iter().map(|begun| {
            let published = begun.and_then(|Begun { started, message }| {
                let outcome = gate.wait_for_confirmation(started, OnFull::Wait);
                self.finish(outcome, message)
            });
            published.map_err(PublishError::of_payload)
        }));
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
                match self.push(prepared, payload, meta, on_full) {
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
        if on_full == OnFull::Fail {
            gate.check_embedded("publishing without waiting for the confirm")?;
        }
        self.publisher.prepare(gate, overrides, properties, on_full)
    }

    /// Creates the message and pushes it. Waits for the confirm if the engine is outside of this
    /// process.
    fn push(
        &self,
        prepared: Prepared<'_>,
        payload: T,
        meta: Option<Arc<Meta>>,
        on_full: OnFull,
    ) -> std::result::Result<Published, Unpublished<T>> {
        if self.publisher.gate().is_remote() {
            let begun = self.begin(prepared, payload, meta)?;
            let gate = self.publisher.gate();
            let outcome = gate.wait_for_confirmation(begun.started, on_full);
            return self.finish(outcome, begun.message);
        }
        let (mut envelope, original) = self.make(prepared.address(), payload, meta)?;
        let key = prepared.routing_key();
        prepared.push(&mut envelope).map_err(|failure| {
            let error = failure.into_error(self.publisher.exchange(), key);
            unpublished(error, envelope, original)
        })
    }

    /// Creates the message. Returns the payload as well if the message carries its encoded form.
    #[inline(always)]
    fn make(
        &self,
        address: &Address,
        payload: T,
        meta: Option<Arc<Meta>>,
    ) -> std::result::Result<(Option<Envelope>, Option<Body>), Unpublished<T>> {
        // The address is borrowed and not shared. A reference count that the publisher and the
        // receiver both write would cost as much as the transfer.
        let meta = self.measured(&payload, meta);
        let mut envelope = Envelope::new(Body::new(payload), address, meta);
        let mut original = None;
        if self.always_encode {
            match self.encode(&mut envelope) {
                Ok(body) => original = Some(body),
                Err(error) => return Err(unpublished(error, Some(envelope), None)),
            }
        }
        Ok((Some(envelope), original))
    }

    /// Creates the message and starts its publish.
    fn begin(
        &self,
        prepared: Prepared<'_>,
        payload: T,
        meta: Option<Arc<Meta>>,
    ) -> std::result::Result<Begun, Unpublished<T>> {
        let (mut envelope, original) = self.make(prepared.address(), payload, meta)?;
        let key = match prepared.routing_key() {
            key if *key == **self.publisher.routing_key() => None,
            key => Some(key.to_owned()),
        };
        let started = prepared.start(&mut envelope);
        Ok(Begun {
            started,
            message: Unfinished {
                envelope,
                original,
                key,
            },
        })
    }

    /// Returns the result of a publish that has ended.
    fn finish(
        &self,
        outcome: Result<Confirmation>,
        message: Unfinished,
    ) -> std::result::Result<Published, Unpublished<T>> {
        let error = match outcome {
            Ok(Ok(published)) => return Ok(published),
            Ok(Err(failure)) => {
                let key = message.key.as_deref();
                let key = key.unwrap_or(self.publisher.routing_key());
                failure.into_error(self.publisher.exchange(), key)
            }
            Err(error) => error,
        };
        let Unfinished {
            envelope, original, ..
        } = message;
        Err(unpublished(error, envelope, original))
    }

    /// Replaces the payload of the message by its encoded form. Returns the payload.
    #[cold]
    fn encode(&self, message: &mut Envelope) -> Result<Body> {
        let codec: &dyn Codec = self.codec.as_deref().unwrap_or(&Json);
        let octets = Body::encoded(message.body().encode(codec).map_err(Error::Codec)?);
        Ok(std::mem::replace(message.body_mut(), octets))
    }

    /// Returns the [`Meta`] of a message. If the producer has its own size function, the [`Meta`]
    /// has the size of the payload.
    #[inline]
    fn measured(&self, payload: &T, meta: Option<Arc<Meta>>) -> Option<Arc<Meta>> {
        match self.sized_by {
            Some(size) => Some(Arc::new(sized::<T>(meta, size(payload)))),
            None => meta,
        }
    }
}
