use proptest::prelude::*;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_setting_out_of_its_range_counts_as_the_nearest_one() {
    let exact = Backoff::new(SECOND).jitter(0.0);
    for factor in [0.5, 0.0, -3.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(exact.factor(factor).delay(9), Some(SECOND));
    }
    assert_eq!(exact.factor(f64::INFINITY).delay(1), Some(SECOND));
    assert_eq!(exact.factor(f64::INFINITY).delay(2), Some(MINUTE));
    for jitter in [-0.5, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(exact.jitter(jitter), exact);
    }
    assert_eq!(exact.jitter(f64::INFINITY), exact.jitter(1.0));
    assert_eq!(Backoff::new(Duration::ZERO), Backoff::new(MILLISECOND));
    assert_eq!(
        Backoff::constant(Duration::ZERO).delay(1),
        Some(MILLISECOND)
    );
    assert_eq!(exact.max_delay(Duration::ZERO).delay(1), Some(MILLISECOND));
    assert_eq!(exact.max_attempts(0).delay(1), None);
    assert_eq!(exact.delay(0), exact.delay(1));
    assert_eq!(exact.time_limit(Duration::ZERO).delay(1), None);
}

#[test]
fn the_longest_and_the_latest_delays_overflow_nothing() {
    let forever = Backoff::new(Duration::MAX).jitter(0.0);
    for backoff in [forever, forever.max_delay(Duration::MAX)] {
        assert_eq!(backoff.delay(u32::MAX - 1), Some(Duration::MAX));
        assert_eq!(backoff.jitter(1.0).delay(u32::MAX), None);
        assert!(backoff.jitter(1.0).delay(7).is_some());
    }
    let slow = Backoff::new(SECOND).factor(1.0 + f64::EPSILON);
    assert!(slow.delay(u32::MAX - 1).is_some());
    assert_eq!(slow.time_limit(SECOND).delay(u32::MAX - 1), None);
}

#[test]
fn a_long_first_delay_is_kept_unless_a_shorter_maximum_is_set() {
    let backoff = Backoff::new(5 * MINUTE).jitter(0.0);
    assert_eq!(backoff.delay(1), Some(5 * MINUTE));
    assert_eq!(backoff.delay(2), Some(5 * MINUTE));
    assert_eq!(backoff.max_delay(SECOND).delay(1), Some(SECOND));
}

#[test]
fn without_a_seed_the_delays_differ() {
    let backoff = Backoff::new(SECOND);
    let delays: Vec<_> = (0..8).map(|_| backoff.delay(1)).collect();
    assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
}

proptest! {
    /// The oracle adds the delays one by one.
    #[test]
    fn the_time_limit_ends_the_attempts_when_their_delays_fill_it(
        initial in 1_u32..5_000,
        factor in 1.0..4.0,
        longest in 1_u32..20_000,
        limit in 0_u32..100_000,
    ) {
        let backoff = Backoff::new(initial * MILLISECOND)
            .factor(factor)
            .max_delay(longest * MILLISECOND)
            .jitter(0.0);
        let limit = limit * MILLISECOND;
        let limited = backoff.time_limit(limit);
        let mut waited = Duration::ZERO;
        for attempt in 1..200 {
            let Some(delay) = limited.delay_after(attempt, waited) else {
                prop_assert_eq!(waited, limit);
                break;
            };
            let whole = backoff.delay(attempt).unwrap();
            prop_assert!(delay == whole || waited + delay == limit);
            let summed = limited.waited_before(attempt);
            prop_assert!(summed.abs_diff(waited) < Duration::from_micros(1));
            waited += delay;
        }
    }

    #[test]
    fn a_delay_lies_between_the_part_that_is_not_random_and_the_whole(
        jitter in 0.0..=1.0,
        seed: u64,
        attempt in 1_u32..100,
    ) {
        let exact = Backoff::new(SECOND).jitter(0.0).delay(attempt).unwrap();
        let backoff = Backoff::new(SECOND).jitter(jitter).seed(seed);
        let delay = backoff.delay(attempt).unwrap();
        prop_assert!(!delay.is_zero() && delay <= exact);
        prop_assert!(delay + MILLISECOND >= exact.mul_f64(1.0 - jitter));
    }
}

proptest! {
    #![proptest_config(crate::model::test_cases::cases())]

    #[test]
    fn the_steps_are_all_delays_or_some_of_them_with_the_first_and_the_last(
        (initial, longest) in (1..10_000_u32, 1..100_000_u32),
        factor in 1.0..4.0_f64,
        attempts in 1..200_u32,
        most in 2..40_u32,
    ) {
        let backoff = Backoff::new(initial * MILLISECOND).max_delay(longest * MILLISECOND);
        let backoff = backoff.factor(factor).max_attempts(attempts).jitter(0.0);
        let mut delays: Vec<_> = (1..attempts).filter_map(|n| backoff.delay(n)).collect();
        delays.dedup();
        let steps = backoff.steps(most);
        prop_assert!(steps.len() <= most as usize, "{steps:?}");
        prop_assert!(steps.is_sorted() && steps.iter().all(|step| delays.contains(step)));
        prop_assert_eq!((steps.first(), steps.last()), (delays.first(), delays.last()));
        if delays.len() <= most as usize {
            prop_assert_eq!(steps, delays);
        }
    }
}

#[test]
fn the_steps_of_extreme_settings_are_few() {
    let slow = Backoff::new(MILLISECOND).factor(1.0 + f64::EPSILON);
    let fast = Backoff::new(MILLISECOND).factor(f64::INFINITY);
    assert!(slow.steps(32).len() <= 32);
    assert_eq!(fast.steps(32), [MILLISECOND, MINUTE]);
    assert_eq!(Backoff::constant(SECOND).steps(32), [SECOND]);
    assert!(
        Backoff::constant(SECOND)
            .max_attempts(1)
            .steps(32)
            .is_empty()
    );
    let longest = Backoff::constant(Duration::MAX).factor(3.0);
    assert_eq!(longest.steps(32), [Duration::MAX]);
}
