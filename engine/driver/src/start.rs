//! What is looked at before any thread is started.

use std::net::SocketAddr;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::EngineConfig;
use crate::failure::StartFailure;
use crate::host;

/// Refuses what cannot work before anything is started.
pub(crate) fn check(config: &EngineConfig) -> Result<(), StartFailure> {
    let shards = config.shards.len();
    if !(1..=255).contains(&shards) {
        return Err(StartFailure::Shards { asked: shards });
    }
    let above_first = 65_536 - u32::from(config.ports.first);
    let sessions_with_ports =
        config.ports.sessions_per_shard().min(above_first / shards as u32 / 2);
    let sessions_max = config.limits.sessions_max;
    if sessions_max > sessions_with_ports {
        return Err(StartFailure::Ports { sessions_max, sessions_with_ports });
    }
    let any_port = SocketAddr::new(config.bind, 0);
    Socket::new(Domain::for_address(any_port), Type::DGRAM, None)
        .and_then(|socket| socket.bind(&SockAddr::from(any_port)))
        .map_err(|error| StartFailure::Bind { address: config.bind, error })
}

/// Refuses more sockets than the process may open.
pub(crate) fn check_files(config: &EngineConfig) -> Result<(), StartFailure> {
    let shards = config.shards.len() as u64;
    host::allow_sockets(shards, config.limits.sessions_max, config.files_beside).map_err(
        |(needed, allowed, sessions_max)| StartFailure::Files { needed, allowed, sessions_max },
    )
}
