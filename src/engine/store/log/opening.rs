//! Opens a log: reads all frames, and finds out which entries are kept. Then shows them.

use super::{
    Arc, Disk, Frame, Head, Header, Index, Live, LogStore, Place, Progress, SPARE, Segment,
    Settings, StreamWriter, VecDeque, cleaner::Cleaner, disk::DiskFile, entry::Entry, fault::Fault,
    frame, segment,
};
use crate::{
    engine::store::{Recovered, StreamFiles},
    model::error::StoreError,
};

/// The contents of a log.
struct Found {
    index: Index,
    segments: VecDeque<Segment>,
    /// The sequence number of the last frame.
    sequence: u64,
    /// The last segment.
    last: Option<Last>,
}

struct Last {
    file: Box<dyn DiskFile>,
    header: Header,
    is_closed: bool,
    /// Where its frames end.
    end: u64,
    /// From where on it is not sure that the disk has them.
    unsure: u64,
    /// The bytes from there on.
    tail: Vec<u8>,
}

impl LogStore {
    /// Opens the log on a disk.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn open_on(
        disk: Box<dyn Disk>,
        settings: Settings,
        progress: Progress,
    ) -> Result<LogStore, StoreError> {
        let disk: Arc<dyn Disk> = disk.into();
        let begun = LogStore::begin(&*disk, &progress).and_then(|(found, head, was_closed)| {
            found.index.check_streams()?;
            let (names, sizes) = (disk.list()?, (settings.chunk, settings.memory));
            let streams = found.index.streams();
            let streams = StreamWriter::open(Arc::clone(&disk), &names, sizes, streams)?;
            Ok((found, head, was_closed, streams))
        });
        let (found, head, was_closed, streams) = begun.map_err(|fault| fault.of(disk.path()))?;
        Ok(LogStore {
            disk,
            streams,
            settings,
            segments: found.segments,
            head,
            index: found.index,
            sequence: found.sequence,
            synced: found.sequence,
            spare: None,
            cleaner: Cleaner::default(),
            buffer: Vec::new(),
            was_closed,
            progress,
            _lock: None,
        })
    }

    /// Reads the log, and makes its end ready for the next frame.
    fn begin(disk: &dyn Disk, progress: &Progress) -> Result<(Found, Head, bool), Fault> {
        let mut found = Found::read(disk, progress)?;
        let Some(last) = found.last.take() else {
            // There is no segment. A spare file is what a first segment was before it got its name.
            let header = Header::new(1, 1);
            return Ok((found, Head::make(disk, header, false)?, true));
        };
        let number = last.header.number;
        let mut head = Head::go_on(last.file, last.header, last.end)?;
        if last.is_closed {
            // From now on it counts as not closed.
            let names = (segment::name(number, true), segment::name(number, false));
            disk.rename(&names.0, &names.1)?;
            disk.sync_names()?;
        } else {
            // If a sync has failed before, the system may take for written what is not.
            head.write_again(last.unsure, &last.tail)?;
        }
        head.sync()?;
        Ok((found, head, last.is_closed))
    }

    /// Shows everything that is kept.
    pub(super) fn read(&self, visit: &mut dyn FnMut(Recovered<'_>)) -> Result<(), Fault> {
        let head = Segment {
            number: self.head.number(),
            end: self.head.end(),
            length: self.head.length(),
        };
        let mut bytes = Vec::new();
        let others = self.index.segments_of_others();
        for with_messages in [false, true] {
            if with_messages {
                self.show_streams(visit);
            }
            for (done, segment) in self.segments.iter().chain([&head]).enumerate() {
                if with_messages || others.contains(&segment.number) {
                    self.read_segment(segment, &mut bytes, with_messages, visit)?;
                }
                if with_messages {
                    let of = (self.segments.len() + 1) as f64;
                    (self.progress)(0.5 + (done + 1) as f64 / of / 2.0);
                }
            }
        }
        Ok(())
    }

    /// Shows what the streams have in their files.
    fn show_streams(&self, visit: &mut dyn FnMut(Recovered<'_>)) {
        for (stream, filed) in self.index.streams() {
            visit(Recovered::Stream {
                stream,
                first: filed.start,
                segments: &self.streams.files().segments(stream),
            });
        }
    }

    /// Shows the messages of a segment, or else everything but them.
    fn read_segment(
        &self,
        segment: &Segment,
        bytes: &mut Vec<u8>,
        with_messages: bool,
        visit: &mut dyn FnMut(Recovered<'_>),
    ) -> Result<(), Fault> {
        let name = segment::name(segment.number, false);
        bytes.resize(segment.end as usize, 0);
        self.disk.open(&name)?.read_at(0, bytes)?;
        let header = Header::read(bytes, segment.number)?;
        let mut at = segment::HEADER;
        while at < bytes.len() {
            let frame = Frame::read(&bytes[at..], header.salt);
            let frame = frame.ok_or_else(|| bad(&name, at as u64))?;
            frame.each(|entry, of| {
                let is_message = matches!(entry, Entry::Put { .. } | Entry::Append { .. });
                if is_message != with_messages {
                    return;
                }
                let place = Place {
                    segment: segment.number,
                    offset: (at + of.start) as u32,
                };
                match self.index.live(entry, place) {
                    Some(Live::Message {
                        queue,
                        position,
                        message,
                        mark,
                    }) => visit(Recovered::Message {
                        queue,
                        position,
                        message,
                        mark,
                    }),
                    Some(Live::Body { body, octets }) => visit(Recovered::Body { body, octets }),
                    Some(Live::Record { kind, name, value }) => {
                        visit(Recovered::Record { kind, name, value });
                    }
                    Some(Live::Entry {
                        stream,
                        offset,
                        message,
                        arrival,
                    }) => {
                        // The file may have it already, though no note says so yet.
                        if offset >= self.streams.files().end(stream) {
                            visit(Recovered::Entry {
                                stream,
                                offset,
                                message,
                                arrival,
                            });
                        }
                    }
                    Some(Live::Filed) | None => {}
                }
            })?;
            at += frame.len();
        }
        Ok(())
    }
}

impl Found {
    fn read(disk: &dyn Disk, progress: &Progress) -> Result<Found, Fault> {
        let names = disk.list()?;
        if names.iter().any(|name| name == SPARE) {
            disk.remove(SPARE)?;
        }
        // The last process may have ended before it has synced them.
        disk.sync_names()?;
        let numbers = names.iter().filter_map(|name| segment::of_name(name));
        let mut numbers: Vec<(u32, bool)> = numbers.collect();
        numbers.sort_unstable();
        let mut found = Found {
            index: Index::from(numbers.first().map_or(1, |first| first.0)),
            segments: VecDeque::new(),
            sequence: 0,
            last: None,
        };
        let mut bytes = Vec::new();
        for (at, (number, is_closed)) in numbers.iter().enumerate() {
            let name = segment::name(*number, *is_closed);
            let is_last = at + 1 == numbers.len();
            let next = numbers.get(at + 1).map(|next| next.0);
            if next.is_some_and(|next| next != number + 1) || *is_closed && !is_last {
                return Err(Fault::Damaged(format!(
                    "the segment after {name} is missing"
                )));
            }
            let file = disk.open(&name)?;
            bytes.resize(usize::try_from(file.len()?).unwrap_or(usize::MAX), 0);
            file.read_at(0, &mut bytes)?;
            found.add(file, &bytes, (*number, *is_closed), is_last)?;
            progress((at + 1) as f64 / numbers.len() as f64 / 2.0);
        }
        Ok(found)
    }

    /// Reads a segment.
    fn add(
        &mut self,
        file: Box<dyn DiskFile>,
        bytes: &[u8],
        (number, is_closed): (u32, bool),
        is_last: bool,
    ) -> Result<(), Fault> {
        let name = segment::name(number, is_closed);
        let header = Header::read(bytes, number)?;
        if self.segments.is_empty() {
            self.sequence = header.first.saturating_sub(1);
        }
        if header.first != self.sequence + 1 {
            let reason = format!("a frame is missing before the segment {name}");
            return Err(Fault::Damaged(reason));
        }
        let mut at = segment::HEADER;
        // The frames that no later one calls synced: their numbers, and where they begin.
        let mut unsure = VecDeque::new();
        let mut last = None;
        while let Some(frame) = self.next(&bytes[at..], &header) {
            let place = Place {
                segment: number,
                offset: at as u32,
            };
            self.index.follow(&frame, place)?;
            self.sequence = frame.sequence;
            while unsure
                .front()
                .is_some_and(|(sequence, _)| *sequence <= frame.synced)
            {
                unsure.pop_front();
            }
            unsure.push_back((frame.sequence, at));
            last = Some(frame);
            at += frame.len();
        }
        let mut closed = None;
        if let Some(last) = last.filter(|_| is_closed) {
            last.each(|entry, _| {
                if let Entry::Closed { first } = entry {
                    closed = Some(first);
                }
            })?;
        }
        let first = self.segments.front().map_or(number, |first| first.number);
        if is_closed && (at < bytes.len() || closed != Some(u64::from(first))) {
            return Err(bad(&name, at as u64));
        }
        if is_last && frame::was_synced(&bytes[at..], header.salt, self.sequence + 1) {
            return Err(bad(&name, at as u64));
        }
        let end = at as u64;
        if !is_last {
            self.segments.push_back(Segment {
                number,
                end,
                length: bytes.len() as u64,
            });
            return Ok(());
        }
        let unsure = unsure.front().map_or(at, |(_, from)| *from);
        self.last = Some(Last {
            file,
            header,
            is_closed,
            end,
            unsure: unsure as u64,
            tail: bytes[unsure..at].to_vec(),
        });
        Ok(())
    }

    /// The frame at the start of these bytes, if it follows the last one.
    fn next<'a>(&self, bytes: &'a [u8], header: &Header) -> Option<Frame<'a>> {
        let frame = Frame::read(bytes, header.salt);
        frame.filter(|frame| frame.sequence == self.sequence + 1 && frame.synced <= self.sequence)
    }
}

/// The error of a log whose frame at this place is not whole.
fn bad(name: &str, at: u64) -> Fault {
    Fault::Damaged(format!("the segment {name} is not whole at byte {at}"))
}
