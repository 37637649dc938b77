//! The settings of a connection.

use std::time::Duration;

use super::external::{External, ExternalLogin};
use crate::model::field_value::{FieldTable, FieldValue};

/// The settings of a [`ServerConnection`](super::ServerConnection). The defaults are RabbitMQ's.
///
/// # Examples
/// ```
/// use leveret::amqp::ServerConfig;
/// use std::time::Duration;
///
/// let config = ServerConfig::new()
///     .heartbeat(Duration::from_secs(30))
///     .max_message_size(1 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub(super) channel_max: u16,
    pub(super) frame_max: u32,
    pub(super) heartbeat: u16,
    pub(super) max_message_size: u64,
    pub(super) handshake_timeout: Duration,
    pub(super) external: Option<External>,
    pub(super) peer_address: Option<String>,
    pub(super) properties: FieldTable,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            channel_max: 2047,
            frame_max: 128 << 10,
            heartbeat: 60,
            max_message_size: 16 << 20,
            handshake_timeout: Duration::from_secs(10),
            external: None,
            peer_address: None,
            properties: FieldTable::new(),
        }
    }
}

/// AMQP's least value of the largest frame, in octets. A frame of the handshake may have as many.
pub(super) const FRAME_MIN_SIZE: u32 = 4096;

impl ServerConfig {
    /// The default settings.
    pub fn new() -> ServerConfig {
        ServerConfig::default()
    }

    /// Sets how many channels the peer may have open at a time, from 1 to 65,535. The default is
    /// 2,047, and 0 counts as 65,535.
    ///
    /// # RabbitMQ
    /// `channel_max`.
    #[must_use]
    pub fn channel_max(mut self, channel_max: u16) -> ServerConfig {
        self.channel_max = match channel_max {
            0 => u16::MAX,
            some => some,
        };
        self
    }

    /// Sets the largest frame in octets, at least 4,096. The default is 131,072. The peer may agree
    /// on less. A peer that never ends a frame costs as many octets of memory.
    ///
    /// # RabbitMQ
    /// `frame_max`.
    #[must_use]
    pub fn frame_max(mut self, frame_max: u32) -> ServerConfig {
        self.frame_max = frame_max.max(FRAME_MIN_SIZE);
        self
    }

    /// Proposes a heartbeat: the time after which a silent connection counts as dead, in whole
    /// seconds. The default is a minute. The peer decides, and zero proposes none.
    ///
    /// # RabbitMQ
    /// `heartbeat`.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> ServerConfig {
        self.heartbeat = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
        self
    }

    /// Sets the most octets that the body of a message may have. The default is 16 MiB. The bodies
    /// that have begun on the channels of a connection take at most four times as much memory.
    ///
    /// # RabbitMQ
    /// `max_message_size`.
    #[must_use]
    pub fn max_message_size(mut self, octets: u64) -> ServerConfig {
        self.max_message_size = octets;
        self
    }

    /// Sets the time that a peer has for the handshake, from the first octet on. The default is ten
    /// seconds.
    ///
    /// # RabbitMQ
    /// `handshake_timeout`.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> ServerConfig {
        self.handshake_timeout = timeout;
        self
    }

    /// Offers the mechanism `EXTERNAL`, and logs a peer that chooses it in as this user, without a
    /// password. The program has authenticated the peer before, for example by its certificate.
    ///
    /// # RabbitMQ
    /// The plugin `rabbitmq_auth_mechanism_ssl`.
    #[must_use]
    pub fn external(self, user: impl Into<String>) -> ServerConfig {
        let user = user.into();
        self.external_by(move |_| Some(user.clone()))
    }

    /// Offers the mechanism `EXTERNAL`, and logs a peer that chooses it in as the user that
    /// `user_of` returns, without a password. `None` refuses the login, and so does a panic.
    ///
    /// It is called once for each login, by [`receive`](super::ServerConnection::receive).
    ///
    /// # RabbitMQ
    /// The plugin `rabbitmq_auth_mechanism_ssl`.
    ///
    /// # Examples
    /// ```
    /// use leveret::amqp::ServerConfig;
    ///
    /// /// The name in the certificate that the peer has shown, say.
    /// fn certified(_address: &str) -> Option<String> { None }
    ///
    /// let config = ServerConfig::new()
    ///     .peer_address("127.0.0.1:40307")
    ///     .external_by(|login| certified(login.peer_address()?));
    /// ```
    #[must_use]
    pub fn external_by(
        mut self,
        user_of: impl Fn(&ExternalLogin<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> ServerConfig {
        self.external = Some(External::new(user_of));
        self
    }

    /// Sets the address of the peer, which snapshots show.
    ///
    /// # RabbitMQ
    /// `peer_host` and `peer_port` of `rabbitmqctl list_connections`.
    #[must_use]
    pub fn peer_address(mut self, address: impl Into<String>) -> ServerConfig {
        self.peer_address = Some(address.into());
        self
    }

    /// Adds one of the server properties that the peer is told, or replaces one, such as
    /// `cluster_name`.
    ///
    /// # RabbitMQ
    /// `server_properties`.
    #[must_use]
    pub fn server_property(
        mut self,
        name: impl Into<String>,
        value: impl Into<FieldValue>,
    ) -> ServerConfig {
        self.properties.insert(name, value);
        self
    }

    /// The properties that the peer is told.
    pub(super) fn server_properties(&self) -> FieldTable {
        let capabilities = CAPABILITIES.map(|capability| (capability, true));
        let mut properties = FieldTable::new()
            .with("capabilities", FieldTable::from(capabilities))
            .with("cluster_name", "leveret")
            .with("platform", "Rust")
            .with("product", "leveret")
            .with("version", env!("CARGO_PKG_VERSION"));
        properties.extend(self.properties.clone());
        properties
    }

    /// The mechanisms that the peer may choose from.
    pub(super) fn mechanisms(&self) -> &'static str {
        match self.external {
            None => "PLAIN AMQPLAIN",
            Some(_) => "PLAIN AMQPLAIN EXTERNAL",
        }
    }
}

/// RabbitMQ's capabilities.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];
