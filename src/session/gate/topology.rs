//! Declarations, bindings and deletions. In a durable broker each of them ends when it is on disk.
//!
//! A change takes effect at once, and may then wait for the disk, or for the engine outside. Its
//! form for a task waits without the thread.

use std::sync::Arc;

use super::{Gate, Verb};
use crate::{
    engine::vhost::{BindingRequest, QueueDeclared, VirtualHost, WithBindings},
    model::{
        descriptions::{Budget, Exchange, Queue},
        error::{
            EntityKind, Error,
            Permission::{Configure, Write},
            Result,
        },
        explanation::Explanation,
        field_value::FieldTable,
        name::Name,
    },
    runtime::{completion::Completion, waiter::Waiting},
};

/// A change that has begun.
pub(super) enum Begun<T> {
    /// It has taken effect. It may have been written after this number of changes.
    Here(T, u64),
    /// The engine outside makes it.
    There(Completion<Result<T>>),
}

impl Gate {
    /// Makes a change of the topology, and waits until it is on disk.
    pub(super) fn synced<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = self.begin(change)?;
        self.wait_for(begun)
    }

    pub(super) fn begin<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<Begun<T>> {
        let before = self.vhost().changes();
        change().map(|done| Begun::Here(done, before))
    }

    pub(super) fn wait_for<T>(&self, begun: Begun<T>) -> Result<T> {
        match begun {
            Begun::Here(done, before) => self.vhost().sync_changes(before).map(|()| done),
            Begun::There(completion) => self.wait(completion),
        }
    }

    pub(super) async fn wait_for_async<T>(&self, begun: Begun<T>) -> Result<T> {
        match begun {
            Begun::Here(done, before) => {
                let synced = self.vhost().sync_changes_async(before).await;
                synced.map(|()| done)
            }
            Begun::There(completion) => match Waiting::new(completion).await {
                Some(outcome) => outcome,
                None => Err(Error::ConnectionClosed),
            },
        }
    }

    /// Declares an exchange, with its bindings or without: all or nothing.
    pub(crate) fn declare_exchange(&self, exchange: &Exchange, bindings: WithBindings) -> Result {
        let begun = self.begin_exchange(exchange, bindings)?;
        self.wait_for(begun)
    }

    /// As [`declare_exchange`](Self::declare_exchange), for a task.
    pub(crate) async fn declare_exchange_async(
        &self,
        exchange: &Exchange,
        bindings: WithBindings,
    ) -> Result {
        let begun = self.begin_exchange(exchange, bindings)?;
        self.wait_for_async(begun).await
    }

    fn begin_exchange(&self, exchange: &Exchange, bindings: WithBindings) -> Result<Begun<()>> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return Ok(Begun::There(backend.declare_exchange(exchange)));
        }
        let entered = self.guarded.enter(Verb::DeclareExchange);
        let (vhost, by) = (entered.vhost, entered.by);
        self.begin(|| vhost.declare_exchange(by, exchange, bindings))
    }

    /// Declares a queue, with its bindings or without: all or nothing.
    pub(crate) fn declare_queue(
        &self,
        queue: &Queue,
        bindings: WithBindings,
    ) -> Result<QueueDeclared> {
        let begun = self.begin_queue(queue, bindings)?;
        self.wait_for(begun)
    }

    /// As [`declare_queue`](Self::declare_queue), for a task.
    pub(crate) async fn declare_queue_async(
        &self,
        queue: &Queue,
        bindings: WithBindings,
    ) -> Result<QueueDeclared> {
        let begun = self.begin_queue(queue, bindings)?;
        self.wait_for_async(begun).await
    }

    fn begin_queue(&self, queue: &Queue, bindings: WithBindings) -> Result<Begun<QueueDeclared>> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return Ok(Begun::There(backend.declare_queue(queue)));
        }
        let entered = self.guarded.enter(Verb::DeclareQueue);
        self.begin(|| {
            let declared = entered.vhost.declare_queue(entered.by, queue, bindings)?;
            self.check_exclusive(queue.is_exclusive())?;
            Ok(declared)
        })
    }

    pub(crate) fn declare_budget(&self, budget: &Budget) -> Result {
        let begun = self.begin_budget(budget)?;
        self.wait_for(begun)
    }

    /// As [`declare_budget`](Self::declare_budget), for a task.
    pub(crate) async fn declare_budget_async(&self, budget: &Budget) -> Result {
        let begun = self.begin_budget(budget)?;
        self.wait_for_async(begun).await
    }

    fn begin_budget(&self, budget: &Budget) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("budgets")?;
        let entered = self.guarded.enter(Verb::DeclareBudget);
        let name = Name::of_entity(budget.name())?;
        entered.access.check(Configure, EntityKind::Budget, &name)?;
        self.begin(|| entered.vhost.declare_budget(budget).map(drop))
    }

    pub(crate) fn declare_exchange_passive(&self, name: &str) -> Result {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::DeclareExchangePassive);
        entered.vhost.declare_exchange_passive(entered.by, name)
    }

    pub(crate) fn declare_queue_passive(&self, name: &str) -> Result<QueueDeclared> {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::DeclareQueuePassive);
        entered.vhost.declare_queue_passive(entered.by, name)
    }

    pub(crate) fn delete_exchange(&self, name: &str, if_unused: bool) -> Result {
        let begun = self.begin_exchange_end(name, if_unused)?;
        self.wait_for(begun)
    }

    /// As [`delete_exchange`](Self::delete_exchange), for a task.
    pub(crate) async fn delete_exchange_async(&self, name: &str, if_unused: bool) -> Result {
        let begun = self.begin_exchange_end(name, if_unused)?;
        self.wait_for_async(begun).await
    }

    fn begin_exchange_end(&self, name: &str, if_unused: bool) -> Result<Begun<()>> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return Ok(Begun::There(backend.delete_exchange(name)));
        }
        let entered = self.guarded.enter(Verb::DeleteExchange);
        let (vhost, by) = (entered.vhost, entered.by);
        self.begin(|| vhost.delete_exchange(by, name, if_unused))
    }

    /// Returns how many messages were ready.
    pub(crate) fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Result<u64> {
        let begun = self.begin_queue_end(name, if_unused, if_empty)?;
        self.wait_for(begun)
    }

    /// As [`delete_queue`](Self::delete_queue) in any case, for a task.
    pub(crate) async fn delete_queue_async(&self, name: &str) -> Result<u64> {
        let begun = self.begin_queue_end(name, false, false)?;
        self.wait_for_async(begun).await
    }

    fn begin_queue_end(&self, name: &str, if_unused: bool, if_empty: bool) -> Result<Begun<u64>> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return Ok(Begun::There(backend.delete_queue(name)));
        }
        let entered = self.guarded.enter(Verb::DeleteQueue);
        let (vhost, by) = (entered.vhost, entered.by);
        self.begin(|| vhost.delete_queue(by, name, if_unused, if_empty))
    }

    pub(crate) fn delete_budget(&self, name: &str) -> Result {
        let begun = self.begin_budget_end(name)?;
        self.wait_for(begun)
    }

    /// As [`delete_budget`](Self::delete_budget), for a task.
    pub(crate) async fn delete_budget_async(&self, name: &str) -> Result {
        let begun = self.begin_budget_end(name)?;
        self.wait_for_async(begun).await
    }

    fn begin_budget_end(&self, name: &str) -> Result<Begun<()>> {
        self.check_open()?;
        self.check_embedded("budgets")?;
        let entered = self.guarded.enter(Verb::DeleteBudget);
        let checked = Name::of_entity(name)?;
        let access = entered.access;
        access.check(Configure, EntityKind::Budget, &checked)?;
        self.begin(|| entered.vhost.delete_budget(name))
    }

    pub(crate) fn bind(&self, request: BindingRequest<'_>) -> Result {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::Bind);
        self.synced(|| entered.vhost.bind(entered.by, request).map(drop))
    }

    pub(crate) fn unbind(&self, request: BindingRequest<'_>) -> Result {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::Unbind);
        self.synced(|| entered.vhost.unbind(entered.by, request).map(drop))
    }

    /// The queues that a message would reach, in order. It asks for what a publish asks for.
    pub(crate) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Vec<Name>> {
        let vhost = self.check_route(exchange, routing_key)?;
        vhost.route(exchange, routing_key, headers)
    }

    /// The way that a message would take, and why. It asks for what a publish asks for.
    pub(crate) fn explain(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Explanation> {
        let vhost = self.check_route(exchange, routing_key)?;
        let explanation = vhost.explain(exchange, routing_key, headers)?;
        // What its other keys lead to is for those who may publish by them.
        self.check_publish_keys(
            &Name::of_entity(exchange)?,
            &Name::new(routing_key)?,
            Some(headers),
        )?;
        Ok(explanation)
    }

    fn check_route(&self, exchange: &str, routing_key: &str) -> Result<&Arc<VirtualHost>> {
        self.check_open()?;
        self.check_embedded("the view of routes")?;
        let entered = self.guarded.enter(Verb::Route);
        let name = Name::of_entity(exchange)?;
        entered.access.check(Write, EntityKind::Exchange, &name)?;
        if !entered.access.is_all() && entered.vhost.is_topic(&name) {
            entered.access.check_topic(Write, &name, routing_key)?;
        }
        Ok(entered.vhost)
    }
}
