//! The core of a broker: its virtual hosts, its users, and its end.
//!
//! The typed handles and the protocols use it. It knows neither of them.

mod at_rest;
mod definitions;
mod events;
mod global_parameters;
mod import;
mod login;
mod remote;
mod shutdown;
mod shutdown_report;
mod taps;
mod users;

pub(crate) use self::{definitions::VhostDefinitions, import::ImportPlan};
pub use self::{
    login::AuthenticatedUser,
    shutdown_report::{DrainedQueue, RemainingExchange, RemainingQueue, ShutdownReport},
};

use std::{
    collections::{BTreeMap, btree_map},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{events::wake_all, users::GUEST};
use super::{
    backend::Engine,
    connection::{self, Connection, ConnectionAbout},
    gate::Gate,
    publisher::Tap,
};
use crate::{
    engine::{
        access::{Access, Users},
        events::{Actor, EventFeeds},
        router::ExchangeTypes,
        store::{DiskMonitor, DiskSettings, Journal, Store},
        tap::Taps,
        vhost::{
            About, Drain, LastCounts, Numbers, RecoveredStore, RecoveredVhost, Recovery,
            VhostSettings, VirtualHost,
        },
    },
    model::{
        access::User,
        broker_event::EventKind,
        descriptions::Durability,
        error::{CancelReason, EntityKind, Error, Result},
        name::Name,
    },
    runtime::{
        clock::Time,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        timers::Timers,
    },
};

/// The shared state of a broker. Its drop ends the broker.
pub(crate) struct BrokerCore {
    time: Time,
    /// When it was made.
    started: Instant,
    timers: Arc<Timers>,
    drain: Arc<Drain>,
    tap: Option<Arc<dyn Tap>>,
    events: Arc<EventFeeds>,
    taps: Arc<Taps>,
    settings: Settings,
    users: Arc<Users>,
    exchange_types: Arc<ExchangeTypes>,
    next_connection: AtomicU64,
    /// The engine outside of this process, if the broker is only its client.
    engine: Option<Arc<dyn Engine>>,
    /// Writes what outlives the broker, if it is durable.
    journal: Option<Journal>,
    /// Watches the disk, if the broker is durable.
    disk: Option<Arc<DiskMonitor>>,
    /// Of durable queues that have none of their own.
    durability: Durability,
    /// A leaf lock.
    global_parameters: Mutex<BTreeMap<Name, Value>>,
    /// `None` after the shutdown.
    vhosts: Mutex<Option<BTreeMap<Name, VhostEntry>>>,
}

/// The settings of a broker.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The users who are there from the start.
    pub(crate) users: Vec<User>,
    /// Whether payloads are encoded even if they travel in memory.
    pub(crate) always_encode: bool,
    /// How long a consumer of a quorum queue may hold a delivery, if nothing else says. `None`
    /// leaves it to the queue.
    pub(crate) consumer_timeout: Option<Duration>,
}

/// A virtual host and the connections to it.
struct VhostEntry {
    vhost: Arc<VirtualHost>,
    implicit: Connection,
    /// All other connections. Closed connections are removed when the list is full.
    connections: Vec<Weak<connection::ConnectionCore>>,
}

impl VhostEntry {
    fn adopt(&mut self, connection: &Connection) {
        if self.connections.len() == self.connections.capacity() {
            self.connections.retain(|known| known.strong_count() > 0);
            // The list can double before the next cleanup, so that cleanups stay rare.
            self.connections.reserve(self.connections.len().max(8));
        }
        self.connections.push(Arc::downgrade(connection.core()));
    }

    fn end(self, reason: CancelReason) -> LastCounts {
        // The virtual host ends first, so that a woken call does not find it alive. The connections
        // and everything that belongs to them end afterwards.
        let last = self.vhost.clear(reason);
        self.implicit.core().close(reason);
        for connection in self.connections.iter().filter_map(Weak::upgrade) {
            connection.close(reason);
        }
        last
    }
}

impl Drop for BrokerCore {
    fn drop(&mut self) {
        self.end(CancelReason::BrokerDropped);
        self.timers.stop();
    }
}

impl BrokerCore {
    /// Ends everything but the timers. Returns the last counts by virtual host; `None` if it has
    /// ended before.
    fn end(&self, reason: CancelReason) -> Option<BTreeMap<Name, LastCounts>> {
        let vhosts = self.vhosts.lock().take()?;
        let ended = vhosts
            .into_iter()
            .map(|(name, entry)| (name, entry.end(reason)));
        let mut ended: BTreeMap<_, _> = ended.collect();
        if let Some(journal) = &self.journal {
            let kept = ended.values_mut();
            let kept = kept.flat_map(|last| std::mem::take(&mut last.kept));
            // An error stays in the journal, for `shutdown`.
            let _ = journal.close(kept.collect());
        }
        if let Some(disk) = &self.disk {
            disk.end(reason);
        }
        wake_all(self.events.end(reason));
        wake_all(self.taps.end(reason));
        Some(ended)
    }

    fn open(
        &self,
        vhost: &Arc<VirtualHost>,
        user: (Name, Access),
        about: ConnectionAbout,
    ) -> Connection {
        let number = self.next_connection.fetch_add(1, SeqCst);
        Connection::open(vhost, number, user, about, None, self.tap.clone())
    }

    fn make(&self, name: &Name, numbers: Numbers) -> Result<VhostEntry> {
        let store = self.journal.clone().zip(self.disk.clone());
        let store = store.map(|(journal, disk)| RecoveredStore {
            journal,
            disk,
            durability: self.durability,
            numbers,
        });
        let vhost = VirtualHost::new(
            name.clone(),
            self.time.clone(),
            Arc::clone(&self.timers),
            Arc::clone(&self.drain),
            VhostSettings {
                always_encode: self.settings.always_encode,
                exchange_types: Arc::clone(&self.exchange_types),
                consumer_timeout: self.settings.consumer_timeout,
                events: Arc::clone(&self.events),
                taps: Arc::clone(&self.taps),
            },
            store,
        )?;
        let about = ConnectionAbout::of_implicit(&self.time);
        let implicit = self.open(&vhost, (Name::new(GUEST)?, Access::All), about);
        Ok(VhostEntry {
            vhost,
            implicit,
            connections: Vec::new(),
        })
    }
}

impl BrokerCore {
    /// Starts a broker with the virtual host `/`.
    pub(crate) fn start(
        time: Time,
        settings: Settings,
        exchange_types: ExchangeTypes,
    ) -> BrokerCore {
        let drain = Drain::default();
        BrokerCore::start_with(time, settings, exchange_types, drain, None)
    }

    /// As [`start`](Self::start). The tap sees every publish, and everything under way is counted.
    #[cfg(feature = "testing")]
    pub(crate) fn start_tapped(
        time: Time,
        settings: Settings,
        exchange_types: ExchangeTypes,
        tap: Arc<dyn Tap>,
    ) -> BrokerCore {
        let drain = Drain::of_watched();
        BrokerCore::start_with(time, settings, exchange_types, drain, Some(tap))
    }

    /// The same, with a tap that sees every publish of the connections that are opened from now
    /// on.
    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn tapped(mut self, tap: Arc<dyn Tap>) -> BrokerCore {
        self.tap = Some(tap);
        self
    }

    fn start_with(
        time: Time,
        settings: Settings,
        exchange_types: ExchangeTypes,
        drain: Drain,
        tap: Option<Arc<dyn Tap>>,
    ) -> BrokerCore {
        let core = BrokerCore::new(time, settings, exchange_types, drain, tap);
        // This cannot fail: "/" is a valid name, and a new broker is not shut down.
        let made = core.create_vhost("/");
        let made = made.and_then(|()| core.add_first_users(Vec::new()));
        debug_assert!(made.is_ok());
        core
    }

    /// A broker without a virtual host and without a store.
    fn new(
        time: Time,
        settings: Settings,
        exchange_types: ExchangeTypes,
        drain: Drain,
        tap: Option<Arc<dyn Tap>>,
    ) -> BrokerCore {
        BrokerCore {
            started: time.now(),
            timers: Arc::new(Timers::new(time.clone())),
            drain: Arc::new(drain),
            tap,
            events: Arc::new(EventFeeds::new(time.clone())),
            time,
            taps: Arc::default(),
            settings,
            users: Arc::default(),
            exchange_types: Arc::new(exchange_types),
            next_connection: AtomicU64::new(1),
            engine: None,
            journal: None,
            disk: None,
            durability: Durability::default(),
            global_parameters: Mutex::default(),
            vhosts: Mutex::new(Some(BTreeMap::new())),
        }
    }

    /// As [`start`](Self::start), with everything that the store has. What changes from now on is
    /// written to it.
    ///
    /// # Errors
    /// Those of the store, and of declarations that are not possible any more.
    #[cfg_attr(
        not(feature = "durable"),
        allow(dead_code, reason = "the store comes with the feature")
    )]
    pub(crate) fn recover(
        time: Time,
        settings: Settings,
        exchange_types: ExchangeTypes,
        durability: Durability,
        mut store: Box<dyn Store>,
        disk: DiskSettings,
    ) -> Result<BrokerCore> {
        let recovery = Recovery::read(&mut *store)?;
        let journal = Journal::start(store, recovery.next_number)
            .map_err(|error| Error::Thread(error.to_string().into()))?;
        for (place, body) in recovery.shared {
            journal.recovered_body(place, body);
        }
        for orphan in recovery.orphans {
            journal.append(orphan, Duration::ZERO);
        }
        let drain = Drain::default();
        let mut core = BrokerCore::new(time.clone(), settings, exchange_types, drain, None);
        let disk = DiskMonitor::new(disk, time, Arc::clone(&core.timers), &core.events);
        let failing = Arc::downgrade(&disk);
        journal.on_failure(move |error| {
            if let Some(disk) = failing.upgrade() {
                disk.fail(error);
            }
        });
        core.journal = Some(journal);
        core.disk = Some(Arc::clone(&disk));
        core.durability = durability;
        core.global_parameters = Mutex::new(recovery.global_parameters);
        for (name, recovered) in recovery.vhosts {
            let entry = core.make(&name, recovered.numbers())?;
            let vhost = Arc::clone(&entry.vhost);
            let mut entries = core.vhosts.lock();
            if let Some(entries) = &mut *entries {
                entries.insert(name, entry);
            }
            drop(entries);
            vhost.recover(recovered)?;
        }
        core.create_vhost("/")?;
        core.add_first_users(recovery.users)?;
        disk.watch();
        Ok(core)
    }

    /// How long it has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.time.now().saturating_duration_since(self.started)
    }

    pub(crate) fn time(&self) -> &Time {
        &self.time
    }

    /// Watches the disk, if the broker is durable.
    pub(crate) fn disk(&self) -> Option<&Arc<DiskMonitor>> {
        self.disk.as_ref()
    }

    /// Writes what outlives the broker, if it is durable.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Creates a virtual host. One that exists already stays unchanged.
    pub(crate) fn create_vhost(&self, name: &str) -> Result {
        self.check_embedded("virtual hosts")?;
        let name = Name::new(name)?;
        if self.vhosts()?.contains(&name) {
            return Ok(());
        }
        // This is outside the lock, since it calls the user's clock.
        let made = self.make(&name, Numbers::default())?;
        made.vhost.recover(RecoveredVhost::default())?;
        let mut vhosts = self.vhosts.lock();
        // Checked under the lock under which a shutdown collects the virtual hosts.
        let open = vhosts.as_mut().filter(|_| !self.drain.has_begun());
        let vhost = Arc::clone(&made.vhost);
        let before = vhost.changes();
        let mut told = Vec::new();
        let unwanted = match open.ok_or(Error::ShutDown)?.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                if let Some(storage) = made.vhost.storage() {
                    storage.write_vhost(Some(&About::default()));
                }
                told.extend(events::tell_vhost(&made.vhost));
                told.extend(self.permit_guest(&made.vhost)?);
                self.note_taps(&made);
                vacant.insert(made);
                None
            }
            btree_map::Entry::Occupied(_) => Some(made),
        };
        drop(vhosts);
        drop(unwanted);
        wake_all(told);
        vhost.sync_changes(before)
    }

    /// Returns the names of the virtual hosts, sorted.
    pub(crate) fn vhosts(&self) -> Result<Vec<Name>> {
        let vhosts = self.vhosts.lock();
        Ok(vhosts
            .as_ref()
            .ok_or(Error::ShutDown)?
            .keys()
            .cloned()
            .collect())
    }

    /// Deletes a virtual host with everything in it, and closes its connections.
    pub(crate) fn delete_vhost(&self, name: &str) -> Result {
        self.check_embedded("virtual hosts")?;
        let name = Name::new(name)?;
        let entry = {
            let mut vhosts = self.vhosts.lock();
            vhosts.as_mut().ok_or(Error::ShutDown)?.remove(&name)
        };
        match entry {
            Some(entry) => {
                let vhost = Arc::clone(&entry.vhost);
                let before = vhost.changes();
                let permissions = vhost.grants().list();
                let told = permissions.iter().flat_map(|(user, _)| {
                    let by = Actor::Program;
                    vhost
                        .events()
                        .send(EventKind::PermissionDeleted, by, |fields| {
                            fields.with("user", user)
                        })
                });
                wake_all(told.collect());
                entry.end(CancelReason::VhostDeleted);
                wake_all(vhost.tell_exchanges(EventKind::ExchangeDeleted));
                wake_all(vhost.tell(EventKind::VhostDeleted, |fields| fields));
                vhost.sync_changes(before)
            }
            None => Err(Error::not_found(EntityKind::VirtualHost, &name, &name)),
        }
    }

    /// Returns the implicit connection to a virtual host.
    pub(crate) fn vhost(&self, name: &str) -> Result<Connection> {
        if self.engine.is_some() {
            return self.remote_vhost(name);
        }
        self.local_vhost(name)
    }

    fn local_vhost(&self, name: &str) -> Result<Connection> {
        let vhosts = self.vhosts.lock();
        match vhosts.as_ref().ok_or(Error::ShutDown)?.get(name) {
            Some(entry) => Ok(entry.implicit.clone()),
            None => {
                let name = Name::new(name)?;
                Err(Error::not_found(EntityKind::VirtualHost, &name, &name))
            }
        }
    }

    /// Returns all virtual hosts, sorted by name.
    fn virtual_hosts(&self) -> Result<Vec<Arc<VirtualHost>>> {
        let vhosts = self.vhosts.lock();
        let vhosts = vhosts.as_ref().ok_or(Error::ShutDown)?;
        Ok(vhosts
            .values()
            .map(|entry| Arc::clone(&entry.vhost))
            .collect())
    }

    /// Returns the gates of the implicit connections, sorted by virtual host.
    pub(crate) fn gates(&self) -> Result<Vec<Arc<Gate>>> {
        self.check_embedded("snapshots")?;
        let vhosts = self.vhosts.lock();
        let vhosts = vhosts.as_ref().ok_or(Error::ShutDown)?;
        let gates = vhosts
            .values()
            .map(|entry| Arc::clone(entry.implicit.gate()));
        Ok(gates.collect())
    }
}
