//! The difference between a declaration and an existing thing.

use std::fmt;

use super::EntityKind;
use crate::model::{field_value::FieldValue, name::Name};

/// The difference between a declaration and the existing thing: the contents of
/// [`Error::Inequivalent`](super::Error::Inequivalent).
///
/// # Examples
/// ```
/// use leveret::{Error, Queue};
/// # use leveret::Broker;
/// # let broker = Broker::new();
/// broker.declare(&Queue::new("q"))?;
/// match broker.declare(&Queue::new("q").durable()).unwrap_err() {
///     Error::Inequivalent(difference) => {
///         assert_eq!(difference.field, "durable");
///         assert_eq!(difference.received, Some(true.into()));
///         assert_eq!(difference.current, Some(false.into()));
///     }
///     other => panic!("{other}"),
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inequivalent {
    /// The property or argument that differs, by its name in AMQP: `durable`, `type`,
    /// `x-max-length`.
    pub field: String,
    /// The kind of the declared thing.
    pub entity: EntityKind,
    /// The name of the thing.
    pub name: Name,
    /// The virtual host of the thing.
    pub vhost: Name,
    /// The value in the declaration. It is `None` if the declaration has no such argument.
    pub received: Option<FieldValue>,
    /// The value of the existing thing. It is `None` if that has no such argument.
    pub current: Option<FieldValue>,
}

impl fmt::Display for Inequivalent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inequivalent {
            field,
            entity,
            name,
            vhost,
            received,
            current,
        } = self;
        write!(
            f,
            "inequivalent arg '{field}' for {entity} '{name}' in vhost '{vhost}': "
        )?;
        match (received, current) {
            (Some(received), Some(current)) => {
                write!(f, "received '{received}' but current is '{current}'")
            }
            // RabbitMQ shows the type only if one of the values is missing.
            (received, current) => write!(
                f,
                "received {} but current is {}",
                Lone(received),
                Lone(current)
            ),
        }
    }
}

/// Prints the value of an argument that only one side has.
struct Lone<'a>(&'a Option<FieldValue>);

impl fmt::Display for Lone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(value) => write!(f, "the value '{value}' of type '{}'", value.type_name()),
        }
    }
}
