//! Deliveries of typed consumers that have to be settled in time.
//!
//! Such a delivery is entered when its receiver is shown it. From then on a settlement asks first
//! whether the queue has taken the message back: if so, it only tells the queue that the consumer
//! is there again.

use std::sync::Arc;

use super::unacked::{DeliveryOrigin, Unacked};
use crate::{
    engine::queue::{Deadlines, after},
    message::envelope::Envelope,
};

impl DeliveryOrigin {
    fn deadlines(&self) -> Option<&Deadlines> {
        let (_, credit) = self.consumer.as_ref()?;
        Some(&credit.deadlines)
    }

    /// Whether a message is just shown: it is neither acknowledged by that, nor has to be settled
    /// in time. `false` once the consumer has ended.
    #[inline(always)]
    pub(crate) fn shows_plainly(&self) -> bool {
        match &self.consumer {
            Some((_, credit)) => credit.is_plain(),
            None => !self.auto_ack,
        }
    }

    /// As [`shows_plainly`](Self::shows_plainly), and no message of the consumer's run expires. The
    /// run must be locked.
    #[inline(always)]
    pub(crate) fn takes_plainly(&self) -> bool {
        match &self.consumer {
            Some((_, credit)) => credit.has_plain_run(),
            None => !self.auto_ack,
        }
    }

    /// The number of its deliveries that the queue has taken back and that are not settled yet.
    pub(super) fn late(&self) -> u64 {
        self.deadlines().map_or(0, Deadlines::late)
    }

    /// Enters a delivery that is shown now. The queue takes its message back unless it is settled
    /// in time. A message that can be in one place only has all the time.
    ///
    /// It reads the clock, which may be user code.
    #[cold]
    #[inline(never)]
    fn enter(&self, envelope: &mut Envelope) {
        let deadlines = self.deadlines().filter(|_| !self.auto_ack);
        let timeout = deadlines.and_then(|deadlines| Some((deadlines, deadlines.timeout()?)));
        let Some((deadlines, timeout)) = timeout else {
            return;
        };
        let due = after(self.vhost.nanos(), timeout);
        if let Ok(copy) = envelope.share() {
            self.holders.set_time();
            if deadlines.enter(copy, due) {
                self.vhost.expect_overdue(&self.queue, due);
            }
        }
    }

    /// Ends a delivery: it is settled now, or given up. Whether the queue has taken its message
    /// back before; then nothing else is left to do.
    pub(super) fn end(&self, position: u64) -> bool {
        if self.holders.is_plain() {
            return false;
        }
        self.holders.end_claims(position);
        let late = self.deadlines().is_some_and(|all| all.settle(position));
        if let (true, Some((id, _))) = (late, &self.consumer) {
            self.vhost.settled_late(&self.queue, *id, 1);
        }
        late
    }
}

impl Unacked {
    /// The receiver is shown the message now.
    #[inline]
    pub(super) fn show(&mut self) {
        if let Some(origin) = self.origin().filter(|origin| !origin.shows_plainly()) {
            let origin = Arc::clone(origin);
            origin.show_taps(self.envelope_mut());
            #[cfg(feature = "tracing")]
            origin.show_trace(self.envelope_mut());
            origin.enter(self.envelope_mut());
        }
    }

    /// Takes out the message, to be returned as if it had not been delivered. `None` if the queue
    /// has taken it back, or if it is settled.
    pub(super) fn take_back(&mut self) -> Option<(Arc<DeliveryOrigin>, Envelope)> {
        let (origin, envelope) = self.release()?;
        match origin.end(envelope.position()) {
            true => None,
            false => Some((origin, envelope)),
        }
    }
}
