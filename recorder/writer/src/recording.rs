//! One recording: from its tap through a buffer to its file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine_control::{TapContent, TapItem};
use media::resample::{History, Resampler};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Block, PeriodIndex, RateClass};
use recorder::{Metadata, Misplaced, Track, naming, wav};

use crate::report::{Event, RecordingId, Reporter};
use crate::storage::{Storage, StoredFile};

/// Sound kept for a storage that refuses: 16 s. What is older is lost, and marked as a gap.
pub(crate) const PENDING_BYTES_MAX: usize = 256 * 1024;

/// Which recording it is, and of what.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) recording: RecordingId,
    pub(crate) subject: String,
    pub(crate) call_id: Option<String>,
    pub(crate) started_unix_nanos: u64,
}

/// A recording that goes on.
pub(crate) struct Recording<S: Storage> {
    label: Label,
    paths: Paths,
    track: Track,
    /// What brings the tap's rate to the file's, once that is needed.
    resampler: Option<Box<(Resampler, History)>>,
    /// None until storage let us create it.
    file: Option<S::File>,
    /// Sound not yet written, in one piece.
    pending: Vec<u8>,
    /// The place of its first sample on the track.
    pending_start: u64,
    /// Where the sound in the file ends.
    written: u64,
    /// Where it ends by the file's header, once there is one.
    announced: Option<u64>,
    flushed_at: Option<Instant>,
    /// Why storage refused the last time it was asked.
    refused: Option<io::ErrorKind>,
    /// The tap has ended, or the container holds no more.
    over: bool,
}

struct Paths {
    part: PathBuf,
    wav: PathBuf,
    json: PathBuf,
}

impl<S: Storage> Recording<S> {
    pub(crate) fn new(label: Label, folder: &Path) -> Self {
        let number = label.recording.as_u64();
        let stem = naming::file_stem(&label.subject, label.started_unix_nanos, number);
        let paths = Paths {
            part: folder.join(format!("{stem}.wav.part")),
            wav: folder.join(format!("{stem}.wav")),
            json: folder.join(format!("{stem}.json")),
        };
        Self {
            label,
            paths,
            track: Track::new(),
            resampler: None,
            file: None,
            pending: Vec::new(),
            pending_start: 0,
            written: 0,
            announced: None,
            flushed_at: None,
            refused: None,
            over: false,
        }
    }

    /// Writes if that is due. Returns whether the recording goes on.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        flush_every: Duration,
        storage: &S,
        reporter: &mut Reporter,
    ) -> bool {
        if self.over {
            return false;
        }
        let due = self.flushed_at.is_none_or(|at| now.saturating_duration_since(at) >= flush_every);
        if due {
            self.flushed_at = Some(now);
            self.flush(storage, reporter);
        }
        true
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    /// Ends the recording with what it has now.
    pub(crate) fn finish(mut self, storage: &S, reporter: &mut Reporter) {
        self.flush(storage, reporter);
        self.give_up_pending();
        reporter.status.gap_blocks += self.track.gaps().samples / BLOCK_SAMPLES as u64;
        let recording = self.label.recording;
        match self.complete(storage, reporter) {
            Ok(()) => {
                reporter.status.finished += 1;
                let (samples, gaps) = (self.written, self.track.gaps().count());
                reporter.event(Event::Finished { recording, path: self.paths.wav, samples, gaps });
            }
            Err(kind) => {
                reporter.status.failed += 1;
                reporter.event(Event::Failed { recording, path: self.paths.part, kind });
            }
        }
    }

    /// Takes what its tap carried, whatever storage says.
    pub(crate) fn take(&mut self, item: &TapItem<'_>, storage: &S, reporter: &mut Reporter) {
        match item.content {
            TapContent::Block { class, samples, .. } => {
                let block = self.narrowed(class, samples);
                self.append(item.period, &block, storage, reporter);
            }
            TapContent::Silence { .. } => {
                self.append(item.period, &Block::SILENCE, storage, reporter);
            }
            TapContent::Packet { .. } => {}
            TapContent::Ended => self.end(),
        }
    }

    /// A block at the file's rate.
    fn narrowed(&mut self, class: RateClass, samples: &[i16]) -> Block {
        let mut block = Block::SILENCE;
        let (from, to) = (class.hertz(), RateClass::Narrow.hertz());
        if from == to {
            block.0.copy_from_slice(samples);
            return block;
        }
        let new = || Box::new((Resampler::new(Kernels::detect()), History::SILENT));
        let (resampler, heard) = &mut **self.resampler.get_or_insert_with(new);
        resampler.resample(heard, from, samples, to, &mut block.0);
        heard.keep(samples);
        block
    }

    fn append(&mut self, period: PeriodIndex, block: &Block, storage: &S, reporter: &mut Reporter) {
        match self.track.place(period) {
            Ok(start) => {
                let is_next = start == self.pending_end();
                if !is_next || self.pending.len() >= PENDING_BYTES_MAX {
                    self.flush(storage, reporter);
                    self.give_up_pending();
                    self.pending_start = start;
                }
                wav::append(block, &mut self.pending);
            }
            Err(Misplaced::Past) => reporter.status.misplaced_blocks += 1,
            Err(Misplaced::Full) => {
                reporter.status.misplaced_blocks += 1;
                self.end();
            }
        }
    }

    fn pending_end(&self) -> u64 {
        self.pending_start + self.pending.len() as u64 / wav::SAMPLE_BYTES
    }

    /// Tries to bring all pending sound into the file. Where storage refuses, it stays pending.
    fn flush(&mut self, storage: &S, reporter: &mut Reporter) {
        match self.write_pending(storage, reporter) {
            Ok(()) => self.refused = None,
            Err(error) => {
                if self.refused.is_none() {
                    self.report_interruption(&self.paths.part, error.kind(), reporter);
                }
                self.refused = Some(error.kind());
            }
        }
    }

    fn write_pending(&mut self, storage: &S, reporter: &mut Reporter) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(storage.create(&self.paths.part)?);
            let (recording, path) = (self.label.recording, self.paths.part.clone());
            reporter.event(Event::Started { recording, path });
        }
        let Some(file) = &self.file else { return Ok(()) };
        let mut sound = Ok(());
        while sound.is_ok() && !self.pending.is_empty() {
            sound = write_samples(file, &self.pending, self.pending_start).map(|samples| {
                let bytes = samples * wav::SAMPLE_BYTES;
                self.pending.drain(..bytes as usize);
                self.pending_start += samples;
                self.written = self.pending_start;
                reporter.status.bytes += bytes;
            });
        }
        // After the sound, so that it never speaks of what is not there. Even where sound was
        // refused: a full disk still takes the header over the old one.
        if file.write_at(&wav::header(self.written), 0)? < wav::HEADER_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.announced = Some(self.written);
        sound
    }

    /// Marks what could not be written as lost.
    fn give_up_pending(&mut self) {
        if !self.pending.is_empty() {
            let end = self.pending_end();
            self.track.mark_unwritten(self.pending_start, end - self.pending_start);
            self.pending_start = end;
            self.pending.clear();
        }
    }

    /// Makes the file safe and gives it its final name.
    fn complete(&self, storage: &S, reporter: &mut Reporter) -> Result<(), io::ErrorKind> {
        let Some(file) = self.file.as_ref().filter(|_| self.announced == Some(self.written)) else {
            return Err(self.refused.unwrap_or(io::ErrorKind::Other));
        };
        file.sync().map_err(|error| error.kind())?;
        let metadata = Metadata {
            started_unix_nanos: self.label.started_unix_nanos,
            subject: self.label.subject.clone(),
            call_id: self.label.call_id.clone(),
            samples: self.written,
            gaps: self.track.gaps().clone(),
        };
        if let Err(error) = storage.write_metadata(&self.paths.json, &metadata.to_json()) {
            // The sound is worth more than what is said about it.
            self.report_interruption(&self.paths.json, error.kind(), reporter);
        }
        storage.rename(&self.paths.part, &self.paths.wav).map_err(|error| error.kind())
    }

    fn report_interruption(&self, path: &Path, kind: io::ErrorKind, reporter: &mut Reporter) {
        reporter.status.interruptions += 1;
        let recording = self.label.recording;
        reporter.event(Event::Interrupted { recording, path: path.to_owned(), kind });
    }
}

/// Writes at least one whole sample; says how many. Half a sample is to be written again.
fn write_samples(file: &impl StoredFile, bytes: &[u8], start: u64) -> io::Result<u64> {
    match file.write_at(bytes, wav::offset(start))? as u64 / wav::SAMPLE_BYTES {
        0 => Err(io::ErrorKind::StorageFull.into()),
        samples => Ok(samples),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use engine_control::TapId;

    use super::*;
    use crate::report::Status;
    use crate::testing::{FaultyDisk, Folder, samples_of, taken};

    const FLUSH_EVERY: Duration = Duration::from_secs(1);

    /// A recording of one tap, driven by hand.
    struct Bench {
        folder: Folder,
        disk: FaultyDisk,
        recording: Recording<FaultyDisk>,
        reporter: Reporter,
        events: std::sync::mpsc::Receiver<Event>,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let folder = Folder::new();
            let (sender, events) = std::sync::mpsc::sync_channel(100);
            let label = Label {
                recording: RecordingId(1),
                subject: "../sales".into(),
                call_id: Some("call@phone".into()),
                started_unix_nanos: 0,
            };
            Self {
                recording: Recording::new(label, &folder.path),
                folder,
                disk: FaultyDisk::default(),
                reporter: Reporter::new(std::sync::Arc::default(), sender),
                events,
                now: Instant::now(),
            }
        }

        fn push(&mut self, periods: std::ops::Range<PeriodIndex>) {
            for period in periods {
                let samples = &[period as i16; BLOCK_SAMPLES];
                let class = RateClass::Narrow;
                self.take(period, TapContent::Block { class, concealed: false, samples });
            }
        }

        fn take(&mut self, period: PeriodIndex, content: TapContent<'_>) {
            let at = media_units::Instant::START;
            let item = TapItem { tap: TapId(1), period, at, content };
            self.recording.take(&item, &self.disk, &mut self.reporter);
        }

        fn poll_after(&mut self, time: Duration) -> bool {
            self.now += time;
            self.recording.poll(self.now, FLUSH_EVERY, &self.disk, &mut self.reporter)
        }

        /// Ends the recording.
        fn finish(self) -> (Folder, Vec<Event>, Status) {
            let mut reporter = self.reporter;
            self.recording.finish(&self.disk, &mut reporter);
            (self.folder, taken(&self.events), reporter.status)
        }
    }

    const STEM: &str = "19700101T000000000Z-1-___sales";

    fn sound(periods: std::ops::Range<PeriodIndex>) -> Vec<i16> {
        periods.flat_map(|period| [period as i16; BLOCK_SAMPLES]).collect()
    }

    const SILENT_BLOCK: [i16; BLOCK_SAMPLES] = [0; BLOCK_SAMPLES];

    #[test]
    fn a_recording_is_its_blocks_with_silence_where_the_clock_jumped() {
        let mut bench = Bench::new();
        bench.push(7..10);
        assert!(bench.poll_after(FLUSH_EVERY));
        bench.push(12..14);
        let (folder, events, status) = bench.finish();
        let path = folder.path.join(format!("{STEM}.wav"));
        let expected = [sound(7..10), SILENT_BLOCK.repeat(2), sound(12..14)].concat();
        assert_eq!(samples_of(&path), expected);
        assert_eq!(
            events[1..],
            [Event::Finished { recording: RecordingId(1), path, samples: 7 * 160, gaps: 1 }]
        );
        assert_eq!((status.finished, status.gap_blocks, status.bytes), (1, 2, 5 * 320));
    }

    #[test]
    fn metadata_lies_beside_the_sound_and_no_part_remains() {
        let mut bench = Bench::new();
        bench.push(7..10);
        bench.push(12..14);
        let (folder, ..) = bench.finish();
        let text = fs::read(folder.path.join(format!("{STEM}.json"))).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["subject"], "../sales");
        assert_eq!(document["call_id"], "call@phone");
        assert_eq!(document["samples"], 7 * 160);
        assert_eq!(document["gaps"][0]["start_sample"], 3 * 160);
        assert_eq!(folder.names(), [format!("{STEM}.json"), format!("{STEM}.wav")]);
    }

    #[test]
    fn the_file_plays_up_to_its_last_flush_while_it_grows() {
        let mut bench = Bench::new();
        let part = bench.folder.path.join(format!("{STEM}.wav.part"));
        assert!(bench.poll_after(Duration::ZERO));
        assert_eq!(samples_of(&part), [0_i16; 0], "playable before the first block");
        bench.push(1..3);
        bench.poll_after(FLUSH_EVERY);
        bench.push(3..4);
        bench.poll_after(FLUSH_EVERY / 2);
        assert_eq!(samples_of(&part), sound(1..3), "not yet due");
        bench.poll_after(FLUSH_EVERY / 2);
        assert_eq!(samples_of(&part), sound(1..4));
    }

    #[test]
    fn a_short_refusal_loses_nothing() {
        let mut bench = Bench::new();
        bench.push(1..3);
        bench.poll_after(FLUSH_EVERY);
        bench.disk.refuse(Some(ErrorKind::StorageFull));
        for period in 3..6 {
            bench.push(period..period + 1);
            assert!(bench.poll_after(FLUSH_EVERY), "the recording goes on");
        }
        bench.disk.refuse(None);
        bench.push(6..8);
        bench.poll_after(FLUSH_EVERY);
        let (folder, events, status) = bench.finish();
        let path = folder.path.join(format!("{STEM}.wav"));
        assert_eq!(samples_of(&path), sound(1..8));
        let interruptions =
            events.iter().filter(|event| matches!(event, Event::Interrupted { .. })).count();
        assert_eq!((interruptions, status.interruptions, status.gap_blocks), (1, 1, 0));
    }

    #[test]
    fn a_long_refusal_is_a_gap_and_later_sound_keeps_its_place() {
        const BLOCKS_MAX: u64 = PENDING_BYTES_MAX.div_ceil(2 * BLOCK_SAMPLES) as u64;
        let mut bench = Bench::new();
        bench.push(0..10);
        bench.poll_after(FLUSH_EVERY);
        bench.disk.refuse(Some(ErrorKind::StorageFull));
        let refused_until = 10 + 2 * BLOCKS_MAX + 5;
        bench.push(10..refused_until);
        bench.poll_after(FLUSH_EVERY);
        bench.disk.refuse(None);
        bench.push(refused_until..refused_until + 3);
        let (folder, events, status) = bench.finish();
        let lost = 2 * BLOCKS_MAX;
        let silence = SILENT_BLOCK.repeat(lost as usize);
        let expected = [sound(0..10), silence, sound(10 + lost..refused_until + 3)].concat();
        assert!(samples_of(&folder.path.join(format!("{STEM}.wav"))) == expected);
        assert_eq!(status.gap_blocks, lost);
        assert!(matches!(events.last(), Some(Event::Finished { gaps: 1, .. })), "{events:?}");
    }

    #[test]
    fn what_a_filling_disk_still_takes_is_in_the_file() {
        let mut bench = Bench::new();
        bench.poll_after(FLUSH_EVERY);
        bench.disk.leave_room_for(3 * 320 + 1);
        bench.push(1..6);
        bench.poll_after(FLUSH_EVERY);
        let part = bench.folder.path.join(format!("{STEM}.wav.part"));
        assert_eq!(samples_of(&part), sound(1..4));
        let (folder, events, status) = bench.finish();
        assert_eq!(samples_of(&folder.path.join(format!("{STEM}.wav"))), sound(1..4));
        assert_eq!((status.gap_blocks, status.bytes), (2, 3 * 320));
        assert!(matches!(events.last(), Some(Event::Finished { samples: 480, gaps: 1, .. })));
    }

    #[test]
    fn a_file_without_room_for_its_header_is_a_failed_recording() {
        let mut bench = Bench::new();
        bench.disk.leave_room_for(wav::HEADER_BYTES - 1);
        bench.poll_after(FLUSH_EVERY);
        let (_folder, events, status) = bench.finish();
        let kind = ErrorKind::StorageFull;
        assert!(matches!(events.last(), Some(Event::Failed { kind: met, .. }) if *met == kind));
        assert_eq!((status.finished, status.failed), (0, 1));
    }

    #[test]
    fn a_disk_full_to_the_end_leaves_what_was_written() {
        let mut bench = Bench::new();
        bench.push(1..5);
        bench.poll_after(FLUSH_EVERY);
        bench.disk.refuse(Some(ErrorKind::StorageFull));
        bench.push(5..7);
        let (folder, events, status) = bench.finish();
        assert_eq!(samples_of(&folder.path.join(format!("{STEM}.wav"))), sound(1..5));
        assert_eq!((status.finished, status.gap_blocks), (1, 2));
        // The sound, then the metadata.
        assert_eq!(status.interruptions, 2);
        let Some(Event::Finished { samples, gaps, .. }) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!((*samples, *gaps), (4 * 160, 1));
    }

    #[test]
    fn a_file_that_could_never_be_created_is_a_failed_recording() {
        let mut bench = Bench::new();
        bench.disk.refuse_creation(Some(ErrorKind::PermissionDenied));
        bench.push(1..3);
        assert!(bench.poll_after(FLUSH_EVERY));
        let (folder, events, status) = bench.finish();
        let path = folder.path.join(format!("{STEM}.wav.part"));
        let (recording, kind) = (RecordingId(1), ErrorKind::PermissionDenied);
        assert_eq!(
            events,
            [
                Event::Interrupted { recording, path: path.clone(), kind },
                Event::Failed { recording, path, kind },
            ]
        );
        assert_eq!((status.finished, status.failed, status.gap_blocks), (0, 1, 2));
        assert!(folder.names().is_empty());
    }

    #[test]
    fn a_file_that_can_be_created_later_has_the_sound_from_before() {
        let mut bench = Bench::new();
        bench.disk.refuse_creation(Some(ErrorKind::PermissionDenied));
        bench.push(1..3);
        bench.poll_after(FLUSH_EVERY);
        bench.disk.refuse_creation(None);
        bench.push(3..5);
        bench.poll_after(FLUSH_EVERY);
        let (folder, _, status) = bench.finish();
        assert_eq!(samples_of(&folder.path.join(format!("{STEM}.wav"))), sound(1..5));
        assert_eq!((status.finished, status.gap_blocks), (1, 0));
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let bench = Bench::new();
        let path = bench.folder.path.join(format!("{STEM}.wav.part"));
        fs::write(&path, "of another run").unwrap();
        let (_folder, events, _) = bench.finish();
        assert!(matches!(
            events.last(),
            Some(Event::Failed { kind: ErrorKind::AlreadyExists, .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"of another run");
    }

    #[test]
    fn a_recording_is_over_when_its_tap_has_ended() {
        let mut bench = Bench::new();
        assert!(bench.poll_after(Duration::ZERO));
        bench.push(1..3);
        bench.take(3, TapContent::Ended);
        assert!(!bench.poll_after(Duration::ZERO));
        let (folder, ..) = bench.finish();
        assert_eq!(samples_of(&folder.path.join(format!("{STEM}.wav"))), sound(1..3));
    }

    #[test]
    fn a_recording_ends_where_its_container_is_full() {
        let mut bench = Bench::new();
        bench.push(0..1);
        bench.push(wav::SAMPLES_MAX..wav::SAMPLES_MAX + 1);
        assert!(!bench.poll_after(Duration::ZERO));
        let (folder, _, status) = bench.finish();
        assert_eq!(samples_of(&folder.path.join(format!("{STEM}.wav"))), sound(0..1));
        assert_eq!(status.misplaced_blocks, 1);
    }
}
