//! The writer's thread: takes requests, polls every recording, ends those that are over.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use engine_control::{TapId, TapReader};

use crate::recording::{Label, Recording};
use crate::report::Reporter;
use crate::storage::Storage;

/// How often taps are emptied.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// What the thread is asked for.
pub(crate) enum Request {
    /// Reads these rings from now on.
    Read(Vec<TapReader>),
    /// Begins a recording of a tap.
    Begin { tap: TapId, label: Label },
    /// Ends the recording of a tap that never began.
    End { tap: TapId },
}

pub(crate) struct WriterThread<S: Storage> {
    pub(crate) folder: PathBuf,
    pub(crate) flush_every: Duration,
    pub(crate) storage: S,
    pub(crate) requests: Receiver<Request>,
    /// Recordings requested and not yet over.
    pub(crate) active: Arc<AtomicUsize>,
    pub(crate) reporter: Reporter,
    pub(crate) taps: Vec<TapReader>,
    pub(crate) recordings: HashMap<TapId, Recording<S>>,
}

impl<S: Storage> WriterThread<S> {
    /// Runs until no more requests can come; then ends all recordings.
    pub(crate) fn run(mut self) {
        loop {
            let goes_on = self.take_requests();
            self.drain();
            self.poll_recordings();
            self.reporter.publish();
            if !goes_on {
                break;
            }
            std::thread::park_timeout(POLL);
        }
        for (_, recording) in std::mem::take(&mut self.recordings) {
            self.finish(recording);
        }
        self.reporter.publish();
    }

    /// Begins what was requested. Returns whether more may come.
    fn take_requests(&mut self) -> bool {
        loop {
            match self.requests.try_recv() {
                Ok(Request::Read(taps)) => self.taps.extend(taps),
                Ok(Request::Begin { tap, label }) => {
                    self.recordings.insert(tap, Recording::new(label, &self.folder));
                }
                Ok(Request::End { tap }) => {
                    if let Some(recording) = self.recordings.get_mut(&tap) {
                        recording.end();
                    }
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Empties the rings: each record goes to the recording of its tap.
    fn drain(&mut self) {
        let mut taps = std::mem::take(&mut self.taps);
        for reader in &mut taps {
            while let Some(item) = reader.next() {
                if !self.recordings.contains_key(&item.tap) {
                    // Its request may have come after the last look.
                    self.take_requests();
                }
                if let Some(recording) = self.recordings.get_mut(&item.tap) {
                    recording.take(&item, &self.storage, &mut self.reporter);
                }
            }
        }
        self.taps.append(&mut taps);
    }

    fn poll_recordings(&mut self) {
        let mut over = Vec::new();
        for (&tap, recording) in &mut self.recordings {
            // Read for each: a slow disk may have held up the one before.
            let now = Instant::now();
            if !recording.poll(now, self.flush_every, &self.storage, &mut self.reporter) {
                over.push(tap);
            }
        }
        for recording in
            over.iter().filter_map(|tap| self.recordings.remove(tap)).collect::<Vec<_>>()
        {
            self.finish(recording);
        }
    }

    fn finish(&mut self, recording: Recording<S>) {
        recording.finish(&self.storage, &mut self.reporter);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}
