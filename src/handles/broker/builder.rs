//! What a broker can be told when it is made.

use std::{collections::BTreeMap, fmt};

use super::Broker;
use crate::runtime::clock::{Clock, Time};

/// The settings of a broker to be; made by [`Broker::builder`].
///
/// # Examples
/// ```
/// use leveret::{Broker, Credentials, Local, ManualClock};
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).user("ada", "secret").always_encode().build();
/// broker.connect("/", Credentials::new("ada", "secret"))?;
/// let queue = broker.simple_queue::<Local<fn()>>("q")?;
/// let error = queue.put(Local(|| ())).unwrap_err(); // what cannot be encoded is refused here
/// assert_eq!(error.error().reply_code(), None);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct BrokerBuilder {
    time: Time,
    users: BTreeMap<String, String>,
    always_encode: bool,
}

impl Default for BrokerBuilder {
    fn default() -> BrokerBuilder {
        let users = BTreeMap::from([("guest".to_owned(), "guest".to_owned())]);
        BrokerBuilder {
            time: Time::default(),
            users,
            always_encode: false,
        }
    }
}

impl BrokerBuilder {
    /// The clock that everything timed goes by: the system's unless set, a [`ManualClock`](crate::ManualClock) in
    /// tests.
    pub fn clock(mut self, clock: impl Clock) -> BrokerBuilder {
        self.time = Time::new(clock);
        self
    }

    /// One more user, or another password for a known one. `guest` is there from the start.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> BrokerBuilder {
        self.users.insert(name.into(), password.into());
        self
    }

    /// Has every payload encoded when it is published, even where the value itself could travel: what a test, or a
    /// program that will move to a networked broker, wants to be sure of.
    ///
    /// A [`Local`](crate::Local) payload is refused then.
    pub fn always_encode(mut self) -> BrokerBuilder {
        self.always_encode = true;
        self
    }

    /// Makes the broker.
    pub fn build(self) -> Broker {
        Broker::start(self.time, self.users, self.always_encode)
    }
}

/// Who connects.
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
    /// A user and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials {
            user: user.into(),
            password: password.into(),
        }
    }

    /// The user `guest`, password `guest`, whom every broker knows unless told otherwise.
    pub fn guest() -> Credentials {
        Credentials::new("guest", "guest")
    }
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
