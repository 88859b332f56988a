//! The machine's clocks as [`Instant`]s: monotonic for deadlines, and the kernel's stamps of
//! arrival brought onto the same scale.

use std::time::Duration;

use media_units::Instant;
use nix::sys::time::TimeSpec;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Counts from its creation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start_nanos: u64,
    /// Real time minus monotonic time.
    real_offset_nanos: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let monotonic = nanos(clock_gettime(ClockId::Monotonic));
        let real = nanos(clock_gettime(ClockId::Realtime));
        Self { start_nanos: monotonic, real_offset_nanos: real.saturating_sub(monotonic) }
    }

    /// A number that no other run has: when it began, in real time.
    pub(crate) fn run(&self) -> u64 {
        self.start_nanos + self.real_offset_nanos
    }

    pub(crate) fn now(&self) -> Instant {
        let monotonic = nanos(clock_gettime(ClockId::Monotonic));
        Instant::from_nanos(monotonic.saturating_sub(self.start_nanos))
    }

    /// A kernel timestamp (real time) on this clock.
    pub(crate) fn of_stamp(&self, stamp: TimeSpec) -> Instant {
        let real = Duration::from(stamp).as_nanos() as u64;
        Instant::from_nanos(real.saturating_sub(self.real_offset_nanos + self.start_nanos))
    }

    /// Sleeps until a deadline; not at all where it has passed.
    pub(crate) fn sleep_until(&self, deadline: Instant) {
        let monotonic = self.start_nanos + deadline.as_nanos();
        let deadline = Timespec {
            tv_sec: (monotonic / 1_000_000_000) as i64,
            tv_nsec: (monotonic % 1_000_000_000) as i64,
        };
        // Woken by a signal: the slot begins early, which does no harm.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &deadline);
    }
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
