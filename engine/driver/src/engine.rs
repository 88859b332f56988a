//! The control plane's side: starts the shards, gives out slots and ports, routes commands.

mod passages;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::flight::{FlightFile, FlightSource};
use engine::{Exchange, Port, exchange};
use engine_control::{
    Admission, Command, Event, Refusal, Residences, RoomKey, RtcpTransport, SessionKey, ShardLoad,
    SlotPool, SpreadId, SpreadPool, TapReader, choose_shard,
};
use media_units::{Instant, WallClock};

use crate::clock::EngineClock;
use crate::config::{DriverChoice, EngineConfig};
use crate::failure::StartFailure;
use crate::flight::{Flight, FlightDesk};
use crate::packet::PacketKeeper;
use crate::plan::MemoryPlan;
use crate::rings::{ControlEnds, Notice, ShardEnds, Shared, rings};
use crate::road::Road;
use crate::roads::Roads;
use crate::sockets::{SocketPair, SocketPlan};
use crate::start::{check, check_files};
use crate::thread::{ShardThread, ThreadPlan, settle};

/// How long after all shards are ready the engine's clock starts: their threads wake up by then.
const START_LEAD: Duration = Duration::from_millis(20);

/// Slots tried for one session where others hold the ports.
const PORTS_TRIED_MAX: usize = 32;

/// The shards, as the control plane sees them. Used by one thread; dropping it stops them.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    driver: &'static str,
    clock: EngineClock,
    /// Opens the sockets of streams; none where all are steered into one of each shard.
    sockets: Option<SocketPlan>,
    /// Ends the steering when it is dropped, after the shards.
    packets: Option<Box<PacketKeeper>>,
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    tenants: HashMap<SessionKey, Tenant>,
    /// Where sessions live that were moved, and what waits for those under way.
    residences: Residences<(Command, SocketPair)>,
    /// What waited for a session under way and could not follow it, until it is told.
    refused: VecDeque<Event>,
    /// Sessions that have arrived on another shard.
    moved: u64,
    spreads: SpreadPool,
    /// Whose ring is read first, so that none is starved.
    first_read: usize,
    /// Until somebody takes them.
    taps: Vec<TapReader>,
    /// Sessions and rooms that no shard had time for.
    refused_overload: u64,
}

#[derive(Debug)]
struct ShardHandle {
    sessions: SlotPool,
    rooms: SlotPool,
    ends: ControlEnds,
    admission: Admission,
    flight: Option<FlightDesk>,
    thread: JoinHandle<()>,
}

/// A session slot that is taken.
#[derive(Debug)]
enum Tenant {
    /// Its sockets wait here for the command that opens it.
    Reserved(SocketPair),
    /// The shard has its sockets.
    Open { has_rtcp_socket: bool },
}

impl Engine {
    /// Starts one thread for each shard and waits until each has reserved its memory.
    ///
    /// Only then the engine's clock starts ([`Instant::START`] is the same for all shards), so
    /// that no tick is late because of the start.
    pub fn start(mut config: EngineConfig) -> Result<Self, StartFailure> {
        check(&config)?;
        let sockets = SocketPlan {
            bind: config.bind,
            receive_buffer_bytes: config.receive_buffer_bytes,
            rtp_stamps: config.arrival_timestamps,
        };
        let roads = Roads::build(&config, sockets)?;
        let driver = roads.driver();
        if roads.has_sockets() {
            check_files(&config)?;
            if config.driver.is_steered() {
                config.driver = DriverChoice::Auto;
            }
        }
        let shared = Arc::new(Shared::new().map_err(|error| StartFailure::Thread {
            shard: 0,
            call: "eventfd",
            error: error.into(),
        })?);
        let mut engine = Self {
            driver,
            // Set anew as soon as the shards are ready.
            clock: EngineClock::starting_in(START_LEAD),
            sockets: roads.has_sockets().then_some(sockets),
            packets: None,
            shared,
            shards: Vec::with_capacity(config.shards.len()),
            tenants: HashMap::new(),
            residences: Residences::default(),
            refused: VecDeque::new(),
            moved: 0,
            spreads: SpreadPool::new(config.limits.spread_max),
            first_read: 0,
            taps: Vec::new(),
            refused_overload: 0,
            config,
        };
        engine.start_shards(roads)?;
        tracing::info!(driver, shards = engine.shards.len(), "media engine started");
        Ok(engine)
    }

    /// Which driver carries the packets: `io_uring`, `plain`, `packet` or `xdp`.
    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// The present on the engine's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What the wall clock showed at the engine's start.
    pub fn wall(&self) -> WallClock {
        self.clock.wall()
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Sessions of a shard: their slots are taken.
    pub fn sessions(&self, shard: u8) -> usize {
        let taken = self.shards.get(usize::from(shard)).map_or(0, |shard| shard.sessions.taken());
        // They hold their ports, and a slot where they live.
        taken.saturating_sub(self.residences.away_from(shard))
    }

    /// Session slots of all shards that are free.
    pub fn sessions_free(&self) -> usize {
        self.shards.iter().map(|shard| shard.sessions.free()).sum()
    }

    /// How a shard is.
    pub fn load(&self, shard: u8) -> ShardLoad {
        self.shards.get(usize::from(shard)).map(|shard| shard.ends.load()).unwrap_or_default()
    }

    /// Sessions and rooms that were refused because no shard had time for them.
    pub fn refused_overload(&self) -> u64 {
        self.refused_overload
    }

    /// What the flight recorder of a shard holds, and what it was written for; `None` where there is
    /// no such shard, or no recorder. It may be asked for when the shard's thread has ended, too.
    pub fn flight(&self, shard: u8, cause: String) -> Option<FlightFile> {
        let desk = self.shards.get(usize::from(shard))?.flight.as_ref()?;
        let source = FlightSource {
            shard,
            limits: self.config.limits.clone(),
            seed: self.seed_of(shard),
            wall: self.clock.wall(),
            kept: self.config.flight.as_ref()?.kept,
            commands: Vec::new(),
        };
        Some(desk.file(cause, source))
    }

    /// How late the latest tick of a shard was since this was last asked, where it was later than
    /// the flight recorder allows.
    pub fn late_tick(&self, shard: u8) -> Option<Duration> {
        self.shards.get(usize::from(shard))?.flight.as_ref()?.late_tick()
    }

    /// The memory of all shards, by part.
    pub fn memory_plan(&self) -> MemoryPlan {
        let shared = self.packets.as_ref().map_or(0, |packets| packets.shared_bytes());
        MemoryPlan::of(&self.config, shared)
    }

    /// Facts dropped because the control plane did not read them for too long: digits, talking
    /// and latches only.
    pub fn events_lost(&self) -> u64 {
        self.shared.events_lost()
    }

    #[cfg(feature = "faults")]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A shard whose thread has ended although it should not have: a fault of ours.
    pub fn dead_shard(&self) -> Option<u8> {
        self.shards.iter().position(|shard| shard.thread.is_finished()).map(|index| index as u8)
    }

    /// Takes a slot for a session, on one shard or the least loaded one, and opens its
    /// sockets. Slots whose ports are held by other programs are passed over. Refused where the
    /// shard has no time for it.
    pub fn reserve(&mut self, shard: Option<u8>) -> Result<SessionKey, Refusal> {
        let shard = shard.map_or_else(|| self.least_loaded(), usize::from);
        self.admit(shard)?;
        let now = self.clock.now();
        let ShardHandle { sessions: pool, admission, .. } =
            self.shards.get_mut(shard).ok_or(Refusal::Gone)?;
        let mut passed_over = Vec::new();
        let mut reserved = Err(Refusal::Full);
        while passed_over.len() < PORTS_TRIED_MAX
            && let Some(session) = pool.take_session()
        {
            match open_pair(self.sockets, self.config.ports.rtp_port(session)) {
                Ok(pair) => {
                    self.tenants.insert(session, Tenant::Reserved(pair));
                    admission.count(now);
                    reserved = Ok(session);
                    break;
                }
                Err(error) => {
                    passed_over.push(session);
                    reserved = Err(Refusal::NoPort);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        break;
                    }
                }
            }
        }
        for session in passed_over {
            pool.give_back(session.slot(), session.generation());
        }
        reserved
    }

    /// Whether [`Self::reserve`] would find time and a slot now.
    pub fn may_reserve(&self, shard: Option<u8>) -> Result<(), Refusal> {
        let index = shard.map_or_else(|| self.least_loaded(), usize::from);
        let shard = self.shards.get(index).ok_or(Refusal::Gone)?;
        match shard.sessions.free() {
            _ if !self.has_time(shard) => Err(Refusal::Overloaded),
            0 => Err(Refusal::Full),
            _ => Ok(()),
        }
    }

    /// The RTP port of a session; RTCP without multiplexing uses the next one.
    pub fn rtp_port(&self, session: SessionKey) -> u16 {
        self.config.ports.rtp_port(session)
    }

    /// Gives back a reservation that was never opened. Open sessions are not touched.
    pub fn abandon(&mut self, session: SessionKey) {
        if let Some(Tenant::Reserved(_)) = self.tenants.get(&session) {
            self.release(session);
        }
    }

    /// Takes a slot for a room on the least loaded shard. Refused where no shard has time for it.
    pub fn reserve_room(&mut self) -> Result<RoomKey, Refusal> {
        let shard = self.least_loaded();
        self.admit(shard)?;
        self.shards[shard].rooms.take_room().ok_or(Refusal::Full)
    }

    /// The shard for one more member of a room that has parts on these ([`engine_control::choose_shard`]).
    /// Sessions that are on their way count.
    pub fn choose_shard(&self, parts: &[u8], share_percent: u32) -> u8 {
        let load =
            |shard: u8| ShardLoad { sessions: self.sessions(shard) as u32, ..self.load(shard) };
        let loads: Vec<ShardLoad> = (0..self.shards.len() as u8).map(load).collect();
        choose_shard(&loads, parts, share_percent)
    }

    /// Takes a slot on this shard for a part of a room that is spread. Refused where it has no time
    /// for it.
    pub fn reserve_part(&mut self, shard: u8) -> Result<RoomKey, Refusal> {
        self.admit(usize::from(shard))?;
        let shard = self.shards.get_mut(usize::from(shard)).ok_or(Refusal::Gone)?;
        shard.rooms.take_room().ok_or(Refusal::Full)
    }

    /// Takes a place at which the parts of a room meet, if there is one. It is free again once all
    /// parts are closed.
    pub fn reserve_spread(&mut self) -> Option<SpreadId> {
        self.spreads.take()
    }

    /// Gives back a place of whose room no part was opened.
    pub fn abandon_spread(&mut self, spread: SpreadId) {
        self.spreads.give_back(spread);
    }

    /// Gives back a room for which no `OpenRoom` was sent. Rooms that are given back are not touched.
    pub fn abandon_room(&mut self, room: RoomKey) {
        if let Some(shard) = self.shards.get_mut(usize::from(room.shard())) {
            shard.rooms.give_back(room.slot(), room.generation());
        }
    }

    /// Sends a command to its shard, where it applies at the next tick. A session must have been
    /// reserved before it is opened; where the shard refuses to open it, its slot is given back.
    pub fn command(&mut self, mut command: Command) -> Result<(), (Command, Refusal)> {
        let home = match &command {
            Command::OpenSession { session, .. } | Command::UpdateSession { session, .. } => {
                Some(*session)
            }
            _ => None,
        };
        let destination = self.residences.address(&mut command);
        let ready = destination.and_then(|destination| {
            self.check_way(destination)?;
            let sockets = home.map(|home| self.sockets_beside(home, &command)).transpose()?;
            Ok((destination, sockets.unwrap_or_default()))
        });
        let (destination, sockets) = match ready {
            Ok(ready) => ready,
            Err(refusal) => {
                self.residences.name_command(&mut command);
                return Err((command, refusal));
            }
        };
        if let Command::OpenPart { room, spread, .. } = &command {
            self.spreads.note_opened(*room, *spread);
        }
        self.send(destination, command, sockets)
    }

    /// The next fact of any shard. Slots and sockets that it sets free are free when it returns.
    pub fn next_event(&mut self) -> Option<Event> {
        let mut event = self.pop().or_else(|| {
            // Re-armed before the last look, so that no fact comes unnoticed in between.
            self.shared.rearm();
            self.pop()
        })?;
        self.residences.name(&mut event);
        match &event {
            Event::SessionArrived { .. } => self.moved += 1,
            Event::SessionClosed { session, .. }
            | Event::Refused { command: Command::TakeIn { session }, .. }
            | Event::Refused { command: Command::OpenSession { session, .. }, .. } => {
                self.release(*session);
            }
            Event::RoomClosed { room }
            | Event::Refused {
                command: Command::OpenRoom { room, .. } | Command::OpenPart { room, .. },
                ..
            } => {
                self.spreads.note_closed(*room);
                if let Some(shard) = self.shards.get_mut(usize::from(room.shard())) {
                    shard.rooms.give_back(room.slot(), room.generation());
                }
            }
            _ => {}
        }
        Some(event)
    }

    /// What the taps of each shard carry, by its index. Given once: all later lists are empty.
    pub fn take_taps(&mut self) -> Vec<TapReader> {
        std::mem::take(&mut self.taps)
    }

    /// Readable while facts may wait. Read it no other way than by [`Engine::next_event`], until
    /// that returns `None`.
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake_fd()
    }

    /// Stops all shards and waits for their threads. What is open ends without a word: close
    /// sessions first.
    pub fn stop(self) {
        drop(self);
    }

    fn start_shards(&mut self, roads: Roads) -> Result<(), StartFailure> {
        let starting = match roads {
            Roads::Plain(roads) => self.start_each(roads)?,
            Roads::Uring(roads) => self.start_each(roads)?,
            Roads::Packet(keeper, roads) => {
                self.packets = Some(keeper);
                self.start_each(roads)?
            }
        };
        for (shard, Starting { ready, .. }) in (0..).zip(&starting) {
            match ready.recv() {
                Ok(Ok(taps)) => self.taps.extend(taps.map(|taps| *taps)),
                Ok(Err((call, error))) => return Err(StartFailure::Thread { shard, call, error }),
                Err(mpsc::RecvError) => return Err(StartFailure::Died { shard }),
            }
        }
        self.clock = EngineClock::starting_in(START_LEAD);
        for Starting { start, .. } in starting {
            // Where the thread has ended meanwhile, `dead_shard` tells.
            let _ = start.send(self.clock);
        }
        Ok(())
    }

    fn start_each<R: Road>(&mut self, roads: Vec<R>) -> Result<Vec<Starting>, StartFailure> {
        let meetings = exchange(roads.len() as u8, self.config.limits.spread_max);
        let shards = (0..).zip(roads.into_iter().zip(meetings));
        shards.map(|(index, (road, meeting))| self.start_shard(index, road, meeting)).collect()
    }

    fn start_shard<R: Road>(
        &mut self,
        index: u8,
        road: R,
        exchange: Exchange,
    ) -> Result<Starting, StartFailure> {
        let limits = self.config.limits.clone();
        let (ends, shard_ends) = rings(&limits, &self.shared);
        let (desk, flight) = match &self.config.flight {
            Some(config) => {
                let (desk, flight) = FlightDesk::new(config);
                (Some(desk), flight)
            }
            None => (None, Flight::default()),
        };
        let handle = |thread| ShardHandle {
            sessions: SlotPool::new(index, limits.sessions_max),
            rooms: SlotPool::new(index, limits.rooms_max),
            ends,
            admission: Admission::default(),
            flight: desk,
            thread,
        };
        let plan = ThreadPlan {
            index,
            core: self.config.shards[usize::from(index)],
            realtime: self.config.realtime,
            limits: limits.clone(),
            kernels: self.config.kernels,
            seed: self.seed_of(index),
        };
        let (report, ready) = mpsc::channel();
        let (start, started) = mpsc::channel();
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || {
                let ends = (shard_ends, flight, exchange);
                shard_main(&plan, road, ends, shared, &report, &started);
            })
            .map_err(|error| StartFailure::Thread { shard: index, call: "clone", error })?;
        self.shards.push(handle(thread));
        Ok(Starting { ready, start })
    }

    /// What the randomness of a shard is derived from.
    fn seed_of(&self, shard: u8) -> u64 {
        self.config.seed.wrapping_add(u64::from(shard))
    }

    /// The shard with the fewest tenants among those that have time, if any has.
    fn least_loaded(&self) -> usize {
        let load = |(index, shard): &(usize, &ShardHandle)| {
            (!self.has_time(shard), self.sessions(*index as u8) + shard.rooms.taken())
        };
        self.shards.iter().enumerate().min_by_key(load).map_or(0, |(index, _)| index)
    }

    /// Whether a shard has time for one more.
    fn admit(&mut self, shard: usize) -> Result<(), Refusal> {
        let shard = self.shards.get(shard).ok_or(Refusal::Gone)?;
        if self.has_time(shard) {
            return Ok(());
        }
        self.refused_overload += 1;
        Err(Refusal::Overloaded)
    }

    fn has_time(&self, shard: &ShardHandle) -> bool {
        shard.admission.admits(self.clock.now(), shard.ends.load(), &self.config.limits.overload)
    }

    /// The sockets that a command needs on its way.
    fn sockets_beside(
        &mut self,
        home: SessionKey,
        command: &Command,
    ) -> Result<SocketPair, Refusal> {
        match command {
            Command::OpenSession { open, .. } => {
                let tenant = self.tenants.get_mut(&home).ok_or(Refusal::Gone)?;
                let Tenant::Reserved(pair) = tenant else { return Err(Refusal::Occupied) };
                let mut pair = std::mem::take(pair);
                if open.media.rtcp == RtcpTransport::Mux {
                    pair.rtcp = None;
                }
                *tenant = Tenant::Open { has_rtcp_socket: pair.rtcp.is_some() };
                Ok(pair)
            }
            Command::UpdateSession { media, .. } => {
                let Some(Tenant::Open { has_rtcp_socket }) = self.tenants.get_mut(&home) else {
                    return Err(Refusal::Gone);
                };
                if *has_rtcp_socket || media.rtcp == RtcpTransport::Mux {
                    return Ok(SocketPair::default());
                }
                // It was multiplexed until now: the port above was closed, and is wanted again.
                let port = self.config.ports.rtp_port(home) + 1;
                let Some(sockets) = self.sockets else { return Ok(SocketPair::default()) };
                let rtcp = sockets.open(Port::Rtcp, port).map_err(|_| Refusal::NoPort)?;
                *has_rtcp_socket = true;
                Ok(SocketPair { rtp: None, rtcp: Some(rtcp) })
            }
            _ => Ok(SocketPair::default()),
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let count = self.shards.len();
        for offset in 0..count {
            let index = (self.first_read + offset) % count;
            while let Ok(notice) = self.shards[index].ends.notices.pop() {
                // What is beside it is closed and freed here.
                if let Some(Notice { event, .. }) = self.pass_on(notice) {
                    self.first_read = index + 1;
                    return Some(event);
                }
            }
        }
        self.refused.pop_front()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.stop();
        for (index, shard) in self.shards.drain(..).enumerate() {
            if shard.thread.join().is_err() {
                tracing::error!(shard = index, "the shard's thread had panicked");
            }
        }
    }
}

/// What a shard's thread says once: that it runs, with its taps, or which call failed.
type Ready = Result<Option<Box<TapReader>>, (&'static str, io::Error)>;

/// A shard's thread until it runs.
struct Starting {
    ready: mpsc::Receiver<Ready>,
    /// Gives it the clock. Dropped without that, the thread ends.
    start: mpsc::Sender<EngineClock>,
}

fn shard_main<R: Road>(
    plan: &ThreadPlan,
    mut road: R,
    (ends, flight, exchange): (ShardEnds, Flight, Exchange),
    shared: Arc<Shared>,
    ready: &mpsc::Sender<Ready>,
    start: &mpsc::Receiver<EngineClock>,
) {
    let settled = settle(plan).and_then(|()| road.adopt());
    // Nobody listens where the start has failed already: then no clock will come, either.
    if let Err(failed) = settled {
        let _ = ready.send(Err(failed));
        return;
    }
    let mut thread = ShardThread::new(plan, road, ends, shared, flight);
    thread.meet(exchange);
    let _ = ready.send(Ok(thread.take_tap_reader()));
    if let Ok(clock) = start.recv() {
        thread.run(clock);
    }
}

/// A session's sockets; none where packets are steered.
fn open_pair(sockets: Option<SocketPlan>, rtp_port: u16) -> io::Result<SocketPair> {
    let Some(sockets) = sockets else { return Ok(SocketPair::default()) };
    let rtp = sockets.open(Port::Rtp, rtp_port)?;
    let rtcp = sockets.open(Port::Rtcp, rtp_port + 1)?;
    Ok(SocketPair { rtp: Some(rtp), rtcp: Some(rtcp) })
}

#[cfg(test)]
mod tests;
