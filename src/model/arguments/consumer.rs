//! The arguments of a consumer.

use super::{QueueType, StreamReading, reader::ArgumentReader};
use std::time::Duration;

use crate::model::{
    descriptions::names,
    error::{EntityKind, Error, Result},
    field_value::FieldTable,
    name::Name,
};

/// The checked arguments of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerArguments {
    /// The priority of the consumer. A queue serves its consumers of the highest priority first.
    /// The default is 0.
    pub(crate) priority: i64,
    /// The time for which a consumer of a quorum queue may hold a delivery.
    pub(crate) timeout: Option<Duration>,
    /// Where a consumer of a stream begins, and what it reads.
    pub(crate) reading: StreamReading,
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
            arguments: queue_type.consumer_arguments(),
            entity: EntityKind::Queue,
            name,
            vhost,
        };
        let priority = reader.integer(names::PRIORITY)?.unwrap_or(0);
        let timeout = reader.size(names::CONSUMER_TIMEOUT)?;
        let reading = StreamReading::parse(&reader)?;
        for (argument, _) in arguments {
            if queue_type.is_foreign_to_consumer(argument) {
                let queue_type = queue_type.module();
                return Err(Error::unsupported_argument(
                    argument, name, vhost, queue_type,
                ));
            }
        }
        Ok(Self {
            priority,
            timeout: timeout.map(Duration::from_millis),
            reading,
        })
    }
}
