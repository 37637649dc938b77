//! The settings of a broker.

use std::time::Duration;

use super::Broker;
use crate::{
    engine::router::{ExchangeTypes, Router},
    model::access::User,
    runtime::clock::{Clock, Time},
    session::broker_core::{BrokerCore, Settings},
};
#[cfg(feature = "testing")]
use {crate::session::publisher::Tap, std::sync::Arc};

/// Builds a broker with other settings. [`Broker::builder`] returns it.
///
/// The method `data_dir`, for a broker that keeps its data in a folder, is there with the feature
/// `durable`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Credentials, Local, ManualClock};
///
/// let clock = ManualClock::new();
/// let builder = Broker::builder().clock(clock.clone()).user("ada", "secret").always_encode();
/// let broker = builder.build();
/// broker.connect("/", Credentials::new("ada", "secret"))?;
/// let queue = broker.simple_queue::<Local<fn()>>("q")?;
/// let error = queue.put(Local(|| ())).unwrap_err(); // a `Local` cannot be encoded
/// assert_eq!(error.error().reply_code(), None);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct BrokerBuilder {
    pub(super) time: Time,
    pub(super) settings: Settings,
    pub(super) exchange_types: ExchangeTypes,
}

impl BrokerBuilder {
    /// Sets the clock of everything that depends on time. The default is the clock of the system.
    ///
    /// A test can set a [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: impl Clock) -> BrokerBuilder {
        self.time = Time::new(clock);
        self
    }

    /// Adds a user who is there from the start, or sets the password of `guest`. The user is an
    /// administrator, and has all permissions in the virtual host `/`.
    ///
    /// The user `guest` with the password `guest` is there from the start. For other users, with
    /// fewer rights, see [`Broker::add_user`]. An empty name and one over 255 bytes adds none.
    ///
    /// A broker with a folder keeps its users. Such a user is added there if missing. If the user
    /// is there already, only the password is set.
    ///
    /// # RabbitMQ
    /// `default_user` and `default_pass` of the configuration of a node.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> BrokerBuilder {
        let user = User::new(name).password(&password.into());
        self.settings
            .users
            .retain(|other| other.name() != user.name());
        self.settings.users.push(user);
        self
    }

    /// Encodes every payload when it is published, even if the queue could carry the value itself.
    ///
    /// This setting is for tests, and for programs that will move to a networked broker: it shows
    /// that every payload can be encoded. The broker refuses a [`Local`](crate::Local) payload.
    pub fn always_encode(mut self) -> BrokerBuilder {
        self.settings.always_encode = true;
        self
    }

    /// Sets how long a consumer of a quorum queue may hold a delivery, if neither the consumer nor
    /// the queue nor a policy says. It is by the broker's clock.
    ///
    /// Without this setting the consumers of a [`Channel`](crate::Channel) have 30 minutes, and
    /// typed consumers have all the time.
    /// [`ConsumerBuilder::timeout`](crate::ConsumerBuilder::timeout) tells what happens when the
    /// time is over.
    ///
    /// # RabbitMQ
    /// `consumer_timeout` of the configuration of a node, in milliseconds. Its default is 30
    /// minutes.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock, Queue};
    /// use std::time::Duration;
    ///
    /// let (clock, minute) = (ManualClock::new(), Duration::from_secs(60));
    /// let broker = Broker::builder().clock(clock.clone()).consumer_timeout(minute).build();
    /// let orders = Queue::quorum("orders");
    /// broker.producer::<u32>(&orders)?.publish(7)?;
    /// let held = broker.consumer::<u32>(&orders)?.recv()?;
    /// clock.advance(minute);
    /// assert_eq!(broker.consumer::<u32>(&orders)?.recv()?.info().acquired_count(), 1);
    /// held.ack()?; // too late: it acknowledges nothing
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn consumer_timeout(mut self, timeout: Duration) -> BrokerBuilder {
        self.settings.consumer_timeout = Some(timeout);
        self
    }

    /// Adds an exchange type, which routes by a [`Router`]. It replaces a type of the same name.
    ///
    /// The types `direct`, `fanout`, `topic`, `headers`, `x-consistent-hash`, `x-recent-history`
    /// and `x-delayed-message` cannot be replaced.
    ///
    /// [`Router`] has an example.
    pub fn exchange_type(mut self, name: impl Into<String>, router: impl Router) -> BrokerBuilder {
        self.exchange_types.register(name.into(), router);
        self
    }

    /// Creates the broker.
    pub fn build(self) -> Broker {
        let BrokerBuilder {
            time,
            settings,
            exchange_types,
        } = self;
        Broker::start(BrokerCore::start(time, settings, exchange_types))
    }

    /// As [`build`](Self::build), with a tap that sees every publish.
    #[cfg(feature = "testing")]
    pub(crate) fn build_tapped(self, tap: Arc<dyn Tap>) -> Broker {
        Broker::start(BrokerCore::start_tapped(
            self.time,
            self.settings,
            self.exchange_types,
            tap,
        ))
    }
}
