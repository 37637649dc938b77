//! What durable queues write of a message: its body, which is kept once for all queues that it goes
//! to, and a record for each queue. The record of a stream has the body itself.

use std::{borrow::Cow, sync::Arc};

use super::{VirtualHost, found::Found, route::Route};
use crate::{
    engine::{
        queue::QueueCore,
        store::{MessageHead, StoredBody, StoredMessage, StoredQueue, Synced},
    },
    message::envelope::Envelope,
    model::{
        bytes::Bytes,
        error::{Error, Result},
    },
};

/// Whether one of the queues is durable, in a broker with a store.
pub(super) fn has_stored(queues: &[Arc<QueueCore>]) -> bool {
    queues.iter().any(|queue| queue.stored().is_some())
}

/// The stores of those queues that keep a message.
fn keeping<'a>(
    queues: impl Iterator<Item = &'a Arc<QueueCore>>,
    is_persistent: bool,
) -> impl Iterator<Item = &'a StoredQueue> {
    let stored = queues.filter_map(|queue| queue.stored());
    stored.filter(move |stored| stored.keeps(is_persistent))
}

impl Route {
    /// Whether a queue of the route keeps a message over the end of the broker.
    #[inline]
    pub(crate) fn keeps(&self, is_persistent: impl FnOnce() -> bool) -> bool {
        self.is_stored && keeping(self.targets(), is_persistent()).next().is_some()
    }

    /// The body of a message, for the queues of the route that keep it. `None` if none does.
    pub(crate) fn stored_body(&self, octets: Bytes, is_persistent: bool) -> Option<StoredBody> {
        StoredBody::new(octets, keeping(self.targets(), is_persistent))
    }

    /// What a publish has to wait for, once the queues have the message: that it is on disk, in
    /// every queue that promises it.
    pub(crate) fn synced(&self, is_persistent: bool) -> Option<Synced> {
        let mut stored = keeping(self.targets(), is_persistent);
        let must_wait = |stored: &&StoredQueue| stored.is_synced() || stored.journal().is_full();
        stored
            .find(must_wait)
            .map(|stored| stored.journal().synced())
    }
}

impl Found {
    /// The body of a message of the broker itself, for the queues that keep it. `None` if none
    /// does, or if it cannot be encoded.
    pub(super) fn stored_body(&self, envelope: &Envelope) -> Option<StoredBody> {
        if !has_stored(&self.queues) && !has_stored(&self.delay_queues) {
            return None;
        }
        let targets = || self.queues.iter().chain(&self.delay_queues);
        let is_persistent = envelope.is_persistent();
        keeping(targets(), is_persistent).next()?;
        StoredBody::new(envelope.encode().ok()?, keeping(targets(), is_persistent))
    }
}

impl VirtualHost {
    /// The message as bytes, if the queue keeps it. `body` is its body, if it is encoded.
    ///
    /// # Errors
    /// [`Error::Codec`] if the payload cannot be encoded, [`Error::InvalidTable`] for headers that
    /// are nested too deeply, and [`Error::Store`] if nothing can be written any more.
    #[inline(never)]
    pub(super) fn record(
        &self,
        stored: &StoredQueue,
        envelope: &Envelope,
        due: Option<u64>,
        body: Option<&StoredBody>,
    ) -> Result<Option<StoredMessage>> {
        if !stored.keeps(envelope.is_persistent()) {
            return Ok(None);
        }
        stored.journal().check()?;
        let encoded;
        let octets = match body {
            Some(body) => body.octets(),
            None => {
                encoded = envelope.encode().map_err(Error::Codec)?;
                &encoded
            }
        };
        let (meta, clock) = (envelope.meta(), stored.clock());
        let deaths = meta.map(|meta| meta.deaths).unwrap_or_default();
        let head = MessageHead {
            exchange: self.exchange_names().name(envelope.origin()),
            routing_key: Cow::Borrowed(envelope.routing_key()),
            properties: Cow::Borrowed(envelope.properties()),
            size: Some(envelope.size()).filter(|size| *size != octets.len() as u64),
            bcc: Cow::Borrowed(meta.map_or(&[], |meta| &meta.bcc)),
            expires: clock.time(envelope.deadline()),
            len_before_deaths: deaths.recorded.then_some(deaths.len_before),
            is_rerouted: deaths.rerouted,
            due: due.and_then(|due| clock.time(due)),
            failed: envelope.delivery_count(),
            body: body
                .and_then(StoredBody::number)
                .filter(|_| !stored.is_stream()),
        };
        Ok(Some(StoredMessage::new(&head, octets)?))
    }

    /// As [`record`](Self::record), for a message of the broker itself. One that cannot be encoded
    /// stays in memory only.
    pub(super) fn record_of_broker(
        &self,
        queue: &QueueCore,
        envelope: &Envelope,
        due: Option<u64>,
        body: Option<&StoredBody>,
    ) -> Option<StoredMessage> {
        self.record(queue.stored()?, envelope, due, body)
            .ok()
            .flatten()
    }
}
