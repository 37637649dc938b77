//! The settings of a broker that is the client of a RabbitMQ.

use std::{sync::Arc, time::Duration};

use super::Broker;
use crate::{
    model::{backoff::Backoff, error::Result},
    remote::rabbitmq::{RabbitMq, Settings, Unconfirmed},
    session::broker_core::BrokerCore,
};

#[cfg(doc)]
use crate::model::error::Error;

/// Builds a broker that is the client of a RabbitMQ. [`Broker::rabbitmq`] returns it. It is there
/// with the feature `rabbitmq`.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use leveret::{Backoff, Broker};
///
/// let second = Duration::from_secs(1);
/// let broker = Broker::rabbitmq("amqp://ada:secret@first;amqp://ada:secret@second")
///     .name("orders")
///     .heartbeat(10 * second)
///     .connect_timeout(3 * second)
///     .reconnect(Backoff::new(second).max_delay(60 * second))
///     .open()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct RabbitMqBuilder {
    settings: Result<Settings>,
}

impl Broker {
    /// Returns a builder for a broker that is the client of a RabbitMQ, with its URL as for
    /// [`Broker::open`]. It is there with the feature `rabbitmq`.
    ///
    /// [`RabbitMqBuilder`] has an example.
    pub fn rabbitmq(url: &str) -> RabbitMqBuilder {
        RabbitMqBuilder {
            settings: Settings::of_url(url),
        }
    }
}

impl RabbitMqBuilder {
    /// Sets the name of the connections, which RabbitMQ shows to people.
    ///
    /// # RabbitMQ
    /// The `connection_name` of the properties of a client.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.name(name.into()))
    }

    /// Sets the interval of heartbeats, in whole seconds, of at most 65,535 seconds. Zero is none.
    /// The default is what RabbitMQ proposes: 60 seconds. A connection without a sign of life for
    /// two intervals is lost.
    ///
    /// # RabbitMQ
    /// The `heartbeat` of `connection.tune-ok` (AMQP 0-9-1).
    pub fn heartbeat(self, interval: Duration) -> Self {
        self.with(|settings| settings.heartbeat(interval))
    }

    /// Sets how long an attempt to connect to one server may take. The default is that of the URL,
    /// or ten seconds.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.connect_timeout(timeout))
    }

    /// Sets how long the client waits before each attempt to connect again, and when it gives up.
    /// Its end counts from the loss of the connection. The default begins with 200 ms, doubles to
    /// at most 30 seconds, with jitter, and never gives up.
    ///
    /// When the client gives up, everything of the connection fails with
    /// [`Error::ConnectionClosed`].
    pub fn reconnect(self, backoff: Backoff) -> Self {
        self.with(|settings| settings.reconnect(backoff))
    }

    /// Sets what happens to publishes without a confirm when the connection is lost.
    pub fn unconfirmed(self, unconfirmed: Unconfirmed) -> Self {
        self.with(|settings| settings.unconfirmed(unconfirmed))
    }

    /// Trusts a root certificate, in PEM, beside those of the system. The text may hold several. A
    /// server at `amqps://` has to show a certificate for its host name, signed by one of them.
    ///
    /// # Examples
    /// ```no_run
    /// use leveret::Broker;
    ///
    /// let certificate = std::fs::read_to_string("ca_certificate.pem").expect("it can be read");
    /// let broker = Broker::rabbitmq("amqps://rabbit.example").root_certificate(&certificate);
    /// let broker = broker.open()?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn root_certificate(self, pem: &str) -> Self {
        self.with(|settings| settings.root_certificate(pem))
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        if let Ok(settings) = &mut self.settings {
            set(settings);
        }
        self
    }

    /// Connects, and returns the broker. Its methods use the virtual host of the first URL.
    ///
    /// # Blocking
    /// The call waits until RabbitMQ has accepted the connection or refused it.
    ///
    /// # Errors
    /// Those of [`Broker::open`], and [`Error::Thread`] if the thread of the client cannot start.
    pub fn open(self) -> Result<Broker> {
        let engine = RabbitMq::new(self.settings?)?;
        Ok(Broker::start(BrokerCore::start_remote(Arc::new(engine))?))
    }
}
