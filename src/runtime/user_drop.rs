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

/// What becomes of a value that this thread would drop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is dropped at once.
    Here,
    /// An outer drop runs. The value waits in `VALUES` for its end.
    AfterOuter,
    /// User code does not run on this thread. `ELSEWHERE` drops the value.
    Elsewhere,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Here) };

    /// It is empty outside of a drop, so nothing is lost if the thread ends without a drop of it.
    /// Without a drop of its own it can be used until the end of the thread.
    static VALUES: ManuallyDrop<Cell<Vec<Box<dyn Send>>>> =
        const { ManuallyDrop::new(Cell::new(Vec::new())) };

    /// It is there as long as a [`RunElsewhere`], which takes it out.
    static ELSEWHERE: ManuallyDrop<Cell<Option<Arc<dyn Elsewhere>>>> =
        const { ManuallyDrop::new(Cell::new(None)) };
}

/// From now on user code that this thread would run goes to `elsewhere`.
pub(crate) fn run_elsewhere(elsewhere: Arc<dyn Elsewhere>) -> RunElsewhere {
    let _ = ELSEWHERE.try_with(|slot| slot.set(Some(elsewhere)));
    set_place(Place::Elsewhere);
    RunElsewhere(())
}

/// # If dropped
/// This thread runs user code again.
#[must_use = "it ends when it is dropped"]
pub(crate) struct RunElsewhere(());

impl Drop for RunElsewhere {
    fn drop(&mut self) {
        set_place(Place::Here);
        drop(ELSEWHERE.try_with(|slot| slot.take()));
    }
}

/// The threads that run the user code of this thread, if it runs none itself.
pub(crate) fn elsewhere() -> Option<Arc<dyn Elsewhere>> {
    if place() != Place::Elsewhere {
        return None;
    }
    let there = ELSEWHERE.try_with(|slot| {
        let elsewhere = slot.take();
        slot.set(elsewhere.clone());
        elsewhere
    });
    there.unwrap_or(None)
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
#[inline]
pub(crate) fn drop_user_value<T: Send + 'static>(value: T) {
    if place() != Place::Here {
        return drop_later(Box::new(value));
    }
    set_place(Place::AfterOuter);
    catch_panic(move || drop(value));
    drop_inner_values();
    set_place(Place::Here);
}

#[cold]
fn drop_later(value: Box<dyn Send>) {
    match elsewhere() {
        Some(elsewhere) => elsewhere.drop_value(value),
        None => {
            let _ = VALUES.try_with(|waiting| {
                let mut values = waiting.take();
                values.push(value);
                waiting.set(values);
            });
        }
    }
}

/// Drops the values that wait for the end of the outer drop, and those that come meanwhile.
#[inline]
fn drop_inner_values() {
    loop {
        let values = VALUES
            .try_with(|waiting| waiting.take())
            .unwrap_or_default();
        if values.is_empty() {
            return;
        }
        for value in values {
            catch_panic(move || drop(value));
        }
    }
}

/// The threads of the interleaving tests have none of this at their end.
fn place() -> Place {
    PLACE.try_with(Cell::get).unwrap_or(Place::Here)
}

fn set_place(place: Place) {
    let _ = PLACE.try_with(|slot| slot.set(place));
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
