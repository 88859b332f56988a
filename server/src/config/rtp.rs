//! `[rtp]`

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use engine_driver::DriverChoice;
use media::playout::DELAY_MAX;
use media_kernels::Level;
use signaling_sdp::{Capabilities, Families};

use super::codecs;
use super::reader::Section;

/// Media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtp {
    /// Where the media sockets are bound.
    pub address: IpAddr,
    /// The address in our SDP.
    pub advertised: Option<IpAddr>,
    /// First and last port.
    pub ports: (u16, u16),
    /// What offer and answer are made from.
    pub capabilities: Capabilities,
    /// Least playout delay.
    pub playout_delay_min: Duration,
    /// Playout delay that a stream begins with.
    pub playout_delay_initial: Duration,
    /// Most playout delay.
    pub playout_delay_max: Duration,
    /// Silence on the wire after which a call ends; zero: never.
    pub media_timeout: Duration,
    /// Silence of a source after which another may take its place.
    pub relatch_after: Duration,
    /// Valid packets that the other must send for it.
    pub relatch_packets: u8,
    /// Mean interval of RTCP reports.
    pub rtcp_interval: Duration,
    /// The threads that do it.
    pub shards: Shards,
}

/// The threads of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shards {
    /// How many; none: by the number of cores.
    pub count: Option<u32>,
    /// The cores they are pinned to; none: any that the process may use.
    pub cores: Option<Vec<usize>>,
    /// How packets are moved.
    pub driver: DriverChoice,
    /// Whether they run under the real-time scheduler.
    pub realtime: bool,
    /// Instruction set of the sample loops; none: the fastest there is.
    pub kernels: Option<Level>,
    /// Receive buffer of each media socket.
    pub receive_buffer: u64,
    /// Whether the kernel's time of arrival is used.
    pub arrival_timestamps: bool,
}

impl Shards {
    /// How many are asked for, where that is said: as many as there are cores for them.
    pub fn asked(&self) -> Option<usize> {
        self.count.map(|count| count as usize).or(self.cores.as_ref().map(Vec::len))
    }
}

impl Rtp {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let address = section.address(
            "address",
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "Where media sockets are bound. Media of the other address family is refused (488); \
             \"::\" serves both.",
        );
        let advertised = section.address_or_auto(
            "advertised",
            "The address in our SDP, for phones on the other side of a NAT. `auto`: the one bound, \
             or that of the route to the peer.",
        );
        let ports = section.ports(
            "ports",
            (16384, 32767),
            "UDP ports for media: two for each call (RTP even, RTCP odd), divided among the shards \
             in blocks of a power of two.",
        );
        let families = Families::of(advertised.unwrap_or(address));
        Self {
            address,
            advertised,
            ports,
            capabilities: Capabilities { families, ..codecs::capabilities(section) },
            playout_delay_min: section.duration(
                "playout_delay_min",
                Duration::ZERO,
                Duration::ZERO..=DELAY_MAX,
                "Least delay that the playout buffer aims at.",
            ),
            playout_delay_initial: section.duration(
                "playout_delay_initial",
                Duration::ZERO,
                Duration::ZERO..=DELAY_MAX,
                "Delay that a stream begins with, until its network is known; where it is above \
                 the least.",
            ),
            playout_delay_max: section.duration(
                "playout_delay_max",
                Duration::from_millis(300),
                Duration::from_millis(20)..=DELAY_MAX,
                "Most delay that the playout buffer may reach; what is older is dropped.",
            ),
            media_timeout: section.duration(
                "media_timeout",
                Duration::from_secs(30),
                Duration::ZERO..=Duration::from_secs(86400),
                "How long a call that should send media may send none before it is ended; \
                 \"0s\": for ever.",
            ),
            relatch_after: section.duration(
                "relatch_after",
                Duration::from_secs(3),
                Duration::from_millis(100)..=Duration::from_secs(300),
                "How long a call's media source must be silent before another may take its place.",
            ),
            relatch_packets: section.count(
                "relatch_packets",
                3,
                1..=50,
                "Valid packets in a row that the other source must send for it.",
            ) as u8,
            rtcp_interval: section.duration(
                "rtcp_interval",
                Duration::from_secs(5),
                Duration::from_millis(500)..=Duration::from_secs(120),
                "Mean interval between RTCP reports of one call (RFC 3550 section 6.2).",
            ),
            shards: Shards::read(section),
        }
    }
}

impl Shards {
    fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            count: section.count_or_auto(
                "shards",
                1..=64,
                "Media threads, each pinned to a core. `auto`: as many as `cores` names, else one \
                 less than there are cores, from 1 to 4.",
            ),
            cores: section.cores_or_auto(
                "cores",
                "The cores that shards are pinned to, in order. `auto`: the last ones of those \
                 that the process may use.",
            ),
            driver: section.choice(
                "driver",
                &[
                    ("auto", DriverChoice::Auto),
                    ("io_uring", DriverChoice::IoUring),
                    ("plain", DriverChoice::Plain),
                    ("packet", DriverChoice::Packet),
                    ("packet-or-sockets", DriverChoice::PacketOrSockets),
                    ("xdp", DriverChoice::Xdp),
                    ("xdp-or-sockets", DriverChoice::XdpOrSockets),
                ],
                "How packets are moved. `auto`: by io_uring where the kernel allows it, else by \
                 plain system calls. `packet`: without a socket for each stream (docs/fast-road.md; \
                 needs CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW), or no start; `packet-or-sockets`: \
                 the same where it is possible, else as `auto`. `xdp`: that, and AF_XDP by the interface \
                 that has `address`, which must be given, or no start; `xdp-or-sockets`: the same where it \
                 is possible, else as `packet-or-sockets`.",
            ),
            realtime: section.flag(
                "realtime",
                true,
                "Whether shards run under SCHED_RR (priority 40), so that nothing else delays a \
                 tick; where the process has no right to that, a warning.",
            ),
            kernels: section.choice(
                "kernels",
                &[
                    ("auto", None),
                    ("scalar", Some(Level::Scalar)),
                    ("avx2", Some(Level::Avx2)),
                    ("avx512", Some(Level::Avx512)),
                ],
                "Instruction set of the sample loops; each gives the same samples. `auto`: the \
                 fastest that the CPU has.",
            ),
            receive_buffer: section.size(
                "receive_buffer",
                16 << 10,
                2 << 10..=1 << 20,
                "Receive buffer of each media socket: 39 packets of G.711, 7 of L16/48000 with 20 ms. \
                 What comes beyond it at once is lost, and counts as lost by the network: for L16 over \
                 networks that bunch, `64KiB`.",
            ),
            arrival_timestamps: section.flag(
                "arrival_timestamps",
                true,
                "Whether the kernel's time of arrival is used, for some CPU: of each packet, and of every \
                 eighth of a calm stream. Without it, arrival is known to the period (20 ms), \
                 and sound may wait so much longer.",
            ),
        }
    }
}
