//! Channels that a queue serves late.
//!
//! To hand over one message costs nearly as much as to hand over a hundred. So a channel that still
//! has something to read gets nothing more. When it has read everything, it gets as many messages
//! as its credit allows at once. A publisher meanwhile meets nothing but the queue.
//!
//! It makes no other difference. The queue has no other consumer, nor has the channel, and messages
//! do not overtake one another. Every operation on the queue but a publish first serves the
//! channel. So it finds the queue as if each message had been handed over as soon as possible.
//!
//! Two threads that poll one stream of events may still see it. One of them has taken the last
//! event and not noted that yet, and the other finds nothing.
//!
//! In the same way an operation applies the settlements of a typed consumer, which notifies its
//! queue when it needs more messages.

use super::{
    consumer_state::{ConsumerState, DeliveryTarget},
    effects::Effects,
    state::QueueState,
};

/// A channel with a smaller prefetch is never served late. Its runs would be too short.
const LEAST_PREFETCH: u32 = 8;

impl QueueState {
    /// Applies settlements that did not notify the queue, and serves all consumers with credit.
    pub(super) fn apply_settlements(&mut self, now: u64, effects: &mut Effects) {
        let was_late = self.consumers.allow_late(false);
        self.serve_by_credit(now, effects);
        self.consumers.allow_late(was_late);
    }

    fn serve_by_credit(&mut self, now: u64, effects: &mut Effects) {
        if !self.consumers.reconsider(None) {
            return;
        }
        if self.kind.is_stream() {
            self.serve_readings(now, effects);
        } else if self.ready_len() > 0 {
            self.serve(now, effects);
            self.note_limits();
            self.schedule(effects);
            self.admit_publishers(effects);
        }
        // Consumers that have credit again have cleared their notifications.
        self.wake_idle_waiters(effects);
    }

    /// Serves a channel that may be served late.
    #[inline]
    pub(crate) fn serve_late_channel(&mut self, now: u64, effects: &mut Effects) {
        if self.consumers.may_have_late_channel() {
            self.apply_settlements(now, effects);
        }
    }
}

impl ConsumerState {
    /// Whether it may be served late: it is one of a channel, and settles its deliveries.
    #[inline]
    pub(super) fn may_be_late(&self) -> bool {
        matches!(self.target, DeliveryTarget::Push(_))
            && !self.auto_ack
            && !(1..LEAST_PREFETCH).contains(&self.prefetch)
    }

    /// Whether the consumer may take one more message. If not, the queue is notified when it may.
    /// A channel with unread deliveries may take none if it `may_be_late`.
    #[inline]
    pub(super) fn has_credit(&mut self, may_be_late: bool) -> bool {
        let is_late = may_be_late && self.is_late();
        !is_late && (self.prefetch == 0 || self.delivered.available > 0 || self.refresh())
    }

    /// Whether it has unread deliveries, and is to be served late.
    fn is_late(&self) -> bool {
        let handed = self.delivered.totals.messages;
        self.may_be_late() && self.credit.waits_for_readers(handed)
    }

    /// Adds the settlements since the last time. If that gives no credit, requests a notification.
    fn refresh(&mut self) -> bool {
        let (handed, prefetch) = (self.delivered.totals.messages, u64::from(self.prefetch));
        let left = |settled| prefetch.saturating_sub(handed.saturating_sub(settled)) as u32;
        self.delivered.available = left(self.credit.settled_messages());
        if self.delivered.available == 0 {
            let at = (handed + self.notify_interval()).saturating_sub(prefetch);
            self.delivered.available = left(self.credit.arm_notify(at));
        }
        if self.delivered.available > 0 {
            self.credit.disarm_notify();
        }
        self.delivered.available > 0
    }

    /// After how many settlements the queue is notified.
    ///
    /// A channel notifies it of each one, as AMQP requires, and so does a receiver that waits. A
    /// receiver that still has a run calls `checkout` after its end and takes the ready messages as
    /// one run.
    fn notify_interval(&self) -> u64 {
        match &self.target {
            DeliveryTarget::Inbox(inbox) if !inbox.wants_more && inbox.waiting.is_empty() => {
                u64::from(self.prefetch)
            }
            _ => 1,
        }
    }
}
