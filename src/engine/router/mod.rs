//! Routers: exchange types that choose destinations by code instead of by a table.
//!
//! A [`Router`] sees the bindings of its exchange as a list of plain values, and chooses among
//! them. `exchange_types` finds the type of an exchange by its name. Knows nothing of queues,
//! virtual hosts or locks. The virtual host keeps the lists, and asks routers while it holds no
//! lock.

mod binding_rules;
mod exchange_types;
mod modulus_hash;
mod random;

use std::fmt::Debug;

pub use self::binding_rules::BindingRules;
pub(crate) use self::exchange_types::{ExchangeType, ExchangeTypes, RegisteredRouter};
use crate::{
    message::properties::RoutingProperties,
    model::{field_value::FieldTable, name::Name},
};

/// Chooses the destinations of messages, for an exchange type of your own.
///
/// [`BrokerBuilder::exchange_type`](crate::BrokerBuilder::exchange_type) registers a router under
/// the name of its type. [`Exchange::new`](crate::Exchange::new) describes exchanges of that type.
/// One router serves all exchanges of the type, on all threads.
///
/// The broker holds no lock while it asks a router, so a router may use the broker. It should be
/// quick: it is also asked by threads of the broker, for messages that were delayed or
/// dead-lettered. A route is not remembered, so a router is asked once for each message and each
/// exchange of its type on the way. It chooses among the bindings at the time of the question. A
/// binding that is removed before the message is routed is left out.
///
/// If a router panics, it has chosen nothing, and the panic hook reports the panic. If nothing is
/// chosen, the message goes to the alternate exchange, if there is one.
///
/// # RabbitMQ
/// The behaviour `rabbit_exchange_type` of plugins. Three types of RabbitMQ are of this kind:
/// `x-local-random`, `x-modulus-hash` and `x-random`. Every broker here has them as well.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue, Router, RouterBinding, RouterMessage};
///
/// /// Sends a message to the bindings whose key is a prefix of the routing key.
/// #[derive(Debug)]
/// struct Prefix;
///
/// impl Router for Prefix {
///     fn route(&self, message: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize> {
///         let key = message.routing_key();
///         let fits = |at: &usize| key.starts_with(bindings[*at].routing_key().as_str());
///         (0..bindings.len()).filter(fits).collect()
///     }
/// }
///
/// let broker = Broker::builder().exchange_type("x-prefix", Prefix).build();
/// let exchange = Exchange::new("codes", "x-prefix");
/// let french = broker.simple_queue::<u32>(&Queue::new("french").bind(&exchange, "+33"))?;
/// broker.producer::<u32>(&exchange)?.publish_to("+33123", 7)?;
/// assert_eq!(*french.get()?, 7);
/// # Ok::<(), leveret::Error>(())
/// ```
pub trait Router: Debug + Send + Sync + 'static {
    /// Chooses the destinations of a message. Returns the positions of the chosen bindings.
    ///
    /// Two bindings to one destination count as one destination, and so does the same position
    /// twice. A position at which there is no binding is ignored.
    ///
    /// `bindings` are sorted: those to exchanges come before those to queues, and each group is
    /// sorted by the name of the destination and by the binding key.
    fn route(&self, message: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize>;

    /// The bindings that exchanges of this type may have. The default allows all.
    ///
    /// The broker asks once, when the router is registered.
    fn binding_rules(&self) -> BindingRules {
        BindingRules::default()
    }
}

/// The message that a [`Router`] routes.
///
/// [`Router`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct RouterMessage<'a> {
    exchange: &'a Name,
    routing_keys: &'a [&'a str],
    properties: RoutingProperties<'a>,
}

impl<'a> RouterMessage<'a> {
    pub(crate) fn new(
        exchange: &'a Name,
        routing_keys: &'a [&'a str],
        properties: RoutingProperties<'a>,
    ) -> Self {
        Self {
            exchange,
            routing_keys,
            properties,
        }
    }

    /// The exchange that routes the message.
    pub fn exchange(&self) -> &'a Name {
        self.exchange
    }

    /// The routing key.
    pub fn routing_key(&self) -> &'a str {
        self.routing_keys.first().copied().unwrap_or_default()
    }

    /// The routing key, and after it the keys in the headers `CC` and `BCC`.
    pub fn routing_keys(&self) -> &'a [&'a str] {
        self.routing_keys
    }

    /// The headers. `None` if the message has none.
    pub fn headers(&self) -> Option<&'a FieldTable> {
        self.properties.headers
    }
}

/// A binding that a [`Router`] may choose.
///
/// [`Router`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterBinding {
    to_queue: bool,
    destination: Name,
    routing_key: Name,
    arguments: FieldTable,
}

impl RouterBinding {
    pub(crate) fn new(
        destination: &Name,
        to_queue: bool,
        routing_key: &Name,
        arguments: &FieldTable,
    ) -> Self {
        Self {
            to_queue,
            destination: destination.clone(),
            routing_key: routing_key.clone(),
            arguments: arguments.clone(),
        }
    }

    /// The name of the queue or the exchange that the binding leads to.
    pub fn destination(&self) -> &Name {
        &self.destination
    }

    /// Whether the destination is a queue. If not, it is an exchange.
    pub fn is_to_queue(&self) -> bool {
        self.to_queue
    }

    /// The binding key.
    pub fn routing_key(&self) -> &Name {
        &self.routing_key
    }

    /// The arguments.
    pub fn arguments(&self) -> &FieldTable {
        &self.arguments
    }

    /// The order of the bindings in a list.
    pub(crate) fn rank(&self) -> (bool, &Name, &Name) {
        (self.to_queue, &self.destination, &self.routing_key)
    }
}
