//! The description of an exchange. `types` has what depends on its type.

mod types;

use super::{Binding, Unkept, entity_name, is_unset, names::ALTERNATE_EXCHANGE, read_entity_name};
use crate::model::field_value::{FieldTable, FieldValue};
use serde::{Deserialize, Serialize};

/// Describes an exchange.
///
/// The first use of a description declares the exchange. A second declaration with the same
/// properties does nothing. A declaration with other properties fails with
/// [`Error::Inequivalent`](crate::Error::Inequivalent). Setters never fail. The declaration checks
/// names and arguments.
///
/// # RabbitMQ
/// `exchange.declare`, and `exchange.bind` for each binding. Here all of them take effect, or none.
///
/// # Examples
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
///
/// A description reads the item of an exchange in [definitions](crate::guide::definitions):
///
/// ```
/// # use leveret::Exchange;
/// let exported = r#"{"name": "x", "vhost": "orders", "type": "topic", "durable": true,
///     "auto_delete": false, "internal": false, "arguments": {}}"#;
/// assert_eq!(serde_json::from_str::<Exchange>(exported)?, Exchange::topic("x").durable());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    #[serde(deserialize_with = "read_entity_name")]
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
    /// An existing exchange of this type is used, whatever its other properties.
    #[serde(default, skip_serializing_if = "is_unset")]
    open: bool,
    #[serde(default, skip_serializing_if = "FieldTable::is_empty")]
    arguments: FieldTable,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<Binding>,
    /// The virtual host of an export.
    #[serde(default, skip_serializing)]
    vhost: Unkept,
}

impl Exchange {
    /// Describes an exchange of a type that is given by its name in AMQP. The types are `direct`,
    /// `fanout`, `topic`, `headers`, `x-consistent-hash`, `x-recent-history`, `x-random`,
    /// `x-local-random`, `x-modulus-hash`, and `x-delayed-message` with the argument
    /// `x-delayed-type`.
    /// [`BrokerBuilder::exchange_type`](crate::BrokerBuilder::exchange_type) adds others. The
    /// declaration of an unknown type fails with
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406). Line ends in the name
    /// are removed.
    ///
    /// # RabbitMQ
    /// `exchange` and `type` of `exchange.declare`. Other types of RabbitMQ's plugins do not exist
    /// here.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: entity_name(name),
            kind: kind.into(),
            durable: false,
            auto_delete: false,
            internal: false,
            passive: false,
            open: false,
            arguments: FieldTable::new(),
            bindings: Vec::new(),
            vhost: Unkept,
        }
    }

    /// Describes an existing exchange, for example `amq.topic`. The exchange is looked up and never
    /// created.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with `passive`.
    pub fn existing(name: impl Into<String>) -> Self {
        Self::new(name, "").passive()
    }

    /// Sets `durable`. It is recorded, compared and shown.
    ///
    /// # RabbitMQ
    /// `durable` of `exchange.declare`. A broker with a folder (feature `durable`) keeps every
    /// exchange, and the delayed messages of the durable ones. Any other broker keeps none.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Deletes the exchange when the last binding from it is removed. An exchange that never had
    /// such a binding stays.
    ///
    /// # RabbitMQ
    /// `auto_delete` of `exchange.declare`.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Makes the exchange internal: it gets messages only from other exchanges, and a publish to it
    /// fails.
    ///
    /// # RabbitMQ
    /// `internal` of `exchange.declare`.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Only checks that the exchange exists, whatever its properties. If it does not exist, its use
    /// fails.
    ///
    /// # RabbitMQ
    /// `passive` of `exchange.declare`.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    /// Sets the alternate exchange. It gets the messages that match no binding. It need not exist
    /// yet.
    ///
    /// # RabbitMQ
    /// The argument `alternate-exchange`.
    #[must_use]
    pub fn alternate(self, name: impl Into<String>) -> Self {
        self.argument(ALTERNATE_EXCHANGE, entity_name(name))
    }

    /// Adds an argument. It replaces an argument of the same name.
    ///
    /// # RabbitMQ
    /// A field of `arguments` in `exchange.declare`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Adds arguments. They replace arguments of the same names.
    ///
    /// # RabbitMQ
    /// `arguments` of `exchange.declare`.
    #[must_use]
    pub fn arguments<K, V>(mut self, arguments: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<FieldValue>,
    {
        self.arguments.extend(arguments);
        self
    }

    /// Binds this exchange to a source, with a binding key. The source is declared with this
    /// exchange. A plain name as the source means an existing exchange.
    ///
    /// # RabbitMQ
    /// `exchange.bind`, with this exchange as its `destination`. RabbitMQ does not declare the
    /// source.
    #[must_use]
    pub fn bind(self, source: impl Into<Self>, routing_key: impl Into<String>) -> Self {
        self.binding(Binding::new(source, routing_key))
    }

    /// Adds a binding, which may have arguments.
    ///
    /// # RabbitMQ
    /// `exchange.bind`, with this exchange as its `destination`.
    #[must_use]
    pub fn binding(mut self, binding: Binding) -> Self {
        self.bindings.push(binding);
        self
    }

    /// The given name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the type in AMQP. It is empty for an [`existing`](Exchange::existing) exchange.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether the exchange is [`durable`](Exchange::durable).
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether the exchange is [`auto_delete`](Exchange::auto_delete).
    pub fn is_auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether the exchange is [`internal`](Exchange::internal).
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// Whether the description is [`passive`](Exchange::passive).
    pub fn is_passive(&self) -> bool {
        self.passive
    }

    /// All arguments.
    pub fn argument_table(&self) -> &FieldTable {
        &self.arguments
    }

    /// The bindings to this exchange.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Describes a fanout exchange that need not exist. An existing one is used, whatever its other
    /// properties.
    pub(crate) fn open_fanout(name: impl Into<String>) -> Self {
        Self {
            open: true,
            ..Self::fanout(name)
        }
    }

    /// Whether an existing exchange of this type is used, whatever its other properties.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The same exchange, without its bindings.
    pub(crate) fn without_bindings(self) -> Self {
        Self {
            bindings: Vec::new(),
            ..self
        }
    }

    /// The description that a new exchange keeps.
    pub(crate) fn of_new_exchange(&self) -> Self {
        Self {
            open: false,
            ..self.clone()
        }
    }
}
