//! The writer as the server sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine_control::{TapId, TapReader};
use media_units::{Instant, RateClass, WallClock};
use recorder::account::{About, Layout, Note, Participant, TrackKind};
use recorder::container::Format;
use recorder::journal::is_harmless;

use crate::asks::{Asks, asks};
use crate::collector::Ask;
use crate::disk::Disk;
use crate::journal::SyncPolicy;
use crate::repair::next_segment;
use crate::report::{Event, RecordingId, Reporter, Status};
use crate::storage::Storage;
use crate::threads::{CollectorThread, KeeperThread, Returned};

/// Octets of the last part of a recording's name: labels and endings are added to it.
pub const STEM_BYTES_MAX: usize = 128;

/// How recordings are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterConfig {
    /// Where. Created if it does not exist.
    pub folder: PathBuf,
    /// How much sound a crash may cost: how often what was heard is made safe.
    pub flush_every: Duration,
    /// Recordings at one time.
    pub recordings_max: usize,
    /// Octets of sound that may wait for the disk. What comes beyond it is lost, and marked.
    pub queue_bytes_max: usize,
    /// When the disk is asked to hold what was given to it.
    pub sync: SyncPolicy,
    /// Octets that one segment of the journal reserves on the disk.
    pub segment_bytes: u64,
    /// Octets of the journal at which the disk is asked to hold everything, so that it is short
    /// again.
    pub journal_bytes_max: u64,
    /// What the wall clock showed when the engine started.
    pub wall: WallClock,
}

impl WriterConfig {
    /// What serves most: a second at most is lost, 64 MiB of sound may wait.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            flush_every: Duration::from_millis(500),
            recordings_max: 256,
            queue_bytes_max: 64 << 20,
            sync: SyncPolicy::Always,
            segment_bytes: 16 << 20,
            journal_bytes_max: 4 << 30,
            wall: WallClock::default(),
        }
    }
}

/// A recording to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingStart {
    /// The name of all its files without their endings, relative to the folder: harmless by
    /// [`is_harmless`], its last part no longer than [`STEM_BYTES_MAX`], and new.
    pub name: String,
    /// How tracks are laid out in files.
    pub layout: Layout,
    /// What kind of files. Packets go to pcapng, whatever stands here; so it must not.
    pub format: Format,
    /// The rate of all files; none: each file is at the rate of its tracks, as they begin.
    pub rate: Option<RateClass>,
    /// Whether it ends by itself when all its taps have ended.
    pub ends_with_tracks: bool,
    /// What it is of.
    pub about: About,
}

/// A track to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackStart {
    /// Where its sound or its packets come from. To be started after the track was added.
    pub tap: TapId,
    /// What kind of sound.
    pub kind: TrackKind,
    /// Short, for people and file names.
    pub label: String,
    /// Who is heard, where it is one person.
    pub participant: Option<Participant>,
    /// The audio channel where several tracks share a file; none: the next. Beyond the layout's
    /// channels a track has a file of its own.
    pub channel: Option<u16>,
    /// Where its packets are received (RTP), for a track of packets.
    pub local: Option<SocketAddr>,
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
    /// The folder is not there, or cannot be read.
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// Another process records there.
    InUse(PathBuf),
    /// The system gives us no thread.
    Thread(io::ErrorKind),
    /// `recordings_max` recordings go on already, or more is asked at once than can be done.
    Full,
    /// The name could leave the folder, or is too long.
    Name,
    /// A file of this kind cannot have so many audio channels, or holds no sound.
    Layout,
    /// The thread is gone.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, kind } => {
                write!(f, "cannot write recordings to {}: {kind}", path.display())
            }
            Self::Unread { path, kind } => {
                write!(f, "cannot read the recordings in {}: {kind}", path.display())
            }
            Self::InUse(path) => {
                write!(f, "another process records to {}", path.display())
            }
            Self::Thread(kind) => write!(f, "cannot start the recorder's thread: {kind}"),
            Self::Full => f.write_str("as many recordings as allowed go on already"),
            Self::Name => f.write_str("no file can have the recording's name"),
            Self::Layout => f.write_str("no file of this format has this layout"),
            Self::Stopped => f.write_str("the recorder's thread has ended"),
        }
    }
}

impl std::error::Error for Failure {}

/// The writer: two threads for all recordings. Dropping it ends them as [`Writer::stop`] does.
#[derive(Debug)]
pub struct Writer {
    recordings_max: usize,
    active: Arc<AtomicUsize>,
    queued: Arc<AtomicUsize>,
    last: AtomicU64,
    status: Arc<Mutex<Status>>,
    events: Receiver<Event>,
    asks: Option<Asks>,
    threads: Vec<JoinHandle<()>>,
}

/// The writer did not start; the taps, for another attempt.
pub type NotStarted = (Failure, Vec<TapReader>);

/// Starts a thread of this name.
type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

fn spawn(name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

impl Writer {
    /// Prepares the folder, starts the threads, and repairs what a crash has left there. `taps`
    /// are the rings of all shards.
    pub fn start(config: &WriterConfig, taps: Vec<TapReader>) -> Result<Self, NotStarted> {
        let prepared = Disk::prepare(&config.folder)
            .and_then(|disk| next_segment(&disk).map(|first_segment| (disk, first_segment)));
        let (disk, first_segment) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err((unprepared(config.folder.clone(), &error), taps)),
        };
        let (writer, give) = match Self::start_on(config, disk, first_segment, spawn) {
            Ok(started) => started,
            Err(error) => return Err((Failure::Thread(error.kind()), taps)),
        };
        // Last: a thread that was not started would have taken them along.
        give.send(taps).map_err(|SendError(taps)| (Failure::Stopped, taps))?;
        Ok(writer)
    }

    /// A writer that records once it is given the taps.
    fn start_on(
        config: &WriterConfig,
        storage: impl Storage + 'static,
        first_segment: u64,
        spawn: Spawn,
    ) -> io::Result<(Self, Sender<Vec<TapReader>>)> {
        // Few facts and questions of each recording while nobody looks.
        let (asks, asked) = asks(1024 + 64 * config.recordings_max);
        let (events_sender, events) = sync_channel(1024 + 4 * config.recordings_max);
        let (batches, kept) = channel();
        let (returned, spare) = channel();
        let (give, given) = channel();
        let active = Arc::new(AtomicUsize::new(0));
        let queued = Arc::new(AtomicUsize::new(0));
        let status = Arc::new(Mutex::new(Status::default()));
        let late = events_sender.clone();
        let reporter = Reporter::new(Arc::clone(&status), events_sender, Arc::clone(&active));
        let from_keeper =
            Returned { spare, queued: Arc::clone(&queued), status: Arc::clone(&status) };
        let collector = CollectorThread::new(config, asked, batches, from_keeper, late);
        let keeper =
            KeeperThread { first_segment, batches: kept, returned, queued: Arc::clone(&queued) };
        let counted = collector.counted();
        let config = config.clone();
        let recordings_max = config.recordings_max;
        let collect = move || {
            if let Ok(taps) = given.recv() {
                collector.run(taps);
            }
        };
        let keep = move || keeper.run(&config, storage, reporter, &counted);
        let threads =
            vec![spawn("recorder", Box::new(collect))?, spawn("recorder-disk", Box::new(keep))?];
        let asks = Some(asks);
        let last = AtomicU64::new(0);
        Ok((Self { recordings_max, active, queued, last, status, events, asks, threads }, give))
    }

    /// Begins a recording, which has no track yet. Never waits for the disk.
    pub fn begin(&self, start: RecordingStart) -> Result<RecordingId, Failure> {
        let stem = start.name.rsplit('/').next().unwrap_or_default();
        if !is_harmless(&start.name) || stem.len() > STEM_BYTES_MAX {
            return Err(Failure::Name);
        }
        let channels = match start.layout {
            Layout::PerTrack => 1,
            Layout::Stereo => 2,
            Layout::Multichannel(channels) => channels,
        };
        if channels == 0 || channels > start.format.channels_max() {
            return Err(Failure::Layout);
        }
        let one_more = |active: usize| (active < self.recordings_max).then_some(active + 1);
        self.active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Failure::Full)?;
        let recording = RecordingId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let asked = self.ask(Ask::Begin(recording, Box::new(start)));
        if asked.is_err() {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
        asked.map(|()| recording)
    }

    /// Adds a track, now being `at`. Only then is its tap to be started; of one that is there
    /// already, nothing earlier is kept.
    pub fn add_track(
        &self,
        recording: RecordingId,
        start: TrackStart,
        at: Instant,
    ) -> Result<(), Failure> {
        self.ask(Ask::Track(recording, Box::new(start), at))
    }

    /// Ends a track at `at`, which is now, whether or not its tap goes on. It ends by itself with its
    /// tap.
    pub fn end_track(
        &self,
        recording: RecordingId,
        tap: TapId,
        at: Instant,
    ) -> Result<(), Failure> {
        self.ask(Ask::EndTrack(recording, tap, at))
    }

    /// Tells what happened, at `at`, which is now; [`Failure::Full`] where too much of that waits.
    /// [`Note::Paused`] and [`Note::Resumed`] are more than words: nothing is kept between them.
    pub fn tell(&self, recording: RecordingId, at: Instant, note: Note) -> Result<(), Failure> {
        self.ask(Ask::Tell(recording, at, note))
    }

    /// Ends a recording, once its taps have ended, or a second later.
    pub fn end(&self, recording: RecordingId) -> Result<(), Failure> {
        self.ask(Ask::End(recording))
    }

    /// Removes all files of a finished recording that is not durable yet, so that no repair
    /// brings them back. Of a durable one the files can be removed by anybody.
    pub fn forget(&self, recording: RecordingId) -> Result<(), Failure> {
        self.ask(Ask::Forget(recording))
    }

    fn ask(&self, ask: Ask) -> Result<(), Failure> {
        self.asks.as_ref().ok_or(Failure::Stopped)?.ask(ask)
    }

    /// The next fact, if there is one.
    pub fn try_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// The numbers, as of the last flush.
    pub fn status(&self) -> Status {
        let status = *self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.active.load(Ordering::Relaxed);
        let queue_bytes = self.queued.load(Ordering::Relaxed) as u64;
        Status { active, queue_bytes, ..status }
    }

    /// Ends all recordings with what their taps hold now, and the threads. Returns the last
    /// numbers and all facts not yet taken.
    pub fn stop(mut self) -> (Status, Vec<Event>) {
        self.join();
        (self.status(), self.events.try_iter().collect())
    }

    fn join(&mut self) {
        self.asks = None;
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A panic there was printed there; here is nothing to be done about it.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.join();
    }
}

/// Why there is no folder to write to.
pub(crate) fn unprepared(path: PathBuf, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock => Failure::InUse(path),
        kind => Failure::Folder { path, kind },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use engine_control::{TapContent, TapItem, TapSink, tap_ring};

    use super::*;
    use crate::offline::{repair, verify};

    /// A new empty folder, removed with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("writer-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn start(folder: &Folder) -> (Writer, TapSink) {
        let (sink, reader) = tap_ring(1 << 20);
        let config = WriterConfig {
            recordings_max: 1,
            segment_bytes: 1 << 20,
            ..WriterConfig::new(folder.0.join("of/recordings"))
        };
        (Writer::start(&config, vec![reader]).unwrap(), sink)
    }

    fn recording(name: &str, layout: Layout) -> RecordingStart {
        let (format, about) = (Format::Wav, About::default());
        RecordingStart {
            name: name.into(),
            layout,
            format,
            rate: None,
            ends_with_tracks: true,
            about,
        }
    }

    fn track(tap: u32) -> TrackStart {
        let (tap, kind, label) = (TapId(tap), TrackKind::Mix, "mix".to_owned());
        TrackStart { tap, kind, label, participant: None, channel: None, local: None }
    }

    #[test]
    fn what_was_said_is_on_a_real_disk_and_stopping_leaves_nothing_to_repair() {
        let folder = Folder::new("real");
        let (writer, mut sink) = start(&folder);
        let id = writer.begin(recording("day/one", Layout::Multichannel(1))).unwrap();
        sink.start();
        writer.add_track(id, track(7), Instant::START).unwrap();
        let samples: [i16; 160] = std::array::from_fn(|i| i as i16 - 80);
        for period in 0..100 {
            let content =
                TapContent::Block { class: RateClass::Narrow, concealed: false, samples: &samples };
            let at = Instant::START;
            sink.push(&TapItem { tap: TapId(7), period, at, content });
        }
        let (status, events) = writer.stop();
        assert_eq!((status.active, status.finished, status.failed), (0, 1, 0));
        assert!(matches!(
            &events[..],
            [
                Event::Started { .. },
                Event::Finished { samples: 16_000, gaps: 0, .. },
                Event::Durable { .. }
            ]
        ));
        let path = folder.0.join("of/recordings");
        let mut reader = hound::WavReader::open(path.join("day/one.wav")).unwrap();
        let read: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(read, samples.repeat(100));
        assert_eq!(fs::read_dir(path.join(".journal")).unwrap().count(), 1, "the lock");
        assert_eq!(repair(&path).unwrap(), []);
        let fine =
            crate::Finding { name: "day/one.json".into(), faults: Vec::new(), is_encrypted: false };
        assert_eq!(verify(&path).unwrap(), [fine]);
        fs::write(path.join("day/one.wav"), "rotten").unwrap();
        let faults = vec![crate::Fault::Changed("day/one.wav".into())];
        assert_eq!(verify(&path).unwrap()[0].faults, faults);
    }

    #[test]
    fn names_that_leave_the_folder_and_layouts_that_no_file_has_are_refused() {
        let folder = Folder::new("names");
        let (writer, _sink) = start(&folder);
        for name in ["", "../x", "/x", "a/../x", ".x", "a\0", &"x".repeat(129)] {
            assert_eq!(
                writer.begin(recording(name, Layout::Stereo)),
                Err(Failure::Name),
                "{name:?}"
            );
        }
        assert_eq!(writer.begin(recording("x", Layout::Multichannel(0))), Err(Failure::Layout));
        let packets = RecordingStart { format: Format::Pcapng, ..recording("x", Layout::PerTrack) };
        assert_eq!(writer.begin(packets), Err(Failure::Layout));
        assert_eq!(writer.status().active, 0);
    }

    #[test]
    fn one_recording_too_many_is_refused_until_another_ends() {
        let folder = Folder::new("full");
        let (writer, _sink) = start(&folder);
        let first = writer.begin(recording("a", Layout::Stereo)).unwrap();
        assert_eq!(writer.begin(recording("b", Layout::Stereo)), Err(Failure::Full));
        writer.end(first).unwrap();
        let event = || writer.events.recv_timeout(Duration::from_secs(60)).unwrap();
        while !matches!(event(), Event::Finished { .. }) {}
        writer.begin(recording("b", Layout::Stereo)).unwrap();
    }

    #[test]
    fn a_folder_is_one_writers_at_a_time_and_the_taps_come_back() {
        let folder = Folder::new("lock");
        let (writer, _sink) = start(&folder);
        let path = folder.0.join("of/recordings");
        let (failure, taps) =
            Writer::start(&WriterConfig::new(path.clone()), vec![tap_ring(4096).1]).unwrap_err();
        assert_eq!((failure, taps.len()), (Failure::InUse(path.clone()), 1));
        for offline in [repair, verify] {
            assert_eq!(offline(&path), Err(Failure::InUse(path.clone())));
        }
        drop(writer);
        for offline in [repair, verify] {
            assert_eq!(offline(&path), Ok(Vec::new()));
        }
    }

    #[test]
    fn what_a_crash_has_left_is_not_fine_whether_or_not_there_is_an_account() {
        let folder = Folder::new("left");
        fs::create_dir(folder.0.join(".journal")).unwrap();
        let names = [".journal/0000000000000001.mmj", "a.facts.part", "a.wav.part", "b.json.part"];
        for name in names.into_iter().chain(["c.wav.age.part", "c.shelf.part", ".journal/lock"]) {
            fs::write(folder.0.join(name), "").unwrap();
        }
        let cut = |name: &str| crate::Finding {
            name: name.into(),
            faults: vec![crate::Fault::Cut],
            is_encrypted: false,
        };
        let left = [".journal", "a.facts.part", "a.wav.part", "b.json.part"].map(cut);
        assert_eq!(verify(&folder.0), Ok(left.to_vec()));
    }

    #[test]
    fn who_only_reads_changes_nothing_and_a_folder_that_is_not_there_is_not_said_to_refuse() {
        let folder = Folder::new("look");
        fs::write(folder.0.join("a.wav"), "").unwrap();
        assert_eq!(verify(&folder.0), Ok(Vec::new()));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no journal was made");
        let mut disk = Disk::look(&folder.0).unwrap();
        let file = disk.open("a.wav").unwrap();
        assert!(crate::storage::write_one(&mut disk, &file, 0, b"a").is_err());
        let path = folder.0.join("nowhere");
        for offline in [repair, verify] {
            let failure = offline(&path).unwrap_err().to_string();
            assert!(failure.starts_with("cannot read the recordings in "), "{failure}");
            assert!(failure.ends_with("nowhere: entity not found"), "{failure}");
        }
    }

    #[test]
    fn a_thread_that_does_not_start_takes_neither_the_folder_nor_the_taps_along() {
        let folder = Folder::new("threads");
        let config = WriterConfig::new(folder.0.clone());
        let one: Spawn = |name, run| match name {
            "recorder" => spawn(name, run),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        let disk = Disk::prepare(&folder.0).unwrap();
        let failed = Writer::start_on(&config, disk, 1, one).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::WouldBlock);
        let (mut sink, reader) = tap_ring(1 << 20);
        let writer = Writer::start(&config, vec![reader]).unwrap();
        let id = writer.begin(recording("a", Layout::Multichannel(1))).unwrap();
        sink.start();
        writer.add_track(id, track(7), Instant::START).unwrap();
        sink.end(TapId(7), 0, Instant::START);
        let event = || writer.events.recv_timeout(Duration::from_secs(60)).unwrap();
        while !matches!(event(), Event::Finished { .. }) {}
    }

    #[test]
    fn a_folder_that_takes_no_files_is_refused_at_start() {
        let folder = Folder::new("file");
        let path = folder.0.join("file");
        fs::write(&path, "").unwrap();
        let config = WriterConfig::new(path.join("inside"));
        let (failure, _) = Writer::start(&config, Vec::new()).unwrap_err();
        let kind = io::ErrorKind::NotADirectory;
        assert_eq!(failure, Failure::Folder { path: path.join("inside"), kind });
        assert!(failure.to_string().contains("file/inside: not a directory"), "{failure}");
    }
}
