//! What the API may see of rooms and participants.

use std::fmt;

use engine_control::{RemoteMedia, RoomKey, SessionKey};
use media_units::{Gain, Instant};

use crate::recording::Recorded;

/// Names one participant for as long as the server runs, and never another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub(crate) u64);

impl ParticipantId {
    /// The participant of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One room, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// Its name.
    pub name: String,
    /// Its key in the engine.
    pub key: RoomKey,
    /// Since when it exists.
    pub since: Instant,
    /// Who is in it, in order of arrival.
    pub members: Vec<ParticipantView>,
}

/// How loud a participant is in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gains {
    /// By how much everyone hears it louder.
    pub says: Gain,
    /// By how much it hears everyone louder.
    pub hears: Gain,
}

/// One participant, as it is now.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not the states of a machine")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantView {
    /// Who, for [`crate::FrontEnd::mute`] and [`crate::FrontEnd::kick`].
    pub participant: ParticipantId,
    /// Its session in the engine, for reports.
    pub session: SessionKey,
    /// The caller's address (the URI in From).
    pub uri: String,
    /// The caller's display name, where there is one.
    pub display_name: Option<String>,
    /// The call's Call-ID.
    pub call_id: String,
    /// The user part that was dialled.
    pub dialled: String,
    /// The room it is for, where it is for one.
    pub room: Option<String>,
    /// When the INVITE came.
    pub since: Instant,
    /// Whether the call is answered.
    pub answered: bool,
    /// Whether we mute it.
    pub muted: bool,
    /// How loud it is heard, and hears.
    pub gains: Gains,
    /// Whether it put us on hold.
    pub held: bool,
    /// What offer and answer agreed on, once they have.
    pub agreed: Option<RemoteMedia>,
    /// Whether it speaks.
    pub talking: bool,
    /// What it has to do with recordings.
    pub recording: Recorded,
    /// The last digits it pressed, however they came.
    pub digits: String,
}

/// Why no keys are pressed for a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigitsRefusal {
    /// There is no such participant, or it has no media yet.
    NotFound,
    /// The engine takes no command now.
    Busy,
}

/// Why a participant stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferRefusal {
    /// There is no such participant, or it has no media yet.
    NotFound,
    /// It would have to leave its shard, and cannot: it is recorded or sent by itself, or the driver
    /// does not let it.
    Immovable,
    /// No room, seat or slot is free, or the engine takes no command now.
    Unavailable,
}

/// No such participant or room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFound;

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not found")
    }
}

impl std::error::Error for NotFound {}
