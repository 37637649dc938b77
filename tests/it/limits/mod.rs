//! Full queues and spent budgets.

mod blocked;
mod budget;
mod fanout;
mod length;
mod line;
