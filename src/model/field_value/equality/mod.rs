//! The comparisons of values: exact (`==`), on redeclaration ([`FieldValue::equivalent`]) and by a
//! headers exchange ([`FieldValue::matches`]).
//!
//! Inside arrays and tables all three compare the types of elements.

use std::hash::{Hash, Hasher};

use super::{FieldTable, FieldValue};
use crate::model::octets;

/// How many units the timestamp of a header has in a second. RabbitMQ compares it in milliseconds,
/// and compares the timestamp of a binding in seconds.
const UNITS_OF_HEADER: i128 = 1_000;

impl FieldValue {
    /// Whether a redeclaration may have the other value for an argument with this value. The rule
    /// is RabbitMQ's.
    ///
    /// The widths of integers and of floating-point numbers do not matter. A string equals the same
    /// bytes. An integer never equals a floating-point number. Inside arrays and tables the types
    /// must be equal.
    ///
    /// # Examples
    /// ```
    /// use leveret::FieldValue;
    ///
    /// assert!(FieldValue::Short(5).equivalent(&FieldValue::Long(5)));
    /// assert!(!FieldValue::Int(5).equivalent(&FieldValue::Double(5.0)));
    /// ```
    pub fn equivalent(&self, other: &FieldValue) -> bool {
        match (self.number(), other.number()) {
            (Some(Number::Whole(left)), Some(Number::Whole(right))) => left == right,
            (Some(Number::Fraction(left)), Some(Number::Fraction(right))) => {
                same_float(left, right)
            }
            (None, None) => self.same_text_or_structure(other),
            _ => false,
        }
    }

    /// Whether a header of the value `header` satisfies a headers binding with this value. The rule
    /// is RabbitMQ's.
    ///
    /// Integers of all widths are compared with one another, and so are floats and doubles. An
    /// integer never matches a floating-point number, nor does zero match negative zero. A
    /// timestamp is compared as an integer: one of the binding in seconds, and one of the header in
    /// milliseconds. A string matches the same bytes. An empty array matches an empty table. Inside
    /// arrays and tables the types must be equal.
    ///
    /// A void value of a *binding* asks only that the header exists. The caller applies this rule.
    ///
    /// # Examples
    /// ```
    /// use leveret::FieldValue;
    ///
    /// assert!(FieldValue::Int(1).matches(&FieldValue::Long(1)));
    /// assert!(!FieldValue::Int(1).matches(&FieldValue::Double(1.0)));
    /// assert!(FieldValue::Int(1_000).matches(&FieldValue::Timestamp(1)));
    /// assert!(FieldValue::Timestamp(1_000).matches(&FieldValue::Timestamp(1)));
    /// assert!(!FieldValue::Int(1).matches(&FieldValue::from("1")));
    /// ```
    pub fn matches(&self, header: &FieldValue) -> bool {
        match (self.number(), header.number_of_header()) {
            (None, None) => self.same_text_or_structure(header),
            (wanted, found) => wanted == found,
        }
    }

    /// The rule of both comparisons for all values that are not numbers.
    fn same_text_or_structure(&self, other: &FieldValue) -> bool {
        match (self, other) {
            (FieldValue::LongString(text), FieldValue::Bytes(bytes))
            | (FieldValue::Bytes(bytes), FieldValue::LongString(text)) => {
                *octets::of_text(text) == **bytes
            }
            (FieldValue::Array(array), FieldValue::Table(table))
            | (FieldValue::Table(table), FieldValue::Array(array)) => {
                array.is_empty() && table.is_empty()
            }
            _ => self == other,
        }
    }

    /// The number that a value compares as. A decimal has none: it is a pair of numbers.
    pub(crate) fn number(&self) -> Option<Number> {
        self.number_in(1)
    }

    /// The number that the value of a header compares as.
    pub(crate) fn number_of_header(&self) -> Option<Number> {
        self.number_in(UNITS_OF_HEADER)
    }

    fn number_in(&self, units: i128) -> Option<Number> {
        let seconds = || {
            self.as_timestamp()
                .map(|seconds| i128::from(seconds) * units)
        };
        let whole = self.as_i64().map(i128::from).or_else(seconds);
        whole
            .map(Number::Whole)
            .or_else(|| self.as_f64().map(Number::Fraction))
    }
}

/// The number that a value compares as. A whole number never equals a fraction, and zero does not
/// equal negative zero.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(i128),
    Fraction(f64),
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        match (self, other) {
            (Number::Whole(left), Number::Whole(right)) => left == right,
            (Number::Fraction(left), Number::Fraction(right)) => {
                exact_bits(*left) == exact_bits(*right)
            }
            _ => false,
        }
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Number::Whole(whole) => whole.hash(state),
            Number::Fraction(fraction) => exact_bits(fraction).hash(state),
        }
    }
}

/// The bits of a number. A not-a-number equals itself, whatever its bits.
fn exact_bits(value: f64) -> u64 {
    match value.is_nan() {
        true => f64::NAN.to_bits(),
        false => value.to_bits(),
    }
}

/// Compares reflexively: a not-a-number equals itself, whatever its bits.
fn same_float(left: f64, right: f64) -> bool {
    left == right || (left.is_nan() && right.is_nan())
}

/// The bits to hash. They are equal for numbers that [`same_float`] calls equal.
fn float_bits(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

impl PartialEq for FieldValue {
    fn eq(&self, other: &FieldValue) -> bool {
        equal_plain(self, other).unwrap_or_else(|| all_equal(vec![(self, other)]))
    }
}

impl Eq for FieldValue {}

impl PartialEq for FieldTable {
    fn eq(&self, other: &FieldTable) -> bool {
        let mut pairs = Vec::new();
        pair(self, other, &mut pairs) && all_equal(pairs)
    }
}

impl Eq for FieldTable {}

/// Whether the values of each pair are equal. Values may be nested to any depth, so this is a loop.
fn all_equal<'a>(mut pairs: Vec<(&'a FieldValue, &'a FieldValue)>) -> bool {
    while let Some((left, right)) = pairs.pop() {
        let equal = match (left, right) {
            (FieldValue::Array(left), FieldValue::Array(right)) => {
                pairs.extend(left.iter().zip(right));
                left.len() == right.len()
            }
            (FieldValue::Table(left), FieldValue::Table(right)) => pair(left, right, &mut pairs),
            (left, right) => equal_plain(left, right) == Some(true),
        };
        if !equal {
            return false;
        }
    }
    true
}

/// Pairs the values of the same names, whatever the order. Plain values are compared at once.
/// `false` if the tables are found to differ.
fn pair<'a>(
    left: &'a FieldTable,
    right: &'a FieldTable,
    pairs: &mut Vec<(&'a FieldValue, &'a FieldValue)>,
) -> bool {
    let mut in_place = right.iter();
    left.len() == right.len()
        && left.iter().all(|(name, value)| {
            let in_place = in_place.next().filter(|(other, _)| *other == name);
            let other = in_place.map(|(_, value)| value).or_else(|| right.get(name));
            other.is_some_and(|other| {
                equal_plain(value, other).unwrap_or_else(|| {
                    pairs.push((value, other));
                    true
                })
            })
        })
}

/// `None` for two arrays and for two tables.
fn equal_plain(left: &FieldValue, right: &FieldValue) -> Option<bool> {
    use FieldValue::*;
    Some(match (left, right) {
        (Void, Void) => true,
        (Bool(left), Bool(right)) => left == right,
        (Octet(left), Octet(right)) => left == right,
        (UnsignedOctet(left), UnsignedOctet(right)) => left == right,
        (Short(left), Short(right)) => left == right,
        (UnsignedShort(left), UnsignedShort(right)) => left == right,
        (Int(left), Int(right)) => left == right,
        (UnsignedInt(left), UnsignedInt(right)) => left == right,
        (Long(left), Long(right)) => left == right,
        (Float(left), Float(right)) => same_float((*left).into(), (*right).into()),
        (Double(left), Double(right)) => same_float(*left, *right),
        (
            Decimal { scale, value },
            Decimal {
                scale: other_scale,
                value: other_value,
            },
        ) => (scale, value) == (other_scale, other_value),
        (LongString(left), LongString(right)) => left == right,
        (Bytes(left), Bytes(right)) => left == right,
        (Timestamp(left), Timestamp(right)) => left == right,
        (Array(_), Array(_)) | (Table(_), Table(_)) => return None,
        _ => false,
    })
}

impl Hash for FieldValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_all(vec![self], state);
    }
}

impl Hash for FieldTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut values = Vec::new();
        hash_names(self, &mut values, state);
        hash_all(values, state);
    }
}

/// Hashes the values, the last first. Values may be nested to any depth, so this is a loop.
fn hash_all<H: Hasher>(mut values: Vec<&FieldValue>, state: &mut H) {
    use FieldValue::*;
    while let Some(value) = values.pop() {
        std::mem::discriminant(value).hash(state);
        match value {
            Void => {}
            Bool(value) => value.hash(state),
            Octet(value) => value.hash(state),
            UnsignedOctet(value) => value.hash(state),
            Short(value) => value.hash(state),
            UnsignedShort(value) => value.hash(state),
            Int(value) => value.hash(state),
            UnsignedInt(value) => value.hash(state),
            Long(value) => value.hash(state),
            Float(value) => float_bits((*value).into()).hash(state),
            Double(value) => float_bits(*value).hash(state),
            Decimal { scale, value } => (scale, value).hash(state),
            LongString(text) => text.hash(state),
            Bytes(bytes) => bytes.hash(state),
            Timestamp(seconds) => seconds.hash(state),
            Array(inner) => {
                inner.len().hash(state);
                values.extend(inner);
            }
            Table(table) => hash_names(table, &mut values, state),
        }
    }
}

/// Hashes the names of a table in their order, since the order of insertion does not count, and
/// adds the values in the same order.
fn hash_names<'a, H: Hasher>(
    table: &'a FieldTable,
    values: &mut Vec<&'a FieldValue>,
    state: &mut H,
) {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    entries.len().hash(state);
    for (name, value) in entries {
        name.hash(state);
        values.push(value);
    }
}

#[cfg(test)]
mod tests;
