//! The records of a topology in a store.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    engine::store::RecordKind,
    model::{descriptions, field_value::FieldTable, name::Name},
};

/// The record of a queue.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct QueueRecord {
    pub(crate) number: u64,
    pub(crate) queue: descriptions::Queue,
    /// A delivery of every message before this position has failed: the broker has crashed. Only a
    /// classic queue has it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) failed_before: u64,
}

fn is_zero(position: &u64) -> bool {
    *position == 0
}

/// The record of an exchange.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExchangeRecord {
    pub(crate) exchange: descriptions::Exchange,
    /// Whether it is deleted when it has no binding: it is an auto-delete exchange that had one.
    pub(crate) had_binding: bool,
    /// The number of its delay queue, if it is a delayed exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_queue: Option<u64>,
    /// The number of its history, if it keeps its last messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<u64>,
}

/// The name of the record of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BindingRecord {
    pub(crate) vhost: Name,
    pub(crate) source: Name,
    pub(crate) destination: Name,
    pub(crate) to_queue: bool,
    pub(crate) routing_key: Name,
    pub(crate) arguments: FieldTable,
}

/// Reads a record, or its name.
///
/// # Errors
/// The reason why it cannot be read.
pub(super) fn read_record<T: DeserializeOwned>(
    kind: RecordKind,
    name: &str,
    bytes: &[u8],
) -> Result<T, String> {
    serde_json::from_slice(bytes)
        .map_err(|error| format!("the record {kind:?} {name} is unreadable: {error}"))
}
