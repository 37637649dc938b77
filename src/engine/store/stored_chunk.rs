//! [`StoredChunk`]: consecutive messages of a stream, as they are read from its file.

use std::ops::Range;

use crate::model::bytes::Bytes;

/// Consecutive messages of a stream.
#[derive(Debug)]
pub(crate) struct StoredChunk {
    first: u64,
    octets: Bytes,
    /// When each message came, in milliseconds since 1970, and its place in `octets`.
    entries: Vec<(u64, Range<usize>)>,
}

impl StoredChunk {
    /// Messages from the offset `first` on. The ranges are within `octets`.
    pub(crate) fn new(first: u64, octets: Bytes, entries: Vec<(u64, Range<usize>)>) -> Self {
        StoredChunk {
            first,
            octets,
            entries,
        }
    }

    /// The offset behind the last message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The offset, the time and the bytes of each message from an offset on.
    pub(crate) fn from(&self, offset: u64) -> impl Iterator<Item = (u64, u64, &[u8])> {
        let skipped = usize::try_from(offset.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let entries = (self.first..).zip(&self.entries).skip(skipped);
        entries.filter_map(|(offset, (came, place))| {
            Some((offset, *came, self.octets.get(place.clone())?))
        })
    }

    /// The last `length` octets of the message at this offset.
    pub(crate) fn end_of(&self, offset: u64, length: usize) -> Option<Bytes> {
        let index = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        let (_, place) = self.entries.get(index)?;
        self.octets.part(place.end, length.min(place.len()))
    }
}
