//! The real file system: batches through `io_uring` where that is allowed, a thread of its own
//! for the one call that may take long.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use recorder_ring::Ring;
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock, syncfs};

use crate::storage::{Storage, Write};

/// Folders within folders that are looked into.
const DEPTH_MAX: usize = 8;

/// What a disk keeps for itself at its root.
const LOST_AND_FOUND: &str = "lost+found";

/// A folder of recordings.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// Which folder that was at the start: device and number.
    identity: (u64, u64),
    ring: Option<Ring>,
    syncing: Option<Receiver<io::Result<()>>>,
    /// Whether files are opened to be read and no more.
    reads_only: bool,
    /// Held for as long as this is there: nobody else repairs or writes in the folder. None where
    /// nobody has ever recorded there, or where it cannot be told.
    _lock: Option<File>,
}

/// How the journal's files are opened: past the page cache where the file system can.
const UNBUFFERED: i32 = OFlags::DIRECT.bits() as i32;

/// A symbolic link in place of a file is never followed.
const NO_LINKS: i32 = OFlags::NOFOLLOW.bits() as i32;

impl Disk {
    /// Makes sure that `folder` exists, takes files, and is nobody else's.
    pub(crate) fn prepare(folder: &Path) -> io::Result<Self> {
        let journal = folder.join(crate::journal::FOLDER);
        fs::create_dir_all(&journal)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .custom_flags(NO_LINKS)
            .open(journal.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Self::at(folder, Ring::new().ok(), false, Some(lock))
    }

    /// A folder to be looked at: nothing in it is changed, nor need that be allowed. Where somebody
    /// records there now, that is refused.
    pub(crate) fn look(folder: &Path) -> io::Result<Self> {
        let path = folder.join(crate::journal::FOLDER).join("lock");
        let lock = match File::options().read(true).custom_flags(NO_LINKS).open(path) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Whose it is does not let others see whether it records.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => return Err(error),
        };
        lock.as_ref().map_or(Ok(()), |lock| flock(lock, FlockOperation::NonBlockingLockShared))?;
        Self::at(folder, None, true, lock)
    }

    /// All that is below the folder, sorted.
    pub(crate) fn find(&self) -> io::Result<Found> {
        let mut found = Found::default();
        look_into(&self.folder, "", DEPTH_MAX, &mut found)?;
        found.files.sort();
        found.closed.sort();
        Ok(found)
    }

    fn at(
        folder: &Path,
        ring: Option<Ring>,
        reads_only: bool,
        lock: Option<File>,
    ) -> io::Result<Self> {
        let (folder, metadata) = (folder.to_owned(), folder.metadata()?);
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { folder, identity, ring, syncing: None, reads_only, _lock: lock })
    }

    /// Whether the folder is the one of the start. Where its disk was taken away there is another
    /// below it, or none: nothing is written to that one.
    fn is_there(&self) -> io::Result<()> {
        let found = self.folder.metadata()?;
        let is_it = (found.dev(), found.ino()) == self.identity;
        is_it.then_some(()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Storage for Disk {
    type File = File;

    fn create(&mut self, name: &str) -> io::Result<File> {
        self.is_there()?;
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).custom_flags(NO_LINKS);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                options.open(&path)
            }
            opened => opened,
        }
    }

    fn open(&mut self, name: &str) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(!self.reads_only).custom_flags(NO_LINKS);
        options.open(self.path(name))
    }

    fn create_segment(&mut self, name: &str, bytes: u64) -> io::Result<File> {
        self.is_there()?;
        let path = self.path(name);
        let open = |flags| {
            File::options().create_new(true).read(true).write(true).custom_flags(flags).open(&path)
        };
        let file = match open(NO_LINKS | UNBUFFERED) {
            // Whether a file was made before the refusal is the file system's choice.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let _ = fs::remove_file(&path);
                open(NO_LINKS)?
            }
            opened => opened?,
        };
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {
                // Its name must survive with what will be written into it.
                path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
                Ok(file)
            }
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(error.into())
            }
        }
    }

    fn write(&mut self, writes: &[Write<'_, File>], outcomes: &mut Vec<io::Result<()>>) {
        if let Err(error) = self.is_there() {
            outcomes.extend(writes.iter().map(|_| Err(error.kind().into())));
            return;
        }
        let Some(ring) = &mut self.ring else {
            outcomes.extend(writes.iter().map(|one| one.file.write_all_at(one.bytes, one.offset)));
            return;
        };
        let entries: Vec<recorder_ring::Write<'_>> = writes
            .iter()
            .map(|&Write { file, offset, bytes }| recorder_ring::Write { file, offset, bytes })
            .collect();
        let mut results = Vec::with_capacity(entries.len());
        ring.write(&entries, &mut results);
        // The kernel may take a part of it only: at the edge of a full disk, it does.
        let rest = |(one, result): (&Write<'_, File>, io::Result<usize>)| match result? {
            written if written == one.bytes.len() => Ok(()),
            written => one.file.write_all_at(&one.bytes[written..], one.offset + written as u64),
        };
        outcomes.extend(writes.iter().zip(results).map(rest));
    }

    fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn set_length(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn begin_sync_all(&mut self) -> io::Result<()> {
        let folder = File::open(&self.folder)?;
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("recorder-sync".into()).spawn(move || {
            // Nobody waits for it any more where the recorder was stopped.
            let _ = sender.send(syncfs(&folder).map_err(io::Error::from));
        })?;
        self.syncing = Some(receiver);
        Ok(())
    }

    fn sync_all_outcome(&mut self) -> Option<io::Result<()>> {
        let outcome = match self.syncing.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::Other.into()),
            Ok(outcome) => outcome,
        };
        self.syncing = None;
        Some(outcome)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        Ok(syncfs(File::open(&self.folder)?)?)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.find().map(|found| found.files)
    }

    fn names_in(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut found = Found::default();
        match look_into(&self.path(folder), &format!("{folder}/"), 0, &mut found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
        Ok(found.files)
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }
}

/// What there is, by names relative to the first folder.
#[derive(Default)]
pub(crate) struct Found {
    /// Plain files.
    pub(crate) files: Vec<String>,
    /// Folders that may not be read.
    pub(crate) closed: Vec<String>,
}

/// Collects all below a folder. What is not text is not ours, nor is what a disk keeps for itself.
fn look_into(folder: &Path, prefix: &str, depth: usize, found: &mut Found) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            match look_into(&entry.path(), &format!("{name}/"), depth - 1, found) {
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && name != crate::journal::FOLDER =>
                {
                    found.closed.extend((name != LOST_AND_FOUND).then_some(name));
                }
                // Just removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome?,
            }
        } else if kind.is_file() {
            found.files.push(name);
        }
    }
    Ok(())
}
