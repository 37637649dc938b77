//! The loop of a slot of an ordered worker.
//!
//! One slot at a time receives. It finds the key of each message. A message of a free key it
//! handles itself, and another slot receives meanwhile. A message of a busy key it leaves with that
//! key. A slot that has handled a message goes on with any key that is ready.

use std::{pin::pin, sync::Arc, time::Instant};

use futures_util::future::{Either, select};

use super::{KeyHold, Order, keys::Held};
use crate::{
    message::payload::Payload,
    patterns::worker::{
        Context,
        core::Core,
        receiver::Receiver,
        settle::HandlerError,
        slot::{Place, Progress, Slot, TURN, yield_now},
    },
    runtime::{catch_panic::catch_panic_text, sync::atomic::Ordering::Relaxed, waiter::Waiting},
    session::delivery::Delivery,
};

/// What a slot does next.
enum Next<'a, T: Payload> {
    /// It handles this message.
    Handle(Delivery<T>, Arc<KeyHold>),
    /// It goes on with this message of a key that is ready.
    GoOn(Held, Arc<KeyHold>),
    /// It looks once more.
    Look(Option<Receiver<'a>>),
    Ended,
}

impl<T: Payload> Slot<T> {
    /// Handles messages until the worker ends.
    pub(in super::super) async fn run_ordered(mut self) {
        let core = Arc::clone(&self.core);
        let Some(order) = &core.ordered else { return };
        let mut receiver = None;
        // Keys that are ready and new messages take turns, so that no key is left out.
        let mut receives = false;
        let mut handled = 0;
        loop {
            if receives && receiver.is_none() {
                receiver = core.receiver.try_acquire();
            }
            let receives_first = std::mem::take(&mut receives) && receiver.is_some();
            let next = self.next(&core, order, receiver.take(), receives_first);
            match next.await {
                Next::Handle(delivery, hold) => {
                    self.set_hold(Some(hold));
                    self.handle(delivery, None).await;
                }
                Next::GoOn(held, hold) => {
                    self.set_hold(Some(hold));
                    match core.consumer.reopen(held.info) {
                        Ok(delivery) => self.handle(delivery, None).await,
                        Err(undecoded) => self.reject(undecoded),
                    }
                    receives = true;
                }
                Next::Look(again) => {
                    receiver = again;
                    continue;
                }
                Next::Ended => {
                    // If it has drained, others may handle what waits still.
                    if !self.has_drained {
                        core.shared.keys.close();
                    }
                    return;
                }
            }
            self.set_hold(None);
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

    /// Looks for a message. A slot that handles one is no longer the receiver.
    async fn next<'a>(
        &mut self,
        core: &'a Core<T>,
        order: &Order<T>,
        receiver: Option<Receiver<'a>>,
        receives_first: bool,
    ) -> Next<'a, T> {
        let is_over = core.shared.stop.is_set() || core.consumer.has_ended();
        if !is_over && !receives_first {
            if let Some((held, hold)) = core.shared.keys.take() {
                return Next::GoOn(held, hold);
            }
            if receiver.is_none() {
                let acquired = core.receiver.acquire();
                let ready = Waiting::new(core.shared.keys.any_ready());
                return Next::Look(match select(acquired, ready).await {
                    Either::Left((receiver, _)) => Some(receiver),
                    Either::Right(_) => None,
                });
            }
        }
        let mut progress = self.work_off();
        if let Progress::Empty {
            is_draining,
            first_due,
        } = progress
        {
            if let Some((held, hold)) = core.shared.keys.take() {
                return Next::GoOn(held, hold);
            }
            progress = self.wait_for_key(is_draining, first_due).await;
        }
        match progress {
            Progress::Message(delivery, _) => match self.admit(order, delivery) {
                Some((delivery, hold)) => Next::Handle(delivery, hold),
                None => Next::Look(receiver),
            },
            Progress::Turn | Progress::Empty { .. } => {
                if self.place == Place::Task {
                    yield_now().await;
                }
                Next::Look(receiver)
            }
            Progress::Ended => Next::Ended,
        }
    }

    /// Waits for a message, and for a key to be ready.
    async fn wait_for_key(&mut self, is_draining: bool, first_due: Option<Instant>) -> Progress<T> {
        let shared = Arc::clone(&self.core.shared);
        let keys = &shared.keys;
        let first_due = first_due.filter(|due| is_draining && shared.awaits(*due));
        if is_draining && first_due.is_none() && !keys.holds(&shared) {
            self.has_drained = true;
            return Progress::Ended;
        }
        if self.place == Place::Thread && !std::mem::replace(&mut self.has_spun, true) {
            self.core.consumer.spin_for_more();
            return Progress::Turn;
        }
        self.has_spun = false;
        let next_try = keys.first_due();
        let changed = Waiting::new(keys.change(next_try, is_draining.then_some(&*shared)));
        let tried_again = pin!(async {
            match next_try {
                Some(due) => shared.connection.until(due).await,
                None => std::future::pending().await,
            }
        });
        let drained = pin!(async {
            match first_due {
                Some(due) => self.wait_for_due(due).await,
                None if is_draining => std::future::pending().await,
                None => Waiting::new(Arc::clone(&shared.drain)).await,
            }
        });
        let interrupted = async {
            select(changed, select(tried_again, drained)).await;
        };
        self.receive_until(interrupted).await
    }

    /// Finds the key of a message that was just received. `None` if the message waits for it, or is
    /// settled.
    fn admit(
        &self,
        order: &Order<T>,
        delivery: Delivery<T>,
    ) -> Option<(Delivery<T>, Arc<KeyHold>)> {
        match catch_panic_text(|| (order.by)(&delivery)) {
            Ok(key) => self.core.shared.keys.admit(key, delivery),
            Err(panic) => {
                let context = Context::borrowed(&self.core.shared, delivery.info());
                let outcome = self.failed(HandlerError::panicked(panic), &context);
                drop(context);
                self.settle(delivery, outcome);
                None
            }
        }
    }
}
