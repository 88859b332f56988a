//! For tests: a folder that goes away again, and a disk that refuses on demand.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use crate::report::Event;
use crate::storage::{Disk, Storage, StoredFile};

/// A new empty folder, removed with the value.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("recorder-writer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// The names of all files in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).unwrap();
    }
}

/// All samples of a WAV file, read by another's reader.
pub(crate) fn samples_of(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap();
    reader.samples().map(Result::unwrap).collect()
}

/// All events reported so far.
pub(crate) fn taken(events: &Receiver<Event>) -> Vec<Event> {
    events.try_iter().collect()
}

/// What a disk does not do at present.
#[derive(Default)]
struct Faults {
    creation: Option<io::ErrorKind>,
    writing: Option<io::ErrorKind>,
    /// Bytes of sound that are taken before `StorageFull`.
    room: Option<usize>,
}

fn check(fault: Option<io::ErrorKind>) -> io::Result<()> {
    fault.map_or(Ok(()), |kind| Err(kind.into()))
}

/// A real disk that can be told to refuse.
#[derive(Default)]
pub(crate) struct FaultyDisk {
    faults: Arc<Mutex<Faults>>,
}

impl FaultyDisk {
    /// Refuses to write from now on, or no longer. What exists can still be written over and
    /// renamed, as on a full disk.
    pub(crate) fn refuse(&self, kind: Option<io::ErrorKind>) {
        self.faults.lock().unwrap().writing = kind;
    }

    /// Refuses new files from now on, or no longer.
    pub(crate) fn refuse_creation(&self, kind: Option<io::ErrorKind>) {
        self.faults.lock().unwrap().creation = kind;
    }

    /// Is full after so many more bytes.
    pub(crate) fn leave_room_for(&self, bytes: usize) {
        self.faults.lock().unwrap().room = Some(bytes);
    }
}

pub(crate) struct FaultyFile {
    file: File,
    faults: Arc<Mutex<Faults>>,
}

impl Storage for FaultyDisk {
    type File = FaultyFile;

    fn create(&self, path: &Path) -> io::Result<FaultyFile> {
        check(self.faults.lock().unwrap().creation)?;
        Ok(FaultyFile { file: Disk.create(path)?, faults: Arc::clone(&self.faults) })
    }

    fn write_metadata(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        check(self.faults.lock().unwrap().writing)?;
        Disk.write_metadata(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
}

impl StoredFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut faults = self.faults.lock().unwrap();
        let is_over_the_old = offset + bytes.len() as u64 <= self.file.metadata()?.len();
        if is_over_the_old {
            return StoredFile::write_at(&self.file, bytes, offset);
        }
        check(faults.writing)?;
        let room = faults.room.unwrap_or(usize::MAX);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = &bytes[..bytes.len().min(room)];
        let written = StoredFile::write_at(&self.file, bytes, offset)?;
        faults.room = faults.room.map(|room| room - written);
        Ok(written)
    }

    fn sync(&self) -> io::Result<()> {
        StoredFile::sync(&self.file)
    }
}
