//! The settings of the client.

use std::{sync::Arc, time::Duration};

use super::address::Address;
use crate::model::{
    backoff::Backoff,
    error::{Error, Result},
};

/// What happens to publishes that RabbitMQ has not confirmed when the connection is lost.
///
/// RabbitMQ may have such a message or not.
///
/// # Examples
/// ```no_run
/// use leveret::{Broker, Unconfirmed};
/// let broker = Broker::rabbitmq("amqp://localhost").unconfirmed(Unconfirmed::GiveBack).open()?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unconfirmed {
    /// They are published again on the next connection, in their order. So a message may arrive
    /// twice, and none is lost. Publishes meanwhile wait for the next connection. This is the
    /// default.
    #[default]
    SendAgain,
    /// They fail with [`Error::ConnectionLost`], and give their payloads back. Publishes meanwhile
    /// fail at once.
    GiveBack,
}

/// The settings of a client.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) addresses: Vec<Address>,
    pub(super) name: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) reconnect: Backoff,
    pub(super) unconfirmed: Unconfirmed,
    /// More root certificates, in PEM.
    pub(super) root_certificates: Option<String>,
}

/// How long one attempt to connect may take, if nothing else says.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// The settings in one or several URLs, with `;` between them.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub(crate) fn of_url(url: &str) -> Result<Settings> {
        let addresses = Address::read_all(url)?;
        let first = addresses.first();
        let timeout = first.and_then(|address| address.uri.query.connection_timeout);
        Ok(Settings {
            connect_timeout: timeout.map_or(CONNECT_TIMEOUT, Duration::from_millis),
            name: None,
            reconnect: Backoff::new(Duration::from_millis(200)).max_delay(Duration::from_secs(30)),
            unconfirmed: Unconfirmed::default(),
            root_certificates: None,
            addresses,
        })
    }

    pub(crate) fn name(&mut self, name: String) {
        self.name = Some(name);
    }

    /// In seconds, as the protocol has it. Zero is none.
    pub(crate) fn heartbeat(&mut self, interval: Duration) {
        let seconds = interval.as_secs_f64().ceil();
        for address in &mut self.addresses {
            // A number that is too large is the largest.
            address.uri.query.heartbeat = Some(seconds as u16);
        }
    }

    pub(crate) fn connect_timeout(&mut self, timeout: Duration) {
        self.connect_timeout = timeout;
    }

    pub(crate) fn reconnect(&mut self, backoff: Backoff) {
        self.reconnect = backoff;
    }

    pub(crate) fn unconfirmed(&mut self, unconfirmed: Unconfirmed) {
        self.unconfirmed = unconfirmed;
    }

    pub(crate) fn root_certificate(&mut self, pem: &str) {
        let known = self.root_certificates.get_or_insert_default();
        known.push_str(pem);
        known.push('\n');
    }

    /// The virtual host of the first URL.
    pub(super) fn vhost(&self) -> &str {
        let first = self.addresses.first();
        first.map_or("/", |address| &address.uri.vhost)
    }

    /// The error of an attempt to connect that took too long.
    pub(super) fn no_answer(&self, address: &Arc<str>) -> Error {
        Error::ConnectFailed {
            address: Arc::clone(address),
            fault: format!("no answer within {:?}", self.connect_timeout).into(),
        }
    }
}
