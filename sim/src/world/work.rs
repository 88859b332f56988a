//! What a shard's work costs in virtual time.

use std::time::Duration;

use engine_control::Shedding;

/// How long a shard takes for what it does. By default nothing takes any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// A command.
    pub command: Duration,
    /// A session's turn.
    pub session: Duration,
    /// The same, where the complexity of its encoder was given up.
    pub session_reduced: Duration,
    /// A datagram received.
    pub datagram: Duration,
    /// A tap's record.
    pub tap: Duration,
}

/// What was done in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Done {
    pub(super) commands: usize,
    pub(super) sessions: usize,
    pub(super) datagrams: usize,
    pub(super) taps: usize,
}

impl Work {
    /// How long that took a shard that gives up so much.
    pub(super) fn of(&self, done: &Done, shedding: Shedding) -> Duration {
        let is_reduced = shedding >= Shedding::Complexity;
        let session = if is_reduced { self.session_reduced } else { self.session };
        self.command * done.commands as u32
            + session * done.sessions as u32
            + self.datagram * done.datagrams as u32
            + self.tap * done.taps as u32
    }
}
