//! The description of an exchange.

use super::{
    Binding, is_unset,
    names::{ALTERNATE_EXCHANGE, DELAYED_MESSAGE, DELAYED_TYPE},
};
use crate::model::{
    field_value::{FieldTable, FieldValue},
    name::Name,
};
use serde::{Deserialize, Serialize};

/// Describes an exchange.
///
/// It is declared when it is first used; declaring it again is nothing, and declaring another of the same name with other properties is
/// [`Error::Inequivalent`](crate::Error::Inequivalent). Setters never fail: what is wrong with a name or an argument is found when it is declared.
///
/// ```
/// use leveret::Exchange;
///
/// let unrouted = Exchange::fanout("unrouted");
/// let logs = Exchange::topic("logs").durable().alternate(unrouted.name());
/// let errors = Exchange::fanout("errors").bind(&logs, "*.error"); // from exchange to exchange
///
/// assert_eq!((logs.name(), logs.kind()), ("logs", "topic"));
/// assert_eq!(errors.bindings()[0].source(), &logs);
/// assert_eq!(logs.argument_table().get("alternate-exchange"), Some(&"unrouted".into()));
/// assert!(logs.is_durable() && !logs.is_passive());
///
/// let inner = Exchange::new("inner", "direct").auto_delete().internal();
/// assert!(inner.is_auto_delete() && inner.is_internal());
/// assert!(Exchange::existing("amq.topic").is_passive());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    name: String,
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(default, skip_serializing_if = "is_unset")]
    durable: bool,
    #[serde(default, skip_serializing_if = "is_unset")]
    auto_delete: bool,
    #[serde(default, skip_serializing_if = "is_unset")]
    internal: bool,
    #[serde(default, skip_serializing_if = "is_unset")]
    passive: bool,
    #[serde(default, skip_serializing_if = "FieldTable::is_empty")]
    arguments: FieldTable,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<Binding>,
}

impl Exchange {
    /// An exchange of a type that is given as AMQP names it: `direct`, `fanout`, `topic`, `headers`, or `x-delayed-message` with the
    /// argument `x-delayed-type`. To declare any other fails with [`Error::CommandInvalid`](crate::Error::CommandInvalid) (503).
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            durable: false,
            auto_delete: false,
            internal: false,
            passive: false,
            arguments: FieldTable::new(),
            bindings: Vec::new(),
        }
    }

    /// A direct exchange: the routing key equals the binding key.
    pub fn direct(name: impl Into<String>) -> Self {
        Self::new(name, "direct")
    }

    /// A fanout exchange: every bound queue gets every message.
    pub fn fanout(name: impl Into<String>) -> Self {
        Self::new(name, "fanout")
    }

    /// A topic exchange: binding keys are patterns of words, with `*` for one word and `#` for any number.
    pub fn topic(name: impl Into<String>) -> Self {
        Self::new(name, "topic")
    }

    /// A headers exchange: bindings match by message headers.
    pub fn headers(name: impl Into<String>) -> Self {
        Self::new(name, "headers")
    }

    /// An exchange that exists already, such as `amq.topic` or one that somebody else declares. It is looked up, never created.
    pub fn existing(name: impl Into<String>) -> Self {
        Self::new(name, "").passive()
    }

    /// Sets AMQP's `durable`: recorded, compared and shown. Nothing survives a restart yet.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Sets AMQP's `auto-delete`: deleted when the last binding from it is gone. One that never had a binding stays.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Cannot be published to: it gets messages from other exchanges only.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Only asks whether the exchange exists, whatever its properties; if it does not, use of it is an error.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    /// Has it keep messages back that say so: its type becomes `x-delayed-message` (known from RabbitMQ's plugin), its type until
    /// now the argument `x-delayed-type`, by which it routes.
    ///
    /// A message with the header `x-delay`, a positive number of milliseconds, waits in the exchange for so long
    /// ([`Message::delay`](crate::Message::delay) sets it); all others pass at once. Where a message goes is decided when its
    /// time has come, by the bindings and the alternate exchange there are then. It is delivered with its header negated
    /// (`x-delay: -5000`), which keeps the next delayed exchange on its way from delaying it again. While it waits it is neither
    /// routed nor unroutable: it is [`Published::delayed`](crate::Published::delayed), even if it is mandatory; should no queue want
    /// it in the end, nobody is told, and it goes to the virtual host's dead-letter queue if there is one. Messages that
    /// wait go with their exchange when that is deleted. A [`Local`](crate::Local) that more than one queue wants in the end goes to the first.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, ManualClock, Message, Queue};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let reminders = Exchange::topic("reminders").delayed();
    /// assert_eq!(reminders.kind(), "x-delayed-message");
    /// let kitchen = Queue::new("kitchen").bind(&reminders, "kitchen.#");
    /// let consumer = broker.consumer::<String>(&kitchen)?;
    /// let tea = Message::new("tea".to_owned()).routing_key("kitchen.pot").delay(Duration::from_secs(240));
    /// let published = broker.producer::<String>(&reminders)?.publish_message(tea)?;
    /// assert_eq!((published.routed, published.delayed), (0, 1));
    /// clock.advance(Duration::from_secs(240));
    /// assert_eq!(*consumer.try_recv()?, "tea");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn delayed(mut self) -> Self {
        if self.kind == DELAYED_MESSAGE {
            return self;
        }
        let kind = std::mem::replace(&mut self.kind, DELAYED_MESSAGE.to_owned());
        self.argument(DELAYED_TYPE, kind)
    }

    /// Sends what no binding matches to the exchange of this name (`alternate-exchange`), which need not exist yet.
    #[must_use]
    pub fn alternate(self, name: impl Into<String>) -> Self {
        self.argument(ALTERNATE_EXCHANGE, name.into())
    }

    /// Adds an argument; one of the same name is replaced.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Adds arguments; those of the same names are replaced.
    #[must_use]
    pub fn arguments<K, V>(mut self, arguments: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<FieldValue>,
    {
        self.arguments.extend(arguments);
        self
    }

    /// Binds this exchange to a source: what `routing_key` matches there comes here. The source's description travels along and is declared
    /// with this one; a plain name means an exchange that exists already.
    #[must_use]
    pub fn bind(self, source: impl Into<Self>, routing_key: impl Into<String>) -> Self {
        self.binding(Binding::new(source, routing_key))
    }

    /// Adds a binding, with arguments if it has some.
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Self {
        self.bindings.push(binding);
        self
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type, as AMQP names it. Empty for an [`existing`](Exchange::existing) exchange.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether it is [`durable`](Exchange::durable).
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether it is [`auto_delete`](Exchange::auto_delete).
    pub fn is_auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether it is [`internal`](Exchange::internal).
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// Whether it is [`passive`](Exchange::passive).
    pub fn is_passive(&self) -> bool {
        self.passive
    }

    /// All arguments.
    pub fn argument_table(&self) -> &FieldTable {
        &self.arguments
    }

    /// The bindings that lead to it.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }
}

impl From<&Exchange> for Exchange {
    fn from(exchange: &Exchange) -> Self {
        exchange.clone()
    }
}

/// A plain name means an exchange that exists already.
macro_rules! by_name {
    ($($name:ty),*) => {$(
        impl From<$name> for Exchange {
            /// [`Exchange::existing`].
            fn from(name: $name) -> Self {
                Self::existing(name)
            }
        }
    )*};
}

by_name!(&str, String, &String, Name, &Name);
