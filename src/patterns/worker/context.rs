//! [`Context`], everything that a handler gets beside the payload.

use std::{fmt, sync::Arc, time::Instant};

use super::{StopSignal, core::Shared, job::JobCell, limit::Limited};
use crate::{
    handles::producer::{Destination, Producer},
    message::{outgoing::Message, payload::Payload, properties::Properties},
    model::{
        descriptions::Exchange,
        error::{Error, Result},
        field_value::{FieldTable, FieldValue},
    },
    runtime::signal::Signal,
    session::{connection::Connection, delivery_info::DeliveryInfo},
};

/// Everything that a handler gets beside the payload: the message's properties, producers, a reply,
/// and the stop signal.
///
/// The context of a handler for tasks is owned. It keeps its message unsettled: the worker settles
/// a message when the handler has ended, and its job and its context are dropped.
///
/// # Examples
/// ```
/// use leveret::{Broker, Message};
///
/// let broker = Broker::new();
/// let invoices = broker.producer::<String>("invoices")?;
/// let orders = broker.worker::<u32>("orders").handler(move |order, context| {
///     let customer = context.headers().and_then(|headers| headers.get("customer"));
///     let text = format!("{order} for {customer:?}, delivery {}", context.acquired_count() + 1);
///     // This producer may publish even while the broker shuts down.
///     context.producer(&invoices).publish(text).map(drop)
/// });
/// # let worker = orders.spawn()?;
/// # broker.producer::<u32>("orders")?.publish_message(Message::new(7).header("customer", "Ada"))?;
/// # let text = broker.consumer::<String>("invoices")?.recv()?.ack_into().unwrap();
/// # assert!(text.starts_with("7 for Some(") && text.ends_with("delivery 1"), "{text}");
/// # worker.stop();
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Context<'a> {
    parts: Parts<'a>,
}

enum Parts<'a> {
    /// Of a handler that is called.
    Borrowed {
        shared: &'a Arc<Shared>,
        info: &'a DeliveryInfo,
        time: Option<&'a Limited>,
    },
    /// Of a handler that is a future.
    Owned {
        shared: Arc<Shared>,
        cell: Arc<JobCell>,
        over: Option<Arc<Signal>>,
    },
}

/// The header of a message with the context of the request that it belongs to.
pub(crate) const REQUEST_CONTEXT: &str = "x-request-context";

impl<'a> Context<'a> {
    #[inline(always)]
    pub(super) fn borrowed(shared: &'a Arc<Shared>, info: &'a DeliveryInfo) -> Context<'a> {
        Context {
            parts: Parts::Borrowed {
                shared,
                info,
                time: None,
            },
        }
    }

    /// As [`borrowed`](Self::borrowed), for a handler with a time limit.
    pub(super) fn limited(
        shared: &'a Arc<Shared>,
        info: &'a DeliveryInfo,
        time: &'a Limited,
    ) -> Context<'a> {
        Context {
            parts: Parts::Borrowed {
                shared,
                info,
                time: Some(time),
            },
        }
    }

    pub(super) fn owned(
        shared: Arc<Shared>,
        cell: Arc<JobCell>,
        over: Option<Arc<Signal>>,
    ) -> Context<'static> {
        Context {
            parts: Parts::Owned { shared, cell, over },
        }
    }

    /// Set when the time of the handler is over, if it has a limit.
    pub(crate) fn over(&self) -> Option<&Arc<Signal>> {
        match &self.parts {
            Parts::Borrowed { time, .. } => time.map(Limited::over),
            Parts::Owned { over, .. } => over.as_ref(),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        match &self.parts {
            Parts::Borrowed { shared, .. } => shared,
            Parts::Owned { shared, .. } => shared,
        }
    }

    /// The information about the message: its queue, exchange, routing key and properties.
    pub fn info(&self) -> &DeliveryInfo {
        match &self.parts {
            Parts::Borrowed { info, .. } => info,
            Parts::Owned { cell, .. } => cell.info(),
        }
    }

    /// The name of the worker.
    pub fn worker(&self) -> &str {
        &self.shared().name
    }

    /// The connection of the worker.
    pub fn connection(&self) -> &Connection {
        &self.shared().connection
    }

    /// The properties of the message.
    pub fn properties(&self) -> &Properties {
        self.info().properties()
    }

    /// The headers of the message.
    pub fn headers(&self) -> Option<&FieldTable> {
        self.properties().headers.as_ref()
    }

    /// The number of earlier deliveries of the message that returned to the queue, for whatever
    /// reason.
    pub fn acquired_count(&self) -> u32 {
        self.info().acquired_count()
    }

    /// The number of earlier deliveries of the message that failed, in queues that it was in before
    /// too. [`DeliveryInfo::delivery_count`] says which ones count.
    pub fn delivery_count(&self) -> u32 {
        self.info().delivery_count()
    }

    /// The time of the broker's clock.
    pub fn now(&self) -> Instant {
        self.shared().time.now()
    }

    /// Makes a producer that publishes on behalf of this message, with all settings of `producer`.
    ///
    /// While the broker shuts down, only those may publish that hold a message. A handler that runs
    /// on the thread of its worker does. A task needs this producer.
    /// [`Delivery::producer`](crate::Delivery::producer) has the details.
    pub fn producer<U: Payload>(&self, producer: &Producer<U>) -> Producer<U> {
        let claim = match &self.parts {
            Parts::Borrowed {
                time: Some(time),
                info,
                ..
            } => time.claim(info),
            _ => None,
        };
        producer.on_behalf_of(claim.unwrap_or_else(|| self.info().claim()))
    }

    /// Makes a producer for an exchange or a queue, which publishes on behalf of this message.
    ///
    /// It costs more than [`producer`](Self::producer) of a producer that is there already.
    ///
    /// # Errors
    /// The errors of [`Connection::producer`].
    pub fn producer_to<U: Payload>(&self, to: impl Into<Destination>) -> Result<Producer<U>> {
        let producer = self.connection().producer(to)?;
        Ok(self.producer(&producer))
    }

    /// Publishes a reply to the queue that the message names in `reply_to`, with the
    /// `correlation_id` of the message.
    ///
    /// # RabbitMQ
    /// `send_reply` of kombu.
    ///
    /// # Errors
    /// - [`Error::NoReplyTo`] if the message has no `reply_to`.
    /// - [`Error::NoRoute`] if that queue does not exist any more. It is no error if the requester
    ///   of a direct reply is gone, as in RabbitMQ.
    /// - The other errors of a publish.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Message, Queue};
    /// # let broker = Broker::new();
    /// let server = broker.worker::<u32>("double").handler(|number, context| {
    ///     context.reply(number * 2)
    /// });
    /// let server = server.spawn()?;
    ///
    /// let replies = broker.consumer::<u32>(&Queue::temporary())?;
    /// let request = Message::new(21).reply_to(replies.queue().to_string()).correlation_id("1");
    /// broker.producer::<u32>("double")?.publish_message(request)?;
    /// let reply = replies.recv()?;
    /// assert_eq!(*reply, 42);
    /// assert_eq!(reply.info().properties().correlation_id.as_deref(), Some("1"));
    /// # server.stop();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn reply<U: Payload>(&self, payload: U) -> Result {
        let properties = self.properties();
        let Some(reply_to) = properties.reply_to.as_deref() else {
            return Err(Error::NoReplyTo);
        };
        let mut message = self.message(payload).routing_key(reply_to).mandatory();
        if let Some(id) = properties.correlation_id.as_deref() {
            message = message.correlation_id(id);
        }
        let producer = self.producer_to::<U>(&Exchange::existing(""))?;
        producer.publish_message(message)?;
        Ok(())
    }

    /// The context of the request that the message belongs to, if it has one: the table in its
    /// header `x-request-context`.
    pub fn request_context(&self) -> Option<&FieldTable> {
        match self.headers()?.get(REQUEST_CONTEXT)? {
            FieldValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Makes a message that belongs to the same request: it has the same
    /// [`request_context`](Self::request_context).
    pub fn message<U>(&self, payload: U) -> Message<U> {
        let message = Message::new(payload);
        match self.request_context() {
            Some(context) => message.header(REQUEST_CONTEXT, FieldValue::Table(context.clone())),
            None => message,
        }
    }

    /// The handler has its result, and is about to publish it, say. Returns whether that is in
    /// time: its time limit does not end it any more.
    pub(crate) fn has_result(&self) -> bool {
        match &self.parts {
            Parts::Borrowed { time, .. } => time.is_none_or(Limited::has_result),
            Parts::Owned { over, .. } => !over.as_ref().is_some_and(|over| over.is_set()),
        }
    }

    /// Whether the handler is to stop now, as its [`stop_signal`](Self::stop_signal) says.
    pub fn is_stopping(&self) -> bool {
        let shared = self.shared();
        shared.stop.is_set()
            || self.over().is_some_and(|over| over.is_set())
            || shared
                .consumer()
                .is_some_and(|consumer| consumer.has_ended())
    }

    /// The signal to stop, to be waited for.
    pub fn stop_signal(&self) -> StopSignal {
        StopSignal::of(self.shared(), self.over())
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("worker", &self.worker())
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}
