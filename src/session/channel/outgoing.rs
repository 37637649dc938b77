//! The way of a channel's message into its queues: checks, push, confirm.

use std::{borrow::Cow, sync::Arc, task::Poll};

use super::{
    ChannelCore, Event, PublishMode, PublishOptions, PublishOutcome, Returned, confirms::UnderWay,
};
use crate::{
    engine::vhost::{Published, REPLY_TO, Route},
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
        name::{Name, without_line_ends},
    },
    runtime::waiter::{Ticket, WaitList, Waitable},
    session::{
        backend::Confirmation,
        publisher::{
            CachedRoute, Caller, NotPublished, OnFull, Overrides, Prepared, Publisher, Pushed,
        },
    },
};

/// A message of a transaction, to be published at the commit. Its checks are done.
pub(super) struct Pending {
    publisher: Arc<Publisher>,
    /// The route at the time of the publish.
    route: Arc<CachedRoute>,
    message: Outgoing<'static>,
}

/// The parts of a message that are needed to push it into its queues or to return it.
struct Outgoing<'a> {
    exchange: Name,
    /// At most 255 bytes, as a name.
    routing_key: Cow<'a, str>,
    body: Bytes,
    /// `None` without properties.
    meta: Option<Arc<Meta>>,
    mandatory: bool,
}

/// A message of a transaction at its commit.
pub(super) struct Committed {
    /// A queue has refused it.
    pub(super) is_refused: bool,
    /// A queue keeps it that promises to have it on disk.
    pub(super) is_kept: bool,
}

/// The target of a publish, and the publisher of its exchange.
pub(super) struct PublishAddress<'a> {
    publisher: Arc<Publisher>,
    routing_key: &'a str,
    /// Whether the channel has neither confirms nor transactions.
    is_plain: bool,
    is_tx: bool,
}

/// A publish that has passed its checks.
pub(super) struct Begun<'a> {
    pub(super) prepared: Prepared<'a>,
    pub(super) envelope: Option<Envelope>,
    pub(super) ended: Ended<'a>,
}

/// The parts of a publish that are needed at its end.
pub(super) struct Ended<'a> {
    outgoing: Outgoing<'a>,
    /// In confirm mode.
    under_way: Option<UnderWay<'a>>,
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
        let reply_to = properties
            .as_list()
            .and_then(|list| list.reply_to.as_deref());
        if reply_to != Some(REPLY_TO) {
            return Ok(None);
        }
        match &self.open()?.replies_to {
            Some((_, name)) => Ok(Some(name.clone())),
            None => Err(Error::no_reply_consumer()),
        }
    }

    /// Publishes a message of a transaction at its commit. Blocking queues without room refuse it,
    /// and so do queues that have replaced those of its route. It is not on disk yet.
    ///
    /// # Errors
    /// [`Error::ResourceError`] if a queue of its route was deleted. No queue has the message then.
    pub(super) fn commit_pending(self: &Arc<Self>, pending: Pending) -> Result<Committed> {
        let Pending {
            publisher,
            route,
            message,
        } = pending;
        let (prepared, replaced) =
            publisher.prepare_commit(&route, &message.routing_key, message.mandatory)?;
        if replaced == Route::len(&route) && replaced > 0 {
            return Ok(Committed {
                is_refused: true,
                is_kept: false,
            });
        }
        let mut envelope = Some(message.envelope(&prepared));
        let pushed = prepared.push_unsynced(&mut envelope, self, OnFull::Refuse);
        let mut is_kept = false;
        let confirmation = pushed.map(|pushed| {
            let (published, synced) = pushed.into_parts();
            is_kept = synced.is_some();
            published
        });
        let is_refused = match self.publish_result(&message, confirmation) {
            Ok((published, _)) => published.refused + replaced > 0,
            Err(_) => true,
        };
        Ok(Committed {
            is_refused,
            is_kept,
        })
    }

    /// Finds the publisher for a message.
    pub(super) fn address<'a>(
        &self,
        exchange: &str,
        routing_key: &'a str,
        options: PublishOptions,
    ) -> Result<PublishAddress<'a>> {
        if options.immediate {
            return Err(Error::immediate());
        }
        let exchange = without_line_ends(exchange);
        let mut forgotten = None;
        let mut state = self.open()?;
        Name::check(&exchange)?;
        Name::check(routing_key)?;
        Ok(PublishAddress {
            publisher: self.publisher(&mut state, &exchange, &mut forgotten)?,
            routing_key,
            is_plain: matches!(state.mode, PublishMode::Plain),
            is_tx: matches!(state.mode, PublishMode::Tx(_)),
        })
    }

    /// Checks a message and begins its publish. `None` if it is part of a transaction.
    pub(super) fn begin<'a>(
        self: &'a Arc<Self>,
        address: &'a PublishAddress<'a>,
        body: Bytes,
        mut properties: Properties,
        options: PublishOptions,
    ) -> Result<Option<Begun<'a>>> {
        let overrides = Overrides {
            routing_key: Some(address.routing_key),
            mandatory: Some(options.mandatory),
            delay: Delay::None,
        };
        let publisher = &address.publisher;
        let mut prepared = publisher.prepare(self, overrides, Some(&properties))?;
        if address.is_tx {
            prepared.renew(&properties)?;
        }
        if let Some(name) = self.requester_name(&properties)? {
            properties = properties.reply_to(name.to_string());
        }
        properties.rewrite_expiration();
        let bcc = cc_bcc::take_bcc(&mut properties);
        let meta = match properties.is_absent() && bcc.is_empty() {
            true => None,
            false => Some(prepared.address().complete(Meta {
                properties,
                bcc,
                ..Meta::default()
            })),
        };
        let outgoing = Outgoing {
            exchange: publisher.exchange().clone(),
            routing_key: Cow::Borrowed(address.routing_key),
            body,
            meta,
            mandatory: options.mandatory,
        };
        if address.is_tx && prepared.has_histories() {
            // As in RabbitMQ, a history does not wait for the commit.
            prepared.keep_in_histories(&mut outgoing.envelope(&prepared))?;
        }
        let under_way = match address.is_plain {
            true => None,
            false => {
                let mut state = self.open()?;
                match &mut state.mode {
                    PublishMode::Tx(tx) => {
                        tx.publish(Pending {
                            publisher: Arc::clone(publisher),
                            route: prepared.into_route(),
                            message: outgoing.into_owned(),
                        });
                        return Ok(None);
                    }
                    PublishMode::Confirm(confirms) => {
                        let publish = confirms.begin();
                        drop(state);
                        Some(UnderWay::new(self, publish))
                    }
                    PublishMode::Plain => None,
                }
            }
        };
        Ok(Some(Begun {
            envelope: Some(outgoing.envelope(&prepared)),
            ended: Ended {
                outgoing,
                under_way,
            },
            prepared,
        }))
    }

    /// Ends a publish, and confirms its message. Without confirms no one waits for the disk, as
    /// in RabbitMQ.
    pub(super) fn end(
        &self,
        ended: Ended<'_>,
        pushed: std::result::Result<Pushed<'_>, NotPublished>,
        on_full: OnFull,
    ) -> Result<PublishOutcome> {
        let mut unsynced = None;
        let confirmation = pushed.map(|pushed| {
            let (published, synced) = pushed.into_parts();
            unsynced = synced;
            published
        });
        let Ended {
            outgoing,
            under_way,
        } = ended;
        let (published, returned) = match self.publish_result(&outgoing, confirmation) {
            Ok(result) => result,
            Err(NotPublished::Invalid(error)) => return Err(error),
            Err(NotPublished::Refused { by, .. }) if on_full == OnFull::Refuse => {
                return Err(by.into());
            }
            // It is in no queue, and its confirm says so.
            Err(NotPublished::Refused { refused, .. }) => (Published::refused(refused), false),
            Err(_) => (Published::refused(1), false),
        };
        let confirm = under_way.map(|under_way| under_way.confirm(published, unsynced));
        let (number, confirmed) = confirm.unwrap_or_default();
        Ok(PublishOutcome {
            published,
            returned,
            number,
            confirmed,
        })
    }

    /// The result of a push, and whether the message is returned: a mandatory one without a queue.
    fn publish_result(
        &self,
        outgoing: &Outgoing<'_>,
        confirmation: Confirmation,
    ) -> std::result::Result<(Published, bool), NotPublished> {
        match confirmation {
            Err(NotPublished::NoRoute) => {}
            other => return other.map(|published| (published, false)),
        }
        let returned = Returned {
            reply_code: 312,
            reply_text: "NO_ROUTE",
            exchange: outgoing.exchange.clone(),
            // The publish has checked it.
            routing_key: Name::new(&outgoing.routing_key).unwrap_or_default(),
            properties: outgoing.properties().clone(),
            body: outgoing.body.clone(),
        };
        // The deliveries that were due before come before it.
        self.serve_consumers();
        let wake = self.lock().send(Event::Return(returned));
        if let Some(wake) = wake {
            wake.wake();
        }
        Ok((Published::default(), true))
    }
}

impl Outgoing<'_> {
    fn into_owned(self) -> Outgoing<'static> {
        Outgoing {
            exchange: self.exchange,
            routing_key: Cow::Owned(self.routing_key.into_owned()),
            body: self.body,
            meta: self.meta,
            mandatory: self.mandatory,
        }
    }

    fn envelope(&self, prepared: &Prepared<'_>) -> Envelope {
        let body = match self.meta {
            None => Body::untyped(self.body.clone()),
            Some(_) => Body::encoded(self.body.clone()),
        };
        Envelope::new(body, prepared.address(), self.meta.clone())
    }

    fn properties(&self) -> &Properties {
        static NONE: Properties = Properties::new();
        self.meta.as_ref().map_or(&NONE, |meta| &meta.properties)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        handles::broker::{Broker, Credentials},
        runtime::waiter::{self, Waiting},
    };

    use super::{Arc, Closing};

    #[test]
    fn a_wait_for_the_end_of_a_channel_that_is_given_up_leaves_no_waiter() {
        let broker = Broker::new();
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let channel = connection.open_channel().unwrap();
        let closing = || Closing(Arc::clone(channel.core()));
        let mut waiting = Box::pin(Waiting::new(closing()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(!channel.core().lock().closing.is_empty());
        drop(waiting);
        assert!(channel.core().lock().closing.is_empty());
        channel.close().unwrap();
        waiter::wait(&closing(), None);
    }
}
