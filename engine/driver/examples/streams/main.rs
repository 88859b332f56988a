//! What a stream costs: opens sessions on one shard without SIP, plays G.711 to them from another
//! core, and prints the shard's CPU time per stream and frame.
//!
//! `cargo run --release -p engine-driver --example streams -- [streams] [room size, 0: echo]
//! [io_uring|plain|packet|xdp|bare] [seconds] [stamps] [realtime] [held|empty] [headers|all]
//! [spread] [talkers N] [stall MS] [veth NAMESPACE HERE THERE]`
//!
//! `stall MS`: after the third second measured, something of a higher priority takes the shard's core for so
//! long; what each second cost and how late its ticks were is printed. A shard that has time enough catches up.
//!
//! `held`: everyone is on hold, nothing comes and nothing is sent; `empty`: as many rooms as streams are asked
//! for, and nobody in them. What the shard takes of its core is printed for them.
//!
//! `facing HERE THERE` instead of `veth`: the phones are at THERE, in another such process, which is given
//! `facing THERE HERE phones INTERFACE [rest]`: programs of the kernel at its interface; with `rest`,
//! only those who talk send. Phones with sockets would be dearer than the shard (docs/fast-road.md has the
//! commands).
//!
//! `spread`: two shards, the second on the core of the phones, and every room has a part on each; said to both
//! processes with `facing`. `talkers N`, too: so many of each room talk, 3 otherwise.
//! `veth`: the shard's address is HERE, the phones are at THERE in another network namespace. `packet` needs
//! that: to its own machine it sends by the kernel (docs/fast-road.md has the commands).
//!
//! `headers` and `all` are what the flight recorder keeps; without either there is none.
//! `bare` puts nothing but `recv` and `send` on connected sockets in the shard's place: what the
//! kernel asks of anyone. Compare in one run, as a ratio; the machine's noise is in both.

mod bare;
#[allow(dead_code, reason = "it is the driver's, which needs other parts of it")]
#[path = "../../src/packet/bpf.rs"]
mod bpf;
mod cable;
mod ears;
mod frame;
mod mouths;
mod phone;
mod program;
mod stall;

use std::io;
use std::iter::once;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use engine::flight::Kept;
use engine_control::{
    Command, Event, Limits, NEVER_PERCENT, OverloadRule, PortPlan, RemoteMedia, RoomKey, Route,
    RtcpTransport, SessionKey, SessionOpen, ShardReport,
};
use engine_driver::{DriverChoice, Engine, EngineConfig, FlightConfig};
use media_units::{Direction, Law, RoomSound, RtpTimestamp, SequenceNumber, Ssrc};
use rustix::thread::{CpuSet, sched_setaffinity};

use bare::Bare;
use cable::{Cable, CablePlan};
use phone::{Phone, play};

const FIRST_PORT: u16 = 16384;
const SHARD_CORE: usize = 1;
/// Where the load is, and a second shard.
const PHONES_CORE: usize = 0;
/// Who talk in each room, unless it is said.
const TALKERS: u32 = 3;
/// What the threads of all shards are called.
const SHARD_NAMES: &str = "shard-";
/// What went wrong, at which call: as the driver's modules say it.
type Failure = (&'static str, io::Error);
/// So many ports of the shard's may be held by other programs.
const PORTS_OF_OTHERS: u32 = 64;
/// Seconds before the measuring begins.
const WARM_UP: u32 = 2;
/// The second measured after which the core is taken away.
const STALL_SECOND: u32 = 3;

struct Plan {
    streams: u32,
    room_size: u32,
    driver: DriverChoice,
    bare: bool,
    seconds: u32,
    arrival_timestamps: bool,
    realtime: bool,
    idle: Option<Idle>,
    here: IpAddr,
    there: IpAddr,
    namespace: Option<String>,
    /// The phones are another process, at the other end of the cable.
    facing: bool,
    /// This is that process: its interface.
    phones: Option<String>,
    listeners_rest: bool,
    flight: Option<FlightConfig>,
    is_spread: bool,
    talkers: u32,
    /// For so long the shard's core is taken away.
    stall: Option<Duration>,
}

impl Plan {
    fn shards(&self) -> u32 {
        if self.is_spread { 2 } else { 1 }
    }

    fn streams_per_shard(&self) -> u32 {
        self.streams.div_ceil(self.shards())
    }

    fn port_block(&self) -> u32 {
        (2 * self.streams_per_shard()).next_power_of_two().max(16384)
    }

    /// The shard's port of a stream, where no other program has one of ours: by turns, as the parts of a room.
    fn port_of(&self, index: u32) -> u16 {
        let (shard, number) = (index % self.shards(), index / self.shards());
        FIRST_PORT + (shard * self.port_block() + 2 * number) as u16
    }
}

/// The phone's, at the other end of a cable.
fn phone_port(index: u32) -> u16 {
    FIRST_PORT + 2 * index as u16
}

// Where nobody says anything.
#[derive(Clone, Copy, PartialEq)]
enum Idle {
    Held,
    Empty,
}

fn main() {
    let plan = arguments();
    pin_to(PHONES_CORE);
    if plan.realtime {
        make_realtime();
    }
    if plan.bare {
        let (bare, mut phones) = Bare::start(plan.streams, plan.realtime);
        let seconds = measure(&plan, &mut phones, |_| bare.frames());
        print_result("bare", &plan, &phones, seconds);
        return bare.stop();
    }
    if let Some(interface) = plan.phones.clone() {
        return call(&plan, interface);
    }
    let mut engine = start(&plan);
    println!("{}", engine.memory_plan());
    if let Some(idle) = plan.idle {
        rest(&mut engine, &plan, idle);
        return engine.stop();
    }
    let mut phones = dial_all(&mut engine, &plan);
    if plan.facing {
        await_phones(&mut engine);
    }
    let mut begun = reports(&mut engine);
    let (mut last, mut last_cpu) = (begun[0], shard_cpu());
    let mut second = 0;
    let seconds = measure(&plan, &mut phones, |is_warm| {
        drain(&mut engine);
        let reports = reports(&mut engine);
        let sent = sum(&reports, |report| report.rtp_sent);
        if let Some(time) = plan.stall {
            let (report, cpu) = (reports[0], shard_cpu());
            stall::print_second(second, &last, &report, cpu - last_cpu);
            (last, last_cpu) = (report, cpu);
            if second == WARM_UP + STALL_SECOND {
                stall::stall(time);
            }
            second += 1;
        }
        if !is_warm {
            begun = reports;
        }
        sent
    });
    print_result(engine.driver(), &plan, &phones, seconds);
    let ended = reports(&mut engine);
    if plan.facing {
        let concealed = |reports: &[_]| sum(reports, |report| report.blocks_concealed);
        println!(
            "received {} from the beginning; blocks concealed {}",
            await_silence(&mut engine),
            concealed(&ended) - concealed(&begun),
        );
    }
    for report in ended {
        let ShardReport { lateness, discards, send_failures, parts_late, .. } = report;
        println!(
            "lateness {lateness:?}, discards {discards:?}, send failures {send_failures}, parts \
             late {parts_late}"
        );
    }
    engine.stop();
}

/// Waits for the phones, which are silent until all of them are called.
fn await_phones(engine: &mut Engine) {
    while sum(&reports(engine), |report| report.rtp_received) == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the phones have ended, and returns how much has come from them.
fn await_silence(engine: &mut Engine) -> u64 {
    let mut before = 0;
    loop {
        let received = sum(&reports(engine), |report| report.rtp_received);
        if received == before {
            return received;
        }
        before = received;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Is the phones for another such process.
fn call(plan: &Plan, interface: String) {
    let (IpAddr::V4(here), IpAddr::V4(there)) = (plan.here, plan.there) else {
        panic!("these phones have IPv4 only");
    };
    let &Plan { streams: count, room_size, seconds, talkers, listeners_rest, .. } = plan;
    let theirs = (0..count).map(|phone| plan.port_of(phone)).collect();
    let plan =
        CablePlan { count, room_size, talkers, here, there, interface, listeners_rest, theirs };
    let mut cable = Cable::open(&plan).expect("programs at the interface");
    cable.call(seconds).expect("frames are sent");
}

/// Opens what is idle, and prints what it costs.
fn rest(engine: &mut Engine, plan: &Plan, idle: Idle) {
    match idle {
        Idle::Held => drop(dial_all(engine, plan)),
        Idle::Empty => (0..plan.streams).for_each(|_| _ = open_room(engine)),
    }
    std::thread::sleep(Duration::from_secs(6));
    for _ in 0..plan.seconds {
        let (cpu, began) = (shard_cpu(), Instant::now());
        std::thread::sleep(Duration::from_secs(1));
        drain(engine);
        let share = (shard_cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        println!("{}: {} idle, {:.2} % of a core", engine.driver(), plan.streams, 100.0 * share);
    }
}

fn start(plan: &Plan) -> Engine {
    // All of them come at once, and what they cost is what we want to know.
    let overload = OverloadRule { refuse_above: NEVER_PERCENT, ..OverloadRule::default() };
    let second = plan.is_spread.then_some(PHONES_CORE);
    let rooms = plan.streams.div_ceil(plan.room_size.max(1));
    let streams = plan.streams_per_shard();
    Engine::start(EngineConfig {
        shards: once(SHARD_CORE).chain(second).map(Some).collect(),
        limits: Limits {
            sessions_max: streams + PORTS_OF_OTHERS,
            rooms_max: plan.streams,
            room_members_max: plan.room_size.max(Limits::default().room_members_max),
            spread_max: second.map_or(0, |_| rooms),
            overload,
            ..Limits::default()
        },
        driver: plan.driver,
        realtime: plan.realtime,
        arrival_timestamps: plan.arrival_timestamps,
        bind: plan.here,
        flight: plan.flight.clone(),
        ..EngineConfig::new(PortPlan { first: FIRST_PORT, block: plan.port_block() })
    })
    .unwrap_or_else(|failure| panic!("{failure}"))
}

fn dial_all(engine: &mut Engine, plan: &Plan) -> Vec<Phone> {
    let mut rooms = Vec::new();
    let mut open = |engine: &mut Engine, index: u32, other: &dyn Fn(u16) -> SocketAddr| {
        if plan.room_size > 0 && index.is_multiple_of(plan.room_size) {
            rooms = if plan.is_spread { open_parts(engine) } else { vec![open_room(engine)] };
        }
        let room = rooms.get(index as usize % rooms.len().max(1)).copied();
        // By turns, as the parts of a room.
        let shard = Some((index % engine.shards() as u32) as u8);
        let session =
            engine.reserve(room.map_or(shard, |room| Some(room.shard()))).expect("a free slot");
        let port = engine.rtp_port(session);
        let route = room.map_or(Route::Echo, Route::Room);
        open_session(engine, session, other(port), route, index, plan.idle.is_some());
        SocketAddr::from((plan.here, port))
    };
    if plan.facing {
        for index in 0..plan.streams {
            let at = open(engine, index, &|_| (plan.there, phone_port(index)).into());
            assert_eq!(at.port(), plan.port_of(index), "where the phones expect it");
        }
        return Vec::new();
    }
    let sockets = Phone::sockets(plan.streams, plan.there, plan.namespace.clone());
    let dial = |(index, socket): (u32, UdpSocket)| {
        let address = socket.local_addr().expect("bound");
        let media = open(engine, index, &|_| address);
        Phone::calling(socket, media, index)
    };
    (0..).zip(sockets).map(dial).collect()
}

/// So many of each room; of those alone, all.
fn talks(index: u32, room_size: u32, talkers: u32) -> bool {
    room_size == 0 || index % room_size < talkers
}

/// CPU time per stream-frame (one packet in and one out), second by second.
fn measure(plan: &Plan, phones: &mut [Phone], mut sent: impl FnMut(bool) -> u64) -> Vec<f64> {
    let mut second = |round: u32, phones: &mut [Phone], is_warm: bool| {
        for round in round..round + 50 {
            play(phones, round, plan);
        }
        (shard_cpu(), sent(is_warm))
    };
    for round in 0..WARM_UP {
        second(round * 50, phones, false);
    }
    let mut before = second(WARM_UP * 50, phones, false);
    for phone in &mut *phones {
        (phone.sent, phone.received, phone.gap_max_us) = (0, 0, 0);
    }
    let per_frame = |number: u32| {
        let after = second((WARM_UP + 1 + number) * 50, phones, true);
        let nanos = (after.0 - before.0).as_nanos() as f64;
        let frames = (after.1 - before.1).max(1) as f64;
        before = after;
        nanos / 1000.0 / frames
    };
    (0..plan.seconds).map(per_frame).collect()
}

fn arguments() -> Plan {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| words.get(at).and_then(|w| w.parse().ok()).unwrap_or(default);
    let has = |word: &str| words.iter().any(|w| w == word);
    let after = |word: &str, offset: usize| -> Option<&String> {
        words.get(words.iter().position(|w| w == word)? + offset)
    };
    let address = |offset| {
        let word = after("veth", offset).or_else(|| after("facing", offset - 1));
        word.map_or(Ipv4Addr::LOCALHOST.into(), |w| w.parse().expect("an address"))
    };
    let recorder = |kept| FlightConfig { kept, ring_bytes: 8 << 20, late: None };
    let kept = has("all").then_some(Kept::All).or(has("headers").then_some(Kept::Headers));
    Plan {
        streams: number(0, 2000),
        room_size: number(1, 0),
        driver: match () {
            () if has("plain") => DriverChoice::Plain,
            () if has("packet") => DriverChoice::Packet,
            () if has("xdp") => DriverChoice::Xdp,
            () => DriverChoice::IoUring,
        },
        bare: has("bare"),
        seconds: number(3, 10),
        arrival_timestamps: has("stamps"),
        realtime: has("realtime"),
        idle: has("held").then_some(Idle::Held).or(has("empty").then_some(Idle::Empty)),
        here: address(2),
        there: address(3),
        namespace: after("veth", 1).cloned(),
        facing: has("facing"),
        phones: after("phones", 1).cloned(),
        listeners_rest: has("rest"),
        flight: kept.map(recorder),
        is_spread: has("spread"),
        talkers: after("talkers", 1).map_or(TALKERS, |word| word.parse().expect("a number")),
        stall: after("stall", 1).map(|ms| Duration::from_millis(ms.parse().expect("milliseconds"))),
    }
}

fn open_session(
    engine: &mut Engine,
    session: SessionKey,
    rtp: SocketAddr,
    route: Route,
    index: u32,
    is_held: bool,
) {
    let direction = if is_held { Direction::Inactive } else { Direction::SendReceive };
    let rtcp = RtcpTransport::Separate(SocketAddr::new(rtp.ip(), rtp.port() + 1));
    let open = Box::new(SessionOpen {
        ssrc: Ssrc(!index),
        sequence: SequenceNumber(1),
        timestamp: RtpTimestamp(1),
        media: RemoteMedia { direction, ..RemoteMedia::g711(Law::Mu, rtp, rtcp) },
        route,
    });
    send(engine, Command::OpenSession { session, open });
}

fn open_room(engine: &mut Engine) -> RoomKey {
    let room = engine.reserve_room().expect("a free room");
    send(engine, Command::OpenRoom { room, sound: RoomSound::DEFAULT });
    room
}

/// The parts of a room on all shards.
fn open_parts(engine: &mut Engine) -> Vec<RoomKey> {
    let spread = engine.reserve_spread().expect("a free place");
    let shards = 0..engine.shards() as u8;
    let open = |shard| {
        let room = engine.reserve_part(shard).expect("a free room");
        send(engine, Command::OpenPart { room, sound: RoomSound::DEFAULT, spread });
        room
    };
    shards.map(open).collect()
}

/// Sends a command, reading events while the ring is full.
fn send(engine: &mut Engine, mut command: Command) {
    while let Err((back, _busy)) = engine.command(command) {
        drain(engine);
        std::thread::sleep(Duration::from_millis(1));
        command = back;
    }
}

fn drain(engine: &mut Engine) {
    while let Some(event) = engine.next_event() {
        assert!(!matches!(event, Event::Refused { .. }), "{event:?}");
    }
}

fn reports(engine: &mut Engine) -> Vec<ShardReport> {
    (0..engine.shards() as u8).map(|shard| report(engine, shard)).collect()
}

fn sum(reports: &[ShardReport], count: impl Fn(&ShardReport) -> u64) -> u64 {
    reports.iter().map(count).sum()
}

fn report(engine: &mut Engine, shard: u8) -> ShardReport {
    let report = Box::new(ShardReport { shard, ..ShardReport::default() });
    send(engine, Command::ReportShard { report });
    loop {
        match engine.next_event() {
            Some(Event::ShardReported { report }) => return *report,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// CPU time of the shards' threads so far.
fn shard_cpu() -> Duration {
    let read = || -> io::Result<Duration> {
        let mut all = Duration::ZERO;
        for task in std::fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            if std::fs::read_to_string(task.join("comm"))?.starts_with(SHARD_NAMES) {
                let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
                let nanos = schedstat.split(' ').next().and_then(|word| word.parse().ok());
                all += Duration::from_nanos(nanos.unwrap_or(0));
            }
        }
        Ok(all)
    };
    read().expect("the shard's accounting")
}

/// Of each core, how long it was busy so far and how long it could have been.
fn busy_cores() -> Vec<[u64; 2]> {
    let text = std::fs::read_to_string("/proc/stat").expect("the kernel's account of its cores");
    let core = |line: &str| {
        let times: Vec<u64> =
            line.split(' ').skip(1).filter_map(|word| word.parse().ok()).collect();
        let all: u64 = times.iter().take(8).sum();
        [all - times[3] - times[4], all]
    };
    text.lines().skip(1).take_while(|line| line.starts_with("cpu")).map(core).collect()
}

/// The load must not be late either, or it is the load that is measured.
fn make_realtime() {
    prioritize(1);
}

fn prioritize(priority: i32) {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters outlive the call; 0 is the calling thread.
    let returned = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    assert_eq!(returned, 0, "not permitted: {}", io::Error::last_os_error());
}

fn pin_to(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("a second core");
}

fn print_result(name: &str, plan: &Plan, phones: &[Phone], mut seconds: Vec<f64>) {
    let (sent, received) =
        phones.iter().fold((0, 0), |(s, r), phone| (s + phone.sent, r + phone.received));
    let mut gaps: Vec<u64> = phones.iter().map(|phone| phone.gap_max_us).collect();
    gaps.sort_unstable();
    seconds.sort_by(f64::total_cmp);
    let (best, median) = (seconds[0], seconds[seconds.len() / 2]);
    println!(
        "{name}: {} streams, rooms of {}: {median:.3} us per stream-frame (best second {best:.3}), \
         {:.0} us per stream-second (best {:.0})",
        plan.streams,
        plan.room_size,
        50.0 * median,
        50.0 * best,
    );
    if !phones.is_empty() {
        println!(
            "sent {sent}, received {received}, longest gap p50 {} ms, max {} ms",
            gaps[gaps.len() / 2] / 1000,
            gaps[gaps.len() - 1] / 1000,
        );
    }
}
