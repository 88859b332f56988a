//! The writer's life: starts it when it is needed, tells the log how recordings went, and never
//! lets a disk stop a call.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine_control::TapReader;
use recorder_writer::{Event, Failure, NotStarted, Status, Writer, WriterConfig, was_used};

/// How long after a failure to start the writer the next attempt is made.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long the first recording, and with it everyone else, waits for the folder.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long the server waits for it before it opens for calls.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// The writer, once something is to be recorded, and what is known about its health.
pub(crate) struct Recorder {
    config: WriterConfig,
    /// Until the writer, or whoever starts it, has them.
    taps: Option<Vec<TapReader>>,
    /// What becomes of the attempt to start the writer: the disk is waited for on another thread.
    starting: Option<Receiver<Result<Writer, NotStarted>>>,
    writer: Option<Writer>,
    /// Why there is none.
    reason: Failure,
    /// When the writer last failed to start.
    tried: Option<Instant>,
    refused: u64,
    failure: Option<String>,
    /// Whether a repair may still write to what was recorded before.
    owes_repair: bool,
}

impl Recorder {
    /// A recorder that makes its folder and its threads when they are needed; at once where
    /// `is_needed`, or where it was recorded there before: a crash may have left something to be
    /// repaired.
    pub(crate) fn new(config: WriterConfig, taps: Vec<TapReader>, is_needed: bool) -> Self {
        let owes_repair = was_used(&config.folder);
        let mut recorder = Self {
            config,
            taps: Some(taps),
            starting: None,
            writer: None,
            reason: Failure::Stopped,
            tried: None,
            refused: 0,
            failure: None,
            owes_repair,
        };
        if owes_repair || is_needed {
            recorder.prepare(START_PATIENCE);
        }
        recorder
    }

    /// Starts the writer, if it does not run, and waits for that, but once only and not for long.
    /// Where it fails, recordings are refused until an attempt some time later succeeds, and
    /// everything else goes on.
    fn prepare(&mut self, patience: Duration) {
        let too_soon = self.tried.is_some_and(|tried| tried.elapsed() < RETRY_AFTER);
        if self.writer.is_some() || (self.starting.is_none() && too_soon) {
            return;
        }
        let patience = if self.starting.is_some() { Duration::ZERO } else { patience };
        let starting = match self.starting.take().map_or_else(|| self.start(), Ok) {
            Ok(starting) => starting,
            Err(failure) => return self.failed(failure),
        };
        match starting.recv_timeout(patience) {
            Ok(Ok(writer)) => {
                self.failure = None;
                self.writer = Some(writer);
            }
            Ok(Err((failure, taps))) => {
                self.taps = Some(taps);
                self.failed(failure);
            }
            Err(RecvTimeoutError::Timeout) => {
                self.starting = Some(starting);
                if !patience.is_zero() {
                    let (path, kind) = (self.config.folder.clone(), std::io::ErrorKind::TimedOut);
                    self.failed(Failure::Folder { path, kind });
                }
            }
            // A panic of its was printed; the taps went with it.
            Err(RecvTimeoutError::Disconnected) => self.failed(Failure::Stopped),
        }
    }

    /// Begins to start the writer on a thread that may wait for the disk.
    fn start(&mut self) -> Result<Receiver<Result<Writer, NotStarted>>, Failure> {
        let (give, given) = channel::<Vec<TapReader>>();
        let (done, starting) = channel();
        let config = self.config.clone();
        let run = move || {
            if let Ok(taps) = given.recv() {
                // Where nobody wants it any more, it ends.
                let _ = done.send(Writer::start(&config, taps));
            }
        };
        let spawned = thread::Builder::new().name("recorder-start".into()).spawn(run);
        spawned.map_err(|error| Failure::Thread(error.kind()))?;
        // A thread that was not started would have taken them along.
        let taps = self.taps.take().ok_or(Failure::Stopped)?;
        give.send(taps).map_err(|SendError(taps)| {
            self.taps = Some(taps);
            Failure::Stopped
        })?;
        Ok(starting)
    }

    fn failed(&mut self, failure: Failure) {
        tracing::warn!(%failure, "nothing can be recorded");
        self.failure = Some(failure.to_string());
        self.reason = failure;
        self.tried = Some(Instant::now());
    }

    /// The writer, where it runs or can be started.
    pub(crate) fn writer(&mut self) -> Result<&Writer, Failure> {
        self.prepare(PATIENCE);
        self.writer.as_ref().ok_or_else(|| self.reason.clone())
    }

    /// Whether what was recorded before is as it will stay. Where it must be repaired and the writer
    /// could not start, that is tried again.
    pub(crate) fn is_settled(&mut self) -> bool {
        if self.owes_repair || self.starting.is_some() {
            self.prepare(PATIENCE);
        }
        if self.owes_repair {
            self.owes_repair = !self.status().settled;
        }
        !self.owes_repair
    }

    /// A recording could not begin.
    pub(crate) fn refuse(&mut self) {
        self.refused += 1;
    }

    /// The next thing that the writer has to tell; it is logged.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let event = self.writer.as_ref()?.try_event()?;
        self.log(&event);
        Some(event)
    }

    /// The writer's numbers.
    pub(crate) fn status(&self) -> Status {
        self.writer.as_ref().map(Writer::status).unwrap_or_default()
    }

    /// Recordings that were asked for and could not begin.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// What is wrong: the last failure, until a recording works again.
    pub(crate) fn failure(&self) -> Option<String> {
        let refuses = self.status().refuses;
        refuses.map(|kind| self.at_folder(kind)).or_else(|| self.failure.clone())
    }

    fn at_folder(&self, kind: std::io::ErrorKind) -> String {
        format!("{}: {kind}", self.config.folder.display())
    }

    /// Ends all recordings and closes their files. Returns what the writer had still to tell, and
    /// whether what was recorded before is as it will stay.
    pub(crate) fn stop(mut self) -> (Vec<Event>, bool) {
        let Some(writer) = self.writer.take() else { return (Vec::new(), !self.owes_repair) };
        let (status, events) = writer.stop();
        for event in &events {
            self.log(event);
        }
        if status.finished + status.failed > 0 {
            let (finished, failed) = (status.finished, status.failed);
            tracing::info!(finished, failed, "all recordings are closed");
        }
        (events, status.settled || !self.owes_repair)
    }

    fn log(&mut self, event: &Event) {
        match event {
            Event::Started { recording } => {
                tracing::debug!(recording = recording.as_u64(), "the first file exists");
            }
            Event::Interrupted { recording, kind } => {
                tracing::warn!(recording = recording.as_u64(), %kind, "the disk refuses");
                self.failure = Some(self.at_folder(*kind));
            }
            Event::Resumed { recording } => {
                tracing::info!(recording = recording.as_u64(), "the disk takes it again");
                self.failure = None;
            }
            Event::Finished { recording, metadata, files, samples, clock_rate, gaps } => {
                let recording = recording.as_u64();
                let seconds = samples / u64::from(*clock_rate).max(1);
                let files = files.len();
                tracing::info!(recording, metadata, files, seconds, gaps, "recorded");
                self.failure = None;
            }
            Event::Durable { recording } => {
                tracing::debug!(recording = recording.as_u64(), "the disk holds it");
            }
            Event::Failed { recording, kind } => {
                tracing::error!(recording = recording.as_u64(), %kind, "not recorded");
                self.failure = Some(self.at_folder(*kind));
            }
            Event::Repaired { metadata } => {
                tracing::warn!(metadata, "a recording that a crash had cut was made whole");
            }
            Event::Unrepaired { account, kind } => {
                tracing::error!(account, %kind, "a recording that a crash had cut stays so");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::Command;

    use super::*;

    #[test]
    fn a_folder_that_does_not_answer_is_waited_for_by_nobody() {
        let folder = std::env::temp_dir().join(format!("recorder-slow-{}", std::process::id()));
        let lock = folder.join(".journal/lock");
        // Whoever opens this to write waits until somebody opens it to read.
        fs::create_dir_all(folder.join(".journal")).unwrap();
        assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
        let config = WriterConfig::new(folder.clone());
        let mut recorder = Recorder::new(WriterConfig::new("".into()), Vec::new(), false);
        recorder.config = config;
        let slow = Failure::Folder { path: folder.clone(), kind: std::io::ErrorKind::TimedOut };
        for _ in 0..3 {
            assert_eq!(recorder.writer().err(), Some(slow.clone()));
        }
        assert_eq!(recorder.failure(), Some(slow.to_string()));
        let _answer = File::open(&lock).unwrap();
        while recorder.writer().is_err() {
            thread::yield_now();
        }
        assert_eq!(recorder.failure(), None);
        drop(recorder);
        fs::remove_dir_all(folder).unwrap();
    }
}
