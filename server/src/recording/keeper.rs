//! What is recorded: follows what the front end tells, begins what the configuration or somebody
//! who may asks for, tells each recording what happens, and ends it again.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use engine_control::{Refusal, RoomKey, SessionKey, TapPoint};
use recorder_writer::{Note, TrackKind};
use signaling::{
    Ending, Fact, ParticipantId, ParticipantView, Pattern, RecordState, RecordWish,
    RecordedParticipant, RecordedTrack, RecordingId, RecordingStart, Subject,
};

use super::desk::{Keeping, participant};
use crate::config::Occasion;

/// What may be recorded, and how, by the configuration.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Rooms of no other rule.
    pub(crate) rooms: Occasion,
    /// Rooms of such names; the first that matches decides.
    pub(crate) named: Vec<(Pattern, Occasion)>,
    /// What members of a room who may do by keys.
    pub(crate) keys: Keys,
    /// How a room is recorded where nothing else is asked for.
    pub(crate) room: Wish,
    /// How a call is recorded.
    pub(crate) call: Wish,
}

/// Keys, one after the other; none where nothing is done by them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// Begin the recording, and end it.
    pub(crate) record: Option<String>,
    /// Keep nothing for a while, and go on.
    pub(crate) pause: Option<String>,
    /// Mark this moment.
    pub(crate) mark: Option<String>,
}

/// What somebody wants who has pressed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Record,
    Pause,
    Mark,
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = (&str, Wanted)> {
        let Self { record, pause, mark } = self;
        let all = [(record, Wanted::Record), (pause, Wanted::Pause), (mark, Wanted::Mark)];
        all.into_iter().filter_map(|(keys, wanted)| Some((keys.as_deref()?, wanted)))
    }

    /// How many keys count.
    fn longest(&self) -> usize {
        self.all().map(|(keys, _)| keys.len()).max().unwrap_or_default()
    }

    /// What was typed last, where it means anything: of several the longest.
    fn wanted(&self, typed: &str) -> Option<Wanted> {
        let ends = self.all().filter(|(keys, _)| typed.ends_with(keys));
        ends.max_by_key(|(keys, _)| keys.len()).map(|(_, wanted)| wanted)
    }
}

/// What is to be kept, and how.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Which tracks: of a room's mix, of each participant.
    pub(crate) tracks: Vec<TrackKind>,
    /// How they are kept.
    pub(crate) keeping: Keeping,
}

/// What those who are recorded hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Once, when it begins for them.
    Announcement,
    /// From time to time.
    Beep,
}

/// Where recordings are made.
pub(crate) trait Desk {
    /// Begins one.
    fn begin(&mut self, start: RecordingStart, keeping: &Keeping) -> Result<RecordingId, Refusal>;

    /// Adds a track; where that is refused, it is missing.
    fn add(&mut self, recording: RecordingId, track: RecordedTrack);

    /// Ends the tracks of a session in a recording that goes on.
    fn remove(&mut self, recording: RecordingId, session: SessionKey);

    /// Tells a recording what happened.
    fn note(&mut self, recording: RecordingId, note: Note);

    /// Whether it keeps nothing at present, by the last note.
    fn is_paused(&self, recording: RecordingId) -> bool;

    /// Keeps nothing of one for a while, or goes on.
    fn pause(&mut self, recording: RecordingId, paused: bool) {
        if self.is_paused(recording) != paused {
            self.note(recording, if paused { Note::Paused } else { Note::Resumed });
        }
    }

    /// Ends one.
    fn end(&mut self, recording: RecordingId);

    /// Lets somebody hear something.
    fn notify(&mut self, session: SessionKey, notice: Notice);
}

/// Why nothing was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// No such room or participant.
    Nobody,
    /// The room, or whose member it is, is never to be recorded.
    Never,
    /// It is recorded already.
    Already,
    /// A call has no such track.
    Track,
    /// The recorder or the engine has no room for it.
    Refused(Refusal),
}

/// The keeper of recordings.
#[derive(Debug)]
pub(crate) struct Keeper {
    rules: Rules,
    rooms: BTreeMap<String, Room>,
    people: BTreeMap<ParticipantId, Person>,
    /// Whether somebody is recorded now who was not, or the other way round, since it was asked last.
    has_changed: bool,
    /// Recordings that ended before what they are of, since it was asked last, and how.
    over: Vec<(RecordingId, Ending)>,
}

/// A room.
#[derive(Debug)]
struct Room {
    key: RoomKey,
    recording: Option<Kept>,
    /// Whether it should always be recorded, and that was refused.
    is_owed: bool,
}

/// A recording that goes on.
#[derive(Debug, Clone)]
struct Kept {
    id: RecordingId,
    /// What is kept of each participant.
    own_tracks: Vec<TrackKind>,
}

/// Somebody who has joined something.
#[derive(Debug)]
struct Person {
    view: ParticipantView,
    /// The recording of this call by itself.
    recording: Option<RecordingId>,
    /// Whether it is sent to a recorder elsewhere.
    is_sent: bool,
    /// The last keys, as many as count.
    typed: String,
}

impl Keeper {
    pub(crate) fn new(rules: Rules) -> Self {
        let (rooms, people, over) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { rules, rooms, people, has_changed: false, over }
    }

    /// Whether a room is recorded now.
    pub(crate) fn records(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| room.recording.is_some())
    }

    /// How a room is recorded where nothing else is asked for.
    pub(crate) fn room_wish(&self) -> &Wish {
        &self.rules.room
    }

    /// How a call is.
    pub(crate) fn call_wish(&self) -> &Wish {
        &self.rules.call
    }

    /// Takes a fact. `view` shows whom it is about.
    pub(crate) fn take(
        &mut self,
        fact: Fact,
        view: impl FnOnce(ParticipantId) -> Option<ParticipantView>,
        desk: &mut impl Desk,
    ) {
        match fact {
            Fact::RoomOpened { name, key } => {
                let is_owed = self.occasion(&name) == Occasion::Always;
                self.rooms.insert(name.clone(), Room { key, recording: None, is_owed });
                if is_owed {
                    // A conference without its recording is worth more than no conference; what
                    // was refused is counted and logged.
                    let _ = self.record_room(&name, None, desk);
                }
            }
            Fact::RoomClosed { name } => {
                if let Some(kept) = self.rooms.remove(&name).and_then(|room| room.recording) {
                    desk.end(kept.id);
                }
            }
            Fact::Joined { participant } => {
                if let Some(view) = view(participant) {
                    self.joined(view, desk);
                }
            }
            Fact::Left { participant } => {
                self.tell(participant, desk, |participant| Note::Left { participant });
                self.people.remove(&participant);
            }
            Fact::RecordingAsked { participant, wish } => self.asked(participant, wish, desk),
            Fact::Sent { participant, on } => self.sent(participant, on, desk),
            Fact::Muted { participant, muted } => {
                self.change(participant, |view| view.muted = muted);
                self.tell(participant, desk, |id| muted_note(id, muted));
            }
            Fact::Held { participant, held } => {
                self.change(participant, |view| view.held = held);
                self.tell(participant, desk, |id| held_note(id, held));
            }
            Fact::Talking { participant, talking } => {
                self.tell(participant, desk, |participant| {
                    if talking {
                        Note::TalkStarted { participant }
                    } else {
                        Note::TalkStopped { participant }
                    }
                });
            }
            Fact::Pressed { participant, digit } => {
                self.tell(participant, desk, |participant| Note::Digit { participant });
                self.pressed(participant, digit, desk);
            }
        }
    }

    /// Somebody is about to go to another room: its tracks in the recording of this one end.
    pub(crate) fn leaves_room(&mut self, participant: ParticipantId, desk: &mut impl Desk) {
        let Some(person) = self.people.get_mut(&participant) else { return };
        let room = person.view.room.take().and_then(|name| self.rooms.get(&name));
        if let Some(kept) = room.and_then(|room| room.recording.as_ref()) {
            desk.note(kept.id, Note::Left { participant: participant.to_string() });
            desk.remove(kept.id, person.view.session);
            self.has_changed = true;
        }
    }

    /// Somebody who was in another room is in this one now.
    pub(crate) fn enters_room(&mut self, view: ParticipantView, desk: &mut impl Desk) {
        let Some(person) = self.people.get_mut(&view.participant) else { return };
        let room = view.room.as_ref().and_then(|name| self.rooms.get(name));
        if let Some(kept) = room.and_then(|room| room.recording.as_ref()) {
            include(&view, kept, desk);
            self.has_changed = true;
        }
        let own = person.recording;
        let participant = view.participant;
        person.view = view;
        if let Some(own) = own.filter(|_| self.is_never(participant)) {
            self.end(own, desk);
        }
    }

    /// Begins the recording of a room, with all who are in it.
    pub(crate) fn record_room(
        &mut self,
        name: &str,
        wish: Option<Wish>,
        desk: &mut impl Desk,
    ) -> Result<RecordingId, NotKept> {
        let occasion = self.occasion(name);
        let room = self.rooms.get_mut(name).ok_or(NotKept::Nobody)?;
        match (occasion, &room.recording) {
            (Occasion::Never, _) => return Err(NotKept::Never),
            (_, Some(_)) => return Err(NotKept::Already),
            _ => {}
        }
        let Wish { tracks, keeping } = wish.unwrap_or_else(|| self.rules.room.clone());
        let (mix, own_tracks): (Vec<_>, Vec<_>) =
            tracks.into_iter().partition(|kind| *kind == TrackKind::Mix);
        let point = TapPoint::Room(room.key);
        let mix = mix.first().map(|_| RecordedTrack {
            point,
            label: "mix".to_owned(),
            participant: None,
        });
        let start = RecordingStart {
            subject: name.to_owned(),
            room: Some(name.to_owned()),
            call_id: None,
            tracks: mix.into_iter().collect(),
        };
        let keeping = Keeping { ends_with_tracks: false, ..keeping };
        let id = desk.begin(start, &keeping).map_err(NotKept::Refused)?;
        let kept = Kept { id, own_tracks };
        room.recording = Some(kept.clone());
        room.is_owed = false;
        self.has_changed = true;
        let members =
            self.people.values().filter(|person| person.view.room.as_deref() == Some(name));
        for person in members {
            include(&person.view, &kept, desk);
        }
        Ok(id)
    }

    /// Begins what should always be recorded and was refused so far.
    pub(crate) fn record_owed(&mut self, desk: &mut impl Desk) {
        let owed = self.rooms.iter().filter(|(_, room)| room.is_owed);
        let owed: Vec<String> = owed.map(|(name, _)| name.clone()).collect();
        for name in owed {
            let _ = self.record_room(&name, None, desk);
        }
    }

    /// Begins the recording of a call. Whoever is in a room hears it, and is heard there.
    pub(crate) fn record_call(
        &mut self,
        participant: ParticipantId,
        wish: Option<Wish>,
        desk: &mut impl Desk,
    ) -> Result<RecordingId, NotKept> {
        let is_never = self.is_never(participant);
        let person = self.people.get_mut(&participant).ok_or(NotKept::Nobody)?;
        if is_never {
            return Err(NotKept::Never);
        }
        if person.recording.is_some() {
            return Err(NotKept::Already);
        }
        let Wish { tracks, keeping } = wish.unwrap_or_else(|| self.rules.call.clone());
        if tracks.contains(&TrackKind::Mix) {
            return Err(NotKept::Track);
        }
        let view = &person.view;
        let start = RecordingStart {
            subject: view.dialled.clone(),
            room: view.room.clone(),
            call_id: Some(view.call_id.clone()),
            tracks: tracks.iter().map(|kind| track(view, *kind, false)).collect(),
        };
        let keeping = Keeping { ends_with_tracks: true, ..keeping };
        let id = desk.begin(start, &keeping).map_err(NotKept::Refused)?;
        person.recording = Some(id);
        self.has_changed = true;
        include(&person.view, &Kept { id, own_tracks: Vec::new() }, desk);
        Ok(id)
    }

    /// Ends a recording, whosever it is, as somebody wants it.
    pub(crate) fn end(&mut self, recording: RecordingId, desk: &mut impl Desk) {
        self.forget(recording, Ending::RecordingStopped);
        desk.end(recording);
    }

    /// Keeps nothing of a recording for a while, or goes on.
    pub(crate) fn pause(&mut self, recording: RecordingId, paused: bool, desk: &mut impl Desk) {
        self.has_changed = true;
        desk.pause(recording, paused);
    }

    /// A recording is over by itself: it failed, or nothing is left that it is of.
    pub(crate) fn lost(&mut self, recording: RecordingId) {
        self.forget(recording, Ending::RecordingFailed);
    }

    fn forget(&mut self, recording: RecordingId, ending: Ending) {
        self.over.push((recording, ending));
        self.has_changed = true;
        for room in self.rooms.values_mut() {
            room.recording.take_if(|kept| kept.id == recording);
        }
        for person in self.people.values_mut() {
            person.recording.take_if(|id| *id == recording);
        }
    }

    /// Lets everyone who is recorded at present hear the beep.
    pub(crate) fn beep(&self, desk: &mut impl Desk) {
        for person in self.people.values() {
            let is_kept = self.recordings_of(person).any(|id| !desk.is_paused(id));
            if is_kept || person.is_sent {
                desk.notify(person.view.session, Notice::Beep);
            }
        }
    }

    /// Whether somebody is recorded, as far as that is to be told.
    pub(crate) fn state_of(&self, participant: ParticipantId, desk: &impl Desk) -> RecordState {
        let person = self.people.get(&participant);
        let recordings = person.into_iter().flat_map(|person| self.recordings_of(person));
        let states = recordings
            .map(|id| if desk.is_paused(id) { RecordState::Paused } else { RecordState::On });
        states.max().unwrap_or_default()
    }

    /// Whether [`Self::state_of`] may have changed for somebody since this was asked last.
    pub(crate) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Recordings that are over since this was asked last: what was there for them alone has to go.
    pub(crate) fn take_over(&mut self) -> Vec<(RecordingId, Ending)> {
        std::mem::take(&mut self.over)
    }

    /// Whether nothing may be kept of a room or a call, and so nothing be sent to be kept elsewhere.
    pub(crate) fn never_keeps(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Room(name) => {
                self.rooms.contains_key(name) && self.occasion(name) == Occasion::Never
            }
            Subject::Call(id) => self.is_never(*id),
        }
    }

    /// Somebody is sent to a recorder elsewhere, and hears of it as of a recording here.
    fn sent(&mut self, participant: ParticipantId, on: bool, desk: &mut impl Desk) {
        let Some(person) = self.people.get_mut(&participant) else { return };
        if on && !person.is_sent {
            desk.notify(person.view.session, Notice::Announcement);
        }
        person.is_sent = on;
    }

    fn occasion(&self, room: &str) -> Occasion {
        let rule = self.rules.named.iter().find(|(name, _)| name.matches(room));
        rule.map_or(self.rules.rooms, |(_, occasion)| *occasion)
    }

    /// Whether somebody is in a room that is never recorded, and no rule of its own says always.
    fn is_never(&self, participant: ParticipantId) -> bool {
        let view = self.people.get(&participant).map(|person| &person.view);
        let view = view.filter(|view| !view.recording.always);
        let room = view.and_then(|view| view.room.as_deref());
        room.is_some_and(|room| self.occasion(room) == Occasion::Never)
    }

    fn joined(&mut self, view: ParticipantView, desk: &mut impl Desk) {
        let (participant, recording) = (view.participant, view.recording);
        self.has_changed = true;
        let room = view.room.as_ref().and_then(|name| self.rooms.get(name));
        if let Some(kept) = room.and_then(|room| room.recording.as_ref()) {
            include(&view, kept, desk);
        }
        let own = recording.begun;
        if let Some(id) = own {
            include(&view, &Kept { id, own_tracks: Vec::new() }, desk);
        }
        let person = Person { view, recording: own, is_sent: false, typed: String::new() };
        self.people.insert(participant, person);
        if recording.always {
            let _ = self.record_call(participant, None, desk);
        }
        if let Some(wish) = recording.asked {
            self.asked(participant, wish, desk);
        }
    }

    /// Somebody who may wants a recording: of the room, or of the call where there is none.
    fn asked(&mut self, participant: ParticipantId, wish: RecordWish, desk: &mut impl Desk) {
        let Some(person) = self.people.get(&participant) else { return };
        let (room, own) = (person.view.room.clone(), person.recording);
        let of_room = room.as_ref().and_then(|name| self.rooms.get(name)?.recording.as_ref());
        let present = if room.is_some() { of_room.map(|kept| kept.id) } else { own };
        match (wish, present) {
            (RecordWish::Off, Some(id)) => return self.end(id, desk),
            (RecordWish::Pause, Some(id)) => return self.pause(id, true, desk),
            (RecordWish::On, Some(id)) if desk.is_paused(id) => return self.pause(id, false, desk),
            (RecordWish::Off | RecordWish::Pause, None) => return,
            (RecordWish::On, _) => {}
        }
        let begun = match room {
            Some(room) => self.record_room(&room, None, desk),
            None => self.record_call(participant, None, desk),
        };
        if let Err(reason) = begun {
            tracing::info!(%participant, ?reason, "a wish for a recording was not granted");
        }
    }

    fn pressed(&mut self, participant: ParticipantId, digit: char, desk: &mut impl Desk) {
        let keys = &self.rules.keys;
        let Some(person) = self.people.get_mut(&participant) else { return };
        if !person.view.recording.may_record {
            return;
        }
        person.typed.push(digit);
        if person.typed.len() > keys.longest() {
            person.typed.remove(0);
        }
        let Some(room) = person.view.room.as_ref().and_then(|name| self.rooms.get(name)) else {
            return;
        };
        let Some(wanted) = keys.wanted(&person.typed) else { return };
        person.typed.clear();
        match (wanted, room.recording.as_ref().map(|kept| kept.id)) {
            (Wanted::Record, Some(_)) => self.asked(participant, RecordWish::Off, desk),
            (Wanted::Record, None) => self.asked(participant, RecordWish::On, desk),
            (Wanted::Pause, Some(id)) => self.pause(id, !desk.is_paused(id), desk),
            (Wanted::Mark, Some(id)) => {
                desk.note(id, Note::Mark { label: person.view.uri.clone() });
            }
            (Wanted::Pause | Wanted::Mark, None) => {}
        }
    }

    fn change(&mut self, participant: ParticipantId, change: impl FnOnce(&mut ParticipantView)) {
        if let Some(person) = self.people.get_mut(&participant) {
            change(&mut person.view);
        }
    }

    /// Tells every recording that a participant is in.
    fn tell(
        &self,
        participant: ParticipantId,
        desk: &mut impl Desk,
        note: impl Fn(String) -> Note,
    ) {
        let Some(person) = self.people.get(&participant) else { return };
        for recording in self.recordings_of(person) {
            desk.note(recording, note(participant.to_string()));
        }
    }

    fn recordings_of(&self, person: &Person) -> impl Iterator<Item = RecordingId> {
        let room = person.view.room.as_ref().and_then(|name| self.rooms.get(name));
        let of_room = room.and_then(|room| room.recording.as_ref()).map(|kept| kept.id);
        of_room.into_iter().chain(person.recording)
    }
}

/// Takes a participant into a recording that goes on: its tracks, what is known of it, and that it
/// is told.
fn include(view: &ParticipantView, kept: &Kept, desk: &mut impl Desk) {
    let id = view.participant.to_string();
    desk.note(kept.id, Note::Joined { participant: participant(&recorded(view)) });
    for (is_so, note) in [
        (view.muted, muted_note as fn(String, bool) -> Note),
        (view.held, held_note as fn(String, bool) -> Note),
    ] {
        if is_so {
            desk.note(kept.id, note(id.clone(), true));
        }
    }
    for kind in &kept.own_tracks {
        desk.add(kept.id, track(view, *kind, true));
    }
    desk.notify(view.session, Notice::Announcement);
}

fn muted_note(participant: String, muted: bool) -> Note {
    if muted { Note::Muted { participant } } else { Note::Unmuted { participant } }
}

fn held_note(participant: String, held: bool) -> Note {
    if held { Note::Held { participant } } else { Note::Unheld { participant } }
}

/// A participant's track. Among those of others it is named by its number, too.
fn track(view: &ParticipantView, kind: TrackKind, among_others: bool) -> RecordedTrack {
    let session = view.session;
    let (point, label) = match kind {
        TrackKind::Sent => (TapPoint::Sent(session), "sent"),
        TrackKind::Packets => (TapPoint::Packets(session), "packets"),
        TrackKind::Received | TrackKind::Mix => (TapPoint::Received(session), "received"),
    };
    let label =
        if among_others { format!("{}-{label}", view.participant) } else { label.to_owned() };
    RecordedTrack { point, label, participant: Some(recorded(view)) }
}

fn recorded(view: &ParticipantView) -> RecordedParticipant {
    RecordedParticipant {
        id: view.participant.to_string(),
        uri: view.uri.clone(),
        display_name: view.display_name.clone(),
    }
}
