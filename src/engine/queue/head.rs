//! The message at the head of a queue: when it was made, and how long it waits.
//!
//! Messages do not note when they come, since reading the clock at each publish would cost as much
//! as the rest of it. Instead the queue notes at each look how many messages have come so far. So
//! the age of the head is known to the time between two looks, or to a sixteenth of the time for
//! which the oldest message has waited.

use std::{collections::VecDeque, time::Duration};

use super::state::QueueState;

/// The message that is delivered next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The property `timestamp`, in seconds since 1970.
    pub(crate) timestamp: Option<u64>,
    /// How long the message waits at least.
    pub(crate) age: Duration,
}

/// The positions that had been given at earlier looks.
#[derive(Debug, Default)]
pub(super) struct AgeMarks {
    /// The next position at a time, the earliest first.
    marks: VecDeque<(u64, u64)>,
}

/// How many looks are kept.
const MOST: usize = 64;

impl AgeMarks {
    /// Notes that all positions before `next` are given by now.
    fn mark(&mut self, next: u64, now: u64) {
        // The clock is read before the lock, so that looks may come in another order.
        let now = self.marks.back().map_or(now, |(_, seen)| now.max(*seen));
        if let (Some((_, first)), Some((last, seen))) = (self.marks.front(), self.marks.back()) {
            // Marks that are too near would be forgotten soon.
            let near = seen.saturating_sub(*first) / (MOST as u64 / 2);
            let too_soon = now.saturating_sub(*seen) < near;
            if *last >= next || too_soon {
                return;
            }
        }
        if self.marks.len() == MOST {
            // Fewer marks make ages seem smaller, never larger.
            let mut index = 0;
            self.marks.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.marks.push_back((next, now));
    }

    /// How long ago the message at `position` was there at the latest.
    fn age(&self, position: u64, now: u64) -> Duration {
        let behind = self.marks.partition_point(|(next, _)| *next <= position);
        let seen = self.marks.get(behind).map_or(now, |(_, seen)| *seen);
        Duration::from_nanos(now.saturating_sub(seen))
    }

    /// Forgets marks that tell nothing of `position` and later ones.
    fn forget_before(&mut self, position: u64) {
        while self
            .marks
            .front()
            .is_some_and(|(next, _)| *next <= position)
        {
            self.marks.pop_front();
        }
    }
}

impl QueueState {
    /// The message at the head, at the time `now`. `None` if no message is ready.
    pub(super) fn head(&mut self, now: u64) -> Option<Head> {
        if self.kind.is_stream() {
            return self.head_of_log(now);
        }
        let Some(oldest) = self.ready.first_position() else {
            self.timing.forget_age_marks();
            return None;
        };
        let marks = self.timing.age_marks();
        marks.mark(self.next_position, now);
        marks.forget_before(oldest);
        let head = self.ready.head()?;
        Some(Head {
            timestamp: head.meta().and_then(|meta| meta.properties.timestamp),
            age: marks.age(head.position(), now),
        })
    }

    fn head_of_log(&self, now: u64) -> Option<Head> {
        let stream = self.kind.stream()?;
        let came = stream.log.first_time()?;
        Some(Head {
            timestamp: None,
            age: Duration::from_millis(stream.millis(now).saturating_sub(came)),
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn looks_that_come_in_another_order_than_their_times_leave_the_ages_as_they_are() {
        let mut marks = AgeMarks::default();
        marks.mark(1, 100);
        marks.mark(2, 50);
        marks.mark(3, 200);
        assert_eq!(marks.age(0, 300), Duration::from_nanos(200));
        assert!(marks.age(2, 300) <= Duration::from_nanos(200));
        assert!(marks.marks.iter().is_sorted());
    }
}
