//! The part of a schedule that its timer calls.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use super::{
    ScheduleCounts,
    timetable::{Now, Taken, Timetable},
};
use crate::{
    model::error::{Error, Result},
    runtime::{
        catch_panic::catch_panic,
        sync::Mutex,
        timers::{TimerKey, TimerTarget},
        user_drop::{call_user_code, drop_user_value},
    },
    session::connection::Connection,
};

/// Makes a message and publishes it. It is user code.
pub(super) type Job = Box<dyn FnMut() -> Result + Send>;

/// A schedule, shared by its handle and its timer.
///
/// It has one timer, or one run under way, so that no two runs overlap: a run takes the job out,
/// and sets the timer for the next run when it has put the job back.
pub(super) struct ScheduleCore {
    me: Weak<ScheduleCore>,
    /// The broker's own connection, which ends with the broker and keeps it not alive.
    connection: Connection,
    // A leaf, but for the timers. No user code runs while it is held.
    state: Mutex<ScheduleState>,
}

struct ScheduleState {
    timetable: Timetable,
    /// `None` while a run is under way, and after the end.
    job: Option<Job>,
    timer: Option<TimerKey>,
    counts: ScheduleCounts,
    last_error: Option<Error>,
}

/// The outcome of a run; `None` if it panicked.
type Outcome = Option<Result>;

impl ScheduleState {
    fn count(&mut self, outcome: Outcome) {
        let counts = &mut self.counts;
        counts.runs += 1;
        match &outcome {
            Some(Ok(())) => counts.published += 1,
            Some(Err(Error::Refused { .. })) => counts.refused += 1,
            Some(Err(_)) => counts.failed += 1,
            None => counts.panicked += 1,
        }
        if let Some(Err(error)) = outcome {
            self.last_error = Some(error);
        }
    }
}

impl ScheduleCore {
    /// Begins a schedule.
    pub(super) fn start(
        connection: Connection,
        timetable: Timetable,
        job: Job,
    ) -> Arc<ScheduleCore> {
        let core = Arc::new_cyclic(|me| ScheduleCore {
            me: Weak::clone(me),
            connection,
            state: Mutex::new(ScheduleState {
                timetable,
                job: Some(job),
                timer: None,
                counts: ScheduleCounts::default(),
                last_error: None,
            }),
        });
        core.set_timer(&mut core.state.lock());
        core.connection.timers().wake_thread();
        core
    }

    /// Sets the timer for the next run, if there is one. `wake_thread` must follow.
    fn set_timer(&self, state: &mut ScheduleState) {
        state.timer = state.timetable.due().map(|due| {
            let me: Weak<dyn TimerTarget> = self.me.clone();
            self.connection.timers().add(due, me)
        });
    }

    /// Runs the job if it is due.
    fn run(&self) {
        let now = Now::read(self.connection.time());
        if self.connection.check_open().is_err() {
            return self.end();
        }
        let job = {
            let mut state = self.state.lock();
            match state.timetable.take(now) {
                Taken::Run(_) => state.job.take(),
                Taken::NotBefore(_) => {
                    self.set_timer(&mut state);
                    None
                }
                Taken::Over => None,
            }
        };
        if let Some(mut job) = job {
            let outcome = catch_panic(&mut job);
            self.finish_run(job, outcome);
        }
        self.connection.timers().wake_thread();
    }

    /// Notes the outcome of a run, and sets the timer for the next one.
    fn finish_run(&self, job: Job, outcome: Outcome) {
        let is_closed = matches!(&outcome, Some(Err(error)) if error.is_closed());
        let unwanted = {
            let mut state = self.state.lock();
            state.count(outcome);
            if is_closed {
                state.timetable.end();
            }
            self.set_timer(&mut state);
            match state.timer {
                Some(_) => state.job.replace(job),
                None => Some(job),
            }
        };
        unwanted.into_iter().for_each(drop_user_value);
    }

    /// Ends the schedule. A run that is under way is the last one.
    pub(super) fn end(&self) {
        let (timer, job) = {
            let mut state = self.state.lock();
            state.timetable.end();
            (state.timer.take(), state.job.take())
        };
        if let Some(timer) = timer {
            self.connection.timers().cancel(&timer);
        }
        job.into_iter().for_each(drop_user_value);
    }

    /// When the next run is due. `None` once the schedule is over.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.connection.check_open().ok()?;
        self.state.lock().timetable.due()
    }

    pub(super) fn counts(&self) -> ScheduleCounts {
        let state = self.state.lock();
        ScheduleCounts {
            missed: state.timetable.missed(),
            ..state.counts
        }
    }

    pub(super) fn last_error(&self) -> Option<Error> {
        self.state.lock().last_error.clone()
    }
}

impl TimerTarget for ScheduleCore {
    fn fire(&self, _: Instant) {
        if let Some(core) = self.me.upgrade() {
            call_user_code(move || core.run());
        }
    }
}
