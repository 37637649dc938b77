//! How much of a byte budget is used.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    engine::vhost::{DeclaredBudget, VirtualHost},
    handles::broker::Broker,
    model::{
        descriptions::BudgetPolicy,
        error::{EntityKind, Error, Result},
        name::Name,
    },
    session::connection::Connection,
};

/// How much of a [`Budget`](crate::Budget) is used, at one moment.
///
/// When nothing is under way, what is used is what the covered queues hold: the bytes that are `ready`, `unsettled` and `delayed` in
/// their [`QueueSnapshot`](crate::QueueSnapshot)s.
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
    /// Its name.
    pub name: Name,
    /// How many bytes it has, as declared.
    pub limit: u64,
    /// What it does with publishers when it is spent, as declared.
    pub policy: BudgetPolicy,
    /// Whether it covers every queue of its virtual host, as declared.
    pub whole_vhost: bool,
    /// How many bytes are used; what the broker itself brings may take it over the limit.
    pub used: u64,
    /// How many publishers wait for room in it.
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
    /// How much of a budget is used now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none of that name, [`Error::InvalidName`] for a name over 255 bytes,
    /// [`Error::ConnectionClosed`], [`Error::ShutDown`].
    ///
    /// [`BudgetSnapshot`] has an example.
    pub fn budget(&self, name: &str) -> Result<BudgetSnapshot> {
        let name = Name::new(name)?;
        let gate = self.gate();
        gate.read_topology(|topology| topology.budgets.get(&name).map(snapshot_of))?
            .ok_or_else(|| Error::not_found(EntityKind::Budget, &name, gate.vhost_name()))
    }
}

pub(super) fn snapshots(vhost: &Arc<VirtualHost>) -> Vec<BudgetSnapshot> {
    vhost.read_topology(|topology| topology.budgets.values().map(snapshot_of).collect())
}

fn snapshot_of(
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
