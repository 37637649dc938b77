//! The ways to receive, and the end of receiving.

mod ends;
mod fairness;
mod iterate;
mod receive;
mod select;
mod thieves;
mod unseen;
mod waiting;
