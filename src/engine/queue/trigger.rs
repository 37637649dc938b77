//! Triggers: when a queue tells its initiation queue that it has messages.
//!
//! The rules are those of IBM MQ. [`Trigger`] documents them.

use super::{
    effects::{Effect, Effects},
    in_flight::Move,
    outcome::PushedBy,
    state::QueueState,
};
use crate::{
    message::envelope::Envelope,
    model::{descriptions::Trigger, name::Name},
};

/// A trigger message that is due.
#[derive(Debug)]
pub(crate) struct TriggerEvent {
    pub(crate) initiation_queue: Name,
    pub(crate) trigger: Trigger,
    /// The number of ready messages.
    pub(crate) depth: u64,
    /// Ends once the trigger message is in its queue.
    pub(crate) on_its_way: Move,
}

impl QueueState {
    /// Whether an arrival may send a trigger message.
    pub(super) fn has_trigger(&self) -> bool {
        self.settings.trigger.is_some()
    }

    /// As [`take_in`](Self::take_in), and writes the message if it is kept, and sends the trigger
    /// message.
    pub(super) fn take_in_selectively(
        &mut self,
        message: &mut Option<Envelope>,
        by: PushedBy,
        now: u64,
        effects: &mut Effects,
    ) {
        let before = self.ready.len();
        self.write_incoming();
        self.take_in(message, by, now, effects);
        self.trigger_by_arrival(before, effects);
    }

    /// A message has come, when `before` messages were ready.
    pub(super) fn trigger_by_arrival(&mut self, before: usize, effects: &mut Effects) {
        let Some(settings) = &self.settings.trigger else {
            return;
        };
        let is_due = match settings.trigger {
            Trigger::Every => true,
            Trigger::First => before == 0 && self.waits_for_a_program(1),
            Trigger::Depth(messages) => self.is_trigger_armed && self.waits_for_a_program(messages),
        };
        if is_due {
            self.send_trigger(effects);
        }
    }

    /// The last consumer has ended, or the queue has come back with its broker.
    pub(super) fn trigger_by_close(&mut self, effects: &mut Effects) {
        let Some(settings) = &self.settings.trigger else {
            return;
        };
        let is_due = match settings.trigger {
            Trigger::Every => false,
            Trigger::First => self.waits_for_a_program(1),
            Trigger::Depth(messages) => self.is_trigger_armed && self.waits_for_a_program(messages),
        };
        if is_due {
            self.send_trigger(effects);
        }
    }

    /// Lets a trigger by depth send a message again. `false` if the queue has no such trigger.
    pub(crate) fn rearm_trigger(&mut self, effects: &mut Effects) -> bool {
        let settings = self.settings.trigger.as_ref();
        match settings.map(|settings| settings.trigger) {
            Some(Trigger::Depth(_)) => {
                self.is_trigger_armed = true;
                self.trigger_by_close(effects);
                true
            }
            _ => false,
        }
    }

    /// Whether this many messages wait, and no consumer is there.
    fn waits_for_a_program(&self, messages: u64) -> bool {
        !self.deleted && self.consumer_count() == 0 && self.ready.len() as u64 >= messages
    }

    fn send_trigger(&mut self, effects: &mut Effects) {
        let Some(settings) = &self.settings.trigger else {
            return;
        };
        self.is_trigger_armed = false;
        effects.add(Effect::Trigger(Box::new(TriggerEvent {
            initiation_queue: settings.initiation_queue.clone(),
            trigger: settings.trigger,
            depth: self.ready.len() as u64,
            on_its_way: self.in_flight.begin(),
        })));
    }
}
