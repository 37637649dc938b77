//! The ways to receive, and the end of receiving.

mod crossbeam;
mod ends;
mod expiry;
mod fairness;
mod iterate;
mod receive;
mod select;
mod tasks;
mod thieves;
mod unseen;
mod waiting;
