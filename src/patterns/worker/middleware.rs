//! [`Middleware`], decisions around a handler.

use std::time::Duration;

use super::{Context, Outcome, Settle};
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

/// The decision of a [`Middleware`] before an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Before {
    /// The next middleware is asked, and then the handler is called.
    Go,
    /// The same middleware is asked again after this time. The message stays with its worker
    /// meanwhile. If the worker stops, the message returns to its queue.
    Wait(Duration),
    /// The message is settled, and the handler is not called.
    Settle(Settle),
}
