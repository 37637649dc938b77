//! A file of a stream: a header, and the chunks of one segment.
//!
//! | bytes | of the header |
//! |---|---|
//! | 8 | `leveret` and a zero |
//! | 4 | the version of the format |
//! | 8 | the number of the stream |
//! | 8 | the offset of the first message |
//! | 4 | the checksum of the header |

use std::ops::Range;

use super::{
    super::{
        disk::{Disk, DiskFile},
        fault::Fault,
        frame::checksum,
    },
    chunk::{self, Chunk},
};
use crate::engine::store::StoredSegment;

/// The bytes of a header.
pub(super) const HEADER: usize = 32;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"leveret\0";

/// The version of the format. A program refuses a later one.
const FORMAT: u32 = 1;

/// Where a chunk is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The offset of its first message.
    first: u64,
    /// When its last message came.
    last_time: u64,
    /// The first byte in the file.
    at: u64,
}

/// The contents of a file, without the messages.
#[derive(Debug)]
pub(super) struct StreamFile {
    pub(super) segment: StoredSegment,
    chunks: Vec<Place>,
    /// The bytes of the file.
    pub(super) length: u64,
}

/// The name of the file of a segment.
pub(super) fn name(stream: u64, first: u64) -> String {
    format!("{stream:010}-{first:020}.stream")
}

/// The stream and the first offset of the file with this name.
pub(super) fn of_name(of: &str) -> Option<(u64, u64)> {
    let (stream, first) = of.strip_suffix(".stream")?.split_once('-')?;
    let (stream, first) = (stream.parse().ok()?, first.parse().ok()?);
    (name(stream, first) == of).then_some((stream, first))
}

/// The header of a file.
pub(super) fn header(stream: u64, first: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..20].copy_from_slice(&stream.to_le_bytes());
    bytes[20..28].copy_from_slice(&first.to_le_bytes());
    let sum = checksum(&bytes[..28], 0);
    bytes[28..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn check_header(bytes: &[u8; HEADER], stream: u64, first: u64) -> Result<(), Fault> {
    let name = name(stream, first);
    if bytes[..8] != MAGIC[..] {
        let reason = format!("the file {name} was not written by leveret");
        return Err(Fault::Damaged(reason));
    }
    let format = u32::from_le_bytes([8, 9, 10, 11].map(|at| bytes[at]));
    if format > FORMAT {
        return Err(Fault::Newer(format!(
            "the format of the file {name} is {format}, and this version of leveret knows {FORMAT}"
        )));
    }
    match *bytes == header(stream, first) {
        true => Ok(()),
        false => Err(Fault::Damaged(format!("the header of {name} is damaged"))),
    }
}

impl StreamFile {
    /// A file with no chunk yet.
    pub(super) fn new(first: u64) -> StreamFile {
        StreamFile {
            segment: StoredSegment {
                first,
                messages: 0,
                size: 0,
                bytes: 0,
                first_time: 0,
                last_time: 0,
            },
            chunks: Vec::new(),
            length: HEADER as u64,
        }
    }

    /// Reads what the file has of the messages in `offsets`. Cuts off what is behind them, if it is
    /// the `last` file of its stream. Those are not known to be on disk, and are in the log too.
    pub(super) fn open(
        disk: &dyn Disk,
        stream: u64,
        offsets: Range<u64>,
        last: bool,
    ) -> Result<StreamFile, Fault> {
        let mut found = StreamFile::new(offsets.start);
        let name = name(stream, offsets.start);
        let file = disk.open(&name)?;
        let length = file.len()?;
        let damaged =
            |at: u64| Fault::Damaged(format!("the file {name} is not whole at byte {at}"));
        let mut bytes = [0; HEADER];
        if length < HEADER as u64 {
            return Err(damaged(0));
        }
        file.read_at(0, &mut bytes)?;
        check_header(&bytes, stream, offsets.start)?;
        while found.segment.end() < offsets.end {
            let at = found.length;
            let chunk = read_header(&*file, at, length)?;
            let chunk = chunk.filter(|it| it.first == found.segment.end() && it.messages > 0);
            let chunk = chunk.ok_or_else(|| damaged(at))?;
            found.add(&chunk);
            if found.length > length {
                return Err(damaged(at));
            }
        }
        let is_whole = found.segment.end() == offsets.end;
        if !is_whole || !last && found.length != length {
            return Err(damaged(found.length));
        }
        if found.length < length {
            file.set_len(found.length)?;
        }
        Ok(found)
    }

    /// A chunk was written to the end.
    pub(super) fn add(&mut self, chunk: &Chunk) {
        self.chunks.push(Place {
            first: chunk.first,
            last_time: chunk.last_time,
            at: self.length,
        });
        let segment = &mut self.segment;
        if segment.messages == 0 {
            segment.first_time = chunk.first_time;
        }
        segment.messages += u64::from(chunk.messages);
        segment.size = segment.size.saturating_add(chunk.size);
        segment.bytes = segment.bytes.saturating_add(chunk.bytes);
        segment.last_time = chunk.last_time;
        self.length = self.length.saturating_add(chunk.len());
    }

    /// The place of the chunk with this offset, which is in the file.
    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        let behind = self.chunks.partition_point(|it| it.first <= offset);
        Some(self.chunks.get(behind.checked_sub(1)?)?.at)
    }

    /// The first offset of the first chunk with a message that came at `time` or later.
    pub(super) fn since(&self, time: u64) -> Option<u64> {
        let before = self.chunks.partition_point(|it| it.last_time < time);
        Some(self.chunks.get(before)?.first)
    }
}

/// The header at this place of a file, if there is a whole one.
pub(super) fn read_header(
    file: &dyn DiskFile,
    at: u64,
    length: u64,
) -> Result<Option<Chunk>, Fault> {
    if length.saturating_sub(at) < chunk::HEADER as u64 {
        return Ok(None);
    }
    let mut header = [0; chunk::HEADER];
    file.read_at(at, &mut header)?;
    Ok(Chunk::read(&header))
}
