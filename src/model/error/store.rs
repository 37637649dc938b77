//! [`StoreError`], the reason why the folder of a durable broker cannot be read or written.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::Error;

/// The reason why a durable broker cannot use its folder: the contents of
/// [`Error::Store`].
///
/// # Examples
/// ```
/// use leveret::{Error, StoreError, StoreErrorKind};
///
/// let error = StoreError::new("/var/lib/orders", StoreErrorKind::InUse, "another process has it");
/// assert_eq!(error.path().to_str(), Some("/var/lib/orders"));
/// let text = "the data in `/var/lib/orders` is in use: another process has it";
/// assert_eq!(error.to_string(), text);
/// assert_eq!(Error::from(error).reply_code(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data in `{}` {kind}: {reason}", path.display())]
pub struct StoreError {
    path: Box<Path>,
    kind: StoreErrorKind,
    reason: Box<str>,
}

impl StoreError {
    /// An error of the folder or file at `path`. `reason` is a sentence without a full stop.
    pub fn new(
        path: impl Into<PathBuf>,
        kind: StoreErrorKind,
        reason: impl fmt::Display,
    ) -> StoreError {
        StoreError {
            path: path.into().into(),
            kind,
            reason: reason.to_string().into(),
        }
    }

    /// The folder or the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of the error.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The reason, as the file system or the store gives it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::Store(Box::new(error))
    }
}

/// The kinds of a [`StoreError`].
///
/// # Examples
/// ```
/// use leveret::StoreErrorKind;
/// assert_eq!(StoreErrorKind::InUse.to_string(), "is in use");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Another broker has the folder open, in this process or in another one.
    InUse,
    /// A newer version of leveret has written the data.
    NewerFormat,
    /// The data is damaged, or is no data of leveret.
    Damaged,
    /// The disk is full.
    DiskFull,
    /// The disk has less free space than its limit, so its durable queues take no messages. That
    /// ends when there is room again.
    LowDisk,
    /// The file system reports any other error.
    Io,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StoreErrorKind::InUse => "is in use",
            StoreErrorKind::NewerFormat => "has a newer format",
            StoreErrorKind::Damaged => "is damaged",
            StoreErrorKind::DiskFull => "has no room on its disk",
            StoreErrorKind::LowDisk => "has little room on its disk",
            StoreErrorKind::Io => "cannot be read or written",
        })
    }
}
