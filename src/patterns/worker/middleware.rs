//! [`Middleware`], decisions around a handler.

use std::{sync::Arc, time::Duration};

use super::{Context, Outcome, Settle, Wakeup};
use crate::{
    model::{error::Result, name::Name},
    session::connection::Connection,
};

/// Decides before and after each attempt at a message. One implementation serves handlers of
/// threads and of tasks.
///
/// A worker asks its middlewares in the order in which they were added, and tells them of the
/// outcome in the opposite order. For each [`before`](Self::before) that has answered
/// [`Before::Go`] there is one [`after`](Self::after), whatever happens to the message.
///
/// A `before` that panics fails the message, as a handler that panics. The panic of an `after` has
/// no effect on the message.
///
/// # Examples
/// ```
/// use leveret::worker::{Before, Context, Middleware, Outcome, Settle};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Acknowledges messages without a message id, and counts the failures.
/// #[derive(Default)]
/// struct Checked(AtomicU64);
///
/// impl Middleware for Checked {
///     fn before(&self, context: &Context<'_>) -> Before {
///         match context.properties().message_id {
///             Some(_) => Before::Go,
///             None => Before::Settle(Settle::Ack),
///         }
///     }
///     fn after(&self, _: &Context<'_>, outcome: &mut Outcome) {
///         if outcome.error.is_some() {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// # let broker = leveret::Broker::new();
/// let worker = broker.worker::<u32>("numbers").middleware(Checked::default());
/// # drop(worker);
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Called once when a worker starts, before its first message. `queues` are the names of its
    /// queues.
    ///
    /// # Errors
    /// An error ends the start of the worker.
    fn start(&self, connection: &Connection, queues: &[Name]) -> Result {
        let _ = (connection, queues);
        Ok(())
    }

    /// Decides before an attempt.
    fn before(&self, context: &Context<'_>) -> Before {
        let _ = context;
        Before::Go
    }

    /// Learns of the outcome of an attempt, and may change its settlement.
    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        let _ = (context, outcome);
    }
}

/// Several middlewares, the one inside the others last.
///
/// The type of a builder grows with each [`middleware`](super::WorkerBuilder::middleware), so that
/// the compiler can join them. The trait is sealed.
pub trait Chain: sealed::Chain {}

/// No middleware.
impl Chain for () {}

/// A chain with one more middleware, inside the others.
#[derive(Debug)]
pub struct Stack<C, M> {
    pub(super) outer: C,
    pub(super) inner: M,
}

impl<C: Chain, M: Middleware> Chain for Stack<C, M> {}

pub(super) mod sealed {
    use super::{Before, Context, Middleware, Outcome, Stack};
    use crate::{
        model::{error::Result, name::Name},
        session::connection::Connection,
    };

    pub trait Chain: Send + Sync + 'static {
        fn length(&self) -> usize;

        fn start(&self, connection: &Connection, queues: &[Name]) -> Result;

        /// Asks those that have not `passed`, and counts those that answer `Go`. Returns the first
        /// other answer.
        fn before(&self, context: &Context<'_>, passed: &mut usize) -> Option<Box<Before>>;

        /// Tells those that have `passed` of the outcome, the last one first. Counts them down, so
        /// that the others follow after a panic.
        fn after(&self, context: &Context<'_>, passed: &mut usize, outcome: &mut Outcome);
    }

    impl Chain for () {
        fn length(&self) -> usize {
            0
        }

        fn start(&self, _: &Connection, _: &[Name]) -> Result {
            Ok(())
        }

        #[inline(always)]
        fn before(&self, _: &Context<'_>, _: &mut usize) -> Option<Box<Before>> {
            None
        }

        #[inline(always)]
        fn after(&self, _: &Context<'_>, _: &mut usize, _: &mut Outcome) {}
    }

    impl<C: Chain, M: Middleware> Chain for Stack<C, M> {
        #[inline(always)]
        fn length(&self) -> usize {
            self.outer.length() + 1
        }

        fn start(&self, connection: &Connection, queues: &[Name]) -> Result {
            self.outer.start(connection, queues)?;
            self.inner.start(connection, queues)
        }

        #[inline(always)]
        fn before(&self, context: &Context<'_>, passed: &mut usize) -> Option<Box<Before>> {
            if let Some(answer) = self.outer.before(context, passed) {
                return Some(answer);
            }
            if *passed == self.outer.length() {
                match self.inner.before(context) {
                    Before::Go => *passed += 1,
                    answer => return Some(Box::new(answer)),
                }
            }
            None
        }

        #[inline(always)]
        fn after(&self, context: &Context<'_>, passed: &mut usize, outcome: &mut Outcome) {
            if *passed == self.length() {
                *passed -= 1;
                self.inner.after(context, outcome);
            }
            self.outer.after(context, passed, outcome);
        }
    }
}

/// One that may be left out.
impl<M: Middleware> Middleware for Option<M> {
    fn start(&self, connection: &Connection, queues: &[Name]) -> Result {
        self.as_ref()
            .map_or(Ok(()), |middleware| middleware.start(connection, queues))
    }

    fn before(&self, context: &Context<'_>) -> Before {
        let middleware = self.as_ref();
        middleware.map_or(Before::Go, |middleware| middleware.before(context))
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        if let Some(middleware) = self {
            middleware.after(context, outcome);
        }
    }
}

/// One that several workers share, or whose type is not known.
impl<M: Middleware + ?Sized> Middleware for Arc<M> {
    fn start(&self, connection: &Connection, queues: &[Name]) -> Result {
        (**self).start(connection, queues)
    }

    fn before(&self, context: &Context<'_>) -> Before {
        (**self).before(context)
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        (**self).after(context, outcome);
    }
}

/// The decision of a [`Middleware`] before an attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Before {
    /// The next middleware is asked, and then the handler is called.
    Go,
    /// The same middleware is asked again after this time. The message stays with its worker
    /// meanwhile. If the worker stops, the message returns to its queue.
    Wait(Duration),
    /// As [`Wait`](Self::Wait), until the [`Wakeup`] is woken: for a wait whose time is not known.
    WaitFor(Wakeup),
    /// The message is settled, and the handler is not called.
    Settle(Settle),
}
