//! The threads for user code, without timers.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    task::Wake,
    thread::ThreadId,
};

use super::*;
use crate::runtime::{
    user_drop::{Elsewhere, drop_user_value, elsewhere},
    waiter,
};

/// Reports the thread that drops or wakes it, and then waits until its sender is gone.
struct Reporter {
    report: Sender<ThreadId>,
    until: Mutex<Receiver<()>>,
}

impl Reporter {
    fn new(report: &Sender<ThreadId>) -> (Reporter, Sender<()>) {
        let (keeps, until) = mpsc::channel();
        let reporter = Reporter {
            report: report.clone(),
            until: Mutex::new(until),
        };
        (reporter, keeps)
    }

    /// Does not wait.
    fn quick(report: &Sender<ThreadId>) -> Reporter {
        Reporter::new(report).0
    }

    fn report(&self) {
        self.report.send(thread::current().id()).unwrap();
        let _ = self.until.lock().unwrap().recv();
    }
}

struct Dropped(Reporter);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.report();
    }
}

struct Woken(Reporter);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.report();
    }
}

fn wait(user_code: &UserCode) {
    for thread in user_code.threads() {
        waiter::wait(&thread, None);
    }
}

#[test]
fn a_thread_runs_its_user_code_elsewhere_as_long_as_it_says_so() {
    let user_code = Arc::new(UserCode::new());
    let (report, reports) = mpsc::channel();
    let drop_one = || drop_user_value(Dropped(Reporter::quick(&report)));
    let guard = run_elsewhere(user_code.clone());
    drop_one();
    let dropping = reports.recv_timeout(TIME_LIMIT).unwrap();
    assert_ne!(dropping, thread::current().id());
    let waker = Arc::new(Woken(Reporter::quick(&report)));
    elsewhere().unwrap().wake(waker.into());
    let waking = reports.recv_timeout(TIME_LIMIT).unwrap();
    assert!(waking != dropping && waking != thread::current().id());
    drop(guard);
    assert!(elsewhere().is_none());
    drop_one();
    assert_eq!(reports.try_recv(), Ok(thread::current().id()));
}

#[test]
fn a_slow_drop_keeps_no_task_asleep_and_the_next_drop_waits() {
    let user_code = UserCode::new();
    let (report, reports) = mpsc::channel();
    let (slow, keeps) = Reporter::new(&report);
    user_code.drop_value(Box::new(Dropped(slow)));
    let dropping = reports.recv_timeout(TIME_LIMIT).unwrap();
    user_code.drop_value(Box::new(Dropped(Reporter::quick(&report))));
    let waker = Arc::new(Woken(Reporter::quick(&report)));
    user_code.wake(waker.into());
    assert_ne!(reports.recv_timeout(TIME_LIMIT), Ok(dropping));
    drop(keeps);
    assert_eq!(reports.recv_timeout(TIME_LIMIT), Ok(dropping));
}

#[test]
fn no_thread_is_there_before_the_first_work_and_after_the_stop() {
    let user_code = UserCode::new();
    assert_eq!(user_code.threads()[1].count(), 0);
    let (report, reports) = mpsc::channel();
    user_code.drop_value(Box::new(Dropped(Reporter::quick(&report))));
    reports.recv_timeout(TIME_LIMIT).unwrap();
    assert_eq!(user_code.threads()[1].count(), 1);
    user_code.stop();
    until_ended(&user_code);
    // Work that comes after the stop is done as well.
    user_code.drop_value(Box::new(Dropped(Reporter::quick(&report))));
    reports.recv_timeout(TIME_LIMIT).unwrap();
    until_ended(&user_code);
}

/// An idle thread ends a moment after the stop.
fn until_ended(user_code: &UserCode) {
    wait(user_code);
    while user_code.threads()[1].count() > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_panic_ends_no_other_user_code() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected by this test");
        }
    }
    let user_code = UserCode::new();
    let (report, reports) = mpsc::channel();
    user_code.drop_value(Box::new(Bomb));
    user_code.drop_value(Box::new(Dropped(Reporter::quick(&report))));
    reports.recv_timeout(TIME_LIMIT).unwrap();
}

#[test]
fn a_slow_call_keeps_no_other_waiting_and_one_thread_stays_for_the_next() {
    let user_code = UserCode::new();
    let (report, reports) = mpsc::channel();
    let call = |reporter: Reporter| user_code.call(Box::new(move || reporter.report()));
    let (slow, keeps): (Vec<_>, Vec<_>) = (0..3).map(|_| Reporter::new(&report)).unzip();
    slow.into_iter().for_each(call);
    let mut calling = HashSet::new();
    for _ in 0..3 {
        assert!(calling.insert(reports.recv_timeout(TIME_LIMIT).unwrap()));
    }
    assert_eq!(user_code.calls().count(), 3);
    drop(keeps);
    waiter::wait(user_code.calls(), None);
    assert_eq!(user_code.calls().count(), 1);
    call(Reporter::quick(&report));
    assert!(calling.contains(&reports.recv_timeout(TIME_LIMIT).unwrap()));
    user_code.stop();
    while user_code.calls().count() > 0 {
        thread::yield_now();
    }
    call(Reporter::quick(&report));
    reports.recv_timeout(TIME_LIMIT).unwrap();
}
