//! The shard's clock: ticks at absolute deadlines, grouped in periods of as many phases.
//!
//! Tick `n` is due at `n * TICK` after the engine's start, for ever: a late tick does not move
//! the next one, so the sample clock (`period * BLOCK_SAMPLES`) never drifts from the driver's. Where
//! ticks are too late to be of use, whole periods are left out: all phases, the same for everyone.

use media_units::{Instant, PHASES, PeriodIndex, TICK};

/// The next tick to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    tick: u64,
}

impl Clock {
    /// The clock whose first tick is one tick after the engine's start.
    pub(crate) const fn new() -> Self {
        Self { tick: 1 }
    }

    /// The clock whose next tick is this.
    pub(crate) const fn at(tick: u64) -> Self {
        Self { tick }
    }

    /// The next tick.
    pub(crate) const fn tick(self) -> u64 {
        self.tick
    }

    /// When the next tick is due.
    pub(crate) const fn due(self) -> Instant {
        Instant::from_nanos(self.tick * TICK.as_nanos() as u64)
    }

    /// The phase that the next tick runs.
    pub(crate) const fn phase(self) -> u8 {
        (self.tick % PHASES) as u8
    }

    /// The period in which the next tick lies.
    pub(crate) const fn period(self) -> PeriodIndex {
        self.tick / PHASES
    }

    /// Moves on to the tick after.
    pub(crate) const fn advance(&mut self) {
        self.tick += 1;
    }

    /// Leaves out so many periods: the next tick runs the same phase, later.
    pub(crate) const fn leave_out(&mut self, periods: u64) {
        self.tick += periods * PHASES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_left_out_of_all_phases() {
        let mut clock = Clock::at(7);
        clock.leave_out(3);
        assert_eq!((clock.period(), clock.phase()), (4, 3));
        clock.advance();
        assert_eq!((clock.period(), clock.phase()), (5, 0));
    }

    #[test]
    fn every_phase_is_due_once_in_every_period() {
        let mut clock = Clock::new();
        for _ in 0..3 {
            clock.advance();
        }
        for period in 1..100 {
            for phase in 0..PHASES as u8 {
                assert_eq!((clock.period(), clock.phase()), (period, phase));
                assert_eq!(clock.due().as_nanos(), (period * 4 + u64::from(phase)) * 5_000_000);
                clock.advance();
            }
        }
    }
}
