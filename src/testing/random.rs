//! Random choices that a seed determines.

use std::time::Duration;

use crate::engine::vhost::splitmix64;

/// A sequence of random choices, the same for the same seed.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        // Near seeds begin far apart.
        Random(splitmix64(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        splitmix64(self.0)
    }

    /// A number below `count`; 0 if `count` is 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// `true` with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        /// The largest number of which an `f64` has each smaller one.
        const WHOLE: u64 = 1 << 53;
        ((self.next() % WHOLE) as f64) < probability * WHOLE as f64
    }

    /// A time from zero to `most`, which is at most 584 years.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos())
            .unwrap_or(u64::MAX)
            .min(u64::MAX - 1);
        Duration::from_nanos(self.next() % (nanos + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choices_of_a_seed_are_the_same_and_those_of_another_differ() {
        let choices = |seed| {
            let mut random = Random::new(seed);
            [(); 8].map(|()| random.below(1_000))
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
    }

    #[test]
    fn a_chance_of_a_half_is_about_a_half() {
        let mut random = Random::new(1);
        let mut count = |probability| {
            let all = (0..1_000).filter(|_| random.chance(probability));
            all.count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 1_000));
        assert!((400..600).contains(&count(0.5)));
    }

    #[test]
    fn a_random_time_is_within_its_limit() {
        let mut random = Random::new(1);
        let most = Duration::from_millis(10);
        let times: Vec<_> = (0..100).map(|_| random.up_to(most)).collect();
        assert!(times.iter().all(|time| *time <= most));
        assert!(times.iter().any(|time| *time > most / 2));
        assert_eq!(random.up_to(Duration::ZERO), Duration::ZERO);
    }
}
