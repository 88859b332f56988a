//! What an engine is started with.

use std::net::{IpAddr, Ipv4Addr};

use engine_control::{Limits, PortPlan};
use media_kernels::Kernels;

use crate::flight::FlightConfig;
use crate::host;

/// Which system calls carry the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriverChoice {
    /// `io_uring` where the system allows it, else plain, with a warning.
    #[default]
    Auto,
    /// `io_uring` or no start.
    IoUring,
    /// `recv` and `send`.
    Plain,
    /// One steered socket for each shard and frames of our own, or no start.
    Packet,
    /// The same where the system allows it, else as `Auto`, with a warning.
    PacketOrSockets,
    /// As `Packet`, and AF_XDP by the interface that has the media address, or no start.
    Xdp,
    /// The same where the system allows it, else as `PacketOrSockets`, with a warning.
    XdpOrSockets,
}

impl DriverChoice {
    /// Whether streams have no sockets of their own.
    pub fn is_steered(self) -> bool {
        matches!(self, Self::Packet | Self::PacketOrSockets | Self::Xdp | Self::XdpOrSockets)
    }

    /// Whether there is no start with sockets for each stream.
    pub(crate) fn must_be_steered(self) -> bool {
        matches!(self, Self::Packet | Self::Xdp)
    }
}

/// Everything an engine needs to know to start. Checked by [`crate::Engine::start`].
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// One entry for each shard (1 to 255): the core it is pinned to, or `None` to let the
    /// scheduler choose.
    pub shards: Vec<Option<usize>>,
    /// Capacities of each shard.
    pub limits: Limits,
    /// Which UDP ports belong to which session.
    pub ports: PortPlan,
    /// The address that media sockets are bound to.
    pub bind: IpAddr,
    /// Which system calls carry the packets.
    pub driver: DriverChoice,
    /// Whether shard threads ask for `SCHED_FIFO`. Where it is not permitted: a warning.
    pub realtime: bool,
    /// The SIMD kernels.
    pub kernels: Kernels,
    /// What each shard's randomness is derived from.
    pub seed: u64,
    /// Receive buffer of each media socket (`SO_RCVBUF`; the kernel doubles it, and counts more than
    /// a packet's octets). 16 KiB hold 39 packets of up to 180 octets (G.711 of 20 ms), 14 of 650 to
    /// 1400 (L16 at 16 kHz; at 48 kHz of 10 ms), 7 of 1900 (L16 at 48 kHz of 20 ms).
    pub receive_buffer_bytes: usize,
    /// Whether the kernel stamps what arrives: each packet, or one in eight while a stream is calm
    /// (one packet in each of its last visits). Without stamps arrivals are an estimate: half a
    /// period before the tick that read them. Stamps make playout's delay and RTCP's jitter finer
    /// than a period, for some CPU (docs/performance.md says how much).
    pub arrival_timestamps: bool,
    /// Files that the process may have open beside the sockets of sessions.
    pub files_beside: u64,
    /// What the flight recorder keeps; `None`: there is none.
    pub flight: Option<FlightConfig>,
}

impl EngineConfig {
    /// One shard on any core, its media on the loopback address, everything else at its default.
    pub fn new(ports: PortPlan) -> Self {
        Self {
            shards: vec![None],
            limits: Limits::default(),
            ports,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            driver: DriverChoice::Auto,
            realtime: false,
            kernels: Kernels::detect(),
            seed: 0,
            receive_buffer_bytes: 16 * 1024,
            arrival_timestamps: true,
            files_beside: 64,
            flight: None,
        }
    }

    /// Sockets that all sessions have; none with a driver that never gives them any.
    pub fn files_of_sessions(&self) -> u64 {
        if self.driver.must_be_steered() {
            return 0;
        }
        host::sockets(self.shards.len() as u64, self.limits.sessions_max)
    }
}
