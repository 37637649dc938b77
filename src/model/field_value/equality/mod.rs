//! How values are compared: exactly (`==`), on redeclaration ([`FieldValue::equivalent`]) and by a headers exchange
//! ([`FieldValue::matches`]).
//!
//! All three agree inside arrays and tables: there an element's type counts.

use std::hash::{Hash, Hasher};

use super::FieldValue;

/// The largest power of two below which a finite double is surely within `i128`.
const I128_BOUND: f64 = (1_u128 << 126) as f64;

impl FieldValue {
    /// Whether an argument with this value counts as unchanged when the other is declared: RabbitMQ's rule.
    ///
    /// The width of an integer does not matter, nor that of a floating-point number, and a string is as good as the same
    /// bytes; an integer and a floating-point number are never equivalent. Inside arrays and tables types must be equal.
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

    /// Whether a header with the other value satisfies a headers binding with this one (or the other way round):
    /// RabbitMQ's rule.
    ///
    /// Numbers are compared by value: integers of any width, floats, doubles and timestamps alike, but not decimals. A
    /// string matches the same bytes, an empty array an empty table. Inside arrays and tables types must be equal.
    ///
    /// That a void *binding* value asks for presence only is not in here, as it holds in one direction only.
    ///
    /// # Examples
    /// ```
    /// use leveret::FieldValue;
    ///
    /// assert!(FieldValue::Int(1).matches(&FieldValue::Double(1.0)));
    /// assert!(FieldValue::Int(1).matches(&FieldValue::Timestamp(1)));
    /// assert!(!FieldValue::Int(1).matches(&FieldValue::from("1")));
    /// ```
    pub fn matches(&self, other: &FieldValue) -> bool {
        match (self.number(), other.number()) {
            (Some(left), Some(right)) => left.same_value(right),
            (None, None) => self.same_text_or_structure(other),
            _ => false,
        }
    }

    /// What both comparisons make of everything that is not a number.
    fn same_text_or_structure(&self, other: &FieldValue) -> bool {
        match (self, other) {
            (FieldValue::LongString(text), FieldValue::Bytes(bytes))
            | (FieldValue::Bytes(bytes), FieldValue::LongString(text)) => {
                text.as_bytes() == bytes.as_slice()
            }
            (FieldValue::Array(array), FieldValue::Table(table))
            | (FieldValue::Table(table), FieldValue::Array(array)) => {
                array.is_empty() && table.is_empty()
            }
            _ => self == other,
        }
    }

    /// The value of what compares as a number. A decimal does not: it is a pair of numbers.
    fn number(&self) -> Option<Number> {
        let whole = self
            .as_i64()
            .map(i128::from)
            .or_else(|| self.as_timestamp().map(i128::from));
        whole
            .map(Number::Whole)
            .or_else(|| self.as_f64().map(Number::Fraction))
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Fraction(f64),
}

impl Number {
    /// Compares without rounding, so that 2^53 + 1 does not equal 2^53 by way of a double.
    fn same_value(self, other: Number) -> bool {
        match (self, other) {
            (Number::Whole(left), Number::Whole(right)) => left == right,
            (Number::Fraction(left), Number::Fraction(right)) => same_float(left, right),
            (Number::Whole(whole), Number::Fraction(fraction))
            | (Number::Fraction(fraction), Number::Whole(whole)) => {
                fraction.fract() == 0.0 && fraction.abs() < I128_BOUND && fraction as i128 == whole
            }
        }
    }
}

/// Equality that is reflexive: a not-a-number equals itself, whatever its bits.
fn same_float(left: f64, right: f64) -> bool {
    left == right || (left.is_nan() && right.is_nan())
}

/// The bits to hash, equal for what [`same_float`] calls equal.
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
        use FieldValue::*;
        match (self, other) {
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
            (Array(left), Array(right)) => left == right,
            (Table(left), Table(right)) => left == right,
            _ => false,
        }
    }
}

impl Eq for FieldValue {}

impl Hash for FieldValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        use FieldValue::*;
        std::mem::discriminant(self).hash(state);
        match self {
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
            Array(values) => values.hash(state),
            Table(table) => table.hash(state),
        }
    }
}

#[cfg(test)]
mod tests;
