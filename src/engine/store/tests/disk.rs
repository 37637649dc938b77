//! A disk in memory that fails from a given operation on, and that forgets changes without a sync.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use crate::engine::store::log::disk::{Disk, DiskFile};

/// The bytes that a disk writes as a whole or not at all.
const SECTOR: u64 = 512;

/// A disk. Its clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct FakeDisk(Arc<Mutex<Contents>>);

#[derive(Clone, Debug)]
struct Contents {
    /// The names that a reader sees, with the numbers of their files.
    names: BTreeMap<String, usize>,
    /// The names at the last sync.
    synced_names: BTreeMap<String, usize>,
    /// The changes of names since then.
    renamed: Vec<Rename>,
    files: Vec<Contained>,
    /// How many changes and syncs are done before the disk fails.
    left: u64,
    /// Whether it fails since it is full: it syncs, renames and removes then.
    is_full: bool,
    /// How many there were.
    done: u64,
}

/// The contents of one file.
#[derive(Clone, Debug, Default)]
struct Contained {
    /// What a reader sees.
    now: Vec<u8>,
    /// The bytes at the last sync.
    synced: Vec<u8>,
    /// The changes since then.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(u64),
    /// A part of a write that is in one sector.
    Write(u64, Vec<u8>),
}

#[derive(Clone, Debug)]
enum Rename {
    Create(String, usize),
    Move(String, String),
    Remove(String),
}

/// What an operation needs of the disk.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Room,
    Nothing,
}

impl Contents {
    fn fails(&self, needs: Needs) -> bool {
        self.left == 0 && (!self.is_full || needs == Needs::Room)
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Length(length) => bytes.resize(*length as usize, 0),
            Change::Write(offset, data) => {
                let (from, to) = (*offset as usize, *offset as usize + data.len());
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(data);
            }
        }
    }

    /// The parts of a write.
    fn write(mut offset: u64, mut data: &[u8]) -> Vec<Change> {
        let mut parts = Vec::new();
        while !data.is_empty() {
            let room = (SECTOR - offset % SECTOR) as usize;
            let (part, rest) = data.split_at(room.min(data.len()));
            parts.push(Change::Write(offset, part.to_vec()));
            offset += part.len() as u64;
            data = rest;
        }
        parts
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Rename::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Rename::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Rename::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl FakeDisk {
    /// An empty disk that fails after this number of changes and syncs.
    pub(crate) fn new(operations: u64) -> FakeDisk {
        FakeDisk::with(BTreeMap::new(), operations)
    }

    /// A disk with these files.
    fn with(files: BTreeMap<String, Vec<u8>>, left: u64) -> FakeDisk {
        let names = files.keys().cloned().zip(0..).collect::<BTreeMap<_, _>>();
        let files = files.into_values().map(|bytes| Contained {
            now: bytes.clone(),
            synced: bytes,
            unsynced: Vec::new(),
        });
        FakeDisk(Arc::new(Mutex::new(Contents {
            synced_names: names.clone(),
            names,
            renamed: Vec::new(),
            files: files.collect(),
            left,
            is_full: false,
            done: 0,
        })))
    }

    /// Nothing is written until the value is dropped.
    pub(crate) fn stall(&self) -> impl Sized + '_ {
        self.0.lock().unwrap()
    }

    /// The disk after a loss of power. Each sector that was written and each name that was changed
    /// since the last sync is there, or is not: `chance` decides.
    pub(crate) fn after_power_loss(&self, mut chance: impl FnMut(u32) -> u32) -> FakeDisk {
        let contents = self.0.lock().unwrap();
        let mut names = contents.synced_names.clone();
        for renamed in &contents.renamed {
            if chance(2) == 1 {
                renamed.apply(&mut names);
            }
        }
        let files = names.into_iter().map(|(name, file)| {
            let file = &contents.files[file];
            let mut bytes = file.synced.clone();
            // Sometimes all, or none, which chance would make too rarely.
            let kind = chance(4);
            for change in &file.unsynced {
                if kind == 0 || kind > 1 && chance(2) == 1 {
                    change.apply(&mut bytes);
                }
            }
            (name, bytes)
        });
        FakeDisk::with(files.collect(), u64::MAX)
    }

    /// Another disk with what a reader sees, all of it synced.
    pub(crate) fn copy(&self) -> FakeDisk {
        FakeDisk::with(self.files(), u64::MAX)
    }

    /// The disk as the next process sees it, working again. Its changes are as synced as before.
    pub(crate) fn after_end_of_process(&self) -> FakeDisk {
        let contents = self.0.lock().unwrap();
        FakeDisk(Arc::new(Mutex::new(Contents {
            left: u64::MAX,
            is_full: false,
            ..contents.clone()
        })))
    }

    /// As [`after_end_of_process`](Self::after_end_of_process), but changes that were not synced
    /// never will be: the system takes it for written, since it has told of the error once.
    pub(crate) fn after_failed_sync(&self) -> FakeDisk {
        let disk = self.after_end_of_process();
        let mut contents = disk.0.lock().unwrap();
        contents.files.iter_mut().for_each(|it| it.unsynced.clear());
        drop(contents);
        disk
    }

    /// The disk with a changed file.
    pub(crate) fn with_file(&self, name: &str, bytes: Vec<u8>) -> FakeDisk {
        let mut files = self.files();
        files.insert(name.to_owned(), bytes);
        FakeDisk::with(files, u64::MAX)
    }

    /// The disk without a file.
    pub(crate) fn without_file(&self, name: &str) -> FakeDisk {
        let mut files = self.files();
        files.remove(name);
        FakeDisk::with(files, u64::MAX)
    }

    /// How many files were made.
    pub(crate) fn created(&self) -> usize {
        self.0.lock().unwrap().files.len()
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let contents = self.0.lock().unwrap();
        let names = contents.names.iter();
        let files = names.map(|(name, file)| (name.clone(), contents.files[*file].now.clone()));
        files.collect()
    }

    /// Fails from now on.
    pub(crate) fn fail(&self) {
        self.fail_after(0);
    }

    /// Fails after this number of changes and syncs.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.0.lock().unwrap().left = operations;
    }

    /// Has no more room after this number of changes and syncs.
    pub(crate) fn fill_after(&self, operations: u64) {
        let mut contents = self.0.lock().unwrap();
        contents.left = operations;
        contents.is_full = true;
    }

    /// How many changes and syncs there were.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().unwrap().done
    }

    fn act<R>(
        &self,
        needs: Needs,
        act: impl FnOnce(&mut Contents) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut contents = self.0.lock().unwrap();
        if contents.fails(needs) {
            return Err(match contents.is_full {
                true => io::ErrorKind::StorageFull.into(),
                false => io::Error::other("the disk has failed"),
            });
        }
        contents.left = contents.left.saturating_sub(1);
        contents.done += 1;
        act(&mut contents)
    }

    fn rename(&self, rename: Rename) -> io::Result<()> {
        self.act(Needs::Nothing, |contents| {
            rename.apply(&mut contents.names);
            contents.renamed.push(rename);
            Ok(())
        })
    }

    fn file(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let contents = self.0.lock().unwrap();
        let number = contents.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(FakeFile {
            disk: self.clone(),
            number: *number,
        }))
    }
}

impl Disk for FakeDisk {
    fn path(&self) -> &Path {
        Path::new("a test")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.act(Needs::Room, |contents| {
            if contents.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let created = Rename::Create(name.to_owned(), contents.files.len());
            contents.files.push(Contained::default());
            created.apply(&mut contents.names);
            contents.renamed.push(created);
            Ok(())
        })?;
        self.file(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.file(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let contents = self.0.lock().unwrap();
        assert!(!contents.names.contains_key(to), "{to} is there already");
        assert!(contents.names.contains_key(from), "{from} is not there");
        drop(contents);
        self.rename(Rename::Move(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.rename(Rename::Remove(name.to_owned()))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.act(Needs::Nothing, |contents| {
            contents.synced_names = contents.names.clone();
            contents.renamed.clear();
            Ok(())
        })
    }
}

struct FakeFile {
    disk: FakeDisk,
    number: usize,
}

impl FakeFile {
    fn change(&self, needs: Needs, changes: Vec<Change>) -> io::Result<()> {
        let mut contents = self.disk.0.lock().unwrap();
        let fails = contents.fails(needs);
        let file = &mut contents.files[self.number];
        // The write that fails is there in part.
        let made = if fails {
            changes.len() / 2
        } else {
            changes.len()
        };
        for change in changes.into_iter().take(made) {
            change.apply(&mut file.now);
            file.unsynced.push(change);
        }
        drop(contents);
        self.disk.act(needs, |_| Ok(()))
    }
}

impl DiskFile for FakeFile {
    fn len(&self) -> io::Result<u64> {
        let contents = self.disk.0.lock().unwrap();
        Ok(contents.files[self.number].now.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let contents = self.disk.0.lock().unwrap();
        let from = offset as usize;
        let found = contents.files[self.number]
            .now
            .get(from..from + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Needs::Room, Change::write(offset, bytes))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Needs::Nothing, vec![Change::Length(length)])
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.act(Needs::Nothing, |contents| {
            let file = &mut contents.files[self.number];
            let unsynced = file.unsynced.drain(..);
            unsynced.for_each(|change| change.apply(&mut file.synced));
            Ok(())
        })
    }
}
