//! What is recorded: follows what the front end tells, begins what the configuration or somebody
//! who may asks for, and ends it again.

use std::collections::BTreeMap;

use engine_control::{Refusal, RoomKey, SessionKey, TapPoint};
use signaling::{
    Fact, ParticipantId, ParticipantView, Pattern, RecordedParticipant, RecordedTrack, RecordingId,
    RecordingStart,
};

use crate::config::Occasion;

/// What may be recorded, by the configuration.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Rooms of no other rule.
    pub(crate) rooms: Occasion,
    /// Rooms of such names; the first that matches decides.
    pub(crate) named: Vec<(Pattern, Occasion)>,
    /// The keys that begin and end the recording of a room.
    pub(crate) keys: Option<String>,
}

/// Where recordings are made.
pub(crate) trait Desk {
    /// Begins one.
    fn begin(&mut self, start: RecordingStart) -> Result<RecordingId, Refusal>;

    /// Ends one.
    fn end(&mut self, recording: RecordingId);
}

/// Why nothing was begun or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// No such room.
    NoRoom,
    /// The room is never to be recorded.
    Never,
    /// It is recorded already.
    Already,
    /// It is not recorded.
    NotRecorded,
    /// The recorder or the engine has no room for it.
    Refused,
}

/// The keeper of recordings.
#[derive(Debug)]
pub(crate) struct Keeper {
    rules: Rules,
    rooms: BTreeMap<String, Room>,
    people: BTreeMap<ParticipantId, Person>,
}

/// A room.
#[derive(Debug)]
struct Room {
    key: RoomKey,
    recording: Option<RecordingId>,
}

/// Somebody who has joined something.
#[derive(Debug)]
struct Person {
    session: SessionKey,
    room: Option<String>,
    may_record: bool,
    /// The recording of this call by itself.
    recording: Option<RecordingId>,
    /// The last keys, as many as `Rules::keys` has.
    typed: String,
}

impl Keeper {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, rooms: BTreeMap::new(), people: BTreeMap::new() }
    }

    /// Whether a room is recorded now.
    pub(crate) fn records(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| room.recording.is_some())
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
                self.rooms.insert(name.clone(), Room { key, recording: None });
                if self.occasion(&name) == Occasion::Always {
                    // A conference without its recording is worth more than no conference; what
                    // was refused is counted and logged.
                    let _ = self.record_room(&name, desk);
                }
            }
            Fact::RoomClosed { name } => {
                self.rooms.remove(&name);
            }
            Fact::Joined { participant } => {
                if let Some(view) = view(participant) {
                    self.joined(view, desk);
                }
            }
            Fact::Left { participant } => {
                self.people.remove(&participant);
            }
            Fact::Pressed { participant, digit } => self.pressed(participant, digit, desk),
            Fact::RecordingAsked { participant, on } => self.asked(participant, on, view, desk),
            Fact::Muted { .. } | Fact::Held { .. } | Fact::Talking { .. } => {}
        }
    }

    /// Begins the recording of a room.
    pub(crate) fn record_room(
        &mut self,
        name: &str,
        desk: &mut impl Desk,
    ) -> Result<RecordingId, NotKept> {
        let occasion = self.occasion(name);
        let room = self.rooms.get_mut(name).ok_or(NotKept::NoRoom)?;
        match (occasion, room.recording) {
            (Occasion::Never, _) => return Err(NotKept::Never),
            (_, Some(_)) => return Err(NotKept::Already),
            _ => {}
        }
        let mix = RecordedTrack {
            point: TapPoint::Room(room.key),
            label: "mix".to_owned(),
            participant: None,
        };
        let start = RecordingStart {
            subject: name.to_owned(),
            room: Some(name.to_owned()),
            call_id: None,
            tracks: vec![mix],
        };
        let recording = desk.begin(start).map_err(|_| NotKept::Refused)?;
        room.recording = Some(recording);
        Ok(recording)
    }

    /// Ends the recording of a room.
    pub(crate) fn end_room(&mut self, name: &str, desk: &mut impl Desk) -> Result<(), NotKept> {
        let room = self.rooms.get_mut(name).ok_or(NotKept::NoRoom)?;
        desk.end(room.recording.take().ok_or(NotKept::NotRecorded)?);
        Ok(())
    }

    fn occasion(&self, room: &str) -> Occasion {
        let rule = self.rules.named.iter().find(|(name, _)| name.matches(room));
        rule.map_or(self.rules.rooms, |(_, occasion)| *occasion)
    }

    fn joined(&mut self, view: ParticipantView, desk: &mut impl Desk) {
        let person = Person {
            session: view.session,
            room: view.room.clone(),
            may_record: view.recording.may_record,
            recording: None,
            typed: String::new(),
        };
        let (participant, recording) = (view.participant, view.recording);
        self.people.insert(participant, person);
        if recording.always {
            self.record_call(&view, desk);
        }
        if let Some(on) = recording.asked {
            self.asked(participant, on, |_| Some(view), desk);
        }
    }

    /// Somebody who may wants a recording: of the room, or of the call where there is none.
    fn asked(
        &mut self,
        participant: ParticipantId,
        on: bool,
        view: impl FnOnce(ParticipantId) -> Option<ParticipantView>,
        desk: &mut impl Desk,
    ) {
        let Some(person) = self.people.get_mut(&participant) else { return };
        let done = match (person.room.clone(), on) {
            (Some(room), true) => self.record_room(&room, desk).map(|_| ()),
            (Some(room), false) => self.end_room(&room, desk),
            (None, true) => {
                if let Some(view) = view(participant) {
                    self.record_call(&view, desk);
                }
                Ok(())
            }
            (None, false) => {
                person.recording.take().map(|own| desk.end(own)).ok_or(NotKept::NotRecorded)
            }
        };
        if let Err(reason) = done {
            tracing::info!(%participant, on, ?reason, "a wish for a recording was not granted");
        }
    }

    fn record_call(&mut self, view: &ParticipantView, desk: &mut impl Desk) {
        let Some(person) = self.people.get_mut(&view.participant) else { return };
        if person.recording.is_some() {
            return;
        }
        let received = RecordedTrack {
            point: TapPoint::Received(person.session),
            label: "received".to_owned(),
            participant: Some(RecordedParticipant {
                id: view.participant.to_string(),
                uri: view.uri.clone(),
                display_name: view.display_name.clone(),
            }),
        };
        let start = RecordingStart {
            subject: view.dialled.clone(),
            room: view.room.clone(),
            call_id: Some(view.call_id.clone()),
            tracks: vec![received],
        };
        person.recording = desk.begin(start).ok();
    }

    fn pressed(&mut self, participant: ParticipantId, digit: char, desk: &mut impl Desk) {
        let Some(keys) = &self.rules.keys else { return };
        let Some(person) = self.people.get_mut(&participant) else { return };
        if !person.may_record {
            return;
        }
        person.typed.push(digit);
        if person.typed.len() > keys.len() {
            person.typed.remove(0);
        }
        let Some(room) = person.room.clone().filter(|_| person.typed == *keys) else { return };
        person.typed.clear();
        let is_recorded = self.records(&room);
        self.asked(participant, !is_recorded, |_| None, desk);
    }
}

#[cfg(test)]
mod tests {
    use media_units::Instant;
    use signaling::{Gains, Recorded};

    use super::*;

    #[derive(Debug, Default)]
    struct FakeDesk {
        begun: Vec<RecordingStart>,
        ended: Vec<RecordingId>,
        is_full: bool,
    }

    impl Desk for FakeDesk {
        fn begin(&mut self, start: RecordingStart) -> Result<RecordingId, Refusal> {
            if self.is_full {
                return Err(Refusal::Full);
            }
            self.begun.push(start);
            Ok(RecordingId::new(self.begun.len() as u64))
        }

        fn end(&mut self, recording: RecordingId) {
            self.ended.push(recording);
        }
    }

    /// A keeper, its desk, and a room with one member.
    struct Bench {
        keeper: Keeper,
        desk: FakeDesk,
    }

    const WHO: ParticipantId = ParticipantId::new(1);

    fn view(room: Option<&str>, recording: Recorded) -> ParticipantView {
        ParticipantView {
            participant: WHO,
            session: SessionKey::new(0, 7, 1),
            uri: "sip:alice@example.org".into(),
            display_name: None,
            call_id: "call".into(),
            dialled: "3000".into(),
            room: room.map(str::to_owned),
            since: Instant::START,
            answered: true,
            muted: false,
            gains: Gains::default(),
            held: false,
            agreed: None,
            talking: false,
            recording,
            digits: String::new(),
        }
    }

    impl Bench {
        fn new(rooms: Occasion) -> Self {
            let rules = Rules {
                rooms,
                named: vec![("secret".parse().unwrap(), Occasion::Never)],
                keys: Some("*1".into()),
            };
            Self { keeper: Keeper::new(rules), desk: FakeDesk::default() }
        }

        fn take(&mut self, fact: Fact) {
            self.keeper.take(fact, |_| None, &mut self.desk);
        }

        fn open(&mut self, name: &str) {
            let key = RoomKey::new(0, 1, 1);
            self.take(Fact::RoomOpened { name: name.into(), key });
        }

        fn join(&mut self, room: Option<&str>, recording: Recorded) {
            let view = view(room, recording);
            self.keeper.take(Fact::Joined { participant: WHO }, |_| Some(view), &mut self.desk);
        }

        fn press(&mut self, keys: &str) {
            for digit in keys.chars() {
                self.take(Fact::Pressed { participant: WHO, digit });
            }
        }

        fn subjects(&self) -> Vec<&str> {
            self.desk.begun.iter().map(|start| start.subject.as_str()).collect()
        }
    }

    fn may_record() -> Recorded {
        Recorded { may_record: true, ..Recorded::default() }
    }

    #[test]
    fn rooms_are_recorded_as_their_rule_says() {
        let mut bench = Bench::new(Occasion::Always);
        bench.open("3000");
        bench.open("secret");
        assert_eq!(bench.subjects(), ["3000"]);
        assert!(bench.keeper.records("3000") && !bench.keeper.records("secret"));
        let Bench { keeper, desk } = &mut bench;
        assert_eq!(keeper.record_room("secret", desk), Err(NotKept::Never));
        assert_eq!(keeper.record_room("3000", desk), Err(NotKept::Already));
        assert_eq!(keeper.record_room("nowhere", desk), Err(NotKept::NoRoom));
        assert_eq!(keeper.end_room("secret", desk), Err(NotKept::NotRecorded));
        bench.take(Fact::RoomClosed { name: "3000".into() });
        assert!(!bench.keeper.records("3000"));
    }

    #[test]
    fn a_member_who_may_begins_and_ends_by_keys() {
        let mut bench = Bench::new(Occasion::OnDemand);
        bench.open("3000");
        bench.join(Some("3000"), may_record());
        bench.press("12*3*");
        assert!(bench.subjects().is_empty());
        bench.press("1");
        assert_eq!(bench.subjects(), ["3000"]);
        bench.press("*");
        bench.press("1");
        assert_eq!(bench.desk.ended, [RecordingId::new(1)]);
        bench.press("*1");
        assert_eq!(bench.desk.begun.len(), 2, "and again");
    }

    #[test]
    fn a_member_who_may_not_only_presses_keys() {
        let mut bench = Bench::new(Occasion::OnDemand);
        bench.open("3000");
        bench.join(Some("3000"), Recorded::default());
        bench.press("*1*1");
        assert!(bench.desk.begun.is_empty());
    }

    #[test]
    fn a_header_asks_for_the_room_or_else_for_the_call() {
        let asks = Recorded { asked: Some(true), ..may_record() };
        let mut bench = Bench::new(Occasion::OnDemand);
        bench.open("3000");
        bench.join(Some("3000"), asks);
        assert_eq!(bench.desk.begun[0].room.as_deref(), Some("3000"));
        bench.take(Fact::RecordingAsked { participant: WHO, on: false });
        assert_eq!(bench.desk.ended.len(), 1);
        bench.join(None, asks);
        let start = &bench.desk.begun[1];
        assert_eq!(start.call_id.as_deref(), Some("call"));
        assert_eq!(start.tracks[0].point, TapPoint::Received(SessionKey::new(0, 7, 1)));
        bench.take(Fact::RecordingAsked { participant: WHO, on: false });
        assert_eq!(bench.desk.ended.len(), 2);
    }

    #[test]
    fn a_call_that_is_always_recorded_is_so_once() {
        let mut bench = Bench::new(Occasion::OnDemand);
        let always = Recorded { always: true, asked: Some(true), may_record: true };
        bench.join(None, always);
        assert_eq!(bench.desk.begun.len(), 1);
        bench.take(Fact::Left { participant: WHO });
        assert!(bench.keeper.people.is_empty());
    }

    #[test]
    fn a_room_goes_on_where_its_recording_is_refused() {
        let mut bench = Bench::new(Occasion::Always);
        bench.desk.is_full = true;
        bench.open("3000");
        assert!(!bench.keeper.records("3000"));
        bench.desk.is_full = false;
        let Bench { keeper, desk } = &mut bench;
        assert_eq!(keeper.record_room("3000", desk), Ok(RecordingId::new(1)));
    }
}
