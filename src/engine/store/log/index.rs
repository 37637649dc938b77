//! What the log keeps, and where: in memory, for every message, body and record.
//!
//! The index has 20 bytes for a message, and tables that are between half and all of seven eighths
//! full: 29 to 54 bytes. A message with a mark has 33 to 75 bytes more. A message of a stream has
//! 12 to 24 bytes while it is in the log, and none once it is in a file.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
};

use hashbrown::HashMap;

use super::{
    entry::Entry,
    fault::Fault,
    frame::Frame,
    stream_entries::{Freed, StreamEntries},
};
use crate::engine::store::{Arrival, Mark, RecordKind};

/// The place of an entry: the segment, and the first byte in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// An entry that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) place: Place,
    bytes: u32,
}

/// The messages of one queue, by their positions.
#[derive(Debug, Default)]
struct Messages {
    kept: HashMap<u64, Kept>,
    marks: HashMap<u64, Mark>,
}

/// What the log keeps.
#[derive(Debug, Default)]
pub(super) struct Index {
    queues: HashMap<u64, Messages>,
    /// The present positions of messages that have moved since they were written.
    moved: HashMap<Place, u64>,
    bodies: HashMap<u64, Kept>,
    records: BTreeMap<(RecordKind, String), Kept>,
    streams: BTreeMap<u64, StreamEntries>,
    /// The streams that were trimmed or dropped, and no note says it yet.
    changed_streams: BTreeSet<u64>,
    messages: u64,
    marks: u64,
    live: LiveBytes,
}

/// The bytes of the entries that are kept, in each segment.
#[derive(Debug, Default)]
struct LiveBytes {
    /// The number of the first segment in the list.
    first: u32,
    of: VecDeque<u64>,
    total: u64,
    /// Those of the messages of streams, which the cleaner does not write anew.
    streams: u64,
}

impl LiveBytes {
    fn add(&mut self, kept: Kept) {
        let bytes = u64::from(kept.bytes);
        let at = (kept.place.segment - self.first) as usize;
        if at >= self.of.len() {
            self.of.resize(at + 1, 0);
        }
        self.of[at] += bytes;
        self.total += bytes;
    }

    fn remove(&mut self, kept: Kept) {
        let bytes = u64::from(kept.bytes);
        self.of[(kept.place.segment - self.first) as usize] -= bytes;
        self.total -= bytes;
    }

    fn free(&mut self, freed: Freed) {
        for kept in freed.messages {
            self.streams -= u64::from(kept.bytes);
            self.remove(kept);
        }
        freed.note.into_iter().for_each(|note| self.remove(note));
    }
}

/// A kept entry that was found at its place.
pub(super) enum Live<'a> {
    Message {
        queue: u64,
        /// Where it is now.
        position: u64,
        message: &'a [u8],
        mark: Option<Mark>,
    },
    Body {
        body: u64,
        octets: &'a [u8],
    },
    Record {
        kind: RecordKind,
        name: &'a str,
        value: &'a [u8],
    },
    /// A message of a stream.
    Entry {
        stream: u64,
        offset: u64,
        message: &'a [u8],
        arrival: Arrival,
    },
    /// What the files of a stream have.
    Filed,
}

impl Index {
    /// An index of a log whose oldest segment has this number.
    pub(super) fn from(first: u32) -> Index {
        let mut index = Index::default();
        index.live.first = first;
        index
    }

    /// Carries out the entries of a frame, which begins at this place.
    pub(super) fn follow(&mut self, frame: &Frame<'_>, at: Place) -> Result<(), Fault> {
        let mut carried_out = Ok(());
        frame.each(|entry, bytes| {
            let kept = Kept {
                place: Place {
                    offset: at.offset + bytes.start as u32,
                    ..at
                },
                bytes: bytes.len() as u32,
            };
            if carried_out.is_ok() {
                carried_out = self.carry_out(entry, kept);
            }
        })?;
        carried_out
    }

    fn carry_out(&mut self, entry: Entry<'_>, here: Kept) -> Result<(), Fault> {
        match entry {
            Entry::Put {
                queue, position, ..
            } => {
                self.forget(queue, position);
                self.keep(queue, position, here);
                self.live.add(here);
            }
            Entry::Mark {
                queue,
                position,
                mark,
            } => self.set_mark(queue, position, mark),
            Entry::Move {
                queue,
                from,
                to,
                mark,
            } => {
                let messages = self.queues.get_mut(&queue);
                let Some(kept) = messages.and_then(|it| it.kept.remove(&from)) else {
                    return Ok(());
                };
                self.messages -= 1;
                self.set_mark(queue, from, None);
                self.forget(queue, to);
                self.keep(queue, to, kept);
                self.moved.insert(kept.place, to);
                self.set_mark(queue, to, mark);
            }
            Entry::Settle { queue, position } => self.forget(queue, position),
            Entry::Append { stream, offset, .. } => self.append(stream, offset, here)?,
            Entry::Trim { stream, offset } => {
                self.changed_streams.insert(stream);
                self.change_stream(stream, offset, |entries| entries.trim(offset));
            }
            Entry::Filed { stream, first, end } => {
                let filed = first..end;
                self.change_stream(stream, first, |entries| entries.file(filed.clone(), here));
                self.live.add(here);
                let entries = self.streams.get(&stream);
                if entries.is_some_and(|entries| entries.is_noted(&filed)) {
                    self.changed_streams.remove(&stream);
                }
            }
            Entry::PutBody { body, .. } => {
                let before = self.bodies.insert(body, here);
                before.into_iter().for_each(|it| self.live.remove(it));
                self.live.add(here);
            }
            Entry::DropBody { body } => {
                let before = self.bodies.remove(&body);
                before.into_iter().for_each(|it| self.live.remove(it));
            }
            Entry::DropQueue { queue } => {
                self.drop_stream(queue);
                let Some(messages) = self.queues.remove(&queue) else {
                    return Ok(());
                };
                self.messages -= messages.kept.len() as u64;
                self.marks -= messages.marks.len() as u64;
                for kept in messages.kept.into_values() {
                    self.live.remove(kept);
                    self.moved.remove(&kept.place);
                }
            }
            Entry::Record { kind, name, value } => {
                let key = (kind, name.to_owned());
                let before = match value {
                    Some(_) => {
                        self.live.add(here);
                        self.records.insert(key, here)
                    }
                    None => self.records.remove(&key),
                };
                before.into_iter().for_each(|it| self.live.remove(it));
            }
            Entry::Closed { .. } => {}
        }
        Ok(())
    }

    fn append(&mut self, stream: u64, offset: u64, here: Kept) -> Result<(), Fault> {
        let new = || StreamEntries::new(offset);
        let entries = self.streams.entry(stream).or_insert_with(new);
        self.messages -= entries.len();
        let is_next = entries.append(offset, here);
        self.messages += entries.len();
        if !is_next {
            return Err(missing(stream, entries.next()));
        }
        self.live.add(here);
        self.live.streams += u64::from(here.bytes);
        Ok(())
    }

    /// All entries of the log were carried out.
    pub(super) fn check_streams(&self) -> Result<(), Fault> {
        let gap = self.streams.iter().find_map(|(stream, entries)| {
            let gap = entries.gap()?;
            Some(missing(*stream, gap))
        });
        gap.map_or(Ok(()), Err)
    }

    /// Changes a stream. A new one begins at `first`.
    fn change_stream(
        &mut self,
        stream: u64,
        first: u64,
        change: impl FnOnce(&mut StreamEntries) -> Freed,
    ) {
        let new = || StreamEntries::new(first);
        let entries = self.streams.entry(stream).or_insert_with(new);
        self.messages -= entries.len();
        let freed = change(entries);
        self.messages += entries.len();
        self.live.free(freed);
    }

    fn drop_stream(&mut self, stream: u64) {
        if let Some(entries) = self.streams.remove(&stream) {
            self.messages -= entries.len();
            self.changed_streams.insert(stream);
            self.live.free(entries.into_freed());
        }
    }

    fn keep(&mut self, queue: u64, position: u64, kept: Kept) {
        let messages = self.queues.entry(queue).or_default();
        messages.kept.insert(position, kept);
        self.messages += 1;
    }

    /// A message is gone, if it was there.
    fn forget(&mut self, queue: u64, position: u64) {
        let Some(messages) = self.queues.get_mut(&queue) else {
            return;
        };
        let Some(kept) = messages.kept.remove(&position) else {
            return;
        };
        self.messages -= 1;
        if !messages.marks.is_empty() {
            self.marks -= u64::from(messages.marks.remove(&position).is_some());
        }
        // A queue that was long once gives its memory back.
        if messages.kept.capacity() > FEW.max(8 * messages.kept.len()) {
            messages.kept.shrink_to(2 * messages.kept.len());
        }
        self.live.remove(kept);
        if !self.moved.is_empty() {
            self.moved.remove(&kept.place);
        }
    }

    fn set_mark(&mut self, queue: u64, position: u64, mark: Option<Mark>) {
        let Some(messages) = self.queues.get_mut(&queue) else {
            return;
        };
        let before = match mark.filter(|_| messages.kept.contains_key(&position)) {
            Some(mark) => {
                self.marks += 1;
                messages.marks.insert(position, mark)
            }
            None => messages.marks.remove(&position),
        };
        self.marks -= u64::from(before.is_some());
    }

    /// The entry, if it is kept and this is its place.
    pub(super) fn live<'a>(&self, entry: Entry<'a>, place: Place) -> Option<Live<'a>> {
        let is_here = |kept: Option<&Kept>| kept.is_some_and(|kept| kept.place == place);
        match entry {
            Entry::Put {
                queue,
                position,
                message,
            } => {
                let messages = self.queues.get(&queue)?;
                let position = *self.moved.get(&place).unwrap_or(&position);
                is_here(messages.kept.get(&position)).then(|| Live::Message {
                    queue,
                    position,
                    message,
                    mark: messages.marks.get(&position).copied(),
                })
            }
            Entry::PutBody { body, octets } => {
                is_here(self.bodies.get(&body)).then_some(Live::Body { body, octets })
            }
            Entry::Record {
                kind,
                name,
                value: Some(value),
            } => is_here(self.records.get(&(kind, name.to_owned()))).then_some(Live::Record {
                kind,
                name,
                value,
            }),
            Entry::Append {
                stream,
                offset,
                message,
                arrival,
            } => is_here(self.streams.get(&stream)?.entry(offset)).then_some(Live::Entry {
                stream,
                offset,
                message,
                arrival,
            }),
            Entry::Filed { stream, .. } => {
                let entries = self.streams.get(&stream)?;
                entries.has_note_at(place).then_some(Live::Filed)
            }
            _ => None,
        }
    }

    /// The segments that have records and bodies which are kept.
    pub(super) fn segments_of_others(&self) -> std::collections::BTreeSet<u32> {
        let others = self.records.values().chain(self.bodies.values());
        others.map(|kept| kept.place.segment).collect()
    }

    /// The streams, each with the first offset that is kept and the end of its files.
    pub(super) fn streams(&self) -> impl Iterator<Item = (u64, Range<u64>)> {
        let streams = self.streams.iter();
        streams.map(|(stream, entries)| (*stream, entries.filed()))
    }

    /// As [`streams`](Self::streams), of one stream. `None` if there is none.
    pub(super) fn stream(&self, stream: u64) -> Option<Range<u64>> {
        Some(self.streams.get(&stream)?.filed())
    }

    /// The streams that were trimmed or dropped, and no note says it yet.
    pub(super) fn changed_streams(&self) -> Vec<u64> {
        self.changed_streams.iter().copied().collect()
    }

    /// The files of a dropped stream are removed.
    pub(super) fn forget_stream(&mut self, stream: u64) {
        self.changed_streams.remove(&stream);
    }

    /// Shows the queue, the position and the mark of each message.
    pub(super) fn each_message(&self, show: &mut dyn FnMut(u64, u64, Option<Mark>)) {
        for (queue, messages) in &self.queues {
            for position in messages.kept.keys() {
                show(*queue, *position, messages.marks.get(position).copied());
            }
        }
    }

    /// The number of messages.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The number of bodies that several messages share.
    pub(super) fn bodies(&self) -> u64 {
        self.bodies.len() as u64
    }

    /// The bytes that everything but the messages of streams would take if it were written anew.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live.total - self.live.streams + self.marks * MARK
    }

    /// Whether nothing in the oldest segment is kept.
    pub(super) fn oldest_is_empty(&self) -> bool {
        self.live.of.front().is_none_or(|bytes| *bytes == 0)
    }

    /// The oldest segment is gone. Nothing in it was kept.
    pub(super) fn drop_oldest(&mut self) {
        self.live.first += 1;
        self.live.of.pop_front();
    }
}

fn missing(stream: u64, offset: u64) -> Fault {
    Fault::Damaged(format!(
        "the message {offset} of the stream {stream} is missing"
    ))
}

/// A table with room for this number of messages does not shrink.
const FEW: usize = 1_024;

/// The bytes of a mark that is written anew, at most.
const MARK: u64 = 1 + 10 + 10 + Mark::LENGTH as u64;
