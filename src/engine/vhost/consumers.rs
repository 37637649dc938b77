//! Starts consumers. A typed consumer is one batch with the declaration of its queues.
//!
//! Every consumer of a queue that has a name is added under the topology lock. So a batch, which
//! holds that lock for writing, finds each queue as it has checked it.

use std::sync::Arc;

use super::{Identity, VirtualHost, declaration::Batch, effects::PendingEffects};
use crate::{
    engine::queue::{
        ConsumerId, DeliveryTarget, Effects, Inbox, QueueCore, SubscribeRefused, SubscribeRequest,
    },
    model::{
        arguments::QueueType,
        descriptions::{self, names},
        error::{EntityKind, Error, Result},
        name::Name,
        slow_consumer::SlowConsumerPolicy,
    },
};

/// One queue of a typed consumer, and the consumer's parameters there.
pub(crate) type Subscription<'a> = (&'a descriptions::Queue, SubscribeRequest);

impl VirtualHost {
    /// Declares the queues with their bindings, and adds a consumer with an inbox to each of them,
    /// all in one critical section. Returns the queues and the consumers in the same order.
    ///
    /// # Errors
    /// Those of the declaration, [`Error::AccessRefused`] if an exclusive consumer keeps the
    /// consumer out, and [`Error::NotFound`] for a name for direct replies. Nothing is changed
    /// then.
    pub(crate) fn declare_and_subscribe(
        self: &Arc<Self>,
        by: Identity<'_>,
        mut subscriptions: Vec<Subscription<'_>>,
    ) -> Result<Vec<(Arc<QueueCore>, ConsumerId)>> {
        for (queue, _) in &subscriptions {
            self.check_no_replies(queue)?;
        }
        // Before the locks, since the clock may be user code, and a file may be read.
        let now = self.nanos();
        for (description, request) in &mut subscriptions {
            let name = Name::new(description.name())?;
            if let Some(queue) = self.read_topology(|topology| topology.queue(&name)) {
                request.reading.from = self.since_on_disk(&queue, request.reading.from, now);
            }
        }
        let plan = |batch: &mut Batch<'_>| {
            let mut planned: Vec<(Arc<QueueCore>, SubscribeRequest)> = Vec::new();
            for (description, request) in subscriptions {
                let queue = batch.queue_for_reading(description)?;
                let twice = planned.iter().any(|(other, _)| *other == queue);
                self.check_reading(&queue, &request)?;
                let checked = match request.exclusive && twice {
                    true => Err(SubscribeRefused::InUse),
                    false => queue.lock().check_subscribe(request.exclusive),
                };
                checked.map_err(|refused| self.subscribe_error(&queue, refused))?;
                planned.push((queue, request));
            }
            Ok(planned)
        };
        let subscribe = |planned: Vec<(Arc<QueueCore>, _)>, pending: &mut PendingEffects| {
            let mut subscribed = Vec::with_capacity(planned.len());
            for (queue, request) in planned {
                let mut effects = Effects::none();
                let mut state = queue.lock();
                state.renew_lease(now, &mut effects);
                let target = |_| DeliveryTarget::Inbox(Inbox::default());
                let added = state.subscribe(request, target, now, &mut effects);
                drop(state);
                pending.push_back((Arc::clone(&queue), effects));
                // It was checked under this hold of the topology lock.
                let id = added.map_err(|refused| self.subscribe_error(&queue, refused))?;
                subscribed.push((queue, id));
            }
            Ok(subscribed)
        };
        self.declare(by, plan, subscribe)?
    }

    /// Adds a consumer. `target` gets its id before its first message. It runs under the queue's
    /// lock.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        queue: &Arc<QueueCore>,
        mut request: SubscribeRequest,
        target: impl FnOnce(ConsumerId) -> DeliveryTarget,
    ) -> Result<ConsumerId> {
        let now = self.nanos();
        request.reading.from = self.since_on_disk(queue, request.reading.from, now);
        let mut effects = Effects::none();
        let topology = self.topology.read();
        let added = queue.lock().subscribe(request, target, now, &mut effects);
        drop(topology);
        self.run_effects(queue, effects);
        added.map_err(|refused| self.subscribe_error(queue, refused))
    }

    /// Checks that a typed consumer may read the queue, if it is a stream.
    fn check_reading(&self, queue: &QueueCore, request: &SubscribeRequest) -> Result {
        let (name, vhost) = (queue.name(), self.name());
        if !queue.is_stream() {
            return Ok(());
        }
        if request.on_slow != SlowConsumerPolicy::Wait {
            let policy = "a policy for slow consumers is";
            return Err(Error::not_for_streams(policy, name, vhost));
        }
        let foreign = match (request.priority, request.timeout) {
            (0, None) if request.prefetch == 0 => return Err(Error::stream_prefetch(name, vhost)),
            (0, None) => return Ok(()),
            (0, Some(_)) => names::CONSUMER_TIMEOUT,
            _ => names::PRIORITY,
        };
        let queue_type = QueueType::Stream.module();
        Err(Error::unsupported_argument(
            foreign, name, vhost, queue_type,
        ))
    }

    fn subscribe_error(&self, queue: &QueueCore, refused: SubscribeRefused) -> Error {
        match refused {
            SubscribeRefused::InUse => Error::exclusive_use(queue.name(), self.name()),
            SubscribeRefused::Deleted => {
                Error::not_found(EntityKind::Queue, queue.name(), self.name())
            }
        }
    }
}
