//! What the front end has to say about recordings. Files, taps and clocks are somebody else's.

use std::fmt;

use engine_control::TapPoint;

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
