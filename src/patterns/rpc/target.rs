//! [`Target`], where requests go.

use std::sync::Arc;

use crate::model::{
    descriptions::{Exchange, Queue},
    error::RpcError,
    version::Version,
};

/// Where the requests of a client go, and where a server listens.
///
/// A server listens at its *topic*, which all its servers share: each request goes to one of them.
/// A server with a name listens at that as well, so that a client can choose it. And each server
/// gets the requests of a [`fanout`](Self::fanout).
///
/// | requests to | queue | by |
/// |---|---|---|
/// | the topic | `<exchange>.<topic>` | the topic exchange `<exchange>`, key `<topic>` |
/// | a server | `<exchange>.<topic>.<server>` | the same, key `<topic>.<server>` |
/// | [several](Self::servers) servers | theirs | the same, with their keys |
/// | all servers | one for each server | the fanout exchange `<exchange>.<topic>.fanout` |
///
/// The queues end with their last server. So a request that no server could get fails at once. A
/// queue that exists already, with other properties, is used as it is.
///
/// The namespace and the version are those of a client's requests. A server ignores them: it has
/// them at its [endpoints](super::Endpoint).
///
/// # RabbitMQ
/// `Target` of oslo.messaging. It uses the same exchange, keys and queues, but for the names of the
/// queues.
///
/// # Examples
/// ```
/// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
///
/// let broker = Broker::new();
/// let name = |name: &'static str| {
///     Endpoint::new().method("name", move |(): (), _| name.to_owned())
/// };
/// let target = Target::topic("names");
/// let ada = Server::new(&broker, target.clone().server("a")).endpoint(name("Ada")).spawn()?;
/// let bob = Server::new(&broker, target.clone().server("b")).endpoint(name("Bob")).spawn()?;
///
/// let client = Client::new(&broker, target);
/// assert_eq!(client.prepare().server("b").call::<String>("name", ())?, "Bob");
/// assert_eq!(client.prepare().fanout().cast("name", ())?, 2);
/// # drop((ada, bob));
/// # Ok::<(), leveret::rpc::RpcError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub(super) place: Place,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) version: Version,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// One queue, without an exchange.
    Queue(Queue),
    Topic(Topic),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Topic {
    pub(super) exchange: String,
    pub(super) topic: String,
    pub(super) server: Option<String>,
    /// The servers of a request to several ones.
    pub(super) chosen: Option<Vec<String>>,
    pub(super) is_fanout: bool,
}

/// The exchange of a target that names none.
const EXCHANGE: &str = "rpc";

impl Target {
    /// The target of a topic. Its exchange is `rpc`, and its version 1.0.
    pub fn topic(topic: impl Into<String>) -> Target {
        Target::new(Place::Topic(Topic {
            exchange: EXCHANGE.to_owned(),
            topic: topic.into(),
            server: None,
            chosen: None,
            is_fanout: false,
        }))
    }

    /// The target of one queue, whose servers share its requests.
    ///
    /// A server declares the queue. A plain name means the existing queue, or a new one that ends
    /// with its last server. In a queue that does not end with its servers, requests wait for
    /// the next server.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, rpc::{self, Client, Target}};
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("double").max_length(1_000);
    /// let server = rpc::serve::<u32, u32>(&broker, &queue, |number, _| number * 2)?;
    /// let client = Client::new(&broker, Target::queue("double"));
    /// client.ping()?;
    /// # drop(server);
    /// # Ok::<(), rpc::RpcError>(())
    /// ```
    pub fn queue(queue: impl Into<Queue>) -> Target {
        Target::new(Place::Queue(queue.into()))
    }

    fn new(place: Place) -> Target {
        Target {
            place,
            namespace: None,
            version: Version::default(),
        }
    }

    fn with_topic(mut self, change: impl FnOnce(&mut Topic)) -> Target {
        if let Place::Topic(topic) = &mut self.place {
            change(topic);
        }
        self
    }

    /// Sets the exchange of a topic. It is declared as a topic exchange. The target of a queue has
    /// no exchange, and ignores it.
    pub fn exchange(self, exchange: impl Into<String>) -> Target {
        self.with_topic(|topic| topic.exchange = exchange.into())
    }

    /// Sets the name of a server of the topic. Requests go to this one. The target of a queue
    /// ignores it.
    pub fn server(self, server: impl Into<String>) -> Target {
        self.with_topic(|topic| {
            topic.server = Some(server.into());
            topic.chosen = None;
            topic.is_fanout = false;
        })
    }

    /// Sends requests to the servers of the topic that have these names. Only casts and scatters
    /// can do that. Names without a server are left out. The target of a queue ignores it, and so
    /// does a server.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{Client, Endpoint, Server, Target}};
    ///
    /// let broker = Broker::new();
    /// let server = |name: &str, load: u32| {
    ///     let endpoint = Endpoint::new().method("load", move |(): (), _| load);
    ///     Server::new(&broker, Target::topic("hosts").server(name)).endpoint(endpoint).spawn()
    /// };
    /// let servers = [server("a", 3)?, server("b", 5)?, server("c", 7)?];
    /// let client = Client::new(&broker, Target::topic("hosts").servers(["a", "c", "nowhere"]));
    /// let loads: Result<Vec<u32>, _> = client.scatter("load", ())?.collect();
    /// assert_eq!(loads?.iter().sum::<u32>(), 10);
    /// # drop(servers);
    /// # Ok::<(), leveret::rpc::RpcError>(())
    /// ```
    pub fn servers<I>(self, servers: I) -> Target
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let chosen = servers.into_iter().map(Into::into).collect();
        self.with_topic(|topic| {
            topic.chosen = Some(chosen);
            topic.is_fanout = false;
        })
    }

    /// Sends requests to all servers of the topic. Only casts and scatters can do that. The target
    /// of a queue ignores it, and so does a server.
    pub fn fanout(self) -> Target {
        self.with_topic(|topic| {
            topic.chosen = None;
            topic.is_fanout = true;
        })
    }

    /// Sets the namespace of the requests. The default is none.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Target {
        self.namespace = Some(namespace.into().into());
        self
    }

    /// Sets the version that the requests need. The default is 1.0.
    pub fn version(mut self, version: impl Into<Version>) -> Target {
        self.version = version.into();
        self
    }

    /// Whether a request may go to several servers.
    pub(super) fn is_to_many(&self) -> bool {
        matches!(&self.place, Place::Topic(topic) if topic.is_fanout || topic.chosen.is_some())
    }

    /// # Errors
    /// [`RpcError::InvalidTarget`].
    pub(super) fn check(&self) -> Result<(), RpcError> {
        match &self.place {
            Place::Queue(queue) if queue.name().is_empty() => {
                Err(RpcError::InvalidTarget("the queue has no name".into()))
            }
            Place::Queue(_) => Ok(()),
            Place::Topic(topic) => topic.check(),
        }
    }

    /// The queues that a server listens at.
    ///
    /// # Errors
    /// [`RpcError::InvalidTarget`].
    pub(super) fn queues(&self) -> Result<Vec<Queue>, RpcError> {
        self.check()?;
        let topic = match &self.place {
            Place::Queue(queue) if queue.is_open() => {
                return Ok(vec![queue.clone().durable().auto_delete()]);
            }
            Place::Queue(queue) => return Ok(vec![queue.clone()]),
            Place::Topic(topic) => topic,
        };
        let shared = topic.queue(&topic.topic).auto_delete();
        let own = topic.server.as_ref().map(|_| topic.own_queue());
        let queues = [Some(shared), own, Some(topic.fanout_queue())];
        Ok(queues.into_iter().flatten().collect())
    }

    /// The queues of a server that shares none with others: without that of the topic.
    ///
    /// # Errors
    /// [`RpcError::InvalidTarget`].
    pub(super) fn unshared_queues(&self) -> Result<Vec<Queue>, RpcError> {
        match &self.place {
            Place::Queue(_) => self.queues(),
            Place::Topic(topic) => {
                topic.check()?;
                Ok(vec![topic.own_queue(), topic.fanout_queue()])
            }
        }
    }

    /// The text of the target in errors.
    pub(super) fn text(&self) -> Arc<str> {
        match &self.place {
            Place::Queue(queue) => queue.name().into(),
            Place::Topic(topic) => topic.key().into(),
        }
    }
}

impl Topic {
    /// # Errors
    /// [`RpcError::InvalidTarget`].
    fn check(&self) -> Result<(), RpcError> {
        let parts = [
            ("exchange", Some(&self.exchange)),
            ("topic", Some(&self.topic)),
            ("server", self.server.as_ref()),
        ];
        for (part, name) in parts {
            let Some(name) = name else { continue };
            let fault = match name.as_str() {
                "" => "is empty",
                name if name.contains(['*', '#']) => "contains a wildcard",
                _ => continue,
            };
            return Err(RpcError::InvalidTarget(
                format!("the {part} '{name}' {fault}").into(),
            ));
        }
        Ok(())
    }

    pub(super) fn exchange(&self) -> Exchange {
        Exchange::topic(&self.exchange)
    }

    pub(super) fn fanout_exchange(&self) -> Exchange {
        Exchange::fanout(format!("{}.{}.fanout", self.exchange, self.topic))
    }

    /// The routing key of requests.
    pub(super) fn key(&self) -> String {
        match &self.server {
            Some(server) => self.key_of(server),
            None => self.topic.clone(),
        }
    }

    /// The routing key of the requests to a server.
    pub(super) fn key_of(&self, server: &str) -> String {
        format!("{}.{server}", self.topic)
    }

    /// The queue of the requests to this server only.
    fn own_queue(&self) -> Queue {
        self.queue(&self.key()).auto_delete()
    }

    /// A queue of the requests to all servers.
    fn fanout_queue(&self) -> Queue {
        Queue::temporary().bind(self.fanout_exchange(), "")
    }

    /// The queue of a routing key. An existing one is used, whatever its properties.
    pub(super) fn queue(&self, key: &str) -> Queue {
        let queue = Queue::from(format!("{}.{key}", self.exchange)).durable();
        queue.bind(self.exchange(), key)
    }
}
