//! What the front end finds around it: sockets, shards, the recorder, and our own addresses.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine_control::{Command, MediaAddress, Refusal, RoomKey, SessionKey, SpreadId, TapPoint};
use engine_driver::Engine;
use recorder_shelf::Shelf;
use recorder_writer::Note;
use signaling::{Carrier, Outside, Peer, RecordedTrack, RecordingId, RecordingStart};
use signaling_sdp::Families;
use signaling_transport::Transport;

use crate::config::Arrangement;
use crate::flight::FlightLog;
use crate::recording::{Desk, Keeping, Prompts, Recorder, Recordings};
use crate::system::local_address_toward;

/// Everything around the front end.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) transport: Transport,
    pub(crate) recorder: Recorder,
    pub(crate) recordings: Recordings,
    pub(crate) prompts: Prompts,
    pub(crate) shelf: Shelf,
    pub(crate) flights: FlightLog,
    /// Our address in session descriptions, and who can reach it.
    pub(crate) media: OwnAddress,
    pub(crate) families: Families,
    /// Our address in Contact and Via, but for its port.
    pub(crate) signaling: OwnAddress,
}

impl Outside for World {
    fn transmit(&mut self, to: Peer, message: Bytes) {
        self.transport.send(to, message);
    }

    fn open_media(
        &mut self,
        shard: Option<u8>,
        toward: SocketAddr,
    ) -> Result<(SessionKey, MediaAddress), Refusal> {
        let reachable = Some(toward.ip()).filter(|peer| self.families.serve(*peer));
        let address = reachable.and_then(|peer| self.media.toward(peer)).ok_or(Refusal::NoPort)?;
        let session = self.engine.reserve(shard)?;
        Ok((session, MediaAddress { address, rtp_port: self.engine.rtp_port(session) }))
    }

    fn may_open_media(&self, shard: Option<u8>) -> Result<(), Refusal> {
        self.engine.may_reserve(shard)
    }

    fn abandon_media(&mut self, session: SessionKey) {
        self.engine.abandon(session);
    }

    fn open_room(&mut self) -> Result<RoomKey, Refusal> {
        self.engine.reserve_room()
    }

    fn abandon_room(&mut self, room: RoomKey) {
        self.engine.abandon_room(room);
    }

    fn open_spread(&mut self) -> Option<SpreadId> {
        self.engine.reserve_spread()
    }

    fn abandon_spread(&mut self, spread: SpreadId) {
        self.engine.abandon_spread(spread);
    }

    fn choose_shard(&mut self, parts: &[u8], share_percent: u32) -> u8 {
        self.engine.choose_shard(parts, share_percent)
    }

    fn open_part(&mut self, shard: u8) -> Result<RoomKey, Refusal> {
        self.engine.reserve_part(shard)
    }

    fn shard_of(&self, session: SessionKey) -> u8 {
        self.engine.shard_of(session)
    }

    fn may_go(&self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        self.engine.may_go(session, shard)
    }

    fn send_away(&mut self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        // What is recorded of it is in the order of one shard's ring.
        if self.recordings.is_tapped(session) {
            return Err(Refusal::Immovable);
        }
        self.engine.send_away(session, shard)
    }

    fn signaling_address(&self, toward: Peer) -> Option<SocketAddr> {
        let bound = match toward.carrier {
            Carrier::Udp => self.transport.udp_addresses(),
            Carrier::Tcp(_) | Carrier::TcpNew => self.transport.tcp_addresses(),
        };
        let family = bound.iter().find(|own| own.is_ipv4() == toward.remote.is_ipv4());
        let port = family.or(bound.first())?.port();
        Some(SocketAddr::new(self.signaling.toward(toward.remote.ip())?, port))
    }

    fn since_1970(&self, at: media_units::Instant) -> Duration {
        Duration::from_nanos(self.engine.wall().unix_nanos(at))
    }

    fn command(&mut self, command: Command) -> Result<(), Refusal> {
        if let Command::OpenSession { session, open } = &command {
            let (codec, remote, route) = (open.media.encoding, open.media.rtp, open.route);
            tracing::debug!(%session, %codec, %remote, ?route, "session opened");
        }
        self.engine.command(command).map_err(|(_, refusal)| refusal)
    }

    fn begin_recording(&mut self, start: RecordingStart) -> Result<RecordingId, Refusal> {
        // A file for each: streams of a recording session come and go.
        let keeping =
            Keeping { arrangement: Arrangement::Tracks, ..self.recordings.usual().clone() };
        self.keep(start, &keeping)
    }

    fn may_record(&mut self) -> Result<(), Refusal> {
        self.recorder.writer().map(|_| ()).map_err(|_| Refusal::Full)
    }

    fn add_track(&mut self, recording: RecordingId, track: RecordedTrack) -> Result<(), Refusal> {
        self.tap(recording, track)
    }

    fn tag_recording(&mut self, recording: RecordingId, name: &str, value: String) {
        self.note(recording, Note::Tag { name: name.to_owned(), value });
    }

    fn end_track(&mut self, recording: RecordingId, point: TapPoint) {
        self.untap(recording, point);
    }

    fn end_recording(&mut self, recording: RecordingId) {
        self.end_kept(recording);
    }
}

impl World {
    /// Where a session receives its RTP.
    pub(crate) fn local_media(&self, session: SessionKey) -> Option<SocketAddr> {
        let port = self.engine.rtp_port(session);
        Some(SocketAddr::new(self.media.toward(IpAddr::V4(Ipv4Addr::UNSPECIFIED))?, port))
    }
}

/// Which address of ours a peer is told.
pub(crate) struct OwnAddress {
    /// The one and only, where it is configured or bound.
    fixed: Option<IpAddr>,
    /// By peer, what the kernel said and when.
    known: RefCell<HashMap<IpAddr, (Option<IpAddr>, Instant)>>,
}

/// How long the kernel's word about a route is trusted.
const ROUTE_AGE_MAX: Duration = Duration::from_secs(30);

/// Routes that are remembered; when there are more, all are asked for again.
const ROUTES_MAX: usize = 4096;

impl OwnAddress {
    /// The address as advertised, else the one bound, where it is one, else by the route to each
    /// peer.
    pub(crate) fn new(advertised: Option<IpAddr>, bound: &[IpAddr]) -> Self {
        let bound = match bound {
            [one] if !one.is_unspecified() => Some(*one),
            _ => None,
        };
        Self { fixed: advertised.or(bound), known: RefCell::default() }
    }

    /// The address for `peer`; `None` where there is no way to it.
    pub(crate) fn toward(&self, peer: IpAddr) -> Option<IpAddr> {
        if self.fixed.is_some() {
            return self.fixed;
        }
        let mut known = self.known.borrow_mut();
        if let Some((address, asked)) = known.get(&peer)
            && asked.elapsed() < ROUTE_AGE_MAX
        {
            return *address;
        }
        if known.len() >= ROUTES_MAX {
            known.clear();
        }
        let address = local_address_toward(peer);
        known.insert(peer, (address, Instant::now()));
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    #[test]
    fn an_advertised_address_wins_over_the_bound_one_and_that_over_the_route() {
        let advertised: IpAddr = [192, 0, 2, 1].into();
        assert_eq!(
            OwnAddress::new(Some(advertised), &[LOOPBACK]).toward(LOOPBACK),
            Some(advertised)
        );
        let bound: IpAddr = [127, 0, 0, 2].into();
        assert_eq!(OwnAddress::new(None, &[bound]).toward(LOOPBACK), Some(bound));
        assert_eq!(OwnAddress::new(None, &[ANY]).toward(LOOPBACK), Some(LOOPBACK));
    }

    #[test]
    fn routes_are_remembered_up_to_a_bound() {
        let address = OwnAddress::new(None, &[ANY]);
        for last in 0..=255 {
            for third in 0..17 {
                assert!(address.toward([127, 0, third, last].into()).is_some());
            }
        }
        assert!(address.known.borrow().len() <= ROUTES_MAX);
    }
}
