//! [`ListenerBuilder`].

use std::{collections::BTreeSet, fmt};

use super::{
    Listener, Notification, NotificationFilter, Priority,
    builder::{NOTIFICATIONS, backlog_name, routing_key},
};
use crate::{
    handles::consumer::ConsumerBuilder,
    message::payload::Serializable,
    model::{
        descriptions::{Exchange, Queue},
        error::{Error, Result},
    },
    patterns::worker::{Context, HandlerResult, Worker, WorkerBuilder},
    session::connection::Connection,
};

/// Builds a [`Listener`]. [`Connection::listener`](crate::Connection::listener) returns it.
///
/// A listener has endpoints. Each one is a [worker](crate::worker) with a queue of its own, so that
/// a notification that one of them requeues does not return to another. The queue is deleted with
/// its endpoint. All that a worker can do, an endpoint can: several threads, retries, time-outs,
/// batches.
///
/// # Pools
/// The members of a [pool](Self::pool) share the queues of their endpoints: each notification goes
/// to one of them. Every pool gets a copy, and so does each listener without a pool.
///
/// # oslo.messaging
/// `get_notification_listener`. There an endpoint is an object with methods named as the
/// priorities, an error requeues the notification, and a queue without a listener stays.
///
/// # Examples
/// ```
/// use leveret::notify::{Notification, NotificationFilter, Priority};
/// use leveret::{Backoff, middleware::Retry, worker::Context};
/// use std::time::Duration;
///
/// let broker = leveret::Broker::new();
/// let filter = NotificationFilter::new().publisher_id("^local")?;
/// let listener = broker
///     .listener::<String>()
///     .topic("orders")
///     .pool("mails")
///     .on(Priority::Info, |it, _| println!("info: {}", it.payload))
///     .endpoint("alarms", [Priority::Error, Priority::Critical], |worker| {
///         let retry = Retry::new(Backoff::new(Duration::from_secs(1)).max_attempts(3));
///         let handler = |it: &Notification<String>, _: &Context<'_>| {
///             it.payload.parse::<u32>().map(drop)
///         };
///         worker.concurrency(2).middleware(retry).handler(filter.then(handler))
///     });
/// let listener = listener.spawn()?;
/// # let notifier = broker.notifier::<String>("local").topic("orders").build()?;
/// # notifier.info("order.paid", "7".to_owned())?;
/// # notifier.error("order.lost", "8".to_owned())?;
/// # let report = listener.stop_and_drain(Duration::from_secs(10));
/// # assert!(report.endpoints.iter().all(|endpoint| endpoint.counts.acked == 1));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a listener builder does nothing until its listener runs"]
pub struct ListenerBuilder<T: Serializable> {
    connection: Result<Connection>,
    exchange: String,
    topics: Vec<String>,
    pool: Option<String>,
    start_at: StartAt,
    describe: Box<dyn Fn(Queue) -> Queue + Send>,
    endpoints: Vec<Endpoint<T>>,
}

/// The first notifications of a listener.
///
/// # Examples
/// ```
/// use leveret::notify::{Priority, StartAt};
///
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<u32>("shop").store_and_forward(100).build()?;
/// notifier.info("order.paid", 7)?; // no listener is there yet
/// let listener = broker.listener::<u32>().start_at(StartAt::Backlog);
/// let listener = listener.on(Priority::Info, |it, _| assert_eq!(it.payload, 7)).spawn()?;
/// let report = listener.stop_and_drain(std::time::Duration::from_secs(10));
/// assert_eq!(report.endpoints[0].counts.acked, 1);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// Those that are sent from the start on.
    #[default]
    New,
    /// Those that notifiers with [`store_and_forward`](super::NotifierBuilder::store_and_forward)
    /// keep, and later ones. The listeners that start there share them: each notification goes to
    /// one of them.
    Backlog,
}

type Make<T> = dyn FnOnce(WorkerBuilder<Notification<T>>) -> Worker<Notification<T>> + Send;

struct Endpoint<T: Serializable> {
    name: String,
    priorities: BTreeSet<Priority>,
    make: Box<Make<T>>,
}

impl<T: Serializable> ListenerBuilder<T> {
    pub(crate) fn new(connection: Result<Connection>) -> ListenerBuilder<T> {
        ListenerBuilder {
            connection,
            exchange: NOTIFICATIONS.to_owned(),
            topics: Vec::new(),
            pool: None,
            start_at: StartAt::New,
            describe: Box::new(|queue| queue),
            endpoints: Vec::new(),
        }
    }

    /// Sets the exchange of the notifications. The default is `notifications`.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.exchange = exchange.into();
        self
    }

    /// Adds a topic. Without any the topic is `notifications`. In it `*` is one word and `#` any
    /// number of words, as in the binding keys of a topic exchange.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Adds topics, as [`topic`](Self::topic) does.
    pub fn topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Makes the listener a member of a pool, whose members share the notifications.
    ///
    /// The queue of an endpoint is named `<exchange>.<pool>.<endpoint>`. It is deleted with the
    /// last member that has the endpoint. A notification that another member still has in hand then
    /// cannot return. The members should have the same topics and endpoints: a
    /// queue gets the notifications that any of them asks for.
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.pool = Some(pool.into());
        self
    }

    /// Sets the first notifications of the listener. The default is [`StartAt::New`].
    pub fn start_at(mut self, start_at: StartAt) -> Self {
        self.start_at = start_at;
        self
    }

    /// Sets further properties of the queues of the endpoints, such as a limit or a dead letter
    /// exchange. The members of a pool need the same ones. It has no effect on the queues of the
    /// [backlog](StartAt::Backlog), which the notifier declares.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Overflow, notify::Priority};
    ///
    /// let broker = leveret::Broker::new();
    /// let dead = broker.consumer::<serde_json::Value>("dead")?;
    /// let listener = broker.listener::<u32>().queues(|queue| {
    ///     let queue = queue.max_length(1_000).overflow(Overflow::RejectPublish);
    ///     queue.dead_letter_exchange("").dead_letter_routing_key("dead")
    /// });
    /// let listener = listener.on(Priority::Info, |_, _| Err::<(), _>("it fails")).spawn()?;
    /// broker.notifier::<u32>("shop").build()?.info("order.paid", 7)?;
    /// assert_eq!(dead.recv()?["payload"], 7);
    /// # listener.stop();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queues(mut self, describe: impl Fn(Queue) -> Queue + Send + 'static) -> Self {
        self.describe = Box::new(describe);
        self
    }

    /// Adds an endpoint that handles the notifications of one priority. Its name is that of the
    /// priority. The result of the handler settles the notification, as in a
    /// [worker](WorkerBuilder#settlement).
    pub fn on<F, R>(self, priority: Priority, handler: F) -> Self
    where
        F: Fn(&Notification<T>, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult,
    {
        self.endpoint(priority.as_str(), [priority], |worker| {
            worker.handler(handler)
        })
    }

    /// As [`on`](Self::on), for the notifications that the filter chooses. All others are
    /// acknowledged.
    pub fn on_matching<F, R>(
        self,
        priority: Priority,
        filter: NotificationFilter,
        handler: F,
    ) -> Self
    where
        F: Fn(&Notification<T>, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult + 'static,
    {
        self.endpoint(priority.as_str(), [priority], |worker| {
            worker.handler(filter.then(handler))
        })
    }

    /// Adds an endpoint with a worker of your own making. `make` gets its builder, with the queue
    /// of the endpoint.
    ///
    /// The builder has an example.
    pub fn endpoint<F>(
        mut self,
        name: impl Into<String>,
        priorities: impl IntoIterator<Item = Priority>,
        make: F,
    ) -> Self
    where
        F: FnOnce(WorkerBuilder<Notification<T>>) -> Worker<Notification<T>> + Send + 'static,
    {
        self.endpoints.push(Endpoint {
            name: name.into(),
            priorities: priorities.into_iter().collect(),
            make: Box::new(make),
        });
        self
    }

    /// Makes the listener.
    ///
    /// # Errors
    /// - [`Error::NotAllowed`] if there is no endpoint, two have the same name, one has no
    ///   priority, or a pool is to start at the backlog.
    /// - The errors of the connection, if it is closed.
    ///
    /// # Panics
    /// If a closure of [`queues`](Self::queues) or [`endpoint`](Self::endpoint) does.
    pub fn build(mut self) -> Result<Listener<T>> {
        let connection = self.connection.clone()?;
        if self.topics.is_empty() {
            self.topics.push(NOTIFICATIONS.to_owned());
        }
        let endpoints = std::mem::take(&mut self.endpoints);
        check(&endpoints)?;
        if self.pool.is_some() && self.start_at == StartAt::Backlog {
            let text = "a pool of listeners has queues of its own, and no backlog";
            return Err(Error::NotAllowed(text.into()));
        }
        let exchange = Exchange::topic(&self.exchange);
        let workers = endpoints.into_iter().map(|endpoint| {
            let consumer = self.consumer(&connection, &exchange, &endpoint);
            let worker = WorkerBuilder::new(Ok(connection.clone()), consumer);
            (endpoint.make)(worker.name(endpoint.name))
        });
        Ok(Listener {
            workers: workers.collect(),
        })
    }

    /// Makes the listener, and runs it on threads of its own.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and of [`Listener::spawn`].
    pub fn spawn(self) -> Result<super::ListenerHandle> {
        self.build()?.spawn()
    }

    /// The consumer of an endpoint: of a queue of its own, or of those of the backlog.
    fn consumer(
        &self,
        connection: &Connection,
        exchange: &Exchange,
        endpoint: &Endpoint<T>,
    ) -> ConsumerBuilder<Notification<T>> {
        let consumer = |queue| ConsumerBuilder::new(Ok(connection.clone()), queue);
        let kept = self
            .keys(endpoint)
            .map(|key| backlog_name(&self.exchange, &key));
        let mut kept = kept.map(Queue::existing);
        if let (StartAt::Backlog, Some(first)) = (self.start_at, kept.next()) {
            return kept.fold(consumer(first), ConsumerBuilder::also);
        }
        let queue = match &self.pool {
            Some(pool) => {
                Queue::new(format!("{}.{pool}.{}", self.exchange, endpoint.name)).auto_delete()
            }
            None => Queue::temporary(),
        };
        let queue = (self.describe)(queue);
        let keys = self.keys(endpoint);
        consumer(keys.fold(queue, |queue, key| queue.bind(exchange, key)))
    }

    fn keys<'a>(&'a self, endpoint: &'a Endpoint<T>) -> impl Iterator<Item = String> + 'a {
        let topics = self.topics.iter();
        topics.flat_map(|topic| {
            let priorities = endpoint.priorities.iter();
            priorities.map(|priority| routing_key(topic, *priority))
        })
    }
}

fn check<T: Serializable>(endpoints: &[Endpoint<T>]) -> Result {
    let refused = |text: String| Err(Error::NotAllowed(text.into()));
    if endpoints.is_empty() {
        return refused("a listener needs an endpoint".to_owned());
    }
    let mut names = BTreeSet::new();
    for endpoint in endpoints {
        let name = &endpoint.name;
        if endpoint.priorities.is_empty() {
            return refused(format!("endpoint '{name}' of a listener needs a priority"));
        }
        if !names.insert(name) {
            return refused(format!("a listener has two endpoints named '{name}'"));
        }
    }
    Ok(())
}

impl<T: Serializable> fmt::Debug for ListenerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.name)
            .collect();
        f.debug_struct("ListenerBuilder")
            .field("exchange", &self.exchange)
            .field("topics", &self.topics)
            .field("pool", &self.pool)
            .field("endpoints", &endpoints)
            .finish_non_exhaustive()
    }
}
