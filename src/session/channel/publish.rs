//! Publishing on a channel: plain, with confirms, or in a transaction.

use std::{sync::Arc, task::Poll};

use super::{
    Channel, ChannelCore, PublishMode, PublishOptions,
    confirms::UnderWay,
    events::{ConfirmOutcome, Event, Returned},
};
use crate::{
    engine::vhost::{Published, REPLY_TO},
    message::{
        envelope::{Envelope, Meta},
        headers::cc_bcc,
        outgoing::Delay,
        payload::Body,
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{Error, Result},
        field_value::FieldTable,
        name::Name,
    },
    runtime::waiter::{Ticket, WaitList, Waitable},
    session::publisher::{
        CachedRoute, Caller, NotPublished, OnFull, Overrides, Prepared, Publisher,
    },
};

/// A message of a transaction, to be published at the commit. Its checks are done.
pub(super) struct Pending {
    publisher: Arc<Publisher>,
    /// The route at the time of the publish.
    route: Arc<CachedRoute>,
    message: Outgoing,
}

/// The parts of a message that are needed to push it into its queues or to return it.
struct Outgoing {
    exchange: Name,
    routing_key: Name,
    body: Bytes,
    meta: Arc<Meta>,
    mandatory: bool,
    /// The headers, if they name more routing keys, with those of `BCC`.
    selecting: Option<FieldTable>,
}

/// Ready when the channel is closed.
pub(crate) struct Closing(Arc<ChannelCore>);

impl Waitable for Closing {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.closed.is_some() {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            state.closing.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.0.lock().closing);
    }
}

impl Caller for Arc<ChannelCore> {
    type Closing = Closing;

    fn closing(&self) -> Closing {
        Closing(Arc::clone(self))
    }

    fn check_open(&self) -> Result {
        ChannelCore::check_open(self)
    }

    fn holds_deliveries(&self) -> bool {
        self.lock().has_unsettled()
    }

    fn check_properties(&self, properties: &Properties) -> Result {
        self.requester_name(properties).map(drop)
    }
}

impl ChannelCore {
    /// The name that replies to this channel are sent to, if `properties` ask for a direct reply.
    fn requester_name(&self, properties: &Properties) -> Result<Option<Name>> {
        if properties.reply_to.as_deref() != Some(REPLY_TO) {
            return Ok(None);
        }
        match &self.open()?.replies_to {
            Some((_, name)) => Ok(Some(name.clone())),
            None => Err(Error::no_reply_consumer()),
        }
    }

    /// Publishes a message of a transaction at its commit.
    pub(super) fn commit_pending(&self, pending: Pending) -> Published {
        let Pending {
            publisher,
            route,
            message,
        } = pending;
        let visible = message.meta.properties.headers.as_ref();
        let (key, headers) = (
            &*message.routing_key,
            message.selecting.as_ref().or(visible),
        );
        match publisher.prepare_commit(&route, key, headers, message.mandatory) {
            Ok(prepared) => self.push(prepared, &message),
            // The commit reports it.
            Err(_) => Published::refused(1),
        }
    }

    /// Pushes a message into the queues of its route. A mandatory message without a queue is
    /// returned.
    fn push(&self, prepared: Prepared<'_>, outgoing: &Outgoing) -> Published {
        let Outgoing {
            body,
            meta,
            mandatory,
            ..
        } = outgoing;
        let is_reply = prepared.is_reply();
        let mut message = Some(Envelope::new(
            Body::encoded(body.clone()),
            prepared.address(),
            Some(Arc::clone(meta)),
        ));
        let published = match prepared.push(&mut message) {
            // As in RabbitMQ a mandatory reply is returned too, since it is in no queue.
            Ok(published) if is_reply && *mandatory => published,
            Ok(published) => return published,
            Err(NotPublished::Refused { refused, .. }) => return Published::refused(refused),
            Err(NotPublished::NoRoute) => Published::default(),
            // It is in no queue, and its confirm says so.
            Err(NotPublished::NotShareable { .. } | NotPublished::Invalid(_)) => {
                return Published::refused(1);
            }
        };
        let returned = Returned {
            reply_code: 312,
            reply_text: "NO_ROUTE",
            exchange: outgoing.exchange.clone(),
            routing_key: outgoing.routing_key.clone(),
            properties: meta.properties.clone(),
            body: body.clone(),
        };
        let wake = self.lock().send(Event::Return(returned));
        if let Some(wake) = wake {
            wake.wake();
        }
        published
    }
}

impl Channel {
    /// Publishes a message.
    ///
    /// Events report the result, as in AMQP. A mandatory message that reaches no queue is returned
    /// as [`Event::Return`]. In confirm mode an [`Event::Confirm`] follows. The events are in the
    /// stream when this method returns.
    ///
    /// # Blocking
    /// This method waits for capacity in two cases:
    ///
    /// - A queue of the route is full and has [`Overflow::Block`](crate::Overflow::Block).
    /// - A spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block) covers a queue of
    ///   the route.
    ///
    /// In a transaction neither this method nor the commit waits.
    ///
    /// # RabbitMQ
    /// `basic.publish` (AMQP 0-9-1). When this method returns, the message is in its queues. In
    /// RabbitMQ a publish returns before the message is routed.
    ///
    /// # Errors
    /// - [`Error::NotFound`] for an unknown exchange.
    /// - [`Error::AccessRefused`] for an internal exchange.
    /// - [`Error::PreconditionFailed`] for an invalid `expiration`, `delivery_mode` or `user_id`.
    /// - [`Error::PreconditionFailed`] for a `CC` or `BCC` header that is not an array.
    /// - [`Error::PreconditionFailed`] for a `reply_to` of `amq.rabbitmq.reply-to`, if the channel
    ///   does not consume from it.
    /// - [`Error::NotImplemented`] for `immediate`.
    /// - [`Error::InvalidName`] for a name or key over 255 bytes.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{Event, PublishOptions}, Properties};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let options = PublishOptions::new().mandatory();
    /// channel.basic_publish("amq.topic", "disk.error", "full", Properties::new(), options)?;
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
    ) -> Result {
        if options.immediate {
            return Err(Error::immediate());
        }
        let core = self.core();
        core.check_open()?;
        let (exchange, routing_key) = (Name::of_entity(exchange)?, Name::new(routing_key)?);
        let publisher = core.publisher(&exchange);
        let overrides = Overrides {
            routing_key: Some(&routing_key),
            mandatory: Some(options.mandatory),
            delay: Delay::None,
        };
        // A publish in a transaction does not wait.
        let on_full = match core.open()?.mode {
            PublishMode::Tx(_) => OnFull::Skip,
            PublishMode::Plain | PublishMode::Confirm(_) => OnFull::Wait,
        };
        let prepared = publisher.prepare(core, overrides, Some(&properties), on_full)?;
        let mut properties = properties;
        if let Some(name) = core.requester_name(&properties)? {
            properties = properties.reply_to(name.to_string());
        }
        let selecting = properties
            .headers
            .clone()
            .filter(|headers| cc_bcc::is_selected_by_sender(Some(headers)));
        let bcc = match selecting {
            Some(_) => cc_bcc::take_bcc(&mut properties),
            None => Vec::new(),
        };
        let meta = Arc::new(Meta {
            properties,
            bcc,
            ..Meta::default()
        });
        let outgoing = Outgoing {
            exchange,
            routing_key: routing_key.clone(),
            body: body.into(),
            meta,
            mandatory: options.mandatory,
            selecting,
        };
        // The channel may have been closed while the publish waited.
        let mut state = core.open()?;
        let number = match &mut state.mode {
            PublishMode::Tx(tx) => {
                let route = prepared.into_route();
                tx.publish(Pending {
                    publisher: Arc::clone(&publisher),
                    route,
                    message: outgoing,
                });
                return Ok(());
            }
            PublishMode::Confirm(confirms) => Some(confirms.begin()),
            PublishMode::Plain => None,
        };
        drop(state);
        let under_way = number.map(|number| UnderWay {
            core,
            number,
            outcome: ConfirmOutcome::Nack,
        });
        let published = core.push(prepared, &outgoing);
        if let Some(under_way) = under_way {
            under_way.confirm(published);
        }
        Ok(())
    }
}
