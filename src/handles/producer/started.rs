//! Publishes to an engine outside of this process that are started, and not waited for yet.

use std::task::Poll;

use super::{
    Producer, PublishError,
    rest::Rest,
    send::{Made, Unpublished, unpublished},
};
use crate::{
    engine::vhost::Published,
    message::{
        envelope::Envelope,
        outgoing::Message,
        payload::{Body, Payload},
    },
    model::error::{Error, Result},
    runtime::{completion::Completion, waiter::Waitable},
    session::{
        backend::Confirmation,
        publisher::{OnFull, Overrides},
    },
};

/// A publish that an engine outside of this process has not confirmed yet, and its message.
pub(super) type Started<T> =
    std::result::Result<(Completion<Confirmation>, Option<Envelope>, Option<Body>), Unpublished<T>>;

impl<T: Payload> Producer<T> {
    /// Publishes many payloads to an engine outside of this process. Starts all publishes, and
    /// returns what is to be waited for.
    pub(super) fn start_all(
        &self,
        payloads: impl Iterator<Item = T>,
        on_full: OnFull,
    ) -> Vec<Started<T>> {
        let started = payloads.map(|payload| {
            let Made {
                prepared,
                envelope,
                original,
                ..
            } = self.make_plain(payload, Overrides::default())?;
            match prepared.start(envelope.as_ref(), on_full) {
                Some(Ok(completion)) => Ok((completion, envelope, original)),
                Some(Err(error)) => Err(unpublished(error, envelope, original)),
                // The engine is in this process.
                None => Err(unpublished(Error::ConnectionClosed, envelope, original)),
            }
        });
        started.collect()
    }

    /// Returns the result of a publish that an engine outside of this process has ended.
    pub(super) fn finish_started(
        &self,
        outcome: Result<Confirmation>,
        envelope: Option<Envelope>,
        original: Option<Body>,
    ) -> Result<Published, PublishError<T>> {
        let key = self.publisher.routing_key();
        self.finish(outcome, key, envelope, original)
            .map_err(PublishError::of_payload)
    }

    /// Whether the message changes where it leaves the process, and that is now.
    pub(super) fn departs(&self, message: &Envelope) -> bool {
        self.publisher.gate().is_remote() && message.body().departing().is_some()
    }

    /// Publishes a message, and waits neither for room nor for the confirm of an engine outside of
    /// this process. An engine that takes nothing now gets the message later.
    ///
    /// # Errors
    /// Those of [`try_publish`](Self::try_publish) that are known at once. The message is dropped.
    pub(crate) fn send_off(&self, message: Message<T>) -> Result<()> {
        let gate = self.publisher.gate();
        if !gate.is_remote() {
            let published = self.send_message(message, OnFull::Refuse);
            return published.map(drop).map_err(|error| error.into_parts().0);
        }
        let (payload, properties, rest) = Rest::split(message);
        let made = self.make_message(payload, properties, &rest);
        let (made, _) = made.map_err(|(error, ..)| error)?;
        let Made {
            prepared, envelope, ..
        } = made;
        let Some(started) = prepared.start_if_up(envelope.as_ref()) else {
            return Err(Error::ConnectionClosed);
        };
        match started?.attempt(None) {
            Poll::Ready(None) => Err(Error::ConnectionClosed),
            Poll::Ready(Some(Err(failure))) => {
                Err(failure.into_error(self.publisher.exchange(), prepared.routing_key()))
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => Ok(()),
        }
    }
}
