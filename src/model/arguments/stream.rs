//! The arguments of streams, and of their consumers.

use std::time::{Duration, UNIX_EPOCH};

use super::reader::ArgumentReader;
use crate::model::{
    descriptions::{Offset, age::parse_age, names as x},
    error::{Error, Result},
    field_value::{ErlangValue, FieldValue},
};

/// The largest segment of a stream, in bytes, as in RabbitMQ.
pub(crate) const LARGEST_SEGMENT: u64 = 3_000_000_000;

/// The sizes that RabbitMQ's filters may have, in bytes. Here a filter has no size.
const FILTER_SIZES: std::ops::RangeInclusive<u64> = 16..=255;

/// The checked arguments that only a stream has. `None` means that the argument was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamArguments {
    /// How old the last message of a segment may be.
    pub(crate) max_age: Option<Duration>,
    /// The size at which a segment is full, in bytes.
    pub(crate) max_segment_bytes: Option<u64>,
}

impl StreamArguments {
    pub(super) fn parse(reader: &ArgumentReader<'_>) -> Result<Self> {
        let max_age = match reader.text(x::MAX_AGE)? {
            None => None,
            Some(text) => Some(parse_age(text).ok_or_else(|| {
                let reason = "invalid_max_age, expected a number and Y, M, D, h, m or s";
                reader.invalid(x::MAX_AGE, reason)
            })?),
        };
        let max_segment_bytes = reader.size(x::STREAM_MAX_SEGMENT_SIZE_BYTES)?;
        if max_segment_bytes.is_some_and(|bytes| bytes > LARGEST_SEGMENT) {
            return Err(Error::segment_size(LARGEST_SEGMENT));
        }
        if let Some(size) = reader.size(x::STREAM_FILTER_SIZE_BYTES)?
            && !FILTER_SIZES.contains(&size)
        {
            return Err(Error::filter_size(FILTER_SIZES));
        }
        if reader.size(x::INITIAL_CLUSTER_SIZE)? == Some(0) {
            let reason = "{value_zero,0}, expected 1 or more";
            return Err(reader.invalid(x::INITIAL_CLUSTER_SIZE, reason));
        }
        Ok(Self {
            max_age,
            max_segment_bytes,
        })
    }
}

/// Where a consumer of a stream begins, and what it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamReading {
    pub(crate) from: Offset,
    /// The filter values to read. Without any it reads everything.
    pub(crate) filter: Vec<String>,
    /// Whether it also reads messages without a filter value.
    pub(crate) match_unfiltered: bool,
}

impl StreamReading {
    pub(super) fn parse(reader: &ArgumentReader<'_>) -> Result<Self> {
        let from = match reader.get(x::STREAM_OFFSET) {
            None => Offset::Next,
            Some(value) => offset(value).ok_or_else(|| {
                let (type_name, value) = (value.type_name(), ErlangValue(value));
                reader.invalid(
                    x::STREAM_OFFSET,
                    format_args!("{{invalid_stream_offset_arg,{{{type_name},{value}}}}}"),
                )
            })?,
        };
        // As in RabbitMQ, a value of another type is no filter.
        let filter = match reader.get(x::STREAM_FILTER) {
            Some(FieldValue::Array(values)) => {
                let texts = values.iter().filter_map(FieldValue::as_str);
                texts.map(str::to_owned).collect()
            }
            Some(value) => value.as_str().map(str::to_owned).into_iter().collect(),
            None => Vec::new(),
        };
        let unfiltered = reader.get(x::STREAM_MATCH_UNFILTERED);
        Ok(Self {
            from,
            filter,
            match_unfiltered: unfiltered.and_then(FieldValue::as_bool).unwrap_or(false),
        })
    }
}

/// Reads the argument `x-stream-offset`.
fn offset(value: &FieldValue) -> Option<Offset> {
    if let FieldValue::Timestamp(seconds) = value {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(*seconds))?;
        return Some(Offset::Timestamp(time));
    }
    if let Some(offset) = value.as_i64() {
        // There is nothing before the first message.
        return Some(Offset::At(u64::try_from(offset).unwrap_or(0)));
    }
    match value.as_str()? {
        "first" => Some(Offset::First),
        "last" => Some(Offset::Last),
        "next" => Some(Offset::Next),
        text => parse_age(text).map(Offset::Interval),
    }
}
