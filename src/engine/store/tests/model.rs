//! What a store has to show after some operations.

use std::collections::BTreeMap;

use crate::{
    engine::store::{Mark, Operation, Recovered, Store, StoredSegment, StreamFiles},
    model::error::StoreError,
};

/// What a store has to show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) messages: BTreeMap<(u64, u64), (Vec<u8>, Option<Mark>)>,
    pub(crate) bodies: BTreeMap<u64, Vec<u8>>,
    pub(crate) records: BTreeMap<(u8, String), Vec<u8>>,
    pub(crate) streams: BTreeMap<u64, StreamModel>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamModel {
    /// The first offset that is kept. If nothing is, that of the next message.
    pub(crate) first: u64,
    /// The messages by their offsets, and when they came.
    pub(crate) messages: BTreeMap<u64, (Vec<u8>, u64)>,
}

impl StreamModel {
    fn new(first: u64) -> StreamModel {
        StreamModel {
            first,
            ..StreamModel::default()
        }
    }

    /// The offset of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// Reads the messages of its files.
    fn read(
        &mut self,
        stream: u64,
        segments: &[StoredSegment],
        files: &dyn StreamFiles,
    ) -> Result<(), StoreError> {
        for segment in segments {
            let (mut next, mut size, mut last) = (segment.first, 0, 0);
            while next < segment.end() {
                let chunk = files.read(stream, next)?.expect("it is in the file");
                for (offset, came, message) in chunk.from(next) {
                    assert_eq!(offset, next);
                    next += 1;
                    size += message.len() as u64;
                    last = came;
                    if offset >= self.first {
                        self.messages.insert(offset, (message.to_vec(), came));
                    }
                }
            }
            let totals = (segment.end(), segment.size, segment.last_time);
            assert_eq!(totals, (next, size, last));
            assert_eq!(segment.bytes, size + 100 * segment.messages);
            assert_eq!(files.since(stream, last).unwrap(), Some(next - 1));
        }
        Ok(())
    }
}

impl Model {
    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation.clone() {
            Operation::Nothing => {}
            Operation::Put {
                queue,
                position,
                message,
                ..
            } => {
                let message = (message.to_vec(), None);
                self.messages.insert((queue, position), message);
            }
            Operation::Mark {
                queue,
                position,
                mark,
            } => {
                if let Some(message) = self.messages.get_mut(&(queue, position)) {
                    message.1 = mark;
                }
            }
            Operation::Move {
                queue,
                from,
                to,
                mark,
            } => {
                if let Some((message, _)) = self.messages.remove(&(queue, from)) {
                    self.messages.insert((queue, to), (message, mark));
                }
            }
            Operation::Settle { queue, position } => {
                self.messages.remove(&(queue, position));
            }
            Operation::Append {
                stream,
                offset,
                message,
                arrival,
            } => {
                let new = || StreamModel::new(offset);
                let stream = self.streams.entry(stream).or_insert_with(new);
                let message = (message.to_vec(), arrival.came);
                stream.messages.insert(offset, message);
            }
            Operation::Trim { stream, offset } => {
                let new = || StreamModel::new(offset);
                let stream = self.streams.entry(stream).or_insert_with(new);
                stream.first = stream.first.max(offset);
                stream.messages.retain(|of, _| *of >= offset);
            }
            Operation::PutBody { body, octets } => {
                self.bodies.insert(body, octets.to_vec());
            }
            Operation::DropBody { body } => {
                self.bodies.remove(&body);
            }
            Operation::DropQueue { queue } => {
                self.messages.retain(|(other, _), _| *other != queue);
                self.streams.remove(&queue);
            }
            Operation::Record { key, value } => {
                let key = (key.kind as u8, key.name);
                match value {
                    Some(value) => self.records.insert(key, value.to_vec()),
                    None => self.records.remove(&key),
                };
            }
        }
    }

    pub(crate) fn apply_all(&mut self, batch: &[Operation]) {
        batch.iter().for_each(|operation| self.apply(operation));
    }

    /// What a store shows. It shows nothing twice, and says the same of its messages elsewhere.
    pub(crate) fn of(store: &mut dyn Store) -> Result<Model, StoreError> {
        let mut model = Model::default();
        let files = store.stream_files().expect("it has files for streams");
        let mut read = Ok(());
        store.recover(&mut |recovered| match recovered {
            Recovered::Stream {
                stream,
                first,
                segments,
            } => {
                let mut found = StreamModel::new(first);
                if read.is_ok() {
                    read = found.read(stream, segments, &*files);
                }
                assert_eq!(model.streams.insert(stream, found), None, "{stream}");
            }
            Recovered::Entry {
                stream,
                offset,
                message,
                arrival,
            } => {
                let stream = model.streams.get_mut(&stream).unwrap();
                assert!(
                    read.is_err() || offset == stream.next(),
                    "{offset} {stream:?}"
                );
                let message = (message.to_vec(), arrival.came);
                stream.messages.insert(offset, message);
            }
            Recovered::Record { kind, name, value } => {
                let key = (kind as u8, name.to_owned());
                let before = model.records.insert(key, value.to_vec());
                assert_eq!(before, None, "{name}");
            }
            Recovered::Body { body, octets } => {
                assert!(model.messages.is_empty(), "bodies come before messages");
                let before = model.bodies.insert(body, octets.to_vec());
                assert_eq!(before, None, "{body}");
            }
            Recovered::Message {
                queue,
                position,
                message,
                mark,
            } => {
                let message = (message.to_vec(), mark);
                let before = model.messages.insert((queue, position), message);
                assert_eq!(before, None, "{queue} {position}");
            }
        })?;
        read?;
        let mut marks = BTreeMap::new();
        store.each_message(&mut |queue, position, mark| {
            marks.insert((queue, position), mark);
        });
        let messages = model.messages.iter();
        let expected: BTreeMap<_, _> = messages.map(|(place, it)| (*place, it.1)).collect();
        assert_eq!(marks, expected);
        let usage = store.usage();
        let in_streams = model.streams.values().map(|it| it.messages.len());
        let messages = marks.len() + in_streams.sum::<usize>();
        let numbers = (usage.messages, usage.bodies);
        assert_eq!(numbers, (messages as u64, model.bodies.len() as u64));
        Ok(model)
    }
}
