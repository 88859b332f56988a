//! What the front end tells of its calls and rooms, for whoever keeps recordings or an eye on them.

use engine_control::RoomKey;

use crate::recording::RecordWish;
use crate::view::ParticipantId;

/// Something happened. Facts come in order; [`crate::FrontEnd::participant`] tells the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A room was made.
    RoomOpened {
        /// Its name.
        name: String,
        /// Its key in the engine.
        key: RoomKey,
    },
    /// A room is about to be gone, with all that is tapped in it.
    RoomClosed {
        /// Its name.
        name: String,
    },
    /// A call has its session in the engine: its sound goes where it dialled.
    Joined {
        /// Who.
        participant: ParticipantId,
    },
    /// A call that had joined is over for the engine.
    Left {
        /// Who.
        participant: ParticipantId,
    },
    /// A participant was muted or unmuted by us.
    Muted {
        /// Who.
        participant: ParticipantId,
        /// Whether it is muted now.
        muted: bool,
    },
    /// A participant put us on hold or came back.
    Held {
        /// Who.
        participant: ParticipantId,
        /// Whether we are on hold now.
        held: bool,
    },
    /// A participant began to speak or fell silent.
    Talking {
        /// Who.
        participant: ParticipantId,
        /// Whether it speaks now.
        talking: bool,
    },
    /// A participant pressed a key.
    Pressed {
        /// Who.
        participant: ParticipantId,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
    },
    /// A participant is sent to a recorder of others, or is no more (RFC 7866).
    Sent {
        /// Who.
        participant: ParticipantId,
        /// Whether it is sent now.
        on: bool,
    },
    /// A participant that may asked for a recording to begin, to pause or to end.
    RecordingAsked {
        /// Who.
        participant: ParticipantId,
        /// What it asked for.
        wish: RecordWish,
    },
}
