//! The folder of a broker, and the copy of it that a kill would leave.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use leveret::{Broker, Exchange};

use crate::{Outcome, expectation::describe};

/// A folder of temporary files.
///
/// # If dropped
/// It is removed.
pub struct Folder(PathBuf);

impl Folder {
    /// A name for a folder. The broker makes it.
    pub fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("leveret-conformance-{}-{number}", process::id());
        Folder(env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Copies the files while the broker is open: a kill would leave them like this.
    ///
    /// The broker has written what was published and settled before. The declaration of a
    /// durable exchange returns when everything before it is written.
    pub fn as_left_by_a_kill(&self, broker: &Broker) -> Outcome<Folder> {
        let last = Exchange::direct("written by the judge").durable();
        let written = broker.declare(&last).and_then(|_| broker.delete(&last));
        written.map_err(|error| describe(&error))?;
        let copy = Folder::new();
        let copied = copy_files(&self.0, &copy.0);
        copied.map_err(|error| format!("the folder cannot be copied: {error}"))?;
        Ok(copy)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it stays, it is a temporary file.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
