//! The two cores that the threads are pinned to, and the time that a cache line takes between them.
//!
//! On a virtual machine the host moves the virtual cores. Sometimes they share a cache and
//! sometimes not. In the second case each transfer between two threads takes several times longer.
//! No process of the guest causes this, so the bench shows the time.

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

/// The distance between two cores. Ratios differ by half between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    Near,
    Far,
}

/// A round trip of at least this time is one between far cores. Near ones take 30 to 120 ns, far
/// ones 300 to 500 ns.
const FAR: Duration = Duration::from_nanos(200);

impl Pace {
    pub const ALL: [Pace; 2] = [Pace::Near, Pace::Far];

    pub fn of(round_trip: Duration) -> Pace {
        match round_trip < FAR {
            true => Pace::Near,
            false => Pace::Far,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Pace::Near => "near",
            Pace::Far => "far",
        }
    }
}

/// Two cores to pin threads to, if the machine has them.
pub fn two() -> Option<[CoreId; 2]> {
    let cores = core_affinity::get_core_ids()?;
    cores.first_chunk().copied()
}

/// Runs both closures, each on its core. Returns the result of the second.
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

/// The time that a cache line takes from one core to the other and back.
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
