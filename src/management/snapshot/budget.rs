//! The use of a byte budget.

use serde::{Deserialize, Serialize};

use crate::{
    engine::vhost::{DeclaredBudget, Topology},
    handles::broker::Broker,
    model::{
        descriptions::BudgetPolicy,
        error::{EntityKind, Error, Result},
        name::Name,
    },
    session::connection::Connection,
};

/// The use of a [`Budget`](crate::Budget) at one moment.
///
/// `used` counts the bytes of all messages in the covered queues: those that are `ready`,
/// `unsettled` or `delayed` in their [`QueueSnapshot`](crate::QueueSnapshot)s. A settlement does
/// not wait for a snapshot, so `used` can differ from the bytes of the queues.
///
/// # Examples
/// ```
/// use leveret::{Broker, Budget, Queue};
///
/// let broker = Broker::new();
/// broker.declare(&Budget::new("jobs", 100).block())?;
/// broker.producer::<u64>(&Queue::new("q").budget("jobs"))?.publish(7)?;
/// let jobs = broker.budget("jobs")?;
/// assert_eq!((jobs.used, jobs.limit, jobs.waiting), (8, 100, 0));
/// assert_eq!(broker.snapshot()?.vhosts[0].budgets, [jobs]);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// The name of the budget.
    pub name: Name,
    /// The declared number of bytes.
    pub limit: u64,
    /// The declared policy for publishers when the budget is spent.
    pub policy: BudgetPolicy,
    /// Whether the budget is declared for every queue of its virtual host.
    pub whole_vhost: bool,
    /// The number of used bytes. It can be over the limit, because messages that the broker itself
    /// publishes (dead letters, for example) are never refused.
    pub used: u64,
    /// The number of publishers that wait for room in the budget.
    pub waiting: u64,
}

impl Broker {
    /// As [`Connection::budget`], in the virtual host `/`.
    ///
    /// # Errors
    /// As [`Connection::budget`].
    pub fn budget(&self, name: &str) -> Result<BudgetSnapshot> {
        self.implicit()?.budget(name)
    }
}

impl Connection {
    /// The current use of a budget.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the virtual host has no budget of this name, [`Error::InvalidName`]
    /// for a name over 255 bytes, [`Error::ConnectionClosed`], [`Error::ShutDown`].
    ///
    /// [`BudgetSnapshot`] has an example.
    pub fn budget(&self, name: &str) -> Result<BudgetSnapshot> {
        let name = Name::of_entity(name)?;
        let gate = self.gate();
        let look = |topology: &Topology| topology.budgets.get(&name).map(snapshot_of);
        gate.view_budget(&name, look)?
            .ok_or_else(|| Error::not_found(EntityKind::Budget, &name, gate.vhost_name()))
    }
}

pub(super) fn snapshot_of(
    DeclaredBudget {
        budget,
        description,
    }: &DeclaredBudget,
) -> BudgetSnapshot {
    BudgetSnapshot {
        name: budget.name().clone(),
        limit: description.limit(),
        policy: description.policy(),
        whole_vhost: description.is_whole_vhost(),
        used: budget.used(),
        waiting: budget.waiting() as u64,
    }
}
