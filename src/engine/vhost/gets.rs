//! Gets: taking single messages out of a queue.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::queue::{QueueCore, ReadyKey},
    message::envelope::{Envelope, SettledMessage},
    model::error::{Error, Result},
    runtime::waiter::Ticket,
};

/// Whether a get acknowledges the message at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnGet {
    Acknowledge,
    KeepUnacked,
}

/// The queue was deleted, so it has no messages any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueDeleted;

impl VirtualHost {
    /// # Errors
    /// [`Error::SingleActiveConsumer`] if the queue has no gets, since it is a quorum queue with a
    /// single active consumer. [`Error::NotImplemented`] for a stream.
    #[inline]
    pub(crate) fn check_gets(&self, queue: &QueueCore) -> Result {
        if queue.is_stream() {
            let (name, vhost) = (queue.name(), self.name());
            return Err(Error::not_for_streams("basic.get", name, vhost));
        }
        match queue.is_single_active_quorum() {
            true => Err(Error::SingleActiveConsumer {
                name: queue.name().clone(),
                vhost: self.name().clone(),
            }),
            false => Ok(()),
        }
    }

    /// Takes the next ready message out (`basic.get`), which renews the queue's lease. `take` gets
    /// the message and the number of messages still ready. It runs under the queue's lock. It may
    /// take a leaf lock, and runs no user code.
    ///
    /// As in RabbitMQ, the number of a quorum queue has the messages that expire only now, if
    /// `asked` is not to acknowledge.
    pub(crate) fn get<R>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        asked: OnGet,
        take: impl FnOnce(Envelope, usize) -> (R, OnGet),
    ) -> Option<R> {
        self.with_queue(queue, |state, now, effects| {
            state.renew_lease(now, effects);
            let behind = match queue.is_quorum() && asked == OnGet::KeepUnacked {
                true => state.ready_behind_first(now, effects),
                false => 0,
            };
            let Some((envelope, ready)) = state.get(now, effects) else {
                state.count_empty_get();
                return None;
            };
            let settled = SettledMessage::of(&envelope);
            let (taken, on_get) = take(envelope, ready.max(behind));
            if on_get == OnGet::Acknowledge {
                queue.forget(settled);
                state.count_auto_ack_get();
                state.settle_gets(1, settled.size, effects);
            }
            Some(taken)
        })
    }

    /// Takes the next ready message out. If there is none and the queue is not deleted, registers
    /// the waiter with the ticket. `Err` if the queue is deleted.
    pub(crate) fn get_or_wait(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        ticket: Option<Ticket<'_>>,
    ) -> Result<Option<Envelope>, QueueDeleted> {
        self.with_queue(queue, |state, now, effects| {
            state.renew_lease(now, effects);
            match state.get(now, effects) {
                Some((envelope, _)) => Ok(Some(envelope)),
                None if state.is_deleted() => Err(QueueDeleted),
                None => {
                    match ticket {
                        Some(ticket) => state.get_waiters().register(ticket),
                        None => state.count_empty_get(),
                    }
                    Ok(None)
                }
            }
        })
    }

    /// Takes all ready messages out in order, as a sequence of gets.
    pub(crate) fn get_all(self: &Arc<Self>, queue: &Arc<QueueCore>) -> Vec<Envelope> {
        self.with_queue(queue, |state, now, effects| {
            std::iter::from_fn(|| state.get(now, effects))
                .map(|(envelope, _)| envelope)
                .collect()
        })
    }

    /// As a get, for the ready message at `key`. `None` if it is not ready any more.
    pub(crate) fn get_at(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        key: ReadyKey,
    ) -> Option<Envelope> {
        self.with_queue(queue, |state, now, effects| state.get_at(key, now, effects))
    }

    /// Pauses a queue, or ends its pause. When a pause begins, what typed consumers have in advance
    /// returns.
    pub(crate) fn set_queue_paused(self: &Arc<Self>, queue: &Arc<QueueCore>, paused: bool) {
        self.with_queue(queue, |state, now, effects| {
            state.set_queue_paused(paused, now, effects);
        });
        if paused {
            queue.return_all_unseen();
        }
    }

    /// Deletes the ready message at `key`. `false` if it is not ready any more.
    pub(crate) fn delete_at(self: &Arc<Self>, queue: &Arc<QueueCore>, key: ReadyKey) -> bool {
        self.with_queue(queue, |state, now, effects| {
            state.delete_at(key, now, effects)
        })
    }

    /// Acknowledges messages taken by gets.
    pub(crate) fn settle_gets(self: &Arc<Self>, queue: &Arc<QueueCore>, messages: u64, bytes: u64) {
        self.with_queue(queue, |state, _, effects| {
            state.settle_gets(messages, bytes, effects);
        });
    }

    /// Counts messages taken by gets as moved to another queue.
    pub(crate) fn settle_moved(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        messages: u64,
        bytes: u64,
    ) {
        self.with_queue(queue, |state, _, effects| {
            state.settle_moved(messages, bytes, effects);
        });
    }
}
