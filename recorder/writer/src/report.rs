//! What is told about recordings: facts one by one, and numbers.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

/// One recording since the writer started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordingId(pub(crate) u64);

impl RecordingId {
    /// As a number, for logs and the API.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A fact about recordings. Each that began ends with exactly one `Finished` or `Failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its first file exists.
    Started {
        /// Which recording.
        recording: RecordingId,
    },
    /// The disk refuses, and is asked again; or it is so slow that sound is lost
    /// ([`io::ErrorKind::TimedOut`]). Told once until it works again.
    Interrupted {
        /// Which recording.
        recording: RecordingId,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The disk takes it again; what was lost meanwhile is marked.
    Resumed {
        /// Which recording.
        recording: RecordingId,
    },
    /// It is over and its files have their final names.
    Finished {
        /// Which recording.
        recording: RecordingId,
        /// Its metadata, relative to the folder of recordings.
        metadata: String,
        /// Its files of sound or packets.
        files: Vec<String>,
        /// Its length in samples of `clock_rate`.
        samples: u64,
        /// Samples in a second.
        clock_rate: u32,
        /// How many gaps its tracks have; the metadata says where.
        gaps: u64,
    },
    /// The disk holds all of a finished recording: nothing that is done to its files from now on
    /// is undone after a crash.
    Durable {
        /// Which recording.
        recording: RecordingId,
    },
    /// It is over and could not be completed. What was kept is repaired at the next start.
    Failed {
        /// Which recording.
        recording: RecordingId,
        /// Why.
        kind: io::ErrorKind,
    },
    /// A recording that a crash had cut was made whole at start.
    Repaired {
        /// Its metadata, relative to the folder of recordings.
        metadata: String,
    },
    /// A recording that a crash had cut could not be made whole.
    Unrepaired {
        /// Its account, relative to the folder of recordings.
        account: String,
        /// Why.
        kind: io::ErrorKind,
    },
}

/// The writer's numbers. All but `active`, `queue_bytes`, `journal_bytes` and `settled` count from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Recordings going on.
    pub active: usize,
    /// Recordings whose files are complete.
    pub finished: u64,
    /// Recordings whose files could not be completed.
    pub failed: u64,
    /// Recordings made whole at start.
    pub repaired: u64,
    /// How often the disk began to refuse, or was too slow.
    pub interruptions: u64,
    /// Octets of sound and packets written into files.
    pub bytes: u64,
    /// Batches of sound that were taken from those who gather it.
    pub taken: u64,
    /// Commits written into the journal.
    pub commits: u64,
    /// How often the disk was asked to hold what it was given.
    pub syncs: u64,
    /// Octets that wait for the disk.
    pub queue_bytes: u64,
    /// Octets of the journal on the disk.
    pub journal_bytes: u64,
    /// Periods of 20 ms in gaps, whatever the cause, as far as they are silence.
    pub gap_periods: u64,
    /// Periods and packets that were forgotten because the disk did not take them in time.
    pub unwritten_periods: u64,
    /// Records of taps that had no place on a track.
    pub misplaced: u64,
    /// Events dropped because nobody took them.
    pub events_lost: u64,
    /// Whether what an earlier run has left is as it will stay: nothing of it is written any more,
    /// not even after a crash.
    pub settled: bool,
    /// Why the disk refuses at present, whatever is recorded.
    pub refuses: Option<io::ErrorKind>,
}

/// The keeper's end of events and numbers.
pub(crate) struct Reporter {
    pub(crate) status: Status,
    published: Arc<Mutex<Status>>,
    events: SyncSender<Event>,
    active: Arc<AtomicUsize>,
}

impl Reporter {
    pub(crate) fn new(
        published: Arc<Mutex<Status>>,
        events: SyncSender<Event>,
        active: Arc<AtomicUsize>,
    ) -> Self {
        Self { status: Status::default(), published, events, active }
    }

    /// Reports a fact; never waits for who reads them.
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Finished { .. } => self.status.finished += 1,
            Event::Failed { .. } => self.status.failed += 1,
            Event::Interrupted { .. } => self.status.interruptions += 1,
            Event::Repaired { .. } => self.status.repaired += 1,
            _ => {}
        }
        if matches!(event, Event::Finished { .. } | Event::Failed { .. }) {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
        if self.events.try_send(event).is_err() {
            self.status.events_lost += 1;
        }
    }

    /// Makes the numbers seen.
    pub(crate) fn publish(&self) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = self.status;
    }
}
