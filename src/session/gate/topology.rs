//! Exchanges, queues, bindings, budgets.

use super::{Gate, Verb};
use crate::{
    engine::vhost::{BindingRequest, QueueDeclared, WithBindings},
    model::{
        descriptions::{Budget, Exchange, Queue},
        error::{
            EntityKind,
            Permission::{Configure, Write},
            Result,
        },
        field_value::FieldTable,
        name::Name,
    },
};

impl Gate {
    /// Declares an exchange, with its bindings or without: all or nothing.
    pub(crate) fn declare_exchange(&self, exchange: &Exchange, bindings: WithBindings) -> Result {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.declare_exchange(exchange));
        }
        let entered = self.guarded.enter(Verb::DeclareExchange);
        let (vhost, by) = (entered.vhost, entered.by);
        vhost.declare_exchange(by, exchange, bindings)
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
        let entered = self.guarded.enter(Verb::DeclareQueue);
        let declared = entered.vhost.declare_queue(entered.by, queue, bindings)?;
        self.check_exclusive(queue.is_exclusive())?;
        Ok(declared)
    }

    pub(crate) fn declare_budget(&self, budget: &Budget) -> Result {
        self.check_open()?;
        self.check_embedded("budgets")?;
        let entered = self.guarded.enter(Verb::DeclareBudget);
        let name = Name::of_entity(budget.name())?;
        entered.access.check(Configure, EntityKind::Budget, &name)?;
        entered.vhost.declare_budget(budget).map(drop)
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
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.delete_exchange(name));
        }
        let entered = self.guarded.enter(Verb::DeleteExchange);
        entered.vhost.delete_exchange(entered.by, name, if_unused)
    }

    /// Returns how many messages were ready.
    pub(crate) fn delete_queue(&self, name: &str, if_unused: bool, if_empty: bool) -> Result<u64> {
        self.check_open()?;
        if let Some(backend) = &self.backend {
            return self.wait(backend.delete_queue(name));
        }
        let entered = self.guarded.enter(Verb::DeleteQueue);
        let (vhost, by) = (entered.vhost, entered.by);
        vhost.delete_queue(by, name, if_unused, if_empty)
    }

    pub(crate) fn delete_budget(&self, name: &str) -> Result {
        self.check_open()?;
        self.check_embedded("budgets")?;
        let entered = self.guarded.enter(Verb::DeleteBudget);
        let checked = Name::of_entity(name)?;
        entered
            .access
            .check(Configure, EntityKind::Budget, &checked)?;
        entered.vhost.delete_budget(name)
    }

    pub(crate) fn bind(&self, request: BindingRequest<'_>) -> Result {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::Bind);
        entered.vhost.bind(entered.by, request).map(drop)
    }

    pub(crate) fn unbind(&self, request: BindingRequest<'_>) -> Result {
        self.check_open()?;
        let entered = self.guarded.enter(Verb::Unbind);
        entered.vhost.unbind(entered.by, request).map(drop)
    }

    /// The queues that a message would reach, in order. It asks for what a publish asks for.
    pub(crate) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Vec<Name>> {
        self.check_open()?;
        self.check_embedded("the view of routes")?;
        let entered = self.guarded.enter(Verb::Route);
        let name = Name::of_entity(exchange)?;
        entered.access.check(Write, EntityKind::Exchange, &name)?;
        if !entered.access.is_all() && entered.vhost.is_topic(&name) {
            entered.access.check_topic(Write, &name, routing_key)?;
        }
        entered.vhost.route(exchange, routing_key, headers)
    }
}
