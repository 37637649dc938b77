//! Queues and budgets that are full.

mod blocked;
mod budget;
mod length;
