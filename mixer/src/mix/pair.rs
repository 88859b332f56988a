//! Two parties who hear nobody but each other: no sums.

use media_units::{PeriodIndex, RateClass};

use super::Mix;
use crate::Source;
use crate::offer::Sound;

/// What one of two parties says in a period.
#[derive(Debug, Clone, Copy)]
pub struct Said(Sound);

impl Mix {
    /// Begins a period of two parties: [`Mix::next_block`], fill it and [`Mix::keep`] it for each of
    /// them, then [`Mix::translate`] it for the other. Nothing else of a mix is asked for.
    pub fn start_pair(&mut self) {
        self.arena.clear();
    }

    /// Keeps the block that was written last. `energy` is the sum of its samples squared.
    pub fn keep(&mut self, class: RateClass, energy: u64) -> Said {
        Said(Sound { class, place: self.arena.keep(class), energy })
    }

    /// What the other party hears of it, at its own rate; `None` is silence. `source` is the state
    /// of who said it. The samples are those that the mix of the two would give, so that a third
    /// may come or go at any time and nobody hears it.
    pub fn translate(
        &mut self,
        said: Said,
        to: RateClass,
        period: PeriodIndex,
        source: &mut Source,
    ) -> Option<&[i16]> {
        let Sound { class, place, energy } = said.0;
        if class == to {
            return (energy > 0).then(|| self.arena.block(class, place));
        }
        source.speak_in(period);
        source.pass();
        if energy == 0 && source.history.is_silent() {
            return None;
        }
        let (block, out) = self.arena.block_and_free((class, place), to);
        self.resampler.resample(&source.history, class.hertz(), block, to.hertz(), out);
        source.history.keep(block);
        let place = self.arena.keep(to);
        Some(self.arena.block(to, place))
    }
}
