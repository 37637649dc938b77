//! One attempt at a message: the middlewares, the handler, and the settlement.

use std::{
    cell::Cell,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::{Either, select};

use super::{
    Context, Job,
    handler::{Call, Handling, Task},
    limit::{Late, Limited, LimitedCall, Unsettled, timed_out},
    middleware::Before,
    ordered,
    settle::{HandlerError, Outcome, Settle, Verdict},
    slot::{Pause, Slot, Until},
};
use crate::{
    message::payload::Payload,
    runtime::{
        catch_panic::{catch_panic, catch_panic_text},
        clock::TimerTarget,
        signal::Signal,
        sync::atomic::Ordering::Relaxed,
    },
    session::{delivery::Delivery, delivery_info::DeliveryInfo, undecoded::Undecoded},
};

/// What the middlewares say before the handler.
enum Entered {
    /// The handler is to be called.
    Passed,
    /// The next middleware is to be asked again later.
    Waits(Pause),
    /// The handler is not to be called.
    Settled { passed: usize, outcome: Outcome },
}

impl Entered {
    /// The meaning of the answer of the last one of the middlewares that were asked.
    fn of(answer: Before, passed: usize) -> Entered {
        let until = match answer {
            Before::Go => return Entered::Passed,
            Before::Wait(time) => Until::Time(time),
            Before::WaitFor(wakeup) => Until::Woken(wakeup),
            Before::Settle(settle) => {
                let outcome = settled(settle);
                return Entered::Settled { passed, outcome };
            }
        };
        Entered::Waits(Pause { passed, until })
    }
}

/// What runs at the moment.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Before,
    Handler,
    After,
}

/// What becomes of a message next, if it is not acknowledged.
pub(super) enum Step {
    /// It is settled.
    Settle(Outcome),
    /// It waits.
    Wait(Pause),
}

impl<T: Payload> Slot<T> {
    /// Calls a handler without a time limit and without middlewares.
    #[inline(always)]
    pub(super) fn call_plainly(&self, call: &Call<T>, delivery: &Delivery<T>) -> Verdict {
        let context = Context::borrowed(&self.core.shared, delivery.info());
        let verdict = self.call(call, delivery, &context);
        // It borrows everything. Its drop would cost as much as its making.
        std::mem::forget(context);
        verdict
    }

    /// The outcome of such a call.
    #[cold]
    #[inline(never)]
    pub(super) fn conclude(&self, delivery: &Delivery<T>, verdict: Verdict) -> Outcome {
        self.outcome(
            verdict,
            &Context::borrowed(&self.core.shared, delivery.info()),
        )
    }

    /// Handles a message by a call without a time limit. `passed` middlewares have let it pass
    /// before.
    #[inline(never)]
    pub(super) fn attempt(
        &self,
        call: &Call<T>,
        delivery: &Delivery<T>,
        mut passed: usize,
    ) -> Option<Box<Step>> {
        let context = Context::borrowed(&self.core.shared, delivery.info());
        let chain = &self.core.middleware;
        let mut outcome = settled(Settle::Ack);
        let stage = Cell::new(Stage::Before);
        let attempted = catch_panic_text(|| {
            let answer = chain.before(&context, &mut passed);
            if let Some(step) = answer.and_then(|it| self.answered(*it, &context, passed)) {
                return Some(step);
            }
            stage.set(Stage::Handler);
            self.counts.begins();
            let verdict = call(delivery, &context);
            self.counts.ends();
            stage.set(Stage::After);
            match verdict {
                // It owns nothing. The compiler would have its drop look for that.
                acked @ Ok(Settle::Ack) => std::mem::forget(acked),
                verdict => outcome = self.outcome(verdict, &context),
            }
            chain.after(&context, &mut passed, &mut outcome);
            match &outcome {
                Outcome {
                    settle: Settle::Ack,
                    error: None,
                } => None,
                _ => Some(settle_by(&mut outcome)),
            }
        });
        let step = match attempted {
            Ok(step) => {
                // An acknowledgement, or left behind as one.
                std::mem::forget(outcome);
                step
            }
            Err(panic) => Some(self.panicked(panic, &context, stage.get(), outcome, passed)),
        };
        // It borrows everything. Its drop would cost as much as its making.
        std::mem::forget(context);
        step
    }

    /// The step after an answer. `None` if the handler is to be called.
    #[cold]
    #[inline(never)]
    fn answered(&self, answer: Before, context: &Context<'_>, passed: usize) -> Option<Box<Step>> {
        let step = self.step(Entered::of(answer, passed), context);
        step.map(Box::new)
    }

    /// The step after the middlewares were asked. `None` if the handler is to be called.
    fn step(&self, entered: Entered, context: &Context<'_>) -> Option<Step> {
        match entered {
            Entered::Passed => None,
            Entered::Waits(pause) => Some(Step::Wait(pause)),
            Entered::Settled {
                passed,
                mut outcome,
            } => {
                self.after(passed, context, &mut outcome);
                Some(Step::Settle(outcome))
            }
        }
    }

    /// The step after a panic.
    #[cold]
    #[inline(never)]
    fn panicked(
        &self,
        panic: String,
        context: &Context<'_>,
        stage: Stage,
        outcome: Outcome,
        passed: usize,
    ) -> Box<Step> {
        let mut outcome = match stage {
            Stage::Before => self.failed(HandlerError::panicked(panic), context),
            Stage::Handler => {
                self.counts.ends();
                self.failed(HandlerError::panicked(panic), context)
            }
            Stage::After => outcome,
        };
        self.after(passed, context, &mut outcome);
        Box::new(Step::Settle(outcome))
    }

    /// Asks the middlewares for a call with a time limit. `None` if the handler is to be called.
    pub(super) fn attempt_limited(&self, delivery: &Delivery<T>, passed: usize) -> Option<Step> {
        let context = Context::borrowed(&self.core.shared, delivery.info());
        self.step(self.enter(&context, passed), &context)
    }

    pub(super) async fn run_task(&self, task: &Task<T>, delivery: Delivery<T>) {
        let shared = &self.core.shared;
        let (job, cell) = Job::new(delivery, shared, self.hold());
        let (passed, mut outcome) = match self.enter_in_time(cell.info()).await {
            None => {
                let limit = self.core.time_limit(&job);
                let over = limit.map(|_| Arc::<Signal>::default());
                let context = Context::owned(Arc::clone(shared), Arc::clone(&cell), over.clone());
                let passed = self.passed(self.core.middlewares, cell.info(), None);
                self.counts.begins();
                let verdict = self.limited(task(job, context), limit.zip(over)).await;
                let verdict = verdict.unwrap_or_else(Err);
                self.counts.ends();
                passed.go_on();
                let context = Context::borrowed(shared, cell.info());
                (self.core.middlewares, self.outcome(verdict, &context))
            }
            Some(refused) => {
                drop(job);
                refused
            }
        };
        self.after(
            passed,
            &Context::borrowed(shared, cell.info()),
            &mut outcome,
        );
        self.counts.settled(&outcome);
        cell.settle(outcome);
    }

    /// Asks the middlewares, and waits as they say. `None` if the handler is to be called, and else
    /// the number of those that have let the message pass, and the outcome.
    pub(super) async fn enter_in_time(&self, info: &DeliveryInfo) -> Option<(usize, Outcome)> {
        let mut passed = 0;
        loop {
            let entered = self.enter(&Context::borrowed(&self.core.shared, info), passed);
            match entered {
                Entered::Passed => return None,
                Entered::Waits(pause) => {
                    let ended;
                    (ended, passed) = self.pause(pause, info).await;
                    if ended {
                        return Some((passed, settled(Settle::Requeue(Duration::ZERO))));
                    }
                }
                Entered::Settled { passed, outcome } => return Some((passed, outcome)),
            }
        }
    }

    /// Runs the future of a handler, for as long as it may. Sets the signal when its time is over.
    ///
    /// # Errors
    /// The time was over.
    pub(super) async fn limited<V>(
        &self,
        handling: Handling<V>,
        limit: Option<(Duration, Arc<Signal>)>,
    ) -> Result<V, HandlerError> {
        let Some((limit, over)) = limit else {
            return Ok(handling.await);
        };
        let Some(time_out) = self.core.shared.connection.after(limit) else {
            return Ok(handling.await);
        };
        match select(handling, time_out).await {
            Either::Left((verdict, _)) => Ok(verdict),
            Either::Right(((), handling)) => {
                over.set();
                catch_panic(|| drop(handling));
                Err(timed_out(limit))
            }
        }
    }

    /// Calls a handler that has a time limit, and settles its message unless the time was over.
    #[inline(never)]
    pub(super) fn call_limited(&self, call: &Call<T>, delivery: Delivery<T>, limit: Duration) {
        let passed = self.core.middlewares;
        let (delivery, unsettled) = match delivery.split() {
            Ok((delivery, info)) => (delivery, vec![self.unsettled(info, passed)]),
            Err(delivery) => (delivery, Vec::new()),
        };
        let handler = |context: &Context<'_>| self.call(call, &delivery, context);
        let called = self.in_time(delivery.info(), unsettled, limit, handler);
        let Some((verdict, mut unsettled)) = called else {
            return;
        };
        let context = Context::borrowed(&self.core.shared, delivery.info());
        let mut outcome = self.outcome(verdict, &context);
        self.after(passed, &context, &mut outcome);
        drop(context);
        match unsettled.pop() {
            Some(Unsettled { mut info, .. }) => self.apply(outcome, &mut info),
            None => self.settle(delivery, outcome),
        }
    }

    /// The right to settle the message in hand.
    pub(super) fn unsettled(&self, info: DeliveryInfo, passed: usize) -> Unsettled {
        let hold = self.hold();
        Unsettled { info, passed, hold }
    }

    /// Calls a handler that has a time limit. Returns its verdict, and the right to settle the
    /// message. `None` if the message is settled, since the time was over.
    pub(super) fn in_time(
        &self,
        info: &DeliveryInfo,
        unsettled: Vec<Unsettled>,
        limit: Duration,
        handler: impl FnOnce(&Context<'_>) -> Verdict,
    ) -> Option<(Verdict, Vec<Unsettled>)> {
        let shared = &self.core.shared;
        let is_split = !unsettled.is_empty();
        let handler = |time: &Limited| handler(&Context::limited(shared, info, time));
        match self.call_in_time(unsettled, limit, handler) {
            None => (!is_split).then(|| (Err(timed_out(limit)), Vec::new())),
            called => called,
        }
    }

    /// Calls a handler that has a time limit, with its time. Returns its result, and the rights to
    /// settle its messages. `None` if the time was over.
    pub(super) fn call_in_time<V>(
        &self,
        unsettled: Vec<Unsettled>,
        limit: Duration,
        handler: impl FnOnce(&Limited) -> V,
    ) -> Option<(V, Vec<Unsettled>)> {
        let shared = &self.core.shared;
        let by = (self.number, self.place);
        let limited = LimitedCall::begin(&self.core, by, limit, unsettled);
        let target: Weak<dyn TimerTarget> = Arc::downgrade(&limited) as _;
        let alarm = shared.connection.alarm(limit, target);
        let result = handler(&limited.time);
        drop(alarm);
        match limited.time.end() {
            Ok(unsettled) => Some((result, unsettled)),
            Err(late) => {
                self.counts.late();
                shared.members.is_back(late);
                let is_replaced = late == Late::Replaced;
                self.is_replaced.store(is_replaced, Relaxed);
                None
            }
        }
    }

    #[inline(always)]
    fn call(&self, call: &Call<T>, delivery: &Delivery<T>, context: &Context<'_>) -> Verdict {
        self.counts.begins();
        let handled = catch_panic_text(|| call(delivery, context));
        self.counts.ends();
        handled.unwrap_or_else(|panic| Err(HandlerError::panicked(panic)))
    }

    /// Asks the middlewares in turn, from the one after those that have `passed`.
    #[inline(always)]
    fn enter(&self, context: &Context<'_>, passed: usize) -> Entered {
        match self.core.middlewares == passed {
            true => Entered::Passed,
            false => self.ask(context, passed),
        }
    }

    fn ask(&self, context: &Context<'_>, mut passed: usize) -> Entered {
        let chain = &self.core.middleware;
        let asked = catch_panic_text(|| chain.before(context, &mut passed));
        match asked {
            Ok(None) => Entered::Passed,
            Ok(Some(answer)) => Entered::of(*answer, passed),
            Err(panic) => Entered::Settled {
                passed,
                outcome: self.failed(HandlerError::panicked(panic), context),
            },
        }
    }

    pub(super) fn outcome(&self, verdict: Verdict, context: &Context<'_>) -> Outcome {
        match verdict {
            Ok(settle) => settled(settle),
            Err(error) => self.failed(error, context),
        }
    }

    pub(super) fn failed(&self, error: HandlerError, context: &Context<'_>) -> Outcome {
        Outcome {
            settle: self.core.shared.hooks.error(&error, context),
            error: Some(error),
        }
    }

    /// Tells the middlewares that have let the message pass of its outcome.
    #[inline]
    pub(super) fn after(&self, passed: usize, context: &Context<'_>, outcome: &mut Outcome) {
        let mut left = passed;
        while left > 0 {
            // After a panic of one of them the others follow.
            catch_panic(|| self.core.middleware.after(context, &mut left, outcome));
        }
    }

    /// Acknowledges a message where it lies.
    #[inline(always)]
    pub(super) fn ack_in_place(&self, delivery: &mut Delivery<T>) {
        self.counts.acked();
        // If the broker is shut down, there is nothing to acknowledge.
        let _ = delivery.ack_in_place();
    }

    #[inline(always)]
    pub(super) fn ack(&self, delivery: Delivery<T>) {
        self.counts.acked();
        // If the broker is shut down, there is nothing to acknowledge.
        let _ = delivery.ack();
    }

    pub(super) fn settle(&self, delivery: Delivery<T>, outcome: Outcome) {
        let (opened, mut info) = delivery.into_parts();
        if let Some(opened) = opened {
            info.restore(opened);
        }
        self.apply(outcome, &mut info);
    }

    pub(super) fn apply(&self, mut outcome: Outcome, info: &mut DeliveryInfo) {
        if info.is_consumed() {
            // A message without its payload cannot return.
            outcome.settle = Settle::Ack;
        }
        self.counts.settled(&outcome);
        // If the broker is shut down, there is no queue to settle the message at.
        let hold = self.hold();
        let _ = ordered::settle(outcome, info, &self.core.shared, hold.as_deref());
    }

    /// Settles a message that does not decode.
    pub(super) fn reject(&self, undecoded: Undecoded) {
        let settle = self.core.shared.hooks.decode_error(&undecoded);
        let outcome = Outcome {
            settle,
            error: Some(HandlerError::undecoded(undecoded.error())),
        };
        self.apply(outcome, &mut undecoded.into_info());
    }
}

pub(super) fn settled(settle: Settle) -> Outcome {
    Outcome {
        settle,
        error: None,
    }
}

/// Takes an outcome out for its settlement.
#[cold]
#[inline(never)]
fn settle_by(outcome: &mut Outcome) -> Box<Step> {
    let outcome = std::mem::replace(outcome, settled(Settle::Ack));
    Box::new(Step::Settle(outcome))
}
