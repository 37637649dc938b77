//! The description of a binding.

use super::Exchange;
use crate::model::field_value::{FieldTable, FieldValue};
use serde::{Deserialize, Serialize};

/// A binding of a queue or an exchange: its source, its binding key and its arguments.
///
/// A binding contains the description of its source, which is declared before the binding is made.
/// The binding belongs to the [`Queue`](crate::Queue) or [`Exchange`] that it was added to.
///
/// ```
/// use leveret::{Binding, Exchange, Queue};
///
/// let reports = Exchange::headers("reports");
/// let pdf = Binding::new(&reports, "").argument("x-match", "all").argument("format", "pdf");
/// let queue = Queue::new("pdf").binding(pdf.clone());
/// assert_eq!(queue.bindings(), [pdf.clone()]);
/// assert_eq!((pdf.source(), pdf.routing_key()), (&reports, ""));
/// assert_eq!(pdf.argument_table().len(), 2);
/// assert_eq!(Binding::new(&reports, "").arguments([("x-match", "all"), ("format", "pdf")]), pdf);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    source: Exchange,
    #[serde(default)]
    routing_key: String,
    #[serde(default, skip_serializing_if = "FieldTable::is_empty")]
    arguments: FieldTable,
}

impl Binding {
    /// Describes a binding from `source` with a binding key. A plain name as the source means an
    /// existing exchange.
    ///
    /// # RabbitMQ
    /// `queue.bind` or `exchange.bind`, with `routing_key` as the binding key. RabbitMQ does not
    /// declare the source.
    pub fn new(source: impl Into<Exchange>, routing_key: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            routing_key: routing_key.into(),
            arguments: FieldTable::new(),
        }
    }

    /// Describes a binding from a [consistent-hash exchange](Exchange::consistent_hash) with a
    /// weight, from 1 on. The declaration refuses 0.
    ///
    /// # RabbitMQ
    /// `queue.bind` or `exchange.bind`, with the weight in decimal digits as the binding key.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Binding, Exchange};
    /// let binding = Binding::weighted(Exchange::consistent_hash("orders"), 3);
    /// assert_eq!(binding.routing_key(), "3");
    /// ```
    pub fn weighted(source: impl Into<Exchange>, weight: u32) -> Self {
        Self::new(source, weight.to_string())
    }

    /// Adds an argument, for example a condition of a headers exchange. It replaces an argument of
    /// the same name.
    ///
    /// # RabbitMQ
    /// A field of `arguments` in `queue.bind` or `exchange.bind`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Adds arguments. They replace arguments of the same names.
    ///
    /// # RabbitMQ
    /// `arguments` of `queue.bind` or `exchange.bind`.
    #[must_use]
    pub fn arguments<K, V>(mut self, arguments: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<FieldValue>,
    {
        self.arguments.extend(arguments);
        self
    }

    /// The exchange that the messages come from.
    pub fn source(&self) -> &Exchange {
        &self.source
    }

    /// The binding key.
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// All arguments.
    pub fn argument_table(&self) -> &FieldTable {
        &self.arguments
    }
}
