//! A virtual host: exchanges, queues and bindings under one roof, apart from every other virtual host.
//!
//! The only place that knows exchanges and queues, and the one that carries out what queues leave undone
//! ([`Effects`]). Knows nothing of channels, connections or typed handles.
//!
//! # Lock order
//! 1. the topology (`RwLock`),
//! 2. one queue (never two at once),
//! 3. a leaf: a channel's ledger, the exchange numbers, a waiter.
//!
//! A lock is only taken while locks of lower numbers are held, and none is held while user code runs: wakers,
//! destructors of payloads, clocks, codecs.

mod declare;
mod effects;
mod origins;
mod publish;
mod route;
mod topology;

use std::sync::Arc;

pub(crate) use self::{
    declare::BindingAsk,
    publish::{PushFailure, Route},
    topology::ConnectionId,
};
pub use self::{declare::QueueDeclared, publish::Published};

use self::{
    origins::Origins,
    topology::{DeclaredExchange, Topology},
};
use crate::{
    clock::Time,
    descriptions::Exchange,
    error::{Error, Result},
    exchange::ExchangeKind,
    name::Name,
    queue::Group,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

/// A virtual host.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    name: Name,
    time: Time,
    topology: RwLock<Topology>,
    origins: Origins,
    /// Numbers for queues, consumers' groups and generated names.
    next_number: AtomicU64,
    /// Set once, by the broker's shutdown or the deletion of the virtual host.
    down: AtomicBool,
    /// Payloads are encoded even if they travel in memory.
    always_encode: bool,
}

impl VirtualHost {
    /// A virtual host with nothing but the predeclared exchanges.
    pub(crate) fn new(name: Name, time: Time, always_encode: bool) -> Result<Arc<VirtualHost>> {
        let mut topology = Topology::default();
        let predeclared = [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
            ("amq.topic", ExchangeKind::Topic),
        ];
        for (exchange, kind) in predeclared {
            topology.add_exchange(
                Name::new(exchange)?,
                DeclaredExchange::new(kind, Exchange::new(exchange, kind.as_str()).durable(), None),
            );
        }
        Ok(Arc::new(VirtualHost {
            name,
            time,
            topology: RwLock::new(topology),
            origins: Origins::default(),
            next_number: AtomicU64::new(1),
            down: AtomicBool::new(false),
            always_encode,
        }))
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn time(&self) -> &Time {
        &self.time
    }

    pub(crate) fn always_encode(&self) -> bool {
        self.always_encode
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// A number that nothing else in this virtual host has.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, SeqCst)
    }

    /// A group of its own for a consumer, or for all consumers of a channel.
    pub(crate) fn new_group(&self) -> Group {
        self.next_number()
    }

    /// # Errors
    /// [`Error::ShutDown`] once the broker is shut down or the virtual host deleted.
    pub(crate) fn check_up(&self) -> Result {
        match self.down.load(SeqCst) {
            false => Ok(()),
            true => Err(Error::ShutDown),
        }
    }
}
