//! A segment: a file of the log, with a header before its frames.
//!
//! | bytes | of the header |
//! |---|---|
//! | 8 | `leveret` and a zero |
//! | 4 | the version of the format |
//! | 4 | the number of the segment |
//! | 8 | the sequence number of its first frame |
//! | 4 | the salt of its checksums |
//! | 4 | the checksum of the header |
//!
//! The salt is another one for each segment. A file is used again for a later segment, with the old
//! frames still in it. They have the old salt, and so are no frames. Neither are bytes that a
//! publisher has made to look like a frame, since the salt is not known to it.

use std::hash::{BuildHasher, RandomState};

use super::{fault::Fault, frame::checksum};

/// The bytes of a header.
pub(super) const HEADER: usize = 32;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"leveret\0";

/// The version of the format. A program refuses a later one.
pub(super) const FORMAT: u32 = 1;

/// The name of a file that is no segment yet, or no more. It may have any contents.
pub(super) const SPARE: &str = "spare.new";

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) number: u32,
    /// The sequence number of the first frame.
    pub(super) first: u64,
    pub(super) salt: u32,
}

impl Header {
    /// The header of a new segment.
    pub(super) fn new(number: u32, first: u64) -> Header {
        let salt = RandomState::new().hash_one(number) as u32;
        Header {
            number,
            first,
            salt,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.salt.to_le_bytes());
        let sum = checksum(&bytes[..28], 0);
        bytes[28..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment with this number.
    pub(super) fn read(bytes: &[u8], number: u32) -> Result<Header, Fault> {
        let damaged = |what: &str| {
            let name = name(number, false);
            Fault::damaged(format!("the segment {name} {what}"))
        };
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(damaged("has no header"))?;
        if bytes[..8] != MAGIC[..] {
            return Err(damaged("was not written by leveret"));
        }
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        let format = word(8);
        if format > FORMAT {
            let reason = format!("it is {format}, and this version of leveret knows {FORMAT}");
            return Err(Fault::Newer(reason));
        }
        if checksum(&bytes[..28], 0) != word(28) || format == 0 || word(12) != number {
            return Err(damaged("has a damaged header"));
        }
        Ok(Header {
            number,
            first: u64::from(word(16)) | u64::from(word(20)) << 32,
            salt: word(24),
        })
    }
}

/// The name of the file of a segment. The last one has another name once the log is closed.
pub(super) fn name(number: u32, is_closed: bool) -> String {
    let extension = if is_closed { "closed" } else { "log" };
    format!("{number:010}.{extension}")
}

/// The number of the segment with this name, and whether the log is closed.
pub(super) fn of_name(of: &str) -> Option<(u32, bool)> {
    let (number, extension) = of.split_once('.')?;
    let number = number.parse().ok()?;
    let is_closed = extension == "closed";
    (name(number, is_closed) == of).then_some((number, is_closed))
}
