//! The settings of a broker, and the credentials of a connection.

use std::{collections::BTreeMap, fmt};

use super::Broker;
use crate::{
    engine::router::{ExchangeTypes, Router},
    runtime::clock::{Clock, Time},
    session::broker_core::BrokerCore,
};
#[cfg(feature = "testing")]
use {crate::session::publisher::Tap, std::sync::Arc};

/// Builds a broker with other settings. [`Broker::builder`] returns it.
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
#[derive(Debug)]
#[must_use]
pub struct BrokerBuilder {
    time: Time,
    users: BTreeMap<String, String>,
    always_encode: bool,
    exchange_types: ExchangeTypes,
}

impl Default for BrokerBuilder {
    fn default() -> BrokerBuilder {
        let users = BTreeMap::from([("guest".to_owned(), "guest".to_owned())]);
        BrokerBuilder {
            time: Time::default(),
            users,
            always_encode: false,
            exchange_types: ExchangeTypes::default(),
        }
    }
}

impl BrokerBuilder {
    /// Sets the clock of everything that depends on time. The default is the clock of the system.
    ///
    /// A test can set a [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: impl Clock) -> BrokerBuilder {
        self.time = Time::new(clock);
        self
    }

    /// Adds a user, or changes the password of a user. The user `guest` exists from the start.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> BrokerBuilder {
        self.users.insert(name.into(), password.into());
        self
    }

    /// Encodes every payload when it is published, even if the queue could carry the value itself.
    ///
    /// This setting is for tests, and for programs that will move to a networked broker: it shows
    /// that every payload can be encoded. The broker refuses a [`Local`](crate::Local) payload.
    pub fn always_encode(mut self) -> BrokerBuilder {
        self.always_encode = true;
        self
    }

    /// Adds an exchange type, which routes by a [`Router`]. It replaces a type of the same name.
    ///
    /// The types `direct`, `fanout`, `topic`, `headers` and `x-delayed-message` cannot be replaced.
    ///
    /// [`Router`] has an example.
    pub fn exchange_type(mut self, name: impl Into<String>, router: impl Router) -> BrokerBuilder {
        self.exchange_types.register(name.into(), router);
        self
    }

    /// Creates the broker.
    pub fn build(self) -> Broker {
        Broker::start(BrokerCore::start(
            self.time,
            self.users,
            self.always_encode,
            self.exchange_types,
        ))
    }

    /// As [`build`](Self::build), with a tap that sees every publish.
    #[cfg(feature = "testing")]
    pub(crate) fn build_tapped(self, tap: Arc<dyn Tap>) -> Broker {
        Broker::start(BrokerCore::start_tapped(
            self.time,
            self.users,
            self.always_encode,
            self.exchange_types,
            tap,
        ))
    }
}

/// The user name and the password of a connection.
///
/// # Examples
/// ```
/// use leveret::Credentials;
/// assert_eq!(Credentials::guest(), Credentials::new("guest", "guest"));
/// let debug = format!("{:?}", Credentials::new("ada", "secret"));
/// assert!(debug.contains("ada") && !debug.contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Credentials {
    /// Creates credentials from a user name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials {
            user: user.into(),
            password: password.into(),
        }
    }

    /// Returns the user `guest` with the password `guest`.
    ///
    /// Every broker has this user. [`BrokerBuilder::user`] can change the password.
    pub fn guest() -> Credentials {
        Credentials::new("guest", "guest")
    }
}

/// The output does not contain the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
