//! What is told about recordings: facts one by one, and numbers.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

/// One recording since the writer started. Part of its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordingId(pub(crate) u64);

impl RecordingId {
    /// As a number, for logs and the API.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A fact about one recording. Each recording ends with exactly one `Finished` or `Failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its file exists.
    Started {
        /// Which recording.
        recording: RecordingId,
        /// The file, while it is written (`.wav.part`).
        path: PathBuf,
    },
    /// Storage refused; it is asked again. Reported once until it works again.
    Interrupted {
        /// Which recording.
        recording: RecordingId,
        /// What could not be written.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// It is over and its file has its final name.
    Finished {
        /// Which recording.
        recording: RecordingId,
        /// The file (`.wav`).
        path: PathBuf,
        /// Samples in the file.
        samples: u64,
        /// How many gaps it has; the metadata beside it says where.
        gaps: u64,
    },
    /// It is over and its file could not be completed. What was written remains as it is.
    Failed {
        /// Which recording.
        recording: RecordingId,
        /// The file (`.wav.part`), if it exists at all.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
}

/// The writer's numbers. All but `active` count from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Recordings going on.
    pub active: usize,
    /// Recordings whose file is complete.
    pub finished: u64,
    /// Recordings whose file could not be completed.
    pub failed: u64,
    /// How often storage began to refuse.
    pub interruptions: u64,
    /// Bytes of sound written.
    pub bytes: u64,
    /// Blocks lost in gaps, of recordings that are over.
    pub gap_blocks: u64,
    /// Blocks that had no place on their track.
    pub misplaced_blocks: u64,
    /// Events dropped because nobody took them.
    pub events_lost: u64,
}

/// The thread's end of events and numbers.
pub(crate) struct Reporter {
    pub(crate) status: Status,
    published: Arc<Mutex<Status>>,
    events: SyncSender<Event>,
}

impl Reporter {
    pub(crate) fn new(published: Arc<Mutex<Status>>, events: SyncSender<Event>) -> Self {
        Self { status: Status::default(), published, events }
    }

    /// Reports a fact; never waits for who reads them.
    pub(crate) fn event(&mut self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.status.events_lost += 1;
        }
    }

    /// Makes the numbers seen.
    pub(crate) fn publish(&self) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = self.status;
    }
}
