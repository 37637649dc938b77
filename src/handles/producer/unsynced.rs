//! Publishes of a durable broker that are not on disk yet: those of a batch share one sync.

use super::{Producer, PublishError, send::Made};
use crate::{
    engine::vhost::Published,
    message::{
        codec::Codecs,
        envelope::Envelope,
        payload::{Body, Payload},
    },
    model::error::Result,
    session::{
        delivery::open_body,
        publisher::{NotPublished, OnFull, Overrides, Pushed},
    },
};

/// A publish whose message may not be on disk yet, with the payload if the message carries its
/// encoded form. `None` if there is nothing to wait for.
pub(super) type PushedFirst<'a, T> =
    std::result::Result<Option<(Pushed<'a>, Option<Body>)>, PublishError<T>>;

impl<T: Payload> Producer<T> {
    /// Publishes a payload and does not wait until it is on disk.
    pub(super) fn push_first(&self, payload: T, on_full: OnFull) -> PushedFirst<'_, T> {
        let Some(made) = self.begin_first(payload)? else {
            return Ok(None);
        };
        let Made {
            prepared,
            mut envelope,
            original,
            ..
        } = made;
        let (gate, key) = (self.publisher.gate(), prepared.routing_key());
        let pushed = prepared.push_unsynced(&mut envelope, gate, on_full);
        self.pushed_first(pushed, key, envelope, original)
    }

    /// Same as [`push_first`](Self::push_first), for a task.
    pub(super) async fn push_first_async(&self, payload: T) -> PushedFirst<'_, T> {
        let Some(made) = self.begin_first(payload)? else {
            return Ok(None);
        };
        let Made {
            prepared,
            mut envelope,
            original,
            ..
        } = made;
        let (gate, key) = (self.publisher.gate(), prepared.routing_key());
        let pushed = prepared.push_unsynced_async(&mut envelope, gate).await;
        self.pushed_first(pushed, key, envelope, original)
    }

    /// Makes a message, unless its queue has taken the payload at once.
    fn begin_first(&self, payload: T) -> Result<Option<Made<'_>>, PublishError<T>> {
        match self.try_push(payload) {
            Ok(()) => Ok(None),
            Err(payload) => {
                let made = self.make_plain(payload, Overrides::default());
                made.map(Some).map_err(PublishError::of_payload)
            }
        }
    }

    fn pushed_first<'a>(
        &self,
        pushed: std::result::Result<Pushed<'a>, NotPublished>,
        key: &str,
        envelope: Option<Envelope>,
        original: Option<Body>,
    ) -> PushedFirst<'a, T> {
        match pushed {
            Ok(pushed) => Ok(Some((pushed, original))),
            Err(failure) => match self.finish(Ok(Err(failure)), key, envelope, original) {
                Ok(_) => Ok(None),
                Err(unpublished) => Err(PublishError::of_payload(unpublished)),
            },
        }
    }

    /// Waits until a payload that was pushed is on disk.
    pub(super) fn sync(&self, pushed: PushedFirst<'_, T>) -> Result<Published, PublishError<T>> {
        let Some((pushed, original)) = pushed? else {
            return Ok(Published::to_one());
        };
        let mut envelope = None;
        let confirmation = pushed.wait(&mut envelope);
        self.finish_started(Ok(confirmation), envelope, original)
    }

    /// Same as [`sync`](Self::sync), for a task.
    pub(super) async fn sync_async(
        &self,
        pushed: PushedFirst<'_, T>,
    ) -> Result<Published, PublishError<T>> {
        let Some((pushed, original)) = pushed? else {
            return Ok(Published::to_one());
        };
        let mut envelope = None;
        let confirmation = pushed.wait_async(&mut envelope).await;
        self.finish_started(Ok(confirmation), envelope, original)
    }
}

/// The payload of a message that its queues have and that is not on disk. The payload itself may be
/// with a consumer by now, so it is decoded from what was to be written. `None` if its own codec
/// cannot read that.
#[cold]
pub(super) fn decoded<T: Payload>(envelope: &Envelope) -> Option<T> {
    let payload = open_body::<T>(envelope, &Codecs::default()).ok()?;
    payload.map(|payload| *payload)
}
