//! The writer's thread: takes requests, polls every recording, ends those that are over.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use engine_control::TapReader;

use crate::recording::{Label, Recording};
use crate::report::Reporter;
use crate::storage::Storage;

/// How often taps are emptied.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// A recording to begin.
pub(crate) struct Request {
    pub(crate) label: Label,
    pub(crate) reader: TapReader,
}

pub(crate) struct WriterThread<S: Storage> {
    pub(crate) folder: PathBuf,
    pub(crate) flush_every: Duration,
    pub(crate) storage: S,
    pub(crate) requests: Receiver<Request>,
    /// Recordings requested and not yet over.
    pub(crate) active: Arc<AtomicUsize>,
    pub(crate) reporter: Reporter,
    pub(crate) recordings: Vec<Recording<S>>,
}

impl<S: Storage> WriterThread<S> {
    /// Runs until no more requests can come; then ends all recordings.
    pub(crate) fn run(mut self) {
        loop {
            let goes_on = self.take_requests();
            self.poll_recordings();
            self.reporter.publish();
            if !goes_on {
                break;
            }
            std::thread::park_timeout(POLL);
        }
        for recording in std::mem::take(&mut self.recordings) {
            self.finish(recording);
        }
        self.reporter.publish();
    }

    /// Begins what was requested. Returns whether more may come.
    fn take_requests(&mut self) -> bool {
        loop {
            match self.requests.try_recv() {
                Ok(Request { label, reader }) => {
                    self.recordings.push(Recording::new(label, &self.folder, reader));
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn poll_recordings(&mut self) {
        let mut index = 0;
        while let Some(recording) = self.recordings.get_mut(index) {
            // Read for each: a slow disk may have held up the one before.
            let now = Instant::now();
            if recording.poll(now, self.flush_every, &self.storage, &mut self.reporter) {
                index += 1;
            } else {
                let over = self.recordings.swap_remove(index);
                self.finish(over);
            }
        }
    }

    fn finish(&mut self, recording: Recording<S>) {
        recording.finish(&self.storage, &mut self.reporter);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}
