//! The arguments of a trigger.

use super::reader::ArgumentReader;
use crate::model::{
    descriptions::{Trigger, names as x},
    error::Result,
    name::Name,
};

/// The trigger of a queue, and its initiation queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TriggerArguments {
    pub(crate) initiation_queue: Name,
    pub(crate) trigger: Trigger,
}

impl TriggerArguments {
    pub(super) fn parse(reader: &ArgumentReader<'_>) -> Result<Option<Self>> {
        let queue = reader.text(x::INITIATION_QUEUE)?;
        let (queue, value) = match (queue, reader.get(x::TRIGGER)) {
            (None, None) => return Ok(None),
            (Some(queue), Some(value)) if !queue.is_empty() => (queue, value),
            (Some(_), None) => return Err(reader.invalid(x::TRIGGER, "it is missing")),
            _ => {
                let reason = "it is missing or empty, expected the name of a queue";
                return Err(reader.invalid(x::INITIATION_QUEUE, reason));
            }
        };
        let Some(trigger) = Trigger::from_value(value) else {
            let reason = "invalid_trigger, expected first, every or 1 or more messages";
            return Err(reader.invalid(x::TRIGGER, reason));
        };
        Ok(Some(Self {
            initiation_queue: Name::of_entity(queue)?,
            trigger,
        }))
    }
}
