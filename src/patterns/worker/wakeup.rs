//! [`Wakeup`], the end of a wait whose time is not known before.

use std::{fmt, sync::Arc};

use crate::runtime::{signal::Signal, sync::Mutex, waiter::Waiting};

/// The wait of a message for something that happens elsewhere: a free permit, the end of another
/// attempt. A [`Middleware`](super::Middleware) returns it in
/// [`Before::WaitFor`](super::Before::WaitFor), and keeps a [`handle`](Self::handle).
///
/// It can be woken from its making on, so that no wake-up comes too early. It is woken once. Each
/// wait needs one of its own.
///
/// # If dropped
/// With its last clone, the message waits no longer, and the handles learn of it.
///
/// # Examples
/// ```
/// use leveret::worker::{Before, Context, Middleware, Wakeup, WakeupHandle};
/// use std::sync::{Arc, Mutex};
///
/// /// A gate that holds up the messages until it opens.
/// #[derive(Clone, Default)]
/// struct Gate(Arc<Mutex<State>>);
///
/// #[derive(Default)]
/// struct State {
///     is_open: bool,
///     waiting: Vec<WakeupHandle>,
/// }
///
/// impl Gate {
///     fn open(&self) {
///         let waiting = {
///             let mut state = self.0.lock().unwrap();
///             state.is_open = true;
///             std::mem::take(&mut state.waiting)
///         };
///         for handle in waiting {
///             handle.wake();
///         }
///     }
/// }
///
/// impl Middleware for Gate {
///     fn before(&self, _: &Context<'_>) -> Before {
///         let mut state = self.0.lock().unwrap();
///         if state.is_open {
///             return Before::Go;
///         }
///         let wakeup = Wakeup::new();
///         state.waiting.push(wakeup.handle());
///         Before::WaitFor(wakeup)
///     }
/// }
///
/// let broker = leveret::Broker::new();
/// let gate = Gate::default();
/// let worker = broker.worker::<u32>("numbers").middleware(gate.clone()).handler(|_, _| ());
/// let worker = worker.spawn()?;
/// broker.producer::<u32>("numbers")?.publish(7)?;
/// gate.open();
/// let report = worker.stop_and_drain(std::time::Duration::from_secs(10));
/// assert_eq!(report.counts.acked, 1);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a wake-up that is dropped ends the wait"]
pub struct Wakeup(Arc<Waiter>);

/// The side that waits.
///
/// # If dropped
/// Any handle that comes later learns that it is too late.
#[derive(Default)]
struct Waiter(Arc<State>);

/// Wakes the message that waits for a [`Wakeup`]. Cloning is cheap.
///
/// # If dropped
/// The message goes on waiting.
#[derive(Clone)]
pub struct WakeupHandle(Arc<State>);

#[derive(Default)]
struct State {
    answer: Mutex<Answer>,
    /// Set after the answer was given.
    answered: Signal,
}

/// The answer to a wait. It is given once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Answer {
    /// There is none yet.
    #[default]
    None,
    /// The middleware is to be asked again.
    Ask,
    /// The middleware lets the message pass.
    Pass,
    /// The message waits no longer.
    GivenUp,
}

impl Wakeup {
    /// Makes a wake-up that is not woken.
    pub fn new() -> Wakeup {
        Wakeup::default()
    }

    /// Returns a handle that wakes the message.
    pub fn handle(&self) -> WakeupHandle {
        WakeupHandle(Arc::clone(&self.0.0))
    }

    /// A future that ends when it is woken.
    pub(super) fn waiting(&self) -> Waiting<&Signal> {
        Waiting::new(&self.0.0.answered)
    }

    /// Ends the wait. Returns whether the middleware has let the message pass. Any handle that
    /// comes later learns that it is too late.
    pub(super) fn end(&self) -> bool {
        self.0.end() == Answer::Pass
    }
}

impl Waiter {
    fn end(&self) -> Answer {
        std::mem::replace(&mut *self.0.answer.lock(), Answer::GivenUp)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.end();
    }
}

impl WakeupHandle {
    /// Ends the wait, and has the middleware asked again. Returns whether the message was waiting.
    ///
    /// A message whose worker stops at the same time returns to its queue, and the middleware is
    /// not asked.
    pub fn wake(&self) -> bool {
        self.answer(Answer::Ask)
    }

    /// Ends the wait, and lets the message pass the middleware, as if that had answered
    /// [`Before::Go`](super::Before::Go). Returns whether the message was waiting. If it was, the
    /// middleware is told of an outcome, even if the worker stops at the same time.
    ///
    /// So a middleware can hand something over to exactly one message that waits.
    pub fn pass(&self) -> bool {
        self.answer(Answer::Pass)
    }

    /// Whether the message waits, and was not woken.
    pub fn is_waiting(&self) -> bool {
        *self.0.answer.lock() == Answer::None
    }

    fn answer(&self, answer: Answer) -> bool {
        let given = self.give(answer);
        if given {
            self.notify();
        }
        given
    }

    /// As [`pass`](Self::pass), under a lock of the caller. [`notify`](Self::notify) is to follow.
    #[must_use = "a message that passes must be notified"]
    pub(in crate::patterns) fn let_pass(&self) -> bool {
        self.give(Answer::Pass)
    }

    fn give(&self, answer: Answer) -> bool {
        let mut given = self.0.answer.lock();
        let is_first = *given == Answer::None;
        if is_first {
            *given = answer;
        }
        is_first
    }

    /// Wakes the thread or the task that waits. Runs user code (wakers).
    pub(in crate::patterns) fn notify(&self) {
        self.0.answered.set();
    }
}

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = *self.0.0.answer.lock();
        f.debug_tuple("Wakeup").field(&answer).finish()
    }
}

impl fmt::Debug for WakeupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = *self.0.answer.lock();
        f.debug_tuple("WakeupHandle").field(&answer).finish()
    }
}
