//! What the control plane may ask of a shard.

use std::net::SocketAddr;

use media_units::{
    Cadence, Digits, Direction, Encoding, EncodingParameters, Gain, Law, RateClass, RoomSound,
    RtpTimestamp, SequenceNumber, Ssrc,
};
use serde::{Deserialize, Serialize};

use crate::{Prompt, RoomKey, SessionKey, SessionReport, ShardReport, SpreadId, TapId, TapPoint};

/// How RTCP travels beside RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RtcpTransport {
    /// On the RTP port (RFC 5761).
    Mux,
    /// On its own pair of ports; the address is the endpoint's (RFC 3605 or RTP port + 1).
    Separate(SocketAddr),
}

/// What offer and answer agreed on for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteMedia {
    /// Payload format of both directions.
    pub encoding: Encoding,
    /// Payload type we expect to receive.
    pub receive_payload_type: u8,
    /// Payload type the endpoint expects from us.
    pub send_payload_type: u8,
    /// RFC 4733 digits, where negotiated.
    pub telephone_event: Option<TelephoneEvent>,
    /// Payload type of comfort noise (RFC 3389) both ways, where negotiated: 13 for 8 kHz.
    pub comfort_noise: Option<u8>,
    /// Identifier of the header extension that tells the level of what we receive (RFC 6464).
    pub audio_level: Option<u8>,
    /// Identifier of the header extension that tells the levels of those who are in the mix we
    /// send (RFC 6465).
    pub mixer_levels: Option<u8>,
    /// Whether the endpoint takes `VoIP` metrics in extended reports (RFC 3611).
    pub voip_metrics: bool,
    /// Where the endpoint said it listens. An unspecified address (`0.0.0.0`) or port 0 means it
    /// said nothing usable: we wait for its packets and answer where they come from.
    pub rtp: SocketAddr,
    /// Where RTCP goes.
    pub rtcp: RtcpTransport,
    /// Which way media flows, seen from the server.
    pub direction: Direction,
    /// How the endpoint wants it encoded. Packets of 10 to 60 ms are accepted whatever is sent.
    pub parameters: EncodingParameters,
}

/// The payload types of digits (RFC 4733 section 2.4.1: on the clock of the sound beside them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelephoneEvent {
    /// Payload type we expect to receive.
    pub receive: u8,
    /// Payload type the endpoint expects from us.
    pub send: u8,
    /// Units of its duration field in a second: 8000, 16000, 44100 or 48000.
    pub clock_rate: u32,
}

impl RemoteMedia {
    /// What a plain phone agrees on: G.711 by its static payload type, 20 ms, both ways.
    pub const fn g711(law: Law, rtp: SocketAddr, rtcp: RtcpTransport) -> Self {
        Self {
            encoding: law.encoding(),
            receive_payload_type: law.static_payload_type(),
            send_payload_type: law.static_payload_type(),
            telephone_event: None,
            comfort_noise: None,
            audio_level: None,
            mixer_levels: None,
            voip_metrics: false,
            rtp,
            rtcp,
            direction: Direction::SendReceive,
            parameters: EncodingParameters::DEFAULT,
        }
    }
}

/// What a session's sound is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// Nothing: what it receives is kept for taps and levels, it is sent silence.
    Idle,
    /// Itself: what it receives, after playout.
    Echo,
    /// A steady test tone (1 kHz, -16 dBm0).
    Tone,
    /// A room: everyone in it but itself.
    Room(RoomKey),
    /// What a point of the same shard carries, in the same tick, in the session's own format: for
    /// recorders elsewhere (RFC 7866). What the session says goes nowhere. It becomes idle when
    /// what it monitors is closed.
    Monitor(TapPoint),
}

/// Everything a shard needs to know to open a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpen {
    /// Our SSRC in this session, random (RFC 3550 section 8).
    pub ssrc: Ssrc,
    /// First sequence number we send, random (RFC 3550 section 5.1).
    pub sequence: SequenceNumber,
    /// RTP timestamp at the engine's start, random (RFC 3550 section 5.1).
    pub timestamp: RtpTimestamp,
    /// What was negotiated.
    pub media: RemoteMedia,
    /// What it is connected to.
    pub route: Route,
}

/// One request to a shard. Applied in order at the start of the next tick, or of one soon after
/// where more than [`crate::COMMANDS_PER_TICK`] wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// Opens a session in a free slot.
    OpenSession {
        /// The slot and generation, taken from the control plane's pool.
        session: SessionKey,
        /// Boxed: the largest command decides the ring's size. Returned in `SessionOpened`.
        open: Box<SessionOpen>,
    },
    /// Applies a new offer/answer to a session: hold, resume, another address or codec.
    UpdateSession {
        /// Which session.
        session: SessionKey,
        /// Returned in [`crate::Event::MediaReturned`].
        media: Box<RemoteMedia>,
    },
    /// Connects a session to something else.
    RouteSession {
        /// Which session.
        session: SessionKey,
        /// To what.
        route: Route,
    },
    /// Mutes or unmutes what a session says. It still hears.
    MuteSession {
        /// Which session.
        session: SessionKey,
        /// Whether it is to be silent.
        muted: bool,
    },
    /// Sets how loud a session is in rooms. It holds in every room that it enters; what is heard
    /// already changes without clicks.
    SetGain {
        /// Which session.
        session: SessionKey,
        /// By how much everyone hears it louder.
        says: Gain,
        /// By how much it hears everyone louder.
        hears: Gain,
    },
    /// Presses keys for a session's endpoint, after those that wait already: as events where
    /// negotiated (RFC 4733), as tones in its sound otherwise. Refused whole where they do not fit;
    /// else [`crate::Event::DigitsTaken`] follows.
    SendDigits {
        /// Which session.
        session: SessionKey,
        /// Which keys.
        digits: Digits,
        /// How they are pressed.
        cadence: Cadence,
    },
    /// Plays a prompt to a session's endpoint, once, in place of what it would hear; one that plays
    /// is given up. [`crate::Event::Prompted`] follows where it is over.
    Prompt {
        /// Which session.
        session: SessionKey,
        /// What to play.
        prompt: Box<Prompt>,
    },
    /// Ends a session: an RTCP BYE is sent, its taps end, `SessionClosed` follows.
    CloseSession {
        /// Which session.
        session: SessionKey,
    },
    /// Sends a session to another shard: once it has had its turn it is taken out of its place with
    /// all that it is, and [`crate::Event::SessionLeft`] carries it. Its packets wait in its sockets.
    SendAway {
        /// Which session.
        session: SessionKey,
    },
    /// Takes in a session that left another shard: [`crate::Event::SessionArrived`] follows. It is
    /// connected to nothing.
    TakeIn {
        /// The slot and generation that it lives in from now on.
        session: SessionKey,
    },
    /// Opens a room in a free slot.
    OpenRoom {
        /// The slot and generation, taken from the control plane's pool.
        room: RoomKey,
        /// How it is to sound.
        sound: RoomSound,
    },
    /// Opens this shard's part of a room that is spread over several shards. It is closed as any room.
    OpenPart {
        /// The slot and generation of the part, taken from the control plane's pool.
        room: RoomKey,
        /// How the whole room is to sound.
        sound: RoomSound,
        /// Which place of the exchange all its parts meet at.
        spread: SpreadId,
    },
    /// Closes a room: members still in it become idle, its taps end, `RoomClosed` follows.
    CloseRoom {
        /// Which room.
        room: RoomKey,
    },
    /// Starts copying into the shard's ring. At most one tap per point.
    StartTap {
        /// Where.
        point: TapPoint,
        /// What its records are called.
        tap: TapId,
        /// At which rate a room is mixed for it: where none is named, the highest of its members'
        /// at each moment. A session's sound comes at its own.
        class: Option<RateClass>,
    },
    /// Stops a tap: `TapEnded` follows.
    StopTap {
        /// Where.
        point: TapPoint,
    },
    #[serde(skip)]
    /// Fills in one report for each session in it (their keys say which) and sends it back.
    ReportSessions {
        /// Donated; returned in `SessionsReported`, gone sessions removed.
        reports: Box<Vec<SessionReport>>,
    },
    #[serde(skip)]
    /// Fills in the shard's report and sends it back.
    ReportShard {
        /// Donated; returned in `ShardReported`.
        report: Box<ShardReport>,
    },
}

impl Command {
    /// Whether it only asks: a shard is afterwards as it was before.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::ReportSessions { .. } | Self::ReportShard { .. })
    }

    /// The shard that it is for. Reports of no session at all are for none, and those of several
    /// shards for no single one.
    pub fn shard(&self) -> Result<u8, Refusal> {
        Ok(match self {
            Self::OpenSession { session, .. }
            | Self::UpdateSession { session, .. }
            | Self::RouteSession { session, .. }
            | Self::MuteSession { session, .. }
            | Self::SetGain { session, .. }
            | Self::SendDigits { session, .. }
            | Self::Prompt { session, .. }
            | Self::SendAway { session }
            | Self::TakeIn { session }
            | Self::CloseSession { session } => session.shard(),
            Self::OpenRoom { room, .. }
            | Self::OpenPart { room, .. }
            | Self::CloseRoom { room } => room.shard(),
            Self::StartTap { point, .. } | Self::StopTap { point } => point.shard(),
            Self::ReportShard { report } => report.shard,
            Self::ReportSessions { reports } => {
                let shard = reports.first().ok_or(Refusal::Gone)?.session.shard();
                if reports.iter().any(|report| report.session.shard() != shard) {
                    return Err(Refusal::OtherShard);
                }
                shard
            }
        })
    }

    /// Shows each key of a session in it, to be changed.
    pub(crate) fn each_session(&mut self, mut each: impl FnMut(&mut SessionKey)) {
        match self {
            Self::OpenSession { session, open } => {
                each(session);
                open.route.each_session(each);
            }
            Self::RouteSession { session, route } => {
                each(session);
                route.each_session(each);
            }
            Self::UpdateSession { session, .. }
            | Self::MuteSession { session, .. }
            | Self::SetGain { session, .. }
            | Self::SendDigits { session, .. }
            | Self::Prompt { session, .. }
            | Self::SendAway { session }
            | Self::TakeIn { session }
            | Self::CloseSession { session } => each(session),
            Self::StartTap { point, .. } | Self::StopTap { point } => point.each_session(each),
            Self::ReportSessions { reports } => each_reported(reports, each),
            Self::OpenRoom { .. }
            | Self::OpenPart { .. }
            | Self::CloseRoom { .. }
            | Self::ReportShard { .. } => {}
        }
    }
}

impl Route {
    fn each_session(&mut self, each: impl FnMut(&mut SessionKey)) {
        if let Self::Monitor(point) = self {
            point.each_session(each);
        }
    }
}

/// Shows each key of a session in reports, to be changed.
pub(crate) fn each_reported(reports: &mut [SessionReport], mut each: impl FnMut(&mut SessionKey)) {
    for report in reports {
        each(&mut report.session);
        report.route.each_session(&mut each);
    }
}

/// Why a command could not be honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The key is of an earlier tenant, or of none.
    Gone,
    /// The slot is in use: a fault of the control plane.
    Occupied,
    /// Every slot, port or list of that kind is in use.
    Full,
    /// A ring between control plane and shard has no room; nothing was sent.
    Busy,
    /// The point has a tap already.
    Tapped,
    /// What is to be monitored are packets, or a monitor; or the session is monitored itself.
    Unmonitorable,
    /// Session and room live on different shards.
    OtherShard,
    /// The session stays on its shard: a tap or a monitor listens to it, it is a monitor itself, or
    /// its packets come to a socket of the whole shard.
    Immovable,
    /// The shard has no time for it.
    Overloaded,
    /// The media socket could not be opened (all ports of the block are taken by others).
    NoPort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_for_the_shard_of_its_key() {
        let (session, room) = (SessionKey::new(2, 5, 1), RoomKey::new(3, 5, 1));
        assert_eq!(Command::CloseSession { session }.shard(), Ok(2));
        assert_eq!(Command::OpenRoom { room, sound: RoomSound::DEFAULT }.shard(), Ok(3));
        assert_eq!(Command::StopTap { point: TapPoint::Room(room) }.shard(), Ok(3));
        assert_eq!(Command::StopTap { point: TapPoint::Received(session) }.shard(), Ok(2));
    }

    #[test]
    fn reports_of_sessions_are_for_one_shard() {
        let of = |shards: &[u8]| {
            let report = |&shard| SessionReport::of(SessionKey::new(shard, 1, 1));
            Command::ReportSessions { reports: Box::new(shards.iter().map(report).collect()) }
        };
        assert_eq!(of(&[1, 1]).shard(), Ok(1));
        assert_eq!(of(&[1, 2]).shard(), Err(Refusal::OtherShard));
        assert_eq!(of(&[]).shard(), Err(Refusal::Gone));
    }
}
