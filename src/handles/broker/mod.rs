//! The broker: virtual hosts, users, and the end of everything.
//!
//! Every other handle observes: the broker lives while a [`Broker`] lives.

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

/// A message broker: virtual hosts with exchanges, bindings and queues, in memory, inside this program.
///
/// Cloning is cheap; clones are the same broker. On a `Broker` itself one works in the virtual host `/` as the user
/// `guest`, by an implicit connection.
///
/// # If dropped
/// With its last clone the broker shuts down: whoever waits is woken, queues are emptied, and every other handle says
/// [`Error::ShutDown`] from then on.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue};
///
/// let broker = Broker::new();
/// let hello = Queue::new("hello");
/// let producer = broker.producer::<String>(&hello)?;
/// let consumer = broker.consumer::<String>(&hello)?;
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

/// Shuts the broker down when the last handle goes.
struct BrokerHandle {
    time: Time,
    timers: Arc<Timers>,
    users: BTreeMap<String, String>,
    always_encode: bool,
    next_connection: AtomicU64,
    /// `None` once shut down.
    vhosts: Mutex<Option<BTreeMap<Name, VhostEntry>>>,
}

/// A virtual host and the connections to it.
struct VhostEntry {
    vhost: Arc<VirtualHost>,
    implicit: Connection,
    /// All others, those that are gone among them until the list is full.
    connections: Vec<Weak<connection::ConnectionCore>>,
}

impl VhostEntry {
    fn adopt(&mut self, connection: &Connection) {
        if self.connections.len() == self.connections.capacity() {
            self.connections.retain(|known| known.strong_count() > 0);
            // Room for as many as there are: the next look is that far away.
            self.connections.reserve(self.connections.len().max(8));
        }
        self.connections.push(Arc::downgrade(connection.core()));
    }

    fn end(self, reason: CancelReason) {
        // First the virtual host, so that nothing that is woken finds it alive; then what hangs on the connections.
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
    /// A broker with the virtual host `/`, the user `guest` (password `guest`), and the system's clock.
    pub fn new() -> Broker {
        Broker::builder().build()
    }

    /// Starts to build a broker with other settings.
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
        // "/" is a valid name, and the broker was not shut down a moment after its birth.
        let made = broker.create_vhost("/");
        debug_assert!(made.is_ok());
        broker
    }

    /// Creates a virtual host, apart from all others, with nothing in it but the predeclared exchanges. One that is
    /// there already stays as it is.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for a name over 255 bytes, [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.create_vhost("tests")?;
    /// broker.vhost("tests")?.declare(&Queue::new("q"))?;
    /// assert!(broker.purge(&Queue::new("q")).unwrap_err().is_not_found());
    /// assert_eq!(broker.vhosts()?, ["/", "tests"]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn create_vhost(&self, name: &str) -> Result {
        let name = Name::new(name)?;
        if self.vhosts()?.contains(&name) {
            return Ok(());
        }
        // Before the lock: it reads the clock.
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

    /// The names of the virtual hosts, sorted.
    ///
    /// # Errors
    /// [`Error::ShutDown`] after [`shutdown`](Self::shutdown). [`create_vhost`](Self::create_vhost) has an example.
    pub fn vhosts(&self) -> Result<Vec<Name>> {
        let vhosts = self.handle.vhosts.lock();
        Ok(vhosts
            .as_ref()
            .ok_or(Error::ShutDown)?
            .keys()
            .cloned()
            .collect())
    }

    /// Deletes a virtual host with everything in it; its connections close, its consumers are cancelled. Whoever used it is told
    /// [`Error::VhostDeleted`] from then on.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none of that name, [`Error::InvalidName`] for a name over 255 bytes,
    /// [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, CancelReason, Queue, RecvError};
    /// # let broker = Broker::new();
    /// broker.create_vhost("tests")?;
    /// let consumer = broker.vhost("tests")?.consumer::<u32>(&Queue::new("q"))?;
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

    /// The implicit connection to a virtual host, as the user `guest`; what `Broker`'s own methods use for `/`.
    ///
    /// It does not close when the returned handle is dropped.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none of that name, [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
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

    /// Connects to a virtual host as a user of this broker.
    ///
    /// # Errors
    /// [`Error::AccessRefused`] for an unknown user or a wrong password, [`Error::NotAllowed`] for an unknown virtual
    /// host (530, as in RabbitMQ), [`Error::InvalidName`] for a name over 255 bytes, [`Error::ShutDown`].
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
                // Under the lock under which the virtual host is taken to its end: it finds this one, or this finds none.
                entry.adopt(&connection);
                Ok(connection)
            }
            None => Err(Error::vhost_not_found(&Name::new(vhost)?)),
        }
    }

    /// All virtual hosts, sorted by name.
    pub(crate) fn virtual_hosts(&self) -> Result<Vec<Arc<VirtualHost>>> {
        let vhosts = self.handle.vhosts.lock();
        let vhosts = vhosts.as_ref().ok_or(Error::ShutDown)?;
        Ok(vhosts
            .values()
            .map(|entry| Arc::clone(&entry.vhost))
            .collect())
    }

    /// The gates of the implicit connections, sorted by virtual host.
    pub(crate) fn gates(&self) -> Result<Vec<Arc<Gate>>> {
        let vhosts = self.handle.vhosts.lock();
        let vhosts = vhosts.as_ref().ok_or(Error::ShutDown)?;
        let gates = vhosts
            .values()
            .map(|entry| Arc::clone(entry.implicit.gate()));
        Ok(gates.collect())
    }

    /// The implicit connection to `/`.
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
