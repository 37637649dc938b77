//! Facts about a queue that a publisher reads without its lock.

use super::{QueueCore, timing::after};
use crate::{
    message::envelope::NEVER,
    model::arguments::{QueueArguments, QueueType},
    runtime::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

/// Facts that a publisher reads before it takes the lock. Written under the lock, and rarely.
#[derive(Debug)]
pub(super) struct PublishHints {
    /// The time to live that the queue gives to messages, in nanoseconds. [`NEVER`] means none.
    ttl: AtomicU64,
    /// Whether anything here has ever depended on time. If not, the clock need not be read.
    timed: AtomicBool,
}

impl PublishHints {
    pub(super) fn of(settings: &QueueArguments) -> PublishHints {
        let hints = PublishHints {
            ttl: AtomicU64::new(NEVER),
            // A stream notes when each message comes.
            timed: AtomicBool::new(settings.queue_type == QueueType::Stream),
        };
        hints.follow(settings);
        hints
    }

    pub(super) fn follow(&self, settings: &QueueArguments) {
        let ttl = settings
            .message_ttl
            .map_or(NEVER, |ttl| after(0, ttl).min(NEVER - 1));
        self.ttl.store(ttl, SeqCst);
        let delays_retries = settings.delayed_retry.kind.is_some();
        let keeps_dead_letters = settings.dead_letter_strategy.is_some();
        let expires = settings.message_ttl.is_some() || settings.expires.is_some();
        if expires || delays_retries || keeps_dead_letters {
            self.timed.store(true, SeqCst);
        }
    }
}

impl QueueCore {
    /// The time to live that the queue gives to messages, in nanoseconds. [`NEVER`] means none.
    pub(crate) fn ttl(&self) -> u64 {
        self.hints.ttl.load(SeqCst)
    }

    /// Whether an operation needs the time of the clock.
    pub(crate) fn is_timed(&self) -> bool {
        self.hints.timed.load(SeqCst)
    }

    /// Records that a message that depends on time is about to arrive.
    pub(crate) fn set_timed(&self) {
        if !self.is_timed() {
            self.hints.timed.store(true, SeqCst);
        }
    }
}
