//! Carries out the effects of queues with a work list, without recursion. User code runs last.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Instant,
};

use super::{
    VirtualHost,
    history::{History, Replay},
};
use crate::{
    engine::{
        events::{self, Actor},
        queue::{Counts, DeleteRefused, Deleted, Effect, Effects, QueueCore, QueueState},
        store::KeptPositions,
    },
    model::error::CancelReason,
    runtime::{catch_panic::catch_panic, clock::TimerTarget, waiter::Wake},
};

/// The effects of queues, the oldest first.
pub(super) type PendingEffects = VecDeque<(Arc<QueueCore>, Effects)>;

/// The work that a change of the topology leaves for the time when its lock is released.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// Of queues that are deleted.
    pub(super) effects: PendingEffects,
    /// Of new bindings.
    pub(super) replays: Vec<Replay>,
    /// Of deleted exchanges.
    pub(super) ended: Vec<Arc<History>>,
    /// The events of the change that are not told yet.
    pub(super) events: Vec<events::Pending>,
    /// The readers of events that were told.
    pub(super) told: Vec<Wake>,
}

/// The counts of the queues of a virtual host at its end.
#[derive(Debug, Default)]
pub(crate) struct LastCounts {
    pub(crate) queues: Vec<(Arc<QueueCore>, Counts)>,
    /// The queues in which delayed exchanges kept messages, by the name of the exchange.
    pub(crate) delay_queues: Vec<(Arc<QueueCore>, Counts)>,
    /// What the durable queues have whose messages are not all there.
    pub(crate) kept: KeptPositions,
}

/// The timers' reference to a queue. A timer keeps neither the virtual host nor the queue alive.
struct QueueTimer {
    vhost: Weak<VirtualHost>,
    queue: Weak<QueueCore>,
}

impl TimerTarget for QueueTimer {
    fn fire(&self, now: Instant) {
        if let (Some(vhost), Some(queue)) = (self.vhost.upgrade(), self.queue.upgrade()) {
            vhost.run_effects(&queue, tick(&queue, vhost.nanos_at(now)));
        }
    }
}

/// Has everything happen in a queue whose time has come.
fn tick(queue: &QueueCore, now: u64) -> Effects {
    let mut effects = Effects::none();
    queue.lock().tick(now, &mut effects);
    effects
}

impl VirtualHost {
    /// Runs an operation on a queue and carries out its effects. Must be called without any lock
    /// held. A channel that is served late gets what it has a right to before the operation.
    pub(in crate::engine) fn with_queue<R>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        operation: impl FnOnce(&mut QueueState, u64, &mut Effects) -> R,
    ) -> R {
        self.with_queue_as_it_is(queue, |state, now, effects| {
            state.serve_late_channel(now, effects);
            operation(state, now, effects)
        })
    }

    /// As [`with_queue`](Self::with_queue). But a channel may still be late.
    pub(super) fn with_queue_as_it_is<R>(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        operation: impl FnOnce(&mut QueueState, u64, &mut Effects) -> R,
    ) -> R {
        let mut now = self.now_for(queue);
        let mut effects = Effects::none();
        let mut state = queue.lock();
        if now == 0 && queue.is_timed() {
            // Something here depends on time since the first check. The clock must not be read
            // under the lock.
            drop(state);
            now = self.nanos();
            state = queue.lock();
        }
        let done = operation(&mut state, now, &mut effects);
        drop(state);
        self.run_effects(queue, effects);
        done
    }

    /// Hands over what a channel that is served late has a right to, as each operation does.
    pub(crate) fn serve_late_channel(self: &Arc<Self>, queue: &Arc<QueueCore>) {
        self.with_queue(queue, |_, _, _| {});
    }

    /// Carries out the effects of an operation on `queue`. Must be called without any lock held.
    #[inline]
    pub(crate) fn run_effects(self: &Arc<Self>, queue: &Arc<QueueCore>, effects: Effects) {
        if effects.is_empty() {
            return;
        }
        match effects.into_only_wake() {
            // `wake` contains panics of user code itself.
            Ok(wake) => wake.wake(),
            Err(effects) => {
                self.run_all_effects(PendingEffects::from([(Arc::clone(queue), effects)]))
            }
        }
    }

    /// Does what is left of a change of the topology. Must be called without any lock held.
    pub(super) fn finish_change(self: &Arc<Self>, aftermath: Aftermath) {
        let Aftermath {
            effects,
            replays,
            ended,
            events: _,
            told,
        } = aftermath;
        self.run_all_effects(effects);
        self.replay(replays);
        ended.iter().for_each(|history| history.end());
        told.into_iter().for_each(Wake::wake);
    }

    /// Carries out the effects of several queues, in this order. Effects that result from them come
    /// last, as if queues were processes that send each other messages. Must be called without any
    /// lock held.
    pub(super) fn run_all_effects(self: &Arc<Self>, mut work: PendingEffects) {
        let (mut user_code, mut ended) = (Vec::new(), Vec::new());
        while let Some((queue, effects)) = work.pop_front() {
            if effects.sets_timer() {
                self.set_timer(&queue);
            }
            for effect in effects.into_list() {
                match effect {
                    Effect::Wake(_)
                    | Effect::Drop(_)
                    | Effect::DropSegment(_)
                    | Effect::DropBlocks(_)
                    | Effect::Late(_)
                    | Effect::Slow(_) => {
                        user_code.push(effect);
                    }
                    Effect::DeadLetter(dead) => self.publish_dead_letter(&queue, *dead, &mut work),
                    Effect::RunsDue(consumers) => {
                        consumers.iter().for_each(|one| one.look_after_run());
                        work.push_back((Arc::clone(&queue), tick(&queue, self.nanos())));
                        // The last handle to a consumer may run user code.
                        user_code.push(Effect::RunsDue(consumers));
                    }
                    Effect::ReadStream(consumer, offset) => {
                        let effects = self.read_for_consumer(&queue, consumer, offset);
                        work.push_back((Arc::clone(&queue), effects));
                    }
                    Effect::Trigger(event) => self.publish_trigger(&queue, *event, &mut work),
                    Effect::Unused | Effect::LeaseOver(_) => {
                        let deleted = match effect {
                            Effect::LeaseOver(at) => self.delete_expired(&queue, at),
                            _ => self.delete_abandoned(&queue),
                        };
                        work.extend(deleted.effects);
                        ended.extend(deleted.ended);
                        user_code.extend(deleted.told.into_iter().map(Effect::Wake));
                    }
                }
            }
        }
        ended.iter().for_each(|history| history.end());
        for effect in user_code {
            catch_panic(|| match effect {
                Effect::Wake(wake) => wake.wake(),
                Effect::Drop(envelope) => drop(envelope),
                Effect::DropSegment(segment) => drop(segment),
                Effect::DropBlocks(blocks) => drop(blocks),
                Effect::Late(consumer) => consumer.return_if_late(),
                Effect::Slow(consumer) => consumer.cancel_slow(),
                Effect::RunsDue(consumers) => drop(consumers),
                // Already carried out.
                Effect::DeadLetter(_)
                | Effect::ReadStream(..)
                | Effect::Trigger(_)
                | Effect::Unused
                | Effect::LeaseOver(_) => {}
            });
        }
    }

    /// Sets the timer of a queue to the next due time that the queue has now. The rules are in
    /// `engine/queue/timing.rs`.
    pub(super) fn set_timer(self: &Arc<Self>, queue: &Arc<QueueCore>) {
        let target = queue.timer_target(|| {
            Arc::new(QueueTimer {
                vhost: Arc::downgrade(self),
                queue: Arc::downgrade(queue),
            })
        });
        queue.lock().set_timer(self.timers(), |at| {
            let at = self.instant(at)?;
            Some(self.timers().add(at, Arc::downgrade(target)))
        });
        self.timers().wake_thread();
    }

    /// Deletes an auto-delete queue that had consumers and has none. Checks again under both locks:
    /// a consumer may have subscribed since, or another queue may have the name.
    fn delete_abandoned(&self, queue: &Arc<QueueCore>) -> Aftermath {
        let mut topology = self.topology.write();
        let goes = topology.queues.get(queue.name()).is_some_and(|declared| {
            declared.queue == *queue
                && declared.terms.description.is_auto_delete()
                && queue.lock().is_abandoned()
        });
        match goes {
            true => self.end(&mut topology, queue),
            false => Aftermath::default(),
        }
    }

    /// Deletes a queue whose lease was over at `now`. Checks again under both locks, as for an
    /// abandoned queue.
    fn delete_expired(&self, queue: &Arc<QueueCore>, now: u64) -> Aftermath {
        let mut topology = self.topology.write();
        let goes = topology
            .queues
            .get(queue.name())
            .is_some_and(|declared| declared.queue == *queue && queue.lock().is_lease_over(now));
        match goes {
            true => self.end(&mut topology, queue),
            false => Aftermath::default(),
        }
    }

    /// Deletes a queue and returns the effects. A consumer cannot subscribe between the check and
    /// the deletion. It needs the topology lock to find the queue, and if it found the queue
    /// before, it finds it deleted.
    fn end(&self, topology: &mut super::Topology, queue: &Arc<QueueCore>) -> Aftermath {
        let deleted = queue
            .lock()
            .delete(true, false, CancelReason::QueueDeleted, 0);
        match deleted {
            Ok(Deleted { effects, .. }) => {
                topology.remove_queue(queue.name());
                let mut aftermath = topology.take_aftermath(Actor::Internal);
                aftermath.effects.push_front((Arc::clone(queue), effects));
                aftermath
            }
            Err(DeleteRefused::InUse | DeleteRefused::NotEmpty | DeleteRefused::Deleted) => {
                Aftermath::default()
            }
        }
    }

    /// Deletes all queues when the virtual host goes down. Returns the queues and delay queues with
    /// their last counts.
    pub(crate) fn clear(self: &Arc<Self>, reason: CancelReason) -> LastCounts {
        let mut last = LastCounts::default();
        let mut work = PendingEffects::new();
        self.prepare_end(reason);
        let now = self.nanos();
        let mut aftermath = {
            let mut topology = self.topology.write();
            self.set_down(reason);
            if reason.is_end_of_broker() {
                topology.events = None;
            }
            self.end_storage(&mut topology, reason);
            self.set_dead_letter_queue(None);
            topology.touch_all();
            last.delay_queues = topology.close_delay_queues(reason);
            let names: Vec<_> = topology.queues.keys().cloned().collect();
            for name in names {
                if let Some(declared) = topology.remove_queue(&name) {
                    let mut state = declared.queue.lock();
                    let stored = declared.queue.stored();
                    let stored = stored.filter(|_| reason.is_end_of_broker());
                    let kept = stored.map(|stored| (stored.number(), state.kept_positions()));
                    let deleted = state.delete(false, false, reason, now);
                    drop(state);
                    if let Ok(Deleted {
                        effects, counts, ..
                    }) = deleted
                    {
                        // Only then is something missing.
                        let kept = kept.filter(|_| counts.unsettled.messages > 0);
                        last.kept
                            .extend(kept.map(|(number, it)| (number, it.into_iter().collect())));
                        last.queues.push((Arc::clone(&declared.queue), counts));
                        work.push_back((Arc::clone(&declared.queue), effects));
                    }
                }
            }
            if !reason.is_end_of_broker() {
                topology.end_histories();
            }
            topology.take_aftermath(Actor::Internal)
        };
        work.append(&mut aftermath.effects);
        aftermath.effects = work;
        self.finish_change(aftermath);
        last
    }
}
