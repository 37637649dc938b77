//! The messages of an inbox that are taken one by one, so that the others can expire there.

use std::collections::VecDeque;

use crate::message::envelope::Envelope;

/// The messages that are taken one by one, and those of the inbox that do not expire there.
#[derive(Debug, Default)]
pub(super) struct Singles {
    /// The first messages of the inbox, in the order of delivery.
    pub(super) messages: VecDeque<Envelope>,
    /// Messages that do not expire here, in the order of delivery.
    kept: VecDeque<Kept>,
    /// When the first message expires that the consumer has in its run, if that is looked after.
    pub(super) run_due: Option<u64>,
}

/// A message that does not expire in the inbox.
#[derive(Clone, Copy, Debug)]
struct Kept {
    position: u64,
    /// A receiver was woken for it. Otherwise its time was over when it came, as with a time to
    /// live of zero.
    awaited: bool,
}

impl Singles {
    /// Records that the message at this position does not expire here.
    pub(super) fn keep(&mut self, position: u64, awaited: bool) {
        self.kept.push_back(Kept { position, awaited });
    }

    /// Puts a message that was taken from here back to the front, for a receiver to take it.
    pub(super) fn put_back(&mut self, envelope: Envelope) {
        let position = envelope.position();
        self.messages.push_front(envelope);
        // The receivers that were woken take the first messages.
        let awaited = true;
        self.kept.push_front(Kept { position, awaited });
    }

    /// A receiver that was woken has left without a message, or another message has come before
    /// those that receivers were woken for. So the last of those may expire again.
    pub(super) fn release_last(&mut self) {
        if let Some(last) = self.kept.iter().rposition(|kept| kept.awaited) {
            self.kept.remove(last);
        }
    }

    /// Whether the message is the one at this index of those that do not expire here.
    pub(super) fn is_kept(&self, index: usize, envelope: &Envelope) -> bool {
        let kept = self.kept.get(index);
        kept.is_some_and(|kept| kept.position == envelope.position())
    }

    /// Takes the first message.
    pub(super) fn take_first(&mut self) -> Option<Envelope> {
        let envelope = self.messages.pop_front()?;
        if self.is_kept(0, &envelope) {
            self.kept.pop_front();
        }
        Some(envelope)
    }

    /// Takes the first message out if it has expired.
    pub(super) fn pop_expired(&mut self, now: u64) -> Option<Envelope> {
        let head = self.messages.front()?;
        let expired = head.deadline() <= now && !self.is_kept(0, head);
        expired.then(|| self.messages.pop_front())?
    }

    /// Takes all messages.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Envelope> + '_ {
        self.kept.clear();
        self.messages.drain(..)
    }

    /// Whether it has messages, or the time of a run.
    pub(super) fn is_used(&self) -> bool {
        !self.is_empty() || self.run_due.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.kept.is_empty()
    }
}
