//! The file system, as far as a recording needs it; a trait, so that tests can make it refuse.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A folder's worth of file system.
pub(crate) trait Storage: Send + 'static {
    type File: StoredFile;

    /// Creates a file; refuses to touch one that exists.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Writes the metadata of a recording, whole or not at all.
    fn write_metadata(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// A file under construction.
pub(crate) trait StoredFile: Send {
    /// Writes bytes at a place, as many as there is room for; says how many. What lies before
    /// it and was never written reads as zeroes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Waits until the disk holds it.
    fn sync(&self) -> io::Result<()>;
}

/// The real one.
pub(crate) struct Disk;

impl Disk {
    /// Makes sure that `folder` exists and takes files.
    pub(crate) fn prepare(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let probe = folder.join(format!(".probe-{}", std::process::id()));
        File::create(&probe)?.write_all(b"can we write here?")?;
        fs::remove_file(&probe)
    }
}

impl Storage for Disk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn write_metadata(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let part = path.with_extension("json.part");
        fs::write(&part, bytes)?;
        fs::rename(part, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

impl StoredFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
