//! Publishing: from an exchange name to messages in queues.

use std::sync::Arc;

use super::{VirtualHost, route::route};
use crate::{
    envelope::{Address, Envelope},
    error::{Entity, Error, Result},
    exchange::ExchangeKind,
    field_value::FieldTable,
    name::Name,
    queue::{Effects, Queue},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

/// What became of a published message.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange};
///
/// let broker = Broker::new();
/// let publisher = broker.producer::<String>(&Exchange::fanout("logs"))?;
/// let published = publisher.publish("nobody listens".to_owned())?;
/// assert_eq!(published.routed, 0);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Published {
    /// How many queues took the message.
    pub routed: usize,
    /// How many queues were on its way and refused it, being full.
    pub refused: usize,
}

/// The queues for one exchange and routing key, as they were when the exchange had the epoch noted here.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) address: Address,
    queues: Vec<Arc<Queue>>,
    /// `None` for the default exchange: its routes end with the queue, which says so itself.
    epoch: Option<(Arc<AtomicU64>, u64)>,
    /// Whether headers take part, so that the route holds for one message only.
    pub(crate) by_headers: bool,
}

impl Route {
    /// Whether the exchange still routes as it did.
    pub(crate) fn is_current(&self) -> bool {
        match &self.epoch {
            Some((epoch, seen)) => epoch.load(SeqCst) == *seen,
            // A queue that was not there may be now.
            None => !self.queues.is_empty(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queues.len()
    }
}

impl VirtualHost {
    /// Finds the queues for a message.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange, [`Error::AccessRefused`] if it is internal,
    /// [`Error::ShutDown`].
    pub(crate) fn resolve(
        &self,
        exchange: &Name,
        routing_key: &Name,
        headers: Option<&FieldTable>,
    ) -> Result<Route> {
        let origin = self.origins().of(exchange);
        let topology = self.topology.read();
        self.check_up()?;
        let mut by_headers = false;
        let epoch = match topology.exchanges.get(exchange) {
            _ if exchange.is_empty() => None,
            None => return Err(Error::not_found(Entity::Exchange, exchange, self.name())),
            Some(declared) if declared.description.is_internal() => {
                return Err(Error::internal_exchange(exchange, self.name()));
            }
            Some(declared) => {
                by_headers =
                    declared.kind() == ExchangeKind::Headers || topology.leads_to_headers(exchange);
                // Read under the lock under which it is raised: it belongs to what is routed by below.
                let seen = declared.epoch.load(SeqCst);
                Some((Arc::clone(&declared.epoch), seen))
            }
        };
        let queues = route(&topology, exchange, routing_key, headers);
        Ok(Route {
            address: Address::new(&origin, routing_key),
            queues,
            epoch,
            by_headers,
        })
    }

    /// Puts the message into every queue of the route; the caller carries the effects out.
    ///
    /// `Err` gives the message back if the one queue it was for is deleted (the route is out of date, to be resolved
    /// anew) or if it cannot be shared by several.
    pub(crate) fn push(
        &self,
        route: &Route,
        mut envelope: Envelope,
    ) -> std::result::Result<Published, Box<PushFailed>> {
        match route.queues.as_slice() {
            [] => Err(Box::new(PushFailed {
                reason: PushFailure::NoRoute,
                envelope,
            })),
            [queue] => {
                let mut effects = Effects::none();
                let pushed = queue.lock().push(envelope, &mut effects);
                self.carry_out(queue, effects);
                match pushed {
                    Ok(()) => Ok(Published {
                        routed: 1,
                        refused: 0,
                    }),
                    Err(envelope) => Err(Box::new(PushFailed {
                        reason: PushFailure::QueueDeleted,
                        envelope,
                    })),
                }
            }
            [first, others @ ..] => {
                let mut copies = Vec::with_capacity(others.len());
                for _ in others {
                    match envelope.share() {
                        Ok(copy) => copies.push(copy),
                        Err(_) => {
                            return Err(Box::new(PushFailed {
                                reason: PushFailure::NotShareable,
                                envelope,
                            }));
                        }
                    }
                }
                let mut published = Published::default();
                for (queue, envelope) in [first]
                    .into_iter()
                    .chain(others)
                    .zip([envelope].into_iter().chain(copies))
                {
                    let mut effects = Effects::none();
                    let pushed = queue.lock().push(envelope, &mut effects);
                    self.carry_out(queue, effects);
                    // A queue deleted in between would have lost the message all the same.
                    published.routed += usize::from(pushed.is_ok());
                }
                Ok(published)
            }
        }
    }

    /// The route again, to the queues that now have the names of those it led to.
    pub(crate) fn renew(&self, route: &Route) -> Route {
        let topology = self.topology.read();
        let queues = route
            .queues
            .iter()
            .filter_map(|queue| topology.queue(queue.name()))
            .collect();
        Route {
            address: route.address.clone(),
            queues,
            epoch: None,
            by_headers: route.by_headers,
        }
    }
}

/// Why a message is in no queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushFailure {
    NoRoute,
    QueueDeleted,
    NotShareable,
}

/// A message that is in no queue.
#[derive(Debug)]
pub(crate) struct PushFailed {
    pub(crate) reason: PushFailure,
    pub(crate) envelope: Envelope,
}
