//! The ways to receive, and the end of receiving.

mod buffer;
mod crossbeam;
mod ends;
mod expiry;
mod expiry_model;
mod fairness;
mod iterate;
mod pause;
mod pause_model;
mod receive;
mod select;
mod strict_order;
mod tasks;
mod thieves;
mod unseen;
mod waiting;
