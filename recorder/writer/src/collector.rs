//! The collector empties the shards' rings, whatever disks do, and sorts what comes by track.
//!
//! It knows places on the clock and nothing of files. What it has gathered goes to the keeper in
//! one batch per flush; while the keeper has as much before it as is allowed, sound is forgotten
//! and only its place is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine_control::{TapContent, TapId, TapItem, TapReader};
use media_units::{Instant, RateClass};
use recorder::account::{Note, TrackKind};
use recorder::portion::Scattered;

use crate::intake::{END_PATIENCE, Inlet, Intake};
use crate::report::{RecordingId, Status};
use crate::writer::{RecordingStart, TrackStart};

/// Octets of packets of one recording that wait for the keeper. A few seconds of video would be
/// too much, a few seconds of many calls are not.
const PACKETS_BYTES_MAX: usize = 16 << 20;

/// What is asked of the recorder, and where it matters when: it counts from that moment on, however
/// late it is read.
#[derive(Debug)]
pub(crate) enum Ask {
    Begin(RecordingId, Box<RecordingStart>),
    Track(RecordingId, Box<TrackStart>, Instant),
    EndTrack(RecordingId, TapId, Instant),
    Tell(RecordingId, Instant, Note),
    End(RecordingId),
    Forget(RecordingId),
}

/// What the keeper is to do with a recording before it takes its sound.
#[derive(Debug)]
pub(crate) enum Change {
    Begin(Box<RecordingStart>),
    /// A new track; it is the recording's next.
    Track(Box<TrackStart>),
    Note(Instant, Note),
    Forget,
}

/// What came of one track.
#[derive(Debug, Default)]
pub(crate) struct TrackPortion {
    pub(crate) track: usize,
    pub(crate) portion: Scattered,
    /// The rate of its tap, as far as that has been silent.
    pub(crate) class: Option<RateClass>,
    /// The first period after it, once its tap has ended.
    pub(crate) ended: Option<u64>,
}

/// A packet of a track.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) track: usize,
    pub(crate) at: Instant,
    pub(crate) source: SocketAddr,
    pub(crate) on_rtcp_port: bool,
    pub(crate) octets: Box<[u8]>,
}

/// What came of one recording.
#[derive(Debug, Default)]
pub(crate) struct RecordingPortion {
    pub(crate) changes: Vec<Change>,
    pub(crate) tracks: Vec<TrackPortion>,
    pub(crate) packets: Vec<Packet>,
    /// Tracks of which packets were forgotten.
    pub(crate) lacking: BTreeSet<usize>,
    /// When its earliest block was mixed, and in which period.
    pub(crate) first: Option<(u64, Instant)>,
    /// Whether the collector has told that the disk does not take it.
    pub(crate) was_late: bool,
    pub(crate) ends: bool,
}

/// All that came since the last.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) recordings: Vec<(RecordingId, RecordingPortion)>,
    /// The samples of all tracks, in the order in which they came.
    pub(crate) sound: Arc<Vec<i16>>,
    pub(crate) bytes: usize,
}

/// Memory that the keeper is done with: it is used again.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    pub(crate) portions: Vec<Scattered>,
    pub(crate) sounds: Vec<Vec<i16>>,
}

impl Spare {
    /// Adds more.
    pub(crate) fn append(&mut self, mut more: Self) {
        self.portions.append(&mut more.portions);
        self.sounds.append(&mut more.sounds);
    }
}

/// What it counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// Records of taps that nobody asked for, or without a place.
    pub(crate) misplaced: u64,
    /// Periods whose sound was forgotten, and packets.
    pub(crate) unwritten: u64,
}

/// Whether the keeper knows of a recording.
#[derive(Debug, Default)]
enum Known {
    /// It does not.
    #[default]
    No,
    /// Once it has taken the batch of this number.
    With(u64),
    /// Nothing is to be told in its place any more: it was, or there is nothing to be told.
    Told,
}

#[derive(Debug, Default)]
struct Gathering {
    changes: Vec<Change>,
    /// The inlets of its tracks.
    inlets: Vec<usize>,
    packets: Vec<Packet>,
    packet_bytes: usize,
    /// Tracks of which packets were forgotten since the keeper had it last.
    lacking: BTreeSet<usize>,
    /// Since when nothing is kept of it.
    paused: Option<Instant>,
    /// Whether it was told that the disk does not take it, since the keeper had it last.
    is_late: bool,
    known: Known,
    ends_with_tracks: bool,
    /// Since when it is to end.
    ending: Option<Duration>,
}

/// Everything between the rings and the keeper.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    recordings: BTreeMap<RecordingId, Gathering>,
    intake: Intake,
    /// Batches handed over.
    handed: u64,
    pub(crate) spare: Spare,
    pub(crate) counted: Counted,
    /// Recordings whose sound began to be forgotten, or which began while the disk refuses: to be
    /// told, for the keeper cannot.
    pub(crate) late: Vec<(RecordingId, ErrorKind)>,
}

impl Collector {
    /// Does what is asked.
    pub(crate) fn ask(&mut self, ask: Ask, now: Duration) {
        match ask {
            Ask::Begin(id, start) => {
                let mut gathering =
                    Gathering { ends_with_tracks: start.ends_with_tracks, ..Gathering::default() };
                gathering.changes.push(Change::Begin(start));
                self.recordings.insert(id, gathering);
            }
            Ask::Track(id, start, at) => self.add_track(id, start, at),
            Ask::EndTrack(id, tap, at) => {
                if let Some(gathering) = self.recordings.get(&id) {
                    self.intake.end(tap, &gathering.inlets, at, now);
                }
            }
            Ask::Tell(id, at, note) => {
                let Some(gathering) = self.recordings.get_mut(&id) else { return };
                match note {
                    Note::Paused => gathering.pause(at, &mut self.intake),
                    Note::Resumed => gathering.resume(at, &mut self.intake),
                    _ => {}
                }
                gathering.changes.push(Change::Note(at, note));
            }
            Ask::End(id) => {
                if let Some(gathering) = self.recordings.get_mut(&id) {
                    gathering.ending.get_or_insert(now);
                }
            }
            Ask::Forget(id) => {
                let gathering = self.recordings.entry(id).or_default();
                gathering.changes.push(Change::Forget);
                // What is no more is not interrupted.
                gathering.known = Known::Told;
                gathering.ending.get_or_insert(now);
            }
        }
    }

    fn add_track(&mut self, id: RecordingId, start: Box<TrackStart>, at: Instant) {
        let Some(gathering) = self.recordings.get_mut(&id) else { return };
        let portion = self.spare.portions.pop().unwrap_or_default();
        let mut inlet = Inlet::new(start.tap, id, gathering.inlets.len(), portion);
        inlet.has_packets = start.kind == TrackKind::Packets;
        if let Some(since) = gathering.paused {
            inlet.pauses.begin(since);
        }
        gathering.inlets.push(self.intake.add(inlet, at));
        gathering.changes.push(Change::Track(start));
    }

    /// Empties the rings. `asks` gives what is asked meanwhile: a tap may be heard of before
    /// whoever asked for it.
    pub(crate) fn drain(
        &mut self,
        readers: &mut [TapReader],
        now: Duration,
        mut asks: impl FnMut() -> Option<Ask>,
    ) {
        while let Some(ask) = asks() {
            self.ask(ask, now);
        }
        for reader in readers {
            loop {
                let mut are_known = true;
                let count = reader.look_ahead(|tap| are_known &= self.intake.expect(tap));
                while !are_known && let Some(ask) = asks() {
                    self.ask(ask, now);
                }
                if count == 0 {
                    break;
                }
                let lost_end = reader.lost_end();
                for _ in 0..count {
                    reader.read(|item| self.take(item, lost_end));
                }
            }
        }
    }

    fn take(&mut self, item: &TapItem<'_>, lost_end: u64) {
        let Self { recordings, intake, counted, .. } = self;
        let packet = |inlet: &Inlet| {
            if let Some(gathering) = recordings.get_mut(&inlet.recording)
                && !gathering.take_packet(inlet.track, item)
            {
                counted.unwritten += 1;
            }
        };
        counted.misplaced += intake.take(item, lost_end, packet);
    }

    /// Everything gathered, for the keeper, whose latest numbers are `keeper`; None where there is
    /// nothing. Where it has no room, sound is forgotten, and None: which is news. That the disk
    /// refuses the keeper has told, but not of recordings that it does not know yet: those whose
    /// first batch it has not taken.
    pub(crate) fn hand_over(
        &mut self,
        room: usize,
        keeper: &Status,
        now: Duration,
    ) -> Option<Batch> {
        let bytes = self.recordings.values().map(|one| one.bytes(&self.intake)).sum::<usize>()
            + size_of_val(&self.intake.sound[..]);
        let has_room = bytes <= room;
        for (&id, gathering) in &mut self.recordings {
            if !has_room {
                gathering.forget_sound(&mut self.intake, &mut self.counted);
            }
            let news = match keeper.refuses {
                None => (!has_room).then_some(ErrorKind::TimedOut),
                Some(kind) => gathering.is_unheard_of(keeper.taken).then_some(kind),
            };
            if let Some(kind) = news
                && !std::mem::replace(&mut gathering.is_late, true)
            {
                self.late.push((id, kind));
            }
        }
        if !has_room {
            self.intake.sound.clear();
        }
        if !has_room || self.recordings.is_empty() {
            return None;
        }
        self.handed += 1;
        let empty = self.spare.sounds.pop().unwrap_or_default();
        let sound = Arc::new(std::mem::replace(&mut self.intake.sound, empty));
        let recordings = Vec::with_capacity(self.recordings.len());
        let mut batch = Batch { recordings, sound, bytes };
        let mut over = Vec::new();
        for (&id, gathering) in &mut self.recordings {
            gathering.end_overdue(now, &mut self.intake);
            let ends = gathering.is_over(now, &self.intake);
            if matches!(gathering.known, Known::No) {
                gathering.known = Known::With(self.handed);
            }
            let portion = gathering.portion(ends, &mut self.intake, &mut self.spare.portions);
            batch.recordings.push((id, portion));
            if ends {
                over.push(id);
            }
        }
        for id in over {
            let Some(gathering) = self.recordings.remove(&id) else { continue };
            for inlet in gathering.inlets {
                self.intake.remove(inlet);
            }
        }
        Some(batch)
    }

    /// Asks for the end of all recordings.
    pub(crate) fn end_all(&mut self) {
        for gathering in self.recordings.values_mut() {
            gathering.ending = Some(Duration::ZERO);
        }
        self.intake.iter_mut().for_each(Inlet::end);
    }
}

impl Gathering {
    /// Whether the keeper, who has taken so many batches, does not know of it, for the first time
    /// that this is asked.
    fn is_unheard_of(&mut self, taken: u64) -> bool {
        let is_unheard_of = match self.known {
            Known::No => true,
            Known::With(batch) => batch > taken,
            Known::Told => false,
        };
        if is_unheard_of {
            self.known = Known::Told;
        }
        is_unheard_of
    }

    fn pause(&mut self, at: Instant, intake: &mut Intake) {
        self.paused.get_or_insert(at);
        for &inlet in &self.inlets {
            intake.get_mut(inlet).pauses.begin(at);
        }
    }

    fn resume(&mut self, at: Instant, intake: &mut Intake) {
        self.paused = None;
        for &inlet in &self.inlets {
            intake.get_mut(inlet).pauses.end(at);
        }
    }

    /// Keeps a packet, where there is room.
    fn take_packet(&mut self, track: usize, item: &TapItem<'_>) -> bool {
        let TapContent::Packet { source, on_rtcp_port, octets } = item.content else { return true };
        let bytes = self.packet_bytes + octets.len();
        if bytes <= PACKETS_BYTES_MAX {
            self.packet_bytes = bytes;
            let (at, octets) = (item.at, octets.into());
            self.packets.push(Packet { track, at, source, on_rtcp_port, octets });
        } else {
            self.lacking.insert(track);
        }
        bytes <= PACKETS_BYTES_MAX
    }

    fn bytes(&self, intake: &Intake) -> usize {
        let inlets = self.inlets.iter().map(|&inlet| intake.get(inlet).portion.bytes());
        inlets.sum::<usize>() + self.packet_bytes
    }

    fn forget_sound(&mut self, intake: &mut Intake, counted: &mut Counted) {
        for &inlet in &self.inlets {
            let portion = &mut intake.get_mut(inlet).portion;
            counted.unwritten += portion.periods_of_sound();
            portion.forget_sound();
        }
        counted.unwritten += self.packets.len() as u64;
        self.lacking.extend(self.packets.drain(..).map(|packet| packet.track));
        self.packet_bytes = 0;
    }

    /// Ends tracks that should have, and whose taps give nothing any more.
    fn end_overdue(&self, now: Duration, intake: &mut Intake) {
        for &inlet in &self.inlets {
            let inlet = intake.get_mut(inlet);
            if inlet.is_overdue(now) {
                inlet.end();
            }
        }
    }

    fn is_over(&self, now: Duration, intake: &Intake) -> bool {
        let silent = self.inlets.iter().all(|&inlet| intake.get(inlet).ended.is_some());
        match self.ending {
            Some(since) => silent || now.saturating_sub(since) >= END_PATIENCE,
            None => self.ends_with_tracks && silent && !self.inlets.is_empty(),
        }
    }

    fn portion(
        &mut self,
        ends: bool,
        intake: &mut Intake,
        spare: &mut Vec<Scattered>,
    ) -> RecordingPortion {
        let mut tracks = Vec::with_capacity(self.inlets.len());
        let mut first: Option<(u64, Instant)> = None;
        // Where there is sound, packets have no say in when it begins.
        let has_sound = self.inlets.iter().any(|&inlet| intake.get(inlet).gives_sound());
        for &inlet in &self.inlets {
            let inlet = intake.get_mut(inlet);
            let begins = inlet.first.filter(|_| !(has_sound && inlet.has_packets));
            let earlier = begins.filter(|own| first.is_none_or(|first| own.0 < first.0));
            first = earlier.or(first);
            let ended = inlet.ended.filter(|_| !inlet.told);
            inlet.told |= ended.is_some();
            if inlet.portion.is_empty() && ended.is_none() {
                continue;
            }
            let empty =
                if inlet.told { Scattered::default() } else { spare.pop().unwrap_or_default() };
            let portion = std::mem::replace(&mut inlet.portion, empty);
            tracks.push(TrackPortion { track: inlet.track, portion, class: inlet.class, ended });
        }
        self.packet_bytes = 0;
        RecordingPortion {
            changes: std::mem::take(&mut self.changes),
            tracks,
            packets: std::mem::take(&mut self.packets),
            lacking: std::mem::take(&mut self.lacking),
            first,
            was_late: std::mem::take(&mut self.is_late),
            ends,
        }
    }
}
