//! [`Context`], everything that a method gets beside its arguments.

use std::{fmt, sync::Arc, time::Instant};

use super::{Client, any_call::AnyCall};
use crate::{
    handles::producer::Producer,
    message::payload::Payload,
    model::{field_value::FieldTable, version::Version},
    patterns::worker::{self, StopSignal},
    session::connection::Connection,
};

/// Everything that a method gets beside its arguments: the request context, the deadline, the stop
/// signal, and clients and producers for more requests.
///
/// # Examples
/// ```
/// use leveret::{Broker, FieldTable, rpc::{Client, Endpoint, Server, Target}};
///
/// let broker = Broker::new();
/// let endpoint = Endpoint::new().method("whoami", |(): (), context| {
///     let user = context.request_context().and_then(|context| context.get("user"));
///     format!("{user:?} calls {}", context.method())
/// });
/// let server = Server::new(&broker, Target::topic("users")).endpoint(endpoint).spawn()?;
/// let client = Client::new(&broker, Target::topic("users"));
/// let ada = client.prepare().context(FieldTable::from([("user", "Ada")]));
/// assert!(ada.call::<String>("whoami", ())?.contains("Ada"));
/// # drop(server);
/// # Ok::<(), leveret::rpc::RpcError>(())
/// ```
pub struct Context<'a> {
    parts: Parts<'a>,
}

enum Parts<'a> {
    /// Of a method that is called.
    Borrowed {
        worker: &'a worker::Context<'a>,
        call: &'a Arc<dyn AnyCall>,
    },
    /// Of a method that is a future.
    Owned {
        worker: worker::Context<'static>,
        call: Arc<dyn AnyCall>,
    },
}

impl<'a> Context<'a> {
    #[inline]
    pub(super) fn borrowed(
        worker: &'a worker::Context<'a>,
        call: &'a Arc<dyn AnyCall>,
    ) -> Context<'a> {
        Context {
            parts: Parts::Borrowed { worker, call },
        }
    }

    pub(super) fn owned(
        worker: worker::Context<'static>,
        call: Arc<dyn AnyCall>,
    ) -> Context<'static> {
        Context {
            parts: Parts::Owned { worker, call },
        }
    }

    fn call(&self) -> &Arc<dyn AnyCall> {
        match &self.parts {
            Parts::Borrowed { call, .. } => call,
            Parts::Owned { call, .. } => call,
        }
    }

    /// The context of the worker that runs the server: its connection, and the request as a
    /// message.
    pub fn worker(&self) -> &worker::Context<'_> {
        match &self.parts {
            Parts::Borrowed { worker, .. } => worker,
            Parts::Owned { worker, .. } => worker,
        }
    }

    /// The connection of the server.
    pub fn connection(&self) -> &Connection {
        self.worker().connection()
    }

    /// The name of the method.
    pub fn method(&self) -> &str {
        &self.call().head().method
    }

    /// The namespace of the request, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.call().head().namespace.as_deref()
    }

    /// The version that the request needs.
    pub fn version(&self) -> Version {
        self.call().head().version
    }

    /// The context of the request, as the client has set it by
    /// [`Client::context`](super::Client::context).
    pub fn request_context(&self) -> Option<&FieldTable> {
        self.call().head().context.as_deref()
    }

    pub(super) fn shared_request_context(&self) -> Option<Arc<FieldTable>> {
        self.call().head().context.clone()
    }

    /// When the caller stops waiting, by the broker's clock. For a caller in another process it is
    /// the end of the [time of the method](super::Endpoint::timeout), if that comes before.
    pub fn deadline(&self) -> Option<Instant> {
        self.call().deadline()
    }

    /// The time of the broker's clock.
    pub fn now(&self) -> Instant {
        self.worker().now()
    }

    /// Whether the caller has given up: its time-out has passed, or its call was dropped. A reply
    /// would be late. A [cast](super::Client::cast) has no caller that could give up.
    pub fn is_cancelled(&self) -> bool {
        self.call().is_abandoned()
    }

    /// Whether the method is to stop now: its caller [has given up](Self::is_cancelled), or the
    /// server is stopped.
    pub fn is_stopping(&self) -> bool {
        self.worker().is_stopping() || self.is_cancelled()
    }

    /// The signal to stop, to be waited for.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{self, RpcError}};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let server = rpc::serve::<(), ()>(&broker, "slow", |(), context| {
    ///     context.stop_signal().wait(); // until the caller gives up, or the server is stopped
    /// })?;
    /// let slow = rpc::client::<(), ()>(&broker, "slow");
    /// assert_eq!(slow.call_timeout((), Duration::from_millis(10)), Err(RpcError::Timeout));
    /// let requests = server.stop_and_drain(Duration::from_secs(10)).requests;
    /// // The reply was late, unless the method was not even called in time.
    /// assert_eq!(requests.late + requests.expired, 1);
    /// # Ok::<(), RpcError>(())
    /// ```
    pub fn stop_signal(&self) -> StopSignal {
        self.worker().stop_signal().or(self.call().cancelled())
    }

    /// Makes a client that calls on behalf of this request. It has the same request context, and it
    /// may call while the broker [shuts down](crate::Broker::shutdown).
    ///
    /// A method that calls its own server waits for another thread or future of it. If all of them
    /// do so, as with a [concurrency](super::Server::concurrency) of 1, their calls wait until they
    /// time out.
    pub fn client(&self, client: &Client) -> Client {
        client.on_behalf_of(self)
    }

    /// Makes a producer that publishes on behalf of this request, as
    /// [`worker::Context::producer`] does.
    pub fn producer<T: Payload>(&self, producer: &Producer<T>) -> Producer<T> {
        self.worker().producer(producer)
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("worker", &self.worker().worker())
            .field("head", self.call().head())
            .finish_non_exhaustive()
    }
}
