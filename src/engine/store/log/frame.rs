//! A frame: the entries of one batch, behind a header with a checksum. A frame is there as a whole
//! or not at all.
//!
//! | bytes | of the header |
//! |---|---|
//! | 4 | the checksum, CRC-32, of everything behind it. It begins with the salt of the segment |
//! | 4 | the length of the entries |
//! | 8 | the sequence number: that of the frame before, and one |
//! | 8 | the sequence number of the last frame that was on disk when this one was written |
//! | 2 | the version of leveret's entries that has written it |
//!
//! All numbers have their least significant byte first. The fourth field tells a frame that a loss
//! of power has torn from one that was damaged later: a frame that was on disk before another one
//! was written is never torn.

use super::{
    entry::{Entry, Unreadable},
    fault::Fault,
    segment,
};

/// The bytes of a header.
pub(super) const HEADER: usize = 26;

/// The version of the entries. It rises with each kind of entry or record that is added. A program
/// refuses a frame of a later version only if it has an entry that the program does not know.
pub(super) const VERSION: u16 = 3;

/// A whole frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    /// All frames up to this one were on disk when it was written.
    pub(super) synced: u64,
    version: u16,
    entries: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the start of these bytes, if there is a whole one.
    pub(super) fn read(bytes: &'a [u8], salt: u32) -> Option<Frame<'a>> {
        let length = Frame::length(bytes)?;
        let bytes = bytes.get(..length)?;
        let (sum, rest) = bytes.split_first_chunk()?;
        match checksum(rest, salt) == u32::from_le_bytes(*sum) {
            true => Frame::of_finished(bytes),
            false => None,
        }
    }

    /// A frame of which only its own bytes are there, with the right checksum.
    pub(super) fn of_finished(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let (_, rest) = bytes.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (synced, rest) = rest.split_first_chunk()?;
        let (version, entries) = rest.split_first_chunk()?;
        Some(Frame {
            sequence: u64::from_le_bytes(*sequence),
            synced: u64::from_le_bytes(*synced),
            version: u16::from_le_bytes(*version),
            entries,
        })
    }

    /// The length of the frame at the start of these bytes, as its header tells it. `None` if the
    /// header is not whole.
    pub(super) fn length(bytes: &[u8]) -> Option<usize> {
        let field = bytes.get(..HEADER)?[4..].first_chunk()?;
        Some(HEADER + u32::from_le_bytes(*field) as usize)
    }

    /// Its bytes, with the header.
    pub(super) fn len(&self) -> usize {
        HEADER + self.entries.len()
    }

    /// Shows each entry, and the bytes of the frame that it has.
    pub(super) fn each(
        &self,
        mut show: impl FnMut(Entry<'a>, std::ops::Range<usize>),
    ) -> Result<(), Fault> {
        let mut rest = self.entries;
        while !rest.is_empty() {
            let from = self.len() - rest.len();
            let entry = Entry::read(&mut rest).map_err(|error| self.unreadable(error))?;
            show(entry, from..self.len() - rest.len());
        }
        Ok(())
    }

    fn unreadable(&self, error: Unreadable) -> Fault {
        let sequence = self.sequence;
        let what = match error {
            Unreadable::Kind(kind) => format!("an entry of the kind {kind}"),
            Unreadable::RecordKind(kind) => format!("a record of the kind {kind}"),
            Unreadable::Field => "an entry that is not whole".to_owned(),
        };
        let version = self.version;
        match version > VERSION {
            true => Fault::Newer(format!(
                "{what} was written by version {version} of the entries, and this version of \
                 leveret knows {VERSION}"
            )),
            false => Fault::Damaged(format!("frame {sequence} has {what}")),
        }
    }
}

/// Begins a frame in an empty buffer. The entries are appended to it.
pub(super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEADER, 0);
}

/// Fills in the header.
///
/// # Errors
/// The frame is longer than its header can tell.
pub(super) fn finish(
    buffer: &mut [u8],
    salt: u32,
    sequence: u64,
    synced: u64,
) -> Result<(), Fault> {
    let end = u32::try_from(buffer.len() + segment::HEADER);
    if end.is_err() {
        let reason = "a batch has more than 4 GiB";
        return Err(Fault::Io(std::io::Error::other(reason)));
    }
    let length = (buffer.len() - HEADER) as u32;
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..16].copy_from_slice(&sequence.to_le_bytes());
    buffer[16..24].copy_from_slice(&synced.to_le_bytes());
    buffer[24..HEADER].copy_from_slice(&VERSION.to_le_bytes());
    let sum = checksum(&buffer[4..], salt);
    buffer[..4].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The checksum of bytes of a segment with this salt.
pub(super) fn checksum(bytes: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// Whether a frame behind a bad one proves that the bad one was on disk once. `bytes` begin with
/// the bad one, which has the number `sequence`.
pub(super) fn was_synced(bytes: &[u8], salt: u32, sequence: u64) -> bool {
    // It is not known where the next frame begins.
    (1..bytes.len().saturating_sub(HEADER)).any(|from| {
        let bytes = &bytes[from..];
        let number = |at| bytes[at..].first_chunk().map(|it| u64::from_le_bytes(*it));
        // Only few places are left to be read as a whole.
        let (later, synced) = (number(8), number(16));
        later > Some(sequence)
            && synced >= Some(sequence)
            && synced < later
            && Frame::read(bytes, salt).is_some()
    })
}
