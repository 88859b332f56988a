//! Why an engine could not start.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why an engine could not start: which shard, which call, what the system said.
#[derive(Debug)]
pub enum StartFailure {
    /// No shard was asked for, or more than 255.
    Shards {
        /// How many were asked for.
        asked: usize,
    },
    /// The port plan has fewer ports than the sessions need.
    Ports {
        /// Sessions of each shard by the limits.
        sessions_max: u32,
        /// Sessions of each shard that the plan has ports for.
        sessions_with_ports: u32,
    },
    /// The process may not open as many files as the sessions need.
    Files {
        /// Two sockets for each session and a margin.
        needed: u64,
        /// The hard limit of the process (`RLIMIT_NOFILE`).
        allowed: u64,
        /// The most sessions of each shard that would fit.
        sessions_max: u32,
    },
    /// Media sockets cannot be bound to the address.
    Bind {
        /// The address.
        address: IpAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A port of the range is held by another program, which would have its media taken, or take ours.
    PortTaken {
        /// The port at our address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// `io_uring` was asked for and does not work here.
    IoUring {
        /// For which shard.
        shard: u8,
        /// Which call failed.
        call: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The packet road was asked for and does not work here.
    Packet {
        /// Which call failed.
        call: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// AF_XDP was asked for and does not work here.
    Xdp {
        /// Which call failed, or what is not as it must be.
        call: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A shard's thread could not be set up.
    Thread {
        /// Which shard.
        shard: u8,
        /// Which call failed.
        call: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A shard's thread ended before it was ready: a fault of ours, told on standard error.
    Died {
        /// Which shard.
        shard: u8,
    },
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards { asked } => {
                write!(f, "{asked} shards were asked for; 1 to 255 are possible")
            }
            Self::Ports { sessions_max, sessions_with_ports } => write!(
                f,
                "{sessions_max} sessions per shard need two UDP ports each, but the port range \
                 has enough for {sessions_with_ports} only"
            ),
            Self::Files { needed, allowed, sessions_max } => write!(
                f,
                "the sessions need {needed} open files but the hard limit (RLIMIT_NOFILE) is \
                 {allowed}: raise it, or allow at most {sessions_max} sessions per shard"
            ),
            Self::Bind { address, error } => {
                write!(f, "media sockets cannot be bound to {address}: {error}")
            }
            Self::PortTaken { address, error } => write!(
                f,
                "a media port cannot be kept from other programs: {address}: {error}; each server with a \
                 packet or xdp driver needs a range of its own"
            ),
            Self::IoUring { shard, call, error } => {
                write!(f, "io_uring does not work for shard {shard}: {call}: {error}")
            }
            Self::Packet { call, error } => write!(
                f,
                "the packet driver does not work here: {call}: {error} (it needs Linux 5.9 and the \
                 capabilities CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW)"
            ),
            Self::Xdp { call, error } => write!(
                f,
                "the xdp driver does not work here: {call}: {error} (it needs Linux 5.9, the capabilities \
                 CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW, memory that may be locked, and an Ethernet \
                 interface of its own that has the media address)"
            ),
            Self::Thread { shard, call, error } => {
                write!(f, "the thread of shard {shard} could not be set up: {call}: {error}")
            }
            Self::Died { shard } => write!(f, "the thread of shard {shard} ended at its start"),
        }
    }
}

impl std::error::Error for StartFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { error, .. }
            | Self::PortTaken { error, .. }
            | Self::IoUring { error, .. }
            | Self::Packet { error, .. }
            | Self::Xdp { error, .. }
            | Self::Thread { error, .. } => Some(error),
            _ => None,
        }
    }
}
