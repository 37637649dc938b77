//! The options of a connection, and the other facts of it.

use std::{sync::Arc, time::SystemTime};

use crate::{model::field_value::FieldTable, runtime::clock::Time};

/// The options of a connection, for [`Broker::connect_as`](crate::Broker::connect_as). A
/// [snapshot](crate::Broker::snapshot) shows them.
///
/// # Examples
/// ```
/// use leveret::{Broker, ConnectionOptions, Credentials, FieldTable, FieldValue, Overflow, Queue};
///
/// let broker = Broker::new();
/// let user = broker.authenticate(Credentials::guest().mechanism("AMQPLAIN"))?;
/// let client = FieldTable::from_iter([("product", FieldValue::from("pika"))]);
/// let options = ConnectionOptions::new()
///     .name("127.0.0.1:49152 -> 127.0.0.1:5672")
///     .peer_address("127.0.0.1:49152")
///     .protocol("AMQP 0-9-1")
///     .client_properties(client)
///     .refuse_overflow_block();
/// let connection = broker.connect_as(&user, "/", options)?;
/// let blocking = Queue::new("q").max_length(1).overflow(Overflow::Block);
/// let error = connection.declare(&blocking).unwrap_err();
/// let text = "invalid arg 'x-overflow' for queue 'q' in vhost '/': invalid_overflow";
/// assert_eq!(error.to_string(), format!("PRECONDITION_FAILED - {text}"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectionOptions {
    pub(crate) name: String,
    pub(crate) peer_address: String,
    pub(crate) protocol: String,
    pub(crate) client_properties: FieldTable,
    pub(crate) refuse_overflow_block: bool,
}

impl ConnectionOptions {
    /// A connection without a name, inside of the process.
    pub fn new() -> ConnectionOptions {
        ConnectionOptions::default()
    }

    /// Sets the name of the connection, for people.
    ///
    /// # RabbitMQ
    /// The `name` of `rabbitmqctl list_connections`: both addresses, or the `connection_name` of
    /// the client's properties.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> ConnectionOptions {
        self.name = name.into();
        self
    }

    /// Sets the address of the client.
    ///
    /// # RabbitMQ
    /// The `peer_host` and `peer_port` of `rabbitmqctl list_connections`.
    #[must_use]
    pub fn peer_address(mut self, address: impl Into<String>) -> ConnectionOptions {
        self.peer_address = address.into();
        self
    }

    /// Sets the protocol of the client, such as `AMQP 0-9-1`.
    ///
    /// # RabbitMQ
    /// The `protocol` of `rabbitmqctl list_connections`.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<String>) -> ConnectionOptions {
        self.protocol = protocol.into();
        self
    }

    /// Sets the properties of the client: its product, version, capabilities.
    ///
    /// # RabbitMQ
    /// The `client-properties` of `connection.start-ok` (AMQP 0-9-1).
    #[must_use]
    pub fn client_properties(mut self, properties: FieldTable) -> ConnectionOptions {
        self.client_properties = properties;
        self
    }

    /// Refuses the declaration of a queue that lets its publishers wait
    /// ([`Overflow::Block`](crate::Overflow::Block)), by its arguments or by a policy. It is for
    /// clients that know RabbitMQ only, and would not expect to wait.
    ///
    /// # RabbitMQ
    /// 406 `invalid_overflow`, since RabbitMQ has no such overflow.
    #[must_use]
    pub fn refuse_overflow_block(mut self) -> ConnectionOptions {
        self.refuse_overflow_block = true;
        self
    }
}

/// The facts of a connection besides its user.
#[derive(Debug)]
pub(crate) struct ConnectionAbout {
    /// That of the login. `None` for the virtual host's own connection, which all handles of the
    /// broker share.
    pub(crate) mechanism: Option<Arc<str>>,
    pub(crate) connected_at: SystemTime,
    pub(crate) options: ConnectionOptions,
}

impl ConnectionAbout {
    /// That of the virtual host's own connection.
    pub(crate) fn of_implicit(time: &Time) -> ConnectionAbout {
        ConnectionAbout {
            mechanism: None,
            connected_at: time.system_now(),
            options: ConnectionOptions::default(),
        }
    }

    pub(crate) fn is_implicit(&self) -> bool {
        self.mechanism.is_none()
    }
}
