//! The pause of a publisher before it publishes a refused message again.

use std::{sync::Arc, task::Poll, time::Duration};

use super::{Caller, Publisher};
use crate::{
    engine::vhost::Drain,
    model::error::Result,
    runtime::{
        clock::Deadline,
        signal::Signal,
        time_out::Until,
        waiter::{self, Ticket, WaitList, Waitable, WaitingAny},
    },
};

/// The time until the next attempt. `None` has no end, because the instant cannot be represented.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause<'a>(Option<Deadline<'a>>);

/// The end of a pause.
enum PauseEnd<E> {
    /// The caller is closed.
    Closing(E),
    /// The broker begins to drain. `None` if it drains already, and this publisher may go on.
    Drain(Option<Arc<Drain>>),
    /// The time is over, for a task.
    TimeOut(Arc<Signal>),
}

impl<E: Waitable<Output = ()>> Waitable for PauseEnd<E> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            PauseEnd::Closing(closing) => closing.attempt(ticket),
            PauseEnd::Drain(Some(drain)) => drain.attempt(ticket),
            PauseEnd::Drain(None) => Poll::Pending,
            PauseEnd::TimeOut(time_out) => time_out.attempt(ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            PauseEnd::Closing(closing) => closing.with_waiters(f),
            PauseEnd::Drain(Some(drain)) => drain.with_waiters(f),
            PauseEnd::Drain(None) => {}
            PauseEnd::TimeOut(time_out) => time_out.with_waiters(f),
        }
    }
}

impl Publisher {
    /// Begins a pause, which [`pause`](Self::pause) waits for.
    pub(crate) fn begin_pause(&self, pause: Duration) -> Pause<'_> {
        Pause(self.config.gate.deadline(pause))
    }

    /// Waits before a publish is tried again.
    ///
    /// # Errors
    /// Those of a caller that is closed or may not publish any more, at once.
    pub(crate) fn pause<C: Caller>(&self, caller: &C, Pause(deadline): Pause<'_>) -> Result {
        loop {
            let ends = self.pause_ends(caller)?;
            if waiter::wait_any(&ends, 0, deadline).is_none() {
                return Ok(());
            }
        }
    }

    /// As [`pause`](Self::pause), for a task.
    pub(crate) async fn pause_async<C: Caller>(
        &self,
        caller: &C,
        Pause(deadline): Pause<'_>,
    ) -> Result {
        let vhost = self.config.gate.vhost();
        let until = deadline.map(|deadline| Until::new(vhost.timers(), deadline.at()));
        let time_out = match &until {
            Some(until) => Arc::clone(until.time_out()),
            None => Arc::default(),
        };
        // Looked at after the timer is set: a manual clock that has passed the deadline before
        // calls the timer at its next advance only.
        if deadline.is_some_and(|deadline| deadline.has_passed()) {
            return Ok(());
        }
        loop {
            let [drain, closing] = self.pause_ends(caller)?;
            let ends = [PauseEnd::TimeOut(Arc::clone(&time_out)), drain, closing];
            let (first, ()) = WaitingAny::new(ends).await;
            if first == 0 {
                return Ok(());
            }
        }
    }

    /// What ends the pause early.
    ///
    /// # Errors
    /// Those of a caller that is closed or may not publish any more.
    fn pause_ends<C: Caller>(&self, caller: &C) -> Result<[PauseEnd<C::Closing>; 2]> {
        let drain = self.config.gate.vhost().drain();
        let drains = drain.has_begun();
        caller.check_open()?;
        if drains {
            self.admit(caller)?;
        }
        let drain = (!drains).then(|| Arc::clone(drain));
        Ok([PauseEnd::Drain(drain), PauseEnd::Closing(caller.closing())])
    }
}
