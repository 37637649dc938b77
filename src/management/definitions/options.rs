//! How definitions are imported, and for which version of RabbitMQ they are exported.

use std::{fmt, str::FromStr};

use crate::model::error::DefinitionsError;

/// A version of RabbitMQ, by its first two numbers.
///
/// # Examples
/// ```
/// use leveret::RabbitMqVersion;
/// assert_eq!("3.10".parse(), Ok(RabbitMqVersion::V3_10));
/// assert_eq!("4.3.6".parse(), Ok(RabbitMqVersion::V4_3));
/// assert_eq!(RabbitMqVersion::V4_3.to_string(), "4.3");
/// assert!("3.11".parse::<RabbitMqVersion>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RabbitMqVersion {
    /// RabbitMQ 3.10.
    V3_10,
    /// RabbitMQ 4.3.
    V4_3,
}

impl RabbitMqVersion {
    /// The first two numbers of the version.
    pub const fn as_str(self) -> &'static str {
        match self {
            RabbitMqVersion::V3_10 => "3.10",
            RabbitMqVersion::V4_3 => "4.3",
        }
    }

    /// The version that the recordings of leveret were made with.
    pub(super) const fn recorded(self) -> &'static str {
        match self {
            RabbitMqVersion::V3_10 => "3.10.8",
            RabbitMqVersion::V4_3 => "4.3.6",
        }
    }
}

impl fmt::Display for RabbitMqVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The first two numbers of the version, with or without a third one.
impl FromStr for RabbitMqVersion {
    type Err = DefinitionsError;

    fn from_str(text: &str) -> Result<RabbitMqVersion, DefinitionsError> {
        let mut numbers = text.splitn(3, '.');
        match (numbers.next(), numbers.next()) {
            (Some("3"), Some("10")) => Ok(RabbitMqVersion::V3_10),
            (Some("4"), Some("3")) => Ok(RabbitMqVersion::V4_3),
            _ => {
                let reason = format!("there is no form for RabbitMQ '{text}', only 3.10 and 4.3");
                Err(DefinitionsError::new("$", reason))
            }
        }
    }
}

/// How definitions are imported. The default is strict: all or nothing.
///
/// # Examples
/// ```
/// use leveret::{Broker, ImportOptions, RabbitMqVersion};
///
/// let broker = Broker::new();
/// let json = r#"{"queues": [{"name": "q", "durable": true, "auto_delete": false}],
///     "bindings": [{"source": "amq.fanout", "destination": "gone",
///                   "destination_type": "queue", "routing_key": "", "arguments": {}}]}"#;
/// let into_root = ImportOptions::new().into_vhost("/");
/// let error = broker.import_definitions_with(json, &into_root).unwrap_err();
/// assert!(error.to_string().starts_with("$.bindings[0].destination"));
///
/// let report = broker.import_definitions_with(json, &into_root.clone().drop_dangling_bindings())?;
/// assert_eq!((report.queues, report.bindings, report.remarks.len()), (1, 0, 1));
///
/// let as_rabbitmq = into_root.like_rabbitmq(RabbitMqVersion::V3_10);
/// broker.import_definitions_with(json, &as_rabbitmq)?; // 3.10 drops such bindings
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    pub(super) like: Option<RabbitMqVersion>,
    pub(super) vhost: Option<String>,
    pub(super) drops_dangling: bool,
}

impl ImportOptions {
    /// A strict import of a whole cluster.
    pub fn new() -> ImportOptions {
        ImportOptions::default()
    }

    /// Imports in the order and with the leniency of this version of RabbitMQ.
    ///
    /// The import goes through phases: users, virtual hosts, permissions, exchanges, topic
    /// permissions, parameters, global parameters, policies, queues, bindings. An item that does
    /// not fit ends the import after its phase. **The rest of that phase is made, and so are the
    /// phases before.** The error is the first one. Queues and exchanges that exist with other
    /// properties stay as they are, and so does the first of two in the file.
    /// [The page on definitions](crate::guide::definitions) lists the rest.
    #[must_use]
    pub fn like_rabbitmq(mut self, version: RabbitMqVersion) -> ImportOptions {
        self.like = Some(version);
        self
    }

    /// Imports into one virtual host, which exists. The sections of the whole cluster are not
    /// imported, and reported: users, virtual hosts, permissions, topic permissions and global
    /// parameters. If an item names a virtual host, it makes no difference.
    ///
    /// # RabbitMQ
    /// `POST /api/definitions/NAME`, and `rabbitmqadmin --vhost=NAME import`.
    #[must_use]
    pub fn into_vhost(mut self, name: impl Into<String>) -> ImportOptions {
        self.vhost = Some(name.into());
        self
    }

    /// Drops bindings of queues and exchanges that do not exist, and reports them. Without it such
    /// a binding is an error.
    ///
    /// # RabbitMQ
    /// An export holds such bindings if a connection has had an exclusive queue with a name.
    #[must_use]
    pub fn drop_dangling_bindings(mut self) -> ImportOptions {
        self.drops_dangling = true;
        self
    }

    pub(super) fn is_strict(&self) -> bool {
        self.like.is_none()
    }
}
