//! Drops values of the user: payloads, codecs, and values decoded for a delivery.
//!
//! Such a drop may panic. The panic ends here, so that no list of messages, no lock and no other
//! user's call is left half-way. Such a drop may also drop other values: a payload can hold a
//! consumer, a delivery or a broker, whose messages have payloads again. These inner drops wait in
//! a list until the outer one is over. So a chain of them needs no stack, however long it is.
//!
//! On a timer thread no such drop runs, no waker of a task, and no other code of the user. They go
//! [`Elsewhere`].

use std::{cell::Cell, mem::ManuallyDrop, sync::Arc, task::Waker};

use crate::runtime::{catch_panic::catch_panic, sync::thread_local};

/// The threads that run the user code of a thread that must not run any.
pub(crate) trait Elsewhere: Send + Sync {
    /// Has a task woken.
    fn wake(&self, waker: Waker);

    /// Has a value dropped.
    fn drop_value(&self, value: Box<dyn Send>);

    /// Has code called that may take long.
    fn call(&self, code: Box<dyn FnOnce() + Send>);
}

/// Why a value is not dropped at once.
enum Waiting {
    /// An outer drop runs. The values wait for its end.
    Outer(Vec<Box<dyn Send>>),
    /// User code does not run on this thread. Others drop the values.
    Elsewhere(Arc<dyn Elsewhere>),
}

thread_local! {
    /// It is empty outside of a drop, so nothing is lost if the thread ends without a drop of it.
    /// Without a drop of its own it can be used until the end of the thread.
    static WAITING: ManuallyDrop<Cell<Option<Waiting>>> =
        const { ManuallyDrop::new(Cell::new(None)) };
}

/// From now on user code that this thread would run goes to `elsewhere`.
pub(crate) fn run_elsewhere(elsewhere: Arc<dyn Elsewhere>) -> RunElsewhere {
    with_waiting(|waiting| *waiting = Some(Waiting::Elsewhere(elsewhere)));
    RunElsewhere(())
}

/// # If dropped
/// This thread runs user code again.
#[must_use = "it ends when it is dropped"]
pub(crate) struct RunElsewhere(());

impl Drop for RunElsewhere {
    fn drop(&mut self) {
        drop(with_waiting(Option::take));
    }
}

/// The threads that run the user code of this thread, if it runs none itself.
pub(crate) fn elsewhere() -> Option<Arc<dyn Elsewhere>> {
    with_waiting(|waiting| match waiting {
        Some(Waiting::Elsewhere(elsewhere)) => Some(Arc::clone(elsewhere)),
        Some(Waiting::Outer(_)) | None => None,
    })
}

/// Calls code of the user. Must not be called under a lock.
///
/// A panic of the code ends here. On a timer thread, another thread calls it.
pub(crate) fn call_user_code(code: impl FnOnce() + Send + 'static) {
    match elsewhere() {
        None => {
            catch_panic(code);
        }
        Some(elsewhere) => elsewhere.call(Box::new(code)),
    }
}

/// Drops a value whose `Drop` is user code. Must not be called under a lock.
///
/// A panic of the drop ends here, and the panic hook has reported it. If this thread is inside of
/// another such drop, the value is dropped after that one. On a timer thread, another thread drops
/// it.
pub(crate) fn drop_user_value<T: Send + 'static>(value: T) {
    match with_waiting(Option::take) {
        None => {}
        Some(Waiting::Outer(mut values)) => {
            values.push(Box::new(value));
            return with_waiting(|waiting| *waiting = Some(Waiting::Outer(values)));
        }
        Some(Waiting::Elsewhere(elsewhere)) => {
            elsewhere.drop_value(Box::new(value));
            return with_waiting(|waiting| *waiting = Some(Waiting::Elsewhere(elsewhere)));
        }
    }
    with_waiting(|waiting| *waiting = Some(Waiting::Outer(Vec::new())));
    catch_panic(move || drop(value));
    while let Some(values) = next_values() {
        for value in values {
            catch_panic(move || drop(value));
        }
    }
}

/// The values that wait. If there are none, the outer drop is over.
fn next_values() -> Option<Vec<Box<dyn Send>>> {
    with_waiting(|waiting| match waiting.take() {
        Some(Waiting::Outer(values)) if !values.is_empty() => {
            *waiting = Some(Waiting::Outer(Vec::new()));
            Some(values)
        }
        _ => None,
    })
}

/// Calls `change` with the list of this thread. The threads of the interleaving tests have none at
/// their end.
fn with_waiting<R>(change: impl FnOnce(&mut Option<Waiting>) -> R) -> R {
    let mut list = WAITING.try_with(|waiting| waiting.take()).unwrap_or(None);
    let result = change(&mut list);
    let _ = WAITING.try_with(|waiting| waiting.set(list));
    result
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{panic, sync::Mutex, thread};

    use super::*;

    /// Notes its number when it is dropped, and then drops its values.
    struct Noted {
        number: u32,
        notes: Arc<Mutex<Vec<u32>>>,
        inner: Vec<Noted>,
        panics: bool,
    }

    impl Noted {
        fn new(number: u32, notes: &Arc<Mutex<Vec<u32>>>) -> Noted {
            Noted {
                number,
                notes: Arc::clone(notes),
                inner: Vec::new(),
                panics: false,
            }
        }
    }

    impl Drop for Noted {
        fn drop(&mut self) {
            self.inner.drain(..).for_each(drop_user_value);
            self.notes.lock().unwrap().push(self.number);
            if self.panics {
                panic::resume_unwind(Box::new("a drop's accident"));
            }
        }
    }

    #[test]
    fn a_drop_that_panics_ends_no_other_drop() {
        let notes = Arc::default();
        let mut outer = Noted::new(0, &notes);
        for number in 1..=3 {
            let mut inner = Noted::new(number, &notes);
            inner.panics = true;
            outer.inner.push(inner);
        }
        outer.panics = true;
        drop_user_value(outer);
        assert_eq!(*notes.lock().unwrap(), [0, 1, 2, 3]);
        drop_user_value(Noted::new(4, &notes));
        assert_eq!(*notes.lock().unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_value_of_a_panicking_owner_is_dropped_and_may_panic_too() {
        struct Owner(Option<Noted>);
        impl Drop for Owner {
            fn drop(&mut self) {
                drop_user_value(self.0.take());
            }
        }
        let notes = Arc::default();
        let mut value = Noted::new(7, &notes);
        value.panics = true;
        let owner = Owner(Some(value));
        let worker = panic::AssertUnwindSafe(move || {
            let _owner = owner;
            panic::resume_unwind(Box::new("a worker's accident"));
        });
        assert!(panic::catch_unwind(worker).is_err());
        assert_eq!(*notes.lock().unwrap(), [7]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        struct Link(Option<Box<Link>>);
        impl Drop for Link {
            fn drop(&mut self) {
                if let Some(next) = self.0.take() {
                    drop_user_value(next);
                }
            }
        }
        let chain = (0..100_000).fold(Link(None), |next, _| Link(Some(Box::new(next))));
        let thread = thread::Builder::new().stack_size(64 << 10);
        let dropping = thread.spawn(move || drop_user_value(chain)).unwrap();
        dropping.join().unwrap();
    }
}
