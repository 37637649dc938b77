//! [`CircuitBreaker`]: after many failures the messages wait for better times.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{failure_window::FailureWindow, line::Line};
use crate::{
    model::name::Name,
    patterns::worker::{Before, Context, HandlerError, Middleware, Outcome, Settle, WakeupHandle},
    runtime::{catch_panic::catch_panic, sync::Mutex},
};

/// Holds up the messages for a while after many failures: the database that the handlers need is
/// down, say.
///
/// At first it is *closed*, and all messages pass. After too many failures in a window of time it
/// *opens*: the messages wait with their workers, and do not fail. When its
/// [time](Self::open_for) is over and a message waits or comes, it is *half-open*: a few messages
/// [probe](Self::probes). If their handlers all succeed, it closes. If one of them fails, it opens
/// again.
///
/// A failure is an error of the handler, or its panic or time-out. A message that is requeued or
/// forwarded without an error is neither a failure nor a success. Put a
/// [`Retry`](super::Retry) around it, so that a message that has failed comes again.
///
/// The time is that of the broker's clock. Clones share the state, so that several workers can
/// share it. Make them after all settings. They must be workers of one virtual host, or the breaker
/// may take a message of one for that of another.
///
/// # Examples
/// ```
/// use leveret::{Broker, ManualClock, middleware::{CircuitBreaker, CircuitState}};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// // Opens for ten seconds after three failures within a minute.
/// let breaker = CircuitBreaker::new(3, Duration::from_secs(60)).open_for(Duration::from_secs(10));
/// let worker = broker.worker::<u32>("numbers").middleware(breaker.clone());
/// let worker = worker.handler(|number, _| match number {
///     0 => Err("no"),
///     _ => Ok(()),
/// });
/// let worker = worker.spawn()?;
/// let _ = broker.producer::<u32>("numbers")?.publish_batch([0, 0, 0, 1]);
/// while breaker.state() != CircuitState::Open {
///     std::thread::yield_now();
/// }
/// while breaker.state() != CircuitState::Closed {
///     clock.advance(Duration::from_secs(10)); // The last message probes.
/// }
/// let report = worker.stop_and_drain(Duration::from_secs(10));
/// assert_eq!((report.counts.failed, report.counts.acked), (3, 1));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a middleware does nothing until a worker has it"]
pub struct CircuitBreaker {
    failures: u32,
    rate: f64,
    window: Duration,
    open_for: Duration,
    probes: u32,
    filter: Option<Arc<Filter>>,
    on_change: Option<Arc<OnChange>>,
    circuit: Arc<Mutex<Circuit>>,
}

type Filter = dyn Fn(&HandlerError) -> bool + Send + Sync;
type OnChange = dyn Fn(CircuitState) + Send + Sync;

/// The state of a [`CircuitBreaker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// The messages pass.
    Closed,
    /// The messages wait.
    Open,
    /// A few messages probe, and the others wait.
    HalfOpen,
}

enum Circuit {
    Closed(Box<FailureWindow>),
    Open { until: Instant },
    HalfOpen(Probes),
}

#[derive(Default)]
struct Probes {
    /// The messages whose handlers run.
    running: Vec<Id>,
    /// How many have succeeded.
    succeeded: u32,
    waiting: Line<Id>,
}

/// Tells messages apart. A message that came in before the circuit opened is no probe.
type Id = (Name, u64);

/// The work after a change, without the lock.
#[derive(Default)]
struct Changed {
    /// The state, if it is another one.
    to: Option<CircuitState>,
    /// Those that ask again.
    woken: Vec<WakeupHandle>,
    /// One that passes.
    passed: Option<WakeupHandle>,
}

/// What an outcome says about the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Success,
    Failure,
    /// The handler has decided nothing, or it was not called.
    Neither,
}

impl CircuitBreaker {
    /// Opens after this many failures within the window. Zero counts as 1. A failure leaves the
    /// window after its time or up to a tenth of it earlier.
    pub fn new(failures: u32, window: Duration) -> CircuitBreaker {
        CircuitBreaker {
            failures: failures.max(1),
            rate: 0.0,
            window,
            open_for: Duration::from_secs(30),
            probes: 1,
            filter: None,
            on_change: None,
            circuit: Arc::new(Mutex::new(Circuit::closed())),
        }
    }

    /// Opens only if the failures are at least this part of all attempts within the window, such as
    /// 0.5 for half of them. The default is 0: successes do not matter. A rate over 1 counts as 1,
    /// and one below 0 or that is not a number as 0.
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.rate = rate.clamp(0.0, 1.0);
        if self.rate.is_nan() {
            self.rate = 0.0;
        }
        self
    }

    /// Sets how long it is open before messages probe: 30 seconds by default.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// Sets how many messages probe, and have to succeed: 1 by default. Zero counts as 1.
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes.max(1);
        self
    }

    /// Counts only the failures that `filter` accepts. Any other failure counts as a success, since
    /// the handler has come to a result.
    pub fn when(mut self, filter: impl Fn(&HandlerError) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Sets a hook that is called with the new state after each change, on the thread of a message.
    /// Two changes in a row may be told the other way round. A panic of the hook ends there.
    pub fn on_change(mut self, hook: impl Fn(CircuitState) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(hook));
        self
    }

    /// The state now. It is open until a message probes, even if its time is over.
    pub fn state(&self) -> CircuitState {
        self.circuit.lock().state()
    }

    /// Runs user code, if there is a filter.
    fn verdict(&self, outcome: &Outcome) -> Verdict {
        let Some(error) = &outcome.error else {
            return match outcome.settle {
                Settle::Requeue(_) | Settle::Forward(_) => Verdict::Neither,
                _ => Verdict::Success,
            };
        };
        let filter = self.filter.as_deref();
        // A filter that panics has not excluded the failure.
        match catch_panic(|| filter.is_none_or(|filter| filter(error))) {
            Some(false) => Verdict::Success,
            Some(true) | None => Verdict::Failure,
        }
    }

    fn tell(&self, changed: Changed) {
        if let Some(passed) = changed.passed {
            passed.notify();
        }
        for handle in changed.woken {
            handle.wake();
        }
        if let (Some(state), Some(hook)) = (changed.to, &self.on_change) {
            catch_panic(|| hook(state));
        }
    }

    fn opened(&self, now: Instant) -> Circuit {
        match now.checked_add(self.open_for) {
            Some(until) => Circuit::Open { until },
            None => Circuit::Open { until: now + FAR },
        }
    }
}

/// As good as for ever: a hundred years.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

impl Circuit {
    fn closed() -> Circuit {
        Circuit::Closed(Box::default())
    }

    fn state(&self) -> CircuitState {
        match self {
            Circuit::Closed(_) => CircuitState::Closed,
            Circuit::Open { .. } => CircuitState::Open,
            Circuit::HalfOpen(_) => CircuitState::HalfOpen,
        }
    }

    /// Decides about a message.
    fn before(&mut self, id: impl Fn() -> Id, now: Instant, most: u32) -> (Before, Changed) {
        let mut changed = Changed::default();
        match self {
            Circuit::Closed(_) => return (Before::Go, changed),
            Circuit::Open { until } if *until > now => {
                return (Before::Wait(*until - now), changed);
            }
            Circuit::Open { .. } => {
                *self = Circuit::HalfOpen(Probes::default());
                changed.to = Some(CircuitState::HalfOpen);
            }
            Circuit::HalfOpen(_) => {}
        }
        let Circuit::HalfOpen(probes) = self else {
            return (Before::Go, changed);
        };
        let before = match (probes.running.len() as u32).saturating_add(probes.succeeded) < most {
            true => {
                probes.running.push(id());
                Before::Go
            }
            false => Before::WaitFor(probes.waiting.join(id())),
        };
        (before, changed)
    }
}

impl Probes {
    /// Ends a probe. `None` if the message was none.
    fn end(&mut self, id: &Id) -> Option<()> {
        let at = self.running.iter().position(|running| running == id)?;
        self.running.swap_remove(at);
        Some(())
    }
}

impl Middleware for CircuitBreaker {
    fn before(&self, context: &Context<'_>) -> Before {
        let now = context.now();
        let (before, changed) = {
            let mut circuit = self.circuit.lock();
            circuit.before(|| id(context), now, self.probes)
        };
        self.tell(changed);
        before
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        let (now, verdict) = (context.now(), self.verdict(outcome));
        let mut changed = Changed::default();
        {
            let mut circuit = self.circuit.lock();
            match &mut *circuit {
                Circuit::Open { .. } => {}
                Circuit::Closed(window) => {
                    if verdict != Verdict::Neither {
                        window.count(now, self.window, verdict == Verdict::Failure);
                    }
                    if verdict == Verdict::Failure && window.is_over(self.failures, self.rate) {
                        *circuit = self.opened(now);
                        changed.to = Some(CircuitState::Open);
                    }
                }
                Circuit::HalfOpen(probes) => {
                    if probes.end(&id(context)).is_none() {
                        return;
                    }
                    let next = match verdict {
                        Verdict::Failure => Some(self.opened(now)),
                        Verdict::Success => {
                            probes.succeeded += 1;
                            (probes.succeeded >= self.probes).then(Circuit::closed)
                        }
                        Verdict::Neither => {
                            if let Some((id, handle)) = probes.waiting.let_first_pass() {
                                probes.running.push(id);
                                changed.passed = Some(handle);
                            }
                            None
                        }
                    };
                    if let Some(next) = next {
                        changed.woken = probes.waiting.take_all();
                        changed.to = Some(next.state());
                        *circuit = next;
                    }
                }
            }
        }
        self.tell(changed);
    }
}

fn id(context: &Context<'_>) -> Id {
    let info = context.info();
    (info.queue().clone(), info.position())
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("state", &self.state())
            .field("failures", &self.failures)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
