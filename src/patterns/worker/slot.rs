//! [`Slot`], which handles one message after the other. A worker has as many as its concurrency.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::{Either, select};

use super::{
    Context, Core, Job,
    core::Shared,
    handler::{Call, Handler, Handling},
    limit::{Late, LimitedCall, Unsettled, timed_out},
    middleware::Before,
    report::{SlotCounts, WorkerEnd},
    settle::{Failure, HandlerError, Outcome, Settle, Verdict},
};
use crate::{
    message::payload::Payload,
    runtime::{
        block_on::block_on,
        catch_panic::{catch_panic, catch_panic_text},
        clock::TimerTarget,
        signal::Signal,
        waiter::Waiting,
    },
    session::{
        delivery::Delivery,
        delivery_info::DeliveryInfo,
        receive::{RecvError, TryRecvError},
        undecoded::Undecoded,
    },
};

/// Handles one message after the other, on a thread or in a task.
pub(super) struct Slot<T: Payload> {
    core: Arc<Core<T>>,
    number: u64,
    counts: Arc<SlotCounts>,
    place: Place,
    /// Whether the worker waits for the end of the slot.
    is_member: bool,
}

/// Where a slot runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Thread,
    Task,
}

/// How many messages a slot handles in a task before other tasks get a turn.
const TURN: u32 = 64;

/// The progress of a message through the middlewares before its handler.
struct Entered {
    /// The number of middlewares that have let it pass.
    passed: usize,
    /// The outcome, if the handler is not to be called.
    outcome: Option<Outcome>,
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
        }
    }

    /// Makes a slot for a thread that settles the message of another one, and takes its place if
    /// it `is_member`.
    pub(super) fn spare(core: Arc<Core<T>>, is_member: bool) -> Slot<T> {
        let mut slot = Slot::new(core, Place::Thread);
        slot.is_member = is_member;
        slot
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.core.shared
    }

    /// Settles a message whose handler has taken too long. Then handles messages, as a member.
    pub(super) fn run_for(self, unsettled: Option<Unsettled>, limit: Duration) {
        if let Some(Unsettled { mut info, passed }) = unsettled {
            let mut outcome = self.failed(timed_out(limit), &info);
            self.after(passed, &info, &mut outcome);
            self.apply(outcome, &mut info);
        }
        if self.is_member {
            block_on(self.run());
        }
    }

    /// Handles messages until the worker ends.
    pub(super) async fn run(mut self) {
        let mut handled = 0;
        while let Some(received) = self.next().await {
            match received {
                Ok(delivery) => {
                    if self.handle(delivery).await == Late::Replaced {
                        self.is_member = false;
                        return;
                    }
                }
                Err(undecoded) => self.reject(undecoded),
            }
            handled += 1;
            if self.place == Place::Task && handled % TURN == 0 {
                yield_now().await;
            }
        }
    }

    /// Receives the next message. `None` if the worker ends.
    async fn next(&self) -> Option<Result<Delivery<T>, Undecoded>> {
        let Core {
            shared, consumer, ..
        } = &*self.core;
        let mut spins = self.place == Place::Thread;
        loop {
            if shared.stop.is_set() {
                return None;
            }
            match consumer.try_recv() {
                Ok(delivery) => return Some(Ok(delivery)),
                Err(TryRecvError::Decode(undecoded)) => return Some(Err(undecoded)),
                Err(TryRecvError::Cancelled(reason)) => {
                    shared.ends(WorkerEnd::Cancelled(reason));
                    return None;
                }
                Err(TryRecvError::Empty) => {}
            }
            if shared.drain.is_set() {
                let Some(time) = shared.until_last_due() else {
                    shared.ends(WorkerEnd::Drained);
                    return None;
                };
                // Another slot may get the messages that are due, and requeue them once more.
                self.pause(time).await;
                continue;
            }
            if std::mem::take(&mut spins) {
                consumer.spin_for_more();
                continue;
            }
            shared.hooks.idle();
            let received = std::pin::pin!(consumer.recv_async());
            let drained = Waiting::new(Arc::clone(&shared.drain));
            match select(received, drained).await {
                Either::Left((Ok(delivery), _)) => return Some(Ok(delivery)),
                Either::Left((Err(RecvError::Decode(undecoded)), _)) => {
                    return Some(Err(undecoded));
                }
                Either::Left((Err(RecvError::Cancelled(reason)), _)) => {
                    shared.ends(WorkerEnd::Cancelled(reason));
                    return None;
                }
                // The drain has begun.
                Either::Right(_) => {}
            }
        }
    }

    /// Handles one message. Tells whether the slot goes on.
    async fn handle(&self, delivery: Delivery<T>) -> Late {
        match &self.core.handler {
            Handler::Call(call) => {
                if self.core.is_plain() {
                    let verdict = self.call(call, &delivery);
                    if let Ok(Settle::Ack) = verdict {
                        self.counts.acked();
                        // If the broker is shut down, there is nothing to acknowledge.
                        let _ = delivery.ack();
                    } else {
                        let outcome = self.outcome(verdict, delivery.info());
                        self.settle(delivery, outcome);
                    }
                    return Late::GoesOn;
                }
                let Entered { passed, outcome } = self.enter(delivery.info()).await;
                let mut outcome = match (outcome, self.core.timeout) {
                    (Some(outcome), _) => outcome,
                    (None, None) => self.outcome(self.call(call, &delivery), delivery.info()),
                    (None, Some(limit)) => return self.call_limited(call, delivery, passed, limit),
                };
                self.after(passed, delivery.info(), &mut outcome);
                self.settle(delivery, outcome);
            }
            Handler::Task(task) => {
                let Entered { passed, outcome } = self.enter(delivery.info()).await;
                let (job, cell) = Job::new(delivery, &self.core.shared.name);
                let mut outcome = match outcome {
                    Some(outcome) => {
                        drop(job);
                        outcome
                    }
                    None => {
                        let shared = Arc::clone(&self.core.shared);
                        let over = self.core.timeout.map(|_| Arc::<Signal>::default());
                        let context = Context::owned(shared, Arc::clone(&cell), over.clone());
                        self.counts.begins();
                        let verdict = self.limited(task(job, context), over).await;
                        self.counts.ends();
                        self.outcome(verdict, cell.info())
                    }
                };
                self.after(passed, cell.info(), &mut outcome);
                self.settles(&outcome);
                cell.settle(outcome);
            }
        }
        Late::GoesOn
    }

    /// Runs the future of a handler, for as long as it may. Sets `over` when its time is over.
    async fn limited(&self, handling: Handling, over: Option<Arc<Signal>>) -> Verdict {
        let (Some(limit), Some(over)) = (self.core.timeout, over) else {
            return handling.await;
        };
        let Some(time_out) = self.core.shared.connection.after(limit) else {
            return handling.await;
        };
        match select(handling, time_out).await {
            Either::Left((verdict, _)) => verdict,
            Either::Right(((), handling)) => {
                over.set();
                catch_panic(|| drop(handling));
                Err(timed_out(limit))
            }
        }
    }

    /// Calls a handler that has a time limit, and settles its message unless the time was over.
    fn call_limited(
        &self,
        call: &Call<T>,
        delivery: Delivery<T>,
        passed: usize,
        limit: Duration,
    ) -> Late {
        let shared = &self.core.shared;
        let (delivery, unsettled) = match delivery.split() {
            Ok((delivery, info)) => (delivery, Some(Unsettled { info, passed })),
            Err(delivery) => (delivery, None),
        };
        let is_split = unsettled.is_some();
        let by = (self.number, self.place);
        let limited = LimitedCall::begin(&self.core, by, limit, unsettled);
        let target: Weak<dyn TimerTarget> = Arc::downgrade(&limited) as _;
        let alarm = shared.connection.alarm(limit, target);
        let context = Context::limited(shared, delivery.info(), limited.over());
        self.counts.begins();
        let verdict = call(&delivery, &context);
        self.counts.ends();
        drop(alarm);
        let (verdict, unsettled, late) = match limited.end() {
            Ok(unsettled) => (verdict, unsettled, Late::GoesOn),
            Err(late) => {
                self.counts.late();
                shared.members.is_back(late);
                if is_split {
                    return late;
                }
                (Err(timed_out(limit)), None, late)
            }
        };
        let mut outcome = self.outcome(verdict, delivery.info());
        self.after(passed, delivery.info(), &mut outcome);
        match unsettled {
            Some(Unsettled { mut info, .. }) => self.apply(outcome, &mut info),
            None => self.settle(delivery, outcome),
        }
        late
    }

    #[inline(always)]
    fn call(&self, call: &Call<T>, delivery: &Delivery<T>) -> Verdict {
        let context = Context::borrowed(&self.core.shared, delivery.info());
        self.counts.begins();
        let verdict = call(delivery, &context);
        self.counts.ends();
        verdict
    }

    /// Asks the middlewares in turn.
    async fn enter(&self, info: &DeliveryInfo) -> Entered {
        let Core {
            shared, middleware, ..
        } = &*self.core;
        for (passed, middleware) in middleware.iter().enumerate() {
            loop {
                let before =
                    catch_panic_text(|| middleware.before(&Context::borrowed(shared, info)));
                let outcome = match before {
                    Ok(Before::Go) => break,
                    Ok(Before::Wait(time)) => {
                        if !self.pause(time).await {
                            continue;
                        }
                        settled(Settle::Requeue(Duration::ZERO))
                    }
                    Ok(Before::Settle(settle)) => settled(settle),
                    Err(panic) => self.failed(HandlerError::panicked(panic), info),
                };
                return Entered {
                    passed,
                    outcome: Some(outcome),
                };
            }
        }
        Entered {
            passed: middleware.len(),
            outcome: None,
        }
    }

    /// Waits for a time. Returns whether the worker is to stop.
    async fn pause(&self, time: Duration) -> bool {
        let shared = &self.core.shared;
        let stop = Waiting::new(Arc::clone(&shared.stop));
        match shared.connection.after(time) {
            Some(time) => matches!(select(stop, time).await, Either::Left(_)),
            None => {
                stop.await;
                true
            }
        }
    }

    fn outcome(&self, verdict: Verdict, info: &DeliveryInfo) -> Outcome {
        match verdict {
            Ok(settle) => settled(settle),
            Err(error) => self.failed(error, info),
        }
    }

    fn failed(&self, error: HandlerError, info: &DeliveryInfo) -> Outcome {
        let context = Context::borrowed(&self.core.shared, info);
        Outcome {
            settle: self.core.shared.hooks.error(&error, &context),
            error: Some(error),
        }
    }

    /// Tells the middlewares that have let the message pass of its outcome.
    fn after(&self, passed: usize, info: &DeliveryInfo, outcome: &mut Outcome) {
        let Core {
            shared, middleware, ..
        } = &*self.core;
        for middleware in middleware[..passed].iter().rev() {
            catch_panic(|| middleware.after(&Context::borrowed(shared, info), outcome));
        }
    }

    fn settle(&self, delivery: Delivery<T>, outcome: Outcome) {
        let (opened, mut info) = delivery.into_parts();
        if let Some(opened) = opened {
            info.restore(opened);
        }
        self.apply(outcome, &mut info);
    }

    fn apply(&self, outcome: Outcome, info: &mut DeliveryInfo) {
        self.settles(&outcome);
        // If the broker is shut down, there is no queue to settle the message at.
        let _ = outcome.apply(info, &self.core.shared.name);
    }

    fn settles(&self, outcome: &Outcome) {
        self.counts.settled(outcome);
        if let Settle::Requeue(delay) = outcome.settle {
            self.core.shared.requeued_after(delay);
        }
    }

    /// Settles a message that does not decode.
    fn reject(&self, undecoded: Undecoded) {
        let settle = self.core.shared.hooks.decode_error(&undecoded);
        let message = undecoded.error().to_string();
        let error = HandlerError::of(Failure::Decode, "leveret::CodecError", message);
        let outcome = Outcome {
            settle,
            error: Some(error),
        };
        self.apply(outcome, &mut undecoded.into_info());
    }
}

/// The slot may end in the middle of a message, if its task is dropped. The message returns to its
/// queue then.
impl<T: Payload> Drop for Slot<T> {
    fn drop(&mut self) {
        if self.is_member {
            self.core.shared.members.leave();
            self.core.shared.check_end();
        }
    }
}

fn settled(settle: Settle) -> Outcome {
    Outcome {
        settle,
        error: None,
    }
}

/// Lets other tasks run.
async fn yield_now() {
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
