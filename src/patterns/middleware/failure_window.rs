//! The attempts of late, counted in tenths of a window of time.

use std::time::{Duration, Instant};

/// How many attempts there were within a window, and how many of them failed. Its size does not
/// depend on their number.
#[derive(Debug, Default)]
pub(super) struct FailureWindow {
    /// When the first attempt ended.
    from: Option<Instant>,
    tenths: [Tenth; 10],
}

/// The attempts of one tenth of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Tenth {
    /// Its number since the first attempt.
    number: u128,
    attempts: u64,
    failures: u64,
}

impl FailureWindow {
    /// Counts an attempt, and forgets those that have left the window.
    pub(super) fn count(&mut self, now: Instant, window: Duration, has_failed: bool) {
        let from = *self.from.get_or_insert(now);
        let length = (window.as_nanos() / 10).max(1);
        let number = now.saturating_duration_since(from).as_nanos() / length;
        for tenth in &mut self.tenths {
            if number.saturating_sub(tenth.number) >= 10 {
                *tenth = Tenth::default();
            }
        }
        let tenth = &mut self.tenths[(number % 10) as usize];
        tenth.number = number;
        tenth.attempts += 1;
        tenth.failures += u64::from(has_failed);
    }

    /// Whether there were at least `failures`, and at least this part of the attempts.
    pub(super) fn is_over(&self, failures: u32, rate: f64) -> bool {
        let failed: u64 = self.tenths.iter().map(|tenth| tenth.failures).sum();
        let attempts: u64 = self.tenths.iter().map(|tenth| tenth.attempts).sum();
        failed >= u64::from(failures) && failed as f64 >= rate * attempts as f64
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_millis(100);

    proptest! {
        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn it_counts_what_happened_within_nine_to_ten_tenths(
            attempts in prop::collection::vec((0..60_u64, any::<bool>()), 1..60),
        ) {
            let (from, mut at) = (Instant::now(), Duration::ZERO);
            let mut window = FailureWindow::default();
            let mut failed_at = Vec::new();
            for (pause, has_failed) in attempts {
                at += Duration::from_millis(pause);
                window.count(from + at, WINDOW, has_failed);
                if has_failed {
                    failed_at.push(at);
                }
                let within = |time: Duration| {
                    let late = failed_at.iter().filter(|failed| at - **failed < time);
                    late.count() as u32
                };
                prop_assert!(window.is_over(within(WINDOW * 9 / 10), 0.0));
                prop_assert!(!window.is_over(within(WINDOW) + 1, 0.0));
            }
        }
    }

    #[test]
    fn a_window_of_no_length_counts_what_happens_at_once() {
        let mut window = FailureWindow::default();
        let now = Instant::now();
        window.count(now, Duration::ZERO, true);
        window.count(now, Duration::ZERO, true);
        assert!(window.is_over(2, 1.0));
        window.count(now + Duration::from_micros(1), Duration::ZERO, true);
        assert!(window.is_over(1, 1.0) && !window.is_over(2, 1.0));
    }
}
