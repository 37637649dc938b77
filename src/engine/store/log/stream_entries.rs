//! The messages of one stream: those in the log, and how far its files are.

use std::{collections::VecDeque, ops::Range};

use super::index::{Kept, Place};

/// The messages of one stream. Their offsets have no gap.
#[derive(Debug)]
pub(super) struct StreamEntries {
    /// The first offset that is kept.
    first: u64,
    /// The offset before which messages were trimmed.
    trimmed: u64,
    /// The messages before this offset are in files, or gone.
    filed: u64,
    /// The first offset of `entries`.
    start: u64,
    /// The messages in the log.
    entries: VecDeque<Kept>,
    /// The entry of the log that tells the first offset, and how far the files are.
    note: Option<Kept>,
}

/// What a stream does not keep in the log any more.
#[derive(Debug, Default)]
pub(super) struct Freed {
    pub(super) messages: Vec<Kept>,
    pub(super) note: Option<Kept>,
}

impl StreamEntries {
    /// A stream whose first message has this offset.
    pub(super) fn new(first: u64) -> StreamEntries {
        StreamEntries {
            first,
            trimmed: 0,
            filed: first,
            start: first,
            entries: VecDeque::new(),
            note: None,
        }
    }

    /// The offset of the next message.
    pub(super) fn next(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// How many messages are kept.
    pub(super) fn len(&self) -> u64 {
        self.next() - self.first
    }

    /// The first offset that is kept, and the end of the files.
    pub(super) fn filed(&self) -> Range<u64> {
        self.first..self.filed
    }

    /// Adds the next message. `false` if it is not the next one.
    ///
    /// When a log is opened, its first message may come behind the end of the files that an old
    /// note tells. A later note covers what is between them then.
    pub(super) fn append(&mut self, offset: u64, kept: Kept) -> bool {
        if self.entries.is_empty() {
            self.start = self.start.max(offset);
        }
        let is_next = offset == self.next();
        if is_next {
            self.entries.push_back(kept);
        }
        is_next
    }

    /// The first offset that is in no file and not in the log, though a later one is.
    pub(super) fn gap(&self) -> Option<u64> {
        let is_whole = self.entries.is_empty() || self.start <= self.filed;
        (!is_whole).then_some(self.filed)
    }

    /// Forgets the messages before an offset.
    pub(super) fn trim(&mut self, offset: u64) -> Freed {
        self.trimmed = self.trimmed.max(offset);
        self.first = self.first.max(offset);
        self.filed = self.filed.max(self.first);
        Freed {
            messages: self.forget_entries(self.first),
            note: None,
        }
    }

    /// Notes what the files have.
    pub(super) fn file(&mut self, filed: Range<u64>, note: Kept) -> Freed {
        self.first = filed.start.max(self.trimmed);
        self.filed = filed.end.max(self.first);
        Freed {
            messages: self.forget_entries(self.filed),
            note: self.note.replace(note),
        }
    }

    /// Everything that it has in the log.
    pub(super) fn into_freed(self) -> Freed {
        Freed {
            messages: self.entries.into(),
            note: self.note,
        }
    }

    /// Whether the note says all there is to say.
    pub(super) fn is_noted(&self, noted: &Range<u64>) -> bool {
        noted.start == self.first
    }

    /// The entry of a message.
    pub(super) fn entry(&self, offset: u64) -> Option<&Kept> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.entries.get(at)
    }

    /// Whether this is the place of the note.
    pub(super) fn has_note_at(&self, place: Place) -> bool {
        self.note.is_some_and(|note| note.place == place)
    }

    fn forget_entries(&mut self, before: u64) -> Vec<Kept> {
        let gone = before.saturating_sub(self.start);
        let gone = usize::try_from(gone)
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        let freed = self.entries.drain(..gone).collect();
        self.start += gone as u64;
        if self.entries.is_empty() {
            self.start = self.start.max(before);
        }
        if self.entries.capacity() > FEW.max(8 * self.entries.len()) {
            self.entries.shrink_to(2 * self.entries.len());
        }
        freed
    }
}

/// A list with room for this number of messages does not shrink.
const FEW: usize = 1_024;
