//! One period of one room: the sums, and what each member hears of them.

mod pair;
mod part;

use media::resample::Resampler;
use media::talk::{SILENT_DBOV, level_dbov};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, BLOCK_SAMPLES_MAX, Law, RateClass};

use crate::arena::{Arena, Place};
use crate::limiter::{Curve, Limiter};
use crate::offer::{Offer, Offers, Sound};
use crate::source::Measure;
use crate::sum::{Limiting, Sum};
use crate::{Frame, RoomState, Setting, Source, Sources, encode, silence};

pub use pair::Said;
pub use part::CLAIMS_MAX;

/// The memory in which rooms are mixed, one after the other.
///
/// The order of one period is: [`Mix::start`]; for each member [`Mix::next_block`], fill it, and
/// [`Mix::offer`] it where it may be heard, or [`Mix::rank`] it where its level is known without
/// decoding; [`Mix::select`] and, until there are no more, [`Mix::next_wanted`], where anyone was
/// ranked; [`Mix::settle`]; then [`Mix::whole`] for a tap,
/// [`Mix::frame_for`] or [`Mix::heard_by`] for each listener, and [`Mix::finish`]. The price is one
/// addition for each audible source and rate class, a filter for each audible source and rate class
/// that is not its own, one subtraction for each audible source that listens, and for G.711 one
/// law for each of these and one for all other listeners, however many they are.
#[derive(Debug)]
pub struct Mix {
    kernels: Kernels,
    resampler: Resampler,
    setting: Setting,
    /// Whether sources are heard otherwise than they are, or not at all.
    conditions: bool,
    /// Whether what is offered waits until [`Mix::settle`].
    defers: bool,
    /// Audible sources in other parts of the room.
    audible_elsewhere: usize,
    state: RoomState,
    /// The state at the beginning of the period.
    before: RoomState,
    /// Whether a member's own mix was turned down in this period.
    limits_listeners: bool,
    arena: Arena,
    /// Those who are not in the sums yet.
    offers: Offers,
    /// Those who are, by position ascending.
    audible: Vec<Audible>,
    sums: Vec<Sum>,
    curve: Box<Curve>,
    /// What everyone hears who is not audible, by [`Law`].
    shared: [Frame; Law::ALL.len()],
    shared_is_encoded: [bool; Law::ALL.len()],
    /// What one audible listener hears.
    own: Frame,
    /// What a listener with a gain of its own hears.
    turned: Box<[i16; BLOCK_SAMPLES_MAX]>,
}

/// What a listener hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The sound, at the rate it was asked for.
    pub block: &'a [i16],
    /// Whether all who are not audible hear the same at this rate.
    pub is_shared: bool,
}

/// A member that is heard, and where its sound is in each rate class that the room has.
#[derive(Debug, Clone, Copy)]
struct Audible {
    position: u32,
    places: [Place; RateClass::ALL.len()],
}

/// What a listener hears, before it was made.
#[derive(Debug, Clone, Copy)]
enum Hearing {
    Nothing,
    AllButOwn(Place),
    All,
}

/// Where what a listener hears was made.
#[derive(Debug, Clone, Copy)]
enum Made {
    Nothing,
    Whole,
    Minus,
    Turned,
}

impl Mix {
    /// Memory for rooms of up to `members_max` members, all of them audible at once in every rate
    /// class. What is not used of it is never touched.
    pub fn new(kernels: Kernels, members_max: u32) -> Self {
        Self {
            kernels,
            resampler: Resampler::new(kernels),
            setting: Setting::PLAIN,
            conditions: false,
            defers: false,
            audible_elsewhere: 0,
            state: RoomState::default(),
            before: RoomState::default(),
            limits_listeners: false,
            arena: Arena::new(members_max as usize + 1),
            offers: Offers::new(members_max),
            audible: Vec::with_capacity(members_max as usize),
            sums: RateClass::ALL.map(|class| Sum::new(kernels, class)).into(),
            curve: Box::new([0; BLOCK_SAMPLES_MAX]),
            shared: [[0; BLOCK_SAMPLES]; Law::ALL.len()],
            shared_is_encoded: [false; Law::ALL.len()],
            own: [0; BLOCK_SAMPLES],
            turned: Box::new([0; BLOCK_SAMPLES_MAX]),
        }
    }

    /// What [`Mix::new`] reserves.
    pub const fn memory_bytes(members_max: u32) -> usize {
        Arena::memory_bytes(members_max as usize + 1)
            + Offers::memory_bytes(members_max)
            + members_max as usize * size_of::<Audible>()
            + RateClass::ALL.len() * size_of::<Sum>()
            + size_of::<Curve>()
            + size_of::<[i16; BLOCK_SAMPLES_MAX]>()
            + Resampler::MEMORY_BYTES
            + size_of::<Self>()
    }

    /// Begins a period of a room: nobody is audible yet.
    pub fn start(&mut self, setting: &Setting, state: RoomState) {
        self.setting = *setting;
        self.conditions = setting.conditions();
        self.defers = self.conditions;
        self.audible_elsewhere = 0;
        self.state = state;
        self.before = state;
        self.limits_listeners = false;
        self.arena.clear();
        self.offers.clear();
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
    /// Positions ascend within a period. `energy` is the sum of its samples squared; `is_talking`
    /// says that it is speech.
    #[inline]
    pub fn offer(&mut self, position: u32, class: RateClass, energy: u64, is_talking: bool) {
        if self.defers || !self.setting.classes.are_only(class) {
            let sound = Sound { class, place: self.arena.keep(class), energy };
            let level = level_dbov(energy * BLOCK_SAMPLES as u64 / class.block_samples() as u64);
            self.offers.put(position, level, is_talking, Some(sound));
            // So do all after it, or the audible would not ascend.
            self.defers = true;
        } else if energy > 0 {
            let place = self.arena.keep(class);
            self.add(class, place);
            self.audible.push(Audible { position, places: [place; RateClass::ALL.len()] });
        }
    }

    /// Lets the member at `position` take part in the selection of the loudest without a block:
    /// its level is known (RFC 6464). Its sound is only needed where [`Mix::next_wanted`] says so.
    pub fn rank(&mut self, position: u32, level_dbov: u8, is_talking: bool) {
        if level_dbov < SILENT_DBOV {
            self.offers.put(position, level_dbov, is_talking, None);
        }
    }

    /// Decides who is heard. To be called after everyone was offered or ranked.
    pub fn select<S: Sources + ?Sized>(&mut self, sources: &mut S) {
        self.offers.select(self.setting.sound.selection, sources, self.setting.period);
    }

    /// The next member of those that were ranked whose sound is needed: it is to be played into
    /// [`Mix::next_block`] and offered.
    pub fn next_wanted(&mut self) -> Option<u32> {
        self.offers.next_wanted()
    }

    /// Brings those who are heard into the sums of all rate classes.
    pub fn settle<S: Sources + ?Sized>(&mut self, sources: &mut S) {
        if self.offers.len() == 0 {
            return;
        }
        self.select(sources);
        for at in 0..self.offers.len() {
            let offer = self.offers.get(at);
            if self.passes_plainly(&offer) {
                continue;
            }
            let source = sources.source(offer.position);
            source.speak_in(self.setting.period);
            match offer.sound {
                Some(sound) => self.hear(&offer, sound, source),
                None => source.exclude(),
            }
        }
        // Where some had to wait and others had not.
        if !self.audible.is_sorted_by_key(|audible| audible.position) {
            self.audible.sort_unstable_by_key(|audible| audible.position);
        }
    }

    /// Conditions a source and lets it be heard, if anything is left of it.
    fn hear(&mut self, offer: &Offer, sound: Sound, source: &mut Source) {
        let is_heard = if self.conditions {
            if !self.before.conditioned && !self.setting.sound.conditions_sources() {
                // Until now it was heard as it is, and nobody noted that.
                source.pass();
            }
            let power = sound.energy / sound.class.block_samples() as u64;
            let Offer { level_dbov, is_talking, is_admitted, .. } = *offer;
            let measure = Measure { power, level_dbov, is_talking };
            let block = self.arena.block_mut(sound.class, sound.place);
            source.condition(self.kernels, &self.setting.sound, is_admitted, &measure, block)
        } else {
            source.pass();
            true
        };
        if is_heard && (sound.energy > 0 || !source.history.is_silent()) {
            self.admit(offer.position, sound, source);
        }
    }

    /// Brings a source into each rate class of the room.
    fn admit(&mut self, position: u32, sound: Sound, source: &mut Source) {
        let own = (sound.class, sound.place);
        let mut places = [sound.place; RateClass::ALL.len()];
        for class in self.setting.classes.iter() {
            let place = if class == sound.class {
                sound.place
            } else {
                let (block, out) = self.arena.block_and_free(own, class);
                let (from, to) = (sound.class.hertz(), class.hertz());
                self.resampler.resample(&source.history, from, block, to, out);
                self.arena.keep(class)
            };
            self.add(class, place);
            places[class as usize] = place;
        }
        source.history.keep(self.arena.block(sound.class, sound.place));
        self.audible.push(Audible { position, places });
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
                _ if self.audible_elsewhere > 0 => {
                    let curve = &mut self.curve;
                    let limiting = Limiting { curve, limiter };
                    sum.make_whole(self.setting.sound.limiter.then_some(limiting));
                }
                [] if self.setting.sound.comfort_noise => {
                    let (noise, kernels) = (self.state.noise, self.kernels);
                    sum.make_whole_with(|whole| noise.fill(kernels, whole));
                }
                [] => sum.make_whole_with(|whole| whole.fill(0)),
                [Audible { places, .. }] if limiter.is_idle() => {
                    let only = self.arena.block(class, places[class as usize]);
                    sum.make_whole_with(|whole| whole.copy_from_slice(only));
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
        let hearing = self.hearing(position, class);
        let made = self.make(hearing, class, listener);
        let block = made.block(class, &self.sums[class as usize], &*self.turned);
        Heard { block, is_shared: matches!(made, Made::Whole) }
    }

    /// What the member at `position` hears, as a G.711 frame.
    pub fn frame_for(&mut self, position: u32, law: Law, listener: &mut Source) -> &Frame {
        let hearing = match self.hearing(position, RateClass::Narrow) {
            Hearing::Nothing => return silence(law),
            Hearing::All if !self.setting.has_gains => return self.shared(law),
            hearing => hearing,
        };
        match self.make(hearing, RateClass::Narrow, listener) {
            Made::Nothing => silence(law),
            Made::Whole => self.shared(law),
            made => {
                let sum = &self.sums[RateClass::Narrow as usize];
                let block = made.block(RateClass::Narrow, sum, &*self.turned);
                encode(self.kernels, law, block, &mut self.own);
                &self.own
            }
        }
    }

    /// What the member at `position` hears, as a G.711 frame and as the sound of which that was
    /// made. Instead of [`Mix::frame_for`], not beside it.
    pub fn frame_and_block(
        &mut self,
        position: u32,
        law: Law,
        listener: &mut Source,
    ) -> (&Frame, &[i16]) {
        let hearing = self.hearing(position, RateClass::Narrow);
        let made = self.make(hearing, RateClass::Narrow, listener);
        if matches!(made, Made::Whole) {
            self.shared(law);
            return (&self.shared[law as usize], self.sums[RateClass::Narrow as usize].whole());
        }
        let sum = &self.sums[RateClass::Narrow as usize];
        let block = made.block(RateClass::Narrow, sum, &*self.turned);
        if matches!(made, Made::Nothing) {
            return (silence(law), block);
        }
        encode(self.kernels, law, block, &mut self.own);
        (&self.own, block)
    }

    /// Whether nobody is heard.
    fn is_quiet(&self) -> bool {
        self.audible.is_empty() && self.audible_elsewhere == 0
    }

    /// Whether somebody who says nothing hears nothing.
    pub fn is_silent(&self) -> bool {
        self.is_quiet() && !self.setting.sound.comfort_noise
    }

    /// Whether the member at `position` hears nothing.
    pub fn hears_nothing(&self, position: u32) -> bool {
        matches!(self.hearing(position, RateClass::Narrow), Hearing::Nothing)
    }

    /// Whether the member at `position` is in the sums. To be asked once they are settled.
    pub fn is_heard(&self, position: u32) -> bool {
        self.audible.binary_search_by_key(&position, |audible| audible.position).is_ok()
    }

    /// Makes what somebody hears.
    fn make(&mut self, hearing: Hearing, class: RateClass, listener: &mut Source) -> Made {
        let made = match hearing {
            Hearing::Nothing => return Made::Nothing,
            Hearing::AllButOwn(own) => {
                self.make_minus(class, own, listener);
                Made::Minus
            }
            Hearing::All => {
                self.whole(class);
                Made::Whole
            }
        };
        if !(self.setting.has_gains && listener.listens_otherwise()) {
            return made;
        }
        let turned = &mut self.turned[..class.block_samples()];
        turned.copy_from_slice(made.block(class, &self.sums[class as usize], &[]));
        listener.turn(self.kernels, turned);
        Made::Turned
    }

    fn hearing(&self, position: u32, class: RateClass) -> Hearing {
        let own = self.audible.binary_search_by_key(&position, |audible| audible.position);
        match (self.audible.len(), own) {
            (0, _) if self.audible_elsewhere > 0 || self.setting.sound.comfort_noise => {
                Hearing::All
            }
            (0, _) => Hearing::Nothing,
            (1, Ok(_)) if self.audible_elsewhere == 0 => Hearing::Nothing,
            (_, Ok(own)) => Hearing::AllButOwn(self.audible[own].places[class as usize]),
            (_, Err(_)) => Hearing::All,
        }
    }

    fn make_minus(&mut self, class: RateClass, own: Place, listener: &mut Source) {
        let sum = &mut self.sums[class as usize];
        let own = self.arena.block(class, own);
        let is_clipped = sum.make_minus(own);
        // As it was when the period before ended: the order of the listeners changes nothing.
        let all = self.before.whole[class as usize];
        let was_limited = self.before.limits_listeners || !all.is_idle();
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
        let is_quiet = self.is_quiet();
        for (sum, limiter) in self.sums.iter().zip(&mut self.state.whole) {
            // What nobody hears, or is silence, need not be continued.
            if !sum.is_whole() || is_quiet {
                *limiter = Limiter::default();
            }
        }
        self.state.limits_listeners = self.limits_listeners;
        self.state.conditioned = self.conditions;
        self.state.noise.advance(is_quiet);
        self.state
    }
}

impl Made {
    fn block<'a>(self, class: RateClass, sum: &'a Sum, turned: &'a [i16]) -> &'a [i16] {
        match self {
            Self::Nothing => &SILENCE[..class.block_samples()],
            Self::Whole => sum.whole(),
            Self::Minus => sum.minus(),
            Self::Turned => &turned[..class.block_samples()],
        }
    }
}

static SILENCE: [i16; BLOCK_SAMPLES_MAX] = [0; BLOCK_SAMPLES_MAX];

#[cfg(test)]
mod part_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;
