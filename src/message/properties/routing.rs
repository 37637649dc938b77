//! What exchanges read of a message besides its routing keys.

use super::{Properties, PropertyList};
use crate::model::field_value::FieldTable;

/// What exchanges read of a message besides its routing keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoutingProperties<'a> {
    /// The headers as given. Receivers do not see all of them.
    pub(crate) headers: Option<&'a FieldTable>,
    /// The other properties.
    pub(crate) others: Option<&'a PropertyList>,
}

impl<'a> RoutingProperties<'a> {
    /// Those of a message with these headers and no other properties.
    pub(crate) fn of_headers(headers: Option<&'a FieldTable>) -> Self {
        Self {
            headers,
            others: None,
        }
    }

    /// The same properties, with other headers.
    pub(crate) fn with_headers(self, headers: Option<&'a FieldTable>) -> Self {
        Self { headers, ..self }
    }
}

impl<'a> From<&'a PropertyList> for RoutingProperties<'a> {
    fn from(list: &'a PropertyList) -> Self {
        Self {
            headers: list.headers.as_ref(),
            others: Some(list),
        }
    }
}

impl<'a> From<&'a Properties> for RoutingProperties<'a> {
    fn from(properties: &'a Properties) -> Self {
        Self {
            headers: properties.headers.as_ref(),
            others: properties.list(),
        }
    }
}
