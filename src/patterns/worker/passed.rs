//! [`Passed`], the middlewares that have let a message pass.

use std::time::Duration;

use super::{Context, Settle, attempt::settled, slot::Slot, wakeup::Wakeup};
use crate::{message::payload::Payload, session::delivery_info::DeliveryInfo};

/// The middlewares that have let a message pass.
///
/// # If dropped
/// They learn that the message returns to its queue: the task of the worker was dropped.
pub(super) struct Passed<'a, T: Payload> {
    slot: &'a Slot<T>,
    info: &'a DeliveryInfo,
    passed: usize,
    /// The next one may let it pass by this.
    wakeup: Option<&'a Wakeup>,
}

impl<T: Payload> Passed<'_, T> {
    /// The task was not dropped. Returns the number of middlewares that have let the message pass.
    pub(super) fn go_on(mut self) -> usize {
        let passed = self.end();
        self.passed = 0;
        passed
    }

    /// Ends the wait, if there is one.
    fn end(&mut self) -> usize {
        let wakeup = self.wakeup.take();
        self.passed + usize::from(wakeup.is_some_and(Wakeup::end))
    }
}

impl<T: Payload> Drop for Passed<'_, T> {
    fn drop(&mut self) {
        let passed = self.end();
        let context = Context::borrowed(&self.slot.core.shared, self.info);
        let mut outcome = settled(Settle::Requeue(Duration::ZERO));
        self.slot.after(passed, &context, &mut outcome);
    }
}

impl<T: Payload> Slot<T> {
    /// Guards a wait with a message. One more middleware may let it pass by `wakeup`.
    pub(super) fn passed<'a>(
        &'a self,
        passed: usize,
        info: &'a DeliveryInfo,
        wakeup: Option<&'a Wakeup>,
    ) -> Passed<'a, T> {
        Passed {
            slot: self,
            info,
            passed,
            wakeup,
        }
    }
}
