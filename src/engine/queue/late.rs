//! Settlements of which the queue is not notified at once.
//!
//! A queue is notified of settlements when the consumer has no credit left. The credit that one
//! settlement gives is worth one message, and to hand over one message costs nearly as much as to
//! hand over a hundred. So a consumer that still has something to read notifies the queue late, of
//! many settlements at once, or when it has read everything.
//!
//! Operations on the queue apply these settlements first, all but a publish. So they find the queue
//! as if it had been notified of each one.

use super::{
    consumer_state::{ConsumerState, DeliveryTarget, RUN},
    effects::Effects,
    state::QueueState,
};

impl QueueState {
    /// Applies settlements that did not notify the queue, and serves consumers with new credit.
    pub(super) fn apply_settlements(&mut self, now: u64, effects: &mut Effects) {
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

    /// Applies the settlements of a channel, if that may be late.
    #[inline]
    pub(crate) fn apply_late_settlements(&mut self, now: u64, effects: &mut Effects) {
        if self.consumers.may_have_late_settlements() {
            self.apply_settlements(now, effects);
        }
    }
}

impl ConsumerState {
    /// Whether it is a consumer of a channel.
    pub(super) fn is_of_channel(&self) -> bool {
        matches!(self.target, DeliveryTarget::Push(_))
    }

    /// Whether the consumer may take one more message. If not, the queue is notified of its
    /// settlements. A channel may notify it late if `may_be_late` says so.
    #[inline]
    pub(super) fn has_credit(&mut self, may_be_late: bool) -> bool {
        self.prefetch == 0 || self.delivered.available > 0 || self.refresh(may_be_late)
    }

    /// Adds the settlements since the last time. If that gives no credit, requests a notification.
    fn refresh(&mut self, may_be_late: bool) -> bool {
        let (handed, prefetch) = (self.delivered.totals.messages, u64::from(self.prefetch));
        let left = |settled| prefetch.saturating_sub(handed.saturating_sub(settled)) as u32;
        self.delivered.available = left(self.credit.settled_messages());
        if self.delivered.available == 0 {
            let at = |settlements: u64| (handed + settlements).saturating_sub(prefetch);
            self.delivered.available = left(match &self.target {
                DeliveryTarget::Push(_) if may_be_late => {
                    let late = (prefetch / 2).clamp(1, RUN.into());
                    self.credit.arm_late_notify(at(1), at(late), handed)
                }
                _ => self.credit.arm_notify(at(self.notify_interval())),
            });
        }
        if self.delivered.available > 0 {
            self.credit.disarm_notify();
        }
        self.delivered.available > 0
    }

    /// After how many settlements the queue is notified.
    ///
    /// A channel notifies it of each one, unless it may be late, and so does a receiver that waits.
    /// A receiver that still has a run calls `checkout` after its end and takes the ready messages
    /// as one run.
    fn notify_interval(&self) -> u64 {
        match &self.target {
            DeliveryTarget::Inbox(inbox) if !inbox.wants_more && inbox.waiting.is_empty() => {
                u64::from(self.prefetch)
            }
            _ => 1,
        }
    }
}
