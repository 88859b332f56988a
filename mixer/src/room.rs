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
    /// Whether sources were heard otherwise than they are: else all were heard as they are.
    pub(crate) conditioned: bool,
    pub(crate) noise: ComfortNoise,
}

impl RoomState {
    /// All of it, as words.
    pub fn to_words(self) -> [u64; 3] {
        let [narrow, wide, full] = self.whole.map(|limiter| u64::from(limiter.to_bits()));
        let [seed, quiet] = self.noise.to_numbers();
        let flags = u64::from(self.conditioned) << 1 | u64::from(self.limits_listeners);
        let rest = u64::from(quiet) << 2 | flags;
        [wide << 32 | narrow, u64::from(seed) << 32 | full, rest]
    }

    /// What [`RoomState::to_words`] gave.
    pub fn from_words([lower, upper, rest]: [u64; 3]) -> Self {
        let whole = [lower, lower >> 32, upper].map(|bits| Limiter::from_bits(bits as u32));
        let noise = ComfortNoise::from_numbers([(upper >> 32) as u32, (rest >> 2) as u32]);
        let (limits_listeners, conditioned) = (rest & 1 == 1, rest >> 1 & 1 == 1);
        Self { whole, limits_listeners, conditioned, noise }
    }

    /// The same where in another part of the room listeners are turned down, too, if they are.
    #[must_use]
    pub fn with_listeners_of(self, other: Self) -> Self {
        Self { limits_listeners: self.limits_listeners || other.limits_listeners, ..self }
    }

    /// The sound took another way than through a mix: all was heard as it is.
    pub fn passed_by(&mut self) {
        self.conditioned = false;
    }

    /// Whether nothing is turned down at the moment: whatever else carries the sound from now on
    /// may pass it as it is.
    pub fn is_at_rest(&self) -> bool {
        !self.limits_listeners && self.whole.iter().all(|limiter| limiter.is_idle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_in_words() {
        let words = [0x0012_3456_0000_0789, 0xdead_beef_00ff_ffff, 49 << 2 | 1];
        let state = RoomState::from_words(words);
        assert_eq!(state.to_words(), words);
        assert!(!state.is_at_rest());
        let default = RoomState::from_words([0; 3]);
        assert!(default.is_at_rest() && default.with_listeners_of(state).limits_listeners);
    }
}
