//! The typed handles: [`Broker`](broker::Broker), [`Producer`](producer::Producer),
//! [`Consumer`](consumer::Consumer), [`SimpleQueue`](simple_queue::SimpleQueue) and
//! [`Select`](select::Select).

pub(crate) mod broker;
pub(crate) mod consumer;
pub(crate) mod declare;
#[cfg(all(test, not(shuttle)))]
mod over_backend;
pub(crate) mod producer;
pub(crate) mod reader;
pub(crate) mod select;
pub(crate) mod simple_queue;
pub(crate) mod verbs;
