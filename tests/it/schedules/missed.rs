//! Runs whose time has passed before they could begin.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use leveret::{Clock, MissedTickBehavior};
use proptest::prelude::*;

use crate::common::{SECOND, cases, on_a_manual_clock};

/// Runs a schedule with a period of ten seconds whose runs take these times, in seconds. Returns
/// the times of their beginnings, and the count of missed ones.
fn begins(missed_ticks: MissedTickBehavior, lengths: &[u64]) -> (Vec<u64>, u64) {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let start = clock.now();
    let begins = Arc::new(Mutex::new(Vec::new()));
    let left: Vec<u64> = lengths.to_vec();
    let mut left = left.into_iter();
    let schedule = broker
        .every(10 * SECOND)
        .missed_ticks(missed_ticks)
        .max_runs(lengths.len() as u64)
        .publish(&producer, {
            let (clock, begins) = (clock.clone(), Arc::clone(&begins));
            move || {
                begins.lock().unwrap().push(since(start, clock.now()));
                // The run takes time.
                clock.advance(Duration::from_secs(left.next().unwrap_or(0)));
                7
            }
        });
    let schedule = schedule.unwrap();
    while !schedule.is_finished() {
        clock.advance(10 * SECOND);
    }
    (begins.lock().unwrap().clone(), schedule.counts().missed)
}

fn since(start: Instant, now: Instant) -> u64 {
    (now - start).as_secs()
}

#[test]
fn a_late_run_comes_at_once_and_then_each_behaviour_goes_on_in_its_way() {
    let lengths = [25, 0, 0, 0];
    assert_eq!(
        begins(MissedTickBehavior::Skip, &lengths),
        (vec![10, 35, 40, 50], 1)
    );
    assert_eq!(
        begins(MissedTickBehavior::Delay, &lengths),
        (vec![10, 35, 45, 55], 1)
    );
    assert_eq!(
        begins(MissedTickBehavior::Burst, &lengths),
        (vec![10, 35, 35, 40], 0)
    );
}

/// The times at which runs begin, computed one second after the other.
fn expected(missed_ticks: MissedTickBehavior, lengths: &[u64]) -> Vec<u64> {
    let (mut begins, mut free, mut due) = (Vec::new(), 0, 10);
    for length in lengths {
        let begin = due.max(free);
        begins.push(begin);
        free = begin + length;
        due = match missed_ticks {
            MissedTickBehavior::Burst => due + 10,
            MissedTickBehavior::Delay if begin >= due + 10 => begin + 10,
            MissedTickBehavior::Delay | MissedTickBehavior::Skip => {
                let mut next = due;
                while next <= begin {
                    next += 10;
                }
                next
            }
        };
    }
    begins
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn runs_of_any_length_begin_when_the_model_says(
        lengths in prop::collection::vec(0_u64..45, 1..12),
        behavior in prop_oneof![
            Just(MissedTickBehavior::Skip),
            Just(MissedTickBehavior::Delay),
            Just(MissedTickBehavior::Burst),
        ],
    ) {
        let (begins, missed) = begins(behavior, &lengths);
        prop_assert_eq!(&begins, &expected(behavior, &lengths));
        prop_assert!(behavior != MissedTickBehavior::Burst || missed == 0);
    }
}
