//! The dead letters of a quorum queue that waits until other queues have taken them: at-least-once
//! dead-lettering.
//!
//! A message stays here until every queue of its route has taken it. If there is no such queue, or
//! one refuses it, the queue tries again later. Plain data behind the queue's lock, and no part of
//! the ready messages. Knows nothing of routes.

use std::{collections::BTreeMap, time::Duration};

use super::timing::after;
use crate::{
    message::{
        envelope::{Envelope, NEVER},
        headers::x_death::DeathReason,
    },
    model::{message_totals::MessageTotals, name::Name},
};

/// How long RabbitMQ waits until it tries again.
const RETRY: Duration = Duration::from_secs(180);

/// The number of a message in transit.
pub(crate) type TransitId = u64;

/// The messages in transit, by number.
#[derive(Debug, Default)]
pub(super) struct InTransit {
    messages: BTreeMap<TransitId, Waiting>,
    next_id: TransitId,
    totals: MessageTotals,
    /// The bytes that a limit counts beside those of the bodies.
    overhead: u64,
}

/// One message in transit.
#[derive(Debug)]
struct Waiting {
    envelope: Envelope,
    reason: DeathReason,
    overhead: u64,
    /// The queues that have taken it.
    taken_by: Vec<Name>,
    /// When the queue tries again. [`NEVER`] while a try is under way.
    retry_at: u64,
}

/// A copy of a message in transit, for one more try.
pub(super) struct Again {
    pub(super) id: TransitId,
    pub(super) envelope: Envelope,
    pub(super) reason: DeathReason,
    pub(super) taken_by: Vec<Name>,
}

impl InTransit {
    /// Keeps a message and returns its number. A try is under way.
    pub(super) fn insert(
        &mut self,
        envelope: Envelope,
        reason: DeathReason,
        overhead: u64,
    ) -> TransitId {
        let id = self.next_id;
        self.next_id += 1;
        self.totals.add_message(envelope.size());
        self.overhead += overhead;
        let waiting = Waiting {
            envelope,
            reason,
            overhead,
            taken_by: Vec::new(),
            retry_at: NEVER,
        };
        self.messages.insert(id, waiting);
        id
    }

    /// Takes out a message that all queues of its route have taken, with the reason of its death.
    /// `None` if it was purged.
    pub(super) fn remove(&mut self, id: TransitId) -> Option<(Envelope, DeathReason)> {
        let removed = self.messages.remove(&id)?;
        self.totals -= MessageTotals::new(1, removed.envelope.size());
        self.overhead -= removed.overhead;
        Some((removed.envelope, removed.reason))
    }

    /// A try has ended, and only these queues have taken the message.
    pub(super) fn try_later(&mut self, id: TransitId, taken_by: Vec<Name>, now: u64) {
        if let Some(waiting) = self.messages.get_mut(&id) {
            waiting.taken_by = taken_by;
            waiting.retry_at = after(now, RETRY);
        }
    }

    /// Copies of the messages that are to be tried again.
    pub(super) fn due(&mut self, now: u64) -> Vec<Again> {
        let due = self.messages.iter_mut();
        let due = due.filter(|(_, waiting)| waiting.retry_at <= now);
        due.filter_map(|(id, waiting)| {
            waiting.retry_at = NEVER;
            Some(Again {
                id: *id,
                envelope: waiting.envelope.share().ok()?,
                reason: waiting.reason,
                taken_by: waiting.taken_by.clone(),
            })
        })
        .collect()
    }

    /// When the next message is to be tried again, or [`NEVER`].
    pub(super) fn next_due(&self) -> u64 {
        let due = self.messages.values().map(|waiting| waiting.retry_at);
        due.min().unwrap_or(NEVER)
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = u64> {
        let messages = self.messages.values();
        messages.map(|waiting| waiting.envelope.position())
    }

    pub(super) fn totals(&self) -> MessageTotals {
        self.totals
    }

    /// The totals, with the bytes that a limit counts.
    pub(super) fn limited(&self) -> MessageTotals {
        let bytes = self.totals.bytes.saturating_add(self.overhead);
        MessageTotals::new(self.totals.messages, bytes)
    }

    /// Takes all messages, with the reasons of their deaths.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Envelope, DeathReason)> + use<> {
        self.totals = MessageTotals::default();
        self.overhead = 0;
        let messages = std::mem::take(&mut self.messages);
        messages
            .into_values()
            .map(|waiting| (waiting.envelope, waiting.reason))
    }
}
