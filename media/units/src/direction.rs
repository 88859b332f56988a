//! Which way media flows.

use serde::{Deserialize, Serialize};

/// Which way media may flow, seen from the server (the reverse of what the endpoint offered).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendReceive,
    /// We send, the endpoint listens.
    SendOnly,
    /// We receive, the endpoint does not want our media (it put us on hold).
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether we send media.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// Whether we take media in.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }

    /// The direction with these two abilities.
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendReceive,
            (true, false) => Self::SendOnly,
            (false, true) => Self::ReceiveOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// What is left of it where only `limit` is wanted: our own hold on top of the endpoint's.
    #[must_use]
    pub const fn restricted_to(self, limit: Self) -> Self {
        Self::of(self.sends() && limit.sends(), self.receives() && limit.receives())
    }

    /// The same direction seen from the other side.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }
}
