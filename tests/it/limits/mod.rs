//! Full queues and spent budgets.

mod blocked;
mod budget;
mod due;
mod fanout;
mod length;
mod line;
mod told;
