//! The files of streams: one for each segment, with its messages in the order of their offsets.
//!
//! A message of a stream is committed to the log, as every other one: one write and one sync for
//! all that a batch has. When the cleaner comes to it, it goes to the file of its segment, and not
//! to the head of the log. So it is written twice in all, however long it is kept. Before its
//! segment of the log is dropped, the files are synced, and an entry in the log tells how far each
//! stream is in its files. What a file has behind that is not trusted, and is in the log.
//!
//! Messages in files take no memory but for the places of the chunks. They are read by their
//! offsets, by any thread. Retention removes a file, once the log says on disk that its messages
//! are gone.

mod chunk;
mod file;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Range,
    sync::Arc,
};

use hashbrown::HashMap;

use self::{
    chunk::NewChunk,
    file::{StreamFile, read_header},
};
use super::{
    disk::{Disk, DiskFile},
    fault::Fault,
};
use crate::{
    engine::store::{Arrival, StoredChunk, StoredSegment, StreamFiles},
    model::error::StoreError,
    runtime::sync::Mutex,
};

/// The files of all streams, for their readers.
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    /// See [`StreamFiles::memory`].
    memory: u64,
    streams: Mutex<HashMap<u64, Stream>>,
}

/// The files of one stream.
#[derive(Debug, Default)]
struct Stream {
    files: VecDeque<StreamFile>,
    /// The offset behind the last message in the last file.
    end: u64,
}

/// Writes the files of all streams. Only the thread of the store has it.
pub(super) struct StreamWriter {
    files: Arc<Files>,
    /// The bytes of a chunk.
    chunk: usize,
    /// The messages of each stream that are not in its file yet.
    pending: BTreeMap<u64, NewChunk>,
    /// The last files of streams that were written since the last sync.
    open: BTreeMap<u64, Box<dyn DiskFile>>,
    /// Whether a file was made since the names were synced.
    made: bool,
    /// The bytes of all files.
    bytes: u64,
}

/// What the log says of a stream: the first offset that is kept, and the end of what the files have
/// for sure.
pub(super) type Filed = Range<u64>;

impl Files {
    /// Opens the files of streams that the log knows, and removes all others. `names` are those of
    /// the folder.
    fn open(
        disk: Arc<dyn Disk>,
        names: &[String],
        memory: u64,
        filed: impl Iterator<Item = (u64, Filed)>,
    ) -> Result<Files, Fault> {
        let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (stream, first) in names.iter().filter_map(|name| file::of_name(name)) {
            found.entry(stream).or_default().push(first);
        }
        let mut streams = HashMap::new();
        let mut removed = false;
        for (stream, offsets) in filed {
            let mut firsts = found.remove(&stream).unwrap_or_default();
            firsts.sort_unstable();
            let files = open_stream(&*disk, stream, firsts, &offsets, &mut removed)?;
            let end = offsets.end;
            streams.insert(stream, Stream { files, end });
        }
        for (stream, firsts) in found {
            for first in firsts {
                disk.remove(&file::name(stream, first))?;
                removed = true;
            }
        }
        if removed {
            disk.sync_names()?;
        }
        Ok(Files {
            disk,
            memory,
            streams: Mutex::new(streams),
        })
    }

    /// Shows the segments of a stream.
    pub(super) fn segments(&self, stream: u64) -> Vec<StoredSegment> {
        let streams = self.streams.lock();
        let files = streams.get(&stream).into_iter().flat_map(|it| &it.files);
        files.map(|file| file.segment).collect()
    }

    /// The chunk with this offset: its file, and where it begins there.
    fn place(&self, stream: u64, offset: u64) -> Option<(u64, u64)> {
        let streams = self.streams.lock();
        let stream = streams.get(&stream)?;
        let behind = |file: &StreamFile| file.segment.first <= offset;
        let behind = stream.files.partition_point(behind);
        let file = stream.files.get(behind.checked_sub(1)?)?;
        let place = file.place(offset).filter(|_| offset < file.segment.end())?;
        Some((file.segment.first, place))
    }

    fn read_chunk(&self, stream: u64, offset: u64) -> Result<Option<StoredChunk>, Fault> {
        let Some((first, at)) = self.place(stream, offset) else {
            return Ok(None);
        };
        let name = file::name(stream, first);
        let file = match self.disk.open(&name) {
            // Retention may have removed it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match self.place(stream, offset) {
                    Some(_) => Err(Fault::Damaged(format!("the file {name} is missing"))),
                    None => Ok(None),
                };
            }
            opened => opened?,
        };
        let damaged = || Fault::Damaged(format!("the file {name} is damaged at byte {at}"));
        let length = file.len()?;
        let header = read_header(&*file, at, length)?;
        let header = header.filter(|chunk| at.saturating_add(chunk.len()) <= length);
        let header = header.ok_or_else(damaged)?;
        let mut octets = vec![0; header.length as usize];
        file.read_at(at + chunk::HEADER as u64, &mut octets)?;
        let chunk = header.open(octets).filter(|chunk| {
            let mut entries = chunk.from(offset);
            entries.next().is_some_and(|entry| entry.0 == offset)
        });
        chunk.ok_or_else(damaged).map(Some)
    }

    fn find_since(&self, stream: u64, time: u64) -> Result<Option<u64>, Fault> {
        let first = {
            let streams = self.streams.lock();
            let files = streams.get(&stream).map(|stream| &stream.files);
            files.and_then(|files| {
                let before = files.partition_point(|file| file.segment.last_time < time);
                files.get(before)?.since(time)
            })
        };
        let Some(first) = first else { return Ok(None) };
        let Some(chunk) = self.read_chunk(stream, first)? else {
            return Ok(None);
        };
        let found = chunk.from(first).find(|(_, came, _)| *came >= time);
        Ok(found.map(|(offset, ..)| offset))
    }
}

/// Opens the files of a stream with these first offsets, in their order.
fn open_stream(
    disk: &dyn Disk,
    stream: u64,
    firsts: Vec<u64>,
    offsets: &Filed,
    removed: &mut bool,
) -> Result<VecDeque<StreamFile>, Fault> {
    // A file that begins behind the end was made, and the log does not know of it yet.
    let known = firsts.partition_point(|first| *first < offsets.end);
    let ends = firsts[..known].iter().skip(1).copied();
    let mut ends: Vec<u64> = ends.chain([offsets.end]).collect();
    ends.truncate(known);
    let mut files = VecDeque::new();
    for (at, first) in firsts.iter().enumerate() {
        match ends.get(at).filter(|end| **end > offsets.start) {
            Some(end) => {
                let last = at + 1 == known;
                files.push_back(StreamFile::open(disk, stream, *first..*end, last)?);
            }
            None => {
                disk.remove(&file::name(stream, *first))?;
                *removed = true;
            }
        }
    }
    let first = files.front().map(|file| file.segment.first);
    match offsets.is_empty() || first.is_some_and(|first| first <= offsets.start) {
        true => Ok(files),
        false => Err(Fault::Damaged(format!(
            "the file of the stream {stream} with the offset {} is missing",
            offsets.start
        ))),
    }
}

impl StreamFiles for Files {
    fn end(&self, stream: u64) -> u64 {
        let streams = self.streams.lock();
        streams.get(&stream).map_or(0, |stream| stream.end)
    }

    fn memory(&self) -> u64 {
        self.memory
    }

    fn read(&self, stream: u64, offset: u64) -> Result<Option<StoredChunk>, StoreError> {
        let read = self.read_chunk(stream, offset);
        read.map_err(|fault| fault.of(self.disk.path()))
    }

    fn since(&self, stream: u64, time: u64) -> Result<Option<u64>, StoreError> {
        let found = self.find_since(stream, time);
        found.map_err(|fault| fault.of(self.disk.path()))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        Fault::damaged(reason).of(self.disk.path())
    }
}

impl StreamWriter {
    /// Opens the files of the streams that the log knows, and removes all others.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        names: &[String],
        (chunk, memory): (usize, u64),
        filed: impl Iterator<Item = (u64, Filed)>,
    ) -> Result<StreamWriter, Fault> {
        let files = Files::open(disk, names, memory, filed)?;
        let bytes = {
            let streams = files.streams.lock();
            let files = streams.values().flat_map(|stream| &stream.files);
            files.map(|file| file.length).sum()
        };
        Ok(StreamWriter {
            files: Arc::new(files),
            chunk,
            pending: BTreeMap::new(),
            open: BTreeMap::new(),
            made: false,
            bytes,
        })
    }

    pub(super) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// The bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the next message of a stream. It is in its file after a [`sync`](Self::sync).
    pub(super) fn add(
        &mut self,
        stream: u64,
        offset: u64,
        message: &[u8],
        arrival: Arrival,
    ) -> Result<(), Fault> {
        let belongs = |chunk: &NewChunk| {
            chunk.next() == offset && !arrival.begins && chunk.has_room(message.len(), self.chunk)
        };
        if self.pending.get(&stream).is_some_and(|it| !belongs(it)) {
            self.write(stream)?;
        }
        let new = || NewChunk::new(offset, arrival);
        let chunk = self.pending.entry(stream).or_insert_with(new);
        chunk.add(message, arrival);
        Ok(())
    }

    /// Writes the messages of a stream to its file.
    fn write(&mut self, stream: u64) -> Result<(), Fault> {
        let Some(chunk) = self.pending.remove(&stream) else {
            return Ok(());
        };
        let begins = chunk.begins;
        let (chunk, bytes) = chunk.finish()?;
        let last = {
            let mut streams = self.files.streams.lock();
            let of_stream = streams.entry(stream).or_default();
            if of_stream.files.is_empty() {
                of_stream.end = chunk.first;
            }
            if of_stream.end != chunk.first {
                let reason = format!("the stream {stream} has a gap before {}", chunk.first);
                return Err(Fault::Damaged(reason));
            }
            let last = of_stream.files.back().filter(|_| !begins);
            last.map(|file| (file.segment.first, file.length))
        };
        let written = match last {
            Some((first, length)) => {
                if !self.open.contains_key(&stream) {
                    let file = self.files.disk.open(&file::name(stream, first))?;
                    self.open.insert(stream, file);
                }
                self.write_at(stream, length, &bytes)?
            }
            None => {
                // The one before is whole. It is synced when it is full.
                self.open.remove(&stream).map_or(Ok(()), |it| it.sync())?;
                let file = self.files.disk.create(&file::name(stream, chunk.first))?;
                self.open.insert(stream, file);
                self.made = true;
                let header = file::header(stream, chunk.first);
                self.write_at(stream, 0, &[&header, &bytes[..]].concat())?
            }
        };
        self.bytes += written;
        let mut streams = self.files.streams.lock();
        if let Some(of_stream) = streams.get_mut(&stream) {
            if last.is_none() {
                of_stream.files.push_back(StreamFile::new(chunk.first));
            }
            if let Some(file) = of_stream.files.back_mut() {
                file.add(&chunk);
            }
            of_stream.end = chunk.end();
        }
        Ok(())
    }

    /// Returns how many bytes these are.
    fn write_at(&self, stream: u64, at: u64, bytes: &[u8]) -> Result<u64, Fault> {
        if let Some(file) = self.open.get(&stream) {
            file.write_at(at, bytes)?;
        }
        Ok(bytes.len() as u64)
    }

    /// Everything that was added is in its file and on disk when it returns. Returns the streams
    /// that were written, and the ends of what their files have.
    pub(super) fn sync(&mut self) -> Result<Vec<(u64, u64)>, Fault> {
        while let Some(stream) = self.pending.keys().next().copied() {
            self.write(stream)?;
        }
        let open = std::mem::take(&mut self.open);
        open.values().try_for_each(|file| file.sync())?;
        if std::mem::take(&mut self.made) {
            self.files.disk.sync_names()?;
        }
        let streams = open.into_keys();
        Ok(streams.map(|it| (it, self.files.end(it))).collect())
    }

    /// Removes the files whose messages are all before an offset. The log says on disk that they
    /// are gone.
    pub(super) fn remove_before(&mut self, stream: u64, offset: u64) -> Result<(), Fault> {
        if self
            .pending
            .get(&stream)
            .is_some_and(|it| it.next() <= offset)
        {
            self.pending.remove(&stream);
        }
        let mut removed = Vec::new();
        if let Some(of_stream) = self.files.streams.lock().get_mut(&stream) {
            let files = &mut of_stream.files;
            let gone = files.partition_point(|file| file.segment.end() <= offset);
            removed.extend(files.drain(..gone));
            of_stream.end = of_stream.end.max(offset);
            if files.is_empty() {
                self.open.remove(&stream);
            }
        }
        self.remove(stream, removed)
    }

    /// Removes all files of a stream.
    pub(super) fn remove_all(&mut self, stream: u64) -> Result<(), Fault> {
        self.pending.remove(&stream);
        self.open.remove(&stream);
        let removed = self.files.streams.lock().remove(&stream);
        let files = removed.map(|it| it.files.into());
        self.remove(stream, files.unwrap_or_default())
    }

    fn remove(&mut self, stream: u64, files: Vec<StreamFile>) -> Result<(), Fault> {
        for file in files {
            self.bytes -= file.length;
            let name = file::name(stream, file.segment.first);
            self.files.disk.remove(&name)?;
        }
        Ok(())
    }
}
