//! The broker, with its virtual hosts, users and connections.
//!
//! Only a [`Broker`] keeps the broker alive. No other handle does.

mod builder;
mod shutdown;

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    sync::{Arc, Weak},
};

pub use self::{
    builder::{BrokerBuilder, Credentials},
    shutdown::{RemainingExchange, RemainingQueue, ShutdownReport},
};

use crate::{
    engine::vhost::VirtualHost,
    model::{
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
    session::{
        connection::{self, Connection},
        gate::Gate,
    },
};

/// A message broker inside this program. It has virtual hosts with exchanges, bindings and queues,
/// all in memory.
///
/// Cloning is cheap, and all clones are handles to the same broker. The methods of `Broker` use an
/// implicit connection to the virtual host `/`, as the user `guest`.
///
/// # If dropped
/// The broker shuts down when its last clone is dropped. This wakes all waiting calls and empties
/// the queues. From then on every other handle returns [`Error::ShutDown`].
///
/// # Examples
/// ```
/// use leveret::Broker;
///
/// let broker = Broker::new();
/// let producer = broker.producer::<String>("hello")?;
/// let consumer = broker.consumer::<String>("hello")?;
/// producer.publish("Hello World!".to_owned())?;
/// let delivery = consumer.recv()?;
/// assert_eq!(*delivery, "Hello World!");
/// delivery.ack()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
pub struct Broker {
    handle: Arc<BrokerHandle>,
}

/// The shared state of a broker. Its drop shuts the broker down.
struct BrokerHandle {
    time: Time,
    timers: Arc<Timers>,
    users: BTreeMap<String, String>,
    always_encode: bool,
    next_connection: AtomicU64,
    /// `None` after the shutdown.
    vhosts: Mutex<Option<BTreeMap<Name, VhostEntry>>>,
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

    fn end(self, reason: CancelReason) {
        // The virtual host ends first, so that a woken call does not find it alive. The connections
        // and everything that belongs to them end afterwards.
        self.vhost.clear(reason);
        self.implicit.core().close(reason);
        for connection in self.connections.iter().filter_map(Weak::upgrade) {
            connection.close(reason);
        }
    }
}

impl Drop for BrokerHandle {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl BrokerHandle {
    fn shut_down(&self) {
        let vhosts = self.vhosts.lock().take();
        for entry in vhosts.into_iter().flat_map(BTreeMap::into_values) {
            entry.end(CancelReason::ShutDown);
        }
        self.timers.stop();
    }

    fn connect(&self, vhost: &Arc<VirtualHost>, user: Name, implicit: bool) -> Connection {
        Connection::open(
            vhost,
            self.next_connection.fetch_add(1, SeqCst),
            user,
            implicit,
            None,
        )
    }

    fn make(&self, name: &Name) -> Result<VhostEntry> {
        let vhost = VirtualHost::new(
            name.clone(),
            self.time.clone(),
            Arc::clone(&self.timers),
            self.always_encode,
        )?;
        let implicit = self.connect(&vhost, Name::new("guest")?, true);
        Ok(VhostEntry {
            vhost,
            implicit,
            connections: Vec::new(),
        })
    }
}

impl Default for Broker {
    fn default() -> Broker {
        Broker::new()
    }
}

impl Broker {
    /// Creates a broker with the virtual host `/`, the user `guest` (password `guest`) and the
    /// clock of the system.
    pub fn new() -> Broker {
        Broker::builder().build()
    }

    /// Returns a builder for a broker with other settings.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    fn start(time: Time, users: BTreeMap<String, String>, always_encode: bool) -> Broker {
        let handle = BrokerHandle {
            timers: Arc::new(Timers::new(time.clone())),
            time,
            users,
            always_encode,
            next_connection: AtomicU64::new(1),
            vhosts: Mutex::new(Some(BTreeMap::new())),
        };
        let broker = Broker {
            handle: Arc::new(handle),
        };
        // This cannot fail: "/" is a valid name, and a new broker is not shut down.
        let made = broker.create_vhost("/");
        debug_assert!(made.is_ok());
        broker
    }

    /// Creates a virtual host, which is separate from all others and has the predeclared exchanges.
    ///
    /// A virtual host that exists already stays unchanged.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl add_vhost`.
    ///
    /// # Errors
    /// - [`Error::InvalidName`] if the name is over 255 bytes.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.create_vhost("tests")?;
    /// broker.vhost("tests")?.declare(&Queue::new("q"))?;
    /// assert!(broker.purge(&Queue::new("q")).unwrap_err().is_not_found()); // in `/`
    /// assert_eq!(broker.vhosts()?, ["/", "tests"]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn create_vhost(&self, name: &str) -> Result {
        let name = Name::new(name)?;
        if self.vhosts()?.contains(&name) {
            return Ok(());
        }
        // This is outside the lock, since it calls the user's clock.
        let made = self.handle.make(&name)?;
        let mut vhosts = self.handle.vhosts.lock();
        let unwanted = match vhosts.as_mut().ok_or(Error::ShutDown)?.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(made);
                None
            }
            btree_map::Entry::Occupied(_) => Some(made),
        };
        drop(vhosts);
        drop(unwanted);
        Ok(())
    }

    /// Returns the names of the virtual hosts, sorted.
    ///
    /// [`create_vhost`](Self::create_vhost) has an example.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_vhosts`.
    ///
    /// # Errors
    /// [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    pub fn vhosts(&self) -> Result<Vec<Name>> {
        let vhosts = self.handle.vhosts.lock();
        Ok(vhosts
            .as_ref()
            .ok_or(Error::ShutDown)?
            .keys()
            .cloned()
            .collect())
    }

    /// Deletes a virtual host with everything in it.
    ///
    /// This closes its connections and cancels its consumers. From then on all handles of the
    /// virtual host return [`Error::VhostDeleted`].
    ///
    /// # RabbitMQ
    /// `rabbitmqctl delete_vhost`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::InvalidName`] if the name is over 255 bytes.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{CancelReason, RecvError};
    /// # let broker = leveret::Broker::new();
    /// broker.create_vhost("tests")?;
    /// let consumer = broker.vhost("tests")?.consumer::<u32>("q")?;
    /// broker.delete_vhost("tests")?;
    /// assert!(matches!(consumer.recv(), Err(RecvError::Cancelled(CancelReason::VhostDeleted))));
    /// assert!(broker.delete_vhost("tests").unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delete_vhost(&self, name: &str) -> Result {
        let name = Name::new(name)?;
        let entry = {
            let mut vhosts = self.handle.vhosts.lock();
            vhosts.as_mut().ok_or(Error::ShutDown)?.remove(&name)
        };
        match entry {
            Some(entry) => {
                entry.end(CancelReason::VhostDeleted);
                Ok(())
            }
            None => Err(Error::not_found(EntityKind::VirtualHost, &name, &name)),
        }
    }

    /// Returns the implicit connection to a virtual host, as the user `guest`.
    ///
    /// The methods of `Broker` use the implicit connection to `/`. The connection does not close
    /// when the returned handle is dropped.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::InvalidName`] if the name is over 255 bytes.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// # let broker = Broker::new();
    /// let root = broker.vhost("/")?;
    /// assert_eq!((&**root.vhost(), &**root.user()), ("/", "guest"));
    /// assert!(broker.vhost("nowhere").unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn vhost(&self, name: &str) -> Result<Connection> {
        let vhosts = self.handle.vhosts.lock();
        match vhosts.as_ref().ok_or(Error::ShutDown)?.get(name) {
            Some(entry) => Ok(entry.implicit.clone()),
            None => {
                let name = Name::new(name)?;
                Err(Error::not_found(EntityKind::VirtualHost, &name, &name))
            }
        }
    }

    /// Opens a connection to a virtual host as a user of this broker.
    ///
    /// # RabbitMQ
    /// `connection.open`. There is no network here.
    ///
    /// # Errors
    /// - [`Error::AccessRefused`] if the user is unknown or the password is wrong.
    /// - [`Error::NotAllowed`] if the virtual host does not exist (530, as in RabbitMQ).
    /// - [`Error::InvalidName`] if the user name or the name of the virtual host is over 255 bytes.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Credentials};
    ///
    /// let broker = Broker::builder().user("ada", "secret").build();
    /// let connection = broker.connect("/", Credentials::new("ada", "secret"))?;
    /// assert_eq!(connection.user(), "ada");
    /// let error = broker.connect("/", Credentials::new("ada", "wrong")).unwrap_err();
    /// assert_eq!(error.reply_code(), Some(403));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn connect(&self, vhost: &str, credentials: Credentials) -> Result<Connection> {
        let user = Name::new(&credentials.user)?;
        if self.handle.users.get(&credentials.user) != Some(&credentials.password) {
            return Err(Error::bad_credentials(&user));
        }
        let mut vhosts = self.handle.vhosts.lock();
        match vhosts.as_mut().ok_or(Error::ShutDown)?.get_mut(vhost) {
            Some(entry) => {
                let connection = self.handle.connect(&entry.vhost, user, false);
                // `delete_vhost` and `shut_down` take the entry under the same lock. Therefore they
                // find this connection, or this method does not find the entry.
                entry.adopt(&connection);
                Ok(connection)
            }
            None => Err(Error::vhost_not_found(&Name::new(vhost)?)),
        }
    }

    /// Returns all virtual hosts, sorted by name.
    pub(crate) fn virtual_hosts(&self) -> Result<Vec<Arc<VirtualHost>>> {
        let vhosts = self.handle.vhosts.lock();
        let vhosts = vhosts.as_ref().ok_or(Error::ShutDown)?;
        Ok(vhosts
            .values()
            .map(|entry| Arc::clone(&entry.vhost))
            .collect())
    }

    /// Returns the gates of the implicit connections, sorted by virtual host.
    pub(crate) fn gates(&self) -> Result<Vec<Arc<Gate>>> {
        let vhosts = self.handle.vhosts.lock();
        let vhosts = vhosts.as_ref().ok_or(Error::ShutDown)?;
        let gates = vhosts
            .values()
            .map(|entry| Arc::clone(entry.implicit.gate()));
        Ok(gates.collect())
    }

    /// Returns the implicit connection to `/`.
    pub(crate) fn implicit(&self) -> Result<Connection> {
        self.vhost("/")
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("vhosts", &self.vhosts().unwrap_or_default())
            .finish_non_exhaustive()
    }
}
