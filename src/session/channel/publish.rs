//! Publishing on a channel: at once, with confirms, or in a transaction.

use std::{sync::Arc, task::Poll};

use super::{
    Channel, ChannelCore, PublishMode, PublishOptions,
    confirms::UnderWay,
    events::{ConfirmOutcome, Event, Returned},
};
use crate::{
    engine::vhost::{Published, PushFailure, REPLY_TO, Route},
    message::{
        envelope::{Envelope, Meta},
        headers::cc_bcc,
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
};

/// A message on its way: what is needed to put it into its queues, or to return it.
#[derive(Debug)]
pub(super) struct Pending {
    exchange: Name,
    routing_key: Name,
    body: Bytes,
    meta: Arc<Meta>,
    route: Route,
    mandatory: bool,
    /// The headers, if they name further keys: hidden ones among them.
    selecting: Option<FieldTable>,
}

/// Ready once the channel is closed.
struct Closing<'a>(&'a ChannelCore);

impl Waitable for Closing<'_> {
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

impl ChannelCore {
    /// Puts the name under which replies reach this channel into a request that asks for direct replies.
    fn name_requester(&self, properties: &mut Properties) -> Result {
        if properties.reply_to.as_deref() != Some(REPLY_TO) {
            return Ok(());
        }
        let Some((_, name)) = self.open()?.replies_to.clone() else {
            return Err(Error::no_reply_consumer());
        };
        *properties = std::mem::take(properties).reply_to(name.to_string());
        Ok(())
    }

    /// The route, once every queue on it that has publishers wait has room. In a transaction nobody waits.
    fn with_room(
        &self,
        mut route: Route,
        exchange: &Name,
        routing_key: &Name,
        headers: Option<&FieldTable>,
    ) -> Result<Route> {
        while let Some(room) = self.vhost().lacks_room(&route) {
            if matches!(self.open()?.mode, PublishMode::Tx(_)) {
                break;
            }
            // Without a deadline it ends only when there is room, or nobody to publish.
            let _ = room.wait_or(Closing(self), None);
            self.check_open()?;
            // It may lead elsewhere by now.
            route = self.vhost().resolve(exchange, routing_key, headers)?;
        }
        Ok(route)
    }

    /// As [`publish_pending`](Self::publish_pending), some time after the message was published: its route was decided
    /// then, by name. The default exchange's is the routing key, whether there was such a queue then or not.
    pub(super) fn commit_pending(&self, mut pending: Pending) -> Published {
        if pending.exchange.is_empty() {
            match self.vhost().resolve(
                &pending.exchange,
                &pending.routing_key,
                pending.selecting.as_ref(),
            ) {
                Ok(route) => pending.route = route,
                Err(_) => return Published::default(),
            }
        } else {
            // Of several queues those that are gone would be left out without a word.
            pending.route = self.vhost().renew(&pending.route);
        }
        self.publish_pending(pending)
    }

    /// Puts a message into the queues of its route; returns it if that is asked for and there are none.
    pub(super) fn publish_pending(&self, pending: Pending) -> Published {
        let Pending {
            exchange,
            routing_key,
            body,
            meta,
            mut route,
            mandatory,
            ..
        } = pending;
        let published = loop {
            let mut message = Some(Envelope::new(
                Body::encoded(body.clone()),
                &route.address,
                Some(Arc::clone(&meta)),
            ));
            let failure = match self.vhost().push(&route, &mut message, None) {
                // As in RabbitMQ a mandatory reply comes back as well: it is in no queue.
                Ok(published) if route.is_reply() && mandatory => break published,
                Ok(published) => return published,
                Err(failure) => failure,
            };
            match failure {
                // As in RabbitMQ the names that the bindings gave are what counts: another queue may have this one's.
                PushFailure::QueueDeleted => route = self.vhost().renew(&route),
                PushFailure::Refused { refused, .. } => return Published::refused(refused),
                PushFailure::NoRoute | PushFailure::NotShareable => {
                    if let Some(envelope) = message.filter(|_| !mandatory) {
                        self.vhost().drop_unroutable(envelope);
                    }
                    break Published::default();
                }
            }
        };
        if mandatory {
            let properties = meta.properties.clone();
            let returned = Returned {
                reply_code: 312,
                reply_text: "NO_ROUTE",
                exchange,
                routing_key,
                properties,
                body,
            };
            let wake = self.lock().send(Event::Return(returned));
            if let Some(wake) = wake {
                wake.wake();
            }
        }
        published
    }
}

impl Channel {
    /// Publishes a message (`basic.publish`).
    ///
    /// What comes of it is said by events, as in AMQP: [`Event::Return`] for a mandatory message that reached no queue,
    /// then, in confirm mode, [`Event::Confirm`]. They are there when this method returns.
    ///
    /// # Blocking
    /// Waits for room if a queue on the message's way is full and has [`Overflow::Block`](crate::Overflow::Block), or is covered by a
    /// spent budget with [`BudgetPolicy::Block`](crate::BudgetPolicy::Block). In a transaction neither this method nor the commit waits.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown exchange, [`Error::AccessRefused`] for an internal one,
    /// [`Error::PreconditionFailed`] for an invalid `expiration`, `delivery_mode` or `user_id`, a `CC` or `BCC` header that
    /// is not an array, or a `reply_to` of `amq.rabbitmq.reply-to` without a consumer of it, [`Error::NotImplemented`] for
    /// `immediate`, [`Error::InvalidName`] for a name or key over 255 bytes, and the errors of a closed channel.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Event, Properties, PublishOptions};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let options = PublishOptions::new().mandatory();
    /// channel.basic_publish("amq.topic", "disk.error", "full", Properties::new(), options)?;
    /// match channel.events().try_recv()? {
    ///     Event::Return(returned) => assert_eq!((returned.reply_code, returned.reply_text), (312, "NO_ROUTE")),
    ///     other => panic!("{other:?}"),
    /// }
    /// let error = channel.basic_publish("no such", "", "", Properties::new(), options).unwrap_err();
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
        let (exchange, routing_key) = (Name::new(exchange)?, Name::new(routing_key)?);
        let route = core
            .vhost()
            .resolve(&exchange, &routing_key, properties.headers.as_ref())?;
        core.connection.check_user_id(&properties)?;
        properties.validate()?;
        let mut properties = properties;
        core.name_requester(&mut properties)?;
        let headers = properties.headers.as_ref();
        let route = core.with_room(route, &exchange, &routing_key, headers)?;
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
        let pending = Pending {
            exchange,
            routing_key,
            body: body.into(),
            meta,
            route,
            mandatory: options.mandatory,
            selecting,
        };
        let mut state = core.open()?;
        let number = match &mut state.mode {
            PublishMode::Tx(tx) => {
                tx.publish(pending);
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
        let published = core.publish_pending(pending);
        if let Some(under_way) = under_way {
            under_way.confirm(published);
        }
        Ok(())
    }
}
