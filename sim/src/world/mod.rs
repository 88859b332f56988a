//! Phones, network and server in one thread, in virtual time, from one seed.
//!
//! The server is the real one: `engine::Shard`s and the `signaling::FrontEnd`; only sockets,
//! threads and clocks are ours. Everything that happens is an entry of one heap, so the same seed
//! gives the same [`Trace`], and a virtual minute takes as long as its work does.

mod endpoint;
mod server;
mod trace;
mod wire;
mod work;

use std::time::Duration;

use engine_control::{Command, Limits, ShardLoad, ShardReport};
use media_kernels::Kernels;
use media_units::{Encoding, Instant, RtpTimestamp, SequenceNumber};
use signaling::{Carrier, FrontEnd, FrontEndConfig, ParticipantId, Peer};

pub use endpoint::{Conduct, Endpoint, PhoneSettings};
pub use server::Recorded;
pub use trace::Trace;
pub use wire::Carried;
pub use work::Work;

use crate::Seed;
use crate::caller::Hold;
use crate::network::LinkModel;
use endpoint::Outlet;
use server::{Server, Switchboard};
use wire::{Happening, Wire};

/// How a world is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What everything random comes from.
    pub seed: u64,
    /// Shards of the server.
    pub shards: u8,
    /// Their kernels.
    pub kernels: Kernels,
    /// Their limits.
    pub limits: Limits,
    /// The front end's configuration.
    pub front_end: FrontEndConfig,
    /// How RTP travels, either way.
    pub media: LinkModel,
    /// How SIP travels, either way.
    pub sip: LinkModel,
    /// Ticks come late by up to this.
    pub tick_lateness: Duration,
    /// How long a shard takes for what it does.
    pub work: Work,
    /// Whether the kernel stamps each packet's arrival; else a shard takes the middle of the
    /// period before the tick that reads it.
    pub arrival_timestamps: bool,
    /// Amplitude of each of a talker's four tones.
    pub amplitude: f32,
}

impl Default for Settings {
    fn default() -> Self {
        let sip = wire::server_sip_address();
        let latency = LinkModel { latency: Duration::from_millis(5), ..LinkModel::default() };
        Self {
            seed: 1,
            shards: 1,
            kernels: Kernels::SCALAR,
            limits: Limits { sessions_max: 256, rooms_max: 64, ..Limits::default() },
            front_end: FrontEndConfig {
                advertised_udp: sip,
                advertised_tcp: sip,
                ..FrontEndConfig::default()
            },
            media: latency,
            sip: latency,
            tick_lateness: Duration::ZERO,
            work: Work::default(),
            arrival_timestamps: true,
            amplitude: 1200.0,
        }
    }
}

/// All of it.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    seed: Seed,
    wire: Wire,
    server: Server,
    /// The server's signalling, for what the API may do.
    front_end: FrontEnd,
    front_end_wakes_at: Option<Instant>,
    endpoints: Vec<Endpoint>,
}

impl World {
    /// A world with a server and no phones.
    pub fn new(settings: Settings) -> Self {
        let seed = Seed::new(settings.seed);
        let server = Server::new(settings.shards, &settings.limits, settings.kernels, &seed);
        let server = server.expect("the ports are enough for the shards");
        let mut wire = Wire::new(seed.fork(1));
        for (index, side) in server.shards.iter().enumerate() {
            wire.plan(side.shard.next_tick(), Happening::Tick(index as u8));
        }
        Self {
            front_end: FrontEnd::new(settings.front_end.clone(), seed.fork(2).next_u64()),
            seed: seed.fork(3),
            settings,
            wire,
            server,
            front_end_wakes_at: None,
            endpoints: Vec::new(),
        }
    }

    /// Adds a phone, which dials nobody yet. Returns its number.
    pub fn add(&mut self, settings: &PhoneSettings) -> usize {
        let number = self.endpoints.len();
        self.wire.add_path(self.settings.media, self.settings.sip);
        let seed = self.seed.fork(4);
        self.endpoints.push(Endpoint::new(number, settings, self.settings.amplitude, &seed));
        number
    }

    /// Adds so many phones that dial `user`, dials them a packet's fraction apart, and waits
    /// until all of them are answered and settled.
    pub fn fill_room(&mut self, user: &str, phones: usize) -> Vec<usize> {
        let settings = PhoneSettings::dialling(user);
        let numbers: Vec<usize> = (0..phones).map(|_| self.add(&settings)).collect();
        for &number in &numbers {
            self.dial(number);
            let pause = self.seed.below(20_000_000);
            self.run(Duration::from_nanos(pause));
        }
        self.run(Duration::from_secs(2));
        numbers
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.wire.now + time;
        while let Some(happening) = self.wire.next(until) {
            self.happen(happening);
        }
        self.wire.now = until;
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.wire.now
    }

    /// What stands for everything that happened so far.
    pub fn trace(&self) -> Trace {
        self.wire.trace
    }

    /// What the network carried so far.
    pub fn carried(&self) -> Carried {
        self.wire.carried
    }

    /// A phone.
    pub fn endpoint(&self, number: usize) -> &Endpoint {
        &self.endpoints[number]
    }

    /// A phone, to make it behave otherwise.
    pub fn endpoint_mut(&mut self, number: usize) -> &mut Endpoint {
        &mut self.endpoints[number]
    }

    /// How many phones there are.
    pub fn phones(&self) -> usize {
        self.endpoints.len()
    }

    /// A phone dials.
    pub fn dial(&mut self, number: usize) {
        self.act(number, |caller, now, out| caller.dial(now, out));
    }

    /// A phone hangs up: it says goodbye by RTCP and by SIP.
    pub fn hang_up(&mut self, number: usize) {
        self.endpoints[number].report(&mut self.wire, true);
        self.act(number, |caller, now, out| caller.hang_up(now, out));
    }

    /// A phone holds or resumes. Returns whether it could ask for it.
    pub fn hold(&mut self, number: usize, hold: Hold) -> bool {
        self.act(number, |caller, now, out| caller.renegotiate(hold, now, out))
    }

    /// A phone asks for another payload format by a re-INVITE.
    pub fn change_encoding(&mut self, number: usize, encoding: Encoding) -> bool {
        self.act(number, |caller, now, out| {
            caller.set_encodings(&[encoding]);
            caller.renegotiate(Hold::Active, now, out)
        })
    }

    /// A phone goes to another port and says so by a re-INVITE.
    pub fn change_address(&mut self, number: usize) -> bool {
        self.rebind(number);
        let media = self.wire.paths[number].media;
        self.act(number, |caller, now, out| {
            caller.set_media_address(media);
            caller.renegotiate(Hold::Active, now, out)
        })
    }

    /// A phone is seen under another port from now on, as behind a NAT that forgot it.
    pub fn rebind(&mut self, number: usize) {
        let media = &mut self.wire.paths[number].media;
        media.set_port(media.port().wrapping_add(2));
    }

    /// A phone's sound gets another source in the middle of the call.
    pub fn change_ssrc(&mut self, number: usize) {
        let mut seed = self.seed.fork(self.wire.now.as_nanos());
        self.endpoints[number].phone.sender.change_ssrc(&mut seed);
    }

    /// A phone's numbers stand so many packets before their wrap.
    pub fn set_before_wrap(&mut self, number: usize, packets: u16) {
        let sender = &mut self.endpoints[number].phone.sender;
        sender.set_sequence(SequenceNumber(0).plus(packets.wrapping_neg()));
        let samples = u32::from(packets) * 160;
        sender.set_timestamp(RtpTimestamp(samples.wrapping_neg()));
    }

    /// What a shard does takes another time.
    pub fn set_work(&mut self, work: Work) {
        self.settings.work = work;
    }

    /// How a shard is.
    pub fn load(&self, shard: usize) -> ShardLoad {
        self.server.shards[shard].shard.load()
    }

    /// The network of one phone's sound changes, both ways.
    pub fn set_media_link(&mut self, number: usize, model: LinkModel) {
        let path = &mut self.wire.paths[number];
        path.media_up.set_model(model);
        path.media_down.set_model(model);
    }

    /// The network of all phones' sound changes.
    pub fn set_media_links(&mut self, model: LinkModel) {
        for number in 0..self.endpoints.len() {
            self.set_media_link(number, model);
        }
    }

    /// The server mutes a phone, as its API does.
    pub fn mute(&mut self, number: usize, muted: bool) -> bool {
        let Some(participant) = self.participant(number) else { return false };
        self.front_end(|front_end, now, outside| {
            front_end.mute(now, participant, muted, outside).is_ok()
        })
    }

    fn participant(&self, number: usize) -> Option<ParticipantId> {
        let call_id = self.endpoints[number].caller.call_id();
        let mut all = self.front_end.participants();
        all.find(|view| view.call_id == call_id).map(|view| view.participant)
    }

    /// What the front end knows and does.
    pub fn front_end<R>(
        &mut self,
        action: impl FnOnce(&mut FrontEnd, Instant, &mut dyn signaling::Outside) -> R,
    ) -> R {
        let Self { front_end, server, wire, .. } = self;
        let now = wire.now;
        let result = action(front_end, now, &mut Switchboard { server, wire });
        // Nobody here wants to know.
        while front_end.next_fact().is_some() {}
        let wake = front_end.next_expiry();
        if let Some(at) = wake.filter(|at| self.front_end_wakes_at.is_none_or(|p| *at < p)) {
            self.front_end_wakes_at = Some(at);
            self.wire.plan(at, Happening::FrontEndExpires);
        }
        result
    }

    /// What the server recorded.
    pub fn recordings(&self) -> &[Recorded] {
        &self.server.recordings
    }

    /// A fresh report of every shard. Takes two periods.
    pub fn reports(&mut self) -> Vec<ShardReport> {
        for shard in 0..self.server.shards.len() {
            let report = Box::new(ShardReport { shard: shard as u8, ..ShardReport::default() });
            let ordered = self.server.order(shard, Command::ReportShard { report });
            assert!(ordered.is_ok(), "a shard always takes a question");
        }
        self.run(2 * media_units::PERIOD);
        let sides = self.server.shards.iter_mut();
        sides.filter_map(|side| side.report.take()).map(|report| *report).collect()
    }

    /// A phone's session is sent to another shard and stays in the conference: it is connected to the
    /// room or the part of it there.
    pub fn send_away(&mut self, number: usize, shard: u8) -> bool {
        let Some(participant) = self.participant(number) else { return false };
        self.front_end(|front_end, _, out| front_end.send_away(participant, shard, out).is_ok())
    }

    /// A phone is sent to another conference, as by the API.
    pub fn transfer(&mut self, number: usize, room: &str) -> bool {
        let Some(participant) = self.participant(number) else { return false };
        self.front_end(|front_end, now, out| {
            front_end.transfer(now, participant, room, out).is_ok()
        })
    }

    /// Sessions that have arrived on another shard.
    pub fn sessions_moved(&self) -> u64 {
        self.server.moved
    }

    /// Sessions and rooms that the server holds.
    pub fn slots_taken(&self) -> (usize, usize) {
        let sides = &self.server.shards;
        let sessions = sides.iter().map(|side| side.sessions.taken()).sum();
        (sessions, sides.iter().map(|side| side.rooms.taken()).sum())
    }

    fn act<R>(
        &mut self,
        number: usize,
        action: impl FnOnce(&mut crate::caller::Caller, Instant, &mut Outlet<'_>) -> R,
    ) -> R {
        self.endpoints[number].act(&mut self.wire, action)
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.wire.now;
        match happening {
            Happening::Tick(index) => self.tick(index),
            Happening::FrontEndExpires => self.expire_front_end(),
            Happening::Fact(event) => {
                if let Some(event) = self.server.fact(event) {
                    self.front_end(|front_end, now, out| front_end.engine_event(now, event, out));
                }
            }
            Happening::ServerMedia { port, source, octets } => {
                let taken = self.server.arrived(now, port, source, octets);
                self.wire.carried.media_arrived_up += u64::from(taken);
            }
            Happening::PhoneMedia { to, octets } => self.deliver(to, &octets),
            Happening::ServerSip { from, message } => {
                let peer = Peer { carrier: Carrier::Udp, remote: from };
                self.front_end(|front_end, now, out| front_end.receive(now, peer, message, out));
            }
            Happening::PhoneSip { phone, message } => {
                self.endpoints[phone].receive_sip(&message, &mut self.wire);
            }
            Happening::PhoneSends(phone) => self.endpoints[phone].send(&mut self.wire),
            Happening::PhoneReports(phone) => self.endpoints[phone].report(&mut self.wire, false),
            Happening::CallerExpires(phone) => self.endpoints[phone].expire(&mut self.wire),
        }
    }

    fn tick(&mut self, index: u8) {
        let Settings { arrival_timestamps, work, tick_lateness, .. } = &self.settings;
        let busy = self.server.tick(index, *arrival_timestamps, work, &mut self.wire);
        let late = self.seed.below(tick_lateness.as_nanos() as u64);
        let due = self.server.shards[index as usize].shard.next_tick();
        let next = (due + Duration::from_nanos(late)).max(self.wire.now + busy);
        self.wire.plan(next, Happening::Tick(index));
    }

    fn expire_front_end(&mut self) {
        if self.front_end_wakes_at.is_some_and(|at| at <= self.wire.now) {
            self.front_end_wakes_at = None;
            self.front_end(|front_end, now, out| front_end.expire(now, out));
        }
    }

    fn deliver(&mut self, to: std::net::SocketAddr, octets: &[u8]) {
        let Some(number) = wire::phone_of(to) else { return };
        let is_there = self.wire.paths.get(number).is_some_and(|path| path.media == to);
        if is_there {
            self.wire.carried.media_arrived_down += 1;
            self.endpoints[number].receive_media(self.wire.now, octets);
        }
    }
}
