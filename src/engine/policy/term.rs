//! The values of settings as Erlang prints them, for RabbitMQ's texts.

use std::fmt;

use crate::model::field_value::FieldValue;

/// Prints a value as an Erlang term that was read from JSON. The depth of a definition is checked
/// before.
pub(super) struct Term<'a>(pub(super) &'a FieldValue);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::Void => f.write_str("null"),
            FieldValue::LongString(text) => write!(f, "<<\"{text}\">>"),
            FieldValue::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    Term(value).fmt(f)?;
                }
                f.write_str("]")
            }
            FieldValue::Table(table) => {
                let mut entries: Vec<_> = table.iter().collect();
                entries.sort_by_key(|(name, _)| *name);
                f.write_str("#{")?;
                for (at, (name, value)) in entries.into_iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    write!(f, "<<\"{name}\">> => {}", Term(value))?;
                }
                f.write_str("}")
            }
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::field_value::FieldTable;

    #[test]
    fn values_print_as_erlang_prints_what_it_read_from_json() {
        let array = FieldValue::Array(vec![1.into(), "a".into()]);
        let table = FieldTable::from([("b", array.clone()), ("a", FieldValue::Void)]);
        for (value, text) in [
            (FieldValue::from(-5), "-5"),
            (1.0.into(), "1.0"),
            (true.into(), "true"),
            (FieldValue::Void, "null"),
            ("5".into(), "<<\"5\">>"),
            (array, "[1,<<\"a\">>]"),
            (
                table.into(),
                "#{<<\"a\">> => null,<<\"b\">> => [1,<<\"a\">>]}",
            ),
            (FieldTable::new().into(), "#{}"),
        ] {
            assert_eq!(Term(&value).to_string(), text);
        }
    }
}
