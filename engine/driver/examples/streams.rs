//! What a stream costs: opens sessions on one shard without SIP, plays G.711 to them from another
//! core, and prints the shard's CPU time per stream and frame.
//!
//! `cargo run --release -p engine-driver --example streams -- [streams] [room size, 0: echo]
//! [io_uring|plain] [seconds] [stamps] [realtime]`

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use engine_control::{
    Command, Event, Limits, PortPlan, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey,
    SessionOpen, ShardReport,
};
use engine_driver::{DriverChoice, Engine, EngineConfig};
use media_units::{Direction, Encoding, RtpTimestamp, SequenceNumber, Ssrc};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime};
use socket2::SockRef;

const FIRST_PORT: u16 = 16384;
const FRAME: Duration = Duration::from_millis(20);
/// The load is spread over so many moments of a frame.
const SLOTS: u32 = 80;
const WARM_UP: u32 = 100;

struct Plan {
    streams: u32,
    room_size: u32,
    driver: DriverChoice,
    seconds: u32,
    arrival_timestamps: bool,
    realtime: bool,
}

fn main() {
    let plan = arguments();
    let mut engine = Engine::start(EngineConfig {
        shards: vec![Some(1)],
        limits: Limits { sessions_max: plan.streams, ..Limits::default() },
        driver: plan.driver,
        realtime: plan.realtime,
        arrival_timestamps: plan.arrival_timestamps,
        ..EngineConfig::new(PortPlan { first: FIRST_PORT, block: 16384 })
    })
    .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{}\ndriver {}", engine.memory_plan(), engine.driver());

    pin_to(0);
    if plan.realtime {
        make_realtime();
    }
    let mut phones = Vec::new();
    let mut room = None;
    for index in 0..plan.streams {
        if plan.room_size > 0 && index % plan.room_size == 0 {
            room = Some(open_room(&mut engine));
        }
        phones.push(Phone::dial(&mut engine, room, index));
    }
    for round in 0..WARM_UP {
        play(&mut phones, round, plan.room_size);
        drain(&mut engine);
    }
    for phone in &mut phones {
        (phone.sent, phone.received, phone.gap_max_us) = (0, 0, 0);
    }
    let mut seconds = Vec::new();
    for second in 0..plan.seconds {
        let before = Reading::take(&mut engine);
        for round in 0..50 {
            play(&mut phones, WARM_UP + second * 50 + round, plan.room_size);
            drain(&mut engine);
        }
        seconds.push(Reading::take(&mut engine).us_per_frame_since(&before));
    }
    print_result(&plan, &phones, seconds, report(&mut engine));
    engine.stop();
}

/// The shard's CPU time and packets so far.
struct Reading {
    cpu: Duration,
    sent: u64,
}

impl Reading {
    fn take(engine: &mut Engine) -> Self {
        Self { cpu: shard_cpu(), sent: report(engine).rtp_sent }
    }

    /// A stream-frame is one packet in and one out.
    fn us_per_frame_since(&self, earlier: &Self) -> f64 {
        let nanos = (self.cpu - earlier.cpu).as_nanos() as f64;
        nanos / 1000.0 / (self.sent - earlier.sent).max(1) as f64
    }
}

fn arguments() -> Plan {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| words.get(at).and_then(|w| w.parse().ok()).unwrap_or(default);
    let has = |word: &str| words.iter().any(|w| w == word);
    Plan {
        streams: number(0, 2000),
        room_size: number(1, 0),
        driver: if has("plain") { DriverChoice::Plain } else { DriverChoice::IoUring },
        seconds: number(3, 10),
        arrival_timestamps: has("stamps"),
        realtime: has("realtime"),
    }
}

/// The other end of one session.
struct Phone {
    socket: UdpSocket,
    packet: [u8; 172],
    sent: u64,
    received: u64,
    last_us: u64,
    gap_max_us: u64,
}

impl Phone {
    fn dial(engine: &mut Engine, room: Option<RoomKey>, index: u32) -> Self {
        let session = engine.reserve(room).expect("a free slot");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_nonblocking(true).expect("non-blocking");
        SockRef::from(&socket).set_recv_buffer_size(16 * 1024).expect("receive buffer");
        let media = SocketAddr::from((Ipv4Addr::LOCALHOST, engine.rtp_port(session)));
        socket.connect(media).expect("connected");
        let route = room.map_or(Route::Echo, Route::Room);
        let local = socket.local_addr().expect("bound");
        open_session(engine, session, local, route, index);
        let mut packet = [0x55; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet[8..12].copy_from_slice(&index.to_be_bytes());
        Self { socket, packet, sent: 0, received: 0, last_us: 0, gap_max_us: 0 }
    }

    fn turn(&mut self, round: u32, talks: bool, now_us: u64) {
        let mut buffer = [0; 256];
        while self.socket.recv(&mut buffer).is_ok() {
            self.received += 1;
            self.gap_max_us = self.gap_max_us.max(now_us.saturating_sub(self.last_us));
            self.last_us = now_us;
        }
        self.packet[2..4].copy_from_slice(&(round as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&(round * 160).to_be_bytes());
        // A saw tooth of mu-law codes, or silence.
        for (at, code) in self.packet[12..].iter_mut().enumerate() {
            *code = if talks { 0x80 | (at as u8 & 0x3f) } else { 0xff };
        }
        self.sent += u64::from(self.socket.send(&self.packet).is_ok());
    }
}

/// Plays one frame of every phone, spread over 20 ms. Three of each room talk.
fn play(phones: &mut [Phone], round: u32, room_size: u32) {
    let count = phones.len() as u32;
    for slot in 0..SLOTS {
        let now_us = sleep_until_slot(round, slot);
        let of = |slot| (slot * count / SLOTS) as usize;
        for (index, phone) in (of(slot)..).zip(&mut phones[of(slot)..of(slot + 1)]) {
            let talks = room_size == 0 || (index as u32 % room_size) < 3;
            phone.turn(round, talks, now_us);
        }
    }
}

/// Sleeps until a slot of a round (counted from the first call) and returns its time.
fn sleep_until_slot(round: u32, slot: u32) -> u64 {
    use std::sync::OnceLock;
    static ORIGIN: OnceLock<u64> = OnceLock::new();
    let now = || {
        let time = clock_gettime(ClockId::Monotonic);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
    };
    let frame = FRAME.as_micros() as u64;
    let due = ORIGIN.get_or_init(now)
        + u64::from(round) * frame
        + u64::from(slot) * frame / u64::from(SLOTS);
    let until =
        Timespec { tv_sec: (due / 1_000_000) as i64, tv_nsec: (due % 1_000_000 * 1000) as i64 };
    let _ = rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &until);
    now()
}

fn open_session(
    engine: &mut Engine,
    session: SessionKey,
    rtp: SocketAddr,
    route: Route,
    index: u32,
) {
    let rtcp = RtcpTransport::Separate(SocketAddr::new(rtp.ip(), rtp.port() + 1));
    let open = Box::new(SessionOpen {
        ssrc: Ssrc(!index),
        sequence: SequenceNumber(1),
        timestamp: RtpTimestamp(1),
        media: RemoteMedia {
            encoding: Encoding::Pcmu,
            receive_payload_type: 0,
            send_payload_type: 0,
            telephone_event: None,
            rtp,
            rtcp,
            direction: Direction::SendReceive,
            packet_time_ms: 20,
        },
        route,
    });
    send(engine, Command::OpenSession { session, open });
}

fn open_room(engine: &mut Engine) -> RoomKey {
    let room = engine.reserve_room().expect("a free room");
    send(engine, Command::OpenRoom { room });
    room
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

fn report(engine: &mut Engine) -> ShardReport {
    send(engine, Command::ReportShard { report: Box::default() });
    loop {
        match engine.next_event() {
            Some(Event::ShardReported { report }) => return *report,
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// CPU time of the shard's thread so far.
fn shard_cpu() -> Duration {
    let read = || -> io::Result<Duration> {
        for task in std::fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            if std::fs::read_to_string(task.join("comm"))?.trim() == "shard-0" {
                let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
                let nanos = schedstat.split(' ').next().and_then(|word| word.parse().ok());
                return Ok(Duration::from_nanos(nanos.unwrap_or(0)));
            }
        }
        Err(io::ErrorKind::NotFound.into())
    };
    read().expect("the shard's accounting")
}

/// The load must not be late either, or it is the load that is measured.
fn make_realtime() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters outlive the call; 0 is the calling thread.
    let returned = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    assert_eq!(returned, 0, "not permitted: {}", io::Error::last_os_error());
}

fn pin_to(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("a second core");
}

fn print_result(plan: &Plan, phones: &[Phone], mut seconds: Vec<f64>, report: ShardReport) {
    let (sent, received) =
        phones.iter().fold((0, 0), |(s, r), phone| (s + phone.sent, r + phone.received));
    let mut gaps: Vec<u64> = phones.iter().map(|phone| phone.gap_max_us).collect();
    gaps.sort_unstable();
    seconds.sort_by(f64::total_cmp);
    let (best, median) = (seconds[0], seconds[seconds.len() / 2]);
    println!(
        "{} streams, rooms of {}: {median:.3} us per stream-frame (best second {best:.3}), \
         {:.0} us per stream-second (best {:.0})",
        plan.streams,
        plan.room_size,
        50.0 * median,
        50.0 * best,
    );
    println!(
        "sent {sent}, received {received}, longest gap p50 {} ms, max {} ms",
        gaps[gaps.len() / 2] / 1000,
        gaps[gaps.len() - 1] / 1000,
    );
    println!(
        "shard: busy {:?}, lateness {:?} max {} us, send failures {}, discards {:?}",
        report.busy,
        report.lateness.buckets,
        report.lateness.max_us,
        report.send_failures,
        report.discards,
    );
}
