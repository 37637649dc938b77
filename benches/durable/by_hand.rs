//! A durable queue as a program would write it by hand, on a log like that of leveret's store.
//!
//! - A commit appends one frame with a checksum: its messages or its settlements. The file grows
//!   ahead. An index in memory knows where each message is that is kept.
//! - A publish commits its messages, and returns when the disk has them. Then the consumer gets
//!   them.
//! - An acknowledgement commits a settlement, and does not wait: the next sync brings it to the
//!   disk. No sync holds the lock of the log.
//!
//! These are the promises of leveret's level `Synced`. But each message and each settlement reaches
//! the log: to leave out what is settled in time is the work that leveret takes from the program.
//! The queue has no routing, no limits, and no order of returns, and never cleans its log.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
};

use leveret::Bytes;

/// The file grows by these bytes at once, as a segment of leveret does.
const AHEAD: u64 = 512 << 10;

const PUT: u8 = 1;
const SETTLE: u8 = 2;

/// A queue with one consumer.
pub struct Publisher<'a> {
    log: &'a Log,
    next: u64,
    messages: Sender<(u64, Bytes)>,
}

pub struct Consumer<'a> {
    log: &'a Log,
    messages: Receiver<(u64, Bytes)>,
}

/// The log of the queue.
pub struct Log {
    file: File,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    end: u64,
    length: u64,
    frame: Vec<u8>,
    /// Where each message is that is kept, and its length.
    kept: HashMap<u64, (u64, u32)>,
}

impl Log {
    pub fn new(file: File) -> Log {
        Log {
            file,
            state: Mutex::default(),
        }
    }

    pub fn queue(&self) -> (Publisher<'_>, Consumer<'_>) {
        let (sender, receiver) = channel();
        let publisher = Publisher {
            log: self,
            next: 0,
            messages: sender,
        };
        let consumer = Consumer {
            log: self,
            messages: receiver,
        };
        (publisher, consumer)
    }
}

impl State {
    /// Appends a frame of what `write` writes.
    fn commit(&mut self, file: &File, write: impl FnOnce(&mut Vec<u8>)) {
        self.frame.clear();
        self.frame.extend([0; 8]);
        write(&mut self.frame);
        let length = self.frame.len() as u32 - 8;
        self.frame[4..8].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32fast::hash(&self.frame[4..]);
        self.frame[..4].copy_from_slice(&checksum.to_le_bytes());
        let end = self.end + self.frame.len() as u64;
        if end > self.length {
            self.length = end + AHEAD;
            let zeros = vec![0; (self.length - self.end) as usize];
            file.write_all_at(&zeros, self.end).unwrap();
        }
        file.write_all_at(&self.frame, self.end).unwrap();
        self.end = end;
    }
}

impl Publisher<'_> {
    /// Publishes messages. They are on disk when it returns.
    pub fn publish(&mut self, bodies: impl Iterator<Item = Bytes>) {
        let messages: Vec<_> = (self.next..).zip(bodies).collect();
        self.next += messages.len() as u64;
        {
            let mut state = self.log.state.lock().unwrap();
            let end = state.end;
            let mut places = Vec::with_capacity(messages.len());
            state.commit(&self.log.file, |frame| {
                for (number, body) in &messages {
                    frame.push(PUT);
                    frame.extend_from_slice(&number.to_le_bytes());
                    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
                    places.push((*number, (end + frame.len() as u64, body.len() as u32)));
                    frame.extend_from_slice(body);
                }
            });
            state.kept.extend(places);
        }
        self.log.file.sync_data().unwrap();
        for message in messages {
            self.messages.send(message).unwrap();
        }
    }
}

impl Consumer<'_> {
    /// The next message. `None` if there are no further ones.
    pub fn receive(&self) -> Option<(u64, Bytes)> {
        self.messages.recv().ok()
    }

    pub fn acknowledge(&self, number: u64) {
        let mut state = self.log.state.lock().unwrap();
        state.kept.remove(&number).unwrap();
        state.commit(&self.log.file, |frame| {
            frame.push(SETTLE);
            frame.extend_from_slice(&number.to_le_bytes());
        });
    }
}
