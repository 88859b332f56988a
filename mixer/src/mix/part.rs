//! A room that is spread over several shards: each of them mixes a part of it.
//!
//! The order of one period is as in a whole room, with two halts at which the parts tell each other
//! what they have: [`Mix::start_part`] and the members' sound; [`Mix::claims`]; first halt;
//! [`Mix::join_parts`], what is still wanted, and [`Mix::settle`]; [`Mix::partials`] and [`Mix::audible`];
//! second halt; [`Mix::add_part`] and [`Mix::add_partial`]; then all listeners as always. Since sums
//! are integers, and all that a source goes through depends on what all parts know, the samples are
//! those that one mix of the whole room would give. Positions may be any numbers that ascend.

use media_units::{PeriodIndex, RateClass, RoomSound, Selection};

use super::{Audible, Mix};
use crate::offer::{Offer, Sound};
use crate::{Classes, RoomState, Setting, Sources};

/// Most of the loudest that the parts of a room tell each other of.
pub const CLAIMS_MAX: usize = 64;

impl Mix {
    /// Begins a period of one part of a room.
    pub fn start_part(&mut self, sound: RoomSound, period: PeriodIndex) {
        let setting = Setting { sound, classes: Classes::NONE, has_gains: false, period };
        self.start(&setting, RoomState::default());
        self.defers = true;
    }

    /// The claims of those in this part who may be among the loudest, greatest first; none where
    /// everyone is heard. To be asked after everyone was offered or ranked.
    pub fn claims<S: Sources + ?Sized>(&mut self, sources: &mut S) -> impl Iterator<Item = u64> {
        self.offers.rank(self.setting.sound.selection, sources, self.setting.period);
        self.offers.claims().take(CLAIMS_MAX)
    }

    /// Goes on with what is so in all parts: the rates that somebody listens at, whether a member has
    /// a gain of its own, and what the period before has left. `claims` are those of the other parts.
    pub fn join_parts<S: Sources + ?Sized>(
        &mut self,
        (classes, has_gains): (Classes, bool),
        state: RoomState,
        claims: impl Iterator<Item = u64>,
        sources: &mut S,
    ) {
        self.setting.classes = classes;
        self.setting.has_gains = has_gains;
        self.conditions = self.setting.conditions();
        self.state = state;
        self.before = state;
        if let Selection::Loudest(places) = self.setting.sound.selection {
            let least = least_of(usize::from(places), self.offers.claims().chain(claims));
            self.offers.admit(least, sources);
        }
    }

    /// Whoever is at this position has left: it is not wanted any more.
    pub fn forget(&mut self, position: u32) {
        self.offers.forget(position);
    }

    /// The rates that somebody listens at, in any part.
    pub fn classes(&self) -> Classes {
        self.setting.classes
    }

    /// What is in the sums by now.
    pub fn partials(&self) -> impl Iterator<Item = (RateClass, &[i32])> {
        let classes = RateClass::ALL.into_iter().zip(&self.sums);
        classes.filter_map(|(class, sum)| Some((class, sum.sums()?)))
    }

    /// Who is in the sums of this part.
    pub fn audible(&self) -> impl Iterator<Item = u32> {
        self.audible.iter().map(|audible| audible.position)
    }

    /// In another part so many are heard.
    pub fn add_part(&mut self, audible: usize) {
        self.audible_elsewhere += audible;
    }

    /// Adds what they say.
    pub fn add_partial(&mut self, class: RateClass, sums: impl Iterator<Item = i32>) {
        self.sums[class as usize].add_sums(sums);
    }

    /// Lets a source that waited into the sums as if it had not, where nothing is conditioned or
    /// brought to another rate. Returns whether it is so.
    pub(super) fn passes_plainly(&mut self, offer: &Offer) -> bool {
        let Some(Sound { class, place, energy }) = offer.sound else { return false };
        if !self.defers || self.conditions || !self.setting.classes.are_only(class) {
            return false;
        }
        if energy > 0 {
            self.add(class, place);
            let places = [place; RateClass::ALL.len()];
            self.audible.push(Audible { position: offer.position, places });
        }
        true
    }
}

/// The claim with which the last of so many places is taken, or what everyone has more of.
fn least_of(places: usize, claims: impl Iterator<Item = u64>) -> u64 {
    let mut best = [0; CLAIMS_MAX];
    let best = &mut best[..places.min(CLAIMS_MAX)];
    for claim in claims {
        let place = best.partition_point(|&other| other > claim);
        if place < best.len() {
            best[place..].rotate_right(1);
            best[place] = claim;
        }
    }
    best.last().copied().unwrap_or(u64::MAX).max(1)
}
