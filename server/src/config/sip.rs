//! `[sip]`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use signaling::Timing;

use super::reader::Section;

/// The SIP front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sip {
    /// Where to listen for datagrams.
    pub udp: Vec<SocketAddr>,
    /// Where to listen for connections.
    pub tcp: Vec<SocketAddr>,
    /// The address in Contact.
    pub advertised: Option<IpAddr>,
    /// Calls at one time.
    pub calls_max: u32,
    /// Transactions at one time.
    pub transactions_max: u32,
    /// Octets of the requests that they keep.
    pub transactions_memory: u64,
    /// Octets of one message.
    pub message_max: u64,
    /// TCP connections.
    pub connections: Connections,
    /// How long a caller hears ringing.
    pub ring_time: Duration,
    /// The base times of RFC 3261.
    pub timing: Timing,
    /// The session timer we ask for.
    pub session_expires: Duration,
    /// The shortest session timer we accept.
    pub session_expires_min: Duration,
    /// What a refused caller is told to wait.
    pub retry_after: Duration,
    /// How long calls may take to end when the server stops.
    pub stop_timeout: Duration,
}

/// TCP connections of the SIP front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// At one time.
    pub max: u32,
    /// How long one may be silent.
    pub idle_timeout: Duration,
    /// How long a new one may take to the end of its first message.
    pub first_message_timeout: Duration,
    /// How long one message may take.
    pub message_timeout: Duration,
    /// Octets that may wait to be written to one.
    pub write_queue: u64,
}

impl Sip {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let anywhere = [SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060)];
        Self {
            udp: section.listeners(
                "udp",
                &anywhere,
                "Where to listen for SIP over UDP: at most one IPv4 and one IPv6 address.",
            ),
            tcp: section.listeners("tcp", &anywhere, "Where to listen for SIP over TCP."),
            advertised: section.address_or_auto(
                "advertised",
                "The address in Contact, for phones on the other side of a NAT. `auto`: the one \
                 bound, or that of the route to the peer.",
            ),
            calls_max: section.count(
                "calls_max",
                8192,
                1..=262_144,
                "Calls at one time; one more is answered 503. Fewer where `rtp.ports` or the \
                 limit of open files has no room for them.",
            ),
            transactions_max: section.count(
                "transactions_max",
                65536,
                16..=1_048_576,
                "Transactions at one time; beyond them a new call is answered 503 without a \
                 transaction.",
            ),
            transactions_memory: section.size(
                "transactions_memory",
                128 << 20,
                1 << 20..=16 << 30,
                "What the requests of all transactions may have together; beyond it a new call is \
                 answered 503 without a transaction.",
            ),
            message_max: section.size(
                "message_max",
                64 << 10,
                2 << 10..=64 << 10,
                "Size of one message; a longer one is answered 513, and ends a TCP connection.",
            ),
            connections: Connections::read(section),
            ring_time: section.duration(
                "ring_time",
                Duration::ZERO,
                Duration::ZERO..=Duration::from_secs(60),
                "How long a caller hears ringing before the answer; \"0s\": answered at once.",
            ),
            timing: timing(section),
            session_expires: session_interval(
                section,
                "session_expires",
                1800,
                "RFC 4028: the session interval we ask for, in whole seconds. A caller that knows no \
                 session timers is asked every half of it whether it is still there.",
            ),
            session_expires_min: session_interval(
                section,
                "session_expires_min",
                90,
                "RFC 4028: the shortest session interval we accept, in whole seconds; a shorter \
                 one is answered 422.",
            ),
            retry_after: section.duration(
                "retry_after",
                Duration::from_secs(10),
                Duration::from_secs(1)..=Duration::from_secs(3600),
                "What a caller who is answered 503 is told to wait (Retry-After), in whole seconds.",
            ),
            stop_timeout: section.duration(
                "stop_timeout",
                Duration::from_secs(5),
                Duration::ZERO..=Duration::from_secs(60),
                "How long the server waits for the answers to its BYEs when it is told to stop.",
            ),
        }
    }
}

impl Connections {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let message = Duration::from_millis(100)..=Duration::from_secs(300);
        Self {
            max: section.count(
                "tcp_connections_max",
                1024,
                1..=65536,
                "TCP connections at one time; one more is closed at once. Fewer, with a warning, \
                 where the process may not open files enough (`ulimit -Hn`) for all calls and connections.",
            ),
            idle_timeout: section.duration(
                "tcp_idle_timeout",
                Duration::from_secs(3600),
                Duration::from_secs(1)..=Duration::from_secs(86400),
                "How long a TCP connection may say nothing between messages before it is closed.",
            ),
            first_message_timeout: section.duration(
                "tcp_first_message_timeout",
                Duration::from_secs(10),
                message.clone(),
                "How long a new TCP connection may take to the end of its first message.",
            ),
            message_timeout: section.duration(
                "tcp_message_timeout",
                Duration::from_secs(10),
                message,
                "How long one message may take from its first octet to its last over TCP, in \
                 either direction.",
            ),
            write_queue: section.size(
                "tcp_write_queue",
                8 << 20,
                64 << 10..=1 << 30,
                "What may wait to be written to one TCP connection before it is closed. When the \
                 server stops, a BYE for every call behind one proxy waits there: about 1 KiB for \
                 each.",
            ),
        }
    }
}

fn timing(section: &mut Section<'_, '_>) -> Timing {
    let default = Timing::default();
    let least = Duration::from_millis(10);
    Timing {
        t1: section.duration(
            "t1",
            default.t1,
            least..=Duration::from_secs(10),
            "RFC 3261 T1: the first retransmission interval; a call without ACK ends after 64 \
             times this.",
        ),
        t2: section.duration(
            "t2",
            default.t2,
            least..=Duration::from_secs(60),
            "RFC 3261 T2: the longest retransmission interval.",
        ),
        t4: section.duration(
            "t4",
            default.t4,
            least..=Duration::from_secs(60),
            "RFC 3261 T4: how long a message may live in the network.",
        ),
    }
}

fn session_interval(
    section: &mut Section<'_, '_>,
    name: &'static str,
    seconds: u64,
    meaning: &'static str,
) -> Duration {
    let range = Duration::from_secs(90)..=Duration::from_secs(86400);
    section.duration(name, Duration::from_secs(seconds), range, meaning)
}
