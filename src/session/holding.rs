//! Who holds unsettled deliveries: threads, and the producers that a delivery has made.
//!
//! While a broker drains, only holders publish. A thread holds the deliveries that it has received
//! and that are not settled yet. It knows where it has received from, and these know how many of
//! their deliveries are unsettled. So a delivery costs nothing here, unless its thread has received
//! from there for the first time. If several threads receive from one consumer, each of them counts
//! as a holder until all deliveries of that consumer are settled.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use hashbrown::HashMap;

use crate::{
    engine::{queue::Move, vhost::Drain},
    model::error::{Error, Result},
    runtime::sync::{Mutex, thread_local},
};

/// A place that threads receive from: a consumer, the gets from a queue, a channel.
pub(super) trait Source: Send + Sync {
    /// Whether a delivery that a receiver was shown is unsettled, at the broker of this drain.
    fn has_unsettled(&self, drain: &Arc<Drain>) -> bool;
}

/// A number of its own for each thread that receives; 0 for the others.
type ThreadNumber = u64;

const NOBODY: ThreadNumber = ThreadNumber::MAX;

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static NUMBER: Cell<ThreadNumber> = const { Cell::new(0) };
    /// The places that this thread has received from, with some that are gone.
    static SOURCES: RefCell<Vec<Weak<dyn Source>>> = const { RefCell::new(Vec::new()) };
}

/// Who holds the unsettled deliveries of one place.
#[derive(Debug)]
pub(super) struct Holders {
    /// The number of the thread that has received here last, or [`NOBODY`].
    last_receiver: AtomicU64,
    /// The gets that are unsettled.
    gets: AtomicU64,
    /// Whether deliveries need no settlement, since they are acknowledged when they are made.
    auto_ack: bool,
    /// Whether a settlement is an acknowledgement at most: there are no claims and no auto-ack.
    is_plain: AtomicBool,
    /// The deliveries that have made producers, by position. A leaf lock.
    claims: Mutex<HashMap<u64, Claimed>>,
}

impl Holders {
    pub(super) fn new(auto_ack: bool) -> Holders {
        Holders {
            last_receiver: AtomicU64::new(NOBODY),
            gets: AtomicU64::new(0),
            auto_ack,
            is_plain: AtomicBool::new(!auto_ack),
            claims: Mutex::default(),
        }
    }
}

impl Holders {
    /// Notes that the current thread receives from `source`, which has these holders.
    #[inline(always)]
    pub(super) fn note_receiver<S: Source + 'static>(&self, source: &Arc<S>) {
        let last = self.last_receiver.load(Relaxed);
        if NUMBER.with(Cell::get) != last {
            self.note_other(source);
        }
    }

    #[inline(never)]
    fn note_other<S: Source + 'static>(&self, source: &Arc<S>) {
        // A thread whose locals are destroyed holds nothing.
        let _ = SOURCES.try_with(|sources| {
            let mut sources = sources.borrow_mut();
            let address = Arc::as_ptr(source).cast::<()>();
            if !sources
                .iter()
                .any(|known| known.as_ptr().cast::<()>() == address)
            {
                if sources.len() == sources.capacity() {
                    sources.retain(|known| known.strong_count() > 0);
                    let room = sources.len().max(4);
                    sources.reserve(room);
                }
                let source: Weak<S> = Arc::downgrade(source);
                sources.push(source);
            }
        });
        if NUMBER.with(Cell::get) == 0 {
            NUMBER.with(|number| number.set(LAST_NUMBER.fetch_add(1, Relaxed) + 1));
        }
        self.last_receiver.store(NUMBER.with(Cell::get), Relaxed);
    }
}

impl Holders {
    pub(super) fn count_get(&self) {
        self.gets.fetch_add(1, SeqCst);
    }

    pub(super) fn gets_settled(&self, settled: u64) {
        self.gets.fetch_sub(settled, SeqCst);
    }

    pub(super) fn has_gets(&self) -> bool {
        self.gets.load(SeqCst) > 0
    }

    /// A claim of the delivery at this position.
    pub(super) fn claim(&self, position: u64, drain: &Arc<Drain>) -> Claim {
        let mut claims = self.claims.lock();
        self.is_plain.store(false, SeqCst);
        claims.entry(position).or_default().claim(drain)
    }

    /// Whether a settlement ends no claim, and is needed.
    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain.load(Relaxed)
    }

    /// The delivery at this position is settled.
    pub(super) fn end_claims(&self, position: u64) {
        if self.is_plain() {
            return;
        }
        let mut claims = self.claims.lock();
        claims.remove(&position);
        let is_plain = claims.is_empty() && !self.auto_ack;
        self.is_plain.store(is_plain, SeqCst);
    }
}

/// Admits a publish. While the broker drains, only those publish that hold deliveries: the current
/// thread, or as `holds` says. Their messages are counted until they have arrived.
///
/// # Errors
/// [`Error::ShutDown`].
pub(super) fn admit(drain: &Arc<Drain>, holds: impl FnOnce() -> bool) -> Result<Option<Move>> {
    if !drain.has_begun() {
        return Ok(None);
    }
    // Counted first: the delivery may be settled by another thread meanwhile.
    let on_its_way = drain.begin_move();
    match holds() || thread_holds(drain) {
        true => Ok(Some(on_its_way)),
        false => Err(Error::ShutDown),
    }
}

/// Whether the current thread holds an unsettled delivery of the broker of this drain.
fn thread_holds(drain: &Arc<Drain>) -> bool {
    // Cloned, so that nothing is borrowed while sources are asked and dropped.
    let sources = SOURCES.try_with(|sources| sources.borrow().clone());
    let sources = sources.unwrap_or_default();
    let mut alive = sources.iter().filter_map(Weak::upgrade);
    alive.any(|source| source.has_unsettled(drain))
}

/// The claim of one delivery, for the producers that it has made. It ends with the settlement. The
/// default is one that has ended.
#[derive(Default)]
pub(crate) struct Claim {
    /// Of the delivery's broker.
    drain: Weak<Drain>,
    delivery: Weak<()>,
}

/// The delivery's side of its [`Claim`]s.
///
/// # If dropped
/// The claims end.
#[derive(Debug, Default)]
pub(super) struct Claimed(Arc<()>);

impl Claimed {
    pub(super) fn claim(&self, drain: &Arc<Drain>) -> Claim {
        Claim {
            drain: Arc::downgrade(drain),
            delivery: Arc::downgrade(&self.0),
        }
    }
}

impl Claim {
    /// Whether the delivery is unsettled, and one of the broker of this drain.
    pub(super) fn holds(&self, drain: &Arc<Drain>) -> bool {
        self.drain.as_ptr() == Arc::as_ptr(drain) && self.delivery.strong_count() > 0
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("ended", &(self.delivery.strong_count() == 0))
            .finish()
    }
}
