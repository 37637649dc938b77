//! The errors of exchange types that RabbitMQ has in plugins. The texts are those of the plugins.

use super::{Error, Precondition};
use crate::model::field_value::{ErlangBinary, ErlangValue, FieldValue};

fn invalid_binding(text: String) -> Error {
    Precondition::InvalidBinding(text).into()
}

fn invalid_argument(text: String) -> Error {
    Precondition::ExchangeArgument(text).into()
}

impl Error {
    /// 406: a binding key of a consistent-hash exchange that is no integer.
    pub(crate) fn weight_is_no_integer(routing_key: &str) -> Error {
        let key = ErlangBinary(routing_key.as_bytes());
        invalid_binding(format!("The binding key must be an integer: {key}"))
    }

    /// 406: a binding key of a consistent-hash exchange that is 0 or less.
    pub(crate) fn weight_is_not_positive() -> Error {
        invalid_binding("The binding key must be greater than 0".to_owned())
    }

    /// 406: a binding key of a consistent-hash exchange that is too large. RabbitMQ runs out of
    /// memory.
    pub(crate) fn weight_is_too_large(most: u32) -> Error {
        invalid_binding(format!("The binding key must be at most {most}"))
    }

    /// 406: a consistent-hash exchange that would hash two things.
    pub(crate) fn hash_on_two() -> Error {
        invalid_argument("hash-header and hash-property are mutually exclusive".to_owned())
    }

    /// 406: a consistent-hash exchange that would hash a property that it cannot.
    pub(crate) fn hash_on_property(property: &str) -> Error {
        invalid_argument(format!("Unsupported property: {property}"))
    }

    /// 406: an argument of a consistent-hash exchange that is no text. RabbitMQ closes the
    /// connection with an internal error (541).
    pub(crate) fn hash_on_no_text(argument: &str, value: &FieldValue) -> Error {
        let value = ErlangValue(value);
        invalid_argument(format!(
            "Invalid argument {value}, '{argument}' must be a string"
        ))
    }

    /// 406: the length of a history that is no positive integer.
    pub(crate) fn history_length(argument: &str, value: &FieldValue) -> Error {
        let value = ErlangValue(value);
        let wanted = "must be a positive integer";
        invalid_argument(format!("Invalid argument {value}, '{argument}' {wanted}"))
    }
}
