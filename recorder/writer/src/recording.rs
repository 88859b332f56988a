//! One recording as the keeper sees it: its account, its files, and what waits for a place.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use media_units::{RateClass, WallClock};
use recorder::account::{
    Account, Fact, FileFacts, Kept, Layout, TRACKS_MAX, TrackFacts, TrackKind, VERSION,
};
use recorder::container::{Format, pcapng};
use recorder::journal::Commit;
use recorder::metadata::Sealed;
use recorder::{Gap, GapCause, Metadata};

use crate::collector::{Change, Packet, RecordingPortion};
use crate::growing::Growing;
use crate::report::{Event, RecordingId};
use crate::sound::{Bench, SoundFile, Voice, Waiting};
use crate::storage::{Storage, Write};
use crate::track::{Place, Track};
use crate::writer::{RecordingStart, TrackStart};

/// Characters of a track's label that are part of its file's name.
const LABEL_LENGTH_MAX: usize = 64;

/// Sound that a recording may have encoded while its own files are refused. What comes beyond it
/// is lost, and marked.
const REFUSED_BYTES_MAX: usize = 1 << 20;

/// Periods for which a recording waits for what is behind: a second.
const BEHIND_MAX: u64 = 50;

/// A recording that goes on, or whose end is not yet on the disk.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not whatever the others are")]
pub(crate) struct Recording<F> {
    pub(crate) id: RecordingId,
    stem: String,
    layout: Layout,
    format: Format,
    rate: Option<RateClass>,
    wall: WallClock,
    pub(crate) account: Account,
    /// The first period, on the shard's clock.
    origin: Option<u64>,
    /// Its length so far.
    periods: u64,
    tracks: Vec<Track>,
    files: Vec<SoundFile<F>>,
    /// The file that tracks share, by the layout.
    shared: Option<usize>,
    packets: Option<Growing<F>>,
    facts: Growing<F>,
    /// The metadata, once it is over.
    document: Option<Growing<F>>,
    next_number: u32,
    /// Whether the end has come, after which nothing does.
    pub(crate) is_over: bool,
    /// Whether what came is still to be encoded.
    pub(crate) is_due: bool,
    pub(crate) was_started: bool,
    pub(crate) is_interrupted: bool,
    /// Why a file was refused the last time.
    pub(crate) refused: Option<io::ErrorKind>,
    /// Periods of all tracks that are silence in place of what was said.
    pub(crate) gap_periods: u64,
    /// Periods of sound, and packets, that were forgotten because its files are refused.
    pub(crate) unwritten: u64,
    /// Tracks of which packets were forgotten and that is not told yet.
    lacking: BTreeSet<usize>,
}

/// Files of one recording that the journal can tell apart.
const NUMBERS: u32 = 2 * TRACKS_MAX as u32 + 3;

impl<F> Recording<F> {
    /// A recording of nothing yet. `number` tells its files from those of others in the journal.
    pub(crate) fn new(
        id: RecordingId,
        start: &RecordingStart,
        wall: WallClock,
        number: &mut u32,
    ) -> Self {
        let facts = Growing::new(format!("{}.facts", start.name), *number, Vec::new());
        let next_number = *number + 1;
        *number = number.wrapping_add(NUMBERS);
        let mut recording = Self {
            id,
            stem: start.name.clone(),
            layout: start.layout,
            format: start.format,
            rate: start.rate,
            wall,
            account: Account::default(),
            origin: None,
            periods: 0,
            tracks: Vec::new(),
            files: Vec::new(),
            shared: None,
            packets: None,
            facts,
            document: None,
            next_number,
            is_over: false,
            is_due: false,
            was_started: false,
            is_interrupted: false,
            refused: None,
            gap_periods: 0,
            unwritten: 0,
            lacking: BTreeSet::new(),
        };
        let (name, layout, about) = (start.name.clone(), start.layout, start.about.clone());
        recording.tell(Fact::Begun { version: VERSION, name, layout, about });
        recording
    }

    fn tell(&mut self, fact: Fact) {
        self.facts.append(|out| Account::line(&fact, out));
        self.account.add(fact);
    }

    fn number(&mut self, files: u32) -> u32 {
        self.next_number += files;
        self.next_number - files
    }

    /// Takes what the collector has, whose sound is in `sound`.
    pub(crate) fn take(&mut self, portion: &mut RecordingPortion, sound: &Arc<Vec<i16>>) {
        for change in portion.changes.drain(..) {
            match change {
                Change::Track(start) => self.add_track(*start),
                Change::Note(at, note) => {
                    let unix_nanos = self.wall.unix_nanos(at);
                    self.tell(Fact::Note { unix_nanos, note });
                }
                Change::Begin(_) | Change::Forget => {}
            }
        }
        if let (None, Some((period, at))) = (self.origin, portion.first) {
            self.origin = Some(period);
            let unix_nanos = self.wall.unix_nanos(at);
            self.tell(Fact::Origin { unix_nanos });
        }
        self.place_packets();
        let is_refused = self.waiting() > REFUSED_BYTES_MAX;
        for taken in &mut portion.tracks {
            let Some(track) = self.tracks.get_mut(taken.track) else { continue };
            if is_refused && self.is_interrupted {
                self.unwritten += taken.portion.periods_of_sound();
                taken.portion.forget_sound();
            }
            if let (Some(start), Some(end)) = (taken.portion.start(), taken.portion.end()) {
                track.first = track.first.or(Some(start));
                track.end = end;
            }
            track.last = track.last.or(taken.ended);
            if let (Place::Packets, Some(_)) = (track.place, track.first) {
                // Where none came at last, it lasts all the same.
                track.end = track.end.max(track.last.unwrap_or_default());
            }
            track.class = taken.class.or(track.class);
            match track.place {
                Place::Sound { file, voice } => {
                    self.files[file].voices[voice].waiting.take(&mut taken.portion, sound);
                }
                Place::Undecided => track.early.gather(&taken.portion, sound),
                Place::Packets => {}
            }
        }
        self.is_over |= portion.ends;
        self.lacking.append(&mut portion.lacking);
        if is_refused {
            self.unwritten += portion.packets.len() as u64;
            self.lacking.extend(portion.packets.iter().map(|packet| packet.track));
        } else {
            self.take_packets(&portion.packets);
        }
    }

    fn add_track(&mut self, start: TrackStart) {
        if self.tracks.len() >= TRACKS_MAX {
            return;
        }
        let sounds = |track: &&Track| track.kind != TrackKind::Packets;
        let next = self.tracks.iter().filter(sounds).count() as u16;
        let channel = start.channel.unwrap_or(next);
        // For whom the shared file has no place, there is a file of its own.
        let channel = (channel < self.shared_channels()).then_some(channel);
        let is_taken = |label: &str| self.tracks.iter().any(|track| track.label == label);
        let label = unlike(&start.label, self.tracks.len() + 1, is_taken);
        let start = TrackStart { label, ..start };
        self.tracks.push(Track::new(start, channel));
    }

    /// The audio channels of the file that tracks share; none, where each has its own.
    fn shared_channels(&self) -> u16 {
        match self.layout {
            Layout::PerTrack => 0,
            Layout::Stereo => 2,
            Layout::Multichannel(channels) => channels,
        }
    }

    fn take_packets(&mut self, packets: &[Packet]) {
        for packet in packets {
            let Some(track) = self.tracks.get(packet.track) else { continue };
            let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let mut local = track.local.unwrap_or(nowhere);
            if packet.on_rtcp_port {
                local.set_port(local.port().wrapping_add(1));
            }
            let at = self.wall.unix_nanos(packet.at);
            if let Some(file) = &mut self.packets {
                file.append(|out| {
                    pcapng::append_packet(at, packet.source, local, &packet.octets, out);
                });
            }
        }
    }

    /// Makes all files as long as the clock says that everything is known; at the end, that is
    /// the end.
    pub(crate) fn advance(&mut self, bench: &mut Bench) {
        let Some(origin) = self.origin else {
            self.tell_end();
            return;
        };
        self.place_all();
        self.files.iter_mut().for_each(|file| file.gather(bench));
        let latest = self.timing().map(|track| track.end).max().unwrap_or(origin);
        let known = if self.is_over { latest } else { self.known(latest) };
        let periods = known.saturating_sub(origin).max(self.periods);
        for index in 0..self.tracks.len() {
            self.tell_of_track(index, origin, origin + periods);
        }
        for file in &mut self.files {
            file.advance(origin, periods, bench);
            if self.is_over {
                file.end();
            }
        }
        self.tell_lacking(periods);
        self.periods = periods;
        self.tell_end();
    }

    /// Up to where everything has come that comes: as far as all that goes on has, whichever shard it
    /// is of. But of who is far behind, it is said to be late.
    fn known(&self, latest: u64) -> u64 {
        let is_going = |track: &&Track| track.first.is_some() && track.last.is_none();
        let sounds = self.timing().filter(|track| track.kind != TrackKind::Packets);
        let least = sounds.filter(is_going).map(|track| track.end).min().unwrap_or(latest);
        // The ring may have been read in the middle of a tick: others of that period come later.
        least.clamp(latest.saturating_sub(BEHIND_MAX), latest.saturating_sub(1))
    }

    /// The tracks that say how long it is: those of sound, or else all.
    fn timing(&self) -> impl Iterator<Item = &Track> {
        let is_sound = |track: &Track| track.kind != TrackKind::Packets;
        // One whose tap was refused has ended and never begun.
        let gives = |track: &Track| track.first.is_some() || track.last.is_none();
        let has_sound = self.tracks.iter().any(|track| is_sound(track) && gives(track));
        self.tracks.iter().filter(move |track| is_sound(track) || !has_sound)
    }

    /// Marks where packets were forgotten: between the length so far and the new one.
    fn tell_lacking(&mut self, to: u64) {
        let (start, periods) = (self.periods, to.saturating_sub(self.periods));
        if periods == 0 {
            return;
        }
        for index in std::mem::take(&mut self.lacking) {
            let Some(track) = self.tracks.get(index).and_then(|track| track.number) else {
                continue;
            };
            self.gap_periods += periods;
            let gap = Gap { start, periods, cause: GapCause::Unwritten };
            self.tell(Fact::Gap { track, gap });
        }
    }

    fn tell_of_track(&mut self, index: usize, origin: u64, to: u64) {
        let track = &mut self.tracks[index];
        let waiting = match track.place {
            Place::Sound { file, voice } => Some(&self.files[file].voices[voice].waiting),
            Place::Packets => None,
            Place::Undecided => return,
        };
        let facts = track.facts(waiting, origin, to);
        for fact in facts {
            if let Fact::Gap { gap, .. } = &fact
                && gap.cause != GapCause::Concealed
            {
                self.gap_periods += gap.periods;
            }
            self.tell(fact);
        }
    }

    /// Says how long everything is now, and, where it is so, that this was the end.
    fn tell_end(&mut self) {
        if self.is_over {
            self.tell(Fact::Ended);
        }
        let packets = self.packets.as_ref();
        let packets = packets.map(|file| Kept { bytes: file.length, periods: self.periods });
        let mut sounds = self.files.iter().map(SoundFile::kept);
        let is_packets = |file: &FileFacts| file.format == Format::Pcapng.extension();
        let kept: Vec<Kept> = self
            .account
            .files
            .iter()
            .filter_map(|file| if is_packets(file) { packets } else { sounds.next() })
            .collect();
        if kept != self.account.kept || self.is_over {
            self.tell(Fact::Kept { files: kept });
        }
    }

    /// Gives a file to each track whose rate is known by now.
    fn place_all(&mut self) {
        let widest = self.tracks.iter().filter_map(Track::rate).max();
        for index in 0..self.tracks.len() {
            let track = &self.tracks[index];
            let has_place = track.place != Place::Undecided || track.kind == TrackKind::Packets;
            if has_place || (track.first.is_none() && !self.is_over) {
                continue;
            }
            let own = if track.channel.is_some() { widest } else { track.rate() };
            let rate = self.rate.or(own).unwrap_or(RateClass::Narrow);
            let Some(file) = self.file_for(index, rate) else { continue };
            let track = &mut self.tracks[index];
            let waiting = Waiting::early(std::mem::take(&mut track.early));
            let voice = Voice::new(track.channel.unwrap_or_default(), waiting);
            self.files[file].voices.push(voice);
            track.place = Place::Sound { file, voice: self.files[file].voices.len() - 1 };
            let file = self.files[file].media.name.clone();
            self.tell_track(index, &file);
        }
    }

    fn tell_track(&mut self, index: usize, file: &str) {
        let track = &self.tracks[index];
        let named = |facts: &FileFacts| facts.name == file;
        let facts = TrackFacts {
            label: track.label.clone(),
            kind: track.kind,
            participant: track.participant.clone(),
            file: self.account.files.iter().position(named).unwrap_or_default() as u32,
            channel: track.channel.unwrap_or_default(),
        };
        self.tracks[index].number = Some(self.account.tracks.len() as u32);
        self.tell(Fact::Track(facts));
    }

    /// The file of a track; a new one where it has none yet.
    fn file_for(&mut self, track: usize, rate: RateClass) -> Option<usize> {
        let is_shared = self.tracks[track].channel.is_some();
        if is_shared && self.shared.is_some() {
            return self.shared;
        }
        let (channels, stem) = if is_shared {
            (self.shared_channels(), self.stem.clone())
        } else {
            (1, self.stem_for(&self.tracks[track].label))
        };
        let number = self.number(2);
        let file = SoundFile::new(&stem, self.format, rate, channels, number).ok()?;
        self.tell(Fact::File(FileFacts {
            name: file.media.name.clone(),
            format: self.format.extension().to_owned(),
            sample_rate: rate.hertz(),
            channels,
            peaks: Some(file.preview.name.clone()),
        }));
        self.files.push(file);
        let place = self.files.len() - 1;
        if is_shared {
            self.shared = Some(place);
        }
        Some(place)
    }

    /// The name of a track's file without its ending, unlike those of all others.
    fn stem_for(&self, label: &str) -> String {
        let stem = format!("{}-{}", self.stem, harmless(label));
        let media = |stem: &str| format!("{stem}.{}", self.format.extension());
        let is_taken = |stem: &str| self.files.iter().any(|file| file.media.name == media(stem));
        unlike(&stem, self.files.len() + 1, is_taken)
    }

    fn place_packets(&mut self) {
        for index in 0..self.tracks.len() {
            let track = &self.tracks[index];
            if track.kind != TrackKind::Packets || track.place != Place::Undecided {
                continue;
            }
            let name = format!("{}.{}", self.stem, Format::Pcapng.extension());
            if self.packets.is_none() {
                let mut head = Vec::new();
                pcapng::begin(&mut head);
                let number = self.number(1);
                self.packets = Some(Growing::new(name.clone(), number, head));
                let format = Format::Pcapng.extension().to_owned();
                let (sample_rate, channels, peaks) = (0, 0, None);
                let facts = FileFacts { name: name.clone(), format, sample_rate, channels, peaks };
                self.tell(Fact::File(facts));
            }
            self.tracks[index].place = Place::Packets;
            self.tell_track(index, &name);
        }
    }
}

/// What becomes of a recording's files on the disk.
impl<F> Recording<F> {
    /// The kind of its files of sound.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Tells the journal that all files go away.
    pub(crate) fn tell_removal(&mut self, segment: u64, commit: &mut Commit<'_>) {
        self.growing().for_each(|growing| growing.tell_removal(segment, commit));
    }

    /// Removes all files.
    pub(crate) fn remove<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        self.growing().try_for_each(|growing| growing.remove(storage))
    }

    fn growing(&mut self) -> impl Iterator<Item = &mut Growing<F>> {
        let files = self.files.iter_mut().flat_map(|file| [&mut file.media, &mut file.preview]);
        files.chain(&mut self.packets).chain([&mut self.facts]).chain(&mut self.document)
    }

    /// The files whose growth can be heard at once; the others can wait for a while.
    fn media(&mut self) -> impl Iterator<Item = &mut Growing<F>> {
        self.files.iter_mut().map(|file| &mut file.media).chain(&mut self.packets)
    }

    /// Octets in memory that no file has yet.
    pub(crate) fn waiting(&self) -> usize {
        let files = self.files.iter();
        let files = files.map(|file| file.media.waiting() + file.preview.waiting()).sum::<usize>();
        files + self.packets.as_ref().map_or(0, Growing::waiting)
    }

    /// Writes the metadata, once everything else is decided.
    pub(crate) fn conclude(&mut self) {
        let mut sounds = self.files.iter();
        let sealed: Vec<Sealed> = (self.account.files.iter())
            .filter_map(|file| {
                if file.format == Format::Pcapng.extension() {
                    let (file, samples) = (self.packets.as_ref()?, self.periods);
                    return Some(Sealed { bytes: file.length, samples, crc32: file.crc32() });
                }
                let SoundFile { media, rate, periods, .. } = sounds.next()?;
                let samples = periods * rate.block_samples() as u64;
                Some(Sealed { bytes: media.length, samples, crc32: media.crc32() })
            })
            .collect();
        let metadata = Metadata::of(&self.account, &sealed);
        let number = self.number(1);
        let mut document = Growing::new(metadata_name(&self.stem), number, Vec::new());
        document.append(|out| out.extend(metadata.to_json()));
        self.document = Some(document);
    }

    /// Tells the journal everything new.
    pub(crate) fn tell_journal(&mut self, segment: u64, commit: &mut Commit<'_>) {
        let is_over = self.document.is_some();
        for growing in self.growing().filter(|growing| growing.is_fresh()) {
            growing.tell(segment, commit);
        }
        if is_over {
            let facts = self.facts.name.clone();
            for growing in self.growing() {
                if growing.name == facts {
                    growing.tell_removal(segment, commit);
                } else {
                    growing.tell_finish(segment, commit);
                }
            }
        }
    }

    /// Whether the journal is to be told something.
    pub(crate) fn is_fresh(&mut self) -> bool {
        self.growing().any(|growing| growing.is_fresh())
    }

    /// The journal holds it.
    pub(crate) fn was_told(&mut self) {
        self.growing().for_each(Growing::was_told);
    }

    /// What is to be written into files now: that of sound, or of all.
    pub(crate) fn open<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        all: bool,
    ) -> io::Result<()> {
        let all = all || self.document.is_some();
        if all {
            self.growing().try_for_each(|growing| growing.open(storage))
        } else {
            self.media().try_for_each(|growing| growing.open(storage))
        }
    }

    /// The writes of all files that are open.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'_, F>> {
        let files = self.files.iter().flat_map(|file| [&file.media, &file.preview]);
        let all = files.chain(&self.packets).chain([&self.facts]).chain(&self.document);
        all.flat_map(Growing::writes)
    }

    /// What of the sound can be written before it is certain that the disk holds the journal.
    pub(crate) fn early_writes(&self) -> impl Iterator<Item = Write<'_, F>> {
        let can_be = !self.is_over && !self.is_interrupted;
        let files = self.files.iter().filter(move |_| can_be);
        files.flat_map(|file| file.media.early_writes())
    }

    /// All early writes were performed.
    pub(crate) fn were_written_early(&mut self) {
        self.files.iter_mut().for_each(|file| file.media.were_written_early());
    }

    /// All writes were performed, or one of them was refused. Returns how many octets were
    /// written. Files that are seldom written are closed.
    pub(crate) fn were_written(&mut self, taken: bool) -> usize {
        let bytes = self.growing().map(|growing| growing.were_written(taken)).sum();
        self.facts.close();
        self.files.iter_mut().for_each(|file| file.preview.close());
        bytes
    }

    /// Brings what stands at the files' starts up to date.
    pub(crate) fn refresh_heads(&mut self) {
        if !self.is_over {
            self.files.iter_mut().for_each(SoundFile::refresh_heads);
        }
    }

    /// Whether everything that the journal holds is in the files, too.
    pub(crate) fn is_written(&mut self) -> bool {
        self.growing().all(|growing| growing.is_written())
    }

    /// Gives all files their final names. Can be repeated.
    pub(crate) fn finish<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        let facts = self.facts.name.clone();
        let mut others = self.growing().filter(|growing| growing.name != facts);
        others.try_for_each(|growing| growing.finish(storage))?;
        drop(others);
        self.facts.remove(storage)
    }

    /// What is told when it is finished.
    pub(crate) fn finished(&self) -> Event {
        let rates = self.files.iter().map(|file| file.rate);
        let clock_rate = rates.max().unwrap_or(RateClass::Narrow);
        Event::Finished {
            recording: self.id,
            metadata: metadata_name(&self.stem),
            files: self.account.files.iter().map(|file| file.name.clone()).collect(),
            samples: self.periods * clock_rate.block_samples() as u64,
            clock_rate: clock_rate.hertz(),
            gaps: self.account.tracks.iter().map(|track| track.gaps.count()).sum(),
        }
    }
}

/// The name of a recording's metadata.
pub(crate) fn metadata_name(stem: &str) -> String {
    format!("{stem}.json")
}

/// `wanted`, or, where that is taken, with the first number from `number` on with which it is not.
fn unlike(wanted: &str, number: usize, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (number..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

/// A label as a part of a file's name.
fn harmless(label: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_+".contains(c) { c } else { '_' };
    label.chars().take(LABEL_LENGTH_MAX).map(plain).collect()
}
