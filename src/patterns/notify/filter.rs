//! [`NotificationFilter`], which chooses notifications by their fields.

use std::{any::Any, fmt};

use serde::Serialize;
use serde_json::{Value, json};

use super::Notification;
use crate::{
    model::{
        error::InvalidPattern,
        field_value::{FieldTable, plain_json},
    },
    patterns::worker::{Context, HandlerError, HandlerResult, Settle},
    runtime::{catch_panic::catch_panic, regex::Regex},
};

/// Chooses notifications by their fields. All conditions must hold; a filter without conditions
/// chooses every notification.
///
/// A regular expression may match anywhere in a text: anchor it by `^` and `$`. A match that takes
/// too many steps is none. With a look-behind of variable length the time grows with the text all
/// the same. A field that is not there meets no condition.
///
/// # oslo.messaging
/// `NotificationFilter`. There a regular expression matches at the start of the text, a condition
/// reaches one level deep, and no number meets any.
///
/// # Examples
/// ```
/// use leveret::notify::{Condition, NotificationFilter, Priority};
/// use serde_json::{Value, json};
///
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<Value>("local").build()?;
/// let filter = NotificationFilter::new()
///     .publisher_id("^local")?
///     .event_type(r"^order\.")?
///     .payload("/card/declined", true)
///     .payload("/amount", Condition::at_least(100));
/// let (sender, alarms) = std::sync::mpsc::channel();
/// let listener = broker.listener::<Value>().on_matching(Priority::Error, filter, move |it, _| {
///     sender.send(it.payload["amount"].clone())
/// });
/// let listener = listener.spawn()?;
/// notifier.error("order.failed", json!({"card": {"declined": true}, "amount": 20}))?;
/// notifier.error("order.failed", json!({"card": {"declined": true}, "amount": 100}))?;
/// assert_eq!(alarms.recv().unwrap(), 100);
/// # listener.stop();
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a filter chooses by `then` or `matches`"]
pub struct NotificationFilter {
    publisher_id: Option<Regex>,
    event_type: Option<Regex>,
    context: Vec<Field>,
    metadata: Vec<Field>,
    payload: Vec<Field>,
}

/// A condition for the value at a JSON pointer.
#[derive(Clone, Debug)]
struct Field {
    pointer: String,
    condition: Condition,
}

/// A condition for one field of a notification. Texts, numbers and booleans convert into one that
/// asks for an equal value.
///
/// [`NotificationFilter`] has an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Condition {
    /// The field is there, also as `null`.
    Exists,
    /// The field has this value. Numbers are compared by their values: 1 equals 1.0.
    Equals(Value),
    /// The field is a number, and this or more.
    AtLeast(f64),
    /// The field is a number, and this or less.
    AtMost(f64),
    /// The field is a text with a match. A number or a boolean is taken as its text.
    Matches(Pattern),
}

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    Regex::new(pattern).map_err(|fault| InvalidPattern::new(pattern, fault))
}

/// A match that takes too many steps is none.
fn is_in(regex: &Regex, text: &str) -> bool {
    regex.is_in(text).unwrap_or(false)
}

impl Condition {
    /// Asks for a text with a match of this regular expression.
    ///
    /// # Errors
    /// [`InvalidPattern`] if it does not compile.
    pub fn matches(pattern: &str) -> Result<Condition, InvalidPattern> {
        compile(pattern).map(|regex| Condition::Matches(Pattern(regex)))
    }

    /// Asks for a number that is `least` or more.
    pub fn at_least(least: impl Into<f64>) -> Condition {
        Condition::AtLeast(least.into())
    }

    /// Asks for a number that is `most` or less.
    pub fn at_most(most: impl Into<f64>) -> Condition {
        Condition::AtMost(most.into())
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Equals(wanted) => equal(wanted, value),
            Condition::AtLeast(least) => value.as_f64().is_some_and(|number| number >= *least),
            Condition::AtMost(most) => value.as_f64().is_some_and(|number| number <= *most),
            Condition::Matches(Pattern(regex)) => match value {
                Value::String(text) => is_in(regex, text),
                Value::Number(_) | Value::Bool(_) => is_in(regex, &value.to_string()),
                _ => false,
            },
        }
    }
}

/// Whether two values are equal. Numbers are equal if their values are.
fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Number(wanted), Value::Number(number)) => {
            wanted == number
                || !(wanted.is_u64() || wanted.is_i64()) && same(wanted, number)
                || !(number.is_u64() || number.is_i64()) && same(wanted, number)
        }
        (Value::Array(wanted), Value::Array(values)) => {
            let mut pairs = wanted.iter().zip(values);
            wanted.len() == values.len() && pairs.all(|(wanted, value)| equal(wanted, value))
        }
        (Value::Object(wanted), Value::Object(values)) => {
            let in_both = |(key, wanted): (&String, &Value)| {
                values.get(key).is_some_and(|value| equal(wanted, value))
            };
            wanted.len() == values.len() && wanted.iter().all(in_both)
        }
        _ => wanted == value,
    }
}

/// Whether two numbers, of which one is a float, have the same value.
fn same(one: &serde_json::Number, other: &serde_json::Number) -> bool {
    one.as_f64() == other.as_f64()
}

impl<V: Into<Value>> From<V> for Condition {
    fn from(value: V) -> Condition {
        Condition::Equals(value.into())
    }
}

impl NotificationFilter {
    /// Makes a filter that chooses every notification.
    pub fn new() -> NotificationFilter {
        NotificationFilter::default()
    }

    /// Asks for a publisher id with a match of this regular expression.
    ///
    /// # Errors
    /// [`InvalidPattern`] if it does not compile.
    pub fn publisher_id(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.publisher_id = Some(compile(pattern)?);
        Ok(self)
    }

    /// Asks for an event type with a match of this regular expression.
    ///
    /// # Errors
    /// [`InvalidPattern`] if it does not compile.
    pub fn event_type(mut self, pattern: &str) -> Result<Self, InvalidPattern> {
        self.event_type = Some(compile(pattern)?);
        Ok(self)
    }

    /// Asks for a field of the request context, which the notifier sets by
    /// [`with_context`](super::Notifier::with_context). `pointer` is a JSON pointer (RFC 6901),
    /// such as `/user`. Numbers of all types are compared by value, a timestamp is a number of
    /// seconds since 1970, and bytes are a text of hexadecimal digits.
    pub fn context(mut self, pointer: impl Into<String>, condition: impl Into<Condition>) -> Self {
        self.context.push(Field::new(pointer, condition));
        self
    }

    /// Asks for a field of the metadata: `/message_id` (a text), `/priority` (a text in lower
    /// case), `/timestamp` (a number, seconds since 1970).
    pub fn metadata(mut self, pointer: impl Into<String>, condition: impl Into<Condition>) -> Self {
        self.metadata.push(Field::new(pointer, condition));
        self
    }

    /// Asks for a field of the payload, as it is in JSON. `pointer` is a JSON pointer (RFC 6901):
    /// `/lines/0/price`, or an empty text for the whole payload.
    pub fn payload(mut self, pointer: impl Into<String>, condition: impl Into<Condition>) -> Self {
        self.payload.push(Field::new(pointer, condition));
        self
    }

    /// Whether the filter chooses a notification with this request context.
    pub fn matches<T: Serialize + 'static>(
        &self,
        notification: &Notification<T>,
        context: Option<&FieldTable>,
    ) -> bool {
        let text = |regex: &Option<Regex>, text: &str| {
            regex.as_ref().is_none_or(|regex| is_in(regex, text))
        };
        text(&self.publisher_id, &notification.publisher_id)
            && text(&self.event_type, &notification.event_type)
            && all(&self.metadata, || Some(metadata_of(notification)))
            && all(&self.context, || plain_json(context?))
            && self.holds_for_payload(&notification.payload)
    }

    fn holds_for_payload<T: Serialize + 'static>(&self, payload: &T) -> bool {
        // Free-form payloads need no copy.
        match (payload as &dyn Any).downcast_ref::<Value>() {
            Some(value) => self.payload.iter().all(|field| field.holds(value)),
            None => all(&self.payload, || json_of(payload)),
        }
    }

    /// Makes a handler that is called with the chosen notifications. All others are acknowledged.
    ///
    /// [`ListenerBuilder`](super::ListenerBuilder) has an example.
    pub fn then<T, F, R>(
        self,
        handler: F,
    ) -> impl Fn(&Notification<T>, &Context<'_>) -> Result<Settle, HandlerError>
    + Send
    + Sync
    + use<T, F, R>
    where
        T: Serialize + 'static,
        F: Fn(&Notification<T>, &Context<'_>) -> R + Send + Sync,
        R: HandlerResult,
    {
        move |notification, context| match self.matches(notification, context.request_context()) {
            true => handler(notification, context).into_result().map(Into::into),
            false => Ok(Settle::Ack),
        }
    }
}

impl Field {
    fn new(pointer: impl Into<String>, condition: impl Into<Condition>) -> Field {
        Field {
            pointer: pointer.into(),
            condition: condition.into(),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        let field = value.pointer(&self.pointer);
        field.is_some_and(|field| self.condition.holds(field))
    }
}

/// Whether all conditions hold. The value is made only if there are any.
fn all(fields: &[Field], value: impl FnOnce() -> Option<Value>) -> bool {
    if fields.is_empty() {
        return true;
    }
    value().is_some_and(|value| fields.iter().all(|field| field.holds(&value)))
}

/// A value that cannot be serialized has no fields. A `Serialize` that panics is one that fails.
fn json_of(value: &impl Serialize) -> Option<Value> {
    catch_panic(|| serde_json::to_value(value).ok()).flatten()
}

fn metadata_of<T>(notification: &Notification<T>) -> Value {
    let since = notification.timestamp.duration_since(std::time::UNIX_EPOCH);
    json!({
        "message_id": notification.message_id,
        "priority": notification.priority,
        "timestamp": since.map_or(0.0, |since| since.as_secs_f64()),
    })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}
