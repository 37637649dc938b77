//! The journal: collects the operations of all queues, and has the only thread that writes.
//!
//! The thread takes everything that waits, commits it as one batch, and tells those who wait for
//! it. While it writes, the next batch gathers. It begins at once if someone waits for a sync, and
//! otherwise when the first operation of the batch has waited for as long as it may. If consumers
//! are settling the messages of the batch, it [lets them](patience) do so first.
//!
//! An error of the store ends the journal. Operations since the last commit may be lost then, and
//! nothing more is written. Its queues go on in memory.

mod batch;
mod patience;
mod whole;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, OnceLock},
    task::Poll,
    time::{Duration, Instant},
};

use hashbrown::{HashMap, HashSet};

use self::{batch::Batch, patience::Patience};
use super::{Operation, Store, StreamFiles, Usage, shared_bodies::SharedBodies};
use crate::{
    model::error::{Error, Result, StoreError},
    runtime::{
        catch_panic::catch_panic,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering::SeqCst},
            thread::{self, JoinHandle, Thread},
        },
        waiter::{Ticket, WaitList, Waitable, Wake},
    },
};

/// How long an operation may wait if no one waits for it: a settlement, say.
pub(super) const LAZY: Duration = Duration::from_millis(100);

/// After this time a batch is committed though a transaction is under way.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(1);

/// How many bytes may wait before publishers have to wait too.
const FULL: usize = 64 << 20;

/// The positions of the messages that queues have at the end, by the number of the queue. Other
/// messages of these queues are with consumers.
pub(crate) type KeptPositions = HashMap<u64, HashSet<u64>>;

/// Is called with the outcome of a sync. It must not block and runs no user code.
type Call = Box<dyn FnOnce(Result) + Send>;

/// Is called with the error that has ended a journal. It must not block.
type OnFailure = Box<dyn FnOnce(StoreError) + Send>;

/// Appends operations, and waits for them. Clones append to the same store.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The error that has ended the journal.
    error: OnceLock<StoreError>,
    /// The next number of a queue or of a shared body.
    next_number: AtomicU64,
    /// The messages of streams in files of their own.
    stream_files: Option<Arc<dyn StreamFiles>>,
}

#[derive(Default)]
struct State {
    batch: Batch,
    bodies: SharedBodies,
    /// How many operations were appended so far.
    appended: u64,
    /// How many of them are on disk.
    committed: u64,
    /// Someone waits for the operations up to this number.
    wanted: u64,
    /// How much the store keeps.
    usage: Usage,
    /// When the last commit has begun.
    last_commit: Option<Instant>,
    /// How many transactions are under way.
    open: u64,
    /// How many of them are imports, which take as long as they take.
    imports: u64,
    /// When the batch is to be committed, though no one waits.
    due: Option<Instant>,
    /// Once there are no further operations: what its queues have at the end.
    closing: Option<KeptPositions>,
    waiters: WaitList,
    /// The calls to be made once the operations up to a number are on disk, in the order of the
    /// numbers.
    calls: VecDeque<(u64, Call)>,
    /// The call to be made when an error ends the journal.
    on_failure: Option<OnFailure>,
    thread: Option<JoinHandle<()>>,
    /// The thread, while it sleeps, and until when.
    asleep: Option<(Thread, Option<Instant>)>,
}

impl Journal {
    /// Starts the thread.
    ///
    /// # Errors
    /// An error of the system if it starts no more threads.
    ///
    /// `next_number` is the first number that nothing in the store has.
    pub(crate) fn start(store: Box<dyn Store>, next_number: u64) -> std::io::Result<Journal> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            error: OnceLock::new(),
            next_number: AtomicU64::new(next_number),
            stream_files: store.stream_files(),
        });
        shared.state.lock().usage = store.usage();
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(THREAD_NAME.into())
            .spawn(move || of_thread.run(store))?;
        shared.state.lock().thread = Some(thread);
        Ok(Journal(shared))
    }

    /// Appends an operation, which may wait for the given time. May be called under the lock of a
    /// queue or of the topology.
    pub(crate) fn append(&self, operation: Operation, may_wait: Duration) {
        let mut state = self.0.state.lock();
        if self.0.error.get().is_some() {
            // Who waits for it now gets the error.
            state.appended += 1;
            return;
        }
        if state.closing.is_some() {
            return;
        }
        state.add(operation);
        let due = Instant::now().checked_add(may_wait);
        if due.is_some_and(|due| state.due.is_none_or(|earlier| due < earlier)) {
            state.due = due;
            let sleeper = state.sleeper_beyond(due);
            drop(state);
            sleeper.inspect(Thread::unpark);
        }
    }

    /// One more publish uses a body that is kept by itself.
    pub(super) fn use_body(&self, body: u64) {
        self.0.state.lock().bodies.add_user(body);
    }

    /// A publish uses a body no more.
    pub(super) fn release_body(&self, body: u64) {
        let mut state = self.0.state.lock();
        let drop_body = state.bodies.remove_user(body);
        // It is dropped with the next batch. After a failure there is none.
        if let Some(drop_body) = drop_body.filter(|_| self.0.error.get().is_none()) {
            state.add(drop_body);
        }
    }

    /// A message that was recovered uses a body that is kept by itself.
    pub(crate) fn recovered_body(&self, place: (u64, u64), body: u64) {
        self.0.state.lock().bodies.add_message(place, body);
    }

    /// A number that nothing in the store has.
    pub(crate) fn next_number(&self) -> u64 {
        self.0.next_number.fetch_add(1, SeqCst)
    }

    /// The messages of streams that are in files of their own, if the store has such files.
    pub(crate) fn stream_files(&self) -> Option<&Arc<dyn StreamFiles>> {
        self.0.stream_files.as_ref()
    }

    /// What waits for everything that was appended so far to be on disk.
    pub(crate) fn synced(&self) -> Synced {
        let up_to = self.0.state.lock().appended;
        Synced {
            shared: Arc::clone(&self.0),
            up_to,
        }
    }

    /// Whether so much waits that a publisher has to wait too.
    pub(crate) fn is_full(&self) -> bool {
        self.0.state.lock().batch.bytes() > FULL
    }

    /// The number of operations that are not on disk, the bytes of those that no commit has begun
    /// with, and the time since the last commit has begun.
    pub(crate) fn waiting(&self) -> (u64, u64, Duration) {
        let state = self.0.state.lock();
        let since = state.last_commit.map_or(Duration::ZERO, |at| at.elapsed());
        let operations = state.appended - state.committed;
        (operations, state.batch.bytes() as u64, since)
    }

    /// How much the store keeps, as of the last commit.
    pub(crate) fn usage(&self) -> Usage {
        self.0.state.lock().usage
    }

    /// # Errors
    /// The error that has ended the journal.
    pub(crate) fn check(&self) -> Result {
        match self.0.error.get() {
            Some(error) => Err(Error::from(error.clone())),
            None => Ok(()),
        }
    }

    /// Makes a call when an error ends the journal. None has yet.
    pub(crate) fn on_failure(&self, call: impl FnOnce(StoreError) + Send + 'static) {
        self.0.state.lock().on_failure = Some(Box::new(call));
    }

    /// Ends the journal: commits everything, and closes the store. Messages of the queues in `kept`
    /// that they do not have count as failed deliveries, since their consumers end. Later
    /// operations have no effect. Returns when the thread has ended.
    ///
    /// # Errors
    /// The error that has ended the journal before.
    pub(crate) fn close(&self, kept: KeptPositions) -> Result {
        let (thread, sleeper) = {
            let mut state = self.0.state.lock();
            state.closing.get_or_insert(kept);
            (state.thread.take(), state.sleeper_beyond(None))
        };
        sleeper.inspect(Thread::unpark);
        if let Some(thread) = thread.filter(|own| own.thread().id() != thread::current().id()) {
            // The thread contains every panic, so there is none to propagate.
            let _ = thread.join();
        }
        self.check()
    }
}

impl State {
    fn add(&mut self, operation: Operation) {
        let freed = self.bodies.follow(&operation);
        for operation in std::iter::once(operation).chain(freed) {
            self.appended += 1;
            self.batch.add(operation);
        }
    }

    /// The thread, if it sleeps and would not look before `due`. `None` is now.
    fn sleeper_beyond(&self, due: Option<Instant>) -> Option<Thread> {
        let (thread, until) = self.asleep.as_ref()?;
        let is_late = match (due, until) {
            (None, _) | (_, None) => true,
            (Some(due), Some(until)) => due < *until,
        };
        is_late.then(|| thread.clone())
    }

    /// Whether there is something that must be committed now.
    fn is_due(&self, now: Instant) -> bool {
        self.wanted > self.committed
            || self.closing.is_some()
            || self.batch.bytes() > FULL
            || self.due.is_some_and(|due| due <= now)
    }
}

impl Shared {
    /// The thread of the journal.
    fn run(&self, mut store: Box<dyn Store>) {
        let mut patience = Patience::default();
        while let Some((batch, up_to)) = self.next_batch(&mut patience) {
            let written = match batch.is_empty() {
                true => Ok(()),
                false => patience.time(|| commit(&mut *store, &batch.into_operations())),
            };
            if let Err(error) = written {
                return self.fail(error);
            }
            self.committed(up_to, store.usage());
            if let Err(error) = self.tidy(&mut *store) {
                return self.fail(error);
            }
        }
        let kept = match &mut self.state.lock().closing {
            Some(kept) => std::mem::take(kept),
            None => KeptPositions::new(),
        };
        let returned = return_all_out(&mut *store, &kept);
        if let Err(error) = returned.and_then(|()| store.close()) {
            self.fail(error);
        }
    }

    /// Waits until there is something to commit. `None` at the end.
    fn next_batch(&self, patience: &mut Patience) -> Option<(Batch, u64)> {
        let mut end_of_whole = None;
        loop {
            let mut state = self.state.lock();
            state.asleep = None;
            let now = Instant::now();
            let is_due = state.is_due(now);
            let has_time = state.imports > 0 || end_of_whole.is_none_or(|end| now < end);
            if is_due && state.open > 0 && has_time {
                // The end of the transaction wakes this thread. User code that runs in one may
                // wait for this thread, and that wait must have an end.
                end_of_whole = end_of_whole.or(now.checked_add(LONGEST_TRANSACTION));
                state.asleep = Some((thread::current(), end_of_whole));
                drop(state);
                thread::park_timeout(LONGEST_TRANSACTION);
                continue;
            }
            if is_due {
                if state.closing.is_some() && state.committed == state.appended {
                    return None;
                }
                if patience.waits_for(&state.batch, now) {
                    drop(state);
                    thread::yield_now();
                    continue;
                }
                patience.take(&state.batch);
                state.due = None;
                state.last_commit = Some(now);
                return Some((std::mem::take(&mut state.batch), state.appended));
            }
            let until = state.due;
            state.asleep = Some((thread::current(), until));
            drop(state);
            match until {
                Some(until) => thread::park_timeout(until.saturating_duration_since(now)),
                None => thread::park(),
            }
        }
    }

    /// Tidies up, as long as there is something to do and no batch is due.
    fn tidy(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        loop {
            let has_more = contained(store, |store| store.tidy())?;
            let mut state = self.state.lock();
            state.usage = store.usage();
            if !has_more || state.is_due(Instant::now()) {
                return Ok(());
            }
        }
    }

    fn committed(&self, up_to: u64, usage: Usage) {
        let (wakes, calls) = {
            let mut state = self.state.lock();
            state.committed = up_to;
            state.usage = usage;
            let due = state.calls.partition_point(|(number, _)| *number <= up_to);
            let calls: Vec<_> = state.calls.drain(..due).collect();
            (state.waiters.take_all(), calls)
        };
        wakes.into_iter().for_each(Wake::wake);
        calls.into_iter().for_each(|(_, call)| call(Ok(())));
    }

    fn fail(&self, error: StoreError) {
        let _ = self.error.set(error.clone());
        let (wakes, calls, on_failure) = {
            let mut state = self.state.lock();
            state.batch = Batch::default();
            let calls = std::mem::take(&mut state.calls);
            (state.waiters.take_all(), calls, state.on_failure.take())
        };
        wakes.into_iter().for_each(Wake::wake);
        for (_, call) in calls {
            call(Err(Error::from(error.clone())));
        }
        if let Some(call) = on_failure {
            call(error);
        }
    }
}

/// Commits a batch, which is on disk then.
fn commit(store: &mut dyn Store, batch: &[Operation]) -> Result<(), StoreError> {
    contained(store, |store| store.commit(batch, true))
}

/// Calls the store. A panic is an error.
fn contained<R>(
    store: &mut dyn Store,
    call: impl FnOnce(&mut dyn Store) -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let called = catch_panic(|| call(store));
    called.unwrap_or_else(|| Err(store.damaged("the store has panicked")))
}

/// Marks the messages that consumers have as returned, by failed deliveries.
fn return_all_out(store: &mut dyn Store, kept: &KeptPositions) -> Result<(), StoreError> {
    if kept.is_empty() {
        return Ok(());
    }
    let mut marks = Vec::new();
    store.each_message(&mut |queue, position, mark| {
        let is_out = kept
            .get(&queue)
            .is_some_and(|kept| !kept.contains(&position));
        if is_out {
            marks.push(Operation::Mark {
                queue,
                position,
                mark: Some(mark.unwrap_or_default().failed_once_more()),
            });
        }
    });
    match marks.is_empty() {
        true => Ok(()),
        false => commit(store, &marks),
    }
}

/// Waits until operations are on disk.
#[derive(Clone)]
pub(crate) struct Synced {
    shared: Arc<Shared>,
    up_to: u64,
}

impl Synced {
    /// Calls `call` with the outcome: now if it is known, or else on the thread of the journal.
    pub(crate) fn then(self, call: impl FnOnce(Result) + Send + 'static) {
        let mut state = self.shared.state.lock();
        let outcome = match self.shared.error.get() {
            _ if state.committed >= self.up_to => Some(Ok(())),
            Some(error) => Some(Err(Error::from(error.clone()))),
            None => None,
        };
        if let Some(outcome) = outcome {
            drop(state);
            return call(outcome);
        }
        state.wanted = state.wanted.max(self.up_to);
        let behind = state
            .calls
            .partition_point(|(number, _)| *number <= self.up_to);
        state.calls.insert(behind, (self.up_to, Box::new(call)));
        let sleeper = state.sleeper_beyond(None);
        drop(state);
        sleeper.inspect(Thread::unpark);
    }
}

impl Waitable for Synced {
    type Output = Result;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Result> {
        let mut state = self.shared.state.lock();
        if state.committed >= self.up_to {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.shared.error.get() {
            return Poll::Ready(Err(Error::from(error.clone())));
        }
        state.wanted = state.wanted.max(self.up_to);
        if let Some(ticket) = ticket {
            state.waiters.register(ticket);
        }
        let sleeper = state.sleeper_beyond(None);
        drop(state);
        sleeper.inspect(Thread::unpark);
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.shared.state.lock().waiters);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("error", &self.0.error.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Synced")
            .field("up_to", &self.up_to)
            .finish_non_exhaustive()
    }
}

const THREAD_NAME: &str = "leveret-store";
