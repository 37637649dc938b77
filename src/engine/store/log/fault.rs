//! Faults of the files of a log.

use std::{io, path::Path};

use crate::model::error::{StoreError, StoreErrorKind};

/// A fault of the files.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file system has an error.
    Io(io::Error),
    /// The files are not those of a log, for this reason.
    Damaged(String),
    /// A newer version of leveret has written them, as this tells.
    Newer(String),
}

impl Fault {
    pub(super) fn damaged(reason: impl Into<String>) -> Fault {
        Fault::Damaged(reason.into())
    }

    /// The error of the store in this folder.
    pub(super) fn of(self, folder: &Path) -> StoreError {
        match self {
            Fault::Io(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge => StoreErrorKind::DiskFull,
                    _ => StoreErrorKind::Io,
                };
                StoreError::new(folder, kind, error)
            }
            Fault::Damaged(reason) => StoreError::new(folder, StoreErrorKind::Damaged, reason),
            Fault::Newer(reason) => StoreError::new(folder, StoreErrorKind::NewerFormat, reason),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}
