//! The cleaner: writes the kept entries of the oldest segment to the head, a piece at a time, and
//! the messages of streams to the files of the streams.
//!
//! It works while the log is longer than twice the bytes that it is to keep, and some slack. After
//! each commit it reads four times as much as was committed, so that it keeps pace: it has to read
//! all of the log once in the time in which half of it is written anew.

use super::{
    LogStore, Segment,
    disk::DiskFile,
    entry::Entry,
    fault::Fault,
    frame::{self, Frame},
    index::{Live, Place},
    segment::{self, Header},
};

/// What the cleaner has under way.
#[derive(Default)]
pub(super) struct Cleaner {
    /// The oldest segment, once it is begun with.
    oldest: Option<Oldest>,
    /// The bytes that were committed since the last piece.
    committed: usize,
    /// The frames that were read, for the next piece.
    piece: Vec<u8>,
}

struct Oldest {
    file: Box<dyn DiskFile>,
    header: Header,
    /// Where the next frame begins.
    next: u64,
    end: u64,
}

impl Cleaner {
    /// This was committed.
    pub(super) fn owes(&mut self, bytes: usize) {
        self.committed += bytes;
    }
}

impl Oldest {
    fn open(log: &LogStore, segment: &Segment) -> Result<Oldest, Fault> {
        let file = log.disk.open(&segment::name(segment.number, false))?;
        let mut header = [0; segment::HEADER];
        file.read_at(0, &mut header)?;
        Ok(Oldest {
            file,
            header: Header::read(&header, segment.number)?,
            next: segment::HEADER as u64,
            end: segment.end,
        })
    }

    /// Reads some frames, and one at least if there is one left.
    fn read(&self, bytes: &mut Vec<u8>, piece: usize) -> Result<(), Fault> {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        bytes.resize(left.min(piece.max(frame::HEADER)), 0);
        self.file.read_at(self.next, bytes)?;
        let first = Frame::length(bytes).filter(|first| *first > bytes.len());
        if let Some(first) = first {
            bytes.resize(left.min(first), 0);
            self.file.read_at(self.next, bytes)?;
        }
        Ok(())
    }
}

impl LogStore {
    /// The bytes of all segments.
    pub(super) fn length(&self) -> u64 {
        let segments = self.segments.iter();
        segments.map(|segment| segment.length).sum::<u64>() + self.head.length()
    }

    /// Whether the oldest segment is to be cleaned.
    fn is_long(&self) -> bool {
        let limit = 2 * self.index.live_bytes() + self.settings.slack;
        !self.segments.is_empty() && self.length() > limit
    }

    /// Whether the oldest segment can be dropped now.
    fn can_drop(&self) -> bool {
        !self.segments.is_empty() && self.index.oldest_is_empty()
    }

    /// Cleans some pieces, and drops segments. Returns whether there is more to do.
    pub(super) fn clean(&mut self) -> Result<bool, Fault> {
        self.settle_streams()?;
        let piece = self.settings.piece;
        let mut left = piece.max(4 * self.cleaner.committed);
        self.cleaner.committed = 0;
        while left > 0 {
            let done = match self.can_drop() {
                true => {
                    self.drop_cleaned()?;
                    piece
                }
                false if self.is_long() => self.clean_piece()?,
                false => return Ok(false),
            };
            left = left.saturating_sub(done);
        }
        Ok(self.can_drop() || self.is_long())
    }

    /// Writes everything that is kept anew.
    pub(super) fn clean_all(&mut self) -> Result<(), Fault> {
        self.settle_streams()?;
        self.begin_segment()?;
        let last = self.head.number();
        while self.segments.front().is_some_and(|it| it.number < last) {
            match self.can_drop() {
                true => self.drop_cleaned()?,
                false => drop(self.clean_piece()?),
            }
        }
        Ok(())
    }

    fn drop_cleaned(&mut self) -> Result<(), Fault> {
        self.cleaner.oldest = None;
        self.drop_oldest()
    }

    /// Cleans a piece of the oldest segment. Returns its length.
    fn clean_piece(&mut self) -> Result<usize, Fault> {
        let (Some(segment), begun) = (self.segments.front(), self.cleaner.oldest.take()) else {
            return Ok(0);
        };
        let mut oldest = match begun {
            Some(oldest) => oldest,
            None => Oldest::open(self, segment)?,
        };
        let mut bytes = std::mem::take(&mut self.cleaner.piece);
        oldest.read(&mut bytes, self.settings.piece)?;
        frame::begin(&mut self.buffer);
        let mut read = 0;
        let mut filed = Ok(());
        while let Some(frame) = Frame::read(&bytes[read..], oldest.header.salt) {
            let at = oldest.next + read as u64;
            frame.each(|entry, of| {
                let place = Place {
                    segment: oldest.header.number,
                    offset: at as u32 + of.start as u32,
                };
                match self.index.live(entry, place) {
                    Some(Live::Message {
                        queue,
                        position,
                        message,
                        mark,
                    }) => {
                        let put = Entry::Put {
                            queue,
                            position,
                            message,
                        };
                        put.write(&mut self.buffer);
                        if mark.is_some() {
                            let mark = Entry::Mark {
                                queue,
                                position,
                                mark,
                            };
                            mark.write(&mut self.buffer);
                        }
                    }
                    Some(Live::Body { .. } | Live::Record { .. } | Live::Filed) => {
                        entry.write(&mut self.buffer);
                    }
                    Some(Live::Entry {
                        stream,
                        offset,
                        message,
                        arrival,
                    }) if filed.is_ok() => {
                        filed = self.streams.add(stream, offset, message, arrival);
                    }
                    Some(Live::Entry { .. }) | None => {}
                }
            })?;
            read += frame.len();
        }
        if read == 0 {
            let name = segment::name(oldest.header.number, false);
            let reason = format!("the segment {name} has changed");
            return Err(Fault::Damaged(reason));
        }
        filed?;
        self.append()?;
        oldest.next += read as u64;
        bytes.clear();
        bytes.shrink_to(self.settings.buffer);
        self.cleaner.piece = bytes;
        if oldest.next < oldest.end {
            self.cleaner.oldest = Some(oldest);
            return Ok(read);
        }
        self.note_streams()?;
        match self.index.oldest_is_empty() {
            true => Ok(read),
            false => Err(Fault::damaged(
                "something that is kept was not found at its place",
            )),
        }
    }

    /// Has the files of streams synced, and notes how far they are.
    pub(super) fn note_streams(&mut self) -> Result<(), Fault> {
        let synced = self.streams.sync()?;
        frame::begin(&mut self.buffer);
        for (stream, end) in synced {
            let filed = self.index.stream(stream);
            if let Some(filed) = filed.filter(|filed| filed.end < end) {
                let first = filed.start;
                Entry::Filed { stream, first, end }.write(&mut self.buffer);
            }
        }
        self.append()
    }

    /// Notes which messages of streams are gone, and removes their files.
    fn settle_streams(&mut self) -> Result<(), Fault> {
        let changed = self.index.changed_streams();
        if changed.is_empty() {
            return Ok(());
        }
        frame::begin(&mut self.buffer);
        for stream in &changed {
            if let Some(filed) = self.index.stream(*stream) {
                let (stream, first, end) = (*stream, filed.start, filed.end);
                Entry::Filed { stream, first, end }.write(&mut self.buffer);
            }
        }
        self.append()?;
        // Only now: a file that is missing is an error, unless the log says that it is gone.
        self.sync()?;
        for stream in changed {
            match self.index.stream(stream) {
                Some(filed) => self.streams.remove_before(stream, filed.start)?,
                None => {
                    self.streams.remove_all(stream)?;
                    self.index.forget_stream(stream);
                }
            }
        }
        Ok(())
    }
}
