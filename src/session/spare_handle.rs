//! The handle to an origin of deliveries that its thread keeps for the next delivery.

use std::{cell::Cell, sync::Arc};

use super::unacked::DeliveryOrigin;
use crate::runtime::sync::thread_local;

thread_local! {
    /// A handle to the origin of the delivery that this thread settled last. The next delivery from
    /// there uses it: to decrement one reference count and increment another costs as much as an
    /// acknowledgement.
    static SPARE_HANDLE: Cell<Option<Arc<DeliveryOrigin>>> = const { Cell::new(None) };
}

impl DeliveryOrigin {
    /// Makes a handle for one more delivery, which the current thread receives. `not_shown` is as
    /// for [`note_receiver`](Self::note_receiver).
    #[inline]
    pub(crate) fn handle(self: &Arc<Self>, not_shown: impl FnOnce() -> u64) -> Arc<DeliveryOrigin> {
        self.note_receiver(not_shown);
        match SPARE_HANDLE.try_with(Cell::take) {
            Ok(Some(spare)) if Arc::ptr_eq(&spare, self) => spare,
            _ => Arc::clone(self),
        }
    }

    /// Keeps the handle of a settled delivery for the next one.
    #[inline]
    pub(super) fn spare(origin: Arc<DeliveryOrigin>) {
        // A thread whose locals are destroyed already keeps nothing.
        let _ = SPARE_HANDLE.try_with(|spare| spare.set(Some(origin)));
    }
}
