//! Gets from one queue, one message at a time, without being a consumer (`basic.get`).

use std::{sync::Arc, task::Poll};

use super::unacked::DeliveryOrigin;
use crate::{
    engine::{queue::ReadyKey, vhost::QueueDeleted},
    message::envelope::{Envelope, SettledMessage, SharedProperties},
    model::{
        error::{CancelReason, EntityKind, Error, Result},
        name::Name,
    },
    runtime::{
        clock::Time,
        waiter::{Ticket, WaitList, Waitable},
    },
};

/// Gets messages from one queue. Clones get from the same queue.
#[derive(Clone)]
pub(crate) struct Getter {
    origin: Arc<DeliveryOrigin>,
}

impl Getter {
    pub(super) fn new(origin: Arc<DeliveryOrigin>) -> Getter {
        Getter { origin }
    }

    /// As this one, and each message counts as acknowledged when it is delivered.
    pub(crate) fn auto_ack(self) -> Getter {
        let DeliveryOrigin { vhost, queue, .. } = &*self.origin;
        Getter::new(DeliveryOrigin::gets(vhost, queue, true))
    }

    /// A handle to the origin of this message, for its delivery.
    pub(crate) fn origin_of(&self, envelope: &Envelope) -> Arc<DeliveryOrigin> {
        self.origin.holders.count_get();
        self.origin.show_taps(envelope);
        // The get itself is counted already.
        let origin = self.origin.handle(|| 1);
        if origin.auto_ack {
            // A message that is acknowledged on delivery is not settled again.
            origin.forget(envelope);
            let _ = origin.ack(1, envelope.size(), None);
        }
        origin
    }

    pub(crate) fn queue_name(&self) -> &Name {
        self.origin.queue.name()
    }

    /// The number of ready messages.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the queue is deleted; those of a broker that has ended.
    pub(crate) fn ready_len(&self) -> Result<usize> {
        self.check_exists()?;
        self.origin.vhost.serve_late_channel(&self.origin.queue);
        Ok(self.origin.queue.ready_len())
    }

    /// Drops all ready messages. Returns how many.
    ///
    /// # Errors
    /// As for [`ready_len`](Self::ready_len).
    pub(crate) fn purge(&self) -> Result<u64> {
        self.check_exists()?;
        Ok(self.origin.vhost.purge(&self.origin.queue))
    }

    fn check_exists(&self) -> Result {
        let DeliveryOrigin { vhost, queue, .. } = &*self.origin;
        match queue.is_deleted() {
            false => Ok(()),
            true => {
                vhost.check_up()?;
                Err(Error::not_found(
                    EntityKind::Queue,
                    queue.name(),
                    vhost.name(),
                ))
            }
        }
    }

    pub(crate) fn time(&self) -> &Time {
        self.origin.vhost.time()
    }

    /// The position that the next new message of the queue gets.
    pub(crate) fn end_position(&self) -> u64 {
        self.origin.vhost.end_position(&self.origin.queue)
    }

    /// Up to `most` ready messages behind `key` and before the position `end`, in the order of
    /// delivery, with their properties. They stay where they are.
    pub(crate) fn page(
        &self,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
    ) -> Vec<(ReadyKey, SharedProperties)> {
        let DeliveryOrigin { vhost, queue, .. } = &*self.origin;
        vhost.map_ready(queue, key, end, most, |(key, envelope)| {
            (key, envelope.shared_properties())
        })
    }

    /// Takes the ready message at `key` out. `None` if it is not ready any more.
    pub(crate) fn get_at(&self, key: ReadyKey) -> Option<Envelope> {
        self.origin.vhost.get_at(&self.origin.queue, key)
    }

    /// Tells the queue apart from all other queues of its virtual host.
    pub(crate) fn queue_id(&self) -> u64 {
        self.origin.queue.id()
    }

    /// Deletes the ready message at `key`. `false` if it is not ready any more.
    pub(crate) fn delete_at(&self, key: ReadyKey) -> bool {
        self.origin.vhost.delete_at(&self.origin.queue, key)
    }

    /// A message that was got is in another queue now.
    pub(crate) fn settle_moved(&self, moved: SettledMessage) {
        let DeliveryOrigin { vhost, queue, .. } = &*self.origin;
        queue.forget(moved);
        vhost.settle_moved(queue, 1, moved.size);
    }

    /// Messages that were got and that no user code has received return to their positions.
    pub(crate) fn requeue_undelivered(&self, envelopes: Vec<Envelope>) {
        self.origin.requeue_undelivered(envelopes);
    }
}

impl Waitable for Getter {
    type Output = Result<Envelope, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let DeliveryOrigin { vhost, queue, .. } = &*self.origin;
        match vhost.get_or_wait(queue, ticket) {
            Ok(Some(envelope)) => Poll::Ready(Ok(envelope)),
            Ok(None) => Poll::Pending,
            Err(QueueDeleted) => {
                let reason = vhost.why_down().unwrap_or(CancelReason::QueueDeleted);
                Poll::Ready(Err(reason))
            }
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.origin.queue.with_get_waiters(f);
    }

    fn on_idle(&self) {
        self.origin.queue.on_idle(None);
    }
}
