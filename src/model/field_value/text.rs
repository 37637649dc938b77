//! Field values in text: as in RabbitMQ's errors, and for debugging.

use std::fmt;

use super::{FieldTable, FieldValue};

/// A value, of which the depth has been checked, or the place of one that is too deep.
pub(super) enum Text<'a> {
    Value(&'a FieldValue),
    Table(&'a FieldTable),
    TooDeep(&'static str),
}

impl<'a> Text<'a> {
    pub(super) fn of_table(table: &'a FieldTable) -> Text<'a> {
        match table.check_depth() {
            Ok(()) => Text::Table(table),
            Err(_) => Text::TooDeep("{..}"),
        }
    }

    fn of_value(value: &'a FieldValue) -> Text<'a> {
        match (value.check_depth(), value) {
            (Ok(()), value) => Text::Value(value),
            (Err(_), FieldValue::Array(_)) => Text::TooDeep("[..]"),
            (Err(_), _) => Text::TooDeep("{..}"),
        }
    }
}

/// Prints the value as in RabbitMQ's errors. Text, numbers and booleans are bare. Inside arrays and
/// tables, text is quoted. A value that is nested too deep is cut off.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Text::of_value(self), f)
    }
}

impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Text::of_value(self), f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self {
            Text::Value(value) => value,
            Text::Table(table) => return fmt_table(table, f),
            Text::TooDeep(text) => return f.write_str(text),
        };
        match value {
            FieldValue::Void => f.write_str("undefined"),
            FieldValue::Bool(value) => write!(f, "{value}"),
            FieldValue::Octet(value) => write!(f, "{value}"),
            FieldValue::UnsignedOctet(value) => write!(f, "{value}"),
            FieldValue::Short(value) => write!(f, "{value}"),
            FieldValue::UnsignedShort(value) => write!(f, "{value}"),
            FieldValue::Int(value) => write!(f, "{value}"),
            FieldValue::UnsignedInt(value) => write!(f, "{value}"),
            FieldValue::Long(value) => write!(f, "{value}"),
            // `Debug` keeps the point of a whole number, so that 5.0 differs from 5.
            FieldValue::Float(value) => write!(f, "{value:?}"),
            FieldValue::Double(value) => write!(f, "{value:?}"),
            FieldValue::Decimal { scale, value } => f.write_str(&decimal_text(*scale, *value)),
            FieldValue::LongString(text) => f.write_str(text),
            FieldValue::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => f.write_str(text),
                Err(_) => f.write_str(&hex_text(bytes)),
            },
            FieldValue::Timestamp(seconds) => write!(f, "{seconds}"),
            FieldValue::Array(values) => f.debug_list().entries(values.iter().map(Nested)).finish(),
            FieldValue::Table(table) => fmt_table(table, f),
        }
    }
}

fn fmt_table(table: &FieldTable, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("{")?;
    for (at, (name, value)) in table.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{name}: {:?}", Nested(value))?;
    }
    f.write_str("}")
}

/// Prints an element of an array or a table, with text in quotes.
struct Nested<'a>(&'a FieldValue);

impl fmt::Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::LongString(text) => write!(f, "'{text}'"),
            value => write!(f, "{}", Text::Value(value)),
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self {
            Text::Value(value) => value,
            Text::Table(table) => {
                let entries = table.iter();
                let entries = entries.map(|(name, value)| (name, Text::Value(value)));
                return f.debug_map().entries(entries).finish();
            }
            Text::TooDeep(text) => return f.write_str(text),
        };
        let mut variant = |name, value: &dyn fmt::Debug| f.debug_tuple(name).field(value).finish();
        match value {
            FieldValue::Void => f.write_str("Void"),
            FieldValue::Bool(value) => variant("Bool", value),
            FieldValue::Octet(value) => variant("Octet", value),
            FieldValue::UnsignedOctet(value) => variant("UnsignedOctet", value),
            FieldValue::Short(value) => variant("Short", value),
            FieldValue::UnsignedShort(value) => variant("UnsignedShort", value),
            FieldValue::Int(value) => variant("Int", value),
            FieldValue::UnsignedInt(value) => variant("UnsignedInt", value),
            FieldValue::Long(value) => variant("Long", value),
            FieldValue::Float(value) => variant("Float", value),
            FieldValue::Double(value) => variant("Double", value),
            FieldValue::Decimal { scale, value } => {
                let mut decimal = f.debug_struct("Decimal");
                decimal.field("scale", scale).field("value", value).finish()
            }
            FieldValue::LongString(text) => variant("LongString", text),
            FieldValue::Bytes(bytes) => variant("Bytes", bytes),
            FieldValue::Timestamp(seconds) => variant("Timestamp", seconds),
            FieldValue::Array(values) => {
                let values: Vec<_> = values.iter().map(Text::Value).collect();
                variant("Array", &values)
            }
            FieldValue::Table(table) => variant("Table", &Text::Table(table)),
        }
    }
}

/// The digits of a decimal, with exactly `scale` of them behind the point: `(2, -5)` is `-0.05`.
pub(super) fn decimal_text(scale: u8, value: i32) -> String {
    let scale = usize::from(scale);
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// Two lower-case hexadecimal digits for each byte.
pub(super) fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_in_error_messages() {
        let printed = |value: FieldValue| value.to_string();
        assert_eq!(printed(true.into()), "true");
        assert_eq!(printed(5.into()), "5");
        assert_eq!(printed(5.0.into()), "5.0");
        assert_eq!(printed("text".into()), "text");
        assert_eq!(printed(FieldValue::Void), "undefined");
        assert_eq!(
            printed(FieldValue::Decimal {
                scale: 2,
                value: -5
            }),
            "-0.05"
        );
        assert_eq!(
            printed(FieldValue::Decimal {
                scale: 0,
                value: i32::MIN
            }),
            "-2147483648"
        );
        assert_eq!(printed(vec![0x61_u8].into()), "a");
        assert_eq!(printed(vec![0xff_u8].into()), "ff");
        assert_eq!(
            printed(FieldValue::Array(vec![1.into(), "a".into()])),
            "[1, 'a']"
        );
        assert_eq!(printed(FieldTable::from([("k", "v")]).into()), "{k: 'v'}");
    }

    #[test]
    fn values_print_for_debugging_with_their_variants() {
        let table = FieldTable::from([("k", FieldValue::Array(vec![1.into(), "a".into()]))]);
        assert_eq!(
            format!("{:?}", FieldValue::from(table)),
            r#"Table({"k": Array([Int(1), LongString("a")])})"#
        );
        let decimal = FieldValue::Decimal { scale: 1, value: 2 };
        assert_eq!(format!("{decimal:?}"), "Decimal { scale: 1, value: 2 }");
        assert_eq!(format!("{:?}", FieldValue::Void), "Void");
    }
}
