//! The run of a consumer in which messages expire.
//!
//! A consumer has its run by itself, and the queue cannot look into it. So the queue notes when the
//! time of the first of its messages is over. Then it has the consumer put the run back into its
//! inbox, where each message expires as in the queue, and before those behind it.
//!
//! A receiver that comes before the timer puts back its own run only. Then the messages that other
//! consumers have in theirs may end after those behind them.
//!
//! A message of a run holds up none of the inbox, as if the consumer had received it.

use std::{collections::VecDeque, sync::Arc};

use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget},
    effects::{Effect, Effects},
    inbox::{Inbox, InboxOwner},
    state::QueueState,
};
use crate::message::envelope::{Envelope, NEVER};

impl Inbox {
    /// Whether all messages are taken at once, also where messages expire.
    pub(super) fn is_one_run(&self) -> bool {
        let singles = self.singles.as_ref();
        singles.is_none_or(|singles| singles.is_empty())
    }

    /// When the first message expires that the consumer has in its run, if that is looked after.
    pub(super) fn run_due(&self) -> Option<u64> {
        self.singles.as_ref()?.run_due
    }

    fn set_run_due(&mut self, due: Option<u64>) {
        if due != self.run_due() {
            self.singles.get_or_insert_default().run_due = due;
        }
    }

    /// The consumer that has to put its run back now. It is not asked a second time.
    fn called_back(&mut self, now: u64) -> Option<Arc<dyn InboxOwner>> {
        let run_due = &mut self.singles.as_mut()?.run_due;
        run_due.take_if(|due| *due <= now)?;
        // One that is about to end returns its run by itself.
        self.owner()
    }

    /// Puts a run back to the front. Its messages are taken one by one.
    pub(super) fn put_run_back(&mut self, run: &mut VecDeque<Envelope>) {
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
    /// Notes the messages that a consumer has in its run.
    pub(super) fn lend<'a>(
        &mut self,
        id: ConsumerId,
        run: impl Iterator<Item = &'a Envelope>,
        effects: &mut Effects,
    ) {
        let due = Some(earliest(run)).filter(|due| *due != NEVER);
        if let Some(subscriber) = self.consumers.get_mut(id)
            && let DeliveryTarget::Inbox(inbox) = &mut subscriber.target
        {
            inbox.set_run_due(due);
            if due.is_some() {
                subscriber.credit.note_expiring();
            }
        }
        self.delivered_in_advance(due.unwrap_or(NEVER), effects);
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
        if earliest(run.iter()) <= now
            && let Some(subscriber) = self.consumers.get_mut(id)
            && let DeliveryTarget::Inbox(inbox) = &mut subscriber.target
        {
            inbox.put_run_back(run);
            let due = inbox.first_due();
            subscriber.credit.set_filled(true);
            self.delivered_in_advance(due, effects);
        }
        self.lend(id, run.iter(), effects);
    }

    /// Has consumers put their runs back in which the time of a message is over. `false` if there
    /// are none.
    pub(super) fn calls_runs_back(&mut self, now: u64, effects: &mut Effects) -> bool {
        let mut owners = Vec::new();
        for subscriber in self.consumers.iter_mut() {
            if let DeliveryTarget::Inbox(inbox) = &mut subscriber.target {
                owners.extend(inbox.called_back(now));
            }
        }
        if owners.is_empty() {
            return false;
        }
        effects.add(Effect::RunsDue(owners));
        true
    }
}

/// The first deadline of messages. [`NEVER`] if none of them expires.
fn earliest<'a>(messages: impl Iterator<Item = &'a Envelope>) -> u64 {
    let deadlines = messages.map(|envelope| envelope.deadline());
    deadlines.min().unwrap_or(NEVER)
}
