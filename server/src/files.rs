//! How the files that the process may open are shared out: calls first, then connections.

use engine_driver::EngineConfig;

use crate::config::Config;

/// Files beside sockets of calls and connections: recordings, rings, logs.
const MARGIN: u64 = 512;

/// Connections that may be open at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    /// Of SIP over TCP.
    pub(crate) sip: u32,
    /// Of the HTTP API.
    pub(crate) api: u32,
}

impl Connections {
    /// As configured where there are files for all; else each kind has an eighth at most of what the
    /// margin leaves (half of it where calls need none): peers that only connect are not to take the
    /// files of calls that were promised.
    pub(crate) fn fitting(config: &Config, engine: &EngineConfig, allowed: u64) -> Self {
        let wanted = Self { sip: config.sip.connections.max, api: config.api.connections_max };
        let calls = engine.files_of_sessions();
        if calls + wanted.files_beside_calls() <= allowed {
            return wanted;
        }
        let share = allowed.saturating_sub(MARGIN) / if calls == 0 { 2 } else { 8 };
        let share = u32::try_from(share).unwrap_or(u32::MAX).max(1);
        let fitting = Self { sip: wanted.sip.min(share), api: wanted.api.min(share) };
        if fitting != wanted {
            tracing::warn!(
                tcp_connections_max = fitting.sip,
                api_connections_max = fitting.api,
                allowed,
                "fewer connections: the limit of open files is too low"
            );
        }
        fitting
    }

    /// Files that may be open beside the sockets of calls.
    pub(crate) fn files_beside_calls(self) -> u64 {
        MARGIN + u64::from(self.sip) + u64::from(self.api)
    }
}

#[cfg(test)]
mod tests {
    use engine_control::{Limits, PortPlan};
    use engine_driver::DriverChoice;

    use super::*;

    fn fitting(sessions_max: u32, driver: DriverChoice, allowed: u64) -> (u32, u32) {
        let ports = PortPlan { first: 16384, block: 8192 };
        let limits = Limits { sessions_max, ..Limits::default() };
        let engine = EngineConfig { limits, driver, ..EngineConfig::new(ports) };
        let Connections { sip, api } = Connections::fitting(&Config::default(), &engine, allowed);
        (sip, api)
    }

    #[test]
    fn connections_give_way_only_where_files_are_short() {
        use DriverChoice::{Auto, Packet, PacketOrSockets};
        let configured = (1024, 64);
        for (sessions_max, driver, allowed, expected) in [
            (100, Auto, 1800, configured),
            (100, Auto, 1799, (160, 64)),
            (1000, Auto, 1024, (64, 64)),
            (1000, PacketOrSockets, 1024, (64, 64)),
            (1000, Packet, 1600, configured),
            (1000, Packet, 1024, (256, 64)),
            (20, Auto, 600, (11, 11)),
            (20, Auto, 100, (1, 1)),
        ] {
            let fits = fitting(sessions_max, driver, allowed);
            assert_eq!(fits, expected, "{sessions_max} {driver:?} {allowed}");
        }
    }
}
