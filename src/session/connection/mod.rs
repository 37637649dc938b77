//! A connection: a user in a virtual host, and the owner of channels, typed consumers and exclusive
//! queues.
//!
//! This module knows neither the broker nor channels. A channel is a member that closes with the
//! connection.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    backend::Backend,
    gate::Gate,
    publisher::{Caller, Tap},
    subscriber::{Subscriber, SubscriberOptions, SubscriberOwner},
};
use crate::{
    engine::{
        access::Access,
        policy::{Policy, PolicyKind},
        vhost::{ConnectionId, VirtualHost},
    },
    model::{
        descriptions::Queue,
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        clock::{Time, TimerTarget},
        sync::Mutex,
        time_out::{Alarm, Until},
        timers::Timers,
        waiter::Waitable,
    },
};

/// A connection of a user to a virtual host of a [`Broker`](crate::Broker).
///
/// It has no socket. Exclusive queues belong to a connection, and everything made through a
/// connection ends with it, as in AMQP. A clone is another handle to the same connection, and cheap
/// to make.
///
/// # Permissions
/// A connection that [`Broker::connect`](crate::Broker::connect) has opened is one of a user. Each
/// of its methods, and of everything made through it, fails with
/// [`Error::PermissionDenied`] if the user lacks a permission. [The page on
/// access](crate::guide::access) tells which operation asks for which. An implicit connection may
/// do everything.
///
/// # If dropped
/// The connection closes as by [`close`](Self::close), when its last clone and the last handle of
/// its channels are dropped. Producers and typed consumers do not keep it open.
///
/// # RabbitMQ
/// A connection of AMQP 0-9-1, without a network. In RabbitMQ an error may close the connection;
/// here an error closes nothing.
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
#[must_use = "a connection closes when its last clone is dropped"]
pub struct Connection {
    handle: Arc<ConnectionHandle>,
}

/// Closes the connection when the last handle is dropped.
struct ConnectionHandle {
    core: Arc<ConnectionCore>,
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.core.close(CancelReason::ConnectionClosed);
    }
}

/// The part of a connection that channels and typed handles share.
pub(crate) struct ConnectionCore {
    gate: Arc<Gate>,
    /// Whether it is the virtual host's own connection, which all handles of the broker share.
    implicit: bool,
    members: Mutex<Members>,
}

/// The parts that close with the connection. It is a leaf lock.
#[derive(Default)]
struct Members {
    last_channel: u16,
    channels: BTreeMap<u16, Weak<dyn Member>>,
    subscribers: BTreeMap<u64, Weak<Subscriber>>,
}

/// A part of a connection that closes with it: a channel.
pub(crate) trait Member: Send + Sync {
    /// Closes the part, since the connection closes.
    fn close(&self, reason: CancelReason);
}

impl ConnectionCore {
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Finds a free channel number, and does not reserve it.
    pub(super) fn next_channel(&self) -> Result<u16> {
        self.gate.check_embedded("channels")?;
        let mut members = self.members.lock();
        self.gate.check_open()?;
        if members.channels.len() >= usize::from(u16::MAX) {
            return Err(Error::ResourceError(
                "all 65535 channels of the connection are open: close some".into(),
            ));
        }
        loop {
            members.last_channel = members.last_channel.checked_add(1).unwrap_or(1);
            if !members.channels.contains_key(&members.last_channel) {
                return Ok(members.last_channel);
            }
        }
    }

    /// Makes a channel close with the connection.
    ///
    /// # Errors
    /// The errors of a closed connection; [`Error::NotAllowed`] if the user has as many channels as
    /// are allowed.
    pub(super) fn add_channel(&self, number: u16, channel: Weak<dyn Member>) -> Result {
        let mut members = self.members.lock();
        self.gate.check_open()?;
        self.gate.access().open_channel()?;
        members.channels.insert(number, channel);
        Ok(())
    }

    pub(super) fn forget_channel(&self, number: u16) {
        let forgotten = self.members.lock().channels.remove(&number);
        if forgotten.is_some() {
            self.gate.access().close_channels(1);
        }
    }

    /// Declares the queues and starts a consumer of each of them: all or nothing. The consumers end
    /// with this connection.
    ///
    /// # Errors
    /// - Those of the declarations.
    /// - [`Error::ResourceLocked`] if a queue is exclusive to another connection.
    /// - [`Error::AccessRefused`] if an exclusive consumer keeps this one out.
    /// - [`Error::ConnectionClosed`] or [`Error::ShutDown`].
    pub(crate) fn start_consumers(
        self: &Arc<Self>,
        queues: &[Queue],
        options: &SubscriberOptions,
    ) -> Result<Vec<Arc<Subscriber>>> {
        let owner: Weak<dyn SubscriberOwner> = Arc::downgrade(self) as Weak<ConnectionCore>;
        let started = self.gate.start_consumers(queues, &owner, options)?;
        let mut members = self.members.lock();
        // `close` collects under this lock. Either it finds these subscribers, or the connection is
        // found closed here.
        if let Err(error) = self.gate.check_open() {
            drop(members);
            for subscriber in started {
                subscriber.cancel(CancelReason::ConnectionClosed);
            }
            return Err(error);
        }
        for subscriber in &started {
            let weak = Arc::downgrade(subscriber);
            members.subscribers.insert(subscriber.number(), weak);
        }
        drop(members);
        Ok(started)
    }

    /// Closes channels and consumers, then deletes the exclusive queues.
    pub(crate) fn close(&self, reason: CancelReason) {
        let (wakes, members) = {
            let mut members = self.members.lock();
            let Some(wakes) = self.gate.close(reason) else {
                return;
            };
            (wakes, std::mem::take(&mut *members))
        };
        let access = self.gate.access();
        access.close();
        access.close_channels(members.channels.len());
        for wake in wakes {
            wake.wake();
        }
        for channel in members.channels.values().filter_map(Weak::upgrade) {
            channel.close(reason);
        }
        for subscriber in members.subscribers.values().filter_map(Weak::upgrade) {
            subscriber.cancel(reason);
        }
        self.gate.delete_exclusive_queues();
        self.gate.close_backend();
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
        (user, access): (Name, Access),
        implicit: bool,
        backend: Option<Arc<dyn Backend>>,
        tap: Option<Arc<dyn Tap>>,
    ) -> Connection {
        let core = ConnectionCore {
            gate: Arc::new(Gate::new(vhost, id, (user, access), backend, tap)),
            implicit,
            members: Mutex::default(),
        };
        Connection {
            handle: Arc::new(ConnectionHandle {
                core: Arc::new(core),
            }),
        }
    }

    /// The time of the broker.
    pub(crate) fn time(&self) -> &Time {
        self.gate().vhost().time()
    }

    /// The timers of the broker.
    pub(crate) fn timers(&self) -> &Timers {
        self.gate().vhost().timers()
    }

    /// A future that is ready after `time`. `None` if no instant can represent the end.
    pub(crate) fn after(&self, time: Duration) -> Option<Until<'_>> {
        let end = self.time().deadline(time)?.at();
        Some(Until::new(self.timers(), end))
    }

    /// A future that is ready at an instant of the broker's clock.
    pub(crate) fn until(&self, at: Instant) -> Until<'_> {
        Until::new(self.gate().vhost().timers(), at)
    }

    /// Has `target` called after `time`. `None` if no instant can represent the end.
    pub(crate) fn alarm(&self, time: Duration, target: Weak<dyn TimerTarget>) -> Option<Alarm<'_>> {
        let end = self.time().deadline(time)?.at();
        Some(Alarm::new(self.timers(), end, target))
    }

    pub(crate) fn core(&self) -> &Arc<ConnectionCore> {
        &self.handle.core
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.handle.core.gate
    }

    /// # Errors
    /// Those of a closed connection.
    pub(crate) fn check_open(&self) -> Result {
        self.gate().check_open()
    }

    /// Ready once the connection is closed, also by the end of the broker.
    pub(crate) fn closing(&self) -> impl Waitable<Output = ()> + Send + Sync + use<> {
        self.gate().closing()
    }

    /// The user of this connection.
    ///
    /// # RabbitMQ
    /// The user of the login in `connection.start-ok` (AMQP 0-9-1).
    pub fn user(&self) -> &Name {
        self.gate().user()
    }

    /// The name of the virtual host of this connection.
    ///
    /// # RabbitMQ
    /// The `virtual-host` of `connection.open` (AMQP 0-9-1).
    pub fn vhost(&self) -> &Name {
        self.gate().vhost_name()
    }

    /// Sets a policy of the virtual host, or replaces the policy of the same name.
    ///
    /// A policy gives arguments to every queue and exchange whose name matches, now and later. It
    /// takes effect at once.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_policy`.
    ///
    /// # Errors
    /// Nothing is changed in case of an error.
    ///
    /// - [`Error::PreconditionFailed`] for a pattern that is no regular expression, or for an
    ///   invalid definition.
    /// - [`Error::InvalidName`] for a name over 255 bytes.
    /// - [`Error::PermissionDenied`] for a user without the tag `policymaker` or `administrator`.
    /// - [`Error::ConnectionClosed`] or [`Error::ShutDown`].
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
        self.gate().set_policy(policy, PolicyKind::User)
    }

    /// Removes a policy; `false` if no policy has the name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_policy`.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] as for [`set_policy`](Self::set_policy),
    /// [`Error::ConnectionClosed`] or [`Error::ShutDown`].
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
        self.gate().clear_policy(name, PolicyKind::User)
    }

    /// The policies, in the order in which they are matched. A user without a tag of management
    /// sees none.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_policies`.
    ///
    /// [`clear_policy`](Self::clear_policy) has an example.
    pub fn policies(&self) -> Vec<Policy> {
        let policies = self.gate().policies(PolicyKind::User);
        policies.into_iter().map(|(policy, _)| policy).collect()
    }

    /// Sets an operator policy, as [`set_policy`](Self::set_policy) sets a policy of a user.
    ///
    /// Operator policies and policies of users are merged. If both give a number for the same
    /// setting, the lower number takes effect.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_operator_policy`.
    ///
    /// # Errors
    /// The errors of [`set_policy`](Self::set_policy), but only the tag `administrator` permits it.
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
    /// assert_eq!(queue.len(), 1); // the lower number takes effect
    /// assert!(connection.clear_operator_policy("theirs")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_operator_policy(&self, policy: Policy) -> Result {
        self.gate().set_policy(policy, PolicyKind::Operator)
    }

    /// Removes an operator policy; `false` if no operator policy has the name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_operator_policy`.
    ///
    /// # Errors
    /// The errors of [`clear_policy`](Self::clear_policy).
    ///
    /// [`set_operator_policy`](Self::set_operator_policy) has an example.
    pub fn clear_operator_policy(&self, name: &str) -> Result<bool> {
        self.gate().clear_policy(name, PolicyKind::Operator)
    }

    /// The operator policies, in the order in which they are matched. A user without a tag of
    /// management sees none.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_operator_policies`.
    ///
    /// [`set_operator_policy`](Self::set_operator_policy) has an example.
    pub fn operator_policies(&self) -> Vec<Policy> {
        let policies = self.gate().policies(PolicyKind::Operator);
        policies.into_iter().map(|(policy, _)| policy).collect()
    }

    /// Closes the connection. Its channels close, and its typed consumers are cancelled. Its
    /// exclusive queues are deleted, without dead-lettering. Typed deliveries can still be settled.
    ///
    /// # RabbitMQ
    /// `connection.close` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::ConnectionClosed`] or [`Error::ShutDown`] if it is closed already.
    /// - [`Error::NotAllowed`] for the implicit connection of a virtual host. All handles share
    ///   that connection, and it ends with its broker.
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
        self.gate().check_open()?;
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
