//! Tests on real threads and with futures that are polled by hand.

use std::time::Duration;

use super::*;
use crate::runtime::clock::{Clock, ManualClock, Time};

fn wait_for_waiter(items: &Items) {
    while !items.waiting() {
        thread::yield_now();
    }
}

#[test]
fn a_blocked_thread_is_woken_by_a_push() {
    let items = Items::default();
    let receiver = thread::spawn({
        let items = items.clone();
        move || (0..3).map(|_| items.recv()).collect::<Vec<_>>()
    });
    for item in 0..3 {
        wait_for_waiter(&items);
        items.push(item);
    }
    assert_eq!(receiver.join().unwrap(), [Some(0), Some(1), Some(2)]);
    assert!(!items.waiting());
}

#[test]
fn a_thread_that_sleeps_for_a_while_rests_once() {
    let items = Items::default();
    let receiver = thread::spawn({
        let items = items.clone();
        move || items.recv()
    });
    while items.rests() == 0 {
        thread::yield_now();
    }
    items.push(7);
    assert_eq!(receiver.join().unwrap(), Some(7));
    assert_eq!(items.rests(), 1);
}

#[test]
fn a_task_rests_whenever_it_is_pending() {
    let items = Items::default();
    let flag = Flag::new();
    let mut future = Waiting::new(items.clone());
    assert_eq!(poll_once(&mut future, &flag), Poll::Pending);
    assert_eq!(items.rests(), 1);
    items.push(7);
    assert_eq!(poll_once(&mut future, &flag), Poll::Ready(Some(7)));
    assert_eq!(items.rests(), 1);
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let items = Items::default();
    let flags = [Flag::new(), Flag::new(), Flag::new()];
    let mut futures = [(); 3].map(|()| Waiting::new(items.clone()));
    for (future, flag) in futures.iter_mut().zip(&flags) {
        assert_eq!(poll_once(future, flag), Poll::Pending);
    }
    for (n, flag) in flags.iter().enumerate() {
        items.push(7);
        assert!(flag.take(), "waiter {n}");
        assert_eq!(poll_once(&mut futures[n], flag), Poll::Ready(Some(7)));
    }
    assert!(!items.waiting());
}

#[test]
fn a_timeout_on_the_system_clock_ends_the_wait_and_leaves_the_list() {
    let (items, time) = (Items::default(), Time::default());
    assert_eq!(wait(&items, time.deadline(Duration::ZERO)), None);
    assert_eq!(wait(&items, time.deadline(Duration::from_millis(20))), None);
    assert!(!items.waiting());
}

#[test]
fn what_is_there_is_taken_even_after_the_deadline() {
    let (items, time) = (Items::default(), Time::default());
    items.push(1);
    assert_eq!(wait(&items, time.deadline(Duration::ZERO)), Some(Some(1)));
}

#[test]
fn an_unrepresentable_timeout_is_no_timeout() {
    assert!(Time::default().deadline(Duration::MAX).is_none());
    assert!(
        Time::new(ManualClock::new())
            .deadline(Duration::MAX)
            .is_none()
    );
}

#[test]
fn a_timeout_on_a_manual_clock_ends_when_the_clock_gets_there() {
    let (items, clock) = (Items::default(), ManualClock::new());
    let receiver = thread::spawn({
        let (items, time) = (items.clone(), Time::new(clock.clone()));
        move || {
            let before = time.now();
            let got = wait(&items, time.deadline(Duration::from_secs(10)));
            (got, time.now() - before)
        }
    });
    wait_for_waiter(&items);
    clock.advance(Duration::from_secs(9));
    assert!(items.waiting() && !receiver.is_finished());
    clock.advance(Duration::from_secs(1));
    assert_eq!(receiver.join().unwrap(), (None, Duration::from_secs(10)));
    assert!(!items.waiting());
}

#[test]
fn a_push_beats_a_timeout_on_a_manual_clock() {
    let (items, clock) = (Items::default(), ManualClock::new());
    let receiver = thread::spawn({
        let (items, time) = (items.clone(), Time::new(clock.clone()));
        move || wait(&items, time.deadline(Duration::from_secs(10)))
    });
    wait_for_waiter(&items);
    items.push(3);
    clock.advance(Duration::from_secs(10));
    assert_eq!(receiver.join().unwrap(), Some(Some(3)));
}

/// A source whose items are all stolen: each attempt that registers is notified at once, and the
/// next one finds nothing. A second passes with each attempt.
struct Stolen {
    items: Items,
    clock: ManualClock,
    attempts: std::cell::Cell<u64>,
}

impl Waitable for Stolen {
    type Output = Option<u32>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<u32>> {
        self.attempts.set(self.attempts.get() + 1);
        assert!(self.attempts.get() < 1_000, "the wait does not end");
        self.clock.advance(Duration::from_secs(1));
        let registers = ticket.is_some();
        let found = self.items.attempt(ticket);
        if registers {
            self.items.push(1);
            assert_eq!(self.items.recv(), Some(1), "the thief has it");
        }
        found
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.items.with_waiters(f);
    }
}

#[test]
fn a_timeout_ends_at_the_first_attempt_after_it_if_every_item_is_stolen() {
    let clock = ManualClock::new();
    let stolen = Stolen {
        items: Items::default(),
        clock: clock.clone(),
        attempts: std::cell::Cell::new(0),
    };
    let (time, start) = (Time::new(clock.clone()), clock.now());
    assert_eq!(wait(&stolen, time.deadline(Duration::from_secs(10))), None);
    let late = clock.now() - start - Duration::from_secs(10);
    // A round has two attempts, and it may begin just before the deadline.
    assert!(late <= Duration::from_secs(1), "{late:?} too late");
    assert!(!stolen.items.waiting());
}

#[test]
fn a_wait_on_several_sources_tells_which_gave() {
    let sources = [Items::default(), Items::default(), Items::default()];
    let receiver = thread::spawn({
        let sources = sources.clone();
        move || wait_any(&sources, 5, None)
    });
    sources.iter().for_each(wait_for_waiter);
    sources[1].push(9);
    assert_eq!(receiver.join().unwrap(), Some((1, Some(9))));
    assert!(sources.iter().all(|items| !items.waiting()));
}

#[test]
fn several_sources_are_tried_from_the_given_one_on() {
    let sources = [Items::default(), Items::default()];
    sources
        .iter()
        .zip([10, 11])
        .for_each(|(items, item)| items.push(item));
    assert_eq!(wait_any(&sources, 1, None), Some((1, Some(11))));
    assert_eq!(wait_any(&sources, 1, None), Some((0, Some(10))));
}

#[test]
fn no_source_at_all_waits_for_the_deadline() {
    assert_eq!(
        wait_any::<Items>(&[], 3, Time::default().deadline(Duration::from_millis(1))),
        None
    );
}

#[test]
fn closing_wakes_every_thread_and_every_task() {
    let items = Items::default();
    let threads = [(); 2].map(|()| {
        let items = items.clone();
        thread::spawn(move || items.recv())
    });
    let flag = Flag::new();
    let mut future = Waiting::new(items.clone());
    assert_eq!(poll_once(&mut future, &flag), Poll::Pending);
    while items.0.lock().waiters.len() < 3 {
        thread::yield_now();
    }
    items.close();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), None);
    }
    assert!(flag.take());
    assert_eq!(poll_once(&mut future, &flag), Poll::Ready(None));
}

#[test]
fn a_future_runs_without_a_runtime_beside_a_blocked_thread() {
    let items = Items::default();
    let others = [
        thread::spawn({
            let items = items.clone();
            move || block_on(Waiting::new(items))
        }),
        thread::spawn({
            let items = items.clone();
            move || items.recv()
        }),
    ];
    items.push(1);
    items.push(2);
    let sum: u32 = others
        .map(|thread| thread.join().unwrap().unwrap())
        .iter()
        .sum();
    assert_eq!(sum, 3);
}

#[test]
fn a_dropped_future_that_was_notified_passes_its_wake_on() {
    let items = Items::default();
    let (first_flag, second_flag) = (Flag::new(), Flag::new());
    let (mut first, mut second) = (Waiting::new(items.clone()), Waiting::new(&items));
    assert_eq!(poll_once(&mut first, &first_flag), Poll::Pending);
    assert_eq!(poll_once(&mut second, &second_flag), Poll::Pending);
    items.push(5);
    assert!(first_flag.take() && !second_flag.take());
    drop(first);
    assert!(second_flag.take());
    assert_eq!(poll_once(&mut second, &second_flag), Poll::Ready(Some(5)));
}

#[test]
fn a_dropped_future_that_was_not_notified_just_leaves() {
    let items = Items::default();
    let flag = Flag::new();
    let mut future = Waiting::new(items.clone());
    assert_eq!(poll_once(&mut future, &flag), Poll::Pending);
    drop(future);
    assert!(!items.waiting() && !flag.take());
    assert_eq!(Arc::strong_count(&flag), 1, "the waker was dropped");
}

#[test]
fn of_many_waiters_any_one_leaves_and_the_others_keep_their_order() {
    let items = Items::default();
    let flags: Vec<_> = (0..1_000).map(|_| Flag::new()).collect();
    let mut futures: Vec<_> = flags
        .iter()
        .map(|flag| {
            let mut future = Waiting::new(items.clone());
            assert_eq!(poll_once(&mut future, flag), Poll::Pending);
            Some(future)
        })
        .collect();
    // The last ones leave first, which a search from the start of the list would find last.
    for number in (0..1_000).rev().filter(|number| number % 3 != 0) {
        futures[number] = None;
    }
    for number in (0..1_000).step_by(3) {
        items.push(7);
        assert!(flags[number].take(), "waiter {number}");
        let future = futures[number].as_mut().unwrap();
        assert_eq!(poll_once(future, &flags[number]), Poll::Ready(Some(7)));
    }
    assert!(!items.waiting());
}

#[test]
fn a_waiter_of_two_sources_is_notified_by_one_and_skipped_by_the_other() {
    let (a, b) = (Items::default(), Items::default());
    let (both_flag, b_flag) = (Flag::new(), Flag::new());
    let mut both = WaitingAny::new([a.clone(), b.clone()]);
    let mut only_b = Waiting::new(b.clone());
    assert_eq!(poll_once(&mut both, &both_flag), Poll::Pending);
    assert_eq!(poll_once(&mut only_b, &b_flag), Poll::Pending);
    a.push(1);
    b.push(2);
    assert!(both_flag.take() && b_flag.take());
    assert_eq!(poll_once(&mut only_b, &b_flag), Poll::Ready(Some(2)));
    assert_eq!(poll_once(&mut both, &both_flag), Poll::Ready((0, Some(1))));
    assert!(!a.waiting() && !b.waiting());
}

#[test]
fn the_source_that_notified_is_tried_first() {
    let (a, b) = (Items::default(), Items::default());
    let flag = Flag::new();
    let mut both = WaitingAny::new([a.clone(), b.clone()]);
    assert_eq!(poll_once(&mut both, &flag), Poll::Pending);
    b.push(2);
    a.push(1);
    assert_eq!(poll_once(&mut both, &flag), Poll::Ready((1, Some(2))));
    assert_eq!(a.len(), 1);
}

#[test]
fn a_poll_with_another_waker_replaces_the_first() {
    let items = Items::default();
    let (old, new) = (Flag::new(), Flag::new());
    let mut future = Waiting::new(items.clone());
    assert_eq!(poll_once(&mut future, &old), Poll::Pending);
    assert_eq!(poll_once(&mut future, &new), Poll::Pending);
    items.push(1);
    assert!(new.take() && !old.take());
    assert_eq!(poll_once(&mut future, &new), Poll::Ready(Some(1)));
}

#[test]
fn a_future_that_finds_nothing_waits_again() {
    let items = Items::default();
    let flag = Flag::new();
    let mut future = Waiting::new(items.clone());
    assert_eq!(poll_once(&mut future, &flag), Poll::Pending);
    items.push(1);
    assert_eq!(items.recv(), Some(1), "somebody else was faster");
    assert_eq!(poll_once(&mut future, &flag), Poll::Pending);
    flag.take();
    items.push(2);
    assert!(flag.take());
    assert_eq!(poll_once(&mut future, &flag), Poll::Ready(Some(2)));
}

#[test]
fn a_waker_that_panics_harms_nobody_else() {
    struct Bomb;
    impl TaskWake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("a waker's panic, expected by this test");
        }
    }
    let items = Items::default();
    let mut future = Waiting::new(items.clone());
    let waker = Waker::from(Arc::new(Bomb));
    assert!(
        std::pin::Pin::new(&mut future)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let flag = Flag::new();
    let mut other = Waiting::new(items.clone());
    assert_eq!(poll_once(&mut other, &flag), Poll::Pending);
    items.close();
    assert!(flag.take());
}

#[test]
fn a_wait_by_a_clock_that_panics_ends_and_leaves_no_waiter_behind() {
    #[derive(Debug, Default)]
    struct Fuse(std::sync::atomic::AtomicUsize);
    impl Clock for Fuse {
        fn now(&self) -> Instant {
            if self.0.fetch_add(1, AcqRel) > 1 {
                std::panic::resume_unwind(Box::new("a clock's accident"));
            }
            Instant::now()
        }
        fn system_now(&self) -> std::time::SystemTime {
            std::time::SystemTime::now()
        }
    }
    let items = Items::default();
    let time = Time::new(Fuse::default());
    let deadline = time.deadline(Duration::from_millis(5));
    assert_eq!(wait(&items, deadline), None);
    assert!(!items.waiting());
}

#[test]
fn waiting_is_send_and_sync() {
    fn is<T: Send + Sync>() {}
    is::<Waiter>();
    is::<Wake>();
    is::<Waiting<Items>>();
}

#[test]
fn many_threads_and_tasks_share_one_source() {
    const EACH: u32 = 2_000;
    let items = Items::default();
    let takers: Vec<_> = (0..6)
        .map(|n| {
            let items = items.clone();
            thread::spawn(move || {
                let take = || {
                    if n % 2 == 0 {
                        items.recv()
                    } else {
                        block_on(Waiting::new(&items))
                    }
                };
                std::iter::from_fn(take).map(u64::from).sum::<u64>()
            })
        })
        .collect();
    let givers = [(); 2].map(|()| {
        let items = items.clone();
        thread::spawn(move || (0..EACH).for_each(|item| items.push(item)))
    });
    join(givers);
    items.close();
    let sum: u64 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
    assert_eq!(sum, 2 * (0..u64::from(EACH)).sum::<u64>());
}
