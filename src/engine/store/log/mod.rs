//! The store in a log: segment files, to whose end every batch is appended as one frame.
//!
//! A commit is one write and one sync, as small as the batch. Nothing is read while the broker
//! runs, since messages that are kept are also in their queues. So the log has no pages, no cache
//! and no order of keys, which an embedded database pays for with every commit. An index in memory
//! knows the place of everything that is kept.
//!
//! Messages of [streams] go through the log too, and from there to files of their own.
//!
//! A segment of which nothing is kept is dropped when it is the oldest one. Its file is used again.
//! While the files are much longer than everything that is kept, the [cleaner] writes the
//! kept entries of the oldest segment to the head, and the segment is dropped then. Only the oldest
//! segment is ever dropped. So an entry which says that something is gone can go with its segment:
//! the entries that it concerns come before it, and so are in the same segment or in none.
//!
//! All promises of a store depend on the order of the syncs:
//!
//! - A commit returns after the sync of its frame.
//! - A segment is synced before the next one is made, so only the last one may have a torn frame.
//! - Before a segment is dropped, everything is synced. Before the next one is dropped, the names
//!   are.
//!
//! When the log is opened, all frames are read. A frame that is not whole ends the last segment. It
//! was torn by a loss of power, unless a later frame says that it was on disk: the log is damaged
//! then. A log that was closed has a last entry that says so, and its last file has another name.
//! Every byte of that file must be right.

mod cleaner;
pub(crate) mod disk;
mod entry;
mod fault;
mod frame;
mod head;
mod index;
mod lock;
mod opening;
mod segment;
mod stream_entries;
mod streams;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::{collections::VecDeque, path::Path, sync::Arc};

use self::{
    cleaner::Cleaner,
    disk::{Disk, Folder},
    entry::Entry,
    fault::Fault,
    frame::Frame,
    head::Head,
    index::{Index, Live, Place},
    lock::FolderLock,
    segment::{Header, SPARE},
    streams::StreamWriter,
};
use super::{Mark, Operation, Recovered, Store, StreamFiles, Usage};
use crate::model::error::{StoreError, StoreErrorKind};

/// The sizes of a log, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The length of a segment. One with a longer frame is longer.
    pub(crate) segment: u64,
    /// A file grows by this at once.
    pub(crate) ahead: u64,
    /// How long the files may be, besides twice the bytes that are kept.
    pub(crate) slack: u64,
    /// What the cleaner reads at once.
    pub(crate) piece: usize,
    /// The memory that is kept for the next frame.
    pub(crate) buffer: usize,
    /// The length of a chunk in the file of a stream. One with a longer message is longer.
    pub(crate) chunk: usize,
    /// What the readers of a stream should have in memory.
    pub(crate) memory: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment: 16 << 20,
            ahead: 512 << 10,
            slack: 32 << 20,
            piece: 256 << 10,
            buffer: 1 << 20,
            chunk: 64 << 10,
            memory: 16 << 20,
        }
    }
}

/// Hears how much of the log is read, from 0 to 1.
pub(crate) type Progress = Box<dyn Fn(f64) + Send>;

/// A segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u32,
    /// Where its frames end.
    end: u64,
    /// The length of its file.
    length: u64,
}

/// The store in a log.
pub(crate) struct LogStore {
    disk: Arc<dyn Disk>,
    settings: Settings,
    /// The segments before the head, the oldest one first.
    segments: VecDeque<Segment>,
    head: Head,
    index: Index,
    /// The sequence number of the last frame.
    sequence: u64,
    /// That of the last frame that is on disk.
    synced: u64,
    /// The length of the spare file, if there is one.
    spare: Option<u64>,
    cleaner: Cleaner,
    streams: StreamWriter,
    /// The frame that is being made.
    buffer: Vec<u8>,
    was_closed: bool,
    progress: Progress,
    /// A store on a fake disk has none.
    _lock: Option<FolderLock>,
}

impl LogStore {
    /// Opens the log of a folder, and makes both if they are missing. It stays locked as long as
    /// the store lives.
    ///
    /// # Errors
    /// [`StoreErrorKind::InUse`] if the folder is open, here or in another process;
    /// [`StoreErrorKind::NewerFormat`] and [`StoreErrorKind::Damaged`] for files that cannot be
    /// read; [`StoreErrorKind::Io`] and [`StoreErrorKind::DiskFull`].
    pub(crate) fn open(folder: &Path, progress: Progress) -> Result<LogStore, StoreError> {
        let of_io = |error| Fault::Io(error).of(folder);
        let disk = Folder::make(folder).map_err(of_io)?;
        let Some(lock) = FolderLock::take(disk.path()).map_err(of_io)? else {
            let reason = "another broker has it open";
            return Err(StoreError::new(folder, StoreErrorKind::InUse, reason));
        };
        let store = LogStore::open_on(Box::new(disk), Settings::default(), progress)?;
        Ok(LogStore {
            _lock: Some(lock),
            ..store
        })
    }

    /// Writes everything that is kept anew, drops the rest, and closes the store.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn compact(mut self) -> Result<(), StoreError> {
        let compacted = self.clean_all();
        compacted.map_err(|fault| self.error(fault))?;
        match self.was_closed {
            true => Store::close(&mut self),
            // It still counts as not closed, for the next broker.
            false => self.head.cut().map_err(|fault| self.error(fault)),
        }
    }

    fn error(&self, fault: Fault) -> StoreError {
        fault.of(self.disk.path())
    }

    /// Writes the frame in the buffer.
    fn append(&mut self) -> Result<(), Fault> {
        if self.buffer.len() == frame::HEADER {
            self.buffer.clear();
            return Ok(());
        }
        if !self.head.has_room(self.buffer.len(), &self.settings) {
            self.begin_segment()?;
        }
        let (sequence, salt) = (self.sequence + 1, self.head.salt());
        frame::finish(&mut self.buffer, salt, sequence, self.synced)?;
        let at = Place {
            segment: self.head.number(),
            offset: self.head.end() as u32,
        };
        if let Some(written) = Frame::of_finished(&self.buffer) {
            self.index.follow(&written, at)?;
        }
        self.head.write(&mut self.buffer, &self.settings)?;
        self.sequence = sequence;
        Ok(())
    }

    /// Ends the head, and begins the next one.
    fn begin_segment(&mut self) -> Result<(), Fault> {
        self.sync()?;
        let header = Header::new(self.head.number() + 1, self.sequence + 1);
        let next = Head::make(&*self.disk, header, self.spare.take().is_some())?;
        let full = std::mem::replace(&mut self.head, next);
        self.segments.push_back(Segment {
            number: full.number(),
            end: full.end(),
            length: full.length(),
        });
        Ok(())
    }

    /// Everything is on disk when it returns.
    fn sync(&mut self) -> Result<(), Fault> {
        self.head.sync()?;
        self.synced = self.sequence;
        Ok(())
    }

    /// Drops the oldest segment. Nothing in it is kept.
    fn drop_oldest(&mut self) -> Result<(), Fault> {
        // The entries that have emptied it must be on disk first.
        self.sync()?;
        let Some(segment) = self.segments.pop_front() else {
            return Ok(());
        };
        let name = segment::name(segment.number, false);
        match self.spare.is_none() && segment.length <= self.settings.segment {
            true => {
                self.disk.rename(&name, SPARE)?;
                self.spare = Some(segment.length);
            }
            false => self.disk.remove(&name)?,
        }
        self.disk.sync_names()?;
        self.index.drop_oldest();
        Ok(())
    }

    fn commit(&mut self, batch: &[Operation], sync: bool) -> Result<(), Fault> {
        frame::begin(&mut self.buffer);
        for entry in batch.iter().filter_map(Entry::of) {
            entry.write(&mut self.buffer);
        }
        self.cleaner.owes(self.buffer.len());
        self.append()?;
        match sync {
            true => self.sync(),
            false => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.note_streams()?;
        let first = self.segments.front();
        let first = first.map_or(self.head.number(), |segment| segment.number);
        frame::begin(&mut self.buffer);
        let first = u64::from(first);
        Entry::Closed { first }.write(&mut self.buffer);
        self.append()?;
        self.sync()?;
        self.head.cut()?;
        if self.spare.take().is_some() {
            self.disk.remove(SPARE)?;
        }
        let number = self.head.number();
        let names = (segment::name(number, false), segment::name(number, true));
        self.disk.rename(&names.0, &names.1)?;
        Ok(self.disk.sync_names()?)
    }
}

impl Store for LogStore {
    fn commit(&mut self, batch: &[Operation], sync: bool) -> Result<(), StoreError> {
        let committed = self.commit(batch, sync);
        committed.map_err(|fault| self.error(fault))
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        let cleaned = self.clean();
        cleaned.map_err(|fault| self.error(fault))
    }

    fn recover(&mut self, visit: &mut dyn FnMut(Recovered<'_>)) -> Result<(), StoreError> {
        let read = self.read(visit);
        read.map_err(|fault| self.error(fault))
    }

    fn stream_files(&self) -> Option<Arc<dyn StreamFiles>> {
        Some(Arc::clone(self.streams.files()) as _)
    }

    fn each_message(&self, visit: &mut dyn FnMut(u64, u64, Option<Mark>)) {
        self.index.each_message(visit);
    }

    fn usage(&self) -> Usage {
        Usage {
            bytes: self.length() + self.spare.unwrap_or(0) + self.streams.bytes(),
            messages: self.index.messages(),
            bodies: self.index.bodies(),
        }
    }

    fn damaged(&self, reason: &str) -> StoreError {
        self.error(Fault::damaged(reason))
    }

    fn was_closed(&self) -> bool {
        self.was_closed
    }

    fn close(&mut self) -> Result<(), StoreError> {
        let closed = self.close();
        closed.map_err(|fault| self.error(fault))
    }
}
