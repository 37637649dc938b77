//! A chunk: consecutive messages in the file of a stream, behind a header with checksums.
//!
//! | bytes | of the header |
//! |---|---|
//! | 4 | the checksum, CRC-32, of the rest of the header |
//! | 4 | the checksum of the messages |
//! | 4 | the length of the messages |
//! | 4 | the number of messages |
//! | 8 | the offset of the first message |
//! | 8 | when the first message came, in milliseconds since 1970 |
//! | 8 | when the last message came |
//! | 8 | the sum of the sizes of the messages |
//! | 8 | the bytes that they take of the limits of the stream |
//!
//! All numbers have their least significant byte first. Each message has before it the milliseconds
//! since the first one came, and its length, as numbers of one byte for each seven bits.

use super::super::{fault::Fault, frame::checksum};
use crate::{
    engine::store::{Arrival, StoredChunk},
    model::binary::{Sink, Source},
};

/// The bytes of a header.
pub(super) const HEADER: usize = 56;

/// A chunk without its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    sum: u32,
    /// The bytes of the messages.
    pub(super) length: u32,
    pub(super) messages: u32,
    /// The offset of the first message.
    pub(super) first: u64,
    pub(super) first_time: u64,
    pub(super) last_time: u64,
    pub(super) size: u64,
    pub(super) bytes: u64,
}

impl Chunk {
    /// Reads a header. `None` if it is not whole.
    pub(super) fn read(header: &[u8; HEADER]) -> Option<Chunk> {
        let short = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 4)) << 32;
        (checksum(&header[4..], 0) == short(0)).then(|| Chunk {
            sum: short(4),
            length: short(8),
            messages: short(12),
            first: long(16),
            first_time: long(24),
            last_time: long(32),
            size: long(40),
            bytes: long(48),
        })
    }

    /// The bytes that it has in its file.
    pub(super) fn len(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }

    /// The offset behind the last message.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.messages.into())
    }

    /// Its messages. `None` if these bytes are not what was written.
    pub(super) fn open(&self, octets: Vec<u8>) -> Option<StoredChunk> {
        if checksum(&octets, 0) != self.sum {
            return None;
        }
        let mut source = Source::new(&octets);
        let mut entries = Vec::with_capacity(self.messages as usize);
        for _ in 0..self.messages {
            let came = self.first_time.saturating_add(source.number().ok()?);
            let length = source.run().ok()?.len();
            let end = octets.len() - source.rest().len();
            entries.push((came, end - length..end));
        }
        Some(StoredChunk::new(self.first, octets.into(), entries))
    }
}

/// A chunk to which messages are added.
#[derive(Debug, Default)]
pub(super) struct NewChunk {
    chunk: Chunk,
    /// Whether it begins a segment.
    pub(super) begins: bool,
    /// The messages, behind room for the header.
    octets: Vec<u8>,
}

impl NewChunk {
    /// A chunk whose first message has this offset.
    pub(super) fn new(first: u64, arrival: Arrival) -> NewChunk {
        NewChunk {
            chunk: Chunk {
                first,
                first_time: arrival.came,
                ..Chunk::default()
            },
            begins: arrival.begins,
            octets: vec![0; HEADER],
        }
    }

    /// The offset of the next message.
    pub(super) fn next(&self) -> u64 {
        self.chunk.end()
    }

    /// Whether a message of this length belongs here too. A chunk has about `most` bytes, and one
    /// message at least.
    pub(super) fn has_room(&self, message: usize, most: usize) -> bool {
        self.octets.len() + message <= most
    }

    /// Adds the next message.
    pub(super) fn add(&mut self, message: &[u8], arrival: Arrival) {
        let chunk = &mut self.chunk;
        chunk.messages += 1;
        chunk.last_time = chunk.first_time.max(arrival.came);
        chunk.size = chunk.size.saturating_add(arrival.size);
        chunk.bytes = chunk.bytes.saturating_add(arrival.bytes);
        self.octets.number(chunk.last_time - chunk.first_time);
        self.octets.run(message);
    }

    /// Its header and its bytes.
    pub(super) fn finish(mut self) -> Result<(Chunk, Vec<u8>), Fault> {
        let mut chunk = self.chunk;
        let length = u32::try_from(self.octets.len() - HEADER);
        chunk.length = length.map_err(|_| Fault::damaged("a message has more than 4 GiB"))?;
        chunk.sum = checksum(&self.octets[HEADER..], 0);
        let shorts = [chunk.sum, chunk.length, chunk.messages];
        let longs = [
            chunk.first,
            chunk.first_time,
            chunk.last_time,
            chunk.size,
            chunk.bytes,
        ];
        let shorts = shorts.into_iter().flat_map(u32::to_le_bytes);
        let fields = shorts.chain(longs.into_iter().flat_map(u64::to_le_bytes));
        let header = self.octets[4..HEADER].iter_mut();
        header.zip(fields).for_each(|(place, byte)| *place = byte);
        let sum = checksum(&self.octets[4..HEADER], 0);
        self.octets[..4].copy_from_slice(&sum.to_le_bytes());
        Ok((chunk, self.octets))
    }
}
