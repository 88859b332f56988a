//! When a datagram arrived, as exactly as it is known.

use crate::{Instant, PERIOD};

/// When a datagram arrived. Asking the kernel for time stamps costs time, so that calm streams
/// may be read without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Exactly then.
    At(Instant),
    /// Some time within the period that ended then.
    By(Instant),
}

impl Arrival {
    /// When it arrived, where that is known.
    pub const fn exact(self) -> Option<Instant> {
        match self {
            Self::At(instant) => Some(instant),
            Self::By(_) => None,
        }
    }

    /// When it had certainly arrived.
    pub const fn latest(self) -> Instant {
        match self {
            Self::At(instant) | Self::By(instant) => instant,
        }
    }

    /// Before that it had certainly not arrived.
    pub fn earliest(self) -> Instant {
        match self {
            Self::At(instant) => instant,
            Self::By(instant) => instant - PERIOD,
        }
    }

    /// The best guess.
    pub fn estimate(self) -> Instant {
        match self {
            Self::At(instant) => instant,
            Self::By(instant) => instant - PERIOD / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_lies_between_its_bounds() {
        let now = Instant::from_millis(100);
        for arrival in [Arrival::At(now), Arrival::By(now)] {
            assert!(arrival.earliest() <= arrival.estimate());
            assert!(arrival.estimate() <= arrival.latest());
        }
        assert_eq!(Arrival::By(now).earliest(), Instant::from_millis(80));
    }
}
