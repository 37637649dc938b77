//! Drops values of the user: payloads, codecs, and values decoded for a delivery.
//!
//! Such a drop may panic. The panic ends here, so that no list of messages, no lock and no other
//! user's call is left half-way. Such a drop may also drop other values: a payload can hold a
//! consumer, a delivery or a broker, whose messages have payloads again. These inner drops wait in
//! a list until the outer one is over. So a chain of them needs no stack, however long it is.

use std::{any::Any, cell::Cell, mem::ManuallyDrop};

use crate::runtime::{catch_panic::catch_panic, sync::thread_local};

/// The values that wait for the end of the outer drop; `None` if there is no outer drop.
type Waiting = Option<Vec<Box<dyn Any>>>;

thread_local! {
    /// It is empty outside of a drop, so nothing is lost if the thread ends without a drop of it.
    /// Without a drop of its own it can be used until the end of the thread.
    static WAITING: ManuallyDrop<Cell<Waiting>> = const { ManuallyDrop::new(Cell::new(None)) };
}

/// Drops a value whose `Drop` is user code. Must not be called under a lock.
///
/// A panic of the drop ends here, and the panic hook has reported it. If this thread is inside of
/// another such drop, the value is dropped after that one.
pub(crate) fn drop_user_value<T: 'static>(value: T) {
    let outer = with_waiting(Option::take);
    if let Some(mut values) = outer {
        values.push(Box::new(value));
        return with_waiting(|waiting| *waiting = Some(values));
    }
    with_waiting(|waiting| *waiting = Some(Vec::new()));
    catch_panic(move || drop(value));
    while let Some(values) = next_values() {
        for value in values {
            catch_panic(move || drop(value));
        }
    }
}

/// The values that wait. If there are none, the outer drop is over.
fn next_values() -> Option<Vec<Box<dyn Any>>> {
    with_waiting(|waiting| {
        let values = waiting.take().filter(|values| !values.is_empty());
        *waiting = values.is_some().then(Vec::new);
        values
    })
}

/// Calls `change` with the list of this thread. The threads of the interleaving tests have none at
/// their end.
fn with_waiting<R>(change: impl FnOnce(&mut Waiting) -> R) -> R {
    let mut list = WAITING.try_with(|waiting| waiting.take()).unwrap_or(None);
    let result = change(&mut list);
    let _ = WAITING.try_with(|waiting| waiting.set(list));
    result
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{cell::RefCell, panic, rc::Rc, thread};

    use super::*;

    /// Notes its number when it is dropped, and then drops its values.
    struct Noted {
        number: u32,
        notes: Rc<RefCell<Vec<u32>>>,
        inner: Vec<Noted>,
        panics: bool,
    }

    impl Noted {
        fn new(number: u32, notes: &Rc<RefCell<Vec<u32>>>) -> Noted {
            Noted {
                number,
                notes: Rc::clone(notes),
                inner: Vec::new(),
                panics: false,
            }
        }
    }

    impl Drop for Noted {
        fn drop(&mut self) {
            self.inner.drain(..).for_each(drop_user_value);
            self.notes.borrow_mut().push(self.number);
            if self.panics {
                panic::resume_unwind(Box::new("a drop's accident"));
            }
        }
    }

    #[test]
    fn a_drop_that_panics_ends_no_other_drop() {
        let notes = Rc::default();
        let mut outer = Noted::new(0, &notes);
        for number in 1..=3 {
            let mut inner = Noted::new(number, &notes);
            inner.panics = true;
            outer.inner.push(inner);
        }
        outer.panics = true;
        drop_user_value(outer);
        assert_eq!(*notes.borrow(), [0, 1, 2, 3]);
        drop_user_value(Noted::new(4, &notes));
        assert_eq!(*notes.borrow(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_value_of_a_panicking_owner_is_dropped_and_may_panic_too() {
        struct Owner(Option<Noted>);
        impl Drop for Owner {
            fn drop(&mut self) {
                drop_user_value(self.0.take());
            }
        }
        let notes = Rc::default();
        let mut value = Noted::new(7, &notes);
        value.panics = true;
        let owner = Owner(Some(value));
        let worker = panic::AssertUnwindSafe(move || {
            let _owner = owner;
            panic::resume_unwind(Box::new("a worker's accident"));
        });
        assert!(panic::catch_unwind(worker).is_err());
        assert_eq!(*notes.borrow(), [7]);
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
