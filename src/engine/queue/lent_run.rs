//! The run of a consumer in which messages expire.
//!
//! A consumer has its run by itself, and the queue cannot look into it. So the queue notes when the
//! time of the first of its messages is over. Then it has the consumer put the run back into its
//! inbox, where each message expires as in the queue. A receiver that comes before the timer does
//! the same.

use std::collections::VecDeque;

use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget},
    effects::{Effect, Effects},
    inbox::Inbox,
    state::QueueState,
};
use crate::message::envelope::{Envelope, NEVER};

impl Inbox {
    /// Whether all messages are taken at once, also where messages expire.
    pub(super) fn is_one_run(&self) -> bool {
        let singles = self.singles.as_ref();
        singles.is_none_or(|singles| singles.is_empty())
    }

    /// Has the consumer look whether the time of a message of its run is over, if it has one.
    pub(super) fn look_after_lent(&mut self, effects: &mut Effects) {
        if std::mem::take(&mut self.has_lent)
            && let Some(owner) = self.owner()
        {
            effects.add(Effect::RunDue(owner));
        }
    }

    /// Puts a run back to the front. Its messages are taken one by one.
    fn put_run_back(&mut self, run: &mut VecDeque<Envelope>) {
        let singles = &mut self.split_run().messages;
        std::iter::from_fn(|| run.pop_back()).for_each(|last| singles.push_front(last));
    }
}

impl ConsumerState {
    /// Whether the messages of the inbox are taken at once, also where messages expire.
    pub(super) fn has_one_run(&self) -> bool {
        match &self.target {
            DeliveryTarget::Inbox(inbox) => inbox.is_one_run(),
            DeliveryTarget::Push(_) => true,
        }
    }
}

impl QueueState {
    /// Notes what a consumer has in its run.
    pub(super) fn lend<'a>(
        &mut self,
        id: ConsumerId,
        run: impl Iterator<Item = &'a Envelope>,
        effects: &mut Effects,
    ) {
        let due = earliest(run);
        if let Some(inbox) = self.consumers.inbox(id) {
            inbox.has_lent = due != NEVER;
        }
        self.delivered_in_advance(due, effects);
    }

    /// Puts the run of a consumer back into its inbox if the time of one of its messages is over.
    /// Otherwise the timer comes again. The run stays if the consumer was removed.
    pub(crate) fn look_after_run(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        if earliest(run.iter()) > now {
            return self.lend(id, run.iter(), effects);
        }
        let Some(subscriber) = self.consumers.get_mut(id) else {
            return;
        };
        if let DeliveryTarget::Inbox(inbox) = &mut subscriber.target {
            inbox.put_run_back(run);
            subscriber.credit.set_filled(true);
        }
        self.lend(id, run.iter(), effects);
        self.expire_again(id, now, effects);
    }
}

/// The first deadline of messages. [`NEVER`] if none of them expires.
fn earliest<'a>(messages: impl Iterator<Item = &'a Envelope>) -> u64 {
    let deadlines = messages.map(|envelope| envelope.deadline);
    deadlines.min().unwrap_or(NEVER)
}
