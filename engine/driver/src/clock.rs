//! The engine's clock: `CLOCK_MONOTONIC`, counted from the engine's start.

use std::time::Duration;

use media_units::{Instant, WallClock};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// One origin for all shards. Copied to each thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineClock {
    /// What `CLOCK_MONOTONIC` shows at [`Instant::START`].
    origin_nanos: u64,
    wall: WallClock,
}

impl EngineClock {
    /// A clock whose [`Instant::START`] lies `lead` ahead, so that shards are ready by then.
    pub(crate) fn starting_in(lead: Duration) -> Self {
        let lead_nanos = lead.as_nanos() as u64;
        Self {
            origin_nanos: read(ClockId::Monotonic) + lead_nanos,
            wall: WallClock { start_unix_nanos: read(ClockId::Realtime) + lead_nanos },
        }
    }

    /// The present; [`Instant::START`] before the start.
    pub(crate) fn now(self) -> Instant {
        Instant::from_nanos(read(ClockId::Monotonic).saturating_sub(self.origin_nanos))
    }

    /// What the wall clock shows at the start.
    pub(crate) fn wall(self) -> WallClock {
        self.wall
    }

    /// Sleeps until `deadline`; returns at once where it has passed.
    pub(crate) fn sleep_until(self, deadline: Instant) {
        let nanos = self.origin_nanos + deadline.as_nanos();
        let deadline = Timespec {
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as i64,
        };
        while clock_nanosleep_absolute(ClockId::Monotonic, &deadline)
            == Err(rustix::io::Errno::INTR)
        {}
    }
}

/// What the calling thread has had of its core so far.
pub(crate) fn cpu_time() -> Duration {
    Duration::from_nanos(read(ClockId::ThreadCPUTime))
}

/// Turns the kernel's receive stamps into instants. Made once per tick, because the wall clock
/// that stamps are counted in may be set at any time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampClock {
    now: Instant,
    now_unix_nanos: u64,
}

impl StampClock {
    /// Both clocks now.
    pub(crate) fn at(now: Instant) -> Self {
        Self { now, now_unix_nanos: read(ClockId::Realtime) }
    }

    /// The instant of a stamp; never later than now.
    pub(crate) fn instant(self, stamp_unix_nanos: u64) -> Instant {
        self.now - Duration::from_nanos(self.now_unix_nanos.saturating_sub(stamp_unix_nanos))
    }
}

/// What the kernel's own clock shows, which BPF programs see.
pub(crate) fn monotonic_nanos() -> u64 {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_ends_at_or_after_the_deadline() {
        let clock = EngineClock::starting_in(Duration::ZERO);
        let deadline = clock.now() + Duration::from_millis(2);
        clock.sleep_until(deadline);
        assert!(clock.now() >= deadline);
        clock.sleep_until(Instant::START);
    }

    #[test]
    fn time_stands_still_until_the_start() {
        let clock = EngineClock::starting_in(Duration::from_secs(3600));
        assert_eq!(clock.now(), Instant::START);
    }

    #[test]
    fn a_stamp_is_as_old_as_the_wall_clock_says_and_never_in_the_future() {
        let stamps =
            StampClock { now: Instant::from_millis(1000), now_unix_nanos: 5_000_000_000_000 };
        assert_eq!(stamps.instant(4_999_990_000_000), Instant::from_millis(990));
        assert_eq!(stamps.instant(5_000_000_000_001), Instant::from_millis(1000));
        assert_eq!(stamps.instant(0), Instant::START);
    }
}
