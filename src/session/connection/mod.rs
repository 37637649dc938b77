//! A connection: a user in a virtual host, and the owner of channels, typed consumers and exclusive
//! queues.
//!
//! This module knows neither the broker nor channels. A channel is a member that closes with the
//! connection.

mod closed;
mod connection_core;
mod events;
mod options;
mod policies;

pub use self::options::ConnectionOptions;
pub(crate) use self::{
    connection_core::{ChannelView, ConnectionCore, Member},
    options::ConnectionAbout,
};

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    backend::Backend,
    events::{Event, Events, StreamEnd},
    gate::Gate,
    publisher::{Caller, Tap},
};
use crate::{
    engine::{
        access::Access,
        vhost::{ConnectionId, VirtualHost},
    },
    model::{
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        clock::{Time, TimerTarget},
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
    /// The end of the stream that is read.
    events: Arc<StreamEnd>,
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.core.close(CancelReason::ConnectionClosed);
    }
}

impl Connection {
    pub(crate) fn open(
        vhost: &Arc<VirtualHost>,
        id: ConnectionId,
        (user, access): (Name, Access),
        about: ConnectionAbout,
        backend: Option<Arc<dyn Backend>>,
        tap: Option<Arc<dyn Tap>>,
    ) -> Connection {
        let refuses_block = about.options.refuse_overflow_block;
        let remote = backend.clone();
        let gate = Gate::new(vhost, id, (user, access), refuses_block, backend, tap);
        let core = ConnectionCore::new(gate, about);
        if let Some(remote) = remote {
            remote.tell(core.events());
        }
        Connection {
            handle: Arc::new(ConnectionHandle {
                events: StreamEnd::new(core.events()),
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

    /// Has `target` called at an instant, unless it is dropped before.
    pub(crate) fn fire_at(&self, at: Instant, target: Weak<dyn TimerTarget>) {
        match self.timers().add_time_out(at, Weak::clone(&target)) {
            Some(_) => self.timers().wake_thread(),
            None => target.upgrade().into_iter().for_each(|it| it.fire(at)),
        }
    }

    pub(crate) fn core(&self) -> &Arc<ConnectionCore> {
        &self.handle.core
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        self.handle.core.gate()
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

    /// The events of the connection itself, [`Event::Blocked`] and [`Event::Unblocked`] with the
    /// number 0, and those of the channels that [send them
    /// here](crate::channel::ChannelOptions::events_to_connection), each with the number of its
    /// channel. The stream ends with the connection.
    ///
    /// One reader, or one task, serves all these channels.
    /// [`open_channel_with`](Self::open_channel_with) has an example.
    pub fn events(&self) -> Events<(u16, Event)> {
        Events::new(&self.handle.events)
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
        if self.core().about().is_implicit() {
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
