//! What is sent to a recorder of others: a room or a call, who is in it, and in which streams.

use std::fmt;

use engine_control::{RoomKey, TapPoint};
use signaling_siprec::{
    Association, DataMode, Metadata, Participant, Presence, Session, Stream, write,
};

use crate::recording::{RecordedParticipant, RecordedTrack, RecordingId};
use crate::routing::Destination;
use crate::view::ParticipantId;

/// Most participants that the metadata names: it has to fit into a datagram, and recorders read no
/// metadata without bound. Whoever is beyond is heard in the mix.
const NAMED_MAX: usize = 100;

/// A room or a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A room, by its name: what each in it says.
    Room(String),
    /// One call: what the caller says, and what it hears.
    Call(ParticipantId),
}

impl Subject {
    /// The room of a call that dialled this, where it is one.
    pub(crate) fn room(destination: &Destination) -> Option<Self> {
        match destination {
            Destination::Room(name) => Some(Self::Room(name.clone())),
            Destination::Echo | Destination::Tone | Destination::Record => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(name) => f.write_str(name),
            Self::Call(id) => id.fmt(f),
        }
    }
}

/// A room or a call that is sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Which recorder of the list is tried or in use.
    pub recorder: usize,
    /// The dialog with it.
    pub call: Option<ParticipantId>,
    /// Whether something has changed since the recorder was told last.
    pub is_stale: bool,
    pub own_recording: Option<OwnRecording>,
    /// The room, where it is one: whose mix is sent where there are too many for a stream each.
    room: Option<RoomKey>,
    session: Session,
    people: Vec<Person>,
    parts: Vec<Part>,
    /// Who left and the recorder has not confirmed it, and how many of them the last offer names.
    gone: Vec<Participant>,
    gone_offered: usize,
    labels_given: u32,
}

/// Our own recording of what no recorder takes.
#[derive(Debug, Clone)]
pub(crate) struct OwnRecording {
    pub id: RecordingId,
    /// What it taps.
    pub points: Vec<TapPoint>,
}

/// Somebody who is in it.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Whose call it is; `None`: our own side of a call.
    pub who: Option<ParticipantId>,
    /// Its identifier in the metadata.
    pub id: String,
    pub aor: String,
    pub name: Option<String>,
    /// Since when it is there.
    pub since: String,
    /// Where what it says is to be had.
    pub point: TapPoint,
    /// Whether it sends us anything, and we send it anything: it may be on hold.
    pub says: bool,
    pub hears: bool,
}

/// One stream of what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its label in the session description: never given again.
    pub label: String,
    /// Its identifier in the metadata.
    stream: String,
    pub point: TapPoint,
    /// Who speaks in it; `None`: it is the mix of a room.
    person: Option<String>,
    /// Since when it is there.
    since: String,
    /// Whether anything is to be heard in it.
    pub is_active: bool,
}

impl Sent {
    pub(crate) fn new(session: Session, room: Option<RoomKey>) -> Self {
        Self {
            recorder: 0,
            call: None,
            is_stale: false,
            own_recording: None,
            room,
            session,
            people: Vec::new(),
            parts: Vec::new(),
            gone: Vec::new(),
            gone_offered: 0,
            labels_given: 0,
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    pub(crate) fn arrive(&mut self, person: Person) {
        self.people.push(person);
        self.is_stale = true;
    }

    /// Whether somebody was there, and is gone now.
    pub(crate) fn leave(&mut self, who: ParticipantId, at: &str) -> bool {
        let Some(place) = self.people.iter().position(|person| person.who == Some(who)) else {
            return false;
        };
        let person = self.people.remove(place);
        let presence =
            Presence { disassociate_time: Some(at.to_owned()), ..self.presence(&person) };
        self.gone.push(participant(&person, presence));
        self.is_stale = true;
        true
    }

    /// Somebody was put on hold, put us on hold, or came back.
    pub(crate) fn set_flow(&mut self, who: ParticipantId, says: bool, hears: bool) {
        let known = self.people.iter_mut().find(|person| person.who == Some(who));
        if let Some(person) = known
            && (person.says, person.hears) != (says, hears)
        {
            (person.says, person.hears) = (says, hears);
            self.is_stale = true;
        }
    }

    /// Gives each who has none a stream of its own, up to `parts_max`; whoever is beyond is in the
    /// mix, which is sent as long as there is somebody. `identifier` makes up new ones.
    pub(crate) fn share_out(
        &mut self,
        parts_max: usize,
        at: &str,
        identifier: &mut dyn FnMut() -> String,
    ) {
        let Self { people, parts, labels_given, .. } = self;
        let is_there = |id: &String| people.iter().any(|person| person.id == *id);
        parts.retain(|part| part.person.as_ref().is_none_or(is_there));
        let mut part = |point, person| {
            *labels_given += 1;
            let (label, stream) = (labels_given.to_string(), identifier());
            Part { label, stream, point, person, since: at.to_owned(), is_active: true }
        };
        let mut own = parts.iter().filter(|part| part.person.is_some()).count();
        let mut is_anyone_beyond = false;
        for person in people.iter() {
            if let Some(known) = parts.iter_mut().find(|it| it.person.as_ref() == Some(&person.id))
            {
                known.is_active = person.says;
            } else if own < parts_max {
                own += 1;
                let new = part(person.point, Some(person.id.clone()));
                parts.push(Part { is_active: person.says, ..new });
            } else {
                is_anyone_beyond = true;
            }
        }
        let is_mixed = parts.iter().any(|part| part.person.is_none());
        match self.room.filter(|_| is_anyone_beyond) {
            Some(room) if !is_mixed => parts.push(part(TapPoint::Room(room), None)),
            Some(_) => {}
            None => parts.retain(|part| part.person.is_some()),
        }
    }

    /// What our own recording of it has.
    pub(crate) fn tracks(&self) -> Vec<RecordedTrack> {
        let tracks = self.parts.iter().map(|part| {
            let person = part.person.as_ref();
            let person = person.and_then(|id| self.people.iter().find(|it| it.id == *id));
            let label = person.map_or("mix", |_| part.label.as_str()).to_owned();
            let participant = person.map(|person| RecordedParticipant {
                id: person.who.map_or_else(|| "server".to_owned(), |who| who.to_string()),
                uri: person.aor.clone(),
                display_name: person.name.clone(),
            });
            RecordedTrack { point: part.point, label, participant }
        });
        tracks.collect()
    }

    /// The metadata for an offer to the recorder: all that is known.
    pub(crate) fn offered(&mut self) -> String {
        self.is_stale = false;
        self.gone_offered = self.gone.len();
        self.metadata()
    }

    /// The recorder took the last offer.
    pub(crate) fn confirmed(&mut self) {
        self.gone.drain(..self.gone_offered);
        self.gone_offered = 0;
    }

    fn metadata(&self) -> String {
        let named = || self.people.iter().take(NAMED_MAX);
        let participants = named().map(|person| participant(person, self.presence(person)));
        let streams = self.parts.iter().map(|part| Stream {
            id: part.stream.clone(),
            session: self.session.id.clone(),
            label: part.label.clone(),
        });
        let gone = self.gone.iter().take(NAMED_MAX).cloned();
        write(&Metadata {
            data_mode: DataMode::Complete,
            sessions: vec![self.session.clone()],
            participants: participants.chain(gone).collect(),
            streams: streams.collect(),
            associations: named().map(|person| self.association(person)).collect(),
        })
    }

    /// Which streams somebody sends, and which it hears: those of all others, or the mix where
    /// there is one.
    fn association(&self, person: &Person) -> Association {
        let own = self.parts.iter().find(|part| part.person.as_ref() == Some(&person.id));
        let mix = self.parts.iter().find(|part| part.person.is_none());
        let sent = own.or(mix).filter(|_| person.says);
        let is_other = |part: &&Part| part.person.is_some() && Some(*part) != own;
        let heard: Vec<String> = match mix {
            Some(mix) => vec![mix.stream.clone()],
            None => self.parts.iter().filter(is_other).map(|part| part.stream.clone()).collect(),
        };
        Association {
            participant: person.id.clone(),
            sends: sent.map(|part| part.stream.clone()).into_iter().collect(),
            receives: if person.hears { heard } else { Vec::new() },
            associate_time: Some(own.or(mix).map_or(&person.since, |part| &part.since).clone()),
            disassociate_time: None,
        }
    }

    fn presence(&self, person: &Person) -> Presence {
        Presence {
            session: self.session.id.clone(),
            associate_time: Some(person.since.clone()),
            disassociate_time: None,
        }
    }
}

fn participant(person: &Person, presence: Presence) -> Participant {
    Participant {
        id: person.id.clone(),
        aor: person.aor.clone(),
        name: person.name.clone(),
        sessions: vec![presence],
    }
}
