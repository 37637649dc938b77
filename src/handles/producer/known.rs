//! Publishing by a remembered route, without the checks that most publishes need only once.

use std::sync::Arc;

use super::{Producer, PublishError};
use crate::{
    engine::vhost::Published,
    message::{
        envelope::{Address, Envelope, Meta},
        outgoing::Delay,
        payload::{Body, Payload},
    },
    session::publisher::{Begun, Known, OnFull, Overrides},
};

/// A message with the properties of its producer.
#[inline(always)]
fn make<T: Payload>(payload: T, address: &Address, meta: Option<Arc<Meta>>) -> Envelope {
    Envelope::new(Body::new(payload), address, meta)
}

impl<T: Payload> Producer<T> {
    /// Publishes a payload by a remembered route, if that needs no check.
    #[inline(always)]
    pub(super) fn push_known<'a>(&'a self, payload: T, overrides: &Overrides<'a>) -> Known<'a, T> {
        #[cfg(feature = "tracing")]
        let is_traced = self.is_traced;
        #[cfg(not(feature = "tracing"))]
        let is_traced = false;
        let is_made_here = self.sized_by.is_some() || self.always_encode || is_traced;
        if is_made_here || overrides.mandatory.is_some() || overrides.delay != Delay::None {
            return Known::Unknown(payload);
        }
        self.publisher
            .push_known(overrides.routing_key, payload, make)
    }

    /// Goes on with a publish that not every queue has taken at once.
    #[cold]
    #[inline(never)]
    pub(super) fn go_on(
        &self,
        begun: Begun<'_>,
        on_full: OnFull,
    ) -> Result<Published, PublishError<T>> {
        let Begun {
            prepared,
            mut message,
        } = begun;
        let key = prepared.routing_key();
        let outcome = Ok(prepared.push(&mut message, self.publisher.gate(), on_full));
        self.finish(outcome, key, message, None)
            .map_err(PublishError::of_payload)
    }

    /// Same as [`go_on`](Self::go_on), for a task.
    pub(super) async fn go_on_async(&self, begun: Begun<'_>) -> Result<Published, PublishError<T>> {
        let Begun {
            prepared,
            mut message,
        } = begun;
        let key = prepared.routing_key();
        let outcome = Ok(prepared
            .push_async(&mut message, self.publisher.gate())
            .await);
        self.finish(outcome, key, message, None)
            .map_err(PublishError::of_payload)
    }
}
