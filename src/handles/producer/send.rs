//! The way of a payload from a producer to the queues.

use std::sync::Arc;

use super::{
    Producer, PublishError,
    completed::{Completed, complete, sized},
    refused::payload_of,
    rest::Rest,
    unsynced::decoded,
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
        delivery::take_payload,
        gate::Gate,
        publisher::{Known, OnFull, Overrides, Prepared},
    },
};

/// A message that is made, and its publish.
pub(super) struct Made<'a> {
    pub(super) prepared: Prepared<'a>,
    /// `None` after the queues of this process have taken it.
    pub(super) envelope: Option<Envelope>,
    /// The payload, if the message carries its encoded form.
    pub(super) original: Option<Body>,
    /// The span of the publish, which ends with it.
    #[cfg(feature = "tracing")]
    pub(super) span: Option<tracing::Span>,
}

/// A message that was not published: the reason, the payload if it can come back, the other parts.
pub(super) type Unpublished<T> = (Error, Option<T>, Option<Arc<Meta>>);

/// As [`Unpublished`], with the properties as they were given.
pub(super) type GivenBack<T> = (Error, Option<T>, Properties);

/// Creates a message from a payload, without properties.
#[inline(always)]
pub(super) fn plain<T: Payload>(payload: T, address: &Address, position: u64) -> Envelope {
    Envelope::new(Body::new(payload), address, None).at(position)
}

/// Splits a message that is in no queue into its parts.
#[cold]
pub(super) fn unpublished<T: Payload>(
    error: Error,
    envelope: Option<Envelope>,
    original: Option<Body>,
) -> Unpublished<T> {
    let meta = envelope.as_ref().and_then(Envelope::meta).cloned();
    let payload = match (original, envelope) {
        // The history of an exchange may share it.
        (None, Some(mut envelope)) => take_payload(&mut envelope, None).ok(),
        (original, _) => Some(payload_of(original)),
    };
    (error, payload, meta)
}

/// Gives back the properties as they were given.
fn given<T>((error, payload, meta): Unpublished<T>, completed: Option<Completed>) -> GivenBack<T> {
    let properties = completed.map(|completed| completed.undo(meta));
    (error, payload, properties.unwrap_or_default())
}

fn key_only(routing_key: &str) -> Overrides<'_> {
    Overrides {
        routing_key: Some(routing_key),
        ..Overrides::default()
    }
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
            Err(payload) => self.send_known(payload, on_full),
        }
    }

    /// Publishes a payload by a remembered route, if that needs no check, and else in all steps.
    #[inline(never)]
    fn send_known(&self, payload: T, on_full: OnFull) -> Result<Published, PublishError<T>> {
        if self.retry.is_some() {
            return self.send(payload, Overrides::default(), on_full);
        }
        match self.push_known(payload, &Overrides::default()) {
            Known::Published(published) => Ok(published),
            Known::Begun(begun) => {
                let published = self.go_on(*begun, on_full);
                published.map_err(PublishError::of_payload)
            }
            Known::Unknown(payload) => self.send_unknown(payload, Overrides::default(), on_full),
        }
    }

    #[inline]
    pub(super) fn try_push(&self, payload: T) -> std::result::Result<(), T> {
        if self.sized_by.is_some() {
            return Err(payload);
        }
        self.publisher.try_push(payload)
    }

    /// Publishes a payload with the given routing key.
    pub(super) fn send_to(
        &self,
        routing_key: &str,
        payload: T,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        match self.try_push_to(routing_key, payload) {
            Ok(()) => Ok(Published::to_one()),
            Err(payload) => self.send(payload, key_only(routing_key), on_full),
        }
    }

    #[inline]
    pub(super) fn try_push_to(&self, routing_key: &str, payload: T) -> std::result::Result<(), T> {
        if self.sized_by.is_some() {
            return Err(payload);
        }
        self.publisher.try_push_with_key(routing_key, payload)
    }

    #[inline(never)]
    fn send(
        &self,
        payload: T,
        overrides: Overrides<'_>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        self.attempt(payload, on_full, |payload, on_full| {
            self.send_once(payload, overrides, on_full)
        })
    }

    fn send_once(
        &self,
        payload: T,
        overrides: Overrides<'_>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        let payload = match self.push_known(payload, &overrides) {
            Known::Published(published) => return Ok(published),
            Known::Begun(begun) => {
                let published = self.go_on(*begun, on_full);
                return published.map_err(PublishError::of_payload);
            }
            Known::Unknown(payload) => payload,
        };
        self.send_unknown(payload, overrides, on_full)
    }

    /// Publishes a payload with all checks.
    #[inline(never)]
    fn send_unknown(
        &self,
        payload: T,
        overrides: Overrides<'_>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        let made = self.make_plain(payload, overrides);
        made.and_then(|made| self.push(made, on_full))
            .map_err(PublishError::of_payload)
    }

    /// Same as [`send_plain`](Self::send_plain), for a task.
    pub(super) async fn send_plain_async(&self, payload: T) -> Result<Published, PublishError<T>> {
        match self.try_push(payload) {
            Ok(()) => Ok(Published::to_one()),
            Err(payload) => self.send_async(payload, Overrides::default()).await,
        }
    }

    /// Same as [`send_to`](Self::send_to), for a task.
    pub(super) async fn send_to_async(
        &self,
        routing_key: &str,
        payload: T,
    ) -> Result<Published, PublishError<T>> {
        match self.try_push_to(routing_key, payload) {
            Ok(()) => Ok(Published::to_one()),
            Err(payload) => self.send_async(payload, key_only(routing_key)).await,
        }
    }

    async fn send_async(
        &self,
        payload: T,
        overrides: Overrides<'_>,
    ) -> Result<Published, PublishError<T>> {
        self.attempt_async(payload, |payload| self.send_once_async(payload, overrides))
            .await
    }

    async fn send_once_async(
        &self,
        payload: T,
        overrides: Overrides<'_>,
    ) -> Result<Published, PublishError<T>> {
        let payload = match self.push_known(payload, &overrides) {
            Known::Published(published) => return Ok(published),
            Known::Begun(begun) => {
                let published = self.go_on_async(*begun).await;
                return published.map_err(PublishError::of_payload);
            }
            Known::Unknown(payload) => payload,
        };
        let published = match self.make_plain(payload, overrides) {
            Ok(made) => self.push_async(made).await,
            Err(unpublished) => Err(unpublished),
        };
        published.map_err(PublishError::of_payload)
    }

    pub(super) fn send_message(
        &self,
        message: Message<T>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.attempt(message, on_full, |message, on_full| {
            self.send_message_once(message, on_full)
        })
    }

    fn send_message_once(
        &self,
        message: Message<T>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<Message<T>>> {
        let (payload, properties, rest) = Rest::split(message);
        let mut completed = None;
        let message = (payload, properties);
        let known = self.push_known_message(message, &rest.overrides(), &mut completed);
        let (published, completed) = match known {
            Known::Published(published) => return Ok(published),
            Known::Begun(begun) => (self.go_on(*begun, on_full), completed),
            Known::Unknown((payload, properties)) => {
                match self.make_message(payload, properties, &rest) {
                    Ok((made, completed)) => (self.push(made, on_full), completed),
                    Err(failed) => return Err(rest.unpublished(failed)),
                }
            }
        };
        published.map_err(|unpublished| rest.unpublished(given(unpublished, completed)))
    }

    /// Same as [`send_message`](Self::send_message), for a task.
    pub(super) async fn send_message_async(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        self.attempt_async(message, |message| self.send_message_once_async(message))
            .await
    }

    async fn send_message_once_async(
        &self,
        message: Message<T>,
    ) -> Result<Published, PublishError<Message<T>>> {
        let (payload, properties, rest) = Rest::split(message);
        let mut completed = None;
        let message = (payload, properties);
        let known = self.push_known_message(message, &rest.overrides(), &mut completed);
        let (published, completed) = match known {
            Known::Published(published) => return Ok(published),
            Known::Begun(begun) => (self.go_on_async(*begun).await, completed),
            Known::Unknown((payload, properties)) => {
                match self.make_message(payload, properties, &rest) {
                    Ok((made, completed)) => (self.push_async(made).await, completed),
                    Err(failed) => return Err(rest.unpublished(failed)),
                }
            }
        };
        published.map_err(|unpublished| rest.unpublished(given(unpublished, completed)))
    }

    fn prepare<'a>(
        &'a self,
        overrides: Overrides<'a>,
        properties: Option<&Properties>,
    ) -> Result<Prepared<'a>> {
        self.publisher
            .prepare(self.publisher.gate(), overrides, properties)
    }

    /// Checks and creates a message without properties of its own.
    pub(super) fn make_plain<'a>(
        &'a self,
        payload: T,
        overrides: Overrides<'a>,
    ) -> std::result::Result<Made<'a>, Unpublished<T>> {
        match self.prepare(overrides, None) {
            Ok(prepared) => {
                let meta = prepared.publisher_meta();
                self.make(prepared, payload, meta)
            }
            Err(error) => Err((error, Some(payload), None)),
        }
    }

    /// Checks and creates a message. Also returns how to undo the additions to its properties.
    pub(super) fn make_message<'a>(
        &'a self,
        payload: T,
        properties: Properties,
        rest: &'a Rest,
    ) -> std::result::Result<(Made<'a>, Option<Completed>), GivenBack<T>> {
        let own = (!properties.is_empty()).then_some(&properties);
        let prepared = match self.prepare(rest.overrides(), own) {
            Ok(prepared) => prepared,
            Err(error) => return Err((error, Some(payload), properties)),
        };
        let (meta, completed) = match properties.is_empty() {
            true => (prepared.publisher_meta(), None),
            false => {
                let (meta, completed) = complete::<T>(properties, self.codec.clone());
                (Some(prepared.address().complete(meta)), Some(completed))
            }
        };
        match self.make(prepared, payload, meta) {
            Ok(made) => Ok((made, completed)),
            Err(unpublished) => Err(given(unpublished, completed)),
        }
    }

    /// Pushes the message. Waits for the confirm if the engine is outside of this process.
    fn push(
        &self,
        made: Made<'_>,
        on_full: OnFull,
    ) -> std::result::Result<Published, Unpublished<T>> {
        let Made {
            prepared,
            mut envelope,
            original,
            #[cfg(feature = "tracing")]
                span: _span,
        } = made;
        let gate = self.publisher.gate();
        let key = prepared.routing_key();
        let outcome = match prepared.start(envelope.as_ref(), on_full) {
            None => Ok(prepared.push(&mut envelope, gate, on_full)),
            Some(started) => {
                started.and_then(|completion| gate.wait_for_confirmation(completion, on_full))
            }
        };
        self.finish(outcome, key, envelope, original)
    }

    /// Same as [`push`](Self::push), for a task.
    async fn push_async(&self, made: Made<'_>) -> std::result::Result<Published, Unpublished<T>> {
        let Made {
            prepared,
            mut envelope,
            original,
            #[cfg(feature = "tracing")]
                span: _span,
        } = made;
        let gate = self.publisher.gate();
        let key = prepared.routing_key();
        let outcome = match prepared.start(envelope.as_ref(), OnFull::Wait) {
            None => Ok(prepared.push_async(&mut envelope, gate).await),
            Some(Ok(completion)) => Gate::confirmation(completion).await,
            Some(Err(error)) => Err(error),
        };
        self.finish(outcome, key, envelope, original)
    }

    /// Creates the message.
    #[inline(always)]
    fn make<'a>(
        &self,
        prepared: Prepared<'a>,
        payload: T,
        meta: Option<Arc<Meta>>,
    ) -> std::result::Result<Made<'a>, Unpublished<T>> {
        // The address is borrowed and not shared. A reference count that the publisher and the
        // receiver both write would cost as much as the transfer.
        #[cfg(feature = "tracing")]
        let (meta, span) = match self.is_traced {
            true => self.trace(meta, prepared.routing_key()),
            false => (meta, None),
        };
        let meta = self.measured(&payload, prepared.address(), meta);
        let mut envelope = Envelope::new(Body::new(payload), prepared.address(), meta);
        let mut original = None;
        if self.always_encode && !self.departs(&envelope) {
            match self.encode(&mut envelope) {
                Ok(body) => original = Some(body),
                Err(error) => return Err(unpublished(error, Some(envelope), None)),
            }
        }
        Ok(Made {
            prepared,
            envelope: Some(envelope),
            original,
            #[cfg(feature = "tracing")]
            span,
        })
    }

    /// Returns the result of a publish that has ended.
    pub(super) fn finish(
        &self,
        outcome: Result<Confirmation>,
        key: &str,
        envelope: Option<Envelope>,
        original: Option<Body>,
    ) -> std::result::Result<Published, Unpublished<T>> {
        let error = match outcome {
            Ok(Ok(published)) => return Ok(published),
            Ok(Err(failure)) => failure.into_error(self.publisher.exchange(), key),
            Err(error) => error,
        };
        match (original, envelope) {
            (None, Some(envelope)) if !envelope.body().holds::<T>() => {
                Err((error, decoded(&envelope), envelope.meta().cloned()))
            }
            (original, envelope) => Err(unpublished(error, envelope, original)),
        }
    }

    /// Replaces the payload of the message by its encoded form. Returns the payload.
    #[cold]
    fn encode(&self, message: &mut Envelope) -> Result<Body> {
        let codec: &dyn Codec = self.codec.as_deref().unwrap_or(&Json);
        let octets = Body::encoded(message.body().encode(codec).map_err(Error::Codec)?);
        Ok(std::mem::replace(message.body_mut(), octets))
    }

    /// Returns the [`Meta`] of a message, with the size of the payload if the producer tells it.
    #[inline]
    fn measured(
        &self,
        payload: &T,
        address: &Address,
        meta: Option<Arc<Meta>>,
    ) -> Option<Arc<Meta>> {
        match self.sized_by {
            Some(size) => Some(address.complete(sized::<T>(meta, size(payload)))),
            None => meta,
        }
    }
}
