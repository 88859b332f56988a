//! The server's wiring in virtual time: real shards, their sockets, and the pools of slots that a
//! front end takes them from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine::{Datagram, Exchange, Luggage, Output, Port, Shard, exchange};
use engine_control::{
    Admission, COMMANDS_PER_TICK, Command, Destination, Event, Left, Limits, MediaAddress,
    PortPlan, Refusal, Residences, RoomKey, SessionKey, ShardLoad, ShardReport, SlotPool, SpreadId,
    SpreadPool, TapContent, TapId, TapItem, TapPoint, TapReader, choose_shard,
};
use media_kernels::Kernels;
use media_units::{Arrival, Instant, PERIOD, RateClass};
use signaling::{Outside, Peer, RecordedTrack, RecordingId, RecordingStart};

use super::wire::{Happening, SERVER, Wire};
use super::work::{Done, Work};
use crate::Seed;

/// First and last media port.
const PORTS: (u16, u16) = (16_384, 32_767);

/// All shards and what is around them.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) shards: Vec<ShardSide>,
    plan: PortPlan,
    limits: Limits,
    pub(super) recordings: Vec<Recorded>,
    recordings_begun: u64,
    spreads: SpreadPool,
    /// Where sessions live that were moved.
    residences: Residences<Command>,
    /// How many have arrived.
    pub(super) moved: u64,
}

/// One shard with its sockets and pools.
#[derive(Debug)]
pub(super) struct ShardSide {
    pub(super) shard: Shard,
    taps: Box<TapReader>,
    sockets: Sockets,
    pub(super) sessions: SlotPool,
    pub(super) rooms: SlotPool,
    admission: Admission,
    commands: Vec<(Command, Option<Luggage>)>,
    pub(super) report: Option<Box<ShardReport>>,
}

/// A slot, and whether its RTCP socket is meant.
type Socket = (u32, bool);

/// A datagram in a socket: from whom, since when, and what.
type Waiting = (SocketAddr, Instant, Vec<u8>);

/// What waits in the sockets of a shard's sessions, by slot and port.
#[derive(Debug, Default)]
struct Sockets {
    /// Ordered: reading them must not depend on chance.
    waiting: BTreeMap<Socket, Vec<Waiting>>,
    /// Where a socket is connected to.
    connected: BTreeMap<Socket, SocketAddr>,
    /// Which slots have their sockets open.
    open: Vec<bool>,
    /// The RTP ports of sessions that are not at home here.
    ports: BTreeMap<u32, u16>,
    /// What goes home with the next fact.
    retired: Option<Luggage>,
    /// Sessions that have left, until somebody sends them on.
    left: BTreeMap<SessionKey, Luggage>,
}

/// A recorded track and all of its samples so far.
#[derive(Debug)]
pub struct Recorded {
    /// Of which recording.
    pub recording: RecordingId,
    /// Of what.
    pub track: RecordedTrack,
    /// Its sound from its first block on; holes are silent.
    pub samples: Vec<i16>,
    first_period: Option<u64>,
}

impl Server {
    pub(super) fn new(shards: u8, limits: &Limits, kernels: Kernels, seed: &Seed) -> Option<Self> {
        let plan = PortPlan::divide(PORTS.0, PORTS.1, shards)?;
        let mut limits = limits.clone();
        limits.sessions_max = limits.sessions_max.min(plan.sessions_per_shard());
        let side = |(index, meeting): (u8, Exchange)| {
            let seed = seed.fork(u64::from(index)).next_u64();
            let mut shard = Shard::new(index, &limits, kernels, seed);
            shard.meet(meeting);
            let taps = shard.take_tap_reader()?;
            Some(ShardSide {
                shard,
                taps,
                sockets: Sockets {
                    open: vec![false; limits.sessions_max as usize],
                    ..Sockets::default()
                },
                sessions: SlotPool::new(index, limits.sessions_max),
                rooms: SlotPool::new(index, limits.rooms_max),
                admission: Admission::default(),
                commands: Vec::new(),
                report: None,
            })
        };
        let meetings = exchange(shards, limits.spread_max);
        let shards = (0..shards).zip(meetings).map(side).collect::<Option<_>>()?;
        let spreads = SpreadPool::new(limits.spread_max);
        Some(Self {
            shards,
            plan,
            limits,
            recordings: vec![],
            recordings_begun: 0,
            spreads,
            residences: Residences::default(),
            moved: 0,
        })
    }

    /// A datagram reached a media port. Returns whether a socket took it.
    pub(super) fn arrived(
        &mut self,
        now: Instant,
        port: u16,
        source: SocketAddr,
        octets: Vec<u8>,
    ) -> bool {
        let Some(offset) = port.checked_sub(self.plan.first).map(u32::from) else { return false };
        let (index, within) = (offset / self.plan.block, offset % self.plan.block);
        let (mut index, mut slot) = (index as usize, within / 2);
        // The socket of a session that was moved is where that is.
        let rtp = port - (within % 2) as u16;
        let guest = |side: &ShardSide| {
            side.sockets.ports.iter().find(|(_, port)| **port == rtp).map(|(slot, _)| *slot)
        };
        let mut abroad = self.shards.iter().map(guest).enumerate();
        if let Some((shard, Some(there))) = abroad.find(|(_, slot)| slot.is_some()) {
            (index, slot) = (shard, there);
        }
        let Some(side) = self.shards.get_mut(index) else { return false };
        side.sockets.arrived(now, (slot, within % 2 == 1), source, octets)
    }

    /// One round of a shard's driver: commands, sockets, tick. Returns how long it took.
    pub(super) fn tick(
        &mut self,
        index: u8,
        arrival_timestamps: bool,
        work: &Work,
        wire: &mut Wire,
    ) -> Duration {
        let plan = self.plan;
        let limits = &self.limits;
        let ShardSide { shard, taps, sockets, commands, .. } = &mut self.shards[index as usize];
        let now = wire.now;
        let mut done = Done { commands: commands.len().min(COMMANDS_PER_TICK), ..Done::default() };
        for (command, luggage) in commands.drain(..done.commands) {
            if let Command::OpenSession { session, .. } = &command {
                sockets.open(session.slot(), true);
            }
            let luggage = luggage.or_else(|| Luggage::beside(&command, limits));
            shard.command(command, luggage, now, &mut Carrier { index, plan, sockets, wire });
        }
        let due = shard.due().to_vec();
        done.sessions = due.len();
        for slot in due {
            for is_rtcp in [false, true] {
                let port = if is_rtcp { Port::Rtcp } else { Port::Rtp };
                for (source, stamp, octets) in sockets.take(slot, is_rtcp) {
                    // As the driver has it: RTCP has its stamp, RTP without one an estimate.
                    let is_known = arrival_timestamps || is_rtcp;
                    let arrival = Arrival::At(if is_known { stamp } else { now - PERIOD / 2 });
                    let datagram =
                        Datagram { slot, port, source, arrival, bytes: &octets, truncated: false };
                    shard.receive(datagram, &mut Carrier { index, plan, sockets, wire });
                    done.datagrams += 1;
                }
            }
        }
        shard.tick(now, &mut Carrier { index, plan, sockets, wire });
        let recordings = &mut self.recordings;
        let mut take = |item: &TapItem<'_>| {
            // Taps are numbered as recordings are.
            if let Some(recorded) = recordings.get_mut(item.tap.0 as usize) {
                recorded.take(item);
            }
        };
        while taps.read(&mut take).is_some() {
            done.taps += 1;
        }
        let busy = work.of(&done, shard.load().shedding);
        shard.worked(busy, &mut Carrier { index, plan, sockets, wire });
        busy
    }

    /// A fact passes on its way to the front end: slots come home, reports are kept. Returns what
    /// the front end has to know.
    pub(super) fn fact(&mut self, mut event: Event) -> Option<Event> {
        match &event {
            Event::SessionLeft { session } => {
                self.send_on(*session);
                return None;
            }
            Event::SessionClosed { session } => {
                self.shards[session.shard() as usize].sockets.open(session.slot(), false);
            }
            _ => {}
        }
        self.residences.name(&mut event);
        match event {
            Event::SessionArrived { .. } => self.moved += 1,
            Event::SessionClosed { session, .. } => {
                for place in [Some(session), self.residences.close(session)].into_iter().flatten() {
                    self.free(place);
                }
            }
            Event::RoomClosed { room } => {
                self.spreads.note_closed(room);
                let side = &mut self.shards[room.shard() as usize];
                side.rooms.give_back(room.slot(), room.generation());
            }
            Event::ShardReported { report } => {
                let shard = report.shard as usize;
                self.shards[shard].report = Some(report);
                return None;
            }
            _ => {}
        }
        Some(event)
    }

    /// A session that has left a shard goes to the next with what waits in its sockets, and behind it
    /// goes what was said to it meanwhile.
    fn send_on(&mut self, session: SessionKey) {
        let Some(Left { from, to, waiting }) = self.residences.left(session) else { return };
        let rtp_port = self.port_of(from);
        let is_home = self.plan.rtp_port(to) == rtp_port;
        let away = &mut self.shards[from.shard() as usize].sockets;
        let luggage = away.left.remove(&from);
        let taken = [false, true].map(|is_rtcp| {
            let connected = away.connected.get(&(from.slot(), is_rtcp)).copied();
            (is_rtcp, away.take(from.slot(), is_rtcp), connected)
        });
        away.open(from.slot(), false);
        let side = &mut self.shards[to.shard() as usize];
        side.sockets.open(to.slot(), true);
        for (is_rtcp, datagrams, connected) in taken {
            let socket = (to.slot(), is_rtcp);
            side.sockets.waiting.insert(socket, datagrams);
            if let Some(peer) = connected {
                side.sockets.connected.insert(socket, peer);
            }
        }
        if !is_home {
            side.sockets.ports.insert(to.slot(), rtp_port);
        }
        side.commands.push((Command::TakeIn { session: to }, luggage));
        if self.plan.rtp_port(from) != rtp_port {
            self.free(from);
        }
        for command in waiting {
            let sent = self.command(command);
            assert!(sent.is_ok(), "what waits behind a session has its place: {sent:?}");
        }
    }

    /// The RTP port of the session in this place.
    fn port_of(&self, place: SessionKey) -> u16 {
        let guests = &self.shards[place.shard() as usize].sockets.ports;
        guests.get(&place.slot()).copied().unwrap_or_else(|| self.plan.rtp_port(place))
    }

    fn free(&mut self, place: SessionKey) {
        let side = &mut self.shards[place.shard() as usize];
        side.sessions.give_back(place.slot(), place.generation());
    }

    /// Sends a command to where its sessions live.
    fn command(&mut self, mut command: Command) -> Result<(), Refusal> {
        match self.residences.address(&mut command)? {
            Destination::Shard(shard) => self.order(usize::from(shard), command),
            Destination::Behind(session) => {
                self.residences.wait(session, command).map_err(|_| Refusal::Busy)
            }
        }
    }

    pub(super) fn order(&mut self, shard: usize, command: Command) -> Result<(), Refusal> {
        let commands = &mut self.shards.get_mut(shard).ok_or(Refusal::Gone)?.commands;
        if commands.len() >= self.limits.commands_max as usize {
            return Err(Refusal::Busy);
        }
        commands.push((command, None));
        Ok(())
    }

    /// The shard with the fewest tenants among those that have time, if any has.
    fn least_loaded(&self, now: Instant, taken: impl Fn(&ShardSide) -> usize) -> usize {
        let rule = &self.limits.overload;
        let load = |(index, side): (usize, &ShardSide)| {
            let has_time = side.admission.admits(now, side.shard.load(), rule);
            (!has_time, taken(side), index)
        };
        self.shards.iter().enumerate().map(load).min().map_or(0, |(_, _, index)| index)
    }

    /// Whether a shard has time for one more.
    fn admit(&self, now: Instant, index: usize) -> Result<(), Refusal> {
        let side = self.shards.get(index).ok_or(Refusal::Gone)?;
        let admits = side.admission.admits(now, side.shard.load(), &self.limits.overload);
        if admits { Ok(()) } else { Err(Refusal::Overloaded) }
    }
}

impl Sockets {
    fn open(&mut self, slot: u32, open: bool) {
        if let Some(state) = self.open.get_mut(slot as usize) {
            *state = open;
        }
        self.ports.remove(&slot);
        for is_rtcp in [false, true] {
            self.waiting.remove(&(slot, is_rtcp));
            self.connected.remove(&(slot, is_rtcp));
        }
    }

    fn arrived(
        &mut self,
        now: Instant,
        socket: Socket,
        source: SocketAddr,
        octets: Vec<u8>,
    ) -> bool {
        let is_open = self.open.get(socket.0 as usize).copied().unwrap_or(false);
        let is_peer = self.connected.get(&socket).is_none_or(|&peer| peer == source);
        if is_open && is_peer {
            self.waiting.entry(socket).or_default().push((source, now, octets));
        }
        is_open && is_peer
    }

    fn take(&mut self, slot: u32, is_rtcp: bool) -> Vec<Waiting> {
        self.waiting.get_mut(&(slot, is_rtcp)).map(std::mem::take).unwrap_or_default()
    }
}

impl Recorded {
    fn take(&mut self, item: &TapItem<'_>) {
        let (class, sound) = match item.content {
            TapContent::Block { class, samples, .. } => (class, samples),
            TapContent::Silence { class, .. } => (class, &[][..]),
            TapContent::Packet { .. } | TapContent::Ended => return,
        };
        let first = *self.first_period.get_or_insert(item.period);
        let block = class.block_samples();
        let start = item.period.saturating_sub(first) as usize * block;
        self.samples.resize(start, 0);
        self.samples.extend_from_slice(sound);
        self.samples.resize(start + block, 0);
    }
}

/// Carries what a shard produces.
struct Carrier<'a> {
    index: u8,
    plan: PortPlan,
    sockets: &'a mut Sockets,
    wire: &'a mut Wire,
}

impl Output for Carrier<'_> {
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        let at_home = || self.plan.rtp_port(SessionKey::new(self.index, slot, 0));
        let rtp = self.sockets.ports.get(&slot).copied().unwrap_or_else(at_home);
        let from = rtp + u16::from(port == Port::Rtcp);
        self.wire.media_down(from, to, parts.concat());
    }

    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        let socket = (slot, port == Port::Rtcp);
        match source {
            Some(source) => self.sockets.connected.insert(socket, source),
            None => self.sockets.connected.remove(&socket),
        };
    }

    fn retire(&mut self, luggage: Luggage) {
        self.sockets.retired = Some(luggage);
    }

    fn event(&mut self, event: Event) {
        let now = self.wire.now;
        let retired = self.sockets.retired.take();
        if let (Event::SessionLeft { session }, Some(luggage)) = (&event, retired) {
            self.sockets.left.insert(*session, luggage);
        }
        self.wire.trace.note(now, 3, u64::from(self.index), name(&event).as_bytes());
        self.wire.plan(now, Happening::Fact(event));
    }
}

/// What the trace keeps of a fact. Boxes have no lasting identity.
fn name(event: &Event) -> String {
    match event {
        Event::ShardReported { report } => format!("ShardReported {}", report.shard),
        Event::Refused { refusal, .. } => format!("Refused {refusal:?}"),
        other => format!("{other:?}"),
    }
}

/// The world outside of the front end.
pub(super) struct Switchboard<'a> {
    pub(super) server: &'a mut Server,
    pub(super) wire: &'a mut Wire,
}

impl Outside for Switchboard<'_> {
    fn transmit(&mut self, to: Peer, message: Bytes) {
        self.wire.sip_down(to.remote, &message);
    }

    fn open_media(
        &mut self,
        shard: Option<u8>,
        _toward: SocketAddr,
    ) -> Result<(SessionKey, MediaAddress), Refusal> {
        let now = self.wire.now;
        let least = || self.server.least_loaded(now, |side| side.sessions.taken());
        let index = shard.map_or_else(least, usize::from);
        self.server.admit(now, index)?;
        let side = &mut self.server.shards[index];
        let session = side.sessions.take_session().ok_or(Refusal::Full)?;
        side.admission.count(now);
        let rtp_port = self.server.plan.rtp_port(session);
        Ok((session, MediaAddress { address: SERVER, rtp_port }))
    }

    fn may_open_media(&self, shard: Option<u8>) -> Result<(), Refusal> {
        let now = self.wire.now;
        let least = || self.server.least_loaded(now, |side| side.sessions.taken());
        let index = shard.map_or_else(least, usize::from);
        self.server.admit(now, index)?;
        if self.server.shards[index].sessions.free() == 0 { Err(Refusal::Full) } else { Ok(()) }
    }

    fn abandon_media(&mut self, session: SessionKey) {
        let side = &mut self.server.shards[session.shard() as usize];
        side.sessions.give_back(session.slot(), session.generation());
    }

    fn open_room(&mut self) -> Result<RoomKey, Refusal> {
        let now = self.wire.now;
        let index = self.server.least_loaded(now, |side| side.rooms.taken());
        self.server.admit(now, index)?;
        self.server.shards[index].rooms.take_room().ok_or(Refusal::Full)
    }

    fn abandon_room(&mut self, room: RoomKey) {
        let side = &mut self.server.shards[room.shard() as usize];
        side.rooms.give_back(room.slot(), room.generation());
    }

    fn open_spread(&mut self) -> Option<SpreadId> {
        self.server.spreads.take()
    }

    fn abandon_spread(&mut self, spread: SpreadId) {
        self.server.spreads.give_back(spread);
    }

    fn choose_shard(&mut self, parts: &[u8], share_percent: u32) -> u8 {
        // The shards are asked here, and know of what is reserved only later.
        let load = |side: &ShardSide| ShardLoad {
            sessions: side.sessions.taken() as u32,
            ..side.shard.load()
        };
        let loads: Vec<ShardLoad> = self.server.shards.iter().map(load).collect();
        choose_shard(&loads, parts, share_percent)
    }

    fn open_part(&mut self, shard: u8) -> Result<RoomKey, Refusal> {
        let index = usize::from(shard);
        self.server.admit(self.wire.now, index)?;
        self.server.shards[index].rooms.take_room().ok_or(Refusal::Full)
    }

    fn shard_of(&self, session: SessionKey) -> u8 {
        self.server.residences.shard_of(session)
    }

    fn send_away(&mut self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        let Server { residences, shards, .. } = &mut *self.server;
        residences.check(session)?;
        let pool = &mut shards[usize::from(shard)].sessions;
        let at_home = (session.shard() == shard).then_some(session);
        let to = at_home.or_else(|| pool.take_session()).ok_or(Refusal::Full)?;
        let command = residences.begin(session, to);
        self.server.order(usize::from(command.shard()?), command)
    }

    fn command(&mut self, command: Command) -> Result<(), Refusal> {
        if let Command::OpenPart { room, spread, .. } = &command {
            self.server.spreads.note_opened(*room, *spread);
        }
        self.server.command(command)
    }

    fn begin_recording(&mut self, start: RecordingStart) -> Result<RecordingId, Refusal> {
        self.server.recordings_begun += 1;
        let recording = RecordingId::new(self.server.recordings_begun);
        for track in start.tracks {
            self.add_track(recording, track)?;
        }
        Ok(recording)
    }

    fn may_record(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn add_track(&mut self, recording: RecordingId, track: RecordedTrack) -> Result<(), Refusal> {
        let tap = TapId(self.server.recordings.len() as u32);
        let (point, class) = (track.point, Some(RateClass::Narrow));
        let command = Command::StartTap { point, tap, class };
        self.server.command(command)?;
        let samples = Vec::new();
        let recorded = Recorded { recording, track, samples, first_period: None };
        self.server.recordings.push(recorded);
        Ok(())
    }

    fn end_track(&mut self, _: RecordingId, point: TapPoint) {
        // A tap that the shard ended by itself is no loss.
        let _ = self.command(Command::StopTap { point });
    }

    fn end_recording(&mut self, recording: RecordingId) {
        let of = |recorded: &&Recorded| recorded.recording == recording;
        let points: Vec<_> =
            self.server.recordings.iter().filter(of).map(|r| r.track.point).collect();
        for point in points {
            self.end_track(recording, point);
        }
    }
}
