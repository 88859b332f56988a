//! The file system, as far as recordings need it; a trait, so that tests can make it refuse,
//! stall, and forget what was not synced.

use std::fmt::Debug;
use std::io::{self, Read, Seek, SeekFrom};

/// One write of a batch.
#[derive(Debug)]
pub(crate) struct Write<'a, F> {
    pub(crate) file: &'a F,
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
}

/// A folder's worth of file system. Names are relative to it.
pub(crate) trait Storage: Send {
    type File: Send + Sync + Debug;

    /// Opens a file for reading and writing, and creates it and its folders where there is none.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is there, for reading and writing.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// A new file with room for so many bytes, to be written in aligned pieces and in order.
    fn create_segment(&mut self, name: &str, bytes: u64) -> io::Result<Self::File>;

    /// Performs all writes, in any order. Each outcome is `Ok` only if all its bytes were taken.
    fn write(&mut self, writes: &[Write<'_, Self::File>], outcomes: &mut Vec<io::Result<()>>);

    /// Reads what is there from `offset` on; 0 bytes at the end.
    fn read(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The length of a file.
    fn length(&self, file: &Self::File) -> io::Result<u64>;

    /// Cuts a file, or makes it longer by zeroes.
    fn set_length(&mut self, file: &Self::File, bytes: u64) -> io::Result<()>;

    /// Waits until the disk holds what was written to a file.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Begins to make the disk hold everything that was done until now.
    fn begin_sync_all(&mut self) -> io::Result<()>;

    /// How that went, once it is over.
    fn sync_all_outcome(&mut self) -> Option<io::Result<()>>;

    /// Waits until the disk holds everything that was done until now.
    fn sync_all(&mut self) -> io::Result<()>;

    /// Gives a file another name, in place of whatever has it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// The names of all files, those of the journal included. Folders below that may not be read, or
    /// go away meanwhile, hide nothing but what is in them.
    fn names(&self) -> io::Result<Vec<String>>;

    /// The names of the files of one folder; none where there is no such folder.
    fn names_in(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Whether there is a file of this name.
    fn exists(&self, name: &str) -> bool;
}

/// Writes one piece.
pub(crate) fn write_one<S: Storage>(
    storage: &mut S,
    file: &S::File,
    offset: u64,
    bytes: &[u8],
) -> io::Result<()> {
    let mut outcomes = Vec::with_capacity(1);
    storage.write(&[Write { file, offset, bytes }], &mut outcomes);
    outcomes.pop().unwrap_or_else(|| Err(io::ErrorKind::WriteZero.into()))
}

/// A file of a storage, to be read from front to back.
pub(crate) struct Reading<'a, S: Storage> {
    storage: &'a S,
    file: &'a S::File,
    at: u64,
    /// Nothing after it is shown.
    end: u64,
}

impl<'a, S: Storage> Reading<'a, S> {
    /// From the start, and not beyond `end`.
    pub(crate) fn new(storage: &'a S, file: &'a S::File, end: u64) -> Self {
        Self { storage, file, at: 0, end }
    }
}

impl<S: Storage> Read for Reading<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let count = self.storage.read(self.file, self.at, &mut buffer[..room])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<S: Storage> Seek for Reading<'_, S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => {
                self.storage.length(self.file)?.min(self.end).checked_add_signed(by)
            }
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
