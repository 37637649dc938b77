//! A virtual host: its exchanges, queues and bindings, separate from every other virtual host.
//!
//! Only the virtual host knows both exchanges and queues. It carries out the
//! [`Effects`](crate::engine::queue::Effects) of queues. Knows nothing of channels, connections or
//! typed handles.
//!
//! # Lock order
//! 1. the policies,
//! 2. the topology (`RwLock`),
//! 3. one queue (never two at once),
//! 4. a leaf: a channel's ledger, the exchange numbers, the permissions, the waiters of a budget,
//!    the timers, a waiter,
//! 5. the readers of events, and then one of their lines.
//!
//! A thread takes a lock only while it holds no lock of the same or a higher number. It holds no
//! lock while user code runs: wakers, destructors of payloads, clocks, codecs. An import alone
//! holds the policies and the topologies of several virtual hosts, which it locks in the order of
//! their names.

mod about;
mod added;
mod aliases;
mod blocked;
mod budgets;
mod changes;
mod churn;
mod consumers;
mod dead_letters;
mod declaration;
mod declare;
mod declared_exchange;
mod delayed;
mod drain;
mod effects;
mod envelopes;
mod exchange_interner;
mod explain;
mod found;
mod gets;
mod history;
mod import;
mod kept_parts;
mod model_queues;
mod permissions;
mod planned_kinds;
mod policies;
mod publish;
mod publish_counts;
mod queue_limits;
mod queues;
mod record;
mod recovered;
mod recovery;
mod refusal;
mod replies;
mod reverse_bindings;
mod route;
mod routers;
mod storage;
mod streams;
mod terms;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod topology;
mod topology_events;
mod topology_records;
mod triggers;
mod vhost_events;

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

pub(crate) use self::{
    about::About,
    added::{Added, Other},
    aliases::{AliasChange, AliasEnd},
    blocked::{BlockedPublish, Patience},
    churn::Churn,
    declaration::WithBindings,
    declare::{BindingRequest, Identity},
    declared_exchange::{DeclaredExchange, Kept},
    drain::Drain,
    effects::LastCounts,
    gets::{OnGet, QueueDeleted},
    import::{CheckedVhost, LockedVhost, MadeVhost, VhostPlan},
    kept_parts::KeptParts,
    publish::{PushFailure, PushOptions},
    publish_counts::PublishCounts,
    recovered::{RecoveredVhost, Recovery},
    refusal::Refusal,
    replies::{REPLY_TO, Requester, is_address},
    route::Route,
    storage::{Numbers, VhostStorage},
    topology::ConnectionId,
    topology::{DeclaredBudget, DeclaredQueue, Target, Topology},
};
pub use self::{declare::QueueDeclared, publish::Published};

use self::{
    exchange_interner::ExchangeInterner, publish_counts::ExchangeTally, replies::Replies,
    terms::LastTerms,
};
use crate::{
    engine::{
        access::Grants,
        events::{EventFeeds, VhostEvents},
        policy::Policies,
        queue::{Arrivals, Group, QueueCore},
        router::{ExchangeType, ExchangeTypes},
        store::{DiskMonitor, Journal, WallClock},
        tap::Taps,
    },
    message::envelope::NEVER,
    model::{
        arguments::{ExchangeArguments, ExchangeTypeArguments},
        descriptions::{Durability, Exchange},
        error::{CancelReason, Error, Result},
        exchange_kind::ExchangeKind,
        name::Name,
    },
    runtime::{
        clock::Time,
        sync::{
            Mutex, RwLock,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        timers::Timers,
    },
};

/// The settings that all virtual hosts of a broker share.
#[derive(Debug, Default)]
pub(crate) struct VhostSettings {
    /// Whether payloads are encoded even if they travel in memory.
    pub(crate) always_encode: bool,
    pub(crate) exchange_types: Arc<ExchangeTypes>,
    /// How long a consumer of a quorum queue may hold a delivery, if nothing else says.
    pub(crate) consumer_timeout: Option<Duration>,
    pub(crate) events: Arc<EventFeeds>,
    pub(crate) taps: Arc<Taps>,
}

/// The store of a virtual host that is made now.
#[derive(Debug)]
pub(crate) struct RecoveredStore {
    pub(crate) journal: Journal,
    pub(crate) disk: Arc<DiskMonitor>,
    /// Of queues that have none of their own.
    pub(crate) durability: Durability,
    /// The numbers of the queues that it had.
    pub(crate) numbers: Numbers,
}

/// The time of a virtual host at its start. Time zero is reserved for callers that have not read
/// the clock. It is a whole number of milliseconds, and so a deadline some milliseconds later is
/// exact.
const BEGIN: Duration = Duration::from_millis(1);

/// A virtual host.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    name: Name,
    time: Time,
    timers: Arc<Timers>,
    /// The start of this virtual host's nanoseconds.
    epoch: Instant,
    topology: RwLock<Topology>,
    /// Locked before the topology.
    policies: Mutex<Policies>,
    /// A leaf lock.
    kept_parts: Mutex<KeptParts>,
    exchange_names: ExchangeInterner,
    replies: Replies,
    /// For messages that can be neither delivered nor routed. A leaf lock.
    dead_letter_queue: Mutex<Option<Arc<QueueCore>>>,
    /// The next number for a queue, a group of consumers or a generated name.
    next_number: AtomicU64,
    /// The epoch of the default exchange. Raised when the broker begins to drain.
    default_epoch: Arc<AtomicU64>,
    /// The publishes to the default exchange.
    default_tally: ExchangeTally,
    churn: Churn,
    /// Shared with the other virtual hosts of the broker.
    drain: Arc<Drain>,
    /// Set once, by the broker's shutdown or the deletion of the virtual host.
    down: OnceLock<CancelReason>,
    /// Whether payloads are encoded even if they travel in memory.
    always_encode: bool,
    exchange_types: Arc<ExchangeTypes>,
    /// The permissions of the users.
    grants: Arc<Grants>,
    events: Arc<VhostEvents>,
    taps: Arc<Taps>,
    last_terms: LastTerms,
    /// A leaf lock.
    about: Mutex<About>,
    /// The places of queues of an engine outside. A leaf lock.
    detached: Mutex<Vec<Weak<QueueCore>>>,
    /// The time of day at its start.
    clock: WallClock,
    /// Where it is kept, if the broker is durable.
    storage: Option<Arc<VhostStorage>>,
}

impl VirtualHost {
    /// Makes a virtual host that has only the predeclared exchanges.
    pub(crate) fn new(
        name: Name,
        time: Time,
        timers: Arc<Timers>,
        drain: Arc<Drain>,
        settings: VhostSettings,
        store: Option<RecoveredStore>,
    ) -> Result<Arc<VirtualHost>> {
        let VhostSettings {
            always_encode,
            exchange_types,
            consumer_timeout,
            events,
            taps,
        } = settings;
        let mut topology = Topology::default();
        let predeclared = [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
            ("amq.rabbitmq.trace", ExchangeKind::Topic),
            ("amq.topic", ExchangeKind::Topic),
        ];
        for (exchange, kind) in predeclared {
            let description = Exchange::new(exchange, kind.as_str()).durable();
            let description = match exchange {
                "amq.rabbitmq.trace" => description.internal(),
                _ => description,
            };
            topology.add_exchange(
                Name::new(exchange)?,
                DeclaredExchange::new(
                    ExchangeType::Table(kind),
                    &ExchangeTypeArguments::default(),
                    description,
                    ExchangeArguments::default(),
                    None,
                    Kept::default(),
                ),
            );
        }
        let epoch = time.now().checked_sub(BEGIN).unwrap_or_else(|| time.now());
        let clock = WallClock::new(time.system_now(), BEGIN.as_nanos() as u64);
        let storage = store.map(|store| {
            Arc::new(VhostStorage::new(
                name.clone(),
                (store.journal, store.disk),
                clock,
                store.durability,
                store.numbers,
            ))
        });
        topology.storage = storage.clone();
        let grants = Arc::new(Grants::new(name.clone()));
        topology.grants = Some(Arc::clone(&grants));
        let events = Arc::new(VhostEvents::new(events, name.clone()));
        topology.events = Some(Arc::clone(&events));
        Ok(Arc::new(VirtualHost {
            epoch,
            policies: Mutex::new(Policies::new(&name, consumer_timeout)),
            kept_parts: Mutex::default(),
            name,
            time,
            timers,
            topology: RwLock::new(topology),
            exchange_names: ExchangeInterner::default(),
            replies: Replies::default(),
            dead_letter_queue: Mutex::new(None),
            next_number: AtomicU64::new(1),
            default_epoch: Arc::new(AtomicU64::new(0)),
            default_tally: ExchangeTally::default(),
            churn: Churn::default(),
            drain,
            down: OnceLock::new(),
            always_encode,
            exchange_types,
            grants,
            events,
            taps,
            last_terms: LastTerms::default(),
            about: Mutex::default(),
            detached: Mutex::default(),
            clock,
            storage,
        }))
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The totals of the things that came and went in it.
    pub(crate) fn churn(&self) -> &Churn {
        &self.churn
    }

    /// The publishes to the default exchange.
    pub(crate) fn default_tally(&self) -> &ExchangeTally {
        &self.default_tally
    }

    /// The taps of the broker.
    #[inline]
    pub(crate) fn taps(&self) -> &Arc<Taps> {
        &self.taps
    }

    /// Where its events are told.
    pub(crate) fn events(&self) -> &Arc<VhostEvents> {
        &self.events
    }

    /// Where it is kept, if the broker is durable.
    pub(crate) fn storage(&self) -> Option<&Arc<VhostStorage>> {
        self.storage.as_ref()
    }

    /// How many changes of its topology were written so far.
    pub(crate) fn changes(&self) -> u64 {
        self.storage.as_ref().map_or(0, |storage| storage.changes())
    }

    /// Waits until the changes of its topology are on disk, if some were written after the first
    /// `before`. Must be called without any lock held.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) fn sync_changes(&self, before: u64) -> Result {
        match &self.storage {
            Some(storage) => storage.sync(before),
            None => Ok(()),
        }
    }

    /// As [`sync_changes`](Self::sync_changes), for a task.
    pub(crate) async fn sync_changes_async(&self, before: u64) -> Result {
        match &self.storage {
            Some(storage) => storage.sync_async(before).await,
            None => Ok(()),
        }
    }

    /// The time of day at its start.
    pub(crate) fn clock(&self) -> WallClock {
        self.clock
    }

    /// The clock of its streams.
    fn arrivals(&self) -> Arrivals {
        Arrivals {
            time: self.time.clone(),
            epoch: self.epoch,
            clock: self.clock,
        }
    }

    pub(crate) fn time(&self) -> &Time {
        &self.time
    }

    pub(crate) fn always_encode(&self) -> bool {
        self.always_encode
    }

    pub(crate) fn exchange_names(&self) -> &ExchangeInterner {
        &self.exchange_names
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The time in nanoseconds of this virtual host, never 0. Reads the clock, which may be user
    /// code, so it must not be called under a lock.
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos_at(self.time.now())
    }

    /// When the first delayed message of a queue is due.
    pub(crate) fn first_due(&self, queue: &QueueCore) -> Option<Instant> {
        self.instant(queue.first_due())
    }

    /// An instant as nanoseconds of this virtual host, never 0.
    pub(crate) fn nanos_at(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.epoch);
        u64::try_from(elapsed.as_nanos())
            .unwrap_or(NEVER - 1)
            .max(1)
    }

    /// As [`nanos`](Self::nanos) if anything in the queue depends on time, else 0.
    pub(crate) fn now_for(&self, queue: &QueueCore) -> u64 {
        match queue.is_timed() {
            true => self.nanos(),
            false => 0,
        }
    }

    /// `None` for [`NEVER`].
    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        match nanos {
            NEVER => None,
            nanos => self.epoch.checked_add(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }

    /// Ends the publishing of all who hold no delivery. The drain has begun.
    ///
    /// A producer with a remembered route asks again and is refused. A publisher that waits for
    /// room is woken, and is refused as well.
    pub(crate) fn stop_publishing(&self) {
        let topology = self.topology.write();
        self.default_epoch.fetch_add(1, SeqCst);
        topology.touch_all();
        let mut wakes = Vec::new();
        for declared in topology.queues.values() {
            wakes.extend(declared.queue.wake_blocked());
        }
        for declared in topology.budgets.values() {
            wakes.extend(declared.budget.wake_blocked());
        }
        drop(topology);
        for wake in wakes {
            wake.wake();
        }
    }

    /// Calls `look` with the topology. `look` may lock queues, one at a time.
    pub(crate) fn read_topology<R>(&self, look: impl FnOnce(&Topology) -> R) -> R {
        look(&self.topology.read())
    }

    fn set_down(&self, reason: CancelReason) {
        // The first reason stays.
        let _ = self.down.set(reason);
    }

    /// The reason why the virtual host is down, if it is.
    pub(crate) fn why_down(&self) -> Option<CancelReason> {
        self.down.get().copied()
    }

    /// Returns a number that is unique in this virtual host.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, SeqCst)
    }

    /// Returns a text that is unique in this virtual host and does not resemble the previous one.
    fn generate(&self) -> String {
        format!("{:016x}", splitmix64(self.next_number()))
    }

    /// Returns a new group for one consumer, or for all consumers of a channel.
    pub(crate) fn new_group(&self) -> Group {
        self.next_number()
    }

    /// Whether [`check_up`](Self::check_up) succeeds.
    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        self.down.get().is_none()
    }

    /// # Errors
    /// [`Error::ShutDown`] or [`Error::BrokerDropped`] once the broker has ended,
    /// [`Error::VhostDeleted`] once the virtual host is deleted.
    pub(crate) fn check_up(&self) -> Result {
        match self.down.get() {
            None => Ok(()),
            Some(CancelReason::VhostDeleted) => Err(Error::vhost_deleted(&self.name)),
            Some(CancelReason::BrokerDropped) => Err(Error::BrokerDropped),
            Some(_) => Err(Error::ShutDown),
        }
    }
}

/// Spreads consecutive numbers, so that the generated names of one process do not look alike. The
/// numbers stay different, because it is a bijection (the finaliser of SplitMix64).
pub(crate) fn splitmix64(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
