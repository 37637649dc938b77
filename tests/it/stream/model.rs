//! Any program of publishes, reads and seeks gives what a plain list gives.

use leveret::{Broker, Offset, Queue, Reader};
use proptest::prelude::*;

use crate::common::cases;

#[derive(Clone, Debug)]
enum Step {
    /// Publishes this many messages of these sizes.
    Publish(u16, u16),
    Open(u8),
    Read(usize, u16),
    Seek(usize, u64),
}

/// A stream as a list: the sizes of the messages, and the first offset that is kept.
struct Model {
    sizes: Vec<u64>,
    /// The first offset of each segment.
    segments: Vec<u64>,
    segment_bytes: u64,
    max_bytes: u64,
}

impl Model {
    fn bytes(&self, from: u64, to: u64) -> u64 {
        self.sizes[from as usize..to as usize].iter().sum()
    }

    fn next(&self) -> u64 {
        self.sizes.len() as u64
    }

    fn publish(&mut self, size: u64) {
        let last = self.segments.last().copied();
        let begins = last.is_none_or(|first| self.bytes(first, self.next()) >= self.segment_bytes);
        if begins {
            self.segments.push(self.next());
        }
        self.sizes.push(size);
        while begins && self.segments.len() > 1 {
            if self.bytes(self.segments[0], self.next()) <= self.max_bytes {
                break;
            }
            self.segments.remove(0);
        }
    }

    fn first(&self) -> u64 {
        self.segments.first().copied().unwrap_or(0)
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..40_u16, 0..300_u16).prop_map(|(count, size)| Step::Publish(count, size)),
        (0..3_u8).prop_map(Step::Open),
        (0..4_usize, 1..60_u16).prop_map(|(reader, count)| Step::Read(reader, count)),
        (0..4_usize, 0..200_u64).prop_map(|(reader, offset)| Step::Seek(reader, offset)),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_stream_and_its_readers_do_what_a_list_does(
        steps in steps(),
        segment_bytes in 0..3_000_u64,
        max_bytes in 0..10_000_u64,
    ) {
        let broker = Broker::new();
        let log = Queue::stream("log");
        let log = log.max_segment_bytes(segment_bytes).max_length_bytes(max_bytes);
        let producer = broker.producer::<Vec<u8>>(&log).unwrap();
        // What a message without properties counts beside its body.
        let overhead = 100;
        let mut model = Model { sizes: Vec::new(), segments: Vec::new(), segment_bytes, max_bytes };
        let mut readers: Vec<(Reader<Vec<u8>>, u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Publish(count, size) => {
                    for _ in 0..count {
                        producer.publish(vec![0; size.into()]).unwrap();
                        model.publish(u64::from(size) + overhead);
                    }
                }
                Step::Open(kind) => {
                    let (from, next) = match kind {
                        0 => (Offset::First, model.first()),
                        1 => (Offset::Next, model.next()),
                        _ => (Offset::Last, model.next().saturating_sub(1).max(model.first())),
                    };
                    let reader = broker.reader(&log).from(from).build().unwrap();
                    readers.push((reader, next, 0));
                }
                Step::Read(index, count) => {
                    let Some((reader, next, lagged)) = readers.get_mut(index) else { continue };
                    for _ in 0..count {
                        let Ok(entry) = reader.try_recv() else {
                            prop_assert!(*next >= model.next());
                            break;
                        };
                        // A reader may still have the block of a segment that is dropped.
                        if entry.offset() != *next {
                            prop_assert!(*next < model.first());
                            prop_assert_eq!(entry.offset(), model.first());
                            *lagged += model.first() - *next;
                        }
                        *next = entry.offset() + 1;
                        let size = model.sizes[entry.offset() as usize] - overhead;
                        prop_assert_eq!(entry.len() as u64, size);
                    }
                    prop_assert!(reader.lagged() >= *lagged);
                }
                Step::Seek(index, offset) => {
                    let Some((reader, next, _)) = readers.get_mut(index) else { continue };
                    reader.seek(Offset::At(offset));
                    *next = offset.max(model.first());
                }
            }
            let stream = broker.snapshot().unwrap().vhosts[0].queues[0].stream.clone().unwrap();
            let offsets = (stream.first_offset, stream.next_offset);
            prop_assert_eq!(offsets, (model.first(), model.next()));
        }
    }
}
