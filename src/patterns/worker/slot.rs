//! [`Slot`], which handles one message after the other. A worker has as many as its concurrency.

use std::{sync::Arc, time::Duration};

use futures_util::future::{Either, select};

use super::{
    Context, Core, Job,
    handler::Handler,
    middleware::Before,
    report::{SlotCounts, WorkerEnd},
    settle::{Failure, HandlerError, Outcome, Settle, Verdict},
};
use crate::{
    message::payload::Payload,
    runtime::{
        catch_panic::{catch_panic, catch_panic_text},
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
    counts: Arc<SlotCounts>,
    place: Place,
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
    pub(super) fn new(core: &Arc<Core<T>>, counts: &Arc<SlotCounts>, place: Place) -> Slot<T> {
        Slot {
            core: Arc::clone(core),
            counts: Arc::clone(counts),
            place,
        }
    }

    /// Handles messages until the worker ends.
    pub(super) async fn run(self) {
        let mut handled = 0;
        while let Some(received) = self.next().await {
            match received {
                Ok(delivery) => self.handle(delivery).await,
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
            shared,
            consumer,
            hooks,
            ..
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
            hooks.idle();
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

    async fn handle(&self, delivery: Delivery<T>) {
        match &self.core.handler {
            Handler::Call(call) => {
                if self.core.middleware.is_empty() {
                    let verdict = self.call(call, &delivery);
                    if let Ok(Settle::Ack) = verdict {
                        self.counts.acked();
                        // If the broker is shut down, there is nothing to acknowledge.
                        let _ = delivery.ack();
                        return;
                    }
                    let outcome = self.outcome(verdict, delivery.info());
                    return self.settle(delivery, outcome);
                }
                let Entered { passed, outcome } = self.enter(delivery.info()).await;
                let mut outcome = match outcome {
                    Some(outcome) => outcome,
                    None => self.outcome(self.call(call, &delivery), delivery.info()),
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
                        let context = Context::owned(shared, Arc::clone(&cell));
                        self.counts.begins();
                        let verdict = task(job, context).await;
                        self.counts.ends();
                        self.outcome(verdict, cell.info())
                    }
                };
                self.after(passed, cell.info(), &mut outcome);
                self.settles(&outcome);
                cell.settle(outcome);
            }
        }
    }

    #[inline(always)]
    fn call(
        &self,
        call: &(dyn Fn(&T, &Context<'_>) -> Verdict + Send + Sync),
        delivery: &Delivery<T>,
    ) -> Verdict {
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
            settle: self.core.hooks.error(&error, &context),
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
        let settle = self.core.hooks.decode_error(&undecoded);
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
        self.core.leave();
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
