//! What the mix remembers of one member from period to period.

use media::resample::History;
use media_units::PeriodIndex;

use crate::limiter::Limiter;

/// One member's state in the mix: what of its sound is still to come out of filters, and how what
/// it hears is turned down. Touched only where a room needs it: where rates are mixed, or where
/// something is too loud.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The period after the last in which it was a source.
    said_until: PeriodIndex,
    /// The period after the last in which it was a listener of its own mix.
    heard_until: PeriodIndex,
    pub(crate) history: History,
    /// Of what it hears while it is audible itself.
    listening: Limiter,
}

impl Source {
    /// Whoever has said and heard nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Comes to a period as a source: what was before a gap is forgotten.
    pub(crate) fn speak_in(&mut self, period: PeriodIndex) {
        if self.said_until != period {
            self.history = History::SILENT;
        }
        self.said_until = period + 1;
    }

    /// Comes to a period as a listener. Whoever heard what all hear until now was turned down as
    /// they are.
    pub(crate) fn listen_in(&mut self, period: PeriodIndex, all: Limiter) -> &mut Limiter {
        if self.heard_until != period {
            self.listening = all;
        }
        self.heard_until = period + 1;
        &mut self.listening
    }
}

/// Where a room's members have their state.
pub trait Sources {
    /// The state of the member at `position` in the room.
    fn source(&mut self, position: u32) -> &mut Source;
}

impl Sources for [Source] {
    fn source(&mut self, position: u32) -> &mut Source {
        &mut self[position as usize]
    }
}
