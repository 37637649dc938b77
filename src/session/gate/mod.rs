//! The one way from a session into its virtual host.
//!
//! Each verb first checks that the connection is open, and then that the user may do it. Then it
//! asks the virtual host. Channels, typed handles, management and protocols call only this.

mod closing;
mod getting;
mod queue_kinds;
mod remote;

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    access::{Access, Permission::*},
    backend::Backend,
    delay_queue::DelayQueue,
    publisher::{Publisher, PublisherConfig, Tap},
    subscriber::{NewSubscriber, Subscriber, SubscriberOptions, SubscriberOwner},
};
#[cfg(feature = "testing")]
use crate::engine::queue::Move;
use crate::{
    engine::{
        policy::{Policy, PolicyKind},
        queue::{Counts, QueueCore},
        vhost::{
            BindingRequest, ConnectionId, QueueDeclared, Topology, VirtualHost, WithBindings,
            is_address,
        },
    },
    message::{envelope::Meta, properties::Properties},
    model::{
        descriptions::{Budget, Exchange, Queue},
        error::{CancelReason, EntityKind, Error, Result},
        field_value::FieldTable,
        name::Name,
    },
    runtime::{
        clock::Deadline,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::{WaitList, Wake},
    },
};

/// What one connection may do in its virtual host.
pub(crate) struct Gate {
    vhost: Arc<VirtualHost>,
    connection: ConnectionId,
    user: Name,
    access: Access,
    /// The engine outside of this process, if the virtual host is only its place in here.
    backend: Option<Arc<dyn Backend>>,
    /// Sees every publish, if the broker has one.
    tap: Option<Arc<dyn Tap>>,
    closed: AtomicBool,
    /// Waits that end with the connection. A leaf lock.
    closing: Mutex<WaitList>,
}

/// Whether the connection is open.
impl Gate {
    pub(crate) fn new(
        vhost: &Arc<VirtualHost>,
        connection: ConnectionId,
        user: Name,
        backend: Option<Arc<dyn Backend>>,
        tap: Option<Arc<dyn Tap>>,
    ) -> Gate {
        Gate {
            tap,
            vhost: Arc::clone(vhost),
            connection,
            user,
            access: Access::All,
            backend,
            closed: AtomicBool::new(false),
            closing: Mutex::default(),
        }
    }

    pub(crate) fn user(&self) -> &Name {
        &self.user
    }

    /// For the session layer, which settles and receives without asking again.
    pub(super) fn vhost(&self) -> &Arc<VirtualHost> {
        &self.vhost
    }

    pub(super) fn tap(&self) -> Option<&Arc<dyn Tap>> {
        self.tap.as_ref()
    }

    /// Whether the broker keeps its data in a folder.
    pub(crate) fn is_durable(&self) -> bool {
        self.vhost.storage().is_some()
    }

    pub(crate) fn vhost_name(&self) -> &Name {
        self.vhost.name()
    }

    /// Whether the connection is not closed. A virtual host that is down shows in its routes and in
    /// [`check_open`](Self::check_open).
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(SeqCst)
    }

    /// # Errors
    /// [`Error::ShutDown`], [`Error::VhostDeleted`], [`Error::ConnectionClosed`].
    pub(crate) fn check_open(&self) -> Result {
        // A broker that ends goes down before it closes its connections. Read in the other order,
        // its end is never taken for that of the connection alone.
        let closed = self.closed.load(SeqCst);
        self.vhost.check_up()?;
        match closed {
            false => Ok(()),
            true => Err(Error::ConnectionClosed),
        }
    }

    /// Looks again after a declaration. The connection may have been closed meanwhile: a
    /// declaration before its end stays, but an exclusive queue that its end has missed is deleted
    /// now.
    ///
    /// # Errors
    /// Those of a closed connection, for an exclusive queue.
    fn check_exclusive(&self, is_exclusive: bool) -> Result {
        let open = self.check_open();
        match is_exclusive && open.is_err() {
            true => {
                self.vhost.delete_owned_by(self.connection);
                open
            }
            false => Ok(()),
        }
    }

    /// Closes it. Returns the waits that end with it; `None` if it was closed already.
    pub(super) fn close(&self) -> Option<Vec<Wake>> {
        let mut closing = self.closing.lock();
        match self.closed.swap(true, SeqCst) {
            true => None,
            false => Some(closing.take_all()),
        }
    }

    /// Deletes the exclusive queues of the connection.
    pub(super) fn delete_exclusive_queues(&self) {
        self.vhost.delete_owned_by(self.connection);
    }

    /// # Errors
    /// [`Error::PreconditionFailed`] if the properties name a user other than this one, as in
    /// RabbitMQ.
    pub(crate) fn check_user_id(&self, properties: &Properties) -> Result {
        match &properties.user_id {
            Some(claimed) if **claimed != *self.user => {
                Err(Error::user_id_mismatch(claimed, &self.user))
            }
            _ => Ok(()),
        }
    }
}

/// Exchanges, queues, bindings, budgets.
impl Gate {
    /// Declares an exchange, with its bindings or without: all or nothing.
    pub(crate) fn declare_exchange(&self, exchange: &Exchange, bindings: WithBindings) -> Result {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.declare_exchange(exchange));
        }
        self.access
            .check(Configure, EntityKind::Exchange, exchange.name())?;
        self.vhost
            .declare_exchange(self.connection, exchange, bindings)
    }

    /// Declares a queue, with its bindings or without: all or nothing.
    pub(crate) fn declare_queue(
        &self,
        queue: &Queue,
        bindings: WithBindings,
    ) -> Result<QueueDeclared> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.declare_queue(queue));
        }
        self.access
            .check(Configure, EntityKind::Queue, queue.name())?;
        let declared = self.vhost.declare_queue(self.connection, queue, bindings)?;
        self.check_exclusive(queue.is_exclusive())?;
        Ok(declared)
    }

    pub(crate) fn declare_budget(&self, budget: &Budget) -> Result {
        self.check_open()?;
        self.check_embedded("budgets")?;
        self.access
            .check(Configure, EntityKind::Budget, budget.name())?;
        self.vhost.declare_budget(budget).map(drop)
    }

    pub(crate) fn declare_exchange_passive(&self, name: &str) -> Result {
        self.check_open()?;
        self.vhost.declare_exchange_passive(name)
    }

    pub(crate) fn declare_queue_passive(&self, name: &str) -> Result<QueueDeclared> {
        self.check_open()?;
        self.vhost.declare_queue_passive(self.connection, name)
    }

    pub(crate) fn delete_exchange(&self, name: &str, if_unused: bool) -> Result {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.delete_exchange(name));
        }
        self.access.check(Configure, EntityKind::Exchange, name)?;
        self.vhost.delete_exchange(name, if_unused)
    }

    /// Returns how many messages were ready.
    pub(crate) fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Result<u64> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.delete_queue(name));
        }
        self.access.check(Configure, EntityKind::Queue, name)?;
        self.vhost
            .delete_queue(self.connection, name, if_unused, if_empty)
    }

    pub(crate) fn delete_budget(&self, name: &str) -> Result {
        self.check_open()?;
        self.check_embedded("budgets")?;
        self.access.check(Configure, EntityKind::Budget, name)?;
        self.vhost.delete_budget(name)
    }

    pub(crate) fn bind(&self, request: BindingRequest<'_>) -> Result {
        self.check_open()?;
        self.check_binding(&request)?;
        self.vhost.bind(self.connection, request).map(drop)
    }

    pub(crate) fn unbind(&self, request: BindingRequest<'_>) -> Result {
        self.check_open()?;
        self.check_binding(&request)?;
        self.vhost.unbind(self.connection, request).map(drop)
    }

    fn check_binding(&self, request: &BindingRequest<'_>) -> Result {
        let destination = match request.to_queue {
            true => EntityKind::Queue,
            false => EntityKind::Exchange,
        };
        self.access.check(Write, destination, request.destination)?;
        if request.to_queue {
            self.check_target(Write, request.destination)?;
        }
        self.access
            .check(Read, EntityKind::Exchange, request.source)
    }

    /// The queues that a message would reach, in order.
    pub(crate) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Vec<Name>> {
        self.check_open()?;
        self.check_embedded("the view of routes")?;
        self.vhost.route(exchange, routing_key, headers)
    }
}

/// Messages.
impl Gate {
    /// Drops all ready messages; returns how many.
    pub(crate) fn purge(&self, queue: &Name) -> Result<u64> {
        if let Some(backend) = &self.backend {
            self.check_open()?;
            return self.wait(backend.purge(queue));
        }
        if is_address(queue) {
            return self.check_open().map(|()| 0); // it keeps no message
        }
        let queue = self.read_queue(queue)?;
        Ok(self.vhost.purge(&queue))
    }

    /// Takes back what the typed consumers of a queue have in advance; returns how many.
    pub(crate) fn return_unseen(&self, queue: &Name) -> Result<u64> {
        self.check_embedded("to take back what is unseen")?;
        Ok(self.read_queue(queue)?.return_unseen())
    }

    /// A queue that this user may read.
    pub(super) fn read_queue(&self, name: &Name) -> Result<Arc<QueueCore>> {
        self.check_open()?;
        self.check_embedded("getting, and the view of delayed messages,")?;
        self.access.check(Read, EntityKind::Queue, name)?;
        self.check_target(Read, name)?;
        self.vhost.queue(self.connection, name)
    }

    fn check_declare_and_read(&self, queue: &Queue) -> Result {
        self.access
            .check(Configure, EntityKind::Queue, queue.name())?;
        self.access.check(Read, EntityKind::Queue, queue.name())?;
        self.check_target(Read, queue.name())
    }

    /// Declares the queues with their bindings, and starts a consumer of each of them: all or
    /// nothing.
    pub(super) fn start_consumers(
        &self,
        queues: &[Queue],
        owner: &Weak<dyn SubscriberOwner>,
        options: &SubscriberOptions,
    ) -> Result<Vec<Arc<Subscriber>>> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.start_consumers_remotely(backend, queues, owner, options);
        }
        let mut subscribers = Vec::with_capacity(queues.len());
        let mut subscriptions = Vec::with_capacity(queues.len());
        for queue in queues {
            self.check_declare_and_read(queue)?;
            let (new, request) = NewSubscriber::new(&self.vhost, Weak::clone(owner), options)?;
            subscribers.push(new);
            subscriptions.push((queue, request));
        }
        let subscribed = self
            .vhost
            .declare_and_subscribe(self.connection, subscriptions)?;
        let started: Vec<_> = subscribers
            .into_iter()
            .zip(subscribed)
            .map(|(new, (queue, id))| new.started(&self.vhost, queue, id, None))
            .collect();
        let is_exclusive = queues.iter().any(Queue::is_exclusive);
        if let Err(error) = self.check_exclusive(is_exclusive) {
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
        meta: Option<Arc<Meta>>,
        headers: Option<FieldTable>,
    ) -> Publisher {
        Publisher::new(PublisherConfig {
            is_plain: meta.is_none() && self.tap.is_none(),
            gate: Arc::clone(self),
            exchange,
            routing_key,
            mandatory,
            meta,
            headers,
        })
    }

    /// # Errors
    /// Those of a closed connection, and of the user's permissions.
    pub(super) fn check_publish(&self, exchange: &Name) -> Result {
        self.check_open()?;
        self.access.check(Write, EntityKind::Exchange, exchange)
    }

    /// Counts a handler that runs after the settlement of its message, until the result is dropped:
    /// a shutdown waits for it, and so does a test. `None` if none of them may ask.
    #[cfg(feature = "testing")]
    pub(crate) fn begin_handler(&self) -> Option<Move> {
        self.vhost.drain().begin_handler()
    }

    /// The end of a wait of at most `timeout`. `None` if it is too far away.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Deadline<'_>> {
        self.vhost.time().deadline(timeout)
    }

    /// The time. Reads the clock, which may be user code.
    pub(crate) fn now(&self) -> Instant {
        self.vhost.time().now()
    }

    /// Whether typed producers encode every payload.
    pub(crate) fn always_encode(&self) -> bool {
        self.vhost.always_encode()
    }
}

/// Operation.
impl Gate {
    pub(crate) fn set_policy(&self, policy: Policy, kind: PolicyKind) -> Result {
        self.check_open()?;
        self.check_embedded("policies")?;
        self.vhost.set_policy(policy, kind)
    }

    /// `false` if there was none of that name.
    pub(crate) fn clear_policy(&self, name: &str, kind: PolicyKind) -> Result<bool> {
        self.check_open()?;
        self.check_embedded("policies")?;
        self.vhost.clear_policy(name, kind)
    }

    /// The policies in the order in which they are tried, each with the number of its matches that
    /// took too many steps.
    pub(crate) fn policies(&self, kind: PolicyKind) -> Vec<(Policy, u64)> {
        self.vhost.policies(kind)
    }

    /// Declares the queue for what can be neither delivered nor routed on; `None` drops it.
    pub(crate) fn set_dead_letter_queue(&self, queue: Option<&Queue>) -> Result {
        self.check_open()?;
        self.check_embedded("a dead-letter queue")?;
        let queue = queue.map(|queue| self.declare_and_read(queue, |_| Ok(())));
        self.vhost.set_dead_letter_queue(queue.transpose()?);
        Ok(())
    }

    /// Where the delayed messages of a queue wait.
    pub(crate) fn delayed_of_queue(&self, name: &Name) -> Result<DelayQueue> {
        self.read_queue(name).map(|queue| self.delay_queue(queue))
    }

    /// Where a delayed exchange keeps its messages.
    pub(crate) fn delayed_of_exchange(&self, name: &Name) -> Result<DelayQueue> {
        self.check_open()?;
        self.check_embedded("the view of delayed messages")?;
        let queue = self.vhost.delay_queue(name)?;
        Ok(self.delay_queue(queue))
    }

    fn delay_queue(&self, queue: Arc<QueueCore>) -> DelayQueue {
        DelayQueue::new(&self.vhost, queue)
    }

    /// Whether the queue exists and this connection may use it.
    pub(crate) fn check_queue(&self, name: &Name) -> Result {
        self.check_open()?;
        self.vhost.queue(self.connection, name).map(drop)
    }

    /// Looks at the topology, and counts queues of it after everything settled so far has had its
    /// effect. No queue is deleted in between.
    pub(crate) fn survey<R>(
        &self,
        look: impl FnOnce(&Topology, &mut dyn FnMut(&Arc<QueueCore>) -> Counts) -> R,
    ) -> Result<R> {
        self.check_open()?;
        self.vhost.survey(look)
    }

    /// Looks at the topology.
    pub(crate) fn read_topology<R>(&self, look: impl FnOnce(&Topology) -> R) -> Result<R> {
        self.check_open()?;
        Ok(self.vhost.read_topology(look))
    }
}
