//! Strict reading of one JSON object. A missing field, a field of another type and a field left
//! over are errors, so that no part of a scenario is ignored.

use serde_json::{Map, Value};

use crate::Outcome;

/// The fields of an object that have not been read yet.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of `value`, which must be an object.
    pub fn new(value: &Value) -> Outcome<Fields> {
        value
            .as_object()
            .map(|map| Fields(map.clone()))
            .ok_or_else(|| format!("not an object: {value}"))
    }

    /// Takes a field of any type.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes a required field.
    pub fn required(&mut self, name: &str) -> Outcome<Value> {
        self.take(name)
            .ok_or_else(|| format!("the field '{name}' is missing"))
    }

    /// Takes a required text.
    pub fn text(&mut self, name: &str) -> Outcome<String> {
        self.optional_text(name)?
            .ok_or_else(|| format!("the field '{name}' is missing"))
    }

    /// Takes an optional text.
    pub fn optional_text(&mut self, name: &str) -> Outcome<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("the field '{name}' is not a text: {other}")),
        }
    }

    /// Takes a text. A missing field is the empty text.
    pub fn text_or_empty(&mut self, name: &str) -> Outcome<String> {
        Ok(self.optional_text(name)?.unwrap_or_default())
    }

    /// Takes a flag. A missing field is `false`.
    pub fn flag(&mut self, name: &str) -> Outcome<bool> {
        self.flag_or(name, false)
    }

    /// Takes a flag. A missing field has this default.
    pub fn flag_or(&mut self, name: &str, default: bool) -> Outcome<bool> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(format!("the field '{name}' is not a flag: {other}")),
        }
    }

    /// Takes a required number of this type.
    pub fn number<N: TryFrom<u64>>(&mut self, name: &str) -> Outcome<N> {
        self.optional_number(name)?
            .ok_or_else(|| format!("the field '{name}' is missing"))
    }

    /// Takes an optional number of this type.
    pub fn optional_number<N: TryFrom<u64>>(&mut self, name: &str) -> Outcome<Option<N>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| N::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| format!("the field '{name}' is not a number that fits: {value}"))
    }

    /// Takes a table. A missing field is the empty table.
    pub fn table(&mut self, name: &str) -> Outcome<Map<String, Value>> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(table)) => Ok(table),
            Some(other) => Err(format!("the field '{name}' is not a table: {other}")),
        }
    }

    /// Takes a list. A missing field is the empty list.
    pub fn list(&mut self, name: &str) -> Outcome<Vec<Value>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(format!("the field '{name}' is not a list: {other}")),
        }
    }

    /// Checks that every field has been read.
    pub fn finish(&self) -> Outcome {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("the field '{name}' is not known here")),
        }
    }
}
