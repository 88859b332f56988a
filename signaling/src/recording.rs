//! What the front end has to say about recordings. Files, taps and clocks are somebody else's.

use std::fmt;

use bytes::Bytes;
use engine_control::TapPoint;
use sipx_sip::{HeaderName, Request};

use crate::policy::Rights;
use crate::refusal::Refusal;

/// Names one recording for as long as the server runs, and never another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(u64);

impl RecordingId {
    /// The recording of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a call is recorded, as its endpoint is told (RFC 7866 section 6.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RecordState {
    /// It is not.
    #[default]
    Off,
    /// It is, but nothing is kept at present.
    Paused,
    /// It is.
    On,
}

impl RecordState {
    /// A description that says it, in place of what it said before: an attribute of the session.
    pub(crate) fn told_in(self, description: &str) -> String {
        let mut lines: Vec<&str> = description.split_inclusive('\n').collect();
        lines.retain(|line| !line.starts_with("a=record:"));
        let state = match self {
            Self::Off => "a=record:off\r\n",
            Self::Paused => "a=record:paused\r\n",
            Self::On => "a=record:on\r\n",
        };
        let media = lines.iter().position(|line| line.starts_with("m=")).unwrap_or(lines.len());
        lines.insert(media, state);
        lines.concat()
    }
}

/// What somebody who may wants of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordWish {
    /// That it begins; that it goes on, where it is paused.
    On,
    /// That nothing is kept until it is to go on.
    Pause,
    /// That it ends.
    Off,
}

impl RecordWish {
    fn of(word: &[u8]) -> Option<Self> {
        match word {
            b"on" => Some(Self::On),
            b"pause" => Some(Self::Pause),
            b"off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// What a description wants of recording (RFC 7866 section 6.2).
pub(crate) fn preferred(description: &[u8]) -> Option<RecordWish> {
    let preference = description
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"a=recordpref:").map(<[u8]>::trim_ascii))?;
    RecordWish::of(preference)
}

/// What one call has to do with recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Whether it may have itself or its room recorded.
    pub may_record: bool,
    /// Whether its calls are recorded, asked for or not.
    pub always: bool,
    /// What its INVITE asked for.
    pub asked: Option<RecordWish>,
    /// Its recording, where it dialled the recorder.
    pub begun: Option<RecordingId>,
}

impl Recorded {
    /// What the rules and an INVITE say.
    pub(crate) fn of(rights: &Rights, invite: &Request) -> Result<Self, Refusal> {
        let Rights { may_record, is_recorded: always, .. } = *rights;
        // Anyone can write a header: those who may not are not heard.
        let wish = |header: Option<RecordWish>| header.or_else(|| preferred(invite.body()));
        let asked = if may_record { wish(asked(invite)?) } else { None };
        Ok(Self { may_record, always, asked, begun: None })
    }
}

/// What the Record header asks for, where there is one: `on`, `pause` or `off`.
pub(crate) fn asked(request: &Request) -> Result<Option<RecordWish>, Refusal> {
    let name = HeaderName::Other(Bytes::from_static(b"Record"));
    let Some(value) = request.headers.value(&name) else { return Ok(None) };
    let wish = RecordWish::of(&value.trim_ascii().to_ascii_lowercase());
    wish.map(Some).ok_or_else(|| Refusal::Malformed("Record is not on, pause or off".into()))
}

/// A recording to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingStart {
    /// For its name: the room, or the user part of who called.
    pub subject: String,
    /// The room, where it is of one.
    pub room: Option<String>,
    /// The SIP Call-ID, where it is of one call.
    pub call_id: Option<String>,
    /// What it begins with; all of one shard. More may come.
    pub tracks: Vec<RecordedTrack>,
}

/// One track of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTrack {
    /// What is tapped.
    pub point: TapPoint,
    /// Short, for people and file names: `mix`, a number, a stream's label.
    pub label: String,
    /// Who speaks on it, where it is one person.
    pub participant: Option<RecordedParticipant>,
}

/// Somebody on a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedParticipant {
    /// Unique in the recording.
    pub id: String,
    /// The SIP URI.
    pub uri: String,
    /// The name, where there is one.
    pub display_name: Option<String>,
}
