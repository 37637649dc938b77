//! Messages: publishing, purging, consuming.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{Gate, Verb, verb::Entered};
#[cfg(feature = "testing")]
use crate::engine::queue::Move;
use crate::{
    engine::{queue::QueueCore, vhost::is_address},
    message::{
        envelope::{Meta, NEVER, RoutingKey},
        headers::cc_bcc,
    },
    model::{
        descriptions::Queue,
        error::{
            CancelReason, EntityKind, Error,
            Permission::{Read, Write},
            Result,
        },
        field_value::FieldTable,
        name::Name,
    },
    runtime::clock::Deadline,
    session::{
        publisher::{Publisher, PublisherConfig},
        subscriber::{NewSubscriber, Subscriber, SubscriberOptions, SubscriberOwner},
    },
};

impl Gate {
    /// Drops all ready messages; returns how many.
    pub(crate) fn purge(&self, queue: &Name) -> Result<u64> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.purge(queue, true));
        }
        let entered = self.guarded.enter(Verb::Purge);
        entered.access.check(Read, EntityKind::Queue, queue)?;
        if is_address(queue) {
            return Ok(0); // it keeps no message
        }
        self.check_target(Verb::Purge, Read, queue)?;
        let queue = entered.vhost.queue(entered.by.connection, queue)?;
        if queue.is_stream() {
            let (name, vhost) = (queue.name(), entered.vhost.name());
            return Err(Error::not_for_streams("queue.purge", name, vhost));
        }
        Ok(entered.vhost.purge(&queue))
    }

    /// Takes back what the typed consumers of a queue have in advance; returns how many.
    pub(crate) fn return_unseen(&self, queue: &Name) -> Result<u64> {
        self.check_embedded("to take back what is unseen")?;
        Ok(self.read_queue(Verb::ReturnUnseen, queue)?.return_unseen())
    }

    /// The queue of a consumer that starts on a channel.
    pub(in crate::session) fn consumed_queue(&self, name: &Name) -> Result<Arc<QueueCore>> {
        self.read_queue(Verb::Consume, name)
    }

    /// A queue that this user may read.
    pub(super) fn read_queue(&self, verb: Verb, name: &Name) -> Result<Arc<QueueCore>> {
        self.check_open()?;
        self.check_embedded("getting, and the view of delayed messages,")?;
        let entered = self.guarded.enter(verb);
        entered.access.check(Read, EntityKind::Queue, name)?;
        self.check_target(verb, Read, name)?;
        entered.vhost.queue(entered.by.connection, name)
    }

    /// Declares the queues with their bindings, and starts a consumer of each of them: all or
    /// nothing.
    pub(in crate::session) fn start_consumers(
        &self,
        queues: &[Queue],
        owner: &Weak<dyn SubscriberOwner>,
        options: &SubscriberOptions,
    ) -> Result<Vec<Arc<Subscriber>>> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.start_consumers_remotely(backend, queues, owner, options);
        }
        let Entered { vhost, by, .. } = self.guarded.enter(Verb::StartConsumers);
        let by_us = self.subscribed_by(None);
        let mut subscribers = Vec::with_capacity(queues.len());
        let mut subscriptions = Vec::with_capacity(queues.len());
        for queue in queues {
            let (new, request) = NewSubscriber::new(vhost, &by_us, Weak::clone(owner), options)?;
            subscribers.push(new);
            subscriptions.push((queue, request));
        }
        let before = vhost.changes();
        let subscribed = vhost.declare_and_subscribe(by, subscriptions)?;
        let started: Vec<_> = subscribers
            .into_iter()
            .zip(subscribed)
            .map(|(new, (queue, id))| new.started(vhost, queue, id, None))
            .collect();
        let is_exclusive = queues.iter().any(Queue::is_exclusive);
        let checked = self.check_exclusive(is_exclusive);
        if let Err(error) = checked.and_then(|()| vhost.sync_changes(before)) {
            for subscriber in started {
                subscriber.cancel(CancelReason::ConnectionClosed);
            }
            return Err(error);
        }
        Ok(started)
    }

    /// A publisher to an exchange. The user's permission to write is checked when a route is
    /// resolved.
    pub(crate) fn publisher(
        self: &Arc<Self>,
        exchange: Name,
        routing_key: Name,
        mandatory: bool,
        meta: Option<Meta>,
        headers: Option<FieldTable>,
    ) -> Publisher {
        // Complete for most addresses with this key.
        let meta = meta.map(|meta| Meta {
            routing_key: RoutingKey::new(&routing_key),
            ..meta
        });
        Publisher::new(PublisherConfig {
            is_plain: meta.is_none() && self.tap.is_none(),
            expires: meta.as_ref().is_some_and(|meta| meta.expiration() != NEVER),
            selects_keys: cc_bcc::is_selected_by_sender(headers.as_ref()),
            gate: Arc::clone(self),
            exchange,
            routing_key,
            mandatory,
            meta: meta.map(Arc::new),
            headers,
        })
    }

    /// # Errors
    /// Those of a closed connection, and of the user's permissions.
    pub(in crate::session) fn check_publish(&self, exchange: &Name) -> Result {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::Publish);
        entered.access.check(Write, EntityKind::Exchange, exchange)
    }

    /// Checks the key of a message and those in its headers, if its exchange has the type `topic`.
    /// The keys of the default exchange may be aliases, whose targets are checked.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`].
    pub(in crate::session) fn check_publish_keys(
        &self,
        exchange: &Name,
        key: &Name,
        headers: Option<&FieldTable>,
    ) -> Result {
        let entered = self.guarded.enter(Verb::Publish);
        let is_default = exchange.is_empty();
        if entered.access.is_all() || !is_default && !entered.vhost.is_topic(exchange) {
            return Ok(());
        }
        let keys = cc_bcc::routing_keys(key, headers)?;
        let mut checks = keys.iter().map(|key| match is_default {
            true => self.check_target(Verb::Publish, Write, key),
            false => entered.access.check_topic(Write, exchange, key),
        });
        checks.try_for_each(|checked| checked)
    }

    /// Counts a handler that runs after the settlement of its message, until the result is dropped:
    /// a shutdown waits for it, and so does a test. `None` if none of them may ask.
    #[cfg(feature = "testing")]
    pub(crate) fn begin_handler(&self) -> Option<Move> {
        self.vhost().drain().begin_handler()
    }

    /// The end of a wait of at most `timeout`. `None` if it is too far away.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Deadline<'_>> {
        self.vhost().time().deadline(timeout)
    }

    /// The time. Reads the clock, which may be user code.
    pub(crate) fn now(&self) -> Instant {
        self.vhost().time().now()
    }

    /// Whether typed producers encode every payload.
    pub(crate) fn always_encode(&self) -> bool {
        self.vhost().always_encode()
    }
}
