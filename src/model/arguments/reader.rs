//! Reads single arguments. The errors have RabbitMQ's texts.

use super::MAX_EXPIRY_MILLIS;
use crate::model::{
    error::{EntityKind, Error, Result},
    field_value::{FieldTable, FieldValue},
    name::Name,
};
use std::{fmt::Display, time::Duration};

/// An argument table, and the thing that it belongs to.
pub(super) struct ArgumentReader<'a> {
    pub(super) table: &'a FieldTable,
    /// The arguments that the thing has. The others are as absent.
    pub(super) arguments: &'a [&'a str],
    pub(super) entity: EntityKind,
    pub(super) name: &'a Name,
    pub(super) vhost: &'a Name,
}

impl<'a> ArgumentReader<'a> {
    /// The value of an argument that the thing has.
    pub(super) fn get(&self, argument: &str) -> Option<&'a FieldValue> {
        let value = self.table.get(argument)?;
        self.arguments.contains(&argument).then_some(value)
    }

    /// An integer of any width and sign.
    pub(super) fn integer(&self, argument: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(argument) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(integer) => Ok(Some(integer)),
            None => Err(self.invalid(
                argument,
                format_args!("\"expected integer, got {}\"", value.type_name()),
            )),
        }
    }

    /// An integer that is not negative.
    pub(super) fn size(&self, argument: &str) -> Result<Option<u64>> {
        self.integer(argument)?
            .map(|value| u64::try_from(value).map_err(|_| self.negative(argument, value)))
            .transpose()
    }

    /// An integer from 0 to 255.
    pub(super) fn octet(&self, argument: &str) -> Result<Option<u8>> {
        self.size(argument)?
            .map(|value| {
                u8::try_from(value).map_err(|_| {
                    self.invalid(
                        argument,
                        format_args!("{{max_value_exceeded,{value}}}, expected at most 255"),
                    )
                })
            })
            .transpose()
    }

    /// A time in milliseconds.
    pub(super) fn time(&self, argument: &str) -> Result<Option<Duration>> {
        let Some(milliseconds) = self.integer(argument)? else {
            return Ok(None);
        };
        match u64::try_from(milliseconds) {
            Err(_) => Err(self.negative(argument, milliseconds)),
            Ok(positive) if positive > MAX_EXPIRY_MILLIS => Err(self.invalid(
                argument,
                format_args!(
                    "{{value_too_large,{milliseconds}}}, expected at most {MAX_EXPIRY_MILLIS} milliseconds"
                ),
            )),
            Ok(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        }
    }

    /// A boolean.
    pub(super) fn flag(&self, argument: &str) -> Result<Option<bool>> {
        self.typed(argument, FieldValue::as_bool, "a boolean")
    }

    /// Text.
    pub(super) fn text(&self, argument: &str) -> Result<Option<&'a str>> {
        self.typed(argument, FieldValue::as_str, "text")
    }

    /// The name of an exchange. RabbitMQ checks it before all other arguments, and its error has
    /// another text.
    pub(super) fn exchange(&self, argument: &str) -> Result<Option<Name>> {
        let Some(value) = self.get(argument) else {
            return Ok(None);
        };
        match value.as_str() {
            Some(name) => Ok(Some(Name::of_entity(name)?)),
            None => Err(Error::invalid_argument_type(
                argument,
                value,
                self.entity,
                self.name,
                self.vhost,
            )),
        }
    }

    fn typed<T>(
        &self,
        argument: &str,
        read: impl FnOnce(&'a FieldValue) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(argument) else {
            return Ok(None);
        };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.invalid(
                argument,
                format_args!(
                    "{{unacceptable_type,{}}}, expected {expected}",
                    value.type_name()
                ),
            )),
        }
    }

    fn negative(&self, argument: &str, value: i64) -> Error {
        self.invalid(
            argument,
            format_args!("{{value_negative,{value}}}, expected 0 or more"),
        )
    }

    /// The error of an invalid argument.
    pub(super) fn invalid(&self, argument: &str, reason: impl Display) -> Error {
        Error::invalid_argument(argument, self.entity, self.name, self.vhost, reason)
    }
}
