//! Who may be heard in a period, and who of them is to be.

use media_units::{PeriodIndex, RateClass, Selection};

use crate::Sources;
use crate::arena::Place;
use crate::select::Ranking;

/// A member that may be heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) position: u32,
    pub(crate) level_dbov: u8,
    pub(crate) is_talking: bool,
    /// None where only its level is known yet.
    pub(crate) sound: Option<Sound>,
    pub(crate) is_admitted: bool,
    /// Whether its sound is needed: it is admitted, or fades out.
    is_wanted: bool,
}

/// A member's block of the period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sound {
    pub(crate) class: RateClass,
    pub(crate) place: Place,
    pub(crate) energy: u64,
}

/// Those who may be heard in one period of a room, by position ascending.
#[derive(Debug)]
pub(crate) struct Offers {
    list: Vec<Offer>,
    ranking: Ranking,
    is_selected: bool,
    /// Whether only some may be admitted.
    is_ranked: bool,
    /// Where the search for the wanted goes on.
    next_wanted: usize,
}

impl Offers {
    pub(crate) fn new(members_max: u32) -> Self {
        Self {
            list: Vec::with_capacity(members_max as usize),
            ranking: Ranking::new(),
            is_selected: false,
            is_ranked: false,
            next_wanted: 0,
        }
    }

    /// What [`Offers::new`] reserves.
    pub(crate) const fn memory_bytes(members_max: u32) -> usize {
        members_max as usize * size_of::<Offer>() + Ranking::MEMORY_BYTES
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.is_selected = false;
        self.next_wanted = 0;
    }

    pub(crate) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, at: usize) -> Offer {
        self.list[at]
    }

    /// Takes an offer; after the selection, the sound of one whose level was known.
    pub(crate) fn put(
        &mut self,
        position: u32,
        level_dbov: u8,
        is_talking: bool,
        sound: Option<Sound>,
    ) {
        if self.is_selected {
            let place = self.list.binary_search_by_key(&position, |offer| offer.position);
            if let Some(offer) = place.ok().and_then(|place| self.list.get_mut(place)) {
                offer.sound = sound;
            }
            return;
        }
        debug_assert!(self.list.last().is_none_or(|last| last.position < position));
        let (is_admitted, is_wanted) = (true, true);
        self.list.push(Offer { position, level_dbov, is_talking, sound, is_admitted, is_wanted });
    }

    /// Decides who is heard, once in a period.
    pub(crate) fn select<S: Sources + ?Sized>(
        &mut self,
        selection: Selection,
        sources: &mut S,
        period: PeriodIndex,
    ) {
        if !self.is_selected {
            self.rank(selection, sources, period);
            self.admit(0, sources);
        }
    }

    /// Finds the loudest, from here on the only ones who may be admitted.
    pub(crate) fn rank<S: Sources + ?Sized>(
        &mut self,
        selection: Selection,
        sources: &mut S,
        period: PeriodIndex,
    ) {
        self.is_selected = true;
        self.is_ranked = false;
        let Selection::Loudest(places) = selection else { return };
        self.is_ranked = true;
        self.ranking.start(places);
        for (at, offer) in self.list.iter_mut().enumerate() {
            let source = sources.source(offer.position);
            source.speak_in(period);
            source.standing.hear(offer.level_dbov, offer.is_talking);
            self.ranking.enter(at as u32, source.claim());
            offer.is_admitted = false;
        }
    }

    /// The claims of those who were found, greatest first; none where everyone is heard.
    pub(crate) fn claims(&self) -> impl Iterator<Item = u64> {
        self.ranking.claims().take_while(|_| self.is_ranked)
    }

    /// Admits those of them whose claim is no less than this.
    pub(crate) fn admit<S: Sources + ?Sized>(&mut self, least: u64, sources: &mut S) {
        if !self.is_ranked {
            return;
        }
        for at in self.ranking.admitted(least) {
            self.list[at as usize].is_admitted = true;
        }
        for offer in &mut self.list {
            let source = sources.source(offer.position);
            source.standing.admit(offer.is_admitted);
            offer.is_wanted = offer.is_admitted || source.was_heard();
        }
    }

    /// Whoever is at this position is gone. What it said before may still be heard.
    pub(crate) fn forget(&mut self, position: u32) {
        if let Ok(at) = self.list.binary_search_by_key(&position, |offer| offer.position) {
            self.list.remove(at);
            self.ranking.forget(at as u32);
        }
    }

    /// The next whose sound is needed and not here.
    pub(crate) fn next_wanted(&mut self) -> Option<u32> {
        let rest = self.list.get(self.next_wanted..)?;
        let next = rest.iter().position(|offer| offer.is_wanted && offer.sound.is_none());
        self.next_wanted = next.map_or(self.list.len(), |next| self.next_wanted + next + 1);
        Some(self.list[self.next_wanted.checked_sub(1).filter(|_| next.is_some())?].position)
    }
}
