//! A disk in memory that fails from a given operation on, and that forgets what was not synced.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;

/// A disk. Its clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<Contents>>);

#[derive(Debug)]
struct Contents {
    /// What a reader sees.
    now: Vec<u8>,
    /// The bytes at the last sync.
    synced: Vec<u8>,
    /// The changes since then.
    unsynced: Vec<Change>,
    /// How many changes and syncs are done before the disk fails.
    left: u64,
    /// How many there were.
    done: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Length(u64),
    Write(u64, Vec<u8>),
}

impl Change {
    /// Makes the change, or only the first half of a write.
    fn apply(&self, bytes: &mut Vec<u8>, torn: bool) {
        match self {
            Change::Length(length) => bytes.resize(*length as usize, 0),
            Change::Write(offset, data) => {
                let data = match torn {
                    true => &data[..data.len() / 2],
                    false => data,
                };
                let (from, to) = (*offset as usize, *offset as usize + data.len());
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    /// An empty disk that fails after this number of changes and syncs.
    pub(crate) fn new(operations: u64) -> Disk {
        Disk::with(Vec::new(), operations)
    }

    fn with(bytes: Vec<u8>, left: u64) -> Disk {
        Disk(Arc::new(Mutex::new(Contents {
            now: bytes.clone(),
            synced: bytes,
            unsynced: Vec::new(),
            left,
            done: 0,
        })))
    }

    /// The disk after a loss of power. Each change that was not synced is there, or is not, or is
    /// there in part: `chance` decides.
    pub(crate) fn after_power_loss(&self, mut chance: impl FnMut(u32) -> u32) -> Disk {
        let contents = self.0.lock().unwrap();
        let mut bytes = contents.synced.clone();
        for change in &contents.unsynced {
            match chance(3) {
                0 => {}
                torn => change.apply(&mut bytes, torn == 1),
            }
        }
        Disk::with(bytes, u64::MAX)
    }

    /// Fails from now on.
    pub(crate) fn fail(&self) {
        self.0.lock().unwrap().left = 0;
    }

    /// How many changes and syncs there were.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().unwrap().done
    }

    fn act<R>(&self, act: impl FnOnce(&mut Contents) -> R) -> io::Result<R> {
        let mut contents = self.0.lock().unwrap();
        if contents.left == 0 {
            return Err(io::Error::other("the disk has failed"));
        }
        contents.left -= 1;
        contents.done += 1;
        Ok(act(&mut contents))
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.act(|contents| {
            change.apply(&mut contents.now, false);
            contents.unsynced.push(change);
        })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.0.lock().unwrap();
        let from = offset as usize;
        let bytes = contents.now.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.act(|contents| {
            contents.synced = contents.now.clone();
            contents.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))
    }
}
