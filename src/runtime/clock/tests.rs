//! The manual clock, without a broker.

use std::sync::Weak;

use super::*;
use crate::runtime::sync::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// Records each call, and then calls `then`.
struct Note {
    log: &'static Mutex<Vec<(u64, &'static str)>>,
    text: &'static str,
    start: Instant,
    then: Box<dyn Fn() + Send + Sync>,
}

impl TimerTarget for Note {
    fn fire(&self, now: Instant) {
        self.log
            .lock()
            .push(((now - self.start).as_secs(), self.text));
        (self.then)();
    }
}

struct Fixture {
    clock: ManualClock,
    start: Instant,
    log: &'static Mutex<Vec<(u64, &'static str)>>,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::new();
        Fixture {
            start: clock.now(),
            clock,
            log: Box::leak(Box::default()),
        }
    }

    fn note(&self, text: &'static str) -> Arc<dyn TimerTarget> {
        self.note_then(text, || {})
    }

    fn note_then(
        &self,
        text: &'static str,
        then: impl Fn() + Send + Sync + 'static,
    ) -> Arc<dyn TimerTarget> {
        Arc::new(Note {
            log: self.log,
            text,
            start: self.start,
            then: Box::new(then),
        })
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + SECOND * seconds as u32
    }

    fn log(&self) -> Vec<(u64, &'static str)> {
        std::mem::take(&mut *self.log.lock())
    }
}

fn weak(what: &Arc<dyn TimerTarget>) -> Weak<dyn TimerTarget> {
    Arc::downgrade(what)
}

#[test]
fn advance_runs_what_is_due_in_due_order_and_nothing_else() {
    let f = Fixture::new();
    let notes = [(3, "c"), (1, "a"), (2, "b"), (1, "a again"), (9, "later")];
    let kept = notes.map(|(at, text)| {
        let note = f.note(text);
        f.clock.add(f.at(at), weak(&note));
        note
    });
    f.clock.advance(SECOND * 3);
    assert_eq!(f.log(), [(1, "a"), (1, "a again"), (2, "b"), (3, "c")]);
    assert_eq!(f.clock.now(), f.at(3));
    f.clock.advance(SECOND * 5);
    assert_eq!(f.log(), []);
    f.clock.advance(SECOND);
    assert_eq!(f.log(), [(9, "later")]);
    drop(kept);
}

#[test]
fn effects_of_effects_that_fall_due_on_the_way_run_as_well() {
    let f = Fixture::new();
    let third = f.note("third");
    let second = f.note_then("second", {
        let (clock, third) = (f.clock.clone(), weak(&third));
        move || {
            clock.add(clock.now() + SECOND, third.clone());
        }
    });
    let first = f.note_then("first", {
        let (clock, second) = (f.clock.clone(), weak(&second));
        move || {
            clock.add(clock.now(), second.clone());
        }
    });
    f.clock.add(f.at(5), weak(&first));
    f.clock.advance(SECOND * 6);
    assert_eq!(f.log(), [(5, "first"), (5, "second"), (6, "third")]);
}

#[test]
fn at_one_instant_work_comes_before_time_outs() {
    let f = Fixture::new();
    let (time_out, work) = (f.note("time-out"), f.note("work"));
    assert!(f.clock.add_time_out(f.at(1), weak(&time_out)).is_some());
    f.clock.add(f.at(1), weak(&work));
    f.clock.advance(SECOND);
    assert_eq!(f.log(), [(1, "work"), (1, "time-out")]);
    assert!(
        f.clock.add_time_out(f.at(1), weak(&time_out)).is_none(),
        "that instant has come"
    );
}

#[test]
fn what_is_overdue_runs_with_an_advance_by_nothing() {
    let f = Fixture::new();
    f.clock.advance(SECOND * 4);
    let note = f.note("overdue");
    f.clock.add(f.at(2), weak(&note));
    f.clock.advance(Duration::ZERO);
    assert_eq!(f.log(), [(4, "overdue")]);
}

#[test]
fn what_was_cancelled_or_is_gone_does_not_run() {
    let f = Fixture::new();
    let (cancelled, gone, kept) = (f.note("cancelled"), f.note("gone"), f.note("kept"));
    let key = f.clock.add(f.at(1), weak(&cancelled));
    f.clock.add(f.at(1), weak(&gone));
    f.clock.add(f.at(1), weak(&kept));
    assert!(f.clock.cancel(&key));
    assert!(!f.clock.cancel(&key));
    drop(gone);
    f.clock.advance(SECOND);
    assert_eq!(f.log(), [(1, "kept")]);
}

#[test]
fn something_that_panics_does_not_stop_the_clock() {
    let f = Fixture::new();
    let bomb = f.note_then("bomb", || panic!("expected by this test"));
    let after = f.note("after");
    f.clock.add(f.at(1), weak(&bomb));
    f.clock.add(f.at(1), weak(&after));
    f.clock.advance(SECOND);
    assert_eq!(f.log(), [(1, "bomb"), (1, "after")]);
}

#[test]
fn an_advance_within_an_advance_leads_farther() {
    let f = Fixture::new();
    let inner = f.note_then("inner", {
        let clock = f.clock.clone();
        move || clock.advance(SECOND * 10)
    });
    f.clock.add(f.at(1), weak(&inner));
    f.clock.advance(SECOND * 2);
    assert_eq!(f.clock.now(), f.at(11));
}

#[test]
fn an_enormous_advance_leads_to_the_end_of_time_and_stays_there() {
    let f = Fixture::new();
    let note = f.note("end");
    f.clock.add(f.at(1_000_000), weak(&note));
    f.clock.advance(Duration::MAX);
    assert_eq!(f.log().len(), 1);
    let end = f.clock.now();
    f.clock.advance(Duration::MAX);
    assert_eq!(f.clock.now(), end);
    assert!(end.checked_add(SECOND).is_none());
    let _ = f.clock.system_now();
}

#[test]
fn the_wall_clock_of_a_manual_clock_starts_at_a_fixed_time_and_moves_along() {
    let clock = ManualClock::new();
    let unix = |clock: &ManualClock| {
        clock
            .system_now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    assert_eq!(unix(&clock), 1_700_000_000_000);
    clock.advance(Duration::from_millis(1));
    assert_eq!(unix(&clock), 1_700_000_000_001);
}

#[test]
fn a_clock_that_wraps_a_manual_one_is_recognised() {
    #[derive(Debug)]
    struct Wrapper(ManualClock);
    impl Clock for Wrapper {
        fn now(&self) -> Instant {
            self.0.now()
        }
        fn system_now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
        fn manual(&self) -> Option<&ManualClock> {
            Some(&self.0)
        }
    }
    let manual = ManualClock::new();
    let time = Time::new(Arc::new(Wrapper(manual.clone())));
    manual.advance(SECOND);
    assert_eq!(time.now(), manual.now());
    assert_eq!(time.system_now(), SystemTime::UNIX_EPOCH);
    assert!(time.manual().is_some());
    assert!(Time::default().manual().is_none());
}

#[test]
fn a_deadline_has_passed_from_its_instant_on() {
    let clock = ManualClock::new();
    let time = Time::new(clock.clone());
    let deadline = time.deadline(SECOND).unwrap();
    assert_eq!(deadline.remaining(), Some(SECOND));
    clock.advance(SECOND);
    assert!(deadline.has_passed());
    assert_eq!(deadline.remaining(), None);
}

/// Reads a manual clock, and panics while it is told to.
#[derive(Debug)]
struct Faulty {
    clock: ManualClock,
    fails: Arc<std::sync::atomic::AtomicBool>,
}

impl Faulty {
    fn read<T>(&self, read: impl FnOnce(&ManualClock) -> T) -> T {
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new("a clock's accident"));
        }
        read(&self.clock)
    }
}

impl Clock for Faulty {
    fn now(&self) -> Instant {
        self.read(ManualClock::now)
    }

    fn system_now(&self) -> SystemTime {
        self.read(ManualClock::system_now)
    }
}

#[test]
fn a_clock_that_panics_goes_on_from_its_last_reading() {
    let clock = ManualClock::new();
    clock.advance(1_000 * SECOND);
    let fails = Arc::default();
    let faulty = Faulty {
        clock: clock.clone(),
        fails: Arc::clone(&fails),
    };
    let time = Time::new(faulty);
    let (now, wall) = (time.now(), time.system_now());
    assert_eq!((now, wall), (clock.now(), clock.system_now()));
    clock.advance(1_000 * SECOND);
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    // Less than the test takes, and more than nothing.
    assert!((now..now + 1_000 * SECOND).contains(&time.now()));
    assert!((wall..wall + 1_000 * SECOND).contains(&time.system_now()));
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(time.now(), clock.now());
}

#[test]
fn a_clock_that_has_always_panicked_shows_the_real_time() {
    let faulty = Faulty {
        clock: ManualClock::new(),
        fails: Arc::new(true.into()),
    };
    let before = Instant::now();
    assert!(Time::new(faulty).now() >= before);
}
