//! The fields of one item of a file, read by their names.

use serde_json::Value;

use super::{
    json::{Entries, Json},
    path::Path,
};
use crate::model::{error::DefinitionsError, field_value::FieldTable, name::Name};

/// The fields of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) path: Path<'a>,
    entries: &'a Entries<'a>,
}

type Read<T> = Result<T, DefinitionsError>;

impl<'a> Fields<'a> {
    /// # Errors
    /// The value is no object.
    pub(super) fn of(path: Path<'a>, json: &'a Json<'a>) -> Read<Fields<'a>> {
        match json {
            Json::Object(entries) => Ok(Fields { path, entries }),
            other => {
                let reason = format!("it is {}, expected an object", other.kind());
                Err(DefinitionsError::new(path, reason))
            }
        }
    }

    /// The value of a field. Of fields that come twice it is the last one.
    pub(super) fn get(&self, key: &str) -> Option<&'a Json<'a>> {
        let mut entries = self.entries.iter().rev();
        entries
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The object without the order of its fields.
    pub(super) fn plain(&self) -> Value {
        let entries = self.entries.iter();
        let entries = entries.map(|(key, value)| (key.to_string(), value.plain()));
        Value::Object(entries.collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|(name, _)| &**name)
    }

    /// The first name that comes twice.
    pub(super) fn repeated(&self) -> Option<&'a str> {
        let mut names: Vec<_> = self.names().collect();
        names.sort_unstable();
        let mut pairs = names.windows(2);
        pairs.find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    pub(super) fn missing(&self, key: &str) -> DefinitionsError {
        DefinitionsError::new(self.path.key(key), "it is missing")
    }

    pub(super) fn wrong(&self, key: &str, found: &Json<'_>, expected: &str) -> DefinitionsError {
        let reason = format!("it is {}, expected {expected}", found.kind());
        DefinitionsError::new(self.path.key(key), reason)
    }

    pub(super) fn text(&self, key: &str) -> Read<&'a str> {
        self.optional_text(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn optional_text(&self, key: &str) -> Read<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a string")),
        }
    }

    pub(super) fn name(&self, key: &str) -> Read<Name> {
        let text = self.text(key)?;
        Name::new(text).map_err(|error| DefinitionsError::caused(self.path.key(key), error.into()))
    }

    pub(super) fn flag(&self, key: &str) -> Read<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Read<Option<i64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Integer(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong(key, other, "an integer")),
        }
    }

    /// A list of strings. One string of words with commas between them is such a list, too.
    pub(super) fn texts(&self, key: &str) -> Read<Option<Vec<String>>> {
        let values = match self.get(key) {
            None => return Ok(None),
            Some(Json::Array(values)) => values,
            Some(Json::Text(text)) => {
                let words = text.split(',').map(str::trim);
                let words = words.filter(|word| !word.is_empty());
                return Ok(Some(words.map(str::to_owned).collect()));
            }
            Some(other) => return Err(self.wrong(key, other, "a list of strings")),
        };
        let list = self.path.key(key);
        let values = values.iter().enumerate();
        let texts = values.map(|(index, value)| match value {
            Json::Text(text) => Ok(text.to_string()),
            other => {
                let reason = format!("it is {}, expected a string", other.kind());
                Err(DefinitionsError::new(list.index(index), reason))
            }
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// The arguments of a queue, an exchange or a binding, or the definition of a policy. `None` if
    /// they are missing. RabbitMQ writes and takes an empty list for an empty object.
    pub(super) fn table(&self, key: &str, is_own: bool) -> Read<Option<FieldTable>> {
        let entries = match self.get(key) {
            None => return Ok(None),
            Some(Json::Object(entries)) => entries,
            Some(Json::Array(values)) if values.is_empty() => return Ok(Some(FieldTable::new())),
            Some(other) => return Err(self.wrong(key, other, "an object")),
        };
        let table = self.path.key(key);
        let mut arguments = FieldTable::new();
        for (name, value) in entries {
            let value = value
                .field_value(is_own)
                .map_err(|reason| DefinitionsError::new(table.key(name), reason))?;
            if arguments.insert(&**name, value).is_some() {
                return Err(DefinitionsError::new(table.key(name), "it comes twice"));
            }
        }
        Ok(Some(arguments))
    }
}
