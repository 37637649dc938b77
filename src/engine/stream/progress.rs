//! [`Progress`]: how far a reader is, without a lock.

use crate::{
    model::name::Name,
    runtime::sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// How far a reader is. The reader writes it, and the stream reads it for its counts.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The name under which the reader stores its offset; empty for none.
    name: Name,
    /// The next offset that it reads.
    next: AtomicU64,
    /// The messages that were gone before it came to them.
    lagged: AtomicU64,
    /// Whether the stream is deleted.
    ended: AtomicBool,
}

impl Progress {
    pub(crate) fn new(name: Name) -> Progress {
        Progress {
            name,
            next: AtomicU64::new(0),
            lagged: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn next(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// Notes the next offset. Only its reader does that.
    #[inline]
    pub(crate) fn set_next(&self, offset: u64) {
        self.next.store(offset, Relaxed);
    }

    pub(crate) fn lagged(&self) -> u64 {
        self.lagged.load(Relaxed)
    }

    pub(crate) fn add_lagged(&self, messages: u64) {
        self.lagged.fetch_add(messages, Relaxed);
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Release);
    }

    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }
}
