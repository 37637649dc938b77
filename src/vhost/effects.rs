//! Carrying out what queues leave undone: a work list, never recursion, with user code last.

use std::sync::Arc;

use super::{VirtualHost, topology::Target};
use crate::{
    error::CancelReason,
    queue::{Deleted, Effect, Effects, Queue},
    user_code::contained,
};

impl VirtualHost {
    /// Carries out the effects of a verb of `queue`. Must be called without any lock held.
    pub(crate) fn carry_out(&self, queue: &Arc<Queue>, effects: Effects) {
        if effects.is_empty() {
            return;
        }
        let mut work = Vec::from([(Arc::clone(queue), effects)]);
        let mut user_code = Vec::new();
        while let Some((queue, effects)) = work.pop() {
            for effect in effects.into_list() {
                match effect {
                    Effect::Unused => {
                        if let Some(effects) = self.delete_if_abandoned(&queue) {
                            work.push((Arc::clone(&queue), effects));
                        }
                    }
                    Effect::Wake(_) | Effect::Drop(_) => user_code.push(effect),
                }
            }
        }
        for effect in user_code {
            contained(|| match effect {
                Effect::Wake(wake) => wake.wake(),
                Effect::Drop(envelope) => drop(envelope),
                Effect::Unused => {}
            });
        }
    }

    /// Deletes an auto-delete queue that had consumers and has none. Looks again under both locks: a consumer may have
    /// come since, or the queue may be gone and another have its name.
    fn delete_if_abandoned(&self, queue: &Arc<Queue>) -> Option<Effects> {
        let mut topology = self.topology.write();
        let declared = topology
            .queues
            .get(queue.name())
            .filter(|declared| declared.queue == *queue)?;
        if !declared.description.is_auto_delete() {
            return None;
        }
        let mut state = queue.lock();
        if !state.is_abandoned() {
            return None;
        }
        let Ok(Deleted { effects, .. }) = state.delete(false, false, CancelReason::QueueDeleted)
        else {
            return None;
        };
        drop(state);
        topology.remove_queue(queue.name());
        Some(effects)
    }

    /// Forgets everything, as the virtual host goes down.
    pub(crate) fn clear(&self, reason: CancelReason) {
        let mut work = Vec::new();
        {
            let mut topology = self.topology.write();
            self.down.store(true, super::SeqCst);
            topology.touch_all();
            let names: Vec<_> = topology.queues.keys().cloned().collect();
            for name in names {
                if let Some(declared) = topology.remove_queue(&name) {
                    if let Ok(Deleted { effects, .. }) =
                        declared.queue.lock().delete(false, false, reason)
                    {
                        work.push((Arc::clone(&declared.queue), effects));
                    }
                }
            }
        }
        for (queue, effects) in work {
            self.carry_out(&queue, effects);
        }
    }
}

impl Target {
    pub(crate) fn queue(&self) -> Option<&Arc<Queue>> {
        match self {
            Target::Queue(queue) => Some(queue),
            Target::Exchange(_) => None,
        }
    }
}
