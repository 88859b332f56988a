//! The collector empties the shards' rings, whatever disks do, and sorts what comes by track.
//!
//! It knows places on the clock and nothing of files. What it has gathered goes to the keeper in
//! one batch per flush; while the keeper has as much before it as is allowed, sound is forgotten
//! and only its place is kept.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use engine_control::{SilenceCause, TapContent, TapId, TapItem, TapReader};
use media_units::Instant;
use recorder::GapCause;
use recorder::account::Note;
use recorder::portion::{Portion, What};

use crate::report::RecordingId;
use crate::writer::{RecordingStart, TrackStart};

/// How long after its end was asked for a recording waits for the ends of its taps.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Octets of packets of one recording that wait for the keeper. A few seconds of video would be
/// too much, a few seconds of many calls are not.
const PACKETS_BYTES_MAX: usize = 16 << 20;

/// What is asked of the recorder.
#[derive(Debug)]
pub(crate) enum Ask {
    Begin(RecordingId, Box<RecordingStart>),
    Track(RecordingId, Box<TrackStart>),
    EndTrack(RecordingId, TapId),
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
    pub(crate) portion: Portion,
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
    /// When its earliest block was mixed, and in which period.
    pub(crate) first: Option<(u64, Instant)>,
    pub(crate) ends: bool,
}

/// All that came since the last.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) recordings: Vec<(RecordingId, RecordingPortion)>,
    pub(crate) bytes: usize,
}

/// What it counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// Records of taps that nobody asked for, or without a place.
    pub(crate) misplaced: u64,
    /// Periods whose sound was forgotten, and packets.
    pub(crate) unwritten: u64,
}

#[derive(Debug)]
struct Track {
    tap: TapId,
    portion: Portion,
    /// No block before it has a place.
    next: u64,
    ended: Option<u64>,
    /// Whether the keeper knows of the end.
    told: bool,
}

#[derive(Debug, Default)]
struct Gathering {
    changes: Vec<Change>,
    tracks: Vec<Track>,
    packets: Vec<Packet>,
    packet_bytes: usize,
    first: Option<(u64, Instant)>,
    paused: bool,
    ends_with_tracks: bool,
    /// Since when it is to end.
    ending: Option<Duration>,
}

/// Everything between the rings and the keeper.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    recordings: BTreeMap<RecordingId, Gathering>,
    /// Which tracks a tap is for.
    routes: HashMap<TapId, Vec<(RecordingId, usize)>>,
    /// Portions that the keeper is done with: their memory is used again.
    pub(crate) spare: Vec<Portion>,
    pub(crate) counted: Counted,
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
            Ask::Track(id, start) => self.add_track(id, start),
            Ask::EndTrack(id, tap) => self.end_track(id, tap),
            Ask::Tell(id, at, note) => {
                let Some(gathering) = self.recordings.get_mut(&id) else { return };
                match note {
                    Note::Paused => gathering.paused = true,
                    Note::Resumed => gathering.paused = false,
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
                gathering.ending.get_or_insert(now);
            }
        }
    }

    fn add_track(&mut self, id: RecordingId, start: Box<TrackStart>) {
        let Some(gathering) = self.recordings.get_mut(&id) else { return };
        let tap = start.tap;
        self.routes.entry(tap).or_default().push((id, gathering.tracks.len()));
        let portion = self.spare.pop().unwrap_or_default();
        gathering.tracks.push(Track { tap, portion, next: 0, ended: None, told: false });
        gathering.changes.push(Change::Track(start));
    }

    /// Nothing more of this tap is for that recording.
    fn end_track(&mut self, id: RecordingId, tap: TapId) {
        let Some(gathering) = self.recordings.get_mut(&id) else { return };
        for track in gathering.tracks.iter_mut().filter(|track| track.tap == tap) {
            track.ended = track.ended.or(Some(track.next));
        }
        self.forget_route(tap, id);
    }

    fn forget_route(&mut self, tap: TapId, id: RecordingId) {
        if let Some(routes) = self.routes.get_mut(&tap) {
            routes.retain(|(recording, _)| *recording != id);
            if routes.is_empty() {
                self.routes.remove(&tap);
            }
        }
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
            while let Some(item) = reader.next() {
                if !self.routes.contains_key(&item.tap) {
                    while let Some(ask) = asks() {
                        self.ask(ask, now);
                    }
                }
                self.take(&item);
            }
        }
    }

    fn take(&mut self, item: &TapItem<'_>) {
        let Some(routes) = self.routes.get(&item.tap) else {
            // The end of a tap whose recording has ended is no news.
            self.counted.misplaced += u64::from(item.content != TapContent::Ended);
            return;
        };
        for &(id, track) in routes {
            if let Some(gathering) = self.recordings.get_mut(&id) {
                gathering.take(track, item, &mut self.counted);
            }
        }
        if item.content == TapContent::Ended {
            self.routes.remove(&item.tap);
        }
    }

    /// Everything gathered, for the keeper. Where it has no room, sound is forgotten, and None.
    pub(crate) fn hand_over(&mut self, room: usize, now: Duration) -> Option<Batch> {
        let bytes = self.recordings.values().map(Gathering::bytes).sum();
        if bytes > room {
            for gathering in self.recordings.values_mut() {
                gathering.forget_sound(&mut self.counted);
            }
            return None;
        }
        let mut batch = Batch { recordings: Vec::with_capacity(self.recordings.len()), bytes };
        let mut over = Vec::new();
        for (&id, gathering) in &mut self.recordings {
            let ends = gathering.is_over(now);
            let portion = gathering.portion(ends, &mut self.spare);
            batch.recordings.push((id, portion));
            if ends {
                over.push(id);
            }
        }
        for id in over {
            let Some(gathering) = self.recordings.remove(&id) else { continue };
            for track in gathering.tracks {
                self.forget_route(track.tap, id);
            }
        }
        Some(batch)
    }

    /// Asks for the end of all recordings.
    pub(crate) fn end_all(&mut self) {
        for gathering in self.recordings.values_mut() {
            gathering.ending = Some(Duration::ZERO);
            gathering.tracks.iter_mut().for_each(|track| {
                track.ended = track.ended.or(Some(track.next));
            });
        }
    }
}

impl Gathering {
    fn take(&mut self, track: usize, item: &TapItem<'_>, counted: &mut Counted) {
        let Some(taken) = self.tracks.get_mut(track) else { return };
        if taken.ended.is_some() {
            return;
        }
        let paused = self.paused.then_some(GapCause::Paused);
        let (what, samples) = match item.content {
            TapContent::Ended => {
                taken.ended = Some(item.period.max(taken.next));
                return;
            }
            TapContent::Packet { source, on_rtcp_port, octets } => {
                if paused.is_none() {
                    self.take_packet(track, item.at, source, on_rtcp_port, octets, counted);
                }
                return;
            }
            TapContent::Block { .. } if paused.is_some() => (What::Silence(paused), &[][..]),
            TapContent::Block { class, concealed, samples } => {
                (What::Sound { class, concealed }, samples)
            }
            TapContent::Silence { cause, .. } => {
                (What::Silence(paused.or(cause_of(cause))), &[][..])
            }
        };
        let is_late = item.period < taken.next;
        if is_late || taken.portion.push(item.period, what, samples).is_err() {
            counted.misplaced += 1;
            return;
        }
        taken.next = item.period + 1;
        if self.first.is_none_or(|(period, _)| item.period < period) {
            self.first = Some((item.period, item.at));
        }
    }

    fn take_packet(
        &mut self,
        track: usize,
        at: Instant,
        source: SocketAddr,
        on_rtcp_port: bool,
        octets: &[u8],
        counted: &mut Counted,
    ) {
        if self.packet_bytes + octets.len() > PACKETS_BYTES_MAX {
            counted.unwritten += 1;
            return;
        }
        self.packet_bytes += octets.len();
        self.packets.push(Packet { track, at, source, on_rtcp_port, octets: octets.into() });
    }

    fn bytes(&self) -> usize {
        self.tracks.iter().map(|track| track.portion.bytes()).sum::<usize>() + self.packet_bytes
    }

    fn forget_sound(&mut self, counted: &mut Counted) {
        for track in &mut self.tracks {
            let spoken = |what: What| matches!(what, What::Sound { .. });
            let runs = track.portion.runs.iter();
            counted.unwritten +=
                runs.filter(|run| spoken(run.what)).map(|run| run.periods).sum::<u64>();
            track.portion.forget_sound();
        }
        counted.unwritten += self.packets.len() as u64;
        self.packets.clear();
        self.packet_bytes = 0;
    }

    fn is_over(&self, now: Duration) -> bool {
        let silent = self.tracks.iter().all(|track| track.ended.is_some());
        match self.ending {
            Some(since) => silent || now.saturating_sub(since) >= END_PATIENCE,
            None => self.ends_with_tracks && silent && !self.tracks.is_empty(),
        }
    }

    fn portion(&mut self, ends: bool, spare: &mut Vec<Portion>) -> RecordingPortion {
        let mut tracks = Vec::with_capacity(self.tracks.len());
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let ended = track.ended.filter(|_| !track.told);
            track.told |= ended.is_some();
            if track.portion.is_empty() && ended.is_none() {
                continue;
            }
            let empty =
                if track.told { Portion::default() } else { spare.pop().unwrap_or_default() };
            let portion = std::mem::replace(&mut track.portion, empty);
            tracks.push(TrackPortion { track: index, portion, ended });
        }
        self.packet_bytes = 0;
        RecordingPortion {
            changes: std::mem::take(&mut self.changes),
            tracks,
            packets: std::mem::take(&mut self.packets),
            first: self.first,
            ends,
        }
    }
}

/// Why what a tap calls silence is not what was said, where it is not.
const fn cause_of(cause: SilenceCause) -> Option<GapCause> {
    match cause {
        SilenceCause::Silent => None,
        SilenceCause::NothingReceived => Some(GapCause::NotReceived),
        SilenceCause::Digit => Some(GapCause::Digit),
        SilenceCause::Muted => Some(GapCause::Muted),
        SilenceCause::Held => Some(GapCause::Held),
    }
}
