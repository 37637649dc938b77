//! What a durable queue writes of its messages. Its store knows each one by its position.
//!
//! A message is written before it is taken in, under the lock of the queue. So nothing that
//! happens to it later can be written before. A queue that is not durable has no storage.

use std::sync::Arc;

use super::{QueueCore, effects::Effects, state::QueueState};
use crate::{
    engine::{
        store::{Arrival, Mark, StoredMessage, StoredQueue, StreamFiles},
        stream::Appended,
    },
    message::{
        envelope::{Envelope, SettledMessage},
        headers::x_death::DeathReason,
    },
    runtime::sync::MutexGuard,
};

/// The store of one queue, behind the lock of the queue.
#[derive(Debug)]
pub(super) struct Storage {
    queue: StoredQueue,
    /// The message that is about to be taken in, as bytes.
    incoming: Option<StoredMessage>,
}

impl Storage {
    pub(super) fn new(queue: StoredQueue) -> Box<Storage> {
        Box::new(Storage {
            queue,
            incoming: None,
        })
    }

    /// Writes that retention has dropped all messages of a stream before this offset.
    pub(super) fn trim(&self, offset: u64) {
        if self.queue.keeps(false) {
            self.queue.trim(offset);
        }
    }

    /// The messages of streams that are in files of their own, and the number of this one.
    pub(super) fn stream_files(&self) -> Option<(&Arc<dyn StreamFiles>, u64)> {
        Some((self.queue.stream_files()?, self.queue.number()))
    }

    fn keeps(&self, envelope: &Envelope) -> bool {
        self.queue.keeps(envelope.is_persistent())
    }

    /// Writes what has happened to a message.
    fn write(&self, envelope: &Envelope, change: impl FnOnce(Mark) -> Mark) {
        if self.keeps(envelope) {
            let mark = change(Storage::mark_of(envelope));
            self.queue.mark(envelope.position(), mark);
        }
    }

    /// Writes that consumers have these messages, if the queue counts their failed deliveries. Must
    /// come before the delivery, since the consumer may settle it at once.
    #[inline]
    pub(super) fn write_out(storage: &Option<Box<Storage>>, messages: &[Envelope]) {
        if let Some(storage) = storage.as_ref().filter(|it| it.queue.counts_deliveries()) {
            for envelope in messages {
                storage.write(envelope, |mark| Mark { out: true, ..mark });
            }
        }
    }

    /// Writes that no consumer has a message that [was out](Self::write_out).
    pub(super) fn write_back(storage: &Option<Box<Storage>>, envelope: &Envelope) {
        if let Some(storage) = storage.as_ref().filter(|it| it.queue.counts_deliveries()) {
            storage.write(envelope, |mark| mark);
        }
    }

    /// The state of a message, without one that is delayed, in transit or with a consumer.
    fn mark_of(envelope: &Envelope) -> Mark {
        Mark {
            acquired: envelope.acquired_count(),
            failed: envelope.delivery_count(),
            returned: envelope.is_returned(),
            ..Mark::default()
        }
    }
}

impl QueueCore {
    /// The store of the queue, if it is durable.
    #[inline]
    pub(crate) fn stored(&self) -> Option<&StoredQueue> {
        self.stored.as_deref()
    }

    /// The same queue, as the delay queue of an exchange.
    pub(crate) fn of_delayed_exchange(self) -> QueueCore {
        QueueCore {
            is_delay_queue: true,
            ..self
        }
    }

    /// Whether a delayed exchange keeps its messages here.
    pub(crate) fn is_delay_queue(&self) -> bool {
        self.is_delay_queue
    }

    /// Locks the queue, to put a message into it. `message` is the same one as bytes, if the queue
    /// keeps it.
    #[inline]
    pub(in crate::engine) fn lock_for(
        &self,
        message: Option<StoredMessage>,
    ) -> MutexGuard<'_, QueueState> {
        let mut state = self.lock();
        if let Some(storage) = &mut state.storage {
            storage.incoming = message;
        }
        state
    }

    /// A message is settled. Its store forgets it.
    #[inline]
    pub(crate) fn forget(&self, message: SettledMessage) {
        if let Some(stored) = &self.stored
            && stored.keeps(message.is_persistent)
            && !stored.is_stream()
        {
            stored.settle(message.position);
        }
    }
}

impl QueueState {
    /// Whether the queue keeps all messages, and the one that comes is not there as bytes.
    pub(super) fn lacks_incoming(&self) -> bool {
        let storage = self.storage.as_ref();
        storage.is_some_and(|it| it.queue.keeps(false) && it.incoming.is_none())
    }

    /// Writes the message that gets the next position.
    #[inline]
    pub(super) fn write_incoming(&mut self) {
        let position = self.next_position;
        // A stream writes what its log says of the message.
        if let Some(storage) = &mut self.storage
            && !storage.queue.is_stream()
            && let Some(message) = storage.incoming.take()
        {
            storage.queue.put(position, message);
        }
    }

    /// Takes the message out that comes to a stream.
    pub(super) fn take_incoming(&mut self) -> Option<StoredMessage> {
        self.storage.as_mut()?.incoming.take()
    }

    /// Writes a message that was added to the log of a stream.
    pub(super) fn write_entry(&self, appended: Appended, message: StoredMessage) {
        let Appended {
            offset,
            time: came,
            size,
            bytes,
            begins,
        } = appended;
        let arrival = Arrival {
            came,
            size,
            bytes,
            begins,
        };
        if let Some(storage) = &self.storage {
            storage.queue.append_entry(offset, arrival, message);
        }
    }

    /// Delivers a message to the next consumer, and writes that. `false` if none can take it.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        message: &mut Option<Envelope>,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        if self.storage.is_none() {
            return self.consumers.deliver(message, size, now, effects);
        }
        // Nothing is written of a message that stays.
        if self.consumers.next_consumer().is_none() {
            return false;
        }
        Storage::write_out(&self.storage, message.as_slice());
        let delivered = self.consumers.deliver(message, size, now, effects);
        if let Some(envelope) = message {
            Storage::write_back(&self.storage, envelope);
        }
        delivered
    }

    /// Writes the counts of a message.
    pub(super) fn write_mark(&self, envelope: &Envelope) {
        self.write(envelope, |mark| mark);
    }

    /// Writes that a message is delayed.
    pub(super) fn write_delay(&self, envelope: &Envelope, due: u64) {
        if let Some(storage) = &self.storage {
            let due = storage.queue.clock().time(due);
            self.write(envelope, |mark| Mark { due, ..mark });
        }
    }

    /// Writes that a message is a dead letter which no other queue has yet.
    pub(super) fn write_in_transit(&self, envelope: &Envelope, reason: DeathReason) {
        self.write(envelope, |mark| Mark {
            dead: Some(reason.number()),
            ..mark
        });
    }

    fn write(&self, envelope: &Envelope, change: impl FnOnce(Mark) -> Mark) {
        if let Some(storage) = &self.storage {
            storage.write(envelope, change);
        }
    }

    /// Writes that a message has another position than `from`.
    pub(super) fn write_move(&self, from: u64, envelope: &Envelope) {
        if let Some(storage) = self.storage.as_ref().filter(|it| it.keeps(envelope)) {
            let mark = Storage::mark_of(envelope);
            storage.queue.move_to(from, envelope.position(), mark);
        }
    }

    /// Writes that a message is gone.
    pub(super) fn forget(&self, envelope: &Envelope) {
        if let Some(storage) = self.storage.as_ref().filter(|it| it.keeps(envelope)) {
            storage.queue.settle(envelope.position());
        }
    }

    /// Writes that the queue is deleted.
    pub(super) fn forget_all(&self) {
        if let Some(storage) = &self.storage {
            storage.queue.drop_all();
        }
    }

    /// Puts a message back that was in the queue before the broker ended, at its old position.
    pub(in crate::engine) fn restore(
        &mut self,
        envelope: Envelope,
        place: RestoredPlace,
        effects: &mut Effects,
    ) {
        self.next_position = self.next_position.max(envelope.position() + 1);
        self.tally.taken_in.add_message(envelope.size());
        if let Some(account) = &self.account {
            account.charge(envelope.size());
        }
        self.timing.note_deadline(envelope.deadline());
        match place {
            RestoredPlace::Dead(reason) => self.dead_letter_or_drop(envelope, reason, effects),
            // The last delivery has failed, since its consumer has ended.
            _ if self.kind.is_quorum() && self.is_over_delivery_limit(&envelope) => {
                self.dead_letter_or_drop(envelope, DeathReason::DeliveryLimit, effects);
            }
            RestoredPlace::Ready if envelope.is_returned() => self.ready.put_back(envelope),
            RestoredPlace::Ready => self.ready.push_back(envelope),
            RestoredPlace::Delayed { due, returning } => {
                let overhead = self.ready.order().overhead(&envelope);
                let delayed = &mut self.timing.delayed;
                delayed.insert(envelope, due, returning, overhead);
            }
        }
    }

    /// Gives no new message a position before this one.
    pub(in crate::engine) fn skip_positions(&mut self, before: u64) {
        self.next_position = self.next_position.max(before);
    }

    /// All messages are restored: limits and times apply from now on.
    pub(in crate::engine) fn restored(&mut self, now: u64, effects: &mut Effects) {
        self.settle_ready(now, effects);
        // Without a ready message, delays may still be over later.
        self.schedule(effects);
        self.trigger_by_close(effects);
    }

    /// The positions of all messages that no consumer has.
    pub(in crate::engine) fn kept_positions(&self) -> Vec<u64> {
        let ready = self.ready.behind(None, u64::MAX);
        let ready = ready.map(|(_, envelope)| envelope.position());
        let delayed = self.timing.delayed.after(None);
        let delayed = delayed.map(|(_, envelope)| envelope.position());
        ready
            .chain(delayed)
            .chain(self.in_transit_positions())
            .collect()
    }
}

/// Where a message was when the broker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RestoredPlace {
    Ready,
    /// It is a dead letter that no queue has taken yet.
    Dead(DeathReason),
    Delayed {
        due: u64,
        /// Whether it was delivered before.
        returning: bool,
    },
}
