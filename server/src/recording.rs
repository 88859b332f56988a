//! The recorder, as the control plane sees it: begins recordings, tells the log how they went,
//! and never lets a disk stop a call.

use std::time::{Duration, Instant};

use engine_control::{TapId, TapReader};
use recorder_writer::{Event, Failure, RecordingId, Status, Writer, WriterConfig};

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
}

impl Recorder {
    /// A recorder that makes its folder and its thread when they are needed.
    pub(crate) fn new(config: WriterConfig, taps: Vec<TapReader>) -> Self {
        Self { config, taps, writer: None, tried: None, refused: 0, failure: None }
    }

    /// Starts the writer, if it does not run. Where that fails, recordings are refused until
    /// an attempt some time later succeeds, and everything else goes on.
    pub(crate) fn prepare(&mut self) {
        let too_soon = self.tried.is_some_and(|tried| tried.elapsed() < RETRY_AFTER);
        if self.writer.is_some() || too_soon {
            return;
        }
        match Writer::start(self.config.clone(), &mut self.taps) {
            Ok(writer) => {
                self.failure = None;
                self.writer = Some(writer);
            }
            Err(failure) => {
                tracing::warn!(%failure, "nothing can be recorded");
                self.failure = Some(failure.to_string());
                self.tried = Some(Instant::now());
            }
        }
    }

    /// Begins a recording of a tap that is about to begin.
    pub(crate) fn begin(
        &mut self,
        tap: TapId,
        subject: &str,
        call_id: Option<&str>,
        started_unix_nanos: u64,
    ) -> Result<RecordingId, Failure> {
        self.prepare();
        let begun = match &self.writer {
            Some(writer) => writer.begin(tap, subject, call_id, started_unix_nanos),
            None => Err(Failure::Stopped),
        };
        match begun {
            Ok(recording) => {
                tracing::info!(recording = recording.as_u64(), subject, call_id, "recording");
                Ok(recording)
            }
            Err(failure) => {
                self.refused += 1;
                tracing::warn!(subject, call_id, %failure, "a recording was refused");
                Err(failure)
            }
        }
    }

    /// A tap was refused: its recording ends as an empty file.
    pub(crate) fn end(&mut self, tap: TapId) {
        if let Some(writer) = &self.writer {
            writer.end(tap);
        }
    }

    /// Logs what the writer has to tell.
    pub(crate) fn listen(&mut self) {
        while let Some(event) = self.writer.as_ref().and_then(Writer::try_event) {
            self.tell(event);
        }
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
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Ends all recordings and closes their files.
    pub(crate) fn stop(mut self) {
        let Some(writer) = self.writer.take() else { return };
        let (status, events) = writer.stop();
        for event in events {
            self.tell(event);
        }
        if status.finished + status.failed > 0 {
            let (finished, failed) = (status.finished, status.failed);
            tracing::info!(finished, failed, "all recordings are closed");
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Started { recording, path } => {
                let path = path.display();
                tracing::debug!(recording = recording.as_u64(), %path, "the file exists");
            }
            Event::Interrupted { recording, path, kind } => {
                let path = path.display();
                tracing::warn!(recording = recording.as_u64(), %path, %kind, "the disk refuses");
                self.failure = Some(format!("{path}: {kind}"));
            }
            Event::Finished { recording, path, samples, gaps } => {
                let (path, seconds) = (path.display(), samples / 8000);
                tracing::info!(recording = recording.as_u64(), %path, seconds, gaps, "recorded");
                self.failure = None;
            }
            Event::Failed { recording, path, kind } => {
                let path = path.display();
                tracing::error!(recording = recording.as_u64(), %path, %kind, "not recorded");
                self.failure = Some(format!("{path}: {kind}"));
            }
        }
    }
}
