//! Publishing on a channel: plain, with confirms, or in a transaction.

use std::{future::Future, time::Duration};

use super::{Channel, PublishOptions, PublishOutcome, outgoing::Begun};
use crate::{
    message::properties::Properties,
    model::{bytes::Bytes, error::Result},
    session::publisher::OnFull,
};

impl Channel {
    /// Publishes a message.
    ///
    /// It returns the outcome: which queues took the message, and in confirm mode its number.
    ///
    /// Events report the outcome too, as in AMQP. A mandatory message that reaches no queue is
    /// returned as [`Event::Return`](crate::channel::Event::Return). In confirm mode an
    /// [`Event::Confirm`](crate::channel::Event::Confirm) follows. The events are in the stream
    /// when this method returns.
    ///
    /// # Blocking
    /// This method waits for room in two cases:
    ///
    /// - A queue of the route is full and has [`Overflow::Block`](crate::Overflow::Block).
    /// - A spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block) covers a queue of
    ///   the route.
    ///
    /// The other queues of the route have the message at once. In a transaction neither this method
    /// nor the commit waits: at the commit such a queue refuses the message.
    ///
    /// # RabbitMQ
    /// `basic.publish` (AMQP 0-9-1). When this method returns, the message is in its queues. In
    /// RabbitMQ a publish returns before the message is routed.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) for an unknown exchange.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for an internal exchange.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid
    ///   `expiration` or `user_id`; for a `CC` or `BCC` header that is not an array; for a
    ///   `reply_to` of `amq.rabbitmq.reply-to`, if the channel does not consume from it.
    /// - [`Error::NotImplemented`](crate::Error::NotImplemented) for `immediate`.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) for a name or key over 255 bytes.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel), also if it closes
    ///   while the method waits and no queue has the message.
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{Event, PublishOptions}, Properties};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let options = PublishOptions::new().mandatory();
    /// let outcome =
    ///     channel.basic_publish("amq.topic", "disk.error", "full", Properties::new(), options)?;
    /// assert!(outcome.returned && outcome.published.routed == 0);
    /// match channel.events().try_recv()? {
    ///     Event::Return(returned) => {
    ///         assert_eq!((returned.reply_code, returned.reply_text), (312, "NO_ROUTE"));
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// let options = PublishOptions::new();
    /// let published = channel.basic_publish("no such", "", "", Properties::new(), options);
    /// let error = published.unwrap_err();
    /// assert_eq!(error.to_string(), "NOT_FOUND - no exchange 'no such' in vhost '/'");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_publish(
        &self,
        exchange: &str,
        routing_key: &str,
        body: impl Into<Bytes>,
        properties: Properties,
        options: PublishOptions,
    ) -> Result<PublishOutcome> {
        let message = (body.into(), properties, options);
        self.publish(exchange, routing_key, message, OnFull::Wait)
    }

    /// The same as [`basic_publish`](Self::basic_publish), but never waits for room.
    ///
    /// # RabbitMQ
    /// As for [`basic_publish`](Self::basic_publish).
    ///
    /// # Errors
    /// The errors of [`basic_publish`](Self::basic_publish), and
    /// [`Error::Refused`](crate::Error::Refused) if no queue took the message and at least one was
    /// full. In confirm mode such a message has no number and no confirm.
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, Error, Overflow, Properties, Queue};
    /// # use std::time::Duration;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    /// channel.queue_declare(&queue)?;
    /// let (properties, options) = (Properties::new(), PublishOptions::new());
    /// channel.try_basic_publish("", "q", "first", properties.clone(), options)?;
    /// let full = channel.try_basic_publish("", "q", "second", properties.clone(), options);
    /// assert!(matches!(full, Err(Error::Refused { .. })));
    /// let wait = Duration::from_millis(1);
    /// let late = channel.basic_publish_timeout("", "q", "second", properties, options, wait);
    /// assert_eq!(late, Err(Error::Timeout));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_basic_publish(
        &self,
        exchange: &str,
        routing_key: &str,
        body: impl Into<Bytes>,
        properties: Properties,
        options: PublishOptions,
    ) -> Result<PublishOutcome> {
        let message = (body.into(), properties, options);
        self.publish(exchange, routing_key, message, OnFull::Refuse)
    }

    /// The same as [`basic_publish`](Self::basic_publish), with a wait of at most `timeout` by the
    /// broker's clock.
    ///
    /// [`try_basic_publish`](Self::try_basic_publish) has an example of both methods.
    ///
    /// # RabbitMQ
    /// As for [`basic_publish`](Self::basic_publish).
    ///
    /// # Errors
    /// The errors of [`basic_publish`](Self::basic_publish), and
    /// [`Error::Timeout`](crate::Error::Timeout) if no queue took the message in time. In confirm
    /// mode such a message has no number and no confirm.
    pub fn basic_publish_timeout(
        &self,
        exchange: &str,
        routing_key: &str,
        body: impl Into<Bytes>,
        properties: Properties,
        options: PublishOptions,
        timeout: Duration,
    ) -> Result<PublishOutcome> {
        let message = (body.into(), properties, options);
        self.publish(exchange, routing_key, message, OnFull::WaitFor(timeout))
    }

    /// The same as [`basic_publish`](Self::basic_publish), but waits for room without blocking the
    /// thread.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready gives the message up. The queues that have taken
    /// the message keep it. In confirm mode the message has no number and no confirm.
    ///
    /// # RabbitMQ
    /// As for [`basic_publish`](Self::basic_publish).
    ///
    /// # Errors
    /// The errors of [`basic_publish`](Self::basic_publish).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, Properties, Queue};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// let (properties, options) = (Properties::new(), PublishOptions::new());
    /// let publishing = pin!(channel.basic_publish_async("", "q", "hello", properties, options));
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(matches!(publishing.poll(&mut context), Poll::Ready(Ok(_))));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_publish_async(
        &self,
        exchange: &str,
        routing_key: &str,
        body: impl Into<Bytes>,
        properties: Properties,
        options: PublishOptions,
    ) -> impl Future<Output = Result<PublishOutcome>> + Send {
        let body = body.into();
        async move {
            let core = self.core();
            let at_once = core.publish_at_once(exchange, routing_key, body, properties, options);
            let (body, properties) = match at_once {
                Ok(outcome) => return Ok(outcome),
                Err(message) => message,
            };
            let address = core.address(exchange, routing_key, options)?;
            let Some(begun) = core.begin(&address, body, properties, options)? else {
                return Ok(PublishOutcome::default());
            };
            let Begun {
                prepared,
                mut envelope,
                ended,
            } = begun;
            let pushed = prepared.push_unsynced_async(&mut envelope, core).await;
            core.end(ended, pushed, OnFull::Wait)
        }
    }

    fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        (body, properties, options): (Bytes, Properties, PublishOptions),
        on_full: OnFull,
    ) -> Result<PublishOutcome> {
        let core = self.core();
        let at_once = core.publish_at_once(exchange, routing_key, body, properties, options);
        let (body, properties) = match at_once {
            Ok(outcome) => return Ok(outcome),
            Err(message) => message,
        };
        let address = core.address(exchange, routing_key, options)?;
        let Some(begun) = core.begin(&address, body, properties, options)? else {
            return Ok(PublishOutcome::default());
        };
        let Begun {
            prepared,
            mut envelope,
            ended,
        } = begun;
        let pushed = prepared.push_unsynced(&mut envelope, core, on_full);
        core.end(ended, pushed, on_full)
    }
}
