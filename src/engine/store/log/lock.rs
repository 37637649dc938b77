//! The lock of a folder: one store at a time has it open.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// The name of the file that is locked. It stays empty.
const LOCK: &str = "leveret.lock";

/// A folder that no other store opens, in this process or in another one.
///
/// # If dropped
/// The folder is free. A child process that starts at this moment has the file open too, until it
/// runs its program. So the lock does not end with the file.
pub(super) struct FolderLock(File);

impl FolderLock {
    /// `None` if another store has the folder open.
    pub(super) fn take(folder: &Path) -> io::Result<Option<FolderLock>> {
        let mut options = File::options();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(folder.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The file is closed in any case.
        let _ = self.0.unlock();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_when_its_lock_is_dropped_though_a_child_process_has_the_file_open() {
        let number = std::process::id();
        let folder = std::env::temp_dir().join(format!("leveret-lock-{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        let lock = FolderLock::take(&folder).unwrap().unwrap();
        // As a child has it between its start and its program.
        let inherited = lock.0.try_clone().unwrap();
        assert!(FolderLock::take(&folder).unwrap().is_none());
        drop(lock);
        assert!(FolderLock::take(&folder).unwrap().is_some());
        drop(inherited);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
