//! From a checked configuration to a running server: sockets first, because they fail most
//! often, then the shards, then the word that all is well.

use std::net::{IpAddr, SocketAddr};

use engine_control::{Balance, Limits, PortPlan};
use engine_driver::{Engine, EngineConfig, allow_files};
use media_kernels::Kernels;
use media_units::{RoomSound, WallClock};
use recorder_shelf::Shelf;
use recorder_writer::{TrackKind, WriterConfig};
use signaling::{FrontEnd, FrontEndConfig};
use signaling_transport::{Transport, TransportConfig};
use tokio::net::TcpListener;

use crate::api;
use crate::config::{Config, Occasion};
use crate::control::Control;
use crate::failure::Failure;
use crate::files::Connections;
use crate::flight::FlightLog;
use crate::placement::Placement;
use crate::recording::{Keeper, Keeping, Keys, Prompts, Recorder, Recordings, Rules, Wish};
use crate::system::{cores_allowed, since_1970, stay_on, step_back, unguessable};
use crate::welcome::{Facts, welcome};
use crate::world::{OwnAddress, World};

/// A server that has started and is about to serve.
pub(crate) struct Server {
    control: Control,
    /// What a person wants to know about it.
    pub(crate) welcome: String,
    /// Where the API listens.
    #[cfg(test)]
    pub(crate) api: Option<SocketAddr>,
    /// Where SIP over UDP is received.
    #[cfg(test)]
    pub(crate) udp: Option<SocketAddr>,
    /// Breaks one of its shards.
    #[cfg(test)]
    pub(crate) breaker: engine_driver::Breaker,
}

impl Server {
    /// Opens the sockets and starts the threads. To be called on a current-thread runtime.
    pub(crate) fn start(config: &Config) -> Result<Self, Failure> {
        let started = since_1970();
        let recording = &config.recording;
        let prompts = Prompts::new(recording.announcement.as_deref(), recording.beep.is_some());
        let prompts = prompts.map_err(Failure::Prompt)?;
        let shelf = Shelf::open(&recording.shelf).map_err(Failure::Shelf)?;
        let placement = Placement::of(&config.rtp.shards, &cores_allowed())?;
        if !placement.control.is_empty() {
            stay_on(&placement.control);
        }
        let mut wanted = engine(config, &placement)?;
        let connections = Connections::fitting(config, &wanted, allow_files());
        wanted.files_beside = connections.files_beside_calls();
        let transport = Transport::bind(transport(config, connections)).map_err(Failure::Sip)?;
        let listener = config.api.listen.map(listen).transpose()?;
        let (mut engine, calls_max) = start_engine(config, wanted)?;
        if placement.control.is_empty() {
            // One core for all: the shard comes first.
            step_back();
        }
        let is_needed = config.rooms.record == Occasion::Always;
        let recorder = Recorder::new(writer(config, engine.wall()), engine.take_taps(), is_needed);
        let api = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let welcome = welcome(
            config,
            &Facts {
                transport: &transport,
                api,
                engine: &engine,
                placement: &placement,
                calls_max,
            },
        );
        let front = FrontEnd::new(front_end(config, calls_max, &transport), unguessable());
        let (ask, asks) = api::queue(config.api.requests_max as usize);
        if let Some(listener) = listener {
            let limits = api_limits(config, connections);
            tokio::spawn(api::serve(listener, api::router(ask, shelf.clone()), limits));
        }
        let world = World {
            media: OwnAddress::new(config.rtp.advertised, &[config.rtp.address]),
            families: config.rtp.capabilities.families,
            signaling: OwnAddress::new(config.sip.advertised, &sip_addresses(&transport)),
            engine,
            transport,
            recorder,
            recordings: Recordings::new(config.recording.name.clone(), keeping(config)),
            prompts,
            shelf,
            flights: FlightLog::new(&config.flight),
        };
        let keeper = (Keeper::new(rules(config)), config.recording.beep);
        #[cfg(test)]
        let breaker = world.engine.breaker();
        #[cfg(test)]
        let udp = world.transport.udp_addresses().first().copied();
        let balance = Balance::new(config.move_above);
        let stop_timeout = config.sip.stop_timeout;
        let control = Control::new(front, world, keeper, balance, asks, started, stop_timeout)
            .map_err(Failure::System)?;
        Ok(Self {
            control,
            welcome,
            #[cfg(test)]
            api,
            #[cfg(test)]
            udp,
            #[cfg(test)]
            breaker,
        })
    }

    /// Serves until a signal or a fault ends it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.control.run().await
    }
}

/// The shards, and how many calls they have room for. Where the process may not open enough
/// files, fewer calls are taken, and a warning says so.
fn start_engine(config: &Config, mut wanted: EngineConfig) -> Result<(Engine, usize), Failure> {
    let shards = wanted.shards.len();
    let engine = match Engine::start(wanted.clone()) {
        Err(engine_driver::StartFailure::Files { allowed, sessions_max, .. })
            if sessions_max > 0 =>
        {
            let calls_max = sessions_max as usize * shards;
            if calls_max < config.sip.calls_max as usize {
                tracing::warn!(
                    calls_max,
                    allowed,
                    "fewer calls: the limit of open files is too low"
                );
            }
            wanted.limits.sessions_max = sessions_max;
            Engine::start(wanted.clone())
        }
        other => other,
    };
    let calls_max =
        (config.sip.calls_max as usize).min(wanted.limits.sessions_max as usize * shards);
    engine.map(|engine| (engine, calls_max)).map_err(Failure::Engine)
}

fn engine(config: &Config, placement: &Placement) -> Result<EngineConfig, Failure> {
    let rtp = &config.rtp;
    let threads = &rtp.shards;
    let shards = placement.shards.len();
    let (first, last) = rtp.ports;
    let ports = PortPlan::divide(first, last, shards as u8).ok_or(Failure::Ports { shards })?;
    let kernels = match threads.kernels {
        None => Kernels::detect(),
        Some(level) => Kernels::at(level).ok_or(Failure::Kernels(level))?,
    };
    Ok(EngineConfig {
        shards: placement.shards.iter().copied().map(Some).collect(),
        limits: limits(config, ports),
        bind: rtp.address,
        driver: threads.driver,
        realtime: threads.realtime,
        kernels,
        seed: unguessable(),
        receive_buffer_bytes: threads.receive_buffer as usize,
        arrival_timestamps: threads.arrival_timestamps,
        flight: config.flight.recorder.clone(),
        ..EngineConfig::new(ports)
    })
}

fn limits(config: &Config, ports: PortPlan) -> Limits {
    let rtp = &config.rtp;
    let calls_max = config.sip.calls_max;
    // A call is over some ticks before its slot is free, and other programs may hold some ports.
    let slack = calls_max / 16 + 16;
    let sessions_max = (calls_max + slack).min(ports.sessions_per_shard());
    Limits {
        sessions_max,
        rooms_max: config.rooms.max,
        room_members_max: config.rooms.members_max,
        spread_max: spread_max(config),
        // Each session has three points, each room one.
        taps_max: 3 * sessions_max + config.rooms.max,
        monitors_max: sessions_max,
        tap_ring_bytes: config.recording.ring as usize,
        playout_delay_min: rtp.playout_delay_min,
        playout_delay_initial: rtp.playout_delay_initial,
        playout_delay_max: rtp.playout_delay_max,
        media_timeout: rtp.media_timeout,
        relatch_after: rtp.relatch_after,
        relatch_packets: rtp.relatch_packets,
        rtcp_interval: rtp.rtcp_interval,
        in_band_digits: sounds(config).any(|sound| sound.in_band_digits),
        noise_suppression: sounds(config).any(|sound| sound.noise_suppression),
        overload: config.overload.clone(),
        ..Limits::default()
    }
}

/// Rooms that may be spread at one time; none where no rule spreads any.
fn spread_max(config: &Config) -> u32 {
    let mut named = config.named_rooms.iter();
    let may_be =
        config.rooms.spread_above.is_some() || named.any(|rule| rule.spread_above.is_some());
    if may_be { config.rooms.spread_max } else { 0 }
}

/// How rooms may sound.
fn sounds(config: &Config) -> impl Iterator<Item = RoomSound> {
    let named = config.named_rooms.iter().map(|rule| rule.sound);
    std::iter::once(config.rooms.sound).chain(named)
}

fn transport(config: &Config, connections: Connections) -> TransportConfig {
    let sip = &config.sip;
    TransportConfig {
        udp: sip.udp.clone(),
        tcp: sip.tcp.clone(),
        tcp_connections_max: connections.sip as usize,
        tcp_message_bytes_max: sip.message_max as usize,
        tcp_first_message_timeout: sip.connections.first_message_timeout,
        tcp_message_timeout: sip.connections.message_timeout,
        tcp_idle_timeout: sip.connections.idle_timeout,
        tcp_write_queue_bytes_max: sip.connections.write_queue as usize,
        ..TransportConfig::default()
    }
}

fn front_end(config: &Config, calls_max: usize, transport: &Transport) -> FrontEndConfig {
    let sip = &config.sip;
    let default = FrontEndConfig::default();
    // Used only where the address depends on nobody, or where there is no way to the peer.
    let advertised = |bound: &[SocketAddr], default: SocketAddr| {
        let mut address = bound.first().copied().unwrap_or(default);
        if let Some(advertised) = sip.advertised {
            address.set_ip(advertised);
        }
        address
    };
    FrontEndConfig {
        plan: config.dial.clone(),
        advertised_udp: advertised(transport.udp_addresses(), default.advertised_udp),
        advertised_tcp: advertised(transport.tcp_addresses(), default.advertised_tcp),
        capabilities: config.rtp.capabilities.clone(),
        endpoints: config.endpoints.clone(),
        calls_max,
        rooms_max: config.rooms.max as usize,
        room_members_max: config.rooms.members_max as usize,
        transactions_max: sip.transactions_max as usize,
        transaction_bytes_max: sip.transactions_memory as usize,
        message_bytes_max: sip.message_max as usize,
        ring_time: sip.ring_time,
        session_expires: sip.session_expires,
        min_se: sip.session_expires_min,
        retry_after: sip.retry_after,
        room_sound: config.rooms.sound,
        room_spread_above: config.rooms.spread_above,
        rooms: config.named_rooms.clone(),
        siprec: config.siprec.clone(),
        timing: sip.timing,
        ..default
    }
}

fn rules(config: &Config) -> Rules {
    let recording = &config.recording;
    let wish = |tracks: &[TrackKind]| Wish { tracks: tracks.to_vec(), keeping: keeping(config) };
    Rules {
        rooms: config.rooms.record,
        named: config.named_occasions.clone(),
        keys: Keys {
            record: recording.keys.clone(),
            pause: recording.pause_keys.clone(),
            mark: recording.mark_keys.clone(),
        },
        room: wish(&recording.room_tracks),
        call: wish(&recording.call_tracks),
    }
}

fn keeping(config: &Config) -> Keeping {
    let recording = &config.recording;
    Keeping {
        format: recording.format,
        rate: recording.rate,
        arrangement: recording.layout,
        channels: recording.channels,
        ends_with_tracks: true,
    }
}

fn writer(config: &Config, wall: WallClock) -> WriterConfig {
    let recording = &config.recording;
    WriterConfig {
        flush_every: recording.flush,
        recordings_max: recording.max as usize,
        queue_bytes_max: recording.queue as usize,
        sync: recording.sync,
        wall,
        ..WriterConfig::new(recording.folder.clone())
    }
}

fn api_limits(config: &Config, connections: Connections) -> api::Limits {
    api::Limits {
        connections_max: connections.api as usize,
        requests_max: config.api.requests_max as usize,
        body_max: config.api.body_max,
        timeout: config.api.timeout,
        hosts: config.api.listen.filter(is_loopback).map(|_| config.api.hosts.clone()),
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}

/// The IP addresses that SIP is received on, each once.
fn sip_addresses(transport: &Transport) -> Vec<IpAddr> {
    let both = transport.udp_addresses().iter().chain(transport.tcp_addresses());
    let mut addresses: Vec<IpAddr> = both.map(SocketAddr::ip).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let failure = |error| Failure::Api { address, error };
    let listener = std::net::TcpListener::bind(address).map_err(failure)?;
    listener.set_nonblocking(true).map_err(failure)?;
    TcpListener::from_std(listener).map_err(failure)
}
