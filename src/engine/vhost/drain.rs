//! The drain of a broker: the time of its orderly shutdown, when only those publish that hold
//! deliveries.

use std::sync::Arc;

use crate::{
    engine::queue::{InFlight, Move},
    runtime::sync::atomic::{AtomicBool, Ordering::SeqCst},
};

/// Whether a broker drains. All its virtual hosts share it.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Set once.
    began: AtomicBool,
    in_flight: Arc<InFlight>,
}

impl Drain {
    pub(crate) fn begin(&self) {
        self.began.store(true, SeqCst);
    }

    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.began.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> &Arc<InFlight> {
        &self.in_flight
    }

    /// Counts the message of a publish as on its way. The shutdown waits for its arrival.
    pub(crate) fn begin_move(&self) -> Move {
        self.in_flight.begin()
    }
}
