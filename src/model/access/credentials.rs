//! The credentials of a login.

use std::{fmt, sync::Arc};

/// The name of a user, and the proof: a password, or the word of the program itself.
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
    user: Arc<str>,
    /// `None` if the program vouches for the user.
    password: Option<Arc<str>>,
    mechanism: Arc<str>,
}

impl Credentials {
    /// Creates credentials from a user name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials {
            user: user.into().into(),
            password: Some(password.into().into()),
            mechanism: "PLAIN".into(),
        }
    }

    /// Returns the user `guest` with the password `guest`.
    ///
    /// Every broker has this user. [`BrokerBuilder::user`](crate::BrokerBuilder::user) can change
    /// the password.
    pub fn guest() -> Credentials {
        Credentials::new("guest", "guest")
    }

    /// Creates credentials without a password. The program has found out by itself who the user is,
    /// by the certificate of a client, say. The broker only looks whether the user exists.
    ///
    /// # RabbitMQ
    /// The mechanism `EXTERNAL`, of the plugin `rabbitmq_auth_mechanism_ssl`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Credentials, User};
    ///
    /// let broker = Broker::new();
    /// broker.add_user(User::new("sensor"))?; // it has no password
    /// let sensor = broker.authenticate(Credentials::external("sensor"))?;
    /// assert_eq!((&**sensor.name(), sensor.mechanism()), ("sensor", "EXTERNAL"));
    /// let unknown = broker.authenticate(Credentials::external("nobody"));
    /// assert_eq!(unknown.unwrap_err().reply_code(), Some(403));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn external(user: impl Into<String>) -> Credentials {
        Credentials {
            user: user.into().into(),
            password: None,
            mechanism: "EXTERNAL".into(),
        }
    }

    /// Sets the name of the mechanism by which the client has sent the credentials: `PLAIN` by
    /// default, and `EXTERNAL` without a password. A refusal names it, and so does a snapshot.
    ///
    /// # RabbitMQ
    /// The `mechanism` of `connection.start-ok` (AMQP 0-9-1).
    #[must_use]
    pub fn mechanism(mut self, mechanism: impl Into<String>) -> Credentials {
        self.mechanism = mechanism.into().into();
        self
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(crate) fn mechanism_name(&self) -> &Arc<str> {
        &self.mechanism
    }
}

/// The output does not contain the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}
