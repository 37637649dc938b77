//! The turn of several sources: the one that is tried first.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use crate::runtime::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The source that the next wait tries first: the one after the source that was served last.
///
/// So the sources that have something are served in turn, wherever they stand among the idle ones.
/// The first turn is random: of many waiters that are used once, each source is served as often.
///
/// The value is a hint. Threads that use it at the same time may begin with the same source.
#[derive(Debug)]
pub(crate) struct Turn(AtomicUsize);

impl Turn {
    /// Begins with a random source.
    pub(crate) fn random() -> Turn {
        // Shuttle repeats a test step by step.
        match cfg!(shuttle) {
            true => Turn(AtomicUsize::new(0)),
            false => Turn(AtomicUsize::new(
                RandomState::new().build_hasher().finish() as usize
            )),
        }
    }

    /// The source to begin with, modulo the number of sources.
    pub(crate) fn first(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Records that this source was served.
    pub(crate) fn served(&self, source: usize) {
        self.0.store(source + 1, Relaxed);
    }
}
