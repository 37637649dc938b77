//! How many messages were published to an exchange, and what became of them.
//!
//! A publisher counts at the route that it remembers, which no other publisher writes. So counting
//! costs no cache line that several cores share. Those who look at the counts add them up.

use std::sync::Arc;

use crate::runtime::sync::{
    Mutex,
    atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

/// The outcomes of publishes to one exchange so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublishCounts {
    /// Messages that were published to it.
    pub(crate) published: u64,
    /// The copies of them that queues took.
    pub(crate) routed: u64,
    /// Messages that reached no queue and were dropped.
    pub(crate) dropped: u64,
    /// Mandatory messages that reached no queue and were given back.
    pub(crate) returned: u64,
}

impl std::ops::AddAssign for PublishCounts {
    fn add_assign(&mut self, other: PublishCounts) {
        self.published += other.published;
        self.routed += other.routed;
        self.dropped += other.dropped;
        self.returned += other.returned;
    }
}

/// The counts of the publishes by one route.
#[derive(Debug, Default)]
pub(crate) struct RouteTally {
    /// Messages that went to the only queue of the route. Written under the lock of that queue.
    pushed: AtomicU64,
    /// As `pushed`, counted without the lock.
    sent: AtomicU64,
    /// All other publishes.
    published: AtomicU64,
    routed: AtomicU64,
    dropped: AtomicU64,
    returned: AtomicU64,
}

impl RouteTally {
    /// Counts a message that its only queue takes. The caller holds the lock of the queue, so that
    /// this needs no atomic addition.
    #[inline(always)]
    pub(crate) fn count_push(&self) {
        self.pushed.store(self.pushed.load(Relaxed) + 1, Relaxed);
    }

    /// Counts messages that were taken by one queue each.
    #[inline]
    pub(crate) fn count_sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Relaxed);
    }

    /// Counts a message of which queues took this number of copies.
    #[inline]
    pub(crate) fn count_routed(&self, copies: u64) {
        if copies == 1 {
            return self.count_sent(1);
        }
        self.published.fetch_add(1, Relaxed);
        self.routed.fetch_add(copies, Relaxed);
    }

    /// Counts a message that has reached no queue. It was given back if it was mandatory.
    pub(crate) fn count_unroutable(&self, mandatory: bool) {
        self.published.fetch_add(1, Relaxed);
        let count = match mandatory {
            true => &self.returned,
            false => &self.dropped,
        };
        count.fetch_add(1, Relaxed);
    }

    fn counts(&self) -> PublishCounts {
        let single = self.pushed.load(SeqCst) + self.sent.load(SeqCst);
        PublishCounts {
            published: single + self.published.load(SeqCst),
            routed: single + self.routed.load(SeqCst),
            dropped: self.dropped.load(SeqCst),
            returned: self.returned.load(SeqCst),
        }
    }
}

/// The counts of the publishes to one exchange.
#[derive(Debug, Default)]
pub(crate) struct ExchangeTally {
    /// Of routes that are valid for one message.
    own: Arc<RouteTally>,
    /// A leaf lock.
    routes: Mutex<Routes>,
}

#[derive(Debug, Default)]
struct Routes {
    /// Of the routes that publishers remember.
    remembered: Vec<Arc<RouteTally>>,
    /// Of the routes that are forgotten.
    forgotten: PublishCounts,
}

impl Routes {
    /// Adds up the tallies of which no route is left, and lets go of them.
    fn settle(&mut self) {
        let forgotten = &mut self.forgotten;
        self.remembered.retain_mut(|tally| {
            let is_last = Arc::get_mut(tally).is_some();
            if is_last {
                *forgotten += tally.counts();
            }
            !is_last
        });
    }
}

impl ExchangeTally {
    /// The tally of a new route. `is_remembered` if more than one message may go that way.
    pub(super) fn of_route(&self, is_remembered: bool) -> Arc<RouteTally> {
        if !is_remembered {
            return Arc::clone(&self.own);
        }
        let tally = Arc::new(RouteTally::default());
        let mut routes = self.routes.lock();
        if routes.remembered.len() == routes.remembered.capacity() {
            routes.settle();
            // The list can double before the next time, so that this stays rare.
            let room = routes.remembered.len().max(4);
            routes.remembered.reserve(room);
        }
        routes.remembered.push(Arc::clone(&tally));
        tally
    }

    /// The counts so far. They never fall.
    pub(crate) fn counts(&self) -> PublishCounts {
        let mut counts = self.own.counts();
        let mut routes = self.routes.lock();
        routes.settle();
        counts += routes.forgotten;
        for tally in &routes.remembered {
            counts += tally.counts();
        }
        counts
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_forgotten_route_stay() {
        let exchange = ExchangeTally::default();
        for round in 1..100 {
            let route = exchange.of_route(true);
            route.count_push();
            route.count_routed(3);
            route.count_unroutable(round % 2 == 0);
            drop(route);
            let counts = exchange.counts();
            assert_eq!((counts.published, counts.routed), (3 * round, 4 * round));
            assert_eq!(counts.dropped + counts.returned, round);
            assert_eq!(counts.returned, round / 2);
        }
        assert!(exchange.routes.lock().remembered.is_empty());
    }

    #[test]
    fn routes_that_come_and_go_leave_nothing_behind() {
        let exchange = ExchangeTally::default();
        let kept = exchange.of_route(true);
        (0..10_000).for_each(|_| exchange.of_route(true).count_sent(1));
        assert!(exchange.routes.lock().remembered.capacity() < 20);
        kept.count_sent(5);
        assert_eq!(exchange.counts().published, 10_005);
        exchange.of_route(false).count_routed(0);
        assert_eq!(exchange.counts().published, 10_006);
    }
}
