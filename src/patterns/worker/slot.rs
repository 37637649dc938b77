//! [`Slot`], which handles one message after the other. A worker has as many as its concurrency.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};

use super::{
    Context, Core,
    attempt::{Step, settled},
    core::Shared,
    handler::Handler,
    limit::{Unsettled, timed_out},
    ordered::KeyHold,
    report::{SlotCounts, WorkerEnd},
    settle::Settle,
    wakeup::Wakeup,
};
use crate::{
    message::payload::Payload,
    runtime::{
        block_on::block_on,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        waiter::Waiting,
    },
    session::{
        delivery::Delivery,
        delivery_info::DeliveryInfo,
        receive::{RecvError, TryRecvError},
    },
};

/// Handles one message after the other, on a thread or in a task.
pub(super) struct Slot<T: Payload> {
    pub(super) core: Arc<Core<T>>,
    pub(super) number: u64,
    pub(super) counts: Arc<SlotCounts>,
    pub(super) place: Place,
    /// Whether the worker waits for the end of the slot.
    is_member: bool,
    /// Whether another slot has taken the place of this one.
    pub(super) is_replaced: AtomicBool,
    /// Whether it has ended since there was nothing left to drain.
    pub(super) has_drained: bool,
    /// Whether it has looked for more messages for a moment, since the last one.
    pub(super) has_spun: bool,
    /// The key of the message in hand, if the worker is ordered.
    hold: Mutex<Option<Arc<KeyHold>>>,
}

/// Where a slot runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Thread,
    Task,
}

/// How long a drain waits at least before it looks for a delayed message again.
const SOON: Duration = Duration::from_millis(1);

/// How many messages a slot handles in a task before other tasks get a turn.
pub(super) const TURN: u32 = 64;

/// The wait of a message.
pub(super) struct Pause {
    /// The number of middlewares that have let it pass. The next one is asked again.
    pub(super) passed: usize,
    pub(super) until: Until,
}

impl Pause {
    pub(super) fn wakeup(&self) -> Option<&Wakeup> {
        match &self.until {
            Until::Time(_) => None,
            Until::Woken(wakeup) => Some(wakeup),
        }
    }
}

/// The end of a wait.
pub(super) enum Until {
    Time(Duration),
    Woken(Wakeup),
}

/// How far a slot has come with the messages that are there.
pub(super) enum Progress<T: Payload> {
    /// No message is there.
    Empty {
        is_draining: bool,
        /// When the first delayed message is due, if the worker drains.
        first_due: Option<Instant>,
    },
    /// There may be more. Others get a turn before.
    Turn,
    /// A message that may have to wait, or has to after `passed` middlewares.
    Message(Delivery<T>, Option<Pause>),
    /// The slot ends.
    Ended,
}

impl<T: Payload> Slot<T> {
    pub(super) fn new(core: Arc<Core<T>>, place: Place) -> Slot<T> {
        let (number, counts) = core.shared.add_slot();
        Slot {
            core,
            number,
            counts,
            place,
            is_member: true,
            is_replaced: AtomicBool::new(false),
            has_drained: false,
            has_spun: false,
            hold: Mutex::new(None),
        }
    }

    /// Makes a slot for a thread that settles the message of another one.
    pub(super) fn spare(core: Arc<Core<T>>) -> Slot<T> {
        let mut slot = Slot::new(core, Place::Thread);
        slot.is_member = false;
        slot
    }

    /// Takes the place of another slot.
    pub(super) fn replace(&mut self) {
        self.is_member = true;
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.core.shared
    }

    /// The key of the message in hand, if the worker is ordered.
    pub(super) fn hold(&self) -> Option<Arc<KeyHold>> {
        self.hold.lock().clone()
    }

    /// Sets the key of the message in hand. The one before goes on.
    pub(super) fn set_hold(&self, hold: Option<Arc<KeyHold>>) {
        let before = std::mem::replace(&mut *self.hold.lock(), hold);
        drop(before);
    }

    /// Settles messages whose handler has taken too long. Then handles messages, as a member.
    pub(super) fn run_for(self, unsettled: Vec<Unsettled>, limit: Duration) {
        for Unsettled {
            mut info,
            passed,
            hold,
        } in unsettled
        {
            self.set_hold(hold);
            let context = Context::borrowed(&self.core.shared, &info);
            let mut outcome = self.failed(timed_out(limit), &context);
            self.after(passed, &context, &mut outcome);
            drop(context);
            self.apply(outcome, &mut info);
        }
        self.set_hold(None);
        if self.is_member {
            block_on(self.run());
        }
    }

    /// Handles messages until the worker ends.
    pub(super) async fn run(mut self) {
        if self.core.ordered.is_some() {
            return Box::pin(self.run_ordered()).await;
        }
        if let Handler::Batch(_) = &self.core.handler {
            return Box::pin(self.run_batches()).await;
        }
        let mut handled = 0;
        loop {
            let mut progress = self.work_off();
            if let Progress::Empty {
                is_draining,
                first_due,
            } = progress
            {
                progress = self.wait(is_draining, first_due).await;
            }
            let (delivery, pause) = match progress {
                Progress::Message(delivery, pause) => (delivery, pause),
                Progress::Turn => {
                    if self.place == Place::Task {
                        yield_now().await;
                    }
                    continue;
                }
                Progress::Empty { .. } => continue,
                Progress::Ended => return,
            };
            self.handle(delivery, pause).await;
            self.has_spun = false;
            if self.is_replaced.load(Relaxed) {
                return;
            }
            handled = (handled + 1) % TURN;
            if handled == 0 && self.place == Place::Task {
                yield_now().await;
            }
        }
    }

    /// Handles the messages that are there. It does not wait, and it is no future: this is the
    /// loop that most messages take.
    #[inline(never)]
    pub(super) fn work_off(&mut self) -> Progress<T> {
        let Core {
            shared,
            consumer,
            handler,
            timeout,
            ..
        } = &*self.core;
        let (plain, call) = match (handler, timeout) {
            (Handler::Call(call), None) if self.core.ordered.is_none() => {
                (self.core.middlewares == 0, Some(call))
            }
            _ => (false, None),
        };
        for handled in 0..TURN {
            // Both are read first. A message that was published before the drain began is found
            // after this, and so is one that was delayed and is no more.
            let (mut is_draining, mut first_due) = (false, None);
            if shared.is_ending() {
                if shared.stop.is_set() {
                    return Progress::Ended;
                }
                is_draining = shared.drain.is_set();
                first_due = consumer.first_due();
            }
            let mut received = consumer.try_recv();
            // A message stays where it was received, since most of them are acknowledged there.
            let step = match (&mut received, call) {
                (Ok(delivery), Some(call)) if plain => match self.call_plainly(call, delivery) {
                    acked @ Ok(Settle::Ack) => {
                        // It owns nothing. The compiler would have its drop look for that.
                        std::mem::forget(acked);
                        self.ack_in_place(delivery);
                        continue;
                    }
                    verdict => Some(Step::Settle(self.conclude(delivery, verdict))),
                },
                (Ok(delivery), Some(call)) => match self.attempt(call, delivery, 0) {
                    None => {
                        self.ack_in_place(delivery);
                        continue;
                    }
                    step => step.map(|step| *step),
                },
                _ => None,
            };
            match received {
                Ok(delivery) => match step {
                    Some(Step::Settle(outcome)) => self.settle(delivery, outcome),
                    Some(Step::Wait(pause)) => return Progress::Message(delivery, Some(pause)),
                    None => return Progress::Message(delivery, None),
                },
                Err(TryRecvError::Decode(undecoded)) => self.reject(undecoded),
                Err(TryRecvError::Cancelled(reason)) => {
                    shared.ends(WorkerEnd::Cancelled(reason));
                    return Progress::Ended;
                }
                Err(TryRecvError::Empty) => {
                    self.has_spun &= handled == 0;
                    return Progress::Empty {
                        is_draining,
                        first_due,
                    };
                }
            }
        }
        Progress::Turn
    }

    /// Waits until there may be a message.
    pub(super) async fn wait(
        &mut self,
        is_draining: bool,
        first_due: Option<Instant>,
    ) -> Progress<T> {
        let shared = &self.core.shared;
        let first_due = first_due.filter(|due| is_draining && shared.awaits(*due));
        if is_draining && first_due.is_none() {
            self.has_drained = true;
            return Progress::Ended;
        }
        if self.place == Place::Thread && !std::mem::replace(&mut self.has_spun, true) {
            self.core.consumer.spin_for_more();
            return Progress::Turn;
        }
        self.has_spun = false;
        self.receive_until(async {
            match first_due {
                Some(due) => self.wait_for_due(due).await,
                None => Waiting::new(Arc::clone(&shared.drain)).await,
            }
        })
        .await
    }

    /// Waits until a delayed message may be there that is due at `due`.
    pub(super) async fn wait_for_due(&self, due: Instant) {
        let shared = &self.core.shared;
        // Another slot may get the message that is due. One that is overdue comes soon.
        let soon = shared.time.now() + SOON;
        shared.connection.until(due.max(soon)).await;
    }

    /// Waits for a message, until `interrupted` is ready.
    pub(super) async fn receive_until(&self, interrupted: impl Future<Output = ()>) -> Progress<T> {
        let Core {
            shared, consumer, ..
        } = &*self.core;
        shared.hooks.idle();
        let received = pin!(consumer.recv_async());
        match select(received, pin!(interrupted)).await {
            Either::Left((Ok(delivery), _)) => Progress::Message(delivery, None),
            Either::Left((Err(RecvError::Decode(undecoded)), _)) => {
                self.reject(undecoded);
                Progress::Turn
            }
            Either::Left((Err(RecvError::Cancelled(reason)), _)) => {
                shared.ends(WorkerEnd::Cancelled(reason));
                Progress::Ended
            }
            Either::Right(_) => Progress::Turn,
        }
    }

    /// Handles one message, and waits if a middleware or the handler does.
    pub(super) async fn handle(&self, delivery: Delivery<T>, mut pause: Option<Pause>) {
        let call = match &self.core.handler {
            Handler::Call(call) => call,
            Handler::Consume(handler) => return self.consume(handler, delivery).await,
            Handler::Task(task) => return self.run_task(task, delivery).await,
            Handler::Batch(batches) => return self.run_batch(batches, vec![delivery]).await,
        };
        let outcome = loop {
            let mut passed = 0;
            if let Some(pause) = pause {
                let ended;
                (ended, passed) = self.pause(pause, delivery.info()).await;
                if ended {
                    let mut outcome = settled(Settle::Requeue(Duration::ZERO));
                    let context = Context::borrowed(&self.core.shared, delivery.info());
                    self.after(passed, &context, &mut outcome);
                    break outcome;
                }
            }
            let step = match self.core.time_limit(&delivery) {
                None => match self.attempt(call, &delivery, passed) {
                    Some(step) => *step,
                    None => return self.ack(delivery),
                },
                Some(limit) => match self.attempt_limited(&delivery, passed) {
                    Some(step) => step,
                    None => return self.call_limited(call, delivery, limit),
                },
            };
            match step {
                Step::Settle(outcome) => break outcome,
                Step::Wait(again) => pause = Some(again),
            }
        };
        self.settle(delivery, outcome);
    }

    /// Waits as a middleware wants. Returns whether the worker ends meanwhile, and the number of
    /// middlewares that have let the message pass by then.
    pub(super) async fn pause(&self, pause: Pause, info: &DeliveryInfo) -> (bool, usize) {
        let passed = self.passed(pause.passed, info, pause.wakeup());
        let ends = pin!(self.ends());
        let ended = match &pause.until {
            Until::Woken(wakeup) => {
                matches!(select(ends, wakeup.waiting()).await, Either::Left(_))
            }
            Until::Time(time) => {
                if time.is_zero() {
                    yield_now().await;
                }
                match self.core.shared.connection.after(*time) {
                    Some(time) => matches!(select(ends, time).await, Either::Left(_)),
                    None => {
                        ends.await;
                        true
                    }
                }
            }
        };
        (ended, passed.go_on())
    }

    /// Waits until the worker is to stop, or its consumer has ended.
    async fn ends(&self) {
        let stop = Waiting::new(Arc::clone(&self.core.shared.stop));
        let cancelled = pin!(self.core.consumer.wait_for_end());
        select(stop, cancelled).await;
    }
}

/// The slot may end in the middle of a message, if its task is dropped. The message returns to its
/// queue then.
impl<T: Payload> Drop for Slot<T> {
    fn drop(&mut self) {
        self.return_waiting();
        let shared = &self.core.shared;
        shared.remove_slot(self.number);
        if self.is_member && !self.is_replaced.load(Relaxed) {
            if !self.has_drained {
                shared.ends(WorkerEnd::Stopped);
            }
            shared.members.leave();
        }
        shared.check_end();
    }
}

/// Lets other tasks run.
pub(super) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
