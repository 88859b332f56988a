//! What each participant heard of each other, and why not.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use engine::{Datagram, Decision, Port, Said};
use engine_control::{Command, RoomKey, Route, SessionKey};
use media::{Demux, demux};
use media_units::{DISCARDS, Encoding, Instant, PERIOD};

use crate::rtp::HEADER_OCTETS;

/// All sessions that were seen.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// By slot: those that are there.
    present: BTreeMap<u32, Session>,
    over: Vec<Session>,
    began: Option<Instant>,
    now: Instant,
}

/// One session.
#[derive(Debug)]
struct Session {
    /// `None`: it was there before anything is known.
    key: Option<SessionKey>,
    slot: u32,
    encoding: Option<Encoding>,
    source: Option<SocketAddr>,
    room: Option<RoomKey>,
    packets: u64,
    octets: u64,
    /// Source and highest sequence number of its stream.
    stream: Option<(u32, u16)>,
    lost: u64,
    discards: [u64; DISCARDS.len()],
    said: Counts,
    /// What others had said when it came to them, and what it heard of them meanwhile.
    before: BTreeMap<String, Counts>,
    heard: BTreeMap<String, Counts>,
}

/// Periods of what somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    played: u64,
    concealed: u64,
    noise: u64,
    silent: u64,
    nothing: u64,
    muted: u64,
    not_admitted: u64,
}

impl Story {
    pub(super) fn now(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.now = now;
    }

    pub(super) fn command(&mut self, command: &Command) {
        match command {
            Command::OpenSession { session, open } => {
                let mut opened = Session::new(Some(*session), session.slot());
                opened.encoding = Some(open.media.encoding);
                self.present.insert(session.slot(), opened);
                self.enter(session.slot(), open.route);
            }
            Command::UpdateSession { session, media } => {
                self.session(session.slot()).encoding = Some(media.encoding);
            }
            Command::RouteSession { session, route } => {
                self.leave(session.slot());
                self.enter(session.slot(), *route);
            }
            Command::CloseSession { session } | Command::SendAway { session } => {
                self.leave(session.slot());
                self.over.extend(self.present.remove(&session.slot()));
            }
            Command::CloseRoom { room } => {
                let is_in = |session: &&Session| session.room == Some(*room);
                let members: Vec<u32> =
                    self.present.values().filter(is_in).map(|session| session.slot).collect();
                for slot in members {
                    self.leave(slot);
                }
            }
            _ => {}
        }
    }

    pub(super) fn datagram(&mut self, datagram: &Datagram<'_>, length: usize) {
        let session = self.session(datagram.slot);
        session.source.get_or_insert(datagram.source);
        if let (Port::Rtp, Some((ssrc, sequence))) = (datagram.port, stream_of(datagram.bytes)) {
            session.packet(ssrc, sequence);
            session.octets += length as u64;
        }
    }

    pub(super) fn decided(&mut self, slot: u32, decision: Decision) {
        let session = self.session(slot);
        match decision {
            Decision::Discarded(reason) => session.discards[reason as usize] += 1,
            Decision::Turn { said, is_muted, is_heard } => {
                session.said.count(said, is_muted, is_heard);
            }
        }
    }

    fn session(&mut self, slot: u32) -> &mut Session {
        self.present.entry(slot).or_insert_with(|| Session::new(None, slot))
    }

    /// A session comes to a room: from now on it hears those who are there, and they hear it.
    fn enter(&mut self, slot: u32, route: Route) {
        let Route::Room(room) = route else { return };
        let newcomer = self.session(slot);
        newcomer.room = Some(room);
        let (name, said) = (newcomer.name(), newcomer.said);
        let mut others = BTreeMap::new();
        for other in self.present.values_mut() {
            if other.slot != slot && other.room == Some(room) {
                other.before.insert(name.clone(), said);
                others.insert(other.name(), other.said);
            }
        }
        self.session(slot).before = others;
    }

    /// It goes: what it heard is known.
    fn leave(&mut self, slot: u32) {
        let Some(gone) = self.present.get(&slot) else { return };
        let (Some(room), name, said) = (gone.room, gone.name(), gone.said) else { return };
        let mut others = BTreeMap::new();
        for other in self.present.values_mut() {
            if other.slot != slot && other.room == Some(room) {
                other.hear(&name, said);
                others.insert(other.name(), other.said);
            }
        }
        let gone = self.session(slot);
        gone.room = None;
        for (other, said) in others {
            gone.hear(&other, said);
        }
    }
}

impl Session {
    fn new(key: Option<SessionKey>, slot: u32) -> Self {
        Self {
            key,
            slot,
            encoding: None,
            source: None,
            room: None,
            packets: 0,
            octets: 0,
            stream: None,
            lost: 0,
            discards: [0; DISCARDS.len()],
            said: Counts::default(),
            before: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    fn name(&self) -> String {
        self.key.map_or_else(|| format!("slot {}", self.slot), |key| key.to_string())
    }

    /// Ends what it heard of another.
    fn hear(&mut self, other: &str, said: Counts) {
        let before = self.before.remove(other).unwrap_or_default();
        self.heard.entry(other.to_owned()).or_default().add(&said.since(&before));
    }

    fn packet(&mut self, ssrc: u32, sequence: u16) {
        self.packets += 1;
        match &mut self.stream {
            Some((source, highest)) if *source == ssrc => {
                let ahead = sequence.wrapping_sub(*highest);
                if (1..0x8000).contains(&ahead) {
                    self.lost += u64::from(ahead - 1);
                    *highest = sequence;
                } else if ahead != 0 {
                    // It was counted as lost, and came after all.
                    self.lost = self.lost.saturating_sub(1);
                }
            }
            stream => *stream = Some((ssrc, sequence)),
        }
    }
}

impl Counts {
    fn count(&mut self, said: Said, is_muted: bool, is_heard: bool) {
        let place = match said {
            Said::Rested => return,
            Said::Nothing => &mut self.nothing,
            Said::Silent => &mut self.silent,
            _ if is_muted => &mut self.muted,
            Said::Noise => &mut self.noise,
            Said::Played if is_heard => &mut self.played,
            Said::Concealed if is_heard => &mut self.concealed,
            Said::Played | Said::Concealed | Said::Skipped => &mut self.not_admitted,
        };
        *place += 1;
    }

    fn each(&mut self) -> [&mut u64; 7] {
        let Self { played, concealed, noise, silent, nothing, muted, not_admitted } = self;
        [played, concealed, noise, silent, nothing, muted, not_admitted]
    }

    fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, part) in self.each().into_iter().zip(other.each()) {
            *sum += *part;
        }
    }

    fn since(&self, before: &Self) -> Self {
        let (mut since, mut before) = (*self, *before);
        for (now, then) in since.each().into_iter().zip(before.each()) {
            *now = now.saturating_sub(*then);
        }
        since
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |periods: u64| periods as f64 * PERIOD.as_secs_f64();
        write!(f, "{:.2} s", seconds(self.played))?;
        let others = [
            (self.concealed, "concealed"),
            (self.noise, "of comfort noise"),
            (self.silent, "silent"),
            (self.nothing, "nothing received"),
            (self.muted, "muted"),
            (self.not_admitted, "not admitted"),
        ];
        for (periods, what) in others.into_iter().filter(|(periods, _)| *periods > 0) {
            write!(f, ", {:.2} s {what}", seconds(periods))?;
        }
        Ok(())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let began = self.began.unwrap_or(self.now);
        writeln!(f, "from {began} to {}", self.now)?;
        for session in self.over.iter().chain(self.present.values()) {
            self.tell(session, f)?;
        }
        Ok(())
    }
}

impl Story {
    fn tell(&self, session: &Session, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", session.name())?;
        if let Some(encoding) = session.encoding {
            write!(f, ", {encoding}")?;
        }
        if let Some(source) = session.source {
            write!(f, ", from {source}")?;
        }
        let Session { packets, octets, lost, .. } = session;
        write!(f, ": {packets} packets, {octets} octets, {lost} lost")?;
        for (reason, count) in DISCARDS.iter().zip(session.discards) {
            if count > 0 {
                write!(f, ", {count} {}", reason.name())?;
            }
        }
        writeln!(f, "; said {}", session.said)?;
        let mut heard = session.heard.clone();
        for other in self.present.values() {
            if session.room.is_some() && other.slot != session.slot && other.room == session.room {
                let before = session.before.get(&other.name()).copied().unwrap_or_default();
                heard.entry(other.name()).or_default().add(&other.said.since(&before));
            }
        }
        for (other, counts) in heard {
            writeln!(f, "  heard {other}: {counts}")?;
        }
        Ok(())
    }
}

/// Source and sequence number, where it is RTP.
fn stream_of(bytes: &[u8]) -> Option<(u32, u16)> {
    let (header, _) = bytes.split_first_chunk::<HEADER_OCTETS>()?;
    let [_, _, high, low, _, _, _, _, ssrc @ ..] = *header;
    let is_rtp = demux(bytes) == Demux::Rtp;
    is_rtp.then_some((u32::from_be_bytes(ssrc), u16::from_be_bytes([high, low])))
}
