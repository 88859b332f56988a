//! The keeper makes files of what the collector gathered: encodes it, tells the journal, writes
//! the files, and goes on where a disk refuses.
//!
//! The order is always the same: what is new is encoded, the journal gets it, then the files get it,
//! without waiting for the disk. This is done for as many recordings as a commit of the journal
//! takes, then for the next, so that what was encoded is in the cache until it is written. Until the
//! disk holds the journal, the files get sound only: what they have of it counts as far as the
//! account says, which gets nothing before. Now and then the disk is asked to hold everything, and
//! the journal's older segments go away.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use media_units::WallClock;
use rayon::prelude::*;
use recorder::container::Format;

use crate::collector::{Batch, Change, RecordingPortion, Spare};
use crate::journal::Journal;
use crate::recording::{Recording, metadata_name};
use crate::repair;
use crate::replay;
use crate::report::{Event, RecordingId, Reporter};
use crate::sound::Bench;
use crate::storage::{Storage, Write};
use crate::writer::WriterConfig;

/// How long after a refusal the disk is asked again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How long a recording that is over waits for a disk that refuses its last bytes.
const FINISH_PATIENCE: Duration = Duration::from_secs(60);

/// How often the disk is asked to hold everything.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// After which time that is no more put off because sound waits.
const CHECKPOINT_LATEST: Duration = Duration::from_secs(60);

/// Files are written in so many groups, and between two of them it is looked whether something
/// more urgent waits; and recordings of a group at least.
const GROUPS: usize = 8;
const GROUP_MIN: usize = 8;

/// What may wait in memory for one recording's files although they take it, in octets.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// A recording that is over.
struct Finishing<F> {
    recording: Recording<F>,
    since: Duration,
}

/// The keeper of all recordings.
pub(crate) struct Keeper<S: Storage> {
    pub(crate) storage: S,
    wall: WallClock,
    journal_bytes_max: u64,
    journal: Journal<S::File>,
    recordings: BTreeMap<RecordingId, Recording<S::File>>,
    finishing: Vec<Finishing<S::File>>,
    /// Finished, but not yet certain to survive.
    undurable: Vec<Recording<S::File>>,
    bench: Bench,
    next_number: u32,
    /// Why the journal refuses what is told to it.
    refusal: Option<io::ErrorKind>,
    checkpoint: Option<Checkpoint>,
    checkpoint_after: Duration,
    /// How often the disk held everything, or should have.
    checkpoints: u64,
    pub(crate) reporter: Reporter,
    /// Periods and packets that were forgotten because files are refused.
    pub(crate) unwritten: u64,
    /// The sound of the batches that were taken last.
    sounds: Vec<Arc<Vec<i16>>>,
    /// What is done with.
    pub(crate) spare: Spare,
}

/// The disk is about to hold everything.
#[derive(Debug, Clone, Copy)]
struct Checkpoint {
    /// Segments that go away then.
    segments: usize,
    /// Recordings that are durable then.
    finished: usize,
}

impl<S: Storage> Keeper<S> {
    /// Repairs what a crash has left, and is ready to keep more. `first` is the journal's next
    /// segment, above all that a crash has left.
    pub(crate) fn new(
        config: &WriterConfig,
        mut storage: S,
        first: u64,
        mut reporter: Reporter,
    ) -> Self {
        let repaired = repair::repair_all(&mut storage);
        // Segments that could not be replayed or removed may be replayed after a crash.
        reporter.status.settled = replay::segments(&storage).is_ok_and(|left| left.is_empty());
        for outcome in repaired {
            match outcome {
                Ok(metadata) => {
                    reporter.event(Event::Repaired { metadata });
                }
                Err((account, error)) => {
                    reporter.event(Event::Unrepaired { account, kind: error.kind() });
                }
            }
        }
        Self {
            storage,
            wall: config.wall,
            journal_bytes_max: config.journal_bytes_max,
            journal: Journal::new(first, config.segment_bytes, config.sync),
            recordings: BTreeMap::new(),
            finishing: Vec::new(),
            undurable: Vec::new(),
            bench: Bench::new(),
            next_number: 0,
            refusal: None,
            checkpoint: None,
            checkpoint_after: Duration::ZERO,
            checkpoints: 0,
            reporter,
            unwritten: 0,
            sounds: Vec::new(),
            spare: Spare::default(),
        }
    }

    /// Whether it takes another batch: not while the journal refuses the last.
    pub(crate) fn is_ready(&self) -> bool {
        self.refusal.is_none()
    }

    /// Keeps all batches that wait, and whatever was refused before. The journal is told of all of
    /// them at once, however many wait: so it catches up with what is late. `is_awaited` says
    /// whether one more waits by now: then files, which the journal can make whole, are left for
    /// later, for the age of what is not in the journal is what a crash may cost.
    pub(crate) fn turn(
        &mut self,
        batches: Vec<Batch>,
        now: Duration,
        is_awaited: &dyn Fn() -> bool,
    ) {
        for batch in batches {
            self.reporter.status.taken += 1;
            self.take(batch, now);
        }
        match self.tell_journal(now, is_awaited) {
            Ok(()) => {
                self.refusal = None;
                self.write_files(false, is_awaited);
                self.finish();
            }
            Err(error) => {
                self.refusal = Some(error.kind());
                self.interrupt_all(error.kind());
            }
        }
        self.give_up(now);
        self.look_after_checkpoint(now, is_awaited);
        self.report();
        // Where the journal refused, some of it may be needed yet.
        let sounds = self.sounds.drain(..).filter_map(Arc::into_inner);
        self.spare.sounds.extend(sounds.map(|mut sound| {
            sound.clear();
            sound
        }));
    }

    fn take(&mut self, batch: Batch, now: Duration) {
        let mut touched = Vec::new();
        for (id, mut portion) in batch.recordings {
            if matches!(portion.changes.last(), Some(Change::Forget)) {
                self.forget(id);
                continue;
            }
            self.begin(id, &portion);
            if let Some(mut recording) = self.recordings.remove(&id) {
                if portion.was_late {
                    // The collector has told it: the disk held this thread up.
                    recording.is_interrupted = true;
                    self.reporter.status.interruptions += 1;
                }
                recording.take(&mut portion, &batch.sound);
                self.unwritten += std::mem::take(&mut recording.unwritten);
                touched.push(recording);
            }
            let used = portion.tracks.into_iter().map(|mut track| {
                track.portion.clear();
                track.portion
            });
            self.spare.portions.extend(used);
        }
        self.sounds.push(batch.sound);
        self.encode(&mut touched);
        for mut recording in touched {
            if recording.is_over {
                recording.conclude();
                self.finishing.push(Finishing { recording, since: now });
            } else {
                self.recordings.insert(recording.id, recording);
            }
        }
    }

    fn begin(&mut self, id: RecordingId, portion: &RecordingPortion) {
        let Some(Change::Begin(start)) = portion.changes.first() else { return };
        if self.storage.exists(&metadata_name(&start.name)) {
            let kind = io::ErrorKind::AlreadyExists;
            self.reporter.event(Event::Failed { recording: id, kind });
            return;
        }
        let recording = Recording::new(id, start, self.wall, &mut self.next_number);
        self.recordings.insert(id, recording);
    }

    /// Encodes what a codec works on, by as many threads as there are. Plain sound waits until the
    /// journal is told, so that it is in the cache then; but not the last of a recording.
    fn encode(&mut self, touched: &mut [Recording<S::File>]) {
        let (mut coded, plain): (Vec<_>, Vec<_>) = touched
            .iter_mut()
            .partition(|recording| matches!(recording.format(), Format::Opus | Format::Flac));
        for recording in plain {
            recording.is_due = !recording.is_over;
            if recording.is_over {
                recording.advance(&mut self.bench);
            }
        }
        if coded.len() > 1 {
            coded.par_iter_mut().for_each_init(Bench::new, |bench, one| one.advance(bench));
        } else {
            for recording in coded {
                recording.advance(&mut self.bench);
            }
        }
    }

    /// Makes the journal hold everything new. Sound is written into the files as soon as the journal
    /// has it, while it is in the cache; but where something more urgent waits.
    fn tell_journal(&mut self, now: Duration, is_awaited: &dyn Fn() -> bool) -> io::Result<()> {
        let Self { recordings, finishing, storage, journal, bench, .. } = self;
        let mut fresh: Vec<_> = all(recordings, finishing)
            .filter_map(|one| (one.is_due || one.is_fresh()).then_some(one))
            .collect();
        // Those before `next` were told, those before `written` in commits that were written.
        let (mut written, mut next) = (0, 0);
        journal.write(storage, now, |storage, segment, commit| {
            if commit.is_empty() {
                if !is_awaited() {
                    write_early(&mut fresh[written..next], storage);
                }
                written = next;
            }
            let Some(recording) = fresh.get_mut(next) else { return false };
            next += 1;
            if std::mem::take(&mut recording.is_due) {
                recording.advance(bench);
            }
            recording.tell_journal(segment, commit);
            true
        })?;
        fresh.into_iter().for_each(Recording::was_told);
        Ok(())
    }

    /// Writes what the journal holds: the sound, or all. Where something more urgent waits, only
    /// recordings that are over, and those that have waited for longest.
    fn write_files(&mut self, is_everything: bool, is_awaited: &dyn Fn() -> bool) {
        let Self { recordings, finishing, storage, reporter, .. } = self;
        let mut open: Vec<_> = all(recordings, finishing).collect();
        open.sort_by_key(|one| (!one.is_over, std::cmp::Reverse(one.waiting())));
        let group = open.len().div_ceil(GROUPS).max(GROUP_MIN);
        for (number, group) in open.chunks_mut(group).enumerate() {
            let can_wait =
                |one: &&mut Recording<S::File>| !one.is_over && one.waiting() <= WAITING_BYTES_MAX;
            if number > 0 && group.iter().all(can_wait) && is_awaited() {
                return;
            }
            write_group(group, is_everything, storage, reporter);
        }
    }

    /// Gives the files of recordings that are over their final names.
    fn finish(&mut self) {
        for mut one in std::mem::take(&mut self.finishing) {
            if !one.recording.is_written() {
                self.finishing.push(one);
                continue;
            }
            match one.recording.finish(&mut self.storage) {
                Ok(()) => {
                    self.reporter.status.gap_periods += one.recording.gap_periods;
                    self.reporter.event(one.recording.finished());
                    self.undurable.push(one.recording);
                }
                Err(error) => {
                    interrupt(&mut one.recording, error.kind(), &mut self.reporter);
                    self.finishing.push(one);
                }
            }
        }
    }

    /// Of recordings that are over for long, it is told that they failed.
    fn give_up(&mut self, now: Duration) {
        let reporter = &mut self.reporter;
        self.finishing.retain(|one| {
            let goes_on = now.saturating_sub(one.since) < FINISH_PATIENCE;
            if !goes_on {
                fail(&one.recording, reporter);
            }
            goes_on
        });
    }

    fn interrupt_all(&mut self, kind: io::ErrorKind) {
        for recording in all(&mut self.recordings, &mut self.finishing) {
            interrupt(recording, kind, &mut self.reporter);
        }
    }

    /// The files of this recording go away: no repair brings them back.
    fn forget(&mut self, id: RecordingId) {
        let Some(index) = self.undurable.iter().position(|one| one.id == id) else { return };
        let recording = &mut self.undurable[index];
        let mut is_told = false;
        // Where the journal refuses, the next checkpoint makes it as certain.
        let _ = self.journal.write(&mut self.storage, Duration::ZERO, |_, segment, commit| {
            if !is_told {
                recording.tell_removal(segment, commit);
            }
            !std::mem::replace(&mut is_told, true)
        });
        let _ = recording.remove(&mut self.storage);
    }

    fn look_after_checkpoint(&mut self, now: Duration, is_awaited: &dyn Fn() -> bool) {
        if let Some(checkpoint) = self.checkpoint {
            match self.storage.sync_all_outcome() {
                None => return,
                Some(outcome) => self.end_checkpoint(checkpoint, outcome, now),
            }
        }
        let is_old = self.journal.since.is_some_and(|since| now >= since + CHECKPOINT_EVERY);
        let is_large = self.journal.bytes() >= self.journal_bytes_max;
        // A full disk may have room again without the journal's older segments.
        if (is_old || is_large || self.refusal.is_some()) && now >= self.checkpoint_after {
            // One that was put off for long is put off no more.
            let is_due = self.journal.since.is_some_and(|since| now >= since + CHECKPOINT_LATEST);
            self.begin_checkpoint(now, &|| !is_due && is_awaited());
        }
    }

    /// Writes what waited for this, and asks the disk to hold it all.
    fn begin_checkpoint(&mut self, now: Duration, is_awaited: &dyn Fn() -> bool) {
        self.checkpoint_after = now + RETRY_AFTER;
        if self.refusal.is_none() {
            let recordings = self.recordings.values_mut();
            recordings.for_each(Recording::refresh_heads);
            if self.tell_journal(now, is_awaited).is_err() {
                return;
            }
        }
        self.write_files(true, is_awaited);
        if !all(&mut self.recordings, &mut self.finishing).all(Recording::is_written) {
            return;
        }
        self.journal.retire();
        if self.storage.begin_sync_all().is_ok() {
            self.journal.since = None;
            let segments = self.journal.old().len();
            self.checkpoint = Some(Checkpoint { segments, finished: self.undurable.len() });
        }
    }

    fn end_checkpoint(&mut self, checkpoint: Checkpoint, outcome: io::Result<()>, now: Duration) {
        self.checkpoint = None;
        self.checkpoints += 1;
        if let Err(error) = outcome {
            // What the disk lost of the files is still in the journal: it is written once more.
            self.interrupt_all(error.kind());
            let old: Vec<u64> = self.journal.old().iter().map(|old| old.number).collect();
            let _ = replay::replay(&mut self.storage, &old);
            self.journal.since = Some(now);
            self.checkpoint_after = now + RETRY_AFTER;
            return;
        }
        if let Err(error) = self.journal.release(&mut self.storage, checkpoint.segments, now) {
            self.interrupt_all(error.kind());
            self.journal.since = Some(now);
            return;
        }
        self.reporter.status.settled = true;
        for recording in self.undurable.drain(..checkpoint.finished) {
            self.reporter.event(Event::Durable { recording: recording.id });
        }
    }

    fn report(&mut self) {
        let status = &mut self.reporter.status;
        status.refuses = self.refusal;
        status.syncs = self.journal.syncs + self.checkpoints;
        status.commits = self.journal.commits;
        status.journal_bytes = self.journal.bytes();
        self.reporter.publish();
    }

    /// Ends: what is not finished by now failed. Where nothing did, the journal is not needed any
    /// more, and the next start has nothing to repeat.
    pub(crate) fn stop(&mut self) {
        let is_whole = self.is_idle() && self.recordings.is_empty();
        let finishing = std::mem::take(&mut self.finishing).into_iter().map(|one| one.recording);
        for recording in finishing.chain(std::mem::take(&mut self.recordings).into_values()) {
            fail(&recording, &mut self.reporter);
        }
        if is_whole && self.storage.sync_all().is_ok() {
            self.journal.clear(&mut self.storage);
            for recording in self.undurable.drain(..) {
                self.reporter.event(Event::Durable { recording: recording.id });
            }
        }
        self.report();
    }

    /// Whether everything is where it belongs.
    pub(crate) fn is_idle(&self) -> bool {
        self.finishing.is_empty() && self.refusal.is_none()
    }
}

/// All whose files grow, or are still to be finished.
fn all<'a, F>(
    recordings: &'a mut BTreeMap<RecordingId, Recording<F>>,
    finishing: &'a mut [Finishing<F>],
) -> impl Iterator<Item = &'a mut Recording<F>> {
    recordings.values_mut().chain(finishing.iter_mut().map(|one| &mut one.recording))
}

/// Writes the sound of these recordings, while it is in the cache. What is refused is tried again once
/// the journal is certain.
fn write_early<S: Storage>(group: &mut [&mut Recording<S::File>], storage: &mut S) {
    let done = write_each(group.iter().map(|recording| recording.early_writes()), storage);
    for (recording, done) in group.iter_mut().zip(done) {
        if done.count > 0 && done.refused.is_none() {
            recording.were_written_early();
        }
    }
}

/// Writes files of these recordings: the sound, or all.
fn write_group<S: Storage>(
    group: &mut [&mut Recording<S::File>],
    is_everything: bool,
    storage: &mut S,
    reporter: &mut Reporter,
) {
    let mut open = Vec::with_capacity(group.len());
    for recording in group {
        match recording.open(storage, is_everything) {
            Ok(()) => open.push(recording),
            Err(error) => interrupt(recording, error.kind(), reporter),
        }
    }
    let done = write_each(open.iter().map(|recording| recording.writes()), storage);
    for (recording, done) in open.into_iter().zip(done) {
        reporter.status.bytes += recording.were_written(done.refused.is_none()) as u64;
        match done.refused {
            Some(error) => interrupt(recording, error.kind(), reporter),
            None if done.count > 0 => resume(recording, reporter),
            None => {}
        }
    }
}

/// What became of the writes of one recording.
struct Written {
    count: usize,
    /// What the disk said to the first that it refused.
    refused: Option<io::Error>,
}

/// Performs the writes of all of these together, and says what became of those of each.
fn write_each<'a, S: Storage<File: 'a>, W: Iterator<Item = Write<'a, S::File>>>(
    each: impl Iterator<Item = W>,
    storage: &mut S,
) -> Vec<Written> {
    let mut writes = Vec::new();
    let counts: Vec<usize> = each
        .map(|more| {
            let before = writes.len();
            writes.extend(more);
            writes.len() - before
        })
        .collect();
    let mut outcomes = Vec::with_capacity(writes.len());
    storage.write(&writes, &mut outcomes);
    let mut outcomes = outcomes.into_iter();
    let written = |count| {
        // All of them are to be taken from the list, whatever the first says.
        let refused = outcomes.by_ref().take(count).fold(None, |first, one| first.or(one.err()));
        Written { count, refused }
    };
    counts.into_iter().map(written).collect()
}

fn interrupt<F>(recording: &mut Recording<F>, kind: io::ErrorKind, reporter: &mut Reporter) {
    recording.refused = Some(kind);
    if !std::mem::replace(&mut recording.is_interrupted, true) {
        reporter.event(Event::Interrupted { recording: recording.id, kind });
    }
}

fn resume<F>(recording: &mut Recording<F>, reporter: &mut Reporter) {
    if !std::mem::replace(&mut recording.was_started, true) {
        reporter.event(Event::Started { recording: recording.id });
    }
    if std::mem::replace(&mut recording.is_interrupted, false) {
        reporter.event(Event::Resumed { recording: recording.id });
    }
}

fn fail<F>(recording: &Recording<F>, reporter: &mut Reporter) {
    let kind = recording.refused.unwrap_or(io::ErrorKind::TimedOut);
    reporter.event(Event::Failed { recording: recording.id, kind });
}
