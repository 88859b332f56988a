//! The keeper beside a desk that only takes notes.

use media_units::Instant;
use recorder_writer::Format;
use signaling::{Gains, Recorded};

use super::*;
use crate::config::Arrangement;

#[derive(Debug, Default)]
struct FakeDesk {
    begun: Vec<RecordingStart>,
    added: Vec<String>,
    notes: Vec<Note>,
    removed: Vec<(RecordingId, SessionKey)>,
    ended: Vec<RecordingId>,
    notices: Vec<Notice>,
    is_full: bool,
}

impl Desk for FakeDesk {
    fn begin(&mut self, start: RecordingStart, _: &Keeping) -> Result<RecordingId, Refusal> {
        if self.is_full {
            return Err(Refusal::Full);
        }
        self.begun.push(start);
        Ok(RecordingId::new(self.begun.len() as u64))
    }

    fn add(&mut self, _: RecordingId, track: RecordedTrack) {
        self.added.push(track.label);
    }

    fn note(&mut self, _: RecordingId, note: Note) {
        self.notes.push(note);
    }

    fn is_paused(&self, _: RecordingId) -> bool {
        let mut spans = self.notes.iter().rev();
        spans.find(|note| matches!(note, Note::Paused | Note::Resumed)) == Some(&Note::Paused)
    }

    fn end(&mut self, recording: RecordingId) {
        self.ended.push(recording);
    }

    fn remove(&mut self, recording: RecordingId, session: SessionKey) {
        self.removed.push((recording, session));
    }

    fn notify(&mut self, _: SessionKey, notice: Notice) {
        self.notices.push(notice);
    }
}

/// A keeper, its desk, and a room with one member.
struct Bench {
    keeper: Keeper,
    desk: FakeDesk,
}

fn wish(tracks: &[TrackKind]) -> Wish {
    let keeping = Keeping {
        format: Format::Wav,
        rate: None,
        arrangement: Arrangement::Stereo,
        channels: 8,
        ends_with_tracks: true,
    };
    Wish { tracks: tracks.to_vec(), keeping }
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
            keys: Keys {
                record: Some("*1".into()),
                pause: Some("*2".into()),
                mark: Some("**2".into()),
            },
            room: wish(&[TrackKind::Mix]),
            call: wish(&[TrackKind::Received, TrackKind::Sent]),
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
    assert_eq!(keeper.record_room("secret", None, desk), Err(NotKept::Never));
    assert_eq!(keeper.record_room("3000", None, desk), Err(NotKept::Already));
    assert_eq!(keeper.record_room("nowhere", None, desk), Err(NotKept::Nobody));
    bench.take(Fact::RoomClosed { name: "3000".into() });
    assert!(!bench.keeper.records("3000"));
    assert_eq!(bench.desk.ended, [RecordingId::new(1)]);
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
fn a_member_who_may_lets_it_pause_and_marks_it_by_keys() {
    let mut bench = Bench::new(Occasion::Always);
    bench.open("3000");
    bench.join(Some("3000"), may_record());
    bench.press("*2");
    assert!(bench.desk.is_paused(RecordingId::new(1)));
    bench.press("*2**2");
    assert!(!bench.desk.is_paused(RecordingId::new(1)));
    let marks = || Note::Mark { label: "sip:alice@example.org".into() };
    assert_eq!(bench.desk.notes.iter().filter(|note| **note == marks()).count(), 1);
    bench.press("*1*2**2");
    let notes = bench.desk.notes.iter();
    let others = notes.filter(|note| matches!(note, Note::Paused | Note::Mark { .. }));
    assert_eq!(others.count(), 2, "nothing is recorded any more");
}

#[test]
fn a_member_who_may_not_only_presses_keys() {
    let mut bench = Bench::new(Occasion::OnDemand);
    bench.open("3000");
    bench.join(Some("3000"), Recorded::default());
    bench.press("*1*2**2*1");
    assert!(bench.desk.begun.is_empty());
}

#[test]
fn a_header_asks_for_the_room_or_else_for_the_call() {
    let asks = Recorded { asked: Some(RecordWish::On), ..may_record() };
    let mut bench = Bench::new(Occasion::OnDemand);
    bench.open("3000");
    bench.join(Some("3000"), asks);
    assert_eq!(bench.desk.begun[0].room.as_deref(), Some("3000"));
    bench.take(Fact::RecordingAsked { participant: WHO, wish: RecordWish::Pause });
    assert!(bench.desk.is_paused(RecordingId::new(1)));
    bench.take(Fact::RecordingAsked { participant: WHO, wish: RecordWish::On });
    assert!(!bench.desk.is_paused(RecordingId::new(1)), "it goes on");
    assert_eq!((bench.desk.begun.len(), bench.desk.ended.len()), (1, 0));
    bench.take(Fact::RecordingAsked { participant: WHO, wish: RecordWish::Off });
    assert_eq!(bench.desk.ended.len(), 1);
    bench.join(None, asks);
    let start = &bench.desk.begun[1];
    assert_eq!(start.call_id.as_deref(), Some("call"));
    let session = SessionKey::new(0, 7, 1);
    let points = [TapPoint::Received(session), TapPoint::Sent(session)];
    assert_eq!(start.tracks.iter().map(|track| track.point).collect::<Vec<_>>(), points);
    bench.take(Fact::RecordingAsked { participant: WHO, wish: RecordWish::Off });
    assert_eq!(bench.desk.ended.len(), 2);
}

#[test]
fn a_call_that_is_always_recorded_is_so_once() {
    let mut bench = Bench::new(Occasion::OnDemand);
    let always = Recorded { always: true, asked: Some(RecordWish::On), ..may_record() };
    bench.join(None, always);
    assert_eq!(bench.desk.begun.len(), 1);
    bench.take(Fact::Left { participant: WHO });
    assert!(bench.keeper.people.is_empty());
}

#[test]
fn a_call_to_the_recorder_has_one_recording_and_its_caller_is_told_of_it() {
    let mut bench = Bench::new(Occasion::OnDemand);
    let id = RecordingId::new(9);
    bench.join(None, Recorded { always: true, begun: Some(id), ..Recorded::default() });
    let Bench { keeper, desk } = &mut bench;
    assert!(desk.begun.is_empty(), "it has one already");
    assert_eq!(desk.notices, [Notice::Announcement]);
    assert!(keeper.take_change());
    assert_eq!(keeper.state_of(WHO, desk), RecordState::On);
    assert_eq!(keeper.record_call(WHO, None, desk), Err(NotKept::Already));
    keeper.beep(desk);
    assert_eq!(desk.notices.last(), Some(&Notice::Beep));
    bench.take(Fact::Muted { participant: WHO, muted: true });
    assert!(matches!(bench.desk.notes[..], [Note::Joined { .. }, Note::Muted { .. }]));
}

#[test]
fn what_is_over_is_told_once_and_why() {
    let mut bench = Bench::new(Occasion::OnDemand);
    let ids = [1, 2].map(RecordingId::new);
    bench.join(None, Recorded { begun: Some(ids[0]), ..Recorded::default() });
    let Bench { keeper, desk } = &mut bench;
    keeper.end(ids[0], desk);
    keeper.lost(ids[1]);
    let over = [(ids[0], Ending::RecordingStopped), (ids[1], Ending::RecordingFailed)];
    assert_eq!(keeper.take_over(), over);
    assert_eq!(keeper.take_over(), []);
    assert_eq!(keeper.state_of(WHO, desk), RecordState::Off);
}

#[test]
fn a_room_goes_on_where_its_recording_is_refused() {
    let mut bench = Bench::new(Occasion::Always);
    bench.desk.is_full = true;
    bench.open("3000");
    assert!(!bench.keeper.records("3000"));
    bench.desk.is_full = false;
    let Bench { keeper, desk } = &mut bench;
    assert_eq!(keeper.record_room("3000", None, desk), Ok(RecordingId::new(1)));
}

#[test]
fn a_room_that_is_always_recorded_is_so_once_it_can_be_but_not_again_after_a_stop() {
    let mut bench = Bench::new(Occasion::Always);
    bench.desk.is_full = true;
    bench.open("3000");
    bench.join(Some("3000"), Recorded::default());
    bench.keeper.record_owed(&mut bench.desk);
    assert!(bench.desk.notices.is_empty());
    bench.desk.is_full = false;
    bench.keeper.record_owed(&mut bench.desk);
    assert!(bench.keeper.records("3000"));
    assert_eq!(bench.desk.notices, [Notice::Announcement]);
    bench.keeper.end(RecordingId::new(1), &mut bench.desk);
    bench.keeper.record_owed(&mut bench.desk);
    assert!(!bench.keeper.records("3000"));
}

#[test]
fn a_room_with_tracks_of_its_members_has_those_who_are_there_and_those_who_come() {
    let mut bench = Bench::new(Occasion::OnDemand);
    bench.open("3000");
    bench.join(Some("3000"), Recorded::default());
    let Bench { keeper, desk } = &mut bench;
    let all = wish(&[TrackKind::Mix, TrackKind::Received, TrackKind::Packets]);
    keeper.record_room("3000", Some(all), desk).unwrap();
    assert_eq!(desk.begun[0].tracks.len(), 1);
    assert_eq!(desk.added, ["1-received", "1-packets"]);
    bench.take(Fact::Left { participant: WHO });
    bench.join(Some("3000"), Recorded::default());
    assert_eq!(bench.desk.added.len(), 4);
    assert_eq!(bench.desk.notices, [Notice::Announcement; 2]);
}

#[test]
fn what_happens_is_told_to_the_recordings_of_whom_it_happens_to() {
    let mut bench = Bench::new(Occasion::Always);
    bench.open("3000");
    bench.join(Some("3000"), Recorded::default());
    bench.desk.notes.clear();
    bench.take(Fact::Muted { participant: WHO, muted: true });
    bench.take(Fact::Talking { participant: WHO, talking: true });
    bench.take(Fact::Pressed { participant: WHO, digit: '5' });
    bench.take(Fact::Left { participant: WHO });
    let participant = || "1".to_owned();
    let told = [
        Note::Muted { participant: participant() },
        Note::TalkStarted { participant: participant() },
        Note::Digit { participant: participant() },
        Note::Left { participant: participant() },
    ];
    assert_eq!(bench.desk.notes, told, "and not which key it was");
}

#[test]
fn everyone_who_is_recorded_hears_the_beep_but_in_a_pause() {
    let mut bench = Bench::new(Occasion::Always);
    bench.open("3000");
    bench.join(Some("3000"), Recorded::default());
    let Bench { keeper, desk } = &mut bench;
    desk.notices.clear();
    keeper.beep(desk);
    assert_eq!(desk.notices, [Notice::Beep]);
    let recording = RecordingId::new(1);
    desk.pause(recording, true);
    desk.pause(recording, true);
    keeper.beep(desk);
    desk.pause(recording, false);
    assert_eq!(desk.notices.len(), 1);
    let spans: Vec<_> =
        desk.notes.iter().filter(|note| matches!(note, Note::Paused | Note::Resumed)).collect();
    assert_eq!(spans, [&Note::Paused, &Note::Resumed]);
    keeper.end(recording, desk);
    keeper.beep(desk);
    assert_eq!(desk.notices.len(), 1);
    assert!(!keeper.records("3000"));
}

#[test]
fn who_goes_to_another_room_leaves_the_recording_of_the_one_and_enters_that_of_the_other() {
    let mut bench = Bench::new(Occasion::Always);
    bench.open("a");
    bench.open("b");
    bench.join(Some("a"), Recorded::default());
    bench.keeper.leaves_room(WHO, &mut bench.desk);
    let session = SessionKey::new(0, 7, 1);
    assert_eq!(bench.desk.removed, [(RecordingId::new(1), session)]);
    assert_eq!(bench.desk.notes.pop(), Some(Note::Left { participant: WHO.to_string() }));
    let notices = bench.desk.notices.len();
    bench.keeper.enters_room(view(Some("b"), Recorded::default()), &mut bench.desk);
    assert!(matches!(bench.desk.notes.last(), Some(Note::Joined { .. })));
    assert_eq!(bench.desk.notices.len(), notices + 1, "it hears that this one is recorded");
    bench.take(Fact::RoomClosed { name: "a".into() });
    bench.take(Fact::Muted { participant: WHO, muted: true });
    assert!(matches!(bench.desk.notes.last(), Some(Note::Muted { .. })), "it is in the other");
}

#[test]
fn nobody_is_recorded_in_a_room_that_never_is_but_by_a_rule_of_its_own() {
    for (always, begun) in [(false, 0), (true, 1)] {
        let mut bench = Bench::new(Occasion::OnDemand);
        bench.open("secret");
        bench.join(Some("secret"), Recorded { always, ..Recorded::default() });
        let Bench { keeper, desk } = &mut bench;
        let asked = keeper.record_call(WHO, None, desk);
        assert_eq!(asked, Err(if always { NotKept::Already } else { NotKept::Never }));
        assert_eq!(desk.begun.len(), begun);
        assert_eq!(keeper.never_keeps(&Subject::Call(WHO)), !always);
        let room = |name: &str| Subject::Room(name.to_owned());
        assert!(keeper.never_keeps(&room("secret")));
        assert!(!keeper.never_keeps(&room("nowhere")), "it is another mistake");
    }
}

#[test]
fn who_is_recorded_and_goes_to_a_room_that_never_is_is_recorded_no_more() {
    for (always, ended) in [(false, 1), (true, 0)] {
        let recorded = Recorded { always, ..Recorded::default() };
        let mut bench = Bench::new(Occasion::OnDemand);
        for room in ["a", "b", "secret"] {
            bench.open(room);
        }
        bench.join(Some("a"), recorded);
        let _ = bench.keeper.record_call(WHO, None, &mut bench.desk);
        for room in ["b", "secret"] {
            assert!(bench.desk.ended.is_empty());
            bench.keeper.leaves_room(WHO, &mut bench.desk);
            bench.keeper.enters_room(view(Some(room), recorded), &mut bench.desk);
        }
        assert_eq!(bench.desk.ended.len(), ended);
        assert_eq!(bench.keeper.people[&WHO].recording.is_none(), !always);
    }
}
