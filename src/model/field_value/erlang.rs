//! Field values as Erlang prints the terms that RabbitMQ makes of them, for RabbitMQ's texts.

use std::fmt::{self, Write};

use super::{FieldTable, FieldValue};

/// Prints a value as an Erlang term. The depth of the value has been checked.
pub(crate) struct ErlangValue<'a>(pub(crate) &'a FieldValue);

impl fmt::Display for ErlangValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            FieldValue::LongString(text) => ErlangBinary(text.as_bytes()).fmt(f),
            FieldValue::Bytes(bytes) => ErlangBinary(bytes).fmt(f),
            FieldValue::Array(values) => {
                let elements = values.iter().map(|value| Element(None, value));
                fmt_list(f, elements)
            }
            FieldValue::Table(table) => fmt_table(f, table),
            other => write!(f, "{other}"),
        }
    }
}

fn fmt_table(f: &mut fmt::Formatter<'_>, table: &FieldTable) -> fmt::Result {
    let elements = table.iter().map(|(name, value)| Element(Some(name), value));
    fmt_list(f, elements)
}

fn fmt_list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item: fmt::Display>) -> fmt::Result {
    f.write_char('[')?;
    for (at, item) in items.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(f, "{comma}{item}")?;
    }
    f.write_char(']')
}

/// An element of a table with its name, or of an array without one.
struct Element<'a>(Option<&'a str>, &'a FieldValue);

impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Element(name, value) = self;
        f.write_char('{')?;
        if let Some(name) = name {
            write!(f, "{},", ErlangBinary(name.as_bytes()))?;
        }
        write!(f, "{},{}}}", value.type_name(), ErlangValue(value))
    }
}

/// Prints bytes as an Erlang binary: as text if they are text that can be printed, and as numbers
/// if not.
pub(crate) struct ErlangBinary<'a>(pub(crate) &'a [u8]);

impl fmt::Display for ErlangBinary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<<")?;
        let text = std::str::from_utf8(self.0).ok();
        let printable = |text: &&str| text.chars().all(|c| !c.is_control() || escape(c).is_some());
        match text.filter(printable) {
            Some("") => {}
            Some(text) => {
                f.write_char('"')?;
                for c in text.chars() {
                    match escape(c) {
                        Some(letter) => write!(f, "\\{letter}")?,
                        None => f.write_char(c)?,
                    }
                }
                f.write_str(if text.is_ascii() { "\"" } else { "\"/utf8" })?;
            }
            None => {
                for (at, byte) in self.0.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{byte}")?;
                }
            }
        }
        f.write_str(">>")
    }
}

/// The letter behind a backslash that stands for a character.
fn escape(c: char) -> Option<char> {
    match c {
        '"' | '\\' => Some(c),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{b}' => Some('v'),
        '\u{c}' => Some('f'),
        '\u{1b}' => Some('e'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_rabbitmq_prints_them() {
        for (value, text) in [
            (FieldValue::Void, "undefined"),
            (true.into(), "true"),
            ((-1).into(), "-1"),
            ("5".into(), "<<\"5\">>"),
            ("".into(), "<<>>"),
            ("käse".into(), "<<\"käse\"/utf8>>"),
            ("1\n\"\\".into(), "<<\"1\\n\\\"\\\\\">>"),
            ("\u{1}a".into(), "<<1,97>>"),
            (FieldValue::Bytes([255, 254][..].into()), "<<255,254>>"),
            (
                FieldValue::Decimal {
                    scale: 1,
                    value: 15,
                },
                "{1,15}",
            ),
            (FieldValue::Timestamp(1_577_836_800), "1577836800"),
            (FieldValue::Array(vec![1.into()]), "[{signedint,1}]"),
            (
                FieldValue::Array(vec![1.into(), "a".into()]),
                "[{signedint,1},{longstr,<<\"a\">>}]",
            ),
            (
                FieldTable::from([("a", 1)]).into(),
                "[{<<\"a\">>,signedint,1}]",
            ),
        ] {
            assert_eq!(ErlangValue(&value).to_string(), text);
        }
    }
}
