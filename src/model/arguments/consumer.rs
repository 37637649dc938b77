//! The arguments of a consumer.

use super::{QueueType, reader::ArgumentReader};
use crate::model::{
    descriptions::names,
    error::{EntityKind, Error, Result},
    field_value::FieldTable,
    name::Name,
};

/// The checked arguments of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerArguments {
    /// The priority of the consumer. A queue serves its consumers of the highest priority first.
    /// The default is 0.
    pub(crate) priority: i64,
}

impl ConsumerArguments {
    /// Checks the arguments of a consumer of the queue `name`.
    pub(crate) fn parse(
        arguments: &FieldTable,
        queue_type: QueueType,
        name: &Name,
        vhost: &Name,
    ) -> Result<Self> {
        let reader = ArgumentReader {
            table: arguments,
            entity: EntityKind::Queue,
            name,
            vhost,
        };
        // `x-cancel-on-ha-failover` has no effect in one process. Only its type is checked.
        reader.flag(names::CANCEL_ON_HA_FAILOVER)?;
        let priority = reader.integer(names::PRIORITY)?.unwrap_or(0);
        if arguments.contains_key(names::STREAM_OFFSET) {
            let queue_type = queue_type.module();
            return Err(Error::unsupported_argument(
                names::STREAM_OFFSET,
                name,
                vhost,
                queue_type,
            ));
        }
        Ok(Self { priority })
    }
}
