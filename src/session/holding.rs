//! Who holds unsettled deliveries: threads, and the producers that a delivery has made.
//!
//! While a broker drains, only holders publish. A thread holds the deliveries that it has received
//! and that are not settled yet. It knows where it has received from, and these know how many of
//! their deliveries are unsettled. So a delivery costs nothing here, unless another thread has
//! received from there before. Of the threads that share a consumer, each counts as a holder that
//! has received from it since it last had no unsettled delivery.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use crate::{
    engine::{
        queue::{Move, QueueCore},
        vhost::Drain,
    },
    model::error::{Error, Result},
    runtime::sync::{Mutex, thread_local},
};

/// A place that threads receive from: a consumer, the gets from a queue, a channel.
pub(super) trait Source: Send + Sync {
    /// Whether a delivery that this thread may have been shown is unsettled, at the broker of this
    /// drain.
    fn has_unsettled(&self, drain: &Arc<Drain>) -> bool;
}

/// A number of its own for each thread that receives; 0 for the others.
type ThreadNumber = u64;

/// The number of no thread.
const NOBODY: ThreadNumber = ThreadNumber::MAX;

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static NUMBER: Cell<ThreadNumber> = const { Cell::new(0) };
    /// The places that this thread has received from.
    static SOURCES: RefCell<Sources> = const {
        RefCell::new(Sources {
            by_address: BTreeMap::new(),
            most: 1,
        })
    };
}

/// The places that one thread has received from, with some that are gone. They are at most twice as
/// many in all as were there at the last look, or one. A place that is gone still has its memory.
struct Sources {
    by_address: BTreeMap<usize, Weak<dyn Source>>,
    /// At this number those that are gone are forgotten.
    most: usize,
}

impl Sources {
    fn add<S: Source + 'static>(&mut self, source: &Arc<S>) {
        if self.by_address.len() >= self.most {
            self.by_address.retain(|_, known| known.strong_count() > 0);
            self.most = (2 * self.by_address.len()).max(1);
        }
        let weak: Weak<S> = Arc::downgrade(source);
        self.by_address.insert(Arc::as_ptr(source).addr(), weak);
    }
}

/// Who holds the unsettled deliveries of one place.
#[derive(Debug)]
pub(super) struct Holders {
    /// The number of the thread that has received here last, or [`NOBODY`].
    last_receiver: AtomicU64,
    /// The gets that are unsettled.
    gets: AtomicU64,
    /// Whether tasks receive here. Their threads hold nothing, since other tasks run on them too.
    in_tasks: bool,
    /// Whether deliveries need no settlement, since they are acknowledged when they are made.
    auto_ack: bool,
    /// Whether each settlement is written, since the queue is durable.
    is_stored: bool,
    /// Whether some deliveries may have to be settled in time. Once there was one, it stays so.
    has_time: AtomicBool,
    /// Whether a settlement is an acknowledgement at most: there are no claims, no times and no
    /// auto-ack.
    is_plain: AtomicBool,
    /// A leaf lock.
    held: Mutex<Held>,
}

/// The receivers, and the deliveries that need more than an acknowledgement.
#[derive(Debug, Default)]
struct Held {
    receivers: Receivers,
    /// The deliveries that have made producers, by position. Most places never have one, so that
    /// the map is made for the first.
    #[allow(
        clippy::box_collection,
        reason = "the map would take three words of every consumer"
    )]
    claims: Option<Box<BTreeMap<u64, Claimed>>>,
}

impl Held {
    fn has_no_claims(&self) -> bool {
        self.claims.as_ref().is_none_or(|claims| claims.is_empty())
    }
}

/// The threads that have received somewhere since no delivery from there was unsettled. Mostly it
/// is one.
#[derive(Debug)]
struct Receivers {
    /// [`NOBODY`] if there is none.
    first: ThreadNumber,
    #[allow(
        clippy::box_collection,
        reason = "the set would take three words of every consumer"
    )]
    others: Option<Box<BTreeSet<ThreadNumber>>>,
}

impl Default for Receivers {
    fn default() -> Receivers {
        Receivers {
            first: NOBODY,
            others: None,
        }
    }
}

impl Receivers {
    fn contains(&self, thread: ThreadNumber) -> bool {
        let others = self.others.as_ref();
        self.first == thread || others.is_some_and(|others| others.contains(&thread))
    }

    fn add(&mut self, thread: ThreadNumber) {
        if self.first == NOBODY {
            self.first = thread;
        } else if self.first != thread {
            self.others.get_or_insert_default().insert(thread);
        }
    }
}

impl Holders {
    pub(super) fn new(auto_ack: bool) -> Holders {
        Holders {
            last_receiver: AtomicU64::new(NOBODY),
            gets: AtomicU64::new(0),
            in_tasks: false,
            auto_ack,
            is_stored: false,
            has_time: AtomicBool::new(false),
            is_plain: AtomicBool::new(!auto_ack),
            held: Mutex::default(),
        }
    }

    /// Those of a place where tasks receive.
    pub(super) fn in_tasks(auto_ack: bool) -> Holders {
        Holders {
            in_tasks: true,
            ..Holders::new(auto_ack)
        }
    }

    /// The same holders, of deliveries of this queue.
    pub(super) fn of(self, queue: &QueueCore) -> Holders {
        let is_stored = queue.stored().is_some();
        Holders {
            is_stored,
            is_plain: AtomicBool::new(!self.auto_ack && !is_stored),
            ..self
        }
    }

    /// Whether the current thread was the last to receive here.
    #[inline(always)]
    pub(super) fn is_last_receiver(&self) -> bool {
        NUMBER.with(Cell::get) == self.last_receiver.load(Relaxed)
    }

    /// Notes that the current thread receives from `source`, which has these holders. `is_first`
    /// tells whether no other delivery from there is unsettled.
    #[inline(never)]
    pub(super) fn note_receiver<S: Source + 'static>(&self, source: &Arc<S>, is_first: bool) {
        let number = NUMBER.with(|number| {
            if number.get() == 0 {
                number.set(LAST_NUMBER.fetch_add(1, Relaxed) + 1);
            }
            number.get()
        });
        if !self.in_tasks {
            let mut held = self.held.lock();
            if is_first {
                held.receivers = Receivers::default();
            }
            held.receivers.add(number);
            drop(held);
            // A thread whose locals are destroyed holds nothing.
            let _ = SOURCES.try_with(|sources| sources.borrow_mut().add(source));
        }
        self.last_receiver.store(number, Relaxed);
    }

    /// Whether the current thread is one of those that may hold the unsettled deliveries.
    pub(super) fn includes_this_thread(&self) -> bool {
        let number = NUMBER.with(Cell::get);
        self.held.lock().receivers.contains(number)
    }

    /// Counts one more unsettled get.
    pub(super) fn count_get(&self) {
        self.gets.fetch_add(1, SeqCst);
    }

    pub(super) fn gets_settled(&self, settled: u64) {
        self.gets.fetch_sub(settled, SeqCst);
    }

    /// How many gets are unsettled.
    pub(super) fn gets(&self) -> u64 {
        self.gets.load(SeqCst)
    }

    /// A claim of the delivery at this position.
    pub(super) fn claim(&self, position: u64, drain: &Arc<Drain>) -> Claim {
        let mut held = self.held.lock();
        self.is_plain.store(false, SeqCst);
        let claims = held.claims.get_or_insert_default();
        claims.entry(position).or_default().claim(drain)
    }

    /// A delivery has to be settled in time.
    pub(super) fn set_time(&self) {
        let _held = self.held.lock();
        self.has_time.store(true, SeqCst);
        self.is_plain.store(false, SeqCst);
    }

    /// Whether a settlement ends nothing else, and is needed.
    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain.load(Relaxed)
    }

    /// The delivery at this position is settled.
    pub(super) fn end_claims(&self, position: u64) {
        if self.is_plain() || self.auto_ack {
            return;
        }
        let mut held = self.held.lock();
        if let Some(claims) = held.claims.as_mut() {
            claims.remove(&position);
        }
        let is_plain = held.has_no_claims() && !self.has_time.load(SeqCst) && !self.is_stored;
        self.is_plain.store(is_plain, SeqCst);
    }
}

/// The admission of a publish.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Counts its message as on its way, if the broker drains or is watched.
    _on_its_way: Option<Move>,
    /// Whether it was asked for deliveries, since the broker drains.
    during_drain: bool,
}

impl Admission {
    /// Whether it ends when the broker begins to drain.
    pub(super) fn ends_with_drain(&self) -> bool {
        !self.during_drain
    }
}

/// Admits a publish. While the broker drains, only those publish that hold deliveries: the current
/// thread, or as `holds` says. Their messages are counted until they have arrived.
///
/// # Errors
/// [`Error::ShutDown`].
pub(super) fn admit(drain: &Arc<Drain>, holds: impl Fn() -> bool) -> Result<Admission> {
    if !drain.has_begun() {
        return Ok(Admission {
            _on_its_way: drain.begin_watched_move(),
            during_drain: false,
        });
    }
    let may_publish = || holds() || thread_holds(drain);
    // Those who are refused are not counted, or they could keep a shutdown looking for ever.
    if !may_publish() {
        return Err(Error::ShutDown);
    }
    let on_its_way = drain.begin_move();
    // Asked again: the delivery may have been settled by another thread before the count.
    match may_publish() {
        true => Ok(Admission {
            _on_its_way: Some(on_its_way),
            during_drain: true,
        }),
        false => Err(Error::ShutDown),
    }
}

/// Whether the current thread holds an unsettled delivery of the broker of this drain.
fn thread_holds(drain: &Arc<Drain>) -> bool {
    // Cloned, so that nothing is borrowed while sources are asked and dropped.
    let clone = |sources: &RefCell<Sources>| -> Vec<_> {
        sources.borrow().by_address.values().cloned().collect()
    };
    let sources = SOURCES.try_with(clone).unwrap_or_default();
    let mut alive = sources.iter().filter_map(Weak::upgrade);
    alive.any(|source| source.has_unsettled(drain))
}

/// The claim of one delivery, for the producers that it has made. It ends with the settlement. The
/// default is one that has ended.
#[derive(Clone, Default)]
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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    // They were a list of boxes, whose drop took a part of the stack for each.
    #[test]
    fn a_hundred_thousand_threads_may_receive_at_one_place() {
        let mut receivers = Receivers::default();
        (1..=100_000).for_each(|thread| receivers.add(thread));
        receivers.add(1);
        assert!(receivers.contains(1) && receivers.contains(100_000));
        assert!(!receivers.contains(100_001));
        drop(receivers);
    }

    struct Place;

    impl Source for Place {
        fn has_unsettled(&self, _drain: &Arc<Drain>) -> bool {
            false
        }
    }

    #[test]
    fn a_thread_remembers_at_most_twice_as_many_places_as_were_there() {
        let mut sources = Sources {
            by_address: BTreeMap::new(),
            most: 1,
        };
        for _ in 0..100 {
            sources.add(&Arc::new(Place));
            assert_eq!(sources.by_address.len(), 1);
        }
        let there: Vec<_> = (0..100).map(|_| Arc::new(Place)).collect();
        for (number, place) in (1..).zip(&there) {
            sources.add(place);
            sources.add(&Arc::new(Place));
            assert!(sources.by_address.len() <= 2 * number);
        }
        let is_there =
            |place: &Arc<Place>| sources.by_address.contains_key(&Arc::as_ptr(place).addr());
        assert!(there.iter().all(is_there));
    }
}
