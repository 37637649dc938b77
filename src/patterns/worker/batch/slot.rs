//! The loop of a slot of a worker with batches.
//!
//! One slot at a time collects a batch. While it handles the batch, another slot collects.

use std::{
    future::pending,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, FutureExt, select};

use super::{Batch, BatchHandler, Batches, Call, Task, Waits, result};
use crate::{
    message::payload::Payload,
    patterns::worker::{
        Context, Settle,
        attempt::{Step, settled},
        handler::Handler,
        job::JobCell,
        limit::{Limited, Unsettled, timed_out},
        settle::{HandlerError, Verdict},
        slot::{Place, Progress, Slot, TURN, yield_now},
    },
    runtime::{
        catch_panic::catch_panic_text, signal::Signal, sync::atomic::Ordering::Relaxed,
        waiter::Waiting,
    },
    session::{delivery::Delivery, delivery_info::DeliveryInfo, receive::RecvError},
};

/// A batch that is not complete yet. All middlewares have let its messages pass.
///
/// # If dropped
/// The messages return to their places in the queue, since no handler has seen them.
struct Collecting<'a, T: Payload> {
    slot: &'a Slot<T>,
    messages: Vec<Delivery<T>>,
    /// When the batch is complete. `None` if no instant can represent it.
    end: Option<Instant>,
}

/// The messages that the future of a handler has.
///
/// # If dropped
/// The middlewares learn that the messages return to their queue: the task of the worker was
/// dropped.
struct InTask<'a, T: Payload> {
    slot: &'a Slot<T>,
    cells: Vec<Arc<JobCell>>,
}

impl<'a, T: Payload> Collecting<'a, T> {
    /// Begins a batch with its first message.
    fn new(slot: &'a Slot<T>, first: Delivery<T>, max_wait: Duration) -> Collecting<'a, T> {
        let deadline = slot.core.shared.time.deadline(max_wait);
        Collecting {
            slot,
            messages: vec![first],
            end: deadline.map(|deadline| deadline.at()),
        }
    }

    /// Whether the time of the batch is over.
    fn is_over(&self) -> bool {
        let now = || self.slot.core.shared.time.now();
        self.end.is_some_and(|end| end <= now())
    }
}

impl<T: Payload> Drop for Collecting<'_, T> {
    fn drop(&mut self) {
        for delivery in self.messages.drain(..) {
            self.slot
                .returns(self.slot.core.middlewares, delivery.info());
            delivery.into_info().return_unseen();
        }
    }
}

impl<T: Payload> Drop for InTask<'_, T> {
    fn drop(&mut self) {
        for cell in &self.cells {
            self.slot.returns(self.slot.core.middlewares, cell.info());
        }
    }
}

impl<T: Payload> Slot<T> {
    /// Handles batches until the worker ends.
    pub(in super::super) async fn run_batches(mut self) {
        let core = Arc::clone(&self.core);
        let Handler::Batch(batches) = &core.handler else {
            return;
        };
        loop {
            let receiver = core.receiver.acquire().await;
            let waits = batches.waits.lock().take();
            let first = match waits {
                Some(waits) => self.resume(waits).await,
                None => match self.receive_first().await {
                    Some(first) => self.ask_first(batches, first),
                    None => return,
                },
            };
            let Some(first) = first else { continue };
            let mut batch = Collecting::new(&self, first, batches.max_wait);
            let waits = self.collect(&mut batch, batches.max).await;
            *batches.waits.lock() = waits;
            drop(receiver);
            if core.shared.stop.is_set() {
                continue;
            }
            let messages = std::mem::take(&mut batch.messages);
            drop(batch);
            self.run_batch(batches, messages).await;
            if self.is_replaced.load(Relaxed) {
                return;
            }
            if self.place == Place::Task {
                yield_now().await;
            }
        }
    }

    /// Waits with a message as a middleware says, until it can begin a batch. `None` if it is
    /// settled.
    async fn resume(&self, (delivery, mut pause): Waits<T>) -> Option<Delivery<T>> {
        loop {
            let step = match self.pause(pause, delivery.info()).await {
                (true, passed) => {
                    self.returns(passed, delivery.info());
                    Step::Settle(settled(Settle::Requeue(Duration::ZERO)))
                }
                (false, passed) => match self.attempt_limited(&delivery, passed) {
                    Some(step) => step,
                    None => return Some(delivery),
                },
            };
            match step {
                Step::Wait(again) => pause = again,
                Step::Settle(outcome) => {
                    self.settle(delivery, outcome);
                    return None;
                }
            }
        }
    }

    /// Receives the first message of a batch. `None` if the worker ends.
    async fn receive_first(&mut self) -> Option<Delivery<T>> {
        loop {
            let mut progress = self.work_off();
            if let Progress::Empty {
                is_draining,
                first_due,
            } = progress
            {
                progress = self.wait(is_draining, first_due).await;
            }
            match progress {
                Progress::Message(delivery, _) => return Some(delivery),
                Progress::Ended => return None,
                Progress::Turn if self.place == Place::Task => yield_now().await,
                Progress::Turn | Progress::Empty { .. } => {}
            }
        }
    }

    /// Asks the middlewares for the first message of a batch. Returns it if it begins one now.
    fn ask_first(&self, batches: &Batches<T>, first: Delivery<T>) -> Option<Delivery<T>> {
        let Some(step) = self.attempt_limited(&first, 0) else {
            return Some(first);
        };
        let waits = self.leave_out(first, step);
        *batches.waits.lock() = waits;
        None
    }

    /// Returns the message that waits to begin a batch to its place in the queue.
    pub(in super::super) fn return_waiting(&self) {
        let Handler::Batch(batches) = &self.core.handler else {
            return;
        };
        let waits = batches.waits.lock().take();
        if let Some((delivery, pause)) = waits {
            drop(self.passed(pause.passed, delivery.info(), pause.wakeup()));
            delivery.into_info().return_unseen();
        }
    }

    /// Does what the middlewares say of a message that is not in the batch. Returns it if it has to
    /// wait.
    fn leave_out(&self, delivery: Delivery<T>, step: Step) -> Option<Waits<T>> {
        match step {
            Step::Wait(pause) => Some((delivery, pause)),
            Step::Settle(outcome) => {
                self.settle(delivery, outcome);
                None
            }
        }
    }

    /// Waits for a message, at most until `end`. `None` if no message comes in time, or if the
    /// worker drains.
    async fn receive_more(&self, end: Option<Instant>) -> Option<Result<Delivery<T>, RecvError>> {
        let core = &self.core;
        let received = pin!(core.consumer.recv_async());
        let drained = Waiting::new(Arc::clone(&core.shared.drain));
        let over = pin!(async {
            match end {
                Some(end) => core.shared.connection.until(end).await,
                None => pending().await,
            }
        });
        match select(received, select(drained, over)).await {
            Either::Left((received, _)) => Some(received),
            Either::Right(_) => None,
        }
    }

    /// Completes a batch. Returns the message that begins a later one, if a message has to wait.
    async fn collect(&self, batch: &mut Collecting<'_, T>, max: usize) -> Option<Waits<T>> {
        let (shared, consumer) = (&self.core.shared, &self.core.consumer);
        let mut left_out = 0;
        while batch.messages.len() < max {
            // Not by `try_recv`: a second call of it would make that of every worker slower.
            let received = match consumer.recv_async().now_or_never() {
                Some(received) => received,
                None => {
                    // Nothing more comes before a settlement, if it holds the whole prefetch.
                    if shared.drain.is_set() || consumer.is_at_prefetch() || batch.is_over() {
                        return None;
                    }
                    match self.receive_more(batch.end).await {
                        Some(received) => received,
                        // It looks once more.
                        None => continue,
                    }
                }
            };
            let is_added = match received {
                Ok(delivery) => match self.attempt_limited(&delivery, 0) {
                    None => {
                        batch.messages.push(delivery);
                        true
                    }
                    Some(step) => {
                        if let Some(waits) = self.leave_out(delivery, step) {
                            return Some(waits);
                        }
                        false
                    }
                },
                Err(RecvError::Decode(undecoded)) => {
                    self.reject(undecoded);
                    false
                }
                // The slot finds out why when it has handled the batch.
                Err(RecvError::Cancelled(_)) => return None,
            };
            // Without this, messages that are left out could keep the batch for ever.
            left_out += u32::from(!is_added);
            if !is_added && left_out % TURN == 0 && batch.is_over() {
                return None;
            }
        }
        None
    }

    /// Handles a batch. All middlewares have let its messages pass.
    pub(in super::super) async fn run_batch(
        &self,
        batches: &Batches<T>,
        messages: Vec<Delivery<T>>,
    ) {
        match &batches.handler {
            BatchHandler::Call(call) => self.call_with_batch(call, messages),
            BatchHandler::Task(task) => self.run_task_with_batch(task, messages).await,
        }
    }

    fn call_with_batch(&self, call: &Call<T>, messages: Vec<Delivery<T>>) {
        let (shared, passed, count) = (&self.core.shared, self.core.middlewares, messages.len());
        let handler = |messages: &[Delivery<T>], time: Option<&Limited>| {
            let batch = Batch::borrowed(shared, messages, time);
            self.counts.begins();
            let handled = catch_panic_text(|| call(&batch));
            self.counts.ends_with(count as u64);
            handled.unwrap_or_else(|panic| failed(HandlerError::panicked(panic), count))
        };
        let payloads = messages.iter().map(|message| &**message);
        let Some(limit) = self.core.time_limit_of_all(payloads) else {
            let verdicts = handler(&messages, None);
            let infos = messages.into_iter().map(Delivery::into_info);
            return self.settle_batch(infos, verdicts);
        };
        let (messages, unsettled) = match Delivery::split_all(messages) {
            Ok((messages, infos)) => {
                let unsettled = infos.into_iter().map(|info| self.unsettled(info, passed));
                (messages, unsettled.collect())
            }
            Err(messages) => (messages, Vec::new()),
        };
        let is_split = !unsettled.is_empty();
        let called = self.call_in_time(unsettled, limit, |time| handler(&messages, Some(time)));
        match called {
            Some((verdicts, unsettled)) if is_split => {
                let infos = unsettled.into_iter().map(|Unsettled { info, .. }| info);
                self.settle_batch(infos, verdicts);
            }
            // They are settled already.
            None if is_split => {}
            called => {
                let verdicts = match called {
                    Some((verdicts, _)) => verdicts,
                    None => failed(timed_out(limit), count),
                };
                let infos = messages.into_iter().map(Delivery::into_info);
                self.settle_batch(infos, verdicts);
            }
        }
    }

    /// Settles the messages of a handler that was called.
    fn settle_batch(&self, infos: impl Iterator<Item = DeliveryInfo>, verdicts: Vec<Verdict>) {
        for (mut info, verdict) in infos.zip(verdicts) {
            let context = Context::borrowed(&self.core.shared, &info);
            let mut outcome = self.outcome(verdict, &context);
            self.after(self.core.middlewares, &context, &mut outcome);
            drop(context);
            self.apply(outcome, &mut info);
        }
    }

    async fn run_task_with_batch(&self, task: &Task<T>, messages: Vec<Delivery<T>>) {
        let (shared, count) = (&self.core.shared, messages.len());
        let payloads = messages.iter().map(|message| &**message);
        let limit = self.core.time_limit_of_all(payloads);
        let over = limit.map(|_| Arc::<Signal>::default());
        let (batch, cells) = Batch::owned(shared, messages, over.as_ref());
        let mut in_task = InTask { slot: self, cells };
        self.counts.begins();
        let verdicts = self.limited(task(batch), limit.zip(over)).await;
        self.counts.ends_with(count as u64);
        let verdicts = verdicts.unwrap_or_else(|error| failed(error, count));
        let cells = std::mem::take(&mut in_task.cells);
        for (cell, verdict) in cells.into_iter().zip(verdicts) {
            let context = Context::borrowed(shared, cell.info());
            let mut outcome = self.outcome(verdict, &context);
            self.after(self.core.middlewares, &context, &mut outcome);
            drop(context);
            self.counts.settled(&outcome);
            cell.settle(outcome);
        }
    }

    /// Tells the middlewares that have let a message pass that it returns to its queue.
    fn returns(&self, passed: usize, info: &DeliveryInfo) {
        drop(self.passed(passed, info, None));
    }
}

/// The verdicts if a handler has failed.
fn failed(error: HandlerError, messages: usize) -> Vec<Verdict> {
    result::verdicts::<()>(Err(error), messages)
}
