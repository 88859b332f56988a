//! For tests: a storage in memory, in virtual time, that refuses, stalls, and forgets what was
//! not synced; and a feeder that stands for a shard.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::storage::{Storage, Write};

/// What was done to a file's bytes and is not certain yet.
#[derive(Debug, Clone)]
enum Unsynced {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    /// As everybody sees it.
    bytes: Vec<u8>,
    /// As it is after a loss of power, but for what is unsynced.
    held: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

fn write_into(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(written);
}

impl Content {
    fn apply(bytes: &mut Vec<u8>, change: &Unsynced) {
        match change {
            Unsynced::Write(offset, written) => write_into(bytes, *offset, written),
            Unsynced::Length(length) => bytes.resize(*length as usize, 0),
        }
    }

    fn hold(&mut self) {
        self.held = self.bytes.clone();
        self.unsynced.clear();
    }
}

#[derive(Debug, Default)]
struct Inner {
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    held_names: BTreeMap<String, u64>,
    next: u64,
    refusal: Option<io::ErrorKind>,
    /// Why it does not say which files there are.
    unreadable: Option<io::ErrorKind>,
    /// Octets that all files may have together.
    room: Option<u64>,
    /// Writes that are taken before everything is refused.
    writes_left: Option<u64>,
    sync_all: Option<io::Result<()>>,
    /// The next sync of everything fails, and loses what it should have held.
    loses_next_sync: bool,
    writes: u64,
}

/// A storage in memory. Clones are the same storage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    inner: Arc<Mutex<Inner>>,
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Refuses everything that changes something from now on, or no longer.
    pub(crate) fn refuse(&self, kind: Option<io::ErrorKind>) {
        self.inner().refusal = kind;
    }

    /// Does not say which files there are from now on, or no longer.
    pub(crate) fn hide(&self, kind: Option<io::ErrorKind>) {
        self.inner().unreadable = kind;
    }

    /// Refuses everything that changes something after so many writes, or no longer.
    pub(crate) fn refuse_after(&self, writes: Option<u64>) {
        self.inner().writes_left = writes;
    }

    /// Is full when all files together are that long, or never.
    pub(crate) fn limit(&self, room: Option<u64>) {
        self.inner().room = room;
    }

    /// Octets in all files.
    pub(crate) fn used(&self) -> u64 {
        self.inner().used()
    }

    /// The next sync of everything fails, and forgets what it should have held.
    pub(crate) fn lose_next_sync(&self) {
        self.inner().loses_next_sync = true;
    }

    /// What a loss of power leaves: what was synced, and of all the rest any part, in any order.
    pub(crate) fn after_power_loss(&self, mut survives: impl FnMut() -> bool) -> Self {
        let inner = self.inner();
        let mut after = Inner { next: inner.next, ..Inner::default() };
        for (&number, content) in &inner.contents {
            let mut bytes = content.held.clone();
            for change in &content.unsynced {
                if survives() {
                    Content::apply(&mut bytes, change);
                }
            }
            let held = bytes.clone();
            after.contents.insert(number, Content { bytes, held, unsynced: Vec::new() });
        }
        after.names = inner.held_names.clone();
        for (name, number) in &inner.names {
            if inner.held_names.get(name) != Some(number) && survives() {
                // A file has one name: that it was renamed is known, or it is not.
                after.names.retain(|_, other| other != number);
                after.names.insert(name.clone(), *number);
            }
        }
        for name in inner.held_names.keys() {
            if !inner.names.contains_key(name) && survives() {
                after.names.remove(name);
            }
        }
        after.held_names = after.names.clone();
        Self { inner: Arc::new(Mutex::new(after)) }
    }

    /// What the end of the process leaves: everything.
    pub(crate) fn after_kill(&self) -> Self {
        self.after_power_loss(|| true)
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.names.get(name).map(|number| inner.contents[number].bytes.clone())
    }

    /// Puts bytes in place of a file's, as if the disk had rotten.
    pub(crate) fn rot(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner();
        let number = inner.names[name];
        let content = inner.contents.get_mut(&number).unwrap();
        change(&mut content.bytes);
        content.hold();
    }

    /// The names of all files but those of the journal.
    pub(crate) fn visible(&self) -> Vec<String> {
        let names = self.names().unwrap();
        names.into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    pub(crate) fn writes(&self) -> u64 {
        self.inner().writes
    }
}

impl Inner {
    fn used(&self) -> u64 {
        self.names.values().map(|number| self.contents[number].bytes.len() as u64).sum()
    }

    fn check(&self) -> io::Result<()> {
        let ended = (self.writes_left == Some(0)).then_some(io::ErrorKind::Other);
        self.refusal.or(ended).map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.writes += 1;
        self.writes_left = self.writes_left.map(|left| left - 1);
        let length = self.contents[&number].bytes.len() as u64;
        let more = (offset + bytes.len() as u64).saturating_sub(length);
        if self.room.is_some_and(|room| more > 0 && self.used() + more > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let content = self.contents.get_mut(&number).unwrap();
        write_into(&mut content.bytes, offset, bytes);
        content.unsynced.push(Unsynced::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn hold_all(&mut self) {
        self.contents.values_mut().for_each(Content::hold);
        self.held_names = self.names.clone();
    }
}

impl Storage for Memory {
    type File = u64;

    fn create(&mut self, name: &str) -> io::Result<u64> {
        let mut inner = self.inner();
        inner.check()?;
        if let Some(&number) = inner.names.get(name) {
            return Ok(number);
        }
        inner.next += 1;
        let number = inner.next;
        inner.contents.insert(number, Content::default());
        inner.names.insert(name.to_owned(), number);
        Ok(number)
    }

    fn open(&mut self, name: &str) -> io::Result<u64> {
        self.inner().names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_segment(&mut self, name: &str, bytes: u64) -> io::Result<u64> {
        let (used, room) = (self.used(), self.inner().room);
        if room.is_some_and(|room| used + bytes > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = self.create(name)?;
        let mut inner = self.inner();
        let content = inner.contents.get_mut(&number).unwrap();
        content.bytes.resize(bytes as usize, 0);
        // The room and the name are certain with the first sync of the file.
        content.unsynced.push(Unsynced::Length(bytes));
        Ok(number)
    }

    fn write(&mut self, writes: &[Write<'_, u64>], outcomes: &mut Vec<io::Result<()>>) {
        let mut inner = self.inner();
        // Any order is allowed: the last first.
        let mut results: Vec<_> =
            writes.iter().rev().map(|one| inner.write(*one.file, one.offset, one.bytes)).collect();
        results.reverse();
        outcomes.extend(results);
    }

    fn read(&self, file: &u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = self.inner();
        let bytes = inner.contents[file].bytes.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn length(&self, file: &u64) -> io::Result<u64> {
        Ok(self.inner().contents[file].bytes.len() as u64)
    }

    fn set_length(&mut self, file: &u64, bytes: u64) -> io::Result<()> {
        let mut inner = self.inner();
        inner.check()?;
        let content = inner.contents.get_mut(file).unwrap();
        content.bytes.resize(bytes as usize, 0);
        content.unsynced.push(Unsynced::Length(bytes));
        Ok(())
    }

    fn sync(&mut self, file: &u64) -> io::Result<()> {
        let mut inner = self.inner();
        inner.check()?;
        inner.contents.get_mut(file).unwrap().hold();
        // As ext4 and XFS do: the name of a new file is held with it.
        let name =
            inner.names.iter().find(|(_, number)| *number == file).map(|(name, _)| name.clone());
        if let Some(name) = name {
            inner.held_names.insert(name, *file);
        }
        Ok(())
    }

    fn begin_sync_all(&mut self) -> io::Result<()> {
        let outcome = self.sync_all();
        self.inner().sync_all = Some(outcome);
        Ok(())
    }

    fn sync_all_outcome(&mut self) -> Option<io::Result<()>> {
        self.inner().sync_all.take()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.check()?;
        if std::mem::take(&mut inner.loses_next_sync) {
            for (name, number) in inner.names.clone() {
                let content = inner.contents.get_mut(&number).unwrap();
                if !name.starts_with('.') {
                    content.bytes = content.held.clone();
                }
                content.hold();
            }
            return Err(io::Error::other("lost"));
        }
        inner.hold_all();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.check()?;
        let number = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.names_in("")
    }

    fn names_in(&self, folder: &str) -> io::Result<Vec<String>> {
        let inner = self.inner();
        inner.unreadable.map_or(Ok(()), |kind| Err(io::Error::from(kind)))?;
        Ok(inner.names.keys().filter(|name| name.starts_with(folder)).cloned().collect())
    }

    fn exists(&self, name: &str) -> bool {
        self.inner().names.contains_key(name)
    }
}
