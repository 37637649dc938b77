//! Operation: policies, and what concerns a whole virtual host.

use std::sync::Arc;

use super::{Gate, Verb, topology::Begun};
use crate::{
    engine::{
        policy::{Policy, PolicyKind},
        queue::{Counts, QueueCore},
        vhost::Topology,
    },
    model::{
        descriptions::{Queue, QueueLimits},
        error::{
            EntityKind, Error,
            Permission::{self, Administrator, Configure, Management, Policymaker, Read, Write},
            Result,
        },
        name::Name,
    },
    session::delay_queue::DelayQueue,
};

impl Gate {
    pub(crate) fn set_policy(&self, policy: Policy, kind: PolicyKind) -> Result {
        let begun = self.begin_policy(policy, kind)?;
        self.wait_for(begun)
    }

    /// As [`set_policy`](Self::set_policy), for a task.
    pub(crate) async fn set_policy_async(&self, policy: Policy, kind: PolicyKind) -> Result {
        let begun = self.begin_policy(policy, kind)?;
        self.wait_for_async(begun).await
    }

    fn begin_policy(&self, policy: Policy, kind: PolicyKind) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("policies")?;
        let (verb, permission) = match kind {
            PolicyKind::User => (Verb::SetPolicy, Policymaker),
            PolicyKind::Operator => (Verb::SetOperatorPolicy, Administrator),
        };
        self.check_policy(verb, permission, &policy.name)?;
        let vhost = self.guarded.enter(verb).vhost;
        let by = self.access().actor();
        self.begin(|| vhost.set_policy(policy, kind, by))
    }

    /// `false` if there was none of that name.
    pub(crate) fn clear_policy(&self, name: &str, kind: PolicyKind) -> Result<bool> {
        let begun = self.begin_clear_policy(name, kind)?;
        self.wait_for(begun)
    }

    /// As [`clear_policy`](Self::clear_policy), for a task.
    pub(crate) async fn clear_policy_async(&self, name: &str, kind: PolicyKind) -> Result<bool> {
        let begun = self.begin_clear_policy(name, kind)?;
        self.wait_for_async(begun).await
    }

    fn begin_clear_policy(&self, name: &str, kind: PolicyKind) -> Result<Begun<bool>> {
        self.check_open()?;
        self.check_embedded("policies")?;
        let (verb, permission) = match kind {
            PolicyKind::User => (Verb::ClearPolicy, Policymaker),
            PolicyKind::Operator => (Verb::ClearOperatorPolicy, Administrator),
        };
        self.check_policy(verb, permission, name)?;
        let vhost = self.guarded.enter(verb).vhost;
        let by = self.access().actor();
        self.begin(|| vhost.clear_policy(name, kind, by))
    }

    fn check_policy(&self, verb: Verb, permission: Permission, name: &str) -> Result {
        let access = self.guarded.enter(verb).access;
        match access.is_all() {
            true => Ok(()),
            false => access.check_tag(permission, EntityKind::Policy, &Name::new(name)?),
        }
    }

    /// The policies in the order in which they are tried, each with the number of its matches that
    /// took too many steps. None for a user without a tag of management, as in RabbitMQ.
    pub(crate) fn policies(&self, kind: PolicyKind) -> Vec<(Policy, u64)> {
        let verb = match kind {
            PolicyKind::User => Verb::ListPolicies,
            PolicyKind::Operator => Verb::ListOperatorPolicies,
        };
        match self.check_vhost(verb, Management) {
            Ok(()) => self.guarded.enter(verb).vhost.policies(kind),
            Err(_) => Vec::new(),
        }
    }

    /// Checks for the right to see or change what concerns the whole virtual host.
    fn check_vhost(&self, verb: Verb, permission: Permission) -> Result {
        let entered = self.guarded.enter(verb);
        let name = entered.vhost.name();
        let access = entered.access;
        access.check_tag(permission, EntityKind::VirtualHost, name)
    }

    /// Declares the queue for what can be neither delivered nor routed on; `None` drops it.
    pub(crate) fn set_dead_letter_queue(&self, queue: Option<&Queue>) -> Result {
        self.check_open()?;
        self.check_embedded("a dead-letter queue")?;
        let verb = match queue {
            Some(_) => Verb::SetDeadLetterQueue,
            None => Verb::ClearDeadLetterQueue,
        };
        self.check_vhost(verb, Policymaker)?;
        let queue = queue.map(|queue| self.declare_and_read(queue, |_| Ok(())));
        let vhost = self.guarded.enter(verb).vhost;
        vhost.set_dead_letter_queue(queue.transpose()?);
        Ok(())
    }

    /// Pauses a queue, or ends its pause.
    pub(crate) fn set_queue_paused(&self, name: &Name, paused: bool) -> Result {
        self.check_open()?;
        self.check_embedded("the pause of a queue")?;
        let entered = self.guarded.enter(Verb::PauseQueue);
        entered.access.check(Configure, EntityKind::Queue, name)?;
        self.check_target(Verb::PauseQueue, Configure, name)?;
        let queue = entered.vhost.queue(entered.by.connection, name)?;
        if queue.is_stream() {
            let vhost = entered.vhost.name();
            return Err(Error::not_for_streams("a pause is", queue.name(), vhost));
        }
        entered.vhost.set_queue_paused(&queue, paused);
        Ok(())
    }

    /// Changes the limits of a queue that lives.
    pub(crate) fn set_queue_limits(&self, name: &Name, limits: &QueueLimits) -> Result {
        self.check_open()?;
        self.check_embedded("a change of limits")?;
        let entered = self.guarded.enter(Verb::SetQueueLimits);
        entered.access.check(Configure, EntityKind::Queue, name)?;
        self.check_target(Verb::SetQueueLimits, Configure, name)?;
        entered.vhost.set_queue_limits(entered.by, name, limits)
    }

    /// Where the delayed messages of a queue wait.
    pub(crate) fn delayed_of_queue(&self, name: &Name) -> Result<DelayQueue> {
        let queue = self.read_queue(Verb::ViewDelayedOfQueue, name);
        queue.map(|queue| self.delay_queue(queue))
    }

    /// Where a delayed exchange keeps its messages.
    pub(crate) fn delayed_of_exchange(&self, name: &Name) -> Result<DelayQueue> {
        self.check_open()?;
        self.check_embedded("the view of delayed messages")?;
        let entered = self.guarded.enter(Verb::ViewDelayedOfExchange);
        entered.access.check(Read, EntityKind::Exchange, name)?;
        let queue = entered.vhost.delay_queue(name)?;
        Ok(self.delay_queue(queue))
    }

    fn delay_queue(&self, queue: Arc<QueueCore>) -> DelayQueue {
        DelayQueue::new(self.vhost(), queue)
    }

    /// Whether the queue exists and this connection may use it. It is for a message to this queue,
    /// and asks for what the publish asks for.
    pub(crate) fn check_queue(&self, name: &Name) -> Result<Arc<QueueCore>> {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::CheckQueue);
        let default = Name::empty();
        entered
            .access
            .check(Write, EntityKind::Exchange, &default)?;
        self.check_target(Verb::CheckQueue, Write, name)?;
        entered.vhost.queue(entered.by.connection, name)
    }

    /// Looks at the topology.
    pub(crate) fn survey<R>(&self, look: impl FnOnce(&Topology) -> R) -> Result<R> {
        self.check_open()?;
        self.check_vhost(Verb::Survey, Management)?;
        let vhost = self.guarded.enter(Verb::Survey).vhost;
        vhost.read_topology(|topology| {
            vhost.check_up()?;
            Ok(look(topology))
        })
    }

    /// Counts a queue that a survey has found, after everything settled so far has had its effect.
    /// The queue may be deleted by now.
    pub(crate) fn look_at(&self, queue: &Arc<QueueCore>) -> Counts {
        self.guarded.unasked().look_at(queue)
    }

    /// Looks at a budget of the topology.
    pub(crate) fn view_budget<R>(
        &self,
        name: &Name,
        look: impl FnOnce(&Topology) -> R,
    ) -> Result<R> {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::ViewBudget);
        entered.access.check_any(EntityKind::Budget, name)?;
        Ok(entered.vhost.read_topology(look))
    }
}
