//! Operations that end on another thread: no wake-up is lost, and the outcome is taken once.

use super::*;
use crate::runtime::{
    completion::completion,
    waiter::{self, Waiting},
};

#[test]
fn an_outcome_against_a_thread_and_a_task_that_wait_for_it() {
    explore(|| {
        let (first, by_thread) = completion::<u8>();
        let (second, by_task) = completion::<u8>();
        let ending = thread::spawn(move || {
            first.complete(1);
            second.complete(2);
        });
        let waiting = thread::spawn(move || waiter::wait(&by_thread, None));
        assert_eq!(block_on(Waiting::new(by_task)), Some(2));
        assert_eq!(waiting.join().unwrap(), Some(Some(1)));
        ending.join().unwrap();
    });
}

#[test]
fn an_operation_that_is_given_up_wakes_the_thread_that_waits() {
    explore(|| {
        let (completer, completion) = completion::<u8>();
        let waiting = thread::spawn(move || waiter::wait(&completion, None));
        drop(completer);
        assert_eq!(waiting.join().unwrap(), Some(None));
    });
}
