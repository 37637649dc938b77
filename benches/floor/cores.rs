//! The two cores that threads are pinned to, and how far apart they are at the moment.
//!
//! On a virtual machine the host moves them about: now they share a cache, now they do not, and whatever two threads hand to one another
//! takes a few times as long. No process of ours can be blamed for that, so it is shown.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use core_affinity::CoreId;

/// Two cores to pin threads to, if there are.
pub fn two() -> Option<[CoreId; 2]> {
    let cores = core_affinity::get_core_ids()?;
    cores.first_chunk().copied()
}

/// Runs both, each on its core, and returns what the second does.
pub fn pinned<T: Send + 'static>(
    [here, there]: [CoreId; 2],
    first: impl FnOnce() + Send + 'static,
    second: impl FnOnce() -> T + Send + 'static,
) -> T {
    let first = thread::spawn(move || {
        assert!(core_affinity::set_for_current(here));
        first();
    });
    let second = thread::spawn(move || {
        assert!(core_affinity::set_for_current(there));
        second()
    });
    first.join().expect("a thread panicked");
    second.join().expect("a thread panicked")
}

/// How long a cache line takes from one core to the other and back.
pub fn round_trip() -> Option<Duration> {
    const TRIPS: u64 = 2_000;
    let line = Arc::new(AtomicU64::new(0));
    let other = Arc::clone(&line);
    let wait = |line: &AtomicU64, value| {
        while line.load(SeqCst) != value {
            hint::spin_loop();
        }
    };
    let answer = move || {
        for trip in 0..TRIPS {
            wait(&other, 2 * trip + 1);
            other.store(2 * trip + 2, SeqCst);
        }
    };
    let ask = move || {
        let began = Instant::now();
        for trip in 0..TRIPS {
            line.store(2 * trip + 1, SeqCst);
            wait(&line, 2 * trip + 2);
        }
        began.elapsed() / TRIPS as u32
    };
    Some(pinned(two()?, answer, ask))
}
