//! The recordings that go on: what each taps, and how it is kept.
//!
//! One point of the engine has at most one tap, however many recordings want it: they share it.

mod taps;

use std::collections::{BTreeMap, HashMap};

use engine_control::{Command, Event, Prompt, Refusal, SessionKey, TapId, TapPoint};
use media_units::{Instant, RateClass};
use recorder::naming::{Named, Template};
use recorder_shelf::Shelf;
use recorder_writer::{
    About, Event as Told, Failure, Format, Layout, Note, Participant, RecordingStart as Written,
    TrackKind,
};
use serde_json::{Value, json};
use signaling::{Outside, RecordedParticipant, RecordedTrack, RecordingId, RecordingStart};

use super::keeper::{Desk, Notice};
use crate::config::Arrangement;
use crate::world::World;

/// How a recording is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// What kind of files.
    pub(crate) format: Format,
    /// The rate of all files; none: each at that of its tracks.
    pub(crate) rate: Option<RateClass>,
    /// Which tracks share a file.
    pub(crate) arrangement: Arrangement,
    /// Audio channels of that file where tracks come later.
    pub(crate) channels: u16,
    /// Whether it ends with the last of its tracks, or only when it is ended: as others may come.
    pub(crate) ends_with_tracks: bool,
}

/// The recordings that go on.
#[derive(Debug)]
pub(crate) struct Recordings {
    names: Template,
    /// How those are kept that the front end begins.
    usual: Keeping,
    begun: u64,
    taps_begun: u32,
    taps: HashMap<TapPoint, Tap>,
    /// The points of taps that nobody uses and whose shard was not told so yet: its ring is full, or too
    /// much waits for a session that is under way.
    unused: Vec<TapPoint>,
    /// By the writer's numbers.
    going: BTreeMap<RecordingId, Going>,
    /// Those that are over and were not on the shelf when this was looked at last.
    finishing: BTreeMap<RecordingId, Going>,
    /// All that the writer has begun and the disk may not hold yet.
    volatile: BTreeMap<recorder_writer::RecordingId, Volatile>,
}

/// What a crash may still change.
#[derive(Debug)]
struct Volatile {
    name: String,
    is_finished: bool,
}

#[derive(Debug)]
struct Tap {
    id: TapId,
    users: Vec<RecordingId>,
}

/// A recording that goes on, or did so last.
#[derive(Debug, Clone)]
pub(crate) struct Going {
    written: recorder_writer::RecordingId,
    /// The name of its files, without their endings.
    pub(crate) name: String,
    /// What it is of.
    pub(crate) about: About,
    /// When it began.
    pub(crate) began: Instant,
    /// When it ended.
    pub(crate) ended: Option<Instant>,
    /// Whether nothing is kept at present.
    pub(crate) paused: bool,
    /// What it taps.
    pub(crate) tracks: Vec<RecordedTrack>,
    /// How many tracks it has had.
    tracks_begun: usize,
}

impl Recordings {
    pub(crate) fn new(names: Template, usual: Keeping) -> Self {
        Self {
            names,
            usual,
            begun: 0,
            taps_begun: 0,
            taps: HashMap::new(),
            unused: Vec::new(),
            going: BTreeMap::new(),
            finishing: BTreeMap::new(),
            volatile: BTreeMap::new(),
        }
    }

    /// How recordings are kept where nothing else is said.
    pub(crate) fn usual(&self) -> &Keeping {
        &self.usual
    }

    /// Those that go on, in the order of their beginning.
    pub(crate) fn going(&self) -> impl Iterator<Item = (RecordingId, &Going)> {
        self.going.iter().map(|(id, going)| (*id, going))
    }

    /// Those that are over and not on the shelf yet, in the same order.
    pub(crate) fn finishing(&self, shelf: &Shelf) -> impl Iterator<Item = &Going> {
        self.finishing.values().filter(|going| self.is_coming(going, shelf))
    }

    /// Whether the writer has not finished a recording that is over, or the shelf not taken it.
    fn is_coming(&self, going: &Going, shelf: &Shelf) -> bool {
        let one = self.volatile.get(&going.written);
        one.is_some_and(|one| !one.is_finished) || shelf.is_coming(&going.name)
    }

    /// One that goes on.
    pub(crate) fn get(&self, id: RecordingId) -> Option<&Going> {
        self.going.get(&id)
    }

    /// Whether anything of a session is recorded.
    pub(crate) fn is_tapped(&self, session: SessionKey) -> bool {
        TapPoint::of_session(session).iter().any(|point| self.taps.contains_key(point))
    }

    /// The one that goes on under this name.
    pub(crate) fn named(&self, name: &str) -> Option<RecordingId> {
        self.going().find(|(_, going)| going.name == name).map(|(id, _)| id)
    }

    /// A tap is gone: whose tracks it fed, and whether each was its recording's last.
    fn lose(&mut self, point: TapPoint, tap: TapId) -> Vec<(RecordingId, bool)> {
        if self.taps.get(&point).is_none_or(|known| known.id != tap) {
            return Vec::new();
        }
        let users = self.taps.remove(&point).map(|tap| tap.users).unwrap_or_default();
        let lose = |id| {
            let going = self.going.get_mut(&id)?;
            going.tracks.retain(|track| track.point != point);
            Some((id, going.tracks.is_empty()))
        };
        users.into_iter().filter_map(lose).collect()
    }

    /// A name for the next one.
    fn name(&mut self, start: &RecordingStart, started_unix_nanos: u64) -> String {
        self.begun += 1;
        let caller = start.tracks.iter().find_map(|track| track.participant.as_ref());
        self.names.name(&Named {
            started_unix_nanos,
            number: self.begun,
            subject: &start.subject,
            caller: caller.map_or("", |caller| user(&caller.uri)),
        })
    }

    /// Hands to the shelf what the writer says of finished recordings, and tells webhooks what the
    /// disk does to those that go on.
    pub(crate) fn hand_over(&mut self, event: &Told, shelf: &Shelf) {
        match event {
            Told::Finished { recording, .. } => {
                if let Some(one) = self.volatile.get_mut(recording) {
                    one.is_finished = true;
                    shelf.finished(&one.name);
                }
            }
            Told::Durable { recording } => {
                // One that was deleted meanwhile is unknown.
                if let Some(one) = self.volatile.remove(recording) {
                    shelf.durable(&one.name);
                }
            }
            Told::Repaired { metadata } => {
                let name = name(metadata);
                shelf.finished(name);
                shelf.durable(name);
            }
            Told::Failed { recording, kind } => {
                self.announce_of(*recording, "failed", &kind.to_string(), shelf);
                self.volatile.remove(recording);
            }
            Told::Interrupted { recording, kind } => {
                self.announce_of(*recording, "interrupted", &kind.to_string(), shelf);
            }
            Told::Resumed { recording } => self.announce_of(*recording, "continued", "", shelf),
            Told::Started { .. } | Told::Unrepaired { .. } => {}
        }
        let mut finishing = std::mem::take(&mut self.finishing);
        finishing.retain(|_, going| self.is_coming(going, shelf));
        self.finishing = finishing;
    }

    fn announce_of(
        &self,
        written: recorder_writer::RecordingId,
        event: &str,
        why: &str,
        shelf: &Shelf,
    ) {
        if let Some(one) = self.volatile.get(&written) {
            announce(shelf, event, &one.name, json!({ "why": why }));
        }
    }
}

impl World {
    /// Begins a recording that is kept in this way.
    pub(crate) fn keep(
        &mut self,
        start: RecordingStart,
        keeping: &Keeping,
    ) -> Result<RecordingId, Refusal> {
        let began = self.engine.now();
        let name = self.recordings.name(&start, self.engine.wall().unix_nanos(began));
        let layout = layout(keeping, &start.tracks);
        let RecordingStart { subject, room, call_id, tracks: wanted } = start;
        let about = About { subject, room, call_id, ..About::default() };
        let Keeping { format, rate, ends_with_tracks, .. } = *keeping;
        let to_write = Written {
            name: name.clone(),
            layout,
            format,
            rate,
            ends_with_tracks,
            about: about.clone(),
        };
        let begun = self.recorder.writer().and_then(|writer| writer.begin(to_write));
        let written = begun.map_err(|failure| self.refuse(&about.subject, &failure))?;
        // It has no track yet, so it cannot be over before this.
        self.shelf.started(&name);
        let About { subject, room, call_id, .. } = &about;
        tracing::info!(recording = name, subject, call_id, "recording");
        let detail = json!({ "subject": subject, "room": room, "call_id": call_id });
        announce(&self.shelf, "started", &name, detail);
        let id = ours(written);
        let volatile = Volatile { name: name.clone(), is_finished: false };
        self.recordings.volatile.insert(written, volatile);
        let (ended, paused, tracks_begun) = (None, false, 0);
        let tracks = Vec::new();
        let going = Going { written, name, about, began, ended, paused, tracks, tracks_begun };
        self.recordings.going.insert(id, going);
        for track in wanted {
            if let Err(refusal) = self.tap(id, track) {
                self.end_kept(id);
                return Err(refusal);
            }
        }
        Ok(id)
    }

    fn refuse(&mut self, subject: &str, failure: &Failure) -> Refusal {
        self.recorder.refuse();
        tracing::warn!(subject, %failure, "a recording was refused");
        match failure {
            Failure::Full => Refusal::Full,
            _ => Refusal::Gone,
        }
    }

    /// Ends a recording.
    pub(crate) fn end_kept(&mut self, id: RecordingId) {
        let Some(going) = self.recordings.going.get(&id) else { return };
        let written = going.written;
        let points: Vec<TapPoint> = going.tracks.iter().map(|track| track.point).collect();
        for point in points {
            self.untap(id, point);
        }
        let over = self.recordings.going.remove(&id);
        let is_coming = |going: &Going| self.recordings.is_coming(going, &self.shelf);
        if let Some(going) = over.filter(is_coming) {
            let ended = Some(self.engine.now());
            self.recordings.finishing.insert(id, Going { ended, ..going });
        }
        self.tell_writer(|writer| writer.end(written));
    }

    /// Takes what the engine says of taps: which recordings are over, as they have none left.
    pub(crate) fn note_tap(&mut self, event: &Event) -> Vec<RecordingId> {
        let (Event::TapEnded { point, tap }
        | Event::Refused { command: Command::StartTap { point, tap, .. }, .. }) = event
        else {
            return Vec::new();
        };
        let (mut over, at) = (Vec::new(), self.engine.now());
        for (id, was_last) in self.recordings.lose(*point, *tap) {
            let written = self.recordings.get(id).map(|going| going.written);
            if let (Event::Refused { .. }, Some(written)) = (event, written) {
                self.tell_writer(|writer| writer.end_track(written, *tap, at));
            }
            if was_last {
                self.end_kept(id);
                over.push(id);
            }
        }
        over
    }

    /// Takes what the writer says: which recording is over.
    pub(crate) fn note_written(&mut self, event: &Told) -> Option<RecordingId> {
        self.recordings.hand_over(event, &self.shelf);
        let (Told::Finished { recording, .. } | Told::Failed { recording, .. }) = event else {
            return None;
        };
        let id = ours(*recording);
        self.recordings.get(id)?;
        self.end_kept(id);
        Some(id)
    }

    /// Lets go of a finished recording that somebody is about to delete. Where the shelf would not
    /// delete it now, its files stay.
    pub(crate) fn release(&mut self, name: &str) -> Result<(), recorder_shelf::Refusal> {
        let mut volatile = self.recordings.volatile.iter();
        let found = volatile.find(|(_, one)| one.is_finished && one.name == name);
        if let Some(written) = found.map(|(written, _)| *written) {
            self.shelf.may_delete(name)?;
            self.recordings.volatile.remove(&written);
            self.tell_writer(|writer| writer.forget(written));
        }
        Ok(())
    }

    /// Tells a recording what happened, where there is room for that. It is paused, or goes on,
    /// only if it was told so.
    pub(crate) fn tell(&mut self, recording: RecordingId, note: Note) -> Result<(), Failure> {
        let at = self.engine.now();
        let Some(going) = self.recordings.going.get_mut(&recording) else { return Ok(()) };
        let paused = match note {
            Note::Paused => Some(true),
            Note::Resumed => Some(false),
            _ => None,
        };
        self.recorder.writer()?.tell(going.written, at, note)?;
        if let Some(paused) = paused {
            going.paused = paused;
            let event = if paused { "paused" } else { "resumed" };
            announce(&self.shelf, event, &going.name, json!({}));
        }
        Ok(())
    }

    fn tell_writer(&mut self, what: impl FnOnce(&recorder_writer::Writer) -> Result<(), Failure>) {
        if let Err(failure) = self.recorder.writer().and_then(what) {
            tracing::error!(%failure, "the recorder was not told");
        }
    }
}

impl Desk for World {
    fn begin(&mut self, start: RecordingStart, keeping: &Keeping) -> Result<RecordingId, Refusal> {
        self.keep(start, keeping)
    }

    fn add(&mut self, recording: RecordingId, track: RecordedTrack) {
        let (point, label) = (track.point, track.label.clone());
        if let Err(refusal) = self.tap(recording, track) {
            tracing::warn!(%recording, ?point, label, ?refusal, "a track is missing");
        }
    }

    fn remove(&mut self, recording: RecordingId, session: SessionKey) {
        let Some(going) = self.recordings.get(recording) else { return };
        let points = going.tracks.iter().map(|track| track.point);
        let points: Vec<TapPoint> =
            points.filter(|point| point.session() == Some(session)).collect();
        for point in points {
            self.untap(recording, point);
        }
    }

    fn note(&mut self, recording: RecordingId, note: Note) {
        if let Err(failure) = self.tell(recording, note) {
            tracing::error!(%recording, %failure, "the recorder was not told");
        }
    }

    fn is_paused(&self, recording: RecordingId) -> bool {
        self.recordings.get(recording).is_some_and(|going| going.paused)
    }

    fn end(&mut self, recording: RecordingId) {
        self.end_kept(recording);
    }

    fn notify(&mut self, session: SessionKey, notice: Notice) {
        let Some(renditions) = self.prompts.of(notice) else { return };
        let prompt = Box::new(Prompt::new(renditions));
        if let Err(refusal) = self.command(Command::Prompt { session, prompt }) {
            tracing::warn!(%session, ?notice, ?refusal, "somebody recorded was not told");
        }
    }
}

/// Our number of a recording: the writer's.
fn ours(written: recorder_writer::RecordingId) -> RecordingId {
    RecordingId::new(written.as_u64())
}

/// How tracks are laid out in files.
fn layout(keeping: &Keeping, tracks: &[RecordedTrack]) -> Layout {
    let sounds = tracks.iter().filter(|track| kind(track.point) != TrackKind::Packets).count();
    let Keeping { format, arrangement, channels, ends_with_tracks, .. } = *keeping;
    match arrangement {
        Arrangement::Stereo if sounds == 2 && ends_with_tracks => Layout::Stereo,
        Arrangement::Multichannel => {
            let wanted = if ends_with_tracks { sounds as u16 } else { channels };
            Layout::Multichannel(wanted.clamp(1, format.channels_max()))
        }
        Arrangement::Stereo | Arrangement::Tracks => Layout::PerTrack,
    }
}

/// Tells webhooks of a recording that is not on the shelf.
fn announce(shelf: &Shelf, event: &str, name: &str, detail: Value) {
    let Value::Object(detail) = detail else { return };
    shelf.announce(event, name, detail);
}

fn kind(point: TapPoint) -> TrackKind {
    match point {
        TapPoint::Received(_) => TrackKind::Received,
        TapPoint::Sent(_) => TrackKind::Sent,
        TapPoint::Packets(_) => TrackKind::Packets,
        TapPoint::Room(_) => TrackKind::Mix,
    }
}

pub(super) fn participant(recorded: &RecordedParticipant) -> Participant {
    Participant {
        id: recorded.id.clone(),
        uri: recorded.uri.clone(),
        display_name: recorded.display_name.clone(),
    }
}

/// The name of a recording by that of its metadata file.
fn name(metadata: &str) -> &str {
    metadata.strip_suffix(".json").unwrap_or(metadata)
}

/// The user part of a URI.
fn user(uri: &str) -> &str {
    let after = uri.split_once(':').map_or(uri, |(_, after)| after);
    after.split(['@', ';', '?']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use engine_control::RoomKey;
    use recorder_writer::{Writer, WriterConfig};

    use super::*;

    fn keeping() -> Keeping {
        Keeping {
            format: Format::Wav,
            rate: None,
            arrangement: Arrangement::Tracks,
            channels: 1,
            ends_with_tracks: false,
        }
    }

    /// A recording of these points, each by the tap of its place.
    fn going(writer: &Writer, points: &[TapPoint]) -> (Recordings, RecordingId) {
        let mut recordings = Recordings::new(Template::default(), keeping());
        let about = About::default();
        let start = Written {
            name: "a".into(),
            layout: Layout::PerTrack,
            format: Format::Wav,
            rate: None,
            ends_with_tracks: false,
            about: about.clone(),
        };
        let written = writer.begin(start).unwrap();
        let id = ours(written);
        let track = |&point| RecordedTrack { point, label: String::new(), participant: None };
        let going = Going {
            written,
            name: "a".into(),
            about,
            began: Instant::START,
            ended: None,
            paused: false,
            tracks: points.iter().map(track).collect(),
            tracks_begun: points.len(),
        };
        recordings.going.insert(id, going);
        let taps = points
            .iter()
            .zip(0..)
            .map(|(point, tap)| (*point, Tap { id: TapId(tap), users: vec![id] }));
        recordings.taps = taps.collect();
        (recordings, id)
    }

    #[test]
    fn a_recording_has_lost_all_with_the_last_of_its_taps() {
        let folder = std::env::temp_dir().join(format!("desk-{}", std::process::id()));
        let writer = Writer::start(&WriterConfig::new(folder.clone()), Vec::new()).unwrap();
        let mix = TapPoint::Room(RoomKey::new(0, 1, 1));
        let says = TapPoint::Received(SessionKey::new(0, 7, 1));
        let (mut recordings, id) = going(&writer, &[mix, says]);
        assert_eq!(recordings.lose(mix, TapId(1)), [], "another's, of the same point");
        assert_eq!(recordings.lose(mix, TapId(0)), [(id, false)]);
        assert_eq!(recordings.lose(mix, TapId(0)), [], "once");
        assert_eq!(recordings.lose(says, TapId(1)), [(id, true)]);
        drop(writer);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_user_part_is_what_stands_before_the_host() {
        assert_eq!(user("sip:alice@example.org;x=y"), "alice");
        assert_eq!(user("tel:+4912345"), "+4912345");
        assert_eq!(user(""), "");
    }
}
