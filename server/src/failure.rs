//! Why the server could not start or go on, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use engine_driver::StartFailure;
use media_kernels::Level;
use signaling_transport::{BindCause, BindFailure, Protocol};

use crate::log;
use crate::placement::Forbidden;
use crate::recording::BadPrompt;

/// Why the server could not start, or go on.
#[derive(Debug)]
pub enum Failure {
    /// What the environment says is to be logged is no filter.
    Log {
        /// What it says.
        value: String,
        /// What is wrong with that.
        why: String,
    },
    /// `rtp.cores` names cores that the process may not use.
    Cores {
        /// Which.
        cores: Vec<usize>,
        /// Which it may use.
        allowed: Vec<usize>,
    },
    /// `rtp.kernels` names instructions that this CPU lacks.
    Kernels(Level),
    /// `rtp.ports` has too few ports for so many shards.
    Ports {
        /// How many.
        shards: usize,
    },
    /// A SIP socket could not be opened.
    Sip(BindFailure),
    /// The API's socket could not be opened.
    Api {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The announcement of recordings cannot be played.
    Prompt(BadPrompt),
    /// What becomes of recordings is not possible as configured.
    Shelf(recorder_shelf::Failure),
    /// The shards could not be started.
    Engine(StartFailure),
    /// The thread of a shard has ended: a fault of ours, told on standard error.
    Shard {
        /// Which.
        shard: u8,
    },
    /// The system refused something that every process needs.
    System(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { value, why } => {
                write!(f, "{} = \"{value}\": {why}; write {}", log::VARIABLE, log::RIGHT)
            }
            Self::Prompt(bad) => bad.fmt(f),
            Self::Shelf(failure) => write!(f, "[recording]: {failure}"),
            Self::Cores { cores, allowed } => write!(
                f,
                "rtp.cores = {cores:?}: this process may use the cores {allowed:?} only; name \
                 some of these, or widen its affinity (taskset, cgroup)"
            ),
            Self::Kernels(level) => write!(
                f,
                "rtp.kernels = {:?}: this CPU cannot run them; write \"auto\"",
                format!("{level:?}").to_lowercase()
            ),
            Self::Ports { shards } => write!(
                f,
                "rtp.ports: too few for {shards} shards, which need two each; widen the range or \
                 set rtp.shards"
            ),
            Self::Sip(failure) => sip(f, failure),
            Self::Api { address, error } => {
                write!(f, "api.listen {address}: {}", advice(error, "api.listen"))
            }
            Self::Engine(failure) => engine(f, failure),
            Self::Shard { shard } => write!(
                f,
                "the thread of shard {shard} has ended, which is a fault of mixminus; start it anew"
            ),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Forbidden> for Failure {
    fn from(Forbidden { cores, allowed }: Forbidden) -> Self {
        Self::Cores { cores, allowed }
    }
}

fn sip(f: &mut fmt::Formatter<'_>, failure: &BindFailure) -> fmt::Result {
    let key = match failure.protocol {
        Protocol::Udp => "sip.udp",
        Protocol::Tcp => "sip.tcp",
    };
    match &failure.cause {
        BindCause::Io(error) => write!(f, "{key} {}: {}", failure.address, advice(error, key)),
        BindCause::SecondOfFamily => write!(f, "{key} {}: {failure}", failure.address),
    }
}

fn engine(f: &mut fmt::Formatter<'_>, failure: &StartFailure) -> fmt::Result {
    match failure {
        StartFailure::Bind { address, error } => {
            write!(f, "rtp.address {address}: {}", advice(error, "rtp.address"))
        }
        StartFailure::PortTaken { .. } => write!(f, "rtp.ports: {failure}"),
        _ => write!(f, "the media engine could not start: {failure}"),
    }
}

/// What went wrong with a listening socket, and what can be done about it.
fn advice(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "address already in use: another program, or another mixminus, listens there; end it \
             (`ss -lnptu` shows it) or set {key} in a configuration (mixminus run --config FILE)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; set {key} to one that `ip address` shows")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE; set {key}")
        }
        _ => format!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_the_machine_lacks_is_told_by_its_key() {
        let address = "192.0.2.1".parse().unwrap();
        let error = io::ErrorKind::AddrNotAvailable.into();
        assert_eq!(
            Failure::Engine(StartFailure::Bind { address, error }).to_string(),
            "rtp.address 192.0.2.1: this machine has no such address; set rtp.address to one that \
             `ip address` shows"
        );
    }
}
