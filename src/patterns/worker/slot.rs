//! [`Slot`], which handles one message after the other. A worker has as many as its concurrency.

use std::{sync::Arc, time::Duration};

use futures_util::future::{Either, select};

use super::{
    Context, Core,
    attempt::settled,
    core::Shared,
    handler::Handler,
    limit::{Unsettled, timed_out},
    report::{SlotCounts, WorkerEnd},
    settle::Settle,
};
use crate::{
    message::payload::Payload,
    runtime::{
        block_on::block_on,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        waiter::Waiting,
    },
    session::{
        delivery::Delivery,
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
    goes_on: bool,
    /// Whether it has looked for messages for a moment, since it found none.
    has_spun: bool,
}

/// Where a slot runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Thread,
    Task,
}

/// How many messages a slot handles in a task before other tasks get a turn.
const TURN: u32 = 64;

/// How far a slot has come with the messages that are there.
pub(super) enum Progress<T: Payload> {
    /// No message is there.
    Empty { is_draining: bool },
    /// Others get a turn.
    Turn,
    /// The message has to wait, after `passed` middlewares.
    Waits {
        delivery: Delivery<T>,
        passed: usize,
        time: Duration,
    },
    /// The message is for a handler that is a future.
    Task(Delivery<T>),
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
            goes_on: true,
            has_spun: false,
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
            let context = Context::borrowed(&self.core.shared, &info);
            let mut outcome = self.failed(timed_out(limit), &context);
            self.after(passed, &context, &mut outcome);
            drop(context);
            self.apply(outcome, &mut info);
        }
        if self.is_member {
            block_on(self.run());
        }
    }

    /// Handles messages until the worker ends.
    pub(super) async fn run(mut self) {
        loop {
            let progress = self.work_off();
            match progress {
                Progress::Empty { is_draining } => match self.wait(is_draining).await {
                    Some(delivery) => self.handle(delivery).await,
                    None => {}
                },
                Progress::Turn => yield_now().await,
                Progress::Waits {
                    delivery,
                    passed,
                    time,
                } => self.handle_later(delivery, passed, time).await,
                Progress::Task(delivery) => self.handle(delivery).await,
                Progress::Ended => return,
            }
        }
    }

    /// Handles the messages that are there. It does not wait, and it is no future: this is the
    /// loop that most messages take.
    #[inline(never)]
    fn work_off(&mut self) -> Progress<T> {
        let mut left = match self.place {
            Place::Thread => u32::MAX,
            Place::Task => TURN,
        };
        while left > 0 {
            left -= 1;
            let shared = &self.core.shared;
            if shared.stop.is_set() || !self.goes_on || self.is_replaced.load(Relaxed) {
                return Progress::Ended;
            }
            // Read first: a message that was published before the drain began is found after this.
            let is_draining = shared.drain.is_set();
            match self.core.consumer.try_recv() {
                Ok(delivery) => match &self.core.handler {
                    Handler::Call(call) => match self.call_with(call, delivery, 0) {
                        None => {}
                        Some(waits) => return waits,
                    },
                    Handler::Task(_) => return Progress::Task(delivery),
                },
                Err(TryRecvError::Decode(undecoded)) => self.reject(undecoded),
                Err(TryRecvError::Cancelled(reason)) => {
                    shared.ends(WorkerEnd::Cancelled(reason));
                    return Progress::Ended;
                }
                Err(TryRecvError::Empty) => return Progress::Empty { is_draining },
            }
        }
        Progress::Turn
    }

    /// Waits for a message. `None` if there may be one, and if the worker ends.
    async fn wait(&mut self, is_draining: bool) -> Option<Delivery<T>> {
        let Core {
            shared, consumer, ..
        } = &*self.core;
        if is_draining {
            match shared.until_last_due() {
                // Another slot may get the messages that are due, and requeue them once more.
                Some(time) => drop(self.pause(time).await),
                None => {
                    shared.ends(WorkerEnd::Drained);
                    self.goes_on = false;
                }
            }
            return None;
        }
        if self.place == Place::Thread && !std::mem::replace(&mut self.has_spun, true) {
            consumer.spin_for_more();
            return None;
        }
        self.has_spun = false;
        shared.hooks.idle();
        let received = std::pin::pin!(consumer.recv_async());
        let drained = Waiting::new(Arc::clone(&shared.drain));
        match select(received, drained).await {
            Either::Left((Ok(delivery), _)) => return Some(delivery),
            Either::Left((Err(RecvError::Decode(undecoded)), _)) => self.reject(undecoded),
            Either::Left((Err(RecvError::Cancelled(reason)), _)) => {
                shared.ends(WorkerEnd::Cancelled(reason));
                self.goes_on = false;
            }
            // The drain has begun.
            Either::Right(_) => {}
        }
        None
    }

    /// Handles one message.
    async fn handle(&mut self, delivery: Delivery<T>) {
        match &self.core.handler {
            Handler::Call(call) => {
                let waits = self.call_with(call, delivery, 0);
                if let Some(Progress::Waits {
                    delivery,
                    passed,
                    time,
                }) = waits
                {
                    self.handle_later(delivery, passed, time).await;
                }
            }
            Handler::Task(task) => self.run_task(task, delivery).await,
        }
    }

    /// Handles a message that a middleware has told to wait.
    async fn handle_later(&mut self, delivery: Delivery<T>, passed: usize, time: Duration) {
        let (mut delivery, mut passed, mut time) = (delivery, passed, time);
        let Handler::Call(call) = &self.core.handler else {
            return;
        };
        loop {
            if self.pause(time).await {
                let mut outcome = settled(Settle::Requeue(Duration::ZERO));
                let context = Context::borrowed(&self.core.shared, delivery.info());
                self.after(passed, &context, &mut outcome);
                return self.settle(delivery, outcome);
            }
            match self.call_with(call, delivery, passed) {
                Some(Progress::Waits {
                    delivery: same,
                    passed: by,
                    time: more,
                }) => (delivery, passed, time) = (same, by, more),
                _ => return,
            }
        }
    }

    /// Waits for a time. Returns whether the worker is to stop.
    pub(super) async fn pause(&self, time: Duration) -> bool {
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
}

/// The slot may end in the middle of a message, if its task is dropped. The message returns to its
/// queue then.
impl<T: Payload> Drop for Slot<T> {
    fn drop(&mut self) {
        if self.is_member && !self.is_replaced.load(Relaxed) {
            self.core.shared.members.leave();
            self.core.shared.check_end();
        }
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
