//! Every capacity of a shard, with its name. Checked by the server before a shard sees it.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::OverloadRule;

/// Commands that a shard applies in one tick at most: the others wait for the next, so that a flood
/// of them makes none late.
pub const COMMANDS_PER_TICK: usize = 64;

/// How much one shard holds and how long it waits. All of it is reserved when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sessions (each has a port pair and a slot in the slab).
    pub sessions_max: u32,
    /// Rooms.
    pub rooms_max: u32,
    /// Sessions in one room.
    pub room_members_max: u32,
    /// Rooms that are spread over all shards, at one time.
    #[serde(default)]
    pub spread_max: u32,
    /// Taps at one time.
    pub taps_max: u32,
    /// Sessions that monitor others, at one time.
    pub monitors_max: u32,
    /// Octets of the ring that all taps share.
    pub tap_ring_bytes: usize,
    /// Whether rooms may ask for digits in the sound: each session has memory to look for them.
    pub in_band_digits: bool,
    /// Whether rooms may ask for less noise: each session has memory for what is known of its noise.
    pub noise_suppression: bool,
    /// Commands waiting for the next tick.
    pub commands_max: u32,
    /// Events waiting for the control plane.
    pub events_max: u32,
    /// Least playout delay aimed at.
    pub playout_delay_min: Duration,
    /// Playout delay that a stream begins with, where that is more than the least.
    pub playout_delay_initial: Duration,
    /// Most playout delay allowed: older packets are dropped.
    pub playout_delay_max: Duration,
    /// Silence on the wire after which `MediaTimedOut` is reported. Zero: never.
    pub media_timeout: Duration,
    /// A latched source must have been silent for this long before another may take its place.
    pub relatch_after: Duration,
    /// Consecutive valid packets that a new source must send to be latched.
    pub relatch_packets: u8,
    /// Mean interval between RTCP reports of one session (RFC 3550 section 6.2: 5 s).
    pub rtcp_interval: Duration,
    /// What it gives up where it has too little time.
    pub overload: OverloadRule,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 4096,
            rooms_max: 1024,
            room_members_max: 4096,
            spread_max: 0,
            taps_max: 1024,
            monitors_max: 1024,
            tap_ring_bytes: 16 << 20,
            in_band_digits: false,
            noise_suppression: false,
            commands_max: 4096,
            events_max: 16384,
            playout_delay_min: Duration::ZERO,
            playout_delay_initial: Duration::ZERO,
            playout_delay_max: Duration::from_millis(300),
            media_timeout: Duration::from_secs(30),
            relatch_after: Duration::from_secs(3),
            relatch_packets: 3,
            rtcp_interval: Duration::from_secs(5),
            overload: OverloadRule::default(),
        }
    }
}
