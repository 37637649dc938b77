//! Consumers that are too slow: a message is ready, no consumer can take it, and one of them has a
//! policy for that.

use super::{
    effects::{Effect, Effects},
    state::QueueState,
};
use crate::{message::headers::x_death::DeathReason, model::slow_consumer::SlowConsumerPolicy};

impl QueueState {
    /// Carries out the policies of slow consumers, until a consumer can take the ready messages or
    /// no policy helps.
    pub(super) fn relieve(&mut self, now: u64, effects: &mut Effects) {
        if !self.consumers.has_slow_policy() {
            return;
        }
        while !self.ready.is_empty() && self.consumers.next_consumer().is_none() {
            let Some((id, policy)) = self.consumers.first_slow() else {
                return;
            };
            match policy {
                SlowConsumerPolicy::Wait => return,
                SlowConsumerPolicy::Cancel => {
                    let owner = self.consumers.inbox(id).and_then(|inbox| inbox.owner());
                    let Some(owner) = owner else {
                        // It is about to start. The next message looks again.
                        return;
                    };
                    self.consumers.forget_slow_policy(id);
                    effects.add(Effect::Slow(owner));
                    self.note_selective();
                    return;
                }
                SlowConsumerPolicy::DropOldest => {
                    let unseen = self.consumers.take_oldest_unseen(id);
                    // What its user holds stays there. The newest message waits then.
                    let waiting = unseen.is_none() && self.ready.len() > 1;
                    let ready = if waiting { self.ready.pop() } else { None };
                    let Some(oldest) = unseen.or(ready) else {
                        return;
                    };
                    self.consumers.count_missed(id);
                    self.dead_letter_or_drop(oldest, DeathReason::MaxLen, effects);
                    self.consumers.reconsider(None);
                    self.serve(now, effects);
                }
            }
        }
        self.note_limits();
    }
}
