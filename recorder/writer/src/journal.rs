//! The journal on the disk: segments that only grow, and go away when the disk holds what they
//! were written for.

use std::io;
use std::time::Duration;

use recorder::journal::{ALIGNMENT, Commit, Operation};

use crate::storage::{Storage, write_one};

/// Where segments are, in the folder of recordings. Hidden, so that no recording is named so.
pub(crate) const FOLDER: &str = ".journal";

/// What segments' names end with.
pub(crate) const EXTENSION: &str = ".mmj";

/// A commit is written when it is as long as that: as much as a disk takes at once, and no more than stays in the cache.
const COMMIT_BYTES: usize = 1 << 20;

/// When the disk is asked to hold what was given to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// At each flush: what was written before it survives a loss of power.
    #[default]
    Always,
    /// Never: what was written survives a crash of the server, and of the system what the kernel
    /// had written by itself.
    Never,
}

/// The name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{FOLDER}/{number:016x}{EXTENSION}")
}

/// The number of a segment of that name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(EXTENSION)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[derive(Debug)]
struct Segment<F> {
    number: u64,
    file: F,
    bytes: u64,
    reserved: u64,
}

/// A segment that is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Old {
    pub(crate) number: u64,
    bytes: u64,
}

/// All segments.
#[derive(Debug)]
pub(crate) struct Journal<F> {
    segment_bytes: u64,
    sync: SyncPolicy,
    current: Option<Segment<F>>,
    old: Vec<Old>,
    next_segment: u64,
    /// Of the next commit.
    sequence: u64,
    /// Of the first commit that the disk may not hold.
    unsynced: u64,
    buffer: Vec<u8>,
    /// Where the commit begins in the buffer, so that it is aligned.
    start: usize,
    /// Since when there is something in it.
    pub(crate) since: Option<Duration>,
    pub(crate) commits: u64,
    pub(crate) syncs: u64,
}

impl<F> Journal<F> {
    /// An empty journal whose first segment has this number.
    pub(crate) fn new(first: u64, segment_bytes: u64, sync: SyncPolicy) -> Self {
        Self {
            segment_bytes,
            sync,
            current: None,
            old: Vec::new(),
            next_segment: first,
            sequence: 1,
            unsynced: 1,
            buffer: Vec::new(),
            start: 0,
            since: None,
            commits: 0,
            syncs: 0,
        }
    }

    /// Begins to write: a segment is there, and what is given to [`Journal::commit`] goes there.
    pub(crate) fn open<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        now: Duration,
    ) -> io::Result<u64> {
        if let Some(segment) = &self.current {
            return Ok(segment.number);
        }
        let number = self.next_segment;
        let name = segment_name(number);
        let reserved = self.segment_bytes;
        let file = storage.create_segment(&name, reserved)?;
        self.next_segment += 1;
        self.current = Some(Segment { number, file, bytes: 0, reserved });
        self.since.get_or_insert(now);
        Ok(number)
    }

    /// Lets `fill` write one or more commits: it is called until it says that there is no more,
    /// with a commit to add to and the number of its segment. Then the disk holds them. After
    /// a failure nothing counts as written, and everything is to be told again.
    pub(crate) fn write<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        now: Duration,
        mut fill: impl FnMut(&mut S, u64, &mut Commit<'_>) -> bool,
    ) -> io::Result<()> {
        let written = self.write_commits(storage, now, &mut fill).and_then(|()| self.sync(storage));
        if written.is_err() {
            // What is there may be torn: the repetition goes into a new segment.
            self.retire();
            self.sequence = self.unsynced;
        }
        written
    }

    fn write_commits<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        now: Duration,
        fill: &mut impl FnMut(&mut S, u64, &mut Commit<'_>) -> bool,
    ) -> io::Result<()> {
        loop {
            let segment = self.open(storage, now)?;
            self.begin_aligned();
            let mut commit = Commit::begin(&mut self.buffer);
            let mut goes_on = true;
            while goes_on && commit.len() < COMMIT_BYTES {
                goes_on = fill(storage, segment, &mut commit);
            }
            if commit.is_empty() {
                return Ok(());
            }
            commit.seal(self.sequence);
            self.align_again();
            self.append(storage)?;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Writes the commit in the buffer.
    fn append<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        let Some(segment) = &mut self.current else { return Ok(()) };
        let bytes = &self.buffer[self.start..];
        write_one(storage, &segment.file, segment.bytes, bytes)?;
        segment.bytes += bytes.len() as u64;
        self.sequence += 1;
        self.commits += 1;
        if segment.bytes >= segment.reserved {
            // The next one goes elsewhere; this one must be held before it is let go.
            if self.sync == SyncPolicy::Always {
                storage.sync(&segment.file)?;
                self.syncs += 1;
            }
            self.retire();
        }
        Ok(())
    }

    fn sync<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        if self.sync == SyncPolicy::Always
            && self.unsynced < self.sequence
            && let Some(segment) = &self.current
        {
            storage.sync(&segment.file)?;
            self.syncs += 1;
        }
        self.unsynced = self.sequence;
        Ok(())
    }

    /// An empty buffer whose next byte is aligned.
    fn begin_aligned(&mut self) {
        self.buffer.clear();
        self.buffer.reserve(COMMIT_BYTES + COMMIT_BYTES / 2 + ALIGNMENT);
        self.start = self.buffer.as_ptr().align_offset(ALIGNMENT);
        self.buffer.resize(self.start, 0);
    }

    /// Puts the commit where it is aligned, should the buffer have moved.
    fn align_again(&mut self) {
        if self.buffer[self.start..].as_ptr().align_offset(ALIGNMENT) == 0 {
            return;
        }
        let length = self.buffer.len() - self.start;
        self.buffer.reserve(ALIGNMENT);
        let start = self.buffer.as_ptr().align_offset(ALIGNMENT);
        self.buffer.resize(self.buffer.len().max(start + length), 0);
        self.buffer.copy_within(self.start..self.start + length, start);
        self.buffer.truncate(start + length);
        self.start = start;
    }

    /// The current segment grows no more.
    pub(crate) fn retire(&mut self) {
        if let Some(Segment { number, bytes, .. }) = self.current.take() {
            self.old.push(Old { number, bytes });
        }
    }

    /// Segments that grow no more.
    pub(crate) fn old(&self) -> &[Old] {
        &self.old
    }

    /// Removes the first so many of them: the disk holds what they were written for. What is left
    /// of them after a crash, in whatever order files vanish, is void: the next segment says so.
    pub(crate) fn release<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        count: usize,
        now: Duration,
    ) -> io::Result<()> {
        let Some(last) = self.old[..count].last() else { return Ok(()) };
        let void = Operation::Void { before: last.number + 1 };
        self.retire();
        let mut is_told = false;
        let since = self.since;
        self.write(storage, now, |_, _, commit| {
            if !is_told {
                commit.add(void);
            }
            !std::mem::replace(&mut is_told, true)
        })?;
        self.since = since;
        for old in self.old.drain(..count) {
            // One that stays is void.
            let _ = storage.remove(&segment_name(old.number));
        }
        Ok(())
    }

    /// Removes all segments: the disk holds everything, and nothing more comes.
    pub(crate) fn clear<S: Storage<File = F>>(&mut self, storage: &mut S) {
        self.retire();
        for old in self.old.drain(..) {
            // One that stays is replayed once more, which changes nothing.
            let _ = storage.remove(&segment_name(old.number));
        }
    }

    /// Octets on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |segment| segment.bytes);
        current + self.old.iter().map(|old| old.bytes).sum::<u64>()
    }
}
