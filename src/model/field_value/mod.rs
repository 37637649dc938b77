//! AMQP field values: the values of headers, of policies, and of the arguments of queues,
//! exchanges, bindings and consumers.
//!
//! Every field type of RabbitMQ's AMQP 0-9-1 has a variant, so that a value keeps its type. `table`
//! has the table, and `entries` its entries. `nesting` has the limit of nesting. `equality` has the
//! two comparisons of the broker, for redeclaration and for headers routing. `json` has the form in
//! JSON, `binary` that on disk, `text` the printed one, and `erlang` the one of RabbitMQ's terms.
//! This module does not know the meaning of an argument.

mod binary;
mod entries;
mod equality;
mod erlang;
mod json;
mod nesting;
mod table;
mod text;

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) use self::equality::Number;
pub(crate) use self::erlang::{ErlangBinary, ErlangValue};
pub(crate) use self::json::plain_json;
pub use self::{nesting::TableTooDeep, table::FieldTable};
use crate::model::{name::Name, octets};

/// A typed value in a [`FieldTable`].
///
/// `==` is exact: equal values have the same type and the same value. A not-a-number equals itself.
/// Tables are equal in any order. The broker's own comparisons are
/// [`equivalent`](FieldValue::equivalent) and [`matches`](FieldValue::matches).
///
/// In JSON, these values are plain: a 32-bit integer, a 64-bit integer that does not fit into 32
/// bits, a double, a string, a boolean, void (`null`), an array and a table. All others are tagged:
/// `{"$type": "timestamp", "value": 5}`. Reading therefore gives the same value back; a double is
/// as exact as the reader of the format. `$type` is the first key of a tagged value.
///
/// Arrays and tables nest, at most [`FieldTable::MAX_DEPTH`] deep. A deeper value can be made, and
/// dropped, copied and compared. It prints cut off, and the broker refuses it.
///
/// # Examples
/// ```
/// use leveret::{FieldTable, FieldValue};
///
/// let value = FieldValue::from(5);
/// assert_eq!(value, FieldValue::Int(5));
/// assert_eq!(value.as_i64(), Some(5));
/// assert_ne!(value, FieldValue::Long(5));
/// assert!(value.equivalent(&FieldValue::Long(5)));
///
/// // Each reader gives the value of its own types, and `None` for all others.
/// assert_eq!((value.type_name(), value.as_str()), ("signedint", None));
/// assert_eq!(FieldValue::from(0.5).as_f64(), Some(0.5));
/// assert_eq!(FieldValue::from(true).as_bool(), Some(true));
/// assert_eq!(FieldValue::Timestamp(5).as_timestamp(), Some(5));
/// assert_eq!(FieldValue::from("text").as_str(), Some("text"));
/// assert_eq!(FieldValue::from("text").as_bytes().as_deref(), Some(&b"text"[..]));
/// assert_eq!(FieldValue::from(vec![value]).as_array().map(<[_]>::len), Some(1));
/// assert!(FieldValue::from(FieldTable::new()).as_table().is_some_and(FieldTable::is_empty));
/// assert!(FieldValue::from(()).is_void());
/// ```
#[derive(Default)]
pub enum FieldValue {
    /// No value. In a headers binding it asks only that the header exists.
    #[default]
    Void,
    /// True or false.
    Bool(bool),
    /// A signed 8-bit integer, in RabbitMQ `byte`.
    Octet(i8),
    /// An unsigned 8-bit integer.
    UnsignedOctet(u8),
    /// A signed 16-bit integer.
    Short(i16),
    /// An unsigned 16-bit integer.
    UnsignedShort(u16),
    /// A signed 32-bit integer. Most clients send integers in this type.
    Int(i32),
    /// An unsigned 32-bit integer.
    UnsignedInt(u32),
    /// A signed 64-bit integer.
    Long(i64),
    /// A 32-bit floating-point number.
    Float(f32),
    /// A 64-bit floating-point number.
    Double(f64),
    /// A decimal number: `value` divided by ten to the power of `scale`.
    Decimal {
        /// The number of digits behind the decimal point.
        scale: u8,
        /// The digits.
        value: i32,
    },
    /// Text, in RabbitMQ `longstr`. A program outside may send one that is no UTF-8, which has a
    /// [form as text](crate::octets).
    LongString(String),
    /// Bytes, in RabbitMQ `binary`.
    Bytes(Vec<u8>),
    /// A point in time, in seconds since 1970-01-01 00:00 UTC.
    Timestamp(u64),
    /// An array of values, which may have different types.
    Array(Vec<FieldValue>),
    /// A nested table.
    Table(FieldTable),
}

impl FieldValue {
    /// The name of the type in RabbitMQ's errors: `signedint`, `longstr`.
    pub fn type_name(&self) -> &'static str {
        match self {
            FieldValue::Void => "void",
            FieldValue::Bool(_) => "bool",
            FieldValue::Octet(_) => "byte",
            FieldValue::UnsignedOctet(_) => "unsignedbyte",
            FieldValue::Short(_) => "short",
            FieldValue::UnsignedShort(_) => "unsignedshort",
            FieldValue::Int(_) => "signedint",
            FieldValue::UnsignedInt(_) => "unsignedint",
            FieldValue::Long(_) => "long",
            FieldValue::Float(_) => "float",
            FieldValue::Double(_) => "double",
            FieldValue::Decimal { .. } => "decimal",
            FieldValue::LongString(_) => "longstr",
            FieldValue::Bytes(_) => "binary",
            FieldValue::Timestamp(_) => "timestamp",
            FieldValue::Array(_) => "array",
            FieldValue::Table(_) => "table",
        }
    }

    /// The bytes that the value takes in AMQP 0-9-1, with its type.
    pub(crate) fn encoded_len(&self) -> u64 {
        let value = match self {
            FieldValue::Void => 0,
            FieldValue::Bool(_) | FieldValue::Octet(_) | FieldValue::UnsignedOctet(_) => 1,
            FieldValue::Short(_) | FieldValue::UnsignedShort(_) => 2,
            FieldValue::Int(_) | FieldValue::UnsignedInt(_) | FieldValue::Float(_) => 4,
            FieldValue::Decimal { .. } => 5,
            FieldValue::Long(_) | FieldValue::Double(_) | FieldValue::Timestamp(_) => 8,
            FieldValue::LongString(text) => 4 + octets::len_of(text) as u64,
            FieldValue::Bytes(bytes) => 4 + bytes.len() as u64,
            FieldValue::Array(values) => {
                4 + values.iter().map(FieldValue::encoded_len).sum::<u64>()
            }
            FieldValue::Table(table) => table.encoded_len(),
        };
        1 + value
    }

    /// Whether the value is [`FieldValue::Void`].
    pub fn is_void(&self) -> bool {
        matches!(self, FieldValue::Void)
    }

    /// The value of an integer of any width. A timestamp is not an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            FieldValue::Octet(value) => Some(value.into()),
            FieldValue::UnsignedOctet(value) => Some(value.into()),
            FieldValue::Short(value) => Some(value.into()),
            FieldValue::UnsignedShort(value) => Some(value.into()),
            FieldValue::Int(value) => Some(value.into()),
            FieldValue::UnsignedInt(value) => Some(value.into()),
            FieldValue::Long(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a [`Float`](FieldValue::Float) or a [`Double`](FieldValue::Double). An integer
    /// has none.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            FieldValue::Float(value) => Some(value.into()),
            FieldValue::Double(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            FieldValue::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The seconds since 1970 of a timestamp.
    pub fn as_timestamp(&self) -> Option<u64> {
        match *self {
            FieldValue::Timestamp(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// The text of a long string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            FieldValue::LongString(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of a byte array or of a long string. Those of a long string that is no UTF-8 are
    /// [as they came](crate::octets).
    pub fn as_bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            FieldValue::LongString(text) => Some(octets::of_text(text)),
            FieldValue::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[FieldValue]> {
        match self {
            FieldValue::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The nested table.
    pub fn as_table(&self) -> Option<&FieldTable> {
        match self {
            FieldValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text of a long string, taken out of the value.
    ///
    /// # Errors
    /// A value of another type is returned.
    ///
    /// # Examples
    /// ```
    /// use leveret::{FieldTable, FieldValue};
    ///
    /// assert_eq!(FieldValue::from("text").into_string(), Ok("text".to_owned()));
    /// assert_eq!(FieldValue::from(5).into_string(), Err(FieldValue::Int(5)));
    /// let array = FieldValue::Array(vec![5.into()]);
    /// assert_eq!(array.into_array(), Ok(vec![FieldValue::Int(5)]));
    /// let table = FieldTable::from([("k", 5)]);
    /// assert_eq!(FieldValue::from(table.clone()).into_table(), Ok(table));
    /// ```
    pub fn into_string(mut self) -> Result<String, FieldValue> {
        match &mut self {
            FieldValue::LongString(text) => Ok(std::mem::take(text)),
            _ => Err(self),
        }
    }

    /// The elements of an array, taken out of the value.
    ///
    /// # Errors
    /// A value of another type is returned.
    ///
    /// [`into_string`](Self::into_string) has an example.
    pub fn into_array(mut self) -> Result<Vec<FieldValue>, FieldValue> {
        match &mut self {
            FieldValue::Array(values) => Ok(std::mem::take(values)),
            _ => Err(self),
        }
    }

    /// The nested table, taken out of the value.
    ///
    /// # Errors
    /// A value of another type is returned.
    ///
    /// [`into_string`](Self::into_string) has an example.
    pub fn into_table(mut self) -> Result<FieldTable, FieldValue> {
        match &mut self {
            FieldValue::Table(table) => Ok(std::mem::take(table)),
            _ => Err(self),
        }
    }
}

impl From<()> for FieldValue {
    fn from((): ()) -> FieldValue {
        FieldValue::Void
    }
}

/// One `From` for each Rust type that has a field type.
macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl From<$type> for FieldValue {
            fn from(value: $type) -> FieldValue {
                FieldValue::$variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Bool, i8 => Octet, u8 => UnsignedOctet, i16 => Short, u16 => UnsignedShort,
    i32 => Int, u32 => UnsignedInt, i64 => Long, f32 => Float, f64 => Double,
    &str => LongString, String => LongString, &String => LongString, Name => LongString,
    &Name => LongString, Vec<u8> => Bytes, &[u8] => Bytes, Vec<FieldValue> => Array,
    FieldTable => Table,
}

/// Whole seconds since 1970. A time before 1970 is 0.
impl From<SystemTime> for FieldValue {
    fn from(time: SystemTime) -> FieldValue {
        FieldValue::Timestamp(
            time.duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rust_values_become_the_field_type_of_their_width() {
        assert_eq!(FieldValue::from(5), FieldValue::Int(5));
        assert_eq!(FieldValue::from(5_i64), FieldValue::Long(5));
        assert_eq!(FieldValue::from(5_u8), FieldValue::UnsignedOctet(5));
        assert_eq!(FieldValue::from("a"), FieldValue::LongString("a".into()));
        assert_eq!(FieldValue::from(vec![1_u8]), FieldValue::Bytes(vec![1]));
        let time = UNIX_EPOCH + Duration::from_millis(5_900);
        assert_eq!(FieldValue::from(time), FieldValue::Timestamp(5));
        assert_eq!(
            FieldValue::from(UNIX_EPOCH - Duration::from_secs(1)),
            FieldValue::Timestamp(0)
        );
    }

    #[test]
    fn every_integer_width_reads_as_an_integer_and_nothing_else_does() {
        for value in [
            FieldValue::Octet(7),
            FieldValue::UnsignedOctet(7),
            FieldValue::Short(7),
            FieldValue::UnsignedShort(7),
            FieldValue::Int(7),
            FieldValue::UnsignedInt(7),
            FieldValue::Long(7),
        ] {
            assert_eq!(value.as_i64(), Some(7), "{}", value.type_name());
        }
        for value in [
            FieldValue::Double(7.0),
            FieldValue::Timestamp(7),
            "7".into(),
            true.into(),
        ] {
            assert_eq!(value.as_i64(), None, "{}", value.type_name());
        }
    }

    #[test]
    fn a_value_is_four_words() {
        assert_eq!(size_of::<FieldValue>(), 32);
    }
}
