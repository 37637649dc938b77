//! Declares and deletes byte budgets, and finds the budgets that cover a queue.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    VirtualHost,
    topology::{DeclaredBudget, Topology},
};
use crate::{
    engine::queue::{Account, BudgetCore, QueueCore},
    model::{
        arguments::{QueueArguments, check_budget_equivalence},
        descriptions,
        error::{EntityKind, Error, Result},
        name::Name,
    },
};

impl VirtualHost {
    /// `true` if the budget is new.
    pub(crate) fn declare_budget(&self, description: &descriptions::Budget) -> Result<bool> {
        let mut topology = self.topology.write();
        self.check_up()?;
        let new = self.new_budget(&topology, &topology.budgets, description)?;
        let is_new = new.is_some();
        if let Some((name, declared)) = new {
            topology.add_budget(name, declared);
        }
        drop(topology);
        Ok(is_new)
    }

    /// A budget to be added. `None` if it is among those that are there.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] for an invalid description, [`Error::Inequivalent`] if the
    /// one that is there has other properties.
    pub(super) fn new_budget(
        &self,
        topology: &Topology,
        there: &BTreeMap<Name, DeclaredBudget>,
        description: &descriptions::Budget,
    ) -> Result<Option<(Name, DeclaredBudget)>> {
        let name = Name::of_entity(description.name())?;
        let invalid = |field: &str, reason: &str| {
            Error::invalid_argument(field, EntityKind::Budget, &name, self.name(), reason)
        };
        if name.is_empty() {
            return Err(invalid("name", "it is empty, expected 1 to 255 bytes"));
        }
        if description.limit() == 0 {
            return Err(invalid("limit", "{value_zero,0}, expected 1 or more bytes"));
        }
        if let Some(there) = there.get(&name) {
            check_budget_equivalence(&there.description, description, &name, self.name())?;
            return Ok(None);
        }
        // The messages that queues already have were not paid for.
        if description.is_whole_vhost() && topology.holders().next().is_some() {
            return Err(Error::late_budget(&name, self.name()));
        }
        let declared = DeclaredBudget {
            budget: Arc::new(BudgetCore::new(name.clone(), description)),
            description: description.clone(),
        };
        Ok(Some((name, declared)))
    }

    /// Succeeds if there is no such budget.
    pub(crate) fn delete_budget(&self, name: &str) -> Result {
        let name = Name::of_entity(name)?;
        let mut topology = self.topology.write();
        self.check_up()?;
        let Some(declared) = topology.budgets.get(&name) else {
            return Ok(());
        };
        if topology.is_paid_into(&declared.budget) {
            return Err(Error::in_use(EntityKind::Budget, &name, self.name()));
        }
        topology.remove_budget(&name);
        drop(topology);
        Ok(())
    }

    /// The account of a new queue; `None` if no budget covers it.
    pub(super) fn open_account(
        &self,
        budgets: &BTreeMap<Name, DeclaredBudget>,
        arguments: &QueueArguments,
    ) -> Result<Option<Arc<Account>>> {
        let named = match &arguments.budget {
            Some(name) => Some(
                budgets
                    .get(name)
                    .ok_or_else(|| Error::not_found(EntityKind::Budget, name, self.name()))?,
            ),
            None => None,
        };
        let covering = budgets.iter().filter(|(name, declared)| {
            declared.description.is_whole_vhost() && arguments.budget.as_ref() != Some(*name)
        });
        let covering = covering.map(|(_, declared)| declared);
        let budgets = named.into_iter().chain(covering);
        Ok(Account::with(
            budgets
                .map(|declared| Arc::clone(&declared.budget))
                .collect(),
        ))
    }
}

impl Topology {
    pub(super) fn add_budget(&mut self, name: Name, declared: DeclaredBudget) {
        if let Some(storage) = &self.storage {
            storage.write_budget(&name, Some(&declared.description));
        }
        self.budgets.insert(name, declared);
    }

    /// Removes a budget that nothing is paid into.
    pub(super) fn remove_budget(&mut self, name: &Name) {
        self.budgets.remove(name);
        if let Some(storage) = &self.storage {
            storage.write_budget(name, None);
        }
    }

    /// All holders of messages: queues, and the delay queues of delayed exchanges.
    fn holders(&self) -> impl Iterator<Item = &Arc<QueueCore>> {
        let delay_queues = self.exchanges.values();
        let delay_queues = delay_queues.filter_map(|declared| declared.delay_queue.as_ref());
        let queues = self.queues.values().map(|declared| &declared.queue);
        queues.chain(delay_queues)
    }

    /// Whether the budget covers any queue.
    fn is_paid_into(&self, budget: &Arc<BudgetCore>) -> bool {
        let mut accounts = self.holders().filter_map(|holder| holder.account());
        accounts.any(|account| account.is_with(budget))
    }
}
