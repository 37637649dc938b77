//! The errors of streams.

use std::{fmt::Display, ops::RangeInclusive};

use super::{EntityKind, Error, Precondition, Resource};
use crate::model::name::Name;

impl Error {
    /// 406: a segment of a stream would be larger than `most` bytes.
    pub(crate) fn segment_size(most: u64) -> Error {
        let text = "Exceeded max value for x-stream-max-segment-size-bytes";
        Precondition::StreamArgument(format!("{text}, which is {most}")).into()
    }

    /// 406: a filter of a stream would have another size than these.
    pub(crate) fn filter_size(sizes: RangeInclusive<u64>) -> Error {
        let text = "Invalid value for x-stream-filter-size-bytes";
        let (least, most) = sizes.into_inner();
        Precondition::StreamArgument(format!("{text}, expected {least} to {most}")).into()
    }

    /// 406: a consumer of a stream without a prefetch.
    pub(crate) fn stream_prefetch(stream: &Name, vhost: &Name) -> Error {
        Precondition::StreamPrefetch(Resource::new(EntityKind::Queue, stream, vhost)).into()
    }

    /// 406: a reader of a queue that is not a stream.
    pub(crate) fn not_a_stream(queue: &Name, vhost: &Name) -> Error {
        Precondition::NotAStream(Resource::new(EntityKind::Queue, queue, vhost)).into()
    }

    /// 406: an offset to be stored for a reader that has no name.
    pub(crate) fn reader_without_name() -> Error {
        Precondition::ReaderWithoutName.into()
    }

    /// 540: a consumer of a stream that acknowledges on delivery.
    pub(crate) fn stream_auto_ack(stream: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, stream, vhost);
        Error::not_implemented(format_args!(
            "automatic acknowledgement not supported by stream {resource}"
        ))
    }

    /// 540: a method that streams do not have: `basic.get` or `queue.purge`.
    pub(crate) fn not_for_streams(method: impl Display, stream: &Name, vhost: &Name) -> Error {
        let resource = Resource::new(EntityKind::Queue, stream, vhost);
        Error::not_implemented(format_args!(
            "{method} not supported by stream queues {resource}"
        ))
    }
}
