//! What the front end needs from the world: the wire below it, the engine beside it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine_control::{Command, MediaAddress, Refusal, RoomKey, SessionKey, SpreadId, TapPoint};
use media_units::Instant;

use crate::recording::{RecordedTrack, RecordingId, RecordingStart};

/// What carries a SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A datagram.
    Udp,
    /// A TCP connection that exists, by the transport's number for it.
    Tcp(u64),
    /// TCP, but no connection to this peer exists yet: the transport opens one.
    TcpNew,
}

/// The other end of a SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// How it is reached.
    pub carrier: Carrier,
    /// Its address.
    pub remote: SocketAddr,
}

/// The world, as the front end sees it. Implemented by the server and by the simulator.
pub trait Outside {
    /// Puts one whole SIP message on the wire.
    fn transmit(&mut self, to: Peer, message: Bytes);

    /// Reserves a session slot with its sockets: on `shard`, or on the least loaded one. `toward` is the endpoint's media address, so that the right local address is given.
    fn open_media(
        &mut self,
        shard: Option<u8>,
        toward: SocketAddr,
    ) -> Result<(SessionKey, MediaAddress), Refusal>;

    /// Whether [`Outside::open_media`] would find time and a slot now. Nothing is reserved.
    fn may_open_media(&self, shard: Option<u8>) -> Result<(), Refusal>;

    /// Gives back a slot from `open_media` for which no `OpenSession` was ever sent, or whose
    /// `OpenSession` came back as [`engine_control::Event::Refused`].
    fn abandon_media(&mut self, session: SessionKey);

    /// Reserves a room slot on the least loaded shard.
    fn open_room(&mut self) -> Result<RoomKey, Refusal>;

    /// Gives back a slot from `open_room` for which no `OpenRoom` was ever sent, or whose
    /// `OpenRoom` came back as [`engine_control::Event::Refused`].
    fn abandon_room(&mut self, room: RoomKey);

    /// Reserves a place at which the parts of a room meet that may be spread over shards. `None`:
    /// there is none, and the room lives on one shard. It is free again once all parts are closed.
    fn open_spread(&mut self) -> Option<SpreadId> {
        None
    }

    /// Gives back a place of whose room no part was opened.
    fn abandon_spread(&mut self, spread: SpreadId) {
        let _ = spread;
    }

    /// The shard for one more member of a room that may be spread ([`engine_control::choose_shard`]).
    /// `parts` are the shards that have a part of it, the oldest first.
    fn choose_shard(&mut self, parts: &[u8], share_percent: u32) -> u8 {
        let _ = share_percent;
        parts.first().copied().unwrap_or(0)
    }

    /// Reserves a room slot on this shard, as [`Outside::open_room`] does on any.
    fn open_part(&mut self, shard: u8) -> Result<RoomKey, Refusal> {
        let _ = shard;
        Err(Refusal::Full)
    }

    /// The shard where a session lives: its own, until it is sent away.
    fn shard_of(&self, session: SessionKey) -> u8 {
        session.shard()
    }

    /// Whether a session could go to a room on this shard now.
    fn may_go(&self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        let _ = (session, shard);
        Ok(())
    }

    /// Sends an open session to another shard, with its ports and all that it is. Its key stays. It is
    /// connected to nothing until it is routed, which may be asked for at once.
    fn send_away(&mut self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        let _ = (session, shard);
        Err(Refusal::Immovable)
    }

    /// The address of ours that `toward` reaches, for our Contact and Via. `None`: the one that
    /// the configuration advertises.
    fn signaling_address(&self, toward: Peer) -> Option<SocketAddr> {
        let _ = toward;
        None
    }

    /// What the calendar says at an instant, as time since 1970, for metadata.
    fn since_1970(&self, at: Instant) -> Duration {
        at.since(Instant::START)
    }

    /// Sends a command to the shard it is for.
    fn command(&mut self, command: Command) -> Result<(), Refusal>;

    /// Begins a recording: its taps and its files. Nothing of it remains where it is refused. It
    /// ends by itself when everything that it taps is closed.
    fn begin_recording(&mut self, start: RecordingStart) -> Result<RecordingId, Refusal>;

    /// Whether [`Outside::begin_recording`] is possible at all now. Nothing is begun.
    fn may_record(&mut self) -> Result<(), Refusal>;

    /// Adds a track to a recording. It is silent up to now, and all are of one shard.
    fn add_track(&mut self, recording: RecordingId, track: RecordedTrack) -> Result<(), Refusal>;

    /// Adds to what is known about a recording, by a name; the last word counts.
    fn tag_recording(&mut self, recording: RecordingId, name: &str, value: String) {
        let _ = (recording, name, value);
    }

    /// Ends one track; it is silent from now on.
    fn end_track(&mut self, recording: RecordingId, point: TapPoint);

    /// Ends a recording with all its tracks.
    fn end_recording(&mut self, recording: RecordingId);
}
