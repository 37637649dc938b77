//! The timer thread, and the manual clock in its place.

mod user_code;

use std::sync::{
    OnceLock,
    mpsc::{self, Receiver, Sender},
};

use super::*;
use crate::runtime::clock::{Clock, ManualClock, SystemClock};
use std::time::Duration;

/// Reports each call.
struct Bell(Sender<(&'static str, Instant)>, &'static str);

impl TimerTarget for Bell {
    fn fire(&self, now: Instant) {
        let _ = self.0.send((self.1, now));
    }
}

fn bells<const N: usize>(
    names: [&'static str; N],
) -> ([Arc<Bell>; N], Receiver<(&'static str, Instant)>) {
    let (sender, receiver) = mpsc::channel();
    (
        names.map(|name| Arc::new(Bell(sender.clone(), name))),
        receiver,
    )
}

fn schedule(timers: &Timers, at: Instant, target: Weak<dyn TimerTarget>) -> TimerKey {
    let key = timers.add(at, target);
    timers.wake_thread();
    key
}

fn weak<T: TimerTarget + 'static>(what: &Arc<T>) -> Weak<dyn TimerTarget> {
    let weak: Weak<T> = Arc::downgrade(what);
    weak
}

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(10);
const TIME_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn an_earlier_timer_wakes_the_thread_and_none_comes_early() {
    let timers = Timers::new(Time::default());
    let ([late, middle, early], rung) = bells(["late", "middle", "early"]);
    let now = Instant::now();
    schedule(&timers, now + LONG, weak(&late));
    schedule(&timers, now + SHORT * 2, weak(&middle));
    schedule(&timers, now + SHORT, weak(&early));
    let (first, second) = (
        rung.recv_timeout(TIME_LIMIT).unwrap(),
        rung.recv_timeout(TIME_LIMIT).unwrap(),
    );
    assert_eq!((first.0, second.0), ("early", "middle"));
    assert!(first.1 >= now + SHORT && second.1 >= now + SHORT * 2);
    assert!(rung.try_recv().is_err());
}

#[test]
fn the_thread_starts_with_the_first_timer_and_ends_with_the_timers() {
    let timers = Timers::new(Time::default());
    assert!(timers.0.state.lock().thread.is_none());
    let ([bell], rung) = bells(["bell"]);
    schedule(&timers, Instant::now(), weak(&bell));
    rung.recv_timeout(TIME_LIMIT).unwrap();
    let shared = Arc::downgrade(&timers.0);
    drop(timers);
    assert!(
        shared.upgrade().is_none(),
        "the thread, which holds it, has been joined"
    );
}

#[test]
fn what_was_cancelled_does_not_run_and_after_the_stop_nothing_does() {
    let timers = Timers::new(Time::default());
    let ([cancelled, kept, stopped], rung) = bells(["cancelled", "kept", "stopped"]);
    let now = Instant::now();
    let key = schedule(&timers, now + SHORT * 5, weak(&cancelled));
    assert!(timers.cancel(&key));
    schedule(&timers, now + SHORT * 6, weak(&kept));
    assert_eq!(rung.recv_timeout(TIME_LIMIT).unwrap().0, "kept");
    timers.stop();
    schedule(&timers, now, weak(&stopped));
    assert!(timers.0.state.lock().queue.first().is_none());
    timers.stop();
    assert!(rung.try_recv().is_err());
}

#[test]
fn timers_that_end_on_their_own_thread_do_not_wait_for_themselves() {
    struct Owner(OnceLock<Timers>, Sender<()>);
    impl TimerTarget for Owner {
        fn fire(&self, _: Instant) {
            let _ = self.1.send(());
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            drop(self.0.take());
            let _ = self.1.send(());
        }
    }
    let (sender, events) = mpsc::channel();
    let owner = Arc::new(Owner(OnceLock::new(), sender));
    let timers = owner.0.get_or_init(|| Timers::new(Time::default()));
    schedule(timers, Instant::now() + SHORT, weak(&owner));
    // Either this thread or the timer thread drops the last reference. Neither may hang.
    events.recv_timeout(TIME_LIMIT).unwrap();
    drop(owner);
    events.recv_timeout(TIME_LIMIT).unwrap();
}

#[test]
fn something_that_panics_does_not_end_the_thread() {
    struct Bomb;
    impl TimerTarget for Bomb {
        fn fire(&self, _: Instant) {
            panic!("expected by this test");
        }
    }
    let timers = Timers::new(Time::default());
    let ([bell], rung) = bells(["bell"]);
    let bomb = Arc::new(Bomb);
    schedule(&timers, Instant::now(), weak(&bomb));
    schedule(&timers, Instant::now() + SHORT, weak(&bell));
    rung.recv_timeout(TIME_LIMIT).unwrap();
}

#[test]
fn a_clock_of_the_users_drives_the_thread_too() {
    /// One hour ahead of the system clock.
    #[derive(Debug)]
    struct Ahead;
    impl Clock for Ahead {
        fn now(&self) -> Instant {
            SystemClock.now() + LONG
        }
        fn system_now(&self) -> std::time::SystemTime {
            SystemClock.system_now()
        }
    }
    let timers = Timers::new(Time::new(Ahead));
    let ([bell], rung) = bells(["bell"]);
    let at = Instant::now() + LONG + SHORT;
    schedule(&timers, at, weak(&bell));
    assert!(rung.recv_timeout(TIME_LIMIT).unwrap().1 >= at);
}

#[test]
fn a_million_timers_can_be_scheduled_and_cancelled() {
    let timers = Timers::new(Time::default());
    let ([bell], rung) = bells(["bell"]);
    let now = Instant::now();
    // A million if the random tests have their 256 cases.
    let count = 1_000_000 * u64::from(crate::model::test_cases::cases().cases) / 256;
    let keys: Vec<_> = (0..count)
        .map(|n| {
            schedule(
                &timers,
                now + LONG + Duration::from_nanos(n * 7919 % 1_000_003),
                weak(&bell),
            )
        })
        .collect();
    assert!(keys.iter().all(|key| timers.cancel(key)));
    schedule(&timers, now, weak(&bell));
    rung.recv_timeout(TIME_LIMIT).unwrap();
}

#[test]
fn a_manual_clock_needs_no_thread() {
    let clock = ManualClock::new();
    let timers = Timers::new(Time::new(clock.clone()));
    let ([bell], rung) = bells(["bell"]);
    let now = clock.now();
    schedule(&timers, now + LONG, weak(&bell));
    assert!(timers.0.state.lock().thread.is_none());
    clock.advance(LONG - SHORT);
    assert!(rung.try_recv().is_err());
    clock.advance(SHORT);
    assert_eq!(rung.try_recv(), Ok(("bell", now + LONG)));
    let key = schedule(&timers, clock.now() + SHORT, weak(&bell));
    assert!(timers.cancel(&key));
    clock.advance(LONG);
    assert!(rung.try_recv().is_err());
}

#[test]
fn stopping_removes_from_a_manual_clock_what_is_gone() {
    let clock = ManualClock::new();
    let timers = Timers::new(Time::new(clock.clone()));
    let ([bell], _rung) = bells(["bell"]);
    schedule(&timers, clock.now() + LONG, weak(&bell));
    drop(bell);
    assert!(!clock.is_idle());
    timers.stop();
    assert!(clock.is_idle());
}
