//! The writer as the server sees it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine_control::{TapId, TapReader};

use crate::recording::Label;
use crate::report::{Event, RecordingId, Reporter, Status};
use crate::storage::{Disk, Storage};
use crate::thread::{Request, WriterThread};

/// How recordings are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterConfig {
    /// Where. Created if it does not exist.
    pub folder: PathBuf,
    /// How much sound a crash may cost.
    pub flush_every: Duration,
    /// Recordings at one time.
    pub recordings_max: usize,
}

/// Why a recording, or the writer, could not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The folder cannot be created, or takes no files.
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The system gives us no thread.
    Thread(io::ErrorKind),
    /// `recordings_max` recordings go on already.
    Full,
    /// The thread is gone.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, kind } => {
                write!(f, "cannot write recordings to {}: {kind}", path.display())
            }
            Self::Thread(kind) => write!(f, "cannot start the recorder's thread: {kind}"),
            Self::Full => f.write_str("as many recordings as allowed go on already"),
            Self::Stopped => f.write_str("the recorder's thread has ended"),
        }
    }
}

impl std::error::Error for Failure {}

/// The writer: one thread for all recordings. Dropping it ends them as [`Writer::stop`] does.
#[derive(Debug)]
pub struct Writer {
    recordings_max: usize,
    active: Arc<AtomicUsize>,
    last: AtomicU64,
    status: Arc<Mutex<Status>>,
    events: Receiver<Event>,
    /// Both are there until the writer stops.
    running: Option<(SyncSender<Request>, JoinHandle<()>)>,
}

impl Writer {
    /// Prepares the folder and starts the thread, which takes the rings of all shards.
    pub fn start(config: WriterConfig, taps: &mut Vec<TapReader>) -> Result<Self, Failure> {
        let prepared = Disk::prepare(&config.folder);
        prepared
            .map_err(|error| Failure::Folder { path: config.folder.clone(), kind: error.kind() })?;
        Self::start_on(config, taps, Disk)
    }

    fn start_on(
        config: WriterConfig,
        taps: &mut Vec<TapReader>,
        storage: impl Storage,
    ) -> Result<Self, Failure> {
        let WriterConfig { folder, flush_every, recordings_max } = config;
        // A recording has at most two requests, and few facts while nobody looks.
        let (sender, requests) = sync_channel(2 * recordings_max + 1);
        let (events_sender, events) = sync_channel(4 * recordings_max);
        let active = Arc::new(AtomicUsize::new(0));
        let status = Arc::new(Mutex::new(Status::default()));
        let thread = WriterThread {
            folder,
            flush_every,
            storage,
            requests,
            active: Arc::clone(&active),
            reporter: Reporter::new(Arc::clone(&status), events_sender),
            taps: Vec::new(),
            recordings: HashMap::with_capacity(recordings_max),
        };
        let handle = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || thread.run())
            .map_err(|error| Failure::Thread(error.kind()))?;
        // The first of all requests finds room.
        let _ = sender.try_send(Request::Read(std::mem::take(taps)));
        let running = Some((sender, handle));
        Ok(Self { recordings_max, active, last: AtomicU64::new(0), status, events, running })
    }

    /// Begins a recording of a tap that is about to begin, until that ends. The shards' rings should
    /// hold a few seconds: they are emptied every 100 ms, but a disk may be slow.
    /// `started_unix_nanos` is when it begins, on the wall clock. Never waits for the disk.
    pub fn begin(
        &self,
        tap: TapId,
        subject: &str,
        call_id: Option<&str>,
        started_unix_nanos: u64,
    ) -> Result<RecordingId, Failure> {
        let (sender, handle) = self.running.as_ref().ok_or(Failure::Stopped)?;
        let one_more = |active: usize| (active < self.recordings_max).then_some(active + 1);
        self.active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Failure::Full)?;
        let recording = RecordingId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let label = Label {
            recording,
            subject: subject.to_owned(),
            call_id: call_id.map(str::to_owned),
            started_unix_nanos,
        };
        sender.try_send(Request::Begin { tap, label }).map_err(|error| {
            self.active.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Failure::Full,
                TrySendError::Disconnected(_) => Failure::Stopped,
            }
        })?;
        handle.thread().unpark();
        Ok(recording)
    }

    /// Ends the recording of a tap that was refused: nothing comes from there.
    pub fn end(&self, tap: TapId) {
        if let Some((sender, _)) = &self.running {
            // Each recording has room for its end.
            let _ = sender.try_send(Request::End { tap });
        }
    }

    /// The next fact, if there is one.
    pub fn try_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// The numbers, as of the last 100 ms.
    pub fn status(&self) -> Status {
        let status = *self.status.lock().unwrap_or_else(PoisonError::into_inner);
        Status { active: self.active.load(Ordering::Relaxed), ..status }
    }

    /// Ends all recordings with what their taps hold now, and the thread. Returns the last numbers
    /// and all facts not yet taken.
    pub fn stop(mut self) -> (Status, Vec<Event>) {
        self.join();
        (self.status(), self.events.try_iter().collect())
    }

    fn join(&mut self) {
        if let Some((sender, handle)) = self.running.take() {
            drop(sender);
            handle.thread().unpark();
            // A panic there was printed there; here is nothing to be done about it.
            let _ = handle.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use engine_control::{TapContent, TapItem, TapSink, tap_ring};
    use media_units::{Instant, RateClass};

    use super::*;
    use crate::testing::{FaultyDisk, Folder, samples_of};

    fn config(folder: &Folder) -> WriterConfig {
        WriterConfig {
            folder: folder.path.join("of/recordings"),
            flush_every: Duration::from_secs(1),
            recordings_max: 3,
        }
    }

    fn start(config: WriterConfig) -> (Writer, TapSink) {
        let (sink, reader) = tap_ring(1 << 20);
        (Writer::start(config, &mut vec![reader]).unwrap(), sink)
    }

    fn speak(sink: &mut TapSink, tap: TapId, blocks: u64) {
        sink.start();
        let (class, samples) = (RateClass::Narrow, &[5; 160][..]);
        let content = TapContent::Block { class, concealed: false, samples };
        for period in 0..blocks {
            sink.push(&TapItem { tap, period, at: Instant::START, content });
        }
    }

    fn end(sink: &mut TapSink, tap: TapId, blocks: u64) {
        sink.end(tap, blocks, Instant::START);
    }

    const TAP: TapId = TapId(7);

    /// Waits for the recording's last fact.
    fn end_of(writer: &Writer, recording: RecordingId) -> Event {
        loop {
            let event = writer.events.recv_timeout(Duration::from_secs(60)).unwrap();
            match &event {
                Event::Finished { recording: ended, .. }
                | Event::Failed { recording: ended, .. }
                    if *ended == recording =>
                {
                    return event;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_missing_folder_is_created_and_left_without_a_trace() {
        let folder = Folder::new();
        let (writer, _sink) = start(config(&folder));
        assert_eq!(fs::read_dir(folder.path.join("of/recordings")).unwrap().count(), 0);
        assert_eq!(writer.stop(), (Status::default(), vec![]));
    }

    #[test]
    fn a_folder_that_takes_no_files_is_refused_at_start() {
        let folder = Folder::new();
        let path = folder.path.join("file");
        fs::write(&path, "").unwrap();
        let refused = WriterConfig { folder: path.join("inside"), ..config(&folder) };
        let failure = Writer::start(refused.clone(), &mut vec![]).unwrap_err();
        let kind = io::ErrorKind::NotADirectory;
        assert_eq!(failure, Failure::Folder { path: refused.folder, kind });
        assert!(failure.to_string().contains("file/inside: not a directory"), "{failure}");
    }

    #[test]
    fn a_recording_finishes_by_itself_when_its_tap_ends() {
        let folder = Folder::new();
        let (writer, mut sink) = start(config(&folder));
        let recording = writer.begin(TAP, "8000", Some("call"), 0).unwrap();
        assert_eq!(writer.status().active, 1);
        speak(&mut sink, TAP, 10);
        end(&mut sink, TAP, 10);
        let event = end_of(&writer, recording);
        let Event::Finished { path, samples, gaps, .. } = event else { panic!("{event:?}") };
        assert_eq!((samples, gaps), (1600, 0));
        assert_eq!(samples_of(&path), [5; 1600]);
        let (status, events) = writer.stop();
        assert_eq!((status.active, status.finished, status.bytes), (0, 1, 3200));
        assert_eq!(events, []);
    }

    #[test]
    fn stopping_finishes_what_still_goes_on() {
        let folder = Folder::new();
        let (writer, mut sink) = start(config(&folder));
        for tap in (0..3).map(TapId) {
            writer.begin(tap, "room", None, 0).unwrap();
            speak(&mut sink, tap, 10);
        }
        let (status, events) = writer.stop();
        assert_eq!((status.active, status.finished, status.failed), (0, 3, 0));
        let finished: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event {
                Event::Finished { path, .. } => Some(path),
                _ => None,
            })
            .collect();
        assert_eq!(finished.len(), 3);
        assert!(finished.iter().all(|path| samples_of(path) == [5; 1600]));
    }

    #[test]
    fn one_recording_too_many_is_refused_until_another_ends() {
        let folder = Folder::new();
        let (writer, mut sink) = start(config(&folder));
        let begin = |tap| writer.begin(TapId(tap), "room", None, 0);
        let recordings = [0, 1, 2].map(|tap| begin(tap).unwrap());
        assert_eq!(begin(3), Err(Failure::Full));
        sink.start();
        end(&mut sink, TapId(0), 0);
        end_of(&writer, recordings[0]);
        while writer.status().active == 3 {
            std::thread::yield_now();
        }
        assert!(begin(3).is_ok());
    }

    #[test]
    fn a_hostile_subject_stays_in_the_folder() {
        let folder = Folder::new();
        let (writer, _sink) = start(config(&folder));
        writer.begin(TAP, "../../../escaped\0", None, 0).unwrap();
        let (status, _) = writer.stop();
        assert_eq!(status.finished, 1);
        assert_eq!(folder.names(), ["of"]);
        assert_eq!(fs::read_dir(folder.path.join("of/recordings")).unwrap().count(), 2);
    }

    #[test]
    fn facts_that_nobody_takes_are_counted_and_hold_nothing_up() {
        let folder = Folder::new();
        let (writer, _sink) = start(WriterConfig { recordings_max: 1, ..config(&folder) });
        for tap in (0..4).map(TapId) {
            while writer.begin(tap, "room", None, 0) == Err(Failure::Full) {
                std::thread::yield_now();
            }
            writer.end(tap);
        }
        let (status, events) = writer.stop();
        assert_eq!((status.finished, status.events_lost, events.len()), (4, 4, 4));
    }

    #[test]
    fn a_disk_that_refuses_one_recording_does_not_stop_the_writer() {
        let folder = Folder::new();
        let disk = FaultyDisk::default();
        disk.refuse_creation(Some(io::ErrorKind::StorageFull));
        let configured = WriterConfig { folder: folder.path.clone(), ..config(&folder) };
        let (mut sink, reader) = tap_ring(1 << 20);
        let writer = Writer::start_on(configured, &mut vec![reader], disk).unwrap();
        let recording = writer.begin(TAP, "room", None, 0).unwrap();
        speak(&mut sink, TAP, 10);
        end(&mut sink, TAP, 10);
        let kind = io::ErrorKind::StorageFull;
        let event = end_of(&writer, recording);
        assert!(matches!(event, Event::Failed { kind: met, .. } if met == kind), "{event:?}");
        assert_eq!(writer.stop().0.failed, 1);
    }
}
