//! A connection: an identity in a virtual host, and the owner of channels, typed consumers and exclusive queues.
//!
//! Knows the virtual host and never the broker.

mod closing;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

pub(crate) use self::closing::Closing;

use super::{
    channel::{self, Channel},
    subscriber::{Subscriber, SubscriberOptions, SubscriberOwner},
};
use crate::{
    engine::{
        policy::{Policy, PolicyKind},
        vhost::{ConnectionId, VirtualHost},
    },
    message::properties::Properties,
    model::{
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::WaitList,
    },
};

/// A connection to a virtual host of a [`Broker`](crate::Broker): who one is, and what belongs to one.
///
/// It has no socket; it exists for what AMQP ties to connections: exclusive queues, the user, and the end of everything
/// made through it. Cloning is cheap; clones are the same connection.
///
/// # If dropped
/// With its last clone, and the last handle of its channels, the connection closes as by [`close`](Self::close).
/// Producers and typed consumers do not keep it open.
///
/// # Examples
/// ```
/// use leveret::{Broker, Credentials, Queue};
///
/// let broker = Broker::new();
/// let ours = broker.connect("/", Credentials::guest())?;
/// let theirs = broker.connect("/", Credentials::guest())?;
/// let queue = ours.declare(&Queue::exclusive())?;
/// assert_eq!(theirs.purge(&queue).unwrap_err().reply_code(), Some(405));
/// ours.close()?;
/// assert!(theirs.purge(&queue).unwrap_err().is_not_found());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
pub struct Connection {
    handle: Arc<ConnectionHandle>,
}

/// Closes the connection when the last handle goes.
struct ConnectionHandle {
    core: Arc<ConnectionCore>,
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.core.close(CancelReason::ConnectionClosed);
    }
}

/// What channels and typed handles share of a connection.
pub(crate) struct ConnectionCore {
    id: ConnectionId,
    /// It is the virtual host's own, which everybody shares.
    implicit: bool,
    vhost: Arc<VirtualHost>,
    user: Name,
    closed: AtomicBool,
    members: Mutex<Members>,
}

/// What closes with the connection. A leaf lock.
#[derive(Default)]
struct Members {
    last_channel: u16,
    channels: HashMap<u16, Weak<channel::ChannelCore>>,
    subscribers: HashMap<u64, Weak<Subscriber>>,
    /// Those who wait for something, but no longer than the connection is open.
    closing: WaitList,
}

impl ConnectionCore {
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn vhost(&self) -> &Arc<VirtualHost> {
        &self.vhost
    }

    /// Whether it is open, so that [`check_open`](Self::check_open) has nothing to say.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.vhost.is_up() && !self.closed.load(SeqCst)
    }

    /// # Errors
    /// [`Error::ShutDown`], [`Error::ConnectionClosed`].
    pub(crate) fn check_open(&self) -> Result {
        self.vhost.check_up()?;
        match self.closed.load(SeqCst) {
            false => Ok(()),
            true => Err(Error::ConnectionClosed),
        }
    }

    /// As [`check_open`](Self::check_open), after something was declared: what is exclusive and missed the end of this connection is
    /// deleted now.
    ///
    /// # Errors
    /// [`Error::ShutDown`], [`Error::ConnectionClosed`].
    pub(crate) fn check_still_open(&self) -> Result {
        let open = self.check_open();
        if open.is_err() {
            self.vhost.delete_owned_by(self.id);
        }
        open
    }

    /// Who names a user in a message must be that user, as in RabbitMQ.
    pub(crate) fn check_user_id(&self, properties: &Properties) -> Result {
        match &properties.user_id {
            Some(claimed) if **claimed != *self.user => {
                Err(Error::user_id_mismatch(claimed, &self.user))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn forget_channel(&self, number: u16) {
        self.members.lock().channels.remove(&number);
    }

    /// Starts a consumer that ends with this connection.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ResourceLocked`], [`Error::AccessRefused`] beside an exclusive consumer,
    /// [`Error::ConnectionClosed`], [`Error::ShutDown`].
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        queue: &Name,
        ask: SubscriberOptions,
    ) -> Result<Arc<Subscriber>> {
        self.check_open()?;
        let queue = self.vhost.queue(self.id, queue)?;
        let owner: Weak<dyn SubscriberOwner> = Arc::downgrade(self) as Weak<ConnectionCore>;
        let subscription = Subscriber::start(&self.vhost, queue, owner, ask)?;
        let mut members = self.members.lock();
        // Under the lock under which `close` collects: either it finds this one, or this finds it closed.
        if let Err(error) = self.check_open() {
            drop(members);
            subscription.cancel(CancelReason::ConnectionClosed);
            return Err(error);
        }
        members
            .subscribers
            .insert(subscription.number(), Arc::downgrade(&subscription));
        drop(members);
        Ok(subscription)
    }

    /// Closes channels and consumers, then deletes the exclusive queues.
    pub(crate) fn close(&self, reason: CancelReason) {
        let members = {
            let mut members = self.members.lock();
            if self.closed.swap(true, SeqCst) {
                return;
            }
            std::mem::take(&mut *members)
        };
        let mut closing = members.closing;
        for wake in closing.take_all() {
            wake.wake();
        }
        let mut channels: Vec<_> = members.channels.into_iter().collect();
        channels.sort_by_key(|(number, _)| *number);
        for channel in channels.iter().filter_map(|(_, channel)| channel.upgrade()) {
            channel.close(reason);
        }
        let mut subscriptions: Vec<_> = members.subscribers.into_iter().collect();
        subscriptions.sort_by_key(|(number, _)| *number);
        for subscription in subscriptions
            .iter()
            .filter_map(|(_, subscription)| subscription.upgrade())
        {
            subscription.cancel(reason);
        }
        self.vhost.delete_owned_by(self.id);
    }
}

impl SubscriberOwner for ConnectionCore {
    fn forget_subscriber(&self, number: u64) {
        self.members.lock().subscribers.remove(&number);
    }
}

impl Connection {
    pub(crate) fn open(
        vhost: &Arc<VirtualHost>,
        id: ConnectionId,
        user: Name,
        implicit: bool,
    ) -> Connection {
        let core = ConnectionCore {
            id,
            implicit,
            vhost: Arc::clone(vhost),
            user,
            closed: AtomicBool::new(false),
            members: Mutex::default(),
        };
        Connection {
            handle: Arc::new(ConnectionHandle {
                core: Arc::new(core),
            }),
        }
    }

    pub(crate) fn core(&self) -> &Arc<ConnectionCore> {
        &self.handle.core
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] after [`close`](Self::close), [`Error::VhostDeleted`] or [`Error::ShutDown`] if the virtual host or the broker is
    /// gone, [`Error::ResourceError`] if all 65,535 channels are open.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// let (first, second) = (connection.open_channel()?, connection.open_channel()?);
    /// assert_eq!((first.number(), second.number()), (1, 2));
    /// connection.close()?;
    /// assert_eq!(connection.open_channel().unwrap_err(), Error::ConnectionClosed);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn open_channel(&self) -> Result<Channel> {
        let number = {
            let mut members = self.core().members.lock();
            self.core().check_open()?;
            if members.channels.len() >= usize::from(u16::MAX) {
                return Err(Error::ResourceError(
                    "all 65535 channels of the connection are open: close some".into(),
                ));
            }
            loop {
                members.last_channel = members.last_channel.checked_add(1).unwrap_or(1);
                if !members.channels.contains_key(&members.last_channel) {
                    break members.last_channel;
                }
            }
        };
        let channel = Channel::open(self.clone(), number);
        let mut members = self.core().members.lock();
        self.core().check_open()?;
        members.channels.insert(number, channel.downgrade());
        drop(members);
        Ok(channel)
    }

    /// The user of this connection.
    pub fn user(&self) -> &Name {
        &self.core().user
    }

    /// The name of the virtual host that this connection is to.
    pub fn vhost(&self) -> &Name {
        self.core().vhost.name()
    }

    /// Sets a policy of the virtual host, or replaces the one of the same name: arguments for every queue and exchange
    /// whose name matches, now and later, in effect at once.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] for a pattern that is no regular expression or a definition that makes no sense,
    /// [`Error::InvalidName`] for a name over 255 bytes, [`Error::ConnectionClosed`], [`Error::ShutDown`]. Nothing is
    /// changed then.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Policy, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.vhost("/")?.set_policy(Policy::new("short", "^events").setting("max-length", 2))?;
    /// let events = Queue::new("events.login");
    /// let producer = broker.producer::<u32>(&events)?;
    /// for number in 0..5 {
    ///     producer.publish(number)?;
    /// }
    /// assert_eq!(broker.purge(&events)?, 2);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_policy(&self, policy: Policy) -> Result {
        self.core().check_open()?;
        self.core().vhost.set_policy(policy, PolicyKind::User)
    }

    /// Clears a policy; `false` if there was none of that name.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`], [`Error::ShutDown`].
    ///
    /// # Examples
    /// ```
    /// use leveret::Policy;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// connection.set_policy(Policy::new("short", "^events").setting("max-length", 2))?;
    /// assert_eq!(connection.policies()[0].name, "short");
    /// assert!(connection.clear_policy("short")?);
    /// assert!(!connection.clear_policy("short")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn clear_policy(&self, name: &str) -> Result<bool> {
        self.core().check_open()?;
        self.core().vhost.clear_policy(name, PolicyKind::User)
    }

    /// The policies, in the order in which they are tried.
    ///
    /// [`clear_policy`](Self::clear_policy) has an example.
    pub fn policies(&self) -> Vec<Policy> {
        self.core().vhost.policies(PolicyKind::User)
    }

    /// As [`set_policy`](Self::set_policy), for an operator policy: it is merged with the user's, and where both give a
    /// number the lower one holds.
    ///
    /// # Errors
    /// As [`set_policy`](Self::set_policy).
    ///
    /// # Examples
    /// ```
    /// use leveret::Policy;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// connection.set_policy(Policy::new("mine", "").setting("max-length", 100))?;
    /// connection.set_operator_policy(Policy::new("theirs", "").setting("max-length", 1))?;
    /// assert_eq!(connection.operator_policies().len(), 1);
    /// let queue = connection.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// assert_eq!(queue.len(), 1); // the lower one holds
    /// assert!(connection.clear_operator_policy("theirs")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_operator_policy(&self, policy: Policy) -> Result {
        self.core().check_open()?;
        self.core().vhost.set_policy(policy, PolicyKind::Operator)
    }

    /// Clears an operator policy; `false` if there was none of that name.
    ///
    /// # Errors
    /// As [`clear_policy`](Self::clear_policy).
    ///
    /// [`set_operator_policy`](Self::set_operator_policy) has an example.
    pub fn clear_operator_policy(&self, name: &str) -> Result<bool> {
        self.core().check_open()?;
        self.core().vhost.clear_policy(name, PolicyKind::Operator)
    }

    /// The operator policies, in the order in which they are tried.
    ///
    /// [`set_operator_policy`](Self::set_operator_policy) has an example.
    pub fn operator_policies(&self) -> Vec<Policy> {
        self.core().vhost.policies(PolicyKind::Operator)
    }

    /// Closes the connection: its channels close, its typed consumers are cancelled, its exclusive queues are deleted
    /// (without dead-lettering). Deliveries in somebody's hands can still be settled.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`], [`Error::ShutDown`] if it is closed already; [`Error::NotAllowed`] for the implicit
    /// connection of a virtual host, which everybody shares and which ends with its broker.
    ///
    /// # Examples
    /// ```
    /// use leveret::Error;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let connection = broker.connect("/", Credentials::guest())?;
    /// let channel = connection.open_channel()?;
    /// connection.close()?;
    /// assert_eq!(channel.close(), Err(Error::ConnectionClosed));
    /// assert_eq!(connection.close(), Err(Error::ConnectionClosed));
    /// let everybodys = broker.vhost("/")?;
    /// assert_eq!(everybodys.close().unwrap_err().reply_code(), Some(530));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn close(&self) -> Result {
        self.core().check_open()?;
        if self.core().implicit {
            return Err(Error::NotAllowed(
                "the implicit connection ends with its broker: connect to have one to close".into(),
            ));
        }
        self.core().close(CancelReason::ConnectionClosed);
        Ok(())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("vhost", self.vhost())
            .field("user", self.user())
            .finish_non_exhaustive()
    }
}
