//! The settings of a [`Client`].

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{Client, Context, Target};
use crate::model::{field_value::FieldTable, version::Version};

#[cfg(doc)]
use crate::model::error::RpcError;

impl Client {
    /// Returns a copy of this client, to be changed for some calls.
    ///
    /// # RabbitMQ
    /// `prepare` of oslo.messaging.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, RpcError, Target}};
    ///
    /// let broker = Broker::new();
    /// let client = Client::new(&broker, Target::topic("test").namespace("math"));
    /// let other = client.prepare().server("server-1").version((1, 4)).fanout();
    /// let invalid = other.call::<u64>("add", (1_u64, 2_u64)).unwrap_err();
    /// assert!(matches!(invalid, RpcError::InvalidTarget(_))); // a call goes to one server
    /// ```
    pub fn prepare(&self) -> Client {
        self.clone()
    }

    fn with_target(mut self, change: impl FnOnce(Target) -> Target) -> Client {
        self.target = change(self.target);
        self.producer = OnceLock::new();
        self
    }

    /// Calls another target, with its exchange, namespace and version. The time-out and the other
    /// settings stay.
    pub fn target(self, target: Target) -> Client {
        self.with_target(|_| target)
    }

    /// Calls one server, as [`Target::server`] does.
    pub fn server(self, server: impl Into<String>) -> Client {
        self.with_target(|target| target.server(server))
    }

    /// Sends to these servers, as [`Target::servers`] does.
    pub fn servers<I>(self, servers: I) -> Client
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.with_target(|target| target.servers(servers))
    }

    /// Sends to all servers, as [`Target::fanout`] does.
    pub fn fanout(self) -> Client {
        self.with_target(Target::fanout)
    }

    /// Sets the namespace of the requests.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Client {
        self.target = self.target.namespace(namespace);
        self
    }

    /// Sets the version that the requests need.
    pub fn version(mut self, version: impl Into<Version>) -> Client {
        self.target = self.target.version(version);
        self
    }

    /// Sets the highest version that this client may send. A request for another major version or
    /// a higher minor one fails with [`RpcError::VersionCap`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Target, Version}};
    ///
    /// let broker = Broker::new();
    /// let client = Client::new(&broker, Target::topic("test")).version_cap((1, 2));
    /// assert!(client.can_send_version(Version::new(1, 1)));
    /// assert!(!client.can_send_version(Version::new(1, 3)));
    /// assert!(client.version((1, 3)).cast("test", ()).is_err());
    /// ```
    pub fn version_cap(mut self, cap: impl Into<Version>) -> Client {
        self.version_cap = Some(cap.into());
        self
    }

    /// Whether the [version cap](Self::version_cap) allows requests for this version.
    pub fn can_send_version(&self, version: Version) -> bool {
        self.version_cap.is_none_or(|cap| cap.serves(version))
    }

    /// Sets the time-out of calls, by the broker's clock. The default is 60 seconds;
    /// [`Duration::MAX`] means none.
    ///
    /// The end of the time travels with the request: a server does not begin with it any more.
    /// That holds for [casts](Self::cast) too, which have no time-out by default.
    pub fn timeout(mut self, timeout: Duration) -> Client {
        self.timeout = Some(timeout);
        self
    }

    /// Lets requests wait for their first server, in place of [`RpcError::NoServer`]: the first
    /// request declares the queue of the topic if it does not exist, and the queue does not end
    /// with its servers. It has no effect on a fanout, or on the target of a queue.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
    /// use std::sync::mpsc;
    ///
    /// let broker = Broker::new();
    /// let client = Client::new(&broker, Target::topic("lines")).queue_if_absent();
    /// client.cast("print", "early".to_owned())?;
    ///
    /// let (printed, lines) = mpsc::channel();
    /// let endpoint = Endpoint::new().method("print", move |line: String, _| {
    ///     printed.send(line).ok();
    /// });
    /// let server = Server::new(&broker, Target::topic("lines")).endpoint(endpoint).spawn()?;
    /// assert_eq!(lines.recv(), Ok("early".to_owned()));
    /// # drop(server);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn queue_if_absent(mut self) -> Client {
        self.queue_if_absent = true;
        self.producer = OnceLock::new();
        self
    }

    /// Sets the request context, which travels with each request, unchanged.
    ///
    /// [`Context`] has an example.
    pub fn context(mut self, context: FieldTable) -> Client {
        self.context = Some(Arc::new(context));
        self
    }

    pub(super) fn on_behalf_of(&self, context: &Context<'_>) -> Client {
        let claim = context.worker().info().claim();
        let producer = match self.producer.get() {
            Some(producer) => OnceLock::from(producer.on_behalf_of(claim.clone())),
            None => OnceLock::new(),
        };
        Client {
            context: context.shared_request_context().or(self.context.clone()),
            claim: Some(claim),
            producer,
            ..self.clone()
        }
    }
}
