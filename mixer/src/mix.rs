//! One period of one room: the sums, and what each member hears of them.

use media::resample::Resampler;
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, BLOCK_SAMPLES_MAX, Law, RateClass};

use crate::arena::{Arena, Place};
use crate::limiter::{Curve, Limiter};
use crate::sum::{Limiting, Sum};
use crate::{Frame, RoomState, Setting, Source, Sources, encode, silence};

/// The memory in which rooms are mixed, one after the other.
///
/// The order of one period is: [`Mix::start`]; for each member [`Mix::next_block`], fill it, and
/// [`Mix::offer`] it where it may be heard; [`Mix::settle`]; then [`Mix::whole`] for a tap,
/// [`Mix::frame_for`] or [`Mix::heard_by`] for each listener, and [`Mix::finish`]. The price is one
/// addition for each audible source and rate class, a filter for each audible source and rate class
/// that is not its own, one subtraction for each audible source that listens, and for G.711 one
/// law for each of these and one for all other listeners, however many they are.
#[derive(Debug)]
pub struct Mix {
    kernels: Kernels,
    resampler: Resampler,
    setting: Setting,
    state: RoomState,
    /// Whether a member's own mix was turned down in this period.
    limits_listeners: bool,
    arena: Arena,
    /// Those who were offered and are not in the sums yet.
    offered: Vec<Offer>,
    /// Those who are, by position ascending.
    audible: Vec<Audible>,
    sums: Vec<Sum>,
    curve: Box<Curve>,
    /// What everyone hears who is not audible, by [`Law`].
    shared: [Frame; Law::ALL.len()],
    shared_is_encoded: [bool; Law::ALL.len()],
    /// What one audible listener hears.
    own: Frame,
}

/// What a listener hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The sound, at the rate it was asked for.
    pub block: &'a [i16],
    /// Whether all who are not audible hear the same at this rate.
    pub is_shared: bool,
}

/// A member's sound that may be heard.
#[derive(Debug, Clone, Copy)]
struct Offer {
    position: u32,
    class: RateClass,
    place: Place,
    is_silent: bool,
}

/// A member that is heard, and where its sound is in each rate class of the room.
#[derive(Debug, Clone, Copy)]
struct Audible {
    position: u32,
    places: [Option<Place>; RateClass::ALL.len()],
}

/// What a listener hears, before it was made.
enum Hearing {
    Nothing,
    AllButOwn(Place),
    All,
}

impl Mix {
    /// Memory for rooms of up to `members_max` members, all of them audible at once in every rate
    /// class. What is not used of it is never touched.
    pub fn new(kernels: Kernels, members_max: u32) -> Self {
        Self {
            kernels,
            resampler: Resampler::new(kernels),
            setting: Setting::PLAIN,
            state: RoomState::default(),
            limits_listeners: false,
            arena: Arena::new(members_max as usize + 1),
            offered: Vec::with_capacity(members_max as usize),
            audible: Vec::with_capacity(members_max as usize),
            sums: RateClass::ALL.map(|class| Sum::new(kernels, class)).into(),
            curve: Box::new([0; BLOCK_SAMPLES_MAX]),
            shared: [[0; BLOCK_SAMPLES]; Law::ALL.len()],
            shared_is_encoded: [false; Law::ALL.len()],
            own: [0; BLOCK_SAMPLES],
        }
    }

    /// What [`Mix::new`] reserves.
    pub const fn memory_bytes(members_max: u32) -> usize {
        Arena::memory_bytes(members_max as usize + 1)
            + members_max as usize * (size_of::<Offer>() + size_of::<Audible>())
            + RateClass::ALL.len() * size_of::<Sum>()
            + size_of::<Curve>()
            + Resampler::MEMORY_BYTES
            + size_of::<Self>()
    }

    /// Begins a period of a room: nobody is audible yet.
    pub fn start(&mut self, setting: &Setting, state: RoomState) {
        self.setting = *setting;
        self.state = state;
        self.limits_listeners = false;
        self.arena.clear();
        self.offered.clear();
        self.audible.clear();
        self.sums.iter_mut().for_each(Sum::clear);
        self.shared_is_encoded = [false; Law::ALL.len()];
    }

    /// Where the next member's sound is to be written, at its own rate; it counts only once
    /// offered.
    pub fn next_block(&mut self, class: RateClass) -> &mut [i16] {
        self.arena.free(class)
    }

    /// Lets the block that was written last be heard as the sound of the member at `position`.
    /// Positions ascend within a period. `energy` is the sum of its samples squared.
    pub fn offer(&mut self, position: u32, class: RateClass, energy: u64) {
        if !self.setting.classes.are_only(class) {
            let place = self.arena.keep(class);
            self.offered.push(Offer { position, class, place, is_silent: energy == 0 });
        } else if energy > 0 {
            let place = self.arena.keep(class);
            self.add(class, place);
            let mut places = [None; RateClass::ALL.len()];
            places[class as usize] = Some(place);
            self.audible.push(Audible { position, places });
        }
    }

    /// Brings those who were offered into the sums of all rate classes.
    pub fn settle<S: Sources + ?Sized>(&mut self, sources: &mut S) {
        if self.offered.is_empty() {
            return;
        }
        for at in 0..self.offered.len() {
            let offer = self.offered[at];
            let source = sources.source(offer.position);
            source.speak_in(self.setting.period);
            if !offer.is_silent || !source.history.is_silent() {
                self.admit(&offer, source);
            }
        }
        self.audible.sort_unstable_by_key(|audible| audible.position);
    }

    fn admit(&mut self, offer: &Offer, source: &mut Source) {
        let own = (offer.class, offer.place);
        let mut places = [None; RateClass::ALL.len()];
        for class in self.setting.classes.iter() {
            let place = if class == offer.class {
                offer.place
            } else {
                let (block, out) = self.arena.block_and_free(own, class);
                let (from, to) = (offer.class.hertz(), class.hertz());
                self.resampler.resample(&source.history, from, block, to, out);
                self.arena.keep(class)
            };
            self.add(class, place);
            places[class as usize] = Some(place);
        }
        source.history.keep(self.arena.block(offer.class, offer.place));
        self.audible.push(Audible { position: offer.position, places });
    }

    fn add(&mut self, class: RateClass, place: Place) {
        self.sums[class as usize].add(self.arena.block(class, place));
    }

    /// What somebody hears who says nothing: everyone. The class is one of the room's.
    pub fn whole(&mut self, class: RateClass) -> &[i16] {
        let sum = &mut self.sums[class as usize];
        if !sum.is_whole() {
            let limiter = &mut self.state.whole[class as usize];
            match self.audible.as_slice() {
                [] => sum.make_whole_of(None),
                [Audible { places, .. }] if limiter.is_idle() => {
                    let place = places[class as usize];
                    sum.make_whole_of(place.map(|place| self.arena.block(class, place)));
                }
                _ => {
                    let curve = &mut self.curve;
                    let limiting = Limiting { curve, limiter };
                    sum.make_whole(self.setting.sound.limiter.then_some(limiting));
                }
            }
        }
        sum.whole()
    }

    /// What the member at `position` hears: everyone but itself. The class is one of the room's.
    /// `listener` is the member's own state.
    pub fn heard_by(
        &mut self,
        position: u32,
        class: RateClass,
        listener: &mut Source,
    ) -> Heard<'_> {
        let is_shared = match self.hearing(position, class) {
            Hearing::Nothing => {
                return Heard { block: &SILENCE[..class.block_samples()], is_shared: false };
            }
            Hearing::AllButOwn(own) => {
                self.make_minus(class, own, listener);
                false
            }
            Hearing::All => {
                self.whole(class);
                true
            }
        };
        let sum = &self.sums[class as usize];
        Heard { block: if is_shared { sum.whole() } else { sum.minus() }, is_shared }
    }

    /// What the member at `position` hears, as a G.711 frame.
    pub fn frame_for(&mut self, position: u32, law: Law, listener: &mut Source) -> &Frame {
        match self.hearing(position, RateClass::Narrow) {
            Hearing::Nothing => silence(law),
            Hearing::AllButOwn(own) => {
                self.make_minus(RateClass::Narrow, own, listener);
                let minus = self.sums[RateClass::Narrow as usize].minus();
                encode(self.kernels, law, minus, &mut self.own);
                &self.own
            }
            Hearing::All => self.shared(law),
        }
    }

    /// Whether the member at `position` is in the sums. To be asked once they are settled.
    pub fn is_heard(&self, position: u32) -> bool {
        self.audible.binary_search_by_key(&position, |audible| audible.position).is_ok()
    }

    fn hearing(&self, position: u32, class: RateClass) -> Hearing {
        let own = self.audible.binary_search_by_key(&position, |audible| audible.position);
        match (self.audible.len(), own) {
            (0, _) | (1, Ok(_)) => Hearing::Nothing,
            (_, Ok(own)) => match self.audible[own].places[class as usize] {
                Some(place) => Hearing::AllButOwn(place),
                None => Hearing::All,
            },
            (_, Err(_)) => Hearing::All,
        }
    }

    fn make_minus(&mut self, class: RateClass, own: Place, listener: &mut Source) {
        let sum = &mut self.sums[class as usize];
        let own = self.arena.block(class, own);
        let is_clipped = sum.make_minus(own);
        let all = self.state.whole[class as usize];
        let was_limited = self.state.limits_listeners || !all.is_idle();
        if self.setting.sound.limiter && (is_clipped || was_limited) {
            let limiter = listener.listen_in(self.setting.period, all);
            if is_clipped || !limiter.is_idle() {
                sum.limit_minus(own, Limiting { curve: &mut self.curve, limiter });
                self.limits_listeners |= !limiter.is_idle();
            }
        }
    }

    /// The one frame that all silent listeners of this law share.
    fn shared(&mut self, law: Law) -> &Frame {
        let group = law as usize;
        if !self.shared_is_encoded[group] {
            self.whole(RateClass::Narrow);
            let whole = self.sums[RateClass::Narrow as usize].whole();
            encode(self.kernels, law, whole, &mut self.shared[group]);
            self.shared_is_encoded[group] = true;
        }
        &self.shared[group]
    }

    /// Ends the period, and returns what the next one of the same room is to be started with.
    pub fn finish(&mut self) -> RoomState {
        for (sum, limiter) in self.sums.iter().zip(&mut self.state.whole) {
            // What nobody hears, or is silence, need not be continued.
            if !sum.is_whole() || self.audible.is_empty() {
                *limiter = Limiter::default();
            }
        }
        self.state.limits_listeners = self.limits_listeners;
        self.state
    }
}

static SILENCE: [i16; BLOCK_SAMPLES_MAX] = [0; BLOCK_SAMPLES_MAX];

#[cfg(test)]
mod tests;
