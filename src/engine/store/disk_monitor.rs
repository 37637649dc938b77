//! The disk monitor: reads the free space now and then, and raises the disk alarm.
//!
//! Below the limit publishers of durable queues wait. As in RabbitMQ, the free space is read the
//! more often the closer it is to the limit. An error of the store is told here too.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use crate::{
    engine::events::{Actor, EventFeeds},
    model::{
        broker_event::EventKind,
        disk_alarm::{DiskAlarm, OnDiskAlarm},
        error::{CancelReason, Error, Result, StoreError, StoreErrorKind},
        field_value::FieldTable,
    },
    runtime::{
        catch_panic::catch_panic,
        clock::{Time, TimerTarget},
        feed::{FeedLine, Feeds},
        signal::Signal,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        timers::Timers,
        waiter::Wake,
    },
};

/// Reads the free space of the disk of a folder, in bytes.
pub(crate) type FreeSpace = Box<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// The longest time between two looks at the disk.
const RARELY: Duration = Duration::from_secs(10);
/// The shortest.
const OFTEN: Duration = Duration::from_millis(100);
/// The time between two looks while publishers wait.
const WHILE_BLOCKED: Duration = Duration::from_secs(1);
/// How fast a disk is filled at most, in bytes for each millisecond.
const FAST: u64 = 250_000;

/// The settings of a [`DiskMonitor`].
pub(crate) struct DiskSettings {
    pub(crate) folder: PathBuf,
    /// The free space below which the alarm is raised, in bytes. With 0 it never is.
    pub(crate) limit: u64,
    pub(crate) on_alarm: OnDiskAlarm,
    pub(crate) free_space: FreeSpace,
}

impl DiskSettings {
    /// Those of a store in memory: there is no alarm but for its errors.
    #[cfg(test)]
    pub(crate) fn none() -> DiskSettings {
        DiskSettings {
            folder: PathBuf::new(),
            limit: 0,
            on_alarm: OnDiskAlarm::Block,
            free_space: Box::new(|_| Ok(u64::MAX)),
        }
    }
}

/// Watches one folder.
pub(crate) struct DiskMonitor {
    settings: DiskSettings,
    time: Time,
    timers: Arc<Timers>,
    this: Weak<DiskMonitor>,
    /// Whether there is too little free space.
    is_low: AtomicBool,
    /// A leaf lock. `is_low` changes under it.
    state: Mutex<State>,
    /// The readers of the alarm's changes. Told under the lock of `state`.
    feeds: Feeds<DiskAlarm>,
    /// The readers of the broker's events.
    events: Arc<EventFeeds>,
}

#[derive(Default)]
struct State {
    /// The free space when it was last read.
    free: Option<u64>,
    /// Is set when publishers may go on. There is one while the space is too low.
    cleared: Option<Arc<Signal>>,
    failed: Option<StoreError>,
    ended: Option<CancelReason>,
}

impl DiskMonitor {
    pub(crate) fn new(
        settings: DiskSettings,
        time: Time,
        timers: Arc<Timers>,
        events: &Arc<EventFeeds>,
    ) -> Arc<DiskMonitor> {
        Arc::new_cyclic(|this| DiskMonitor {
            settings,
            time,
            timers,
            this: this.clone(),
            is_low: AtomicBool::new(false),
            state: Mutex::default(),
            feeds: Feeds::default(),
            events: Arc::clone(events),
        })
    }

    pub(crate) fn limit(&self) -> u64 {
        self.settings.limit
    }

    /// The free space when it was last read, in bytes.
    pub(crate) fn free(&self) -> Option<u64> {
        self.state.lock().free
    }

    #[inline]
    pub(crate) fn is_low(&self) -> bool {
        self.is_low.load(SeqCst)
    }

    /// Looks at the disk, and again after a while. Must not be called under a lock.
    pub(crate) fn watch(&self) {
        if self.settings.limit == 0 {
            return;
        }
        // The program's function may panic. An unknown space changes nothing.
        let read = catch_panic(|| (self.settings.free_space)(&self.settings.folder));
        let free = read.and_then(io::Result::ok);
        let wakes = {
            let mut state = self.state.lock();
            if state.failed.is_some() || state.ended.is_some() {
                return;
            }
            state.free = free.or(state.free);
            self.compare(&mut state, free)
        };
        wakes.run();
        let next = self.time.now().checked_add(self.interval(free));
        let target = self.this.clone() as Weak<dyn TimerTarget>;
        if let Some(next) = next {
            // It is never cancelled: the timers end with the broker.
            let _ = self.timers.add(next, target);
            self.timers.wake_thread();
        }
    }

    /// Raises or clears the alarm.
    fn compare(&self, state: &mut State, free: Option<u64>) -> Wakes {
        let limit = self.settings.limit;
        let Some(free) = free else {
            return Wakes::default();
        };
        match (free < limit, state.cleared.is_some()) {
            (true, false) => {
                state.cleared = Some(Arc::default());
                self.is_low.store(true, SeqCst);
                self.tell(&DiskAlarm::Blocked { free, limit })
            }
            (false, true) => {
                let cleared = state.cleared.take();
                self.is_low.store(false, SeqCst);
                let told = self.tell(&DiskAlarm::Unblocked { free, limit });
                Wakes { cleared, ..told }
            }
            _ => Wakes::default(),
        }
    }

    fn interval(&self, free: Option<u64>) -> Duration {
        if self.is_low() {
            return WHILE_BLOCKED;
        }
        let above = free.map_or(u64::MAX, |free| free.saturating_sub(self.settings.limit));
        Duration::from_millis(above / FAST).clamp(OFTEN, RARELY)
    }

    /// The store has failed. Publishers do not wait any more, since their messages cannot be
    /// written.
    pub(crate) fn fail(&self, error: StoreError) {
        let wakes = {
            let mut state = self.state.lock();
            let cleared = state.cleared.take();
            self.is_low.store(false, SeqCst);
            state.failed = Some(error.clone());
            let told = self.tell(&DiskAlarm::Failed(error));
            Wakes { cleared, ..told }
        };
        wakes.run();
    }

    /// The broker has ended.
    pub(crate) fn end(&self, reason: CancelReason) {
        let wakes = {
            let mut state = self.state.lock();
            state.ended = Some(reason);
            self.feeds.end(reason)
        };
        wakes.into_iter().for_each(Wake::wake);
    }

    /// What a publish that is to be written has to wait for, if the disk [is low](Self::is_low).
    /// `waits` tells whether it may.
    ///
    /// # Errors
    /// [`StoreErrorKind::LowDisk`] if it may not.
    pub(crate) fn admit(&self, waits: bool) -> Result<Option<Arc<Signal>>> {
        let state = self.state.lock();
        match &state.cleared {
            Some(cleared) if waits && self.settings.on_alarm == OnDiskAlarm::Block => {
                Ok(Some(Arc::clone(cleared)))
            }
            Some(_) => Err(self.low_disk(state.free.unwrap_or(0))),
            None => Ok(None),
        }
    }

    fn low_disk(&self, free: u64) -> Error {
        let DiskSettings { folder, limit, .. } = &self.settings;
        let reason = format_args!("{free} bytes are free, and the limit is {limit}");
        StoreError::new(folder, StoreErrorKind::LowDisk, reason).into()
    }

    /// Tells a change under the lock of the state, so that the changes have their order.
    fn tell(&self, change: &DiskAlarm) -> Wakes {
        let mut feeds = self.feeds.send(change);
        let kind = match change {
            DiskAlarm::Blocked { .. } => Some(EventKind::AlarmSet),
            DiskAlarm::Unblocked { .. } => Some(EventKind::AlarmCleared),
            DiskAlarm::Failed(_) => None,
        };
        if let Some(kind) = kind {
            let source = |fields: FieldTable| fields.with("source", "disk");
            feeds.extend(self.events.send(kind, Actor::Unknown, source));
        }
        Wakes {
            cleared: None,
            feeds,
        }
    }

    /// A reader of the changes from now on, with room for `capacity` changes. The alarm that is
    /// raised is the first of them.
    pub(crate) fn line(&self, capacity: usize) -> Arc<FeedLine<DiskAlarm>> {
        let state = self.state.lock();
        let limit = self.settings.limit;
        let free = state.free.unwrap_or(0);
        let low = state.cleared.as_ref();
        let low = low.map(|_| DiskAlarm::Blocked { free, limit });
        let failed = state.failed.clone().map(DiskAlarm::Failed);
        let line = FeedLine::with(capacity, low.into_iter().chain(failed));
        self.feeds.add((), &line);
        line
    }
}

/// Time to look again.
impl TimerTarget for DiskMonitor {
    fn fire(&self, _: Instant) {
        self.watch();
    }
}

/// Those to be woken, without a lock.
#[derive(Default)]
struct Wakes {
    cleared: Option<Arc<Signal>>,
    feeds: Vec<Wake>,
}

impl Wakes {
    fn run(self) {
        if let Some(cleared) = self.cleared {
            cleared.set();
        }
        self.feeds.into_iter().for_each(Wake::wake);
    }
}

impl fmt::Debug for DiskMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskMonitor")
            .field("folder", &self.settings.folder)
            .field("limit", &self.settings.limit)
            .field("is_low", &self.is_low())
            .finish_non_exhaustive()
    }
}
