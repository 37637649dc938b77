//! The store in a file of redb, an embedded B-tree.
//!
//! A commit is one transaction of redb, with one sync. The file has a table for each kind of data,
//! and one for what it says about itself.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use redb::{
    Database, Durability, Key, ReadableDatabase, ReadableTable, Table, TableDefinition,
    TableHandle, WriteTransaction,
};

use super::{Mark, Operation, RecordKey, RecordKind, Recovered, Store};
use crate::{
    model::error::{StoreError, StoreErrorKind},
    runtime::catch_panic::catch_panic,
};

/// The name of the file in the folder.
const FILE: &str = "leveret.redb";

/// The name of the file that is locked. It stays empty.
const LOCK: &str = "leveret.lock";

/// The name of the file while it is made.
const UNFINISHED: &str = "leveret.redb.new";

/// The version of the tables below. A new version is one that older programs must not write.
const FORMAT: u64 = 1;

/// By queue and position.
const MESSAGES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("messages");
/// By queue and position, for messages with one.
const MARKS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("marks");
/// By number.
const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
/// By kind and name.
const RECORDS: TableDefinition<'_, (u8, &str), &[u8]> = TableDefinition::new("records");
/// By one of the keys below.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// The version of the format.
const ABOUT_FORMAT: &str = "format";
/// 1 while a broker uses the file, and after one that did not close it.
const ABOUT_OPEN: &str = "open";

/// The settings of a store.
#[derive(Clone, Debug)]
pub(crate) struct RedbSettings {
    /// The memory for pages, in bytes.
    pub(crate) cache_size: usize,
}

/// The store in a file.
pub(crate) struct RedbStore {
    path: PathBuf,
    database: Database,
    was_closed: bool,
    /// Locked as long as it is open. A store on a fake disk has none.
    _lock: Option<FolderLock>,
}

impl RedbStore {
    /// Opens the file of a folder, and makes both if they are missing. It stays locked as long as
    /// the store lives. `progress` hears of the repair after a crash, from 0 to 1.
    ///
    /// # Errors
    /// [`StoreErrorKind::InUse`] if the file is open, here or in another process;
    /// [`StoreErrorKind::NewerFormat`] and [`StoreErrorKind::Damaged`] for a file that cannot be
    /// read; [`StoreErrorKind::Io`] and [`StoreErrorKind::DiskFull`].
    pub(crate) fn open(
        folder: &Path,
        settings: &RedbSettings,
        progress: impl Fn(f64) + 'static,
    ) -> Result<RedbStore, StoreError> {
        fs::create_dir_all(folder).map_err(|error| match folder.is_file() {
            true => StoreError::new(folder, StoreErrorKind::Io, "it is a file, not a folder"),
            false => of_io(folder, &error),
        })?;
        let lock = lock(folder)?;
        let mut builder = Database::builder();
        builder
            .set_cache_size(settings.cache_size)
            .set_repair_callback(move |repair| progress(repair.progress()));
        let file = folder.join(FILE);
        let store = guarded(folder, || {
            if !file.try_exists().map_err(|error| of_io(folder, &error))? {
                make(folder, &builder, &file)?;
            }
            let database = builder.open(file);
            RedbStore::new(folder, database.map_err(|error| of_redb(folder, error))?)
        })?;
        Ok(RedbStore {
            _lock: Some(lock),
            ..store
        })
    }

    /// Makes the file as small as it can be, and closes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn compact(mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        guarded(&path, || {
            let compacted = self.database.compact();
            compacted.map_err(|error| of_redb(&path, error))?;
            match self.was_closed {
                true => self.close(),
                // It still counts as not closed, for the next broker.
                false => Ok(()),
            }
        })
    }

    /// As [`open`](Self::open), on another disk.
    #[cfg(test)]
    pub(crate) fn open_on(backend: impl redb::StorageBackend) -> Result<RedbStore, StoreError> {
        let folder = Path::new("a test");
        let database = Database::builder().create_with_backend(backend);
        RedbStore::new(folder, database.map_err(|error| of_redb(folder, error))?)
    }

    fn new(folder: &Path, database: Database) -> Result<RedbStore, StoreError> {
        let mut store = RedbStore {
            path: folder.to_owned(),
            database,
            was_closed: true,
            _lock: None,
        };
        store.was_closed = store.begin()?;
        Ok(store)
    }

    /// Checks the version and notes that the file is in use. Returns whether its last user has
    /// closed it.
    fn begin(&self) -> Result<bool, StoreError> {
        let mut open = 0;
        let mut format = FORMAT;
        self.write(|transaction| {
            let mut about = transaction.open_table(ABOUT)?;
            if let Some(written) = about.get(ABOUT_FORMAT)? {
                format = written.value();
            }
            if let Some(written) = about.get(ABOUT_OPEN)? {
                open = written.value();
            }
            if format <= FORMAT {
                about.insert(ABOUT_FORMAT, FORMAT)?;
                about.insert(ABOUT_OPEN, 1)?;
                // Made now, so that they exist when they are read.
                transaction.open_table(MESSAGES)?;
                transaction.open_table(MARKS)?;
                transaction.open_table(BODIES)?;
                transaction.open_table(RECORDS)?;
            }
            Ok(())
        })?;
        if format > FORMAT {
            let reason = format!("it is {format}, and this version of leveret knows {FORMAT}");
            return Err(self.error(StoreErrorKind::NewerFormat, reason));
        }
        Ok(open == 0)
    }

    fn error(&self, kind: StoreErrorKind, reason: impl std::fmt::Display) -> StoreError {
        StoreError::new(&self.path, kind, reason)
    }

    /// Runs one transaction, which is on disk when this returns.
    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        write().map_err(|error| of_redb(&self.path, error))
    }
}

impl Store for RedbStore {
    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut messages = transaction.open_table(MESSAGES)?;
            let mut marks = transaction.open_table(MARKS)?;
            let mut bodies = transaction.open_table(BODIES)?;
            let mut records = transaction.open_table(RECORDS)?;
            for operation in batch {
                match operation {
                    Operation::Nothing => {}
                    Operation::Put {
                        queue,
                        position,
                        message,
                        ..
                    } => {
                        put(&mut messages, (*queue, *position), message.as_slice())?;
                    }
                    Operation::Mark {
                        queue,
                        position,
                        mark,
                    } => match mark {
                        Some(mark) => {
                            put(&mut marks, (*queue, *position), &mark.to_bytes())?;
                        }
                        None => {
                            marks.remove((*queue, *position))?;
                        }
                    },
                    Operation::Move {
                        queue,
                        from,
                        to,
                        mark,
                    } => {
                        let message = messages.remove((*queue, *from))?;
                        let Some(message) = message.map(|kept| kept.value().to_vec()) else {
                            continue;
                        };
                        messages.insert((*queue, *to), message.as_slice())?;
                        marks.remove((*queue, *from))?;
                        if let Some(mark) = mark {
                            put(&mut marks, (*queue, *to), &mark.to_bytes())?;
                        }
                    }
                    Operation::Settle { queue, position } => {
                        messages.remove((*queue, *position))?;
                        marks.remove((*queue, *position))?;
                    }
                    Operation::PutBody { body, octets } => {
                        put(&mut bodies, *body, octets.as_slice())?;
                    }
                    Operation::DropBody { body } => {
                        bodies.remove(*body)?;
                    }
                    Operation::DropQueue { queue } => {
                        messages.retain_in((*queue, 0)..=(*queue, u64::MAX), |_, _| false)?;
                        marks.retain_in((*queue, 0)..=(*queue, u64::MAX), |_, _| false)?;
                    }
                    Operation::Record { key, value } => {
                        let RecordKey { kind, name } = key;
                        let key = (*kind as u8, name.as_str());
                        match value {
                            Some(value) => put(&mut records, key, value.as_slice())?,
                            None => drop(records.remove(key)?),
                        }
                    }
                }
            }
            Ok(())
        })
    }

    fn recover(&mut self, visit: &mut dyn FnMut(Recovered<'_>)) -> Result<(), StoreError> {
        guarded(&self.path, || {
            let read = self.read(visit);
            read.map_err(|error| of_redb(&self.path, error))
        })
    }

    fn file(&self) -> Option<PathBuf> {
        Some(self.path.join(FILE))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        self.error(StoreErrorKind::Damaged, reason)
    }

    fn was_closed(&self) -> bool {
        self.was_closed
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut about = transaction.open_table(ABOUT)?;
            about.insert(ABOUT_OPEN, 0)?;
            Ok(())
        })
    }
}

impl RedbStore {
    fn read(&self, show: &mut dyn FnMut(Recovered<'_>)) -> Result<(), redb::Error> {
        let transaction = self.database.begin_read()?;
        for record in transaction.open_table(RECORDS)?.iter()? {
            let (key, value) = record?;
            let (kind, name) = key.value();
            // A record of a kind that a later version has added without a new format.
            if let Some(kind) = RecordKind::of(kind) {
                let value = whole(RECORDS.name(), value.value())?;
                show(Recovered::Record { kind, name, value });
            }
        }
        for body in transaction.open_table(BODIES)?.iter()? {
            let (body, octets) = body?;
            let (body, octets) = (body.value(), whole(BODIES.name(), octets.value())?);
            show(Recovered::Body { body, octets });
        }
        for message in transaction.open_table(MESSAGES)?.iter()? {
            let (key, message) = message?;
            let (queue, position) = key.value();
            let message = whole(MESSAGES.name(), message.value())?;
            show(Recovered::Message {
                queue,
                position,
                message,
            });
        }
        for mark in transaction.open_table(MARKS)?.iter()? {
            let (key, mark) = mark?;
            let (queue, position) = key.value();
            let Some(mark) = Mark::from_bytes(whole(MARKS.name(), mark.value())?) else {
                let reason = format!("a row of the table {} has another length", MARKS.name());
                return Err(redb::Error::Corrupted(reason));
            };
            show(Recovered::Mark {
                queue,
                position,
                mark,
            });
        }
        Ok(())
    }
}

/// The bytes of the checksum behind each value.
const CHECKSUM: usize = 4;

/// Writes a value with its checksum. redb checks its pages only after a crash.
fn put<K: Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: K::SelfType<'_>,
    value: &[u8],
) -> Result<(), redb::Error> {
    let mut room = table.insert_reserve(key, value.len() + CHECKSUM)?;
    let (bytes, checksum) = room.as_mut().split_at_mut(value.len());
    bytes.copy_from_slice(value);
    checksum.copy_from_slice(&crc32fast::hash(value).to_le_bytes());
    Ok(())
}

/// The value that was written, if its checksum is right.
fn whole<'a>(table: &str, bytes: &'a [u8]) -> Result<&'a [u8], redb::Error> {
    match bytes.split_last_chunk::<CHECKSUM>() {
        Some((value, checksum)) if crc32fast::hash(value).to_le_bytes() == *checksum => Ok(value),
        _ => {
            let reason = format!("a row of the table {table} has a wrong checksum");
            Err(redb::Error::Corrupted(reason))
        }
    }
}

/// Calls a function of redb. A damaged file can make it panic, which is an error.
fn guarded<R>(
    folder: &Path,
    call: impl FnOnce() -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let called = catch_panic(call);
    called.unwrap_or_else(|| {
        let reason = "the store has panicked while it read the file";
        Err(StoreError::new(folder, StoreErrorKind::Damaged, reason))
    })
}

/// The lock of a folder.
///
/// # If dropped
/// The folder is free. A child process that starts at this moment has the file open too, until it
/// runs its program. So the lock does not end with the file.
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The file is closed in any case.
        let _ = self.0.unlock();
    }
}

/// Locks a folder.
fn lock(folder: &Path) -> Result<FolderLock, StoreError> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| of_io(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(TryLockError::WouldBlock) => Err(in_use(folder)),
        Err(TryLockError::Error(error)) => Err(of_io(folder, &error)),
    }
}

fn in_use(folder: &Path) -> StoreError {
    StoreError::new(folder, StoreErrorKind::InUse, "another broker has it open")
}

/// Makes a new file. It gets its name when it is whole: a loss of power leaves no file that cannot
/// be opened.
fn make(folder: &Path, builder: &redb::Builder, file: &Path) -> Result<(), StoreError> {
    let unfinished = folder.join(UNFINISHED);
    let io = |error| of_io(folder, &error);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let database = builder.create(&unfinished);
    let database = database.map_err(|error| of_redb(folder, error))?;
    RedbStore::new(folder, database)?.close()?;
    fs::rename(&unfinished, file).map_err(io)?;
    // The name is on disk too. Not every system can sync a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn of_io(path: &Path, error: &std::io::Error) -> StoreError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreErrorKind::DiskFull
        }
        _ => StoreErrorKind::Io,
    };
    StoreError::new(path, kind, error)
}

fn of_redb(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => of_io(path, &error),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => in_use(path),
        error => StoreError::new(path, StoreErrorKind::Damaged, error),
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_when_its_store_is_dropped_though_a_child_process_has_the_lock_open() {
        let number = std::process::id();
        let folder = std::env::temp_dir().join(format!("leveret-lock-{number}"));
        let open = || {
            RedbStore::open(
                &folder,
                &RedbSettings {
                    cache_size: 1 << 20,
                },
                |_| {},
            )
        };
        let store = open().unwrap();
        let lock = store._lock.as_ref().unwrap();
        // As a child has it between its start and its program.
        let inherited = lock.0.try_clone().unwrap();
        assert_eq!(
            open().err().map(|error| error.kind()),
            Some(StoreErrorKind::InUse)
        );
        drop(store);
        drop(open().unwrap());
        drop(inherited);
        fs::remove_dir_all(folder).unwrap();
    }
}
