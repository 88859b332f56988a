//! The writer's life: starts it when it is needed, tells the log how recordings went, and never
//! lets a disk stop a call.

use std::time::{Duration, Instant};

use engine_control::TapReader;
use recorder_writer::{Event, Failure, Status, Writer, WriterConfig, was_used};

/// How long after a failure to start the writer the next attempt is made.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The writer, once something is to be recorded, and what is known about its health.
pub(crate) struct Recorder {
    config: WriterConfig,
    /// Until the writer has them.
    taps: Vec<TapReader>,
    writer: Option<Writer>,
    /// When the writer last failed to start.
    tried: Option<Instant>,
    refused: u64,
    failure: Option<String>,
    /// Whether a repair may still write to what was recorded before.
    owes_repair: bool,
}

impl Recorder {
    /// A recorder that makes its folder and its threads when they are needed; at once where it was
    /// recorded there before: a crash may have left something to be repaired.
    pub(crate) fn new(config: WriterConfig, taps: Vec<TapReader>) -> Self {
        let was_used = was_used(&config.folder);
        let mut recorder = Self {
            config,
            taps,
            writer: None,
            tried: None,
            refused: 0,
            failure: None,
            owes_repair: was_used,
        };
        if was_used {
            recorder.prepare();
        }
        recorder
    }

    /// Starts the writer, if it does not run. Where that fails, recordings are refused until
    /// an attempt some time later succeeds, and everything else goes on.
    pub(crate) fn prepare(&mut self) {
        let too_soon = self.tried.is_some_and(|tried| tried.elapsed() < RETRY_AFTER);
        if self.writer.is_some() || too_soon {
            return;
        }
        match Writer::start(&self.config, std::mem::take(&mut self.taps)) {
            Ok(writer) => {
                self.failure = None;
                self.writer = Some(writer);
            }
            Err((failure, taps)) => {
                tracing::warn!(%failure, "nothing can be recorded");
                self.taps = taps;
                self.failure = Some(failure.to_string());
                self.tried = Some(Instant::now());
            }
        }
    }

    /// The writer, where it runs or can be started.
    pub(crate) fn writer(&mut self) -> Result<&Writer, Failure> {
        self.prepare();
        self.writer.as_ref().ok_or(Failure::Stopped)
    }

    /// Whether what was recorded before is as it will stay. Where it must be repaired and the writer
    /// could not start, that is tried again.
    pub(crate) fn is_settled(&mut self) -> bool {
        if self.owes_repair {
            self.prepare();
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
