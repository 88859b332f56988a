//! What the front end is told before it starts, and keeps to.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use media_units::RoomSound;
use signaling_sdp::Capabilities;

use crate::{DialPlan, EndpointRule, RoomRule, SiprecConfig};

/// Limits, times and names of the front end. Checked by the server before it gets here.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontEndConfig {
    /// What can be dialled.
    pub plan: DialPlan,
    /// What `Server` and `User-Agent` say.
    pub server_name: String,
    /// Our address for SIP over UDP, where [`crate::Outside::signaling_address`] names no other.
    pub advertised_udp: SocketAddr,
    /// Our address for SIP over TCP, likewise.
    pub advertised_tcp: SocketAddr,
    /// What offer and answer are made from.
    pub capabilities: Capabilities,
    /// Endpoints that may use other payload formats; the first rule that matches decides.
    pub endpoints: Vec<EndpointRule>,
    /// Calls at one time; the next one is answered 503.
    pub calls_max: usize,
    /// Rooms at one time; a call that would open one more is answered 503.
    pub rooms_max: usize,
    /// Members of one room; the next one is answered 486.
    pub room_members_max: usize,
    /// SIP transactions at one time. Beyond it new calls are answered 503 without keeping
    /// state; requests of calls that exist are served up to twice as many.
    pub transactions_max: usize,
    /// Octets that the requests of all of them may have together.
    pub transaction_bytes_max: usize,
    /// Longest SIP message that is read; a longer one is answered 513.
    pub message_bytes_max: usize,
    /// How long a caller hears ringing before the answer. Zero: answered at once.
    pub ring_time: Duration,
    /// Session interval that we ask for (RFC 4028). Zero: only if the caller asks.
    pub session_expires: Duration,
    /// Shortest session interval that we agree to (RFC 4028: at least 90 s).
    pub min_se: Duration,
    /// What `Retry-After` says in a 503.
    pub retry_after: Duration,
    /// How a room sounds.
    pub room_sound: RoomSound,
    /// Whether a room may be spread over several shards: the share of its shard's time, in percent, above
    /// which its next members go elsewhere. None: it lives on one shard.
    pub room_spread_above: Option<u32>,
    /// Rooms that sound otherwise; the first rule that matches decides.
    pub rooms: Vec<RoomRule>,
    /// Recording sessions, of others and of ours.
    pub siprec: SiprecConfig,
    /// The base times of RFC 3261.
    pub timing: Timing,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
        Self {
            plan: DialPlan::default(),
            server_name: concat!("Mixminus/", env!("CARGO_PKG_VERSION")).to_owned(),
            advertised_udp: nowhere,
            advertised_tcp: nowhere,
            capabilities: Capabilities::default(),
            endpoints: Vec::new(),
            calls_max: 10_000,
            rooms_max: 1000,
            room_members_max: 2000,
            transactions_max: 65_536,
            transaction_bytes_max: 128 << 20,
            message_bytes_max: 65_535,
            ring_time: Duration::ZERO,
            session_expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
            retry_after: Duration::from_secs(10),
            room_sound: RoomSound::DEFAULT,
            room_spread_above: None,
            rooms: Vec::new(),
            siprec: SiprecConfig::default(),
            timing: Timing::default(),
        }
    }
}

/// T1, T2 and T4 of RFC 3261 table 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of a round trip.
    pub t1: Duration,
    /// Longest interval between retransmissions.
    pub t2: Duration,
    /// Longest life of a message in the network.
    pub t4: Duration,
}

impl Timing {
    /// How long an answer or an acknowledgement is waited for.
    pub(crate) fn patience(self) -> Duration {
        self.t1 * 64
    }

    /// The interval after `interval` between two retransmissions.
    pub(crate) fn backed_off(self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}
