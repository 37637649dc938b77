//! Full queues and spent budgets.

mod blocked;
mod budget;
mod length;
