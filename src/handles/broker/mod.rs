//! The broker, with its virtual hosts, users and connections.
//!
//! Only a [`Broker`] keeps the broker alive. No other handle does.

mod builder;
mod disk_alarms;
#[cfg(feature = "durable")]
mod durable;
mod events;
mod open;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod tap;
mod users;
mod vhosts;

use std::{fmt, sync::Arc, time::Duration};

pub use self::builder::BrokerBuilder;
#[cfg(feature = "durable")]
pub use self::durable::DurableBrokerBuilder;
#[cfg(feature = "rabbitmq")]
pub use self::rabbitmq::RabbitMqBuilder;
pub use crate::model::access::Credentials;

use crate::{
    model::{error::Result, name::Name},
    session::{
        broker_core::{AuthenticatedUser, BrokerCore, ShutdownReport},
        connection::{Connection, ConnectionOptions},
    },
};

#[cfg(doc)]
use crate::model::error::Error;

/// A message broker inside this program. It has virtual hosts with exchanges, bindings and queues,
/// all in memory.
///
/// Cloning is cheap, and all clones are handles to the same broker. The methods of `Broker` use an
/// implicit connection to the virtual host `/`, as the user `guest`. An implicit connection may do
/// everything, whatever the [permissions](crate::guide::access) of users are.
///
/// # If dropped
/// The broker ends when its last clone is dropped. This wakes all waiting calls and empties the
/// queues, and drops the payloads in them. From then on every other handle returns
/// [`Error::BrokerDropped`].
///
/// The drop does not wait for payloads and wakers that fell due at a timer before. They have
/// threads of their own, which end when they are done. If the program has given the broker a
/// [`Clock`](crate::Clock), the timer thread may also end later.
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
#[must_use = "a broker shuts down when its last clone is dropped"]
pub struct Broker {
    core: Arc<BrokerCore>,
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

    pub(crate) fn start(core: BrokerCore) -> Broker {
        Broker {
            core: Arc::new(core),
        }
    }

    /// Creates a virtual host, which is separate from all others and has the predeclared exchanges.
    ///
    /// A virtual host that exists already stays unchanged. The user `guest` has all permissions in
    /// a new one, if that user exists.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl add_vhost`, but for the permissions: the management plugin gives them to the
    /// user who makes a virtual host.
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
        self.core.create_vhost(name)
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
        self.core.vhosts()
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
        self.core.delete_vhost(name)
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
        self.core.vhost(name)
    }

    /// Opens a connection to a virtual host as a user of this broker.
    ///
    /// # RabbitMQ
    /// `connection.open`. There is no network here.
    ///
    /// # Errors
    /// - [`Error::LoginRefused`] if the user is unknown or the password is wrong.
    /// - [`Error::NotAllowed`] (530, as in RabbitMQ) if the virtual host does not exist, if the
    ///   user has no permissions in it, or if it or the user has as many connections as allowed.
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
        if let Some(connected) = self.core.connect_remotely(vhost, &credentials) {
            return connected;
        }
        let user = self.authenticate(credentials)?;
        self.connect_as(&user, vhost, ConnectionOptions::new())
    }

    /// Checks the credentials of a user, who may then [connect](Self::connect_as). AMQP names the
    /// user before the virtual host.
    ///
    /// # RabbitMQ
    /// `connection.start-ok` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::LoginRefused`] if the user is unknown or the password is wrong. It names the
    ///   [mechanism](Credentials::mechanism).
    /// - [`Error::InvalidName`] if the user name is over 255 bytes.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ConnectionOptions, Credentials};
    ///
    /// let broker = Broker::builder().user("ada", "secret").build();
    /// let ada = broker.authenticate(Credentials::new("ada", "secret"))?;
    /// let connection = broker.connect_as(&ada, "/", ConnectionOptions::new())?;
    /// assert_eq!(connection.user(), "ada");
    /// let error = broker.connect_as(&ada, "nowhere", ConnectionOptions::new()).unwrap_err();
    /// assert_eq!(error.to_string(), "NOT_ALLOWED - vhost nowhere not found");
    /// let wrong = Credentials::new("ada", "wrong").mechanism("AMQPLAIN");
    /// assert_eq!(
    ///     broker.authenticate(wrong).unwrap_err().to_string(),
    ///     "ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. \
    ///      For details see the broker logfile.",
    /// );
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn authenticate(&self, credentials: Credentials) -> Result<AuthenticatedUser> {
        self.core.authenticate(&credentials)
    }

    /// Opens a connection to a virtual host as a user who has [logged in](Self::authenticate).
    ///
    /// # RabbitMQ
    /// `connection.open` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::LoginRefused`] if the user was deleted since the login, or is one of another
    ///   broker.
    /// - The errors of [`connect`](Self::connect) for the virtual host.
    ///
    /// [`authenticate`](Self::authenticate) and [`ConnectionOptions`] have examples.
    pub fn connect_as(
        &self,
        user: &AuthenticatedUser,
        vhost: &str,
        options: ConnectionOptions,
    ) -> Result<Connection> {
        self.core.connect(user, vhost, options)
    }

    /// Shuts the broker down gracefully. Returns what it did, and the messages that were left.
    ///
    /// 1. The broker refuses every publish from outside, from the first moment.
    /// 2. Consumers continue until no queue with a consumer has messages, for at most the time
    ///    `deadline`. Delayed messages count if they are due before the deadline. A queue without a
    ///    consumer counts only while one of its deliveries is unsettled.
    /// 3. The broker ends, as if its last handle were dropped.
    /// 4. The call waits until the payloads that fell due at a timer are dropped, and the tasks
    ///    woken, but not beyond the deadline. A thread does not wait for itself.
    ///
    /// # Who publishes
    /// A handler may publish what its message leads to, so that pipelines and replies are
    /// completed. A publish comes from inside in these cases:
    /// - Its thread holds an unsettled delivery of this broker that it has received itself.
    /// - Its producer was made by [`Delivery::producer`](crate::Delivery::producer), and that
    ///   delivery is unsettled. Tasks need this.
    /// - It is on a [`Channel`](crate::Channel) that has unsettled deliveries.
    ///
    /// Threads that share a consumer count as holders together, as long as one of them holds a
    /// delivery of it. A thread that gets its deliveries from another one, through
    /// [`into_crossbeam`](crate::Consumer::into_crossbeam) for example, holds none.
    ///
    /// A message that returns to its queue again and again is delivered ever more slowly: at once,
    /// then after 1 ms, 2 ms, and so on up to a second. By a [`ManualClock`](crate::ManualClock) it
    /// is always delivered at once.
    ///
    /// # Errors
    /// [`Error::ShutDown`] if the broker is shut down already.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use std::time::Duration;
    /// # let broker = leveret::Broker::new();
    /// let producer = broker.producer::<u32>("q")?;
    /// let report = broker.shutdown(Duration::from_secs(10))?; // nothing to wait for
    /// assert!(!report.timed_out && report.queues.is_empty());
    /// assert_eq!(producer.publish(7).unwrap_err().error(), &Error::ShutDown);
    /// assert_eq!(broker.shutdown(Duration::ZERO), Err(Error::ShutDown));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn shutdown(&self, deadline: Duration) -> Result<ShutdownReport> {
        self.core.shutdown(deadline)
    }

    /// The same as [`shutdown`](Self::shutdown), as a future for any runtime.
    ///
    /// # If dropped
    /// The broker goes on, and refuses publishes from outside. Another shutdown ends it.
    ///
    /// # Errors
    /// [`Error::ShutDown`] if the broker is shut down already.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}, time::Duration};
    /// # let broker = leveret::Broker::new();
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match pin!(broker.shutdown_async(Duration::from_secs(10))).poll(&mut context) {
    ///     Poll::Ready(report) => assert!(!report?.timed_out),
    ///     Poll::Pending => unreachable!("there is nothing to wait for"),
    /// };
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn shutdown_async(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = Result<ShutdownReport>> + Send + use<> {
        let core = Arc::clone(&self.core);
        async move { core.shutdown_async(deadline).await }
    }

    /// The broker of this state.
    pub(crate) fn of_core(core: Arc<BrokerCore>) -> Broker {
        Broker { core }
    }

    pub(crate) fn core(&self) -> &Arc<BrokerCore> {
        &self.core
    }

    /// Returns the implicit connection to `/`.
    pub(crate) fn implicit(&self) -> Result<Connection> {
        self.vhost(self.core.default_vhost())
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("vhosts", &self.vhosts().unwrap_or_default())
            .finish_non_exhaustive()
    }
}
