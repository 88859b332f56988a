//! What the mix is told of a room, and what it remembers of it.

use media_units::{PeriodIndex, RateClass, RoomSound};

use crate::Classes;
use crate::limiter::Limiter;
use crate::noise::ComfortNoise;

/// How one room is to be mixed in one period.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// How it is to sound.
    pub sound: RoomSound,
    /// The rates that somebody listens at.
    pub classes: Classes,
    /// Whether a member has a gain of its own ([`crate::Source::gain`] or
    /// [`crate::Source::listening_gain`]): they are not looked at otherwise.
    pub has_gains: bool,
    /// Which period it is.
    pub period: PeriodIndex,
}

impl Setting {
    /// Telephones only, and no policy.
    pub const PLAIN: Self =
        Self { sound: RoomSound::DEFAULT, classes: Classes::NARROW, has_gains: false, period: 0 };

    /// Whether sources are heard otherwise than they are, or not at all.
    pub(crate) fn conditions(&self) -> bool {
        self.has_gains || self.sound.conditions_sources()
    }
}

/// What one period of a room leaves for the next. Cheap to copy; the default is a new room's.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoomState {
    /// How the whole sum is turned down, by rate class.
    pub(crate) whole: [Limiter; RateClass::ALL.len()],
    /// Whether what an audible member hears was turned down in the last period.
    pub(crate) limits_listeners: bool,
    pub(crate) noise: ComfortNoise,
}

impl RoomState {
    /// Whether nothing is turned down at the moment: whatever else carries the sound from now on
    /// may pass it as it is.
    pub fn is_at_rest(&self) -> bool {
        !self.limits_listeners && self.whole.iter().all(|limiter| limiter.is_idle())
    }
}
