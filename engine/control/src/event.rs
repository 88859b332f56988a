//! What a shard tells the control plane. Facts: never lost.

use std::net::SocketAddr;

use crate::command::each_reported;
use crate::{
    Prompt, Refusal, RemoteMedia, RoomKey, SessionKey, SessionOpen, SessionReport, ShardReport,
    Shedding, TapId, TapPoint,
};

/// How a digit came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigitSource {
    /// As an event beside the sound (RFC 4733).
    TelephoneEvent,
    /// As tones in the sound.
    InBand,
    /// In a SIP message (INFO). No shard tells that.
    Info,
}

/// One fact.
#[derive(Debug)]
pub enum Event {
    /// A session is open: its box comes home.
    SessionOpened {
        /// Which session.
        session: SessionKey,
        /// The donated memory.
        open: Box<SessionOpen>,
    },
    /// The box of an update comes home.
    MediaReturned {
        /// Which session.
        session: SessionKey,
        /// The donated memory.
        media: Box<RemoteMedia>,
    },
    /// The endpoint's media arrives from this address and is sent there from now on.
    Latched {
        /// Which session.
        session: SessionKey,
        /// The source of its packets.
        source: SocketAddr,
        /// Whether another address was latched before.
        again: bool,
    },
    /// A digit was pressed; reported once, at its end.
    Digit {
        /// Which session.
        session: SessionKey,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long, in milliseconds.
        duration_ms: u16,
        /// How it came.
        source: DigitSource,
    },
    /// Keys that were to be pressed wait in line: the answer to a
    /// [`crate::Command::SendDigits`] that is not refused.
    DigitsTaken {
        /// Which session.
        session: SessionKey,
    },
    /// The endpoint began to speak.
    TalkStarted {
        /// Which session.
        session: SessionKey,
    },
    /// The endpoint fell silent.
    TalkStopped {
        /// Which session.
        session: SessionKey,
    },
    /// No media came for `Limits::media_timeout` although some was expected. Reported once.
    MediaTimedOut {
        /// Which session.
        session: SessionKey,
    },
    /// A prompt is over, or was given up: its box comes home.
    Prompted {
        /// Which session.
        session: SessionKey,
        /// The donated memory.
        prompt: Box<Prompt>,
    },
    /// The endpoint said goodbye by RTCP.
    RtcpBye {
        /// Which session.
        session: SessionKey,
    },
    /// A session is closed; its slot and port may be given to another.
    SessionClosed {
        /// Which session.
        session: SessionKey,
    },
    /// A session has left for another shard: what it is travels beside this.
    SessionLeft {
        /// Which session.
        session: SessionKey,
    },
    /// A session that left another shard lives in this one now.
    SessionArrived {
        /// Which session.
        session: SessionKey,
    },
    /// A room is closed; its slot may be given to another.
    RoomClosed {
        /// Which room.
        room: RoomKey,
    },
    /// A tap ended: by command, or because what it tapped is gone.
    TapEnded {
        /// Where.
        point: TapPoint,
        /// Which.
        tap: TapId,
    },
    /// The shard gives up more than before, or less, as it has less time or more.
    Shedding {
        /// Which shard.
        shard: u8,
        /// What it gave up until now.
        before: Shedding,
        /// What it gives up from now on.
        shedding: Shedding,
        /// Its pressure, in percent.
        pressure_percent: u32,
    },
    /// Reports that were asked for.
    SessionsReported {
        /// The donated memory, filled in.
        reports: Box<Vec<SessionReport>>,
    },
    /// The report that was asked for.
    ShardReported {
        /// The donated memory, filled in.
        report: Box<ShardReport>,
    },
    /// A command was refused; what it donated comes home in it.
    Refused {
        /// The command, unchanged.
        command: crate::Command,
        /// Why.
        refusal: Refusal,
    },
}

impl Event {
    /// Shows each key of a session in it, to be changed.
    pub(crate) fn each_session(&mut self, mut each: impl FnMut(&mut SessionKey)) {
        match self {
            Self::SessionOpened { session, .. }
            | Self::MediaReturned { session, .. }
            | Self::Latched { session, .. }
            | Self::Digit { session, .. }
            | Self::DigitsTaken { session }
            | Self::TalkStarted { session }
            | Self::TalkStopped { session }
            | Self::MediaTimedOut { session }
            | Self::Prompted { session, .. }
            | Self::RtcpBye { session }
            | Self::SessionLeft { session }
            | Self::SessionArrived { session }
            | Self::SessionClosed { session } => each(session),
            Self::TapEnded { point, .. } => point.each_session(each),
            Self::SessionsReported { reports } => each_reported(reports, each),
            Self::Refused { command, .. } => command.each_session(each),
            Self::RoomClosed { .. } | Self::Shedding { .. } | Self::ShardReported { .. } => {}
        }
    }
}
