//! Time is an argument: an [`Instant`] of ours, counted from engine start, never read here.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// Samples per second of the room (8 kHz: the narrowband rate class).
pub const SAMPLE_RATE: u32 = 8000;

/// RTP clock of the G.711 payload formats (RFC 3551 section 4.5.14).
pub const CLOCK_RATE: u32 = 8000;

/// One slice of a shard's time. A shard wakes once per tick, at an absolute deadline.
pub const TICK: Duration = Duration::from_millis(5);

/// How many phases a period has. A room belongs to one of them for its whole life.
pub const PHASES: u64 = 4;

/// The time between two mixes of one room: `PHASES` ticks.
pub const PERIOD: Duration = Duration::from_millis(20);

/// How many periods of 20 ms a shard has lived: the sample clock divided by the block size.
pub type PeriodIndex = u64;

/// Nanoseconds since the engine started. Monotonic; handed in by the driver or the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment the engine started.
    pub const START: Self = Self(0);

    /// The instant so many nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant so many milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, or zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant on an RTP clock of `clock_rate` Hz that started with the engine.
    pub const fn as_rtp_units(self, clock_rate: u32) -> u32 {
        // Seconds and the rest apart: exact, and 64 bits are enough (this runs for every packet).
        let (seconds, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        (seconds * clock_rate as u64 + rest * clock_rate as u64 / 1_000_000_000) as u32
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos() as u64))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_nanos() as u64))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

/// A 64-bit NTP timestamp: seconds since 1900 in the upper, fractions in the lower 32 bits
/// (RFC 3550 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The middle 32 bits: what LSR and DLSR of RTCP are counted in (1/65536 s).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What the wall clock showed at engine start, so that an [`Instant`] can be given as wall time
/// (sender reports, recording metadata) without reading a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WallClock {
    /// Nanoseconds from the Unix epoch to [`Instant::START`].
    pub start_unix_nanos: u64,
}

/// Seconds from the NTP era (1900) to the Unix epoch (1970).
const NTP_UNIX_OFFSET_SECONDS: u64 = 2_208_988_800;

impl WallClock {
    /// Nanoseconds from the Unix epoch to `at`.
    pub const fn unix_nanos(self, at: Instant) -> u64 {
        self.start_unix_nanos.saturating_add(at.0)
    }

    /// `at` as an NTP timestamp.
    pub const fn ntp(self, at: Instant) -> NtpTime {
        let nanos = self.unix_nanos(at);
        let seconds = nanos / 1_000_000_000 + NTP_UNIX_OFFSET_SECONDS;
        let fraction = ((nanos % 1_000_000_000) << 32) / 1_000_000_000;
        NtpTime((seconds << 32) | fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_all_its_phases() {
        assert_eq!(TICK * PHASES as u32, PERIOD);
    }

    #[test]
    fn the_unix_epoch_is_2208988800_ntp_seconds() {
        let ntp = WallClock { start_unix_nanos: 0 }.ntp(Instant::from_millis(500));
        assert_eq!(ntp.0 >> 32, 2_208_988_800);
        assert_eq!(ntp.0 as u32, 1 << 31);
        assert_eq!(ntp.middle(), (2_208_988_800_u64 << 16) as u32 | 0x8000);
    }

    #[test]
    fn rtp_units_do_not_overflow_after_years() {
        let year = Instant::from_nanos(365 * 24 * 3600 * 1_000_000_000);
        assert_eq!(year.as_rtp_units(8000), (365_u64 * 24 * 3600 * 8000) as u32);
    }
}
