//! The disk under the log: a folder of files. The tests have another one, which fails and forgets.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A folder.
pub(crate) trait Disk: Send + Sync {
    /// The path, for errors.
    fn path(&self) -> &Path;

    /// The names of the files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, which must not exist.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read and write it.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, which no file has.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when the names of the files are on disk.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file of the folder.
pub(crate) trait DiskFile: Send {
    fn len(&self) -> io::Result<u64>;

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Returns when the contents are on disk.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the file system.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder if it is missing, and those above it.
    pub(super) fn make(path: &Path) -> io::Result<Folder> {
        // An empty path is the current folder.
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        if path.is_file() {
            return Err(io::Error::other("it is a file, not a folder"));
        }
        let ancestors = path.ancestors();
        let missing = ancestors.take_while(|it| !it.as_os_str().is_empty() && !it.is_dir());
        let missing: Vec<&Path> = missing.collect();
        fs::create_dir_all(path)?;
        for made in missing {
            let parent = made.parent().filter(|it| !it.as_os_str().is_empty());
            sync_folder(parent.unwrap_or(Path::new(".")));
        }
        Ok(Folder(path.to_owned()))
    }
}

impl Disk for Folder {
    fn path(&self) -> &Path {
        &self.0
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            // No file of the log has a name that is not UTF-8.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = File::options();
        let options = options.read(true).write(true).create_new(true);
        Ok(Box::new(options.open(self.0.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = File::options();
        let options = options.read(true).write(true);
        Ok(Box::new(options.open(self.0.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        match cfg!(unix) {
            true => File::open(&self.0)?.sync_all(),
            // Windows opens no folder, and keeps their changes in order itself.
            false => Ok(()),
        }
    }
}

/// Returns when the names in a folder are on disk. Not every system can do that, and not every
/// folder may be opened.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = folder.sync_all();
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        use io::{Read, Seek, SeekFrom};
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }

    #[cfg(not(unix))]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        use io::{Seek, SeekFrom, Write};
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)?;
        // `sync_data` need not write a length that is shorter.
        self.sync_all()
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
