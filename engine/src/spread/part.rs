//! A shard's parts of spread rooms, and what each of them does in a period.

use std::mem::{replace, swap, take};

use engine_control::{Limits, SpreadId};
use media_kernels::Kernels;
use media_units::{Instant, PHASES, PeriodIndex, RateClass};
use mixer::{CLAIMS_MAX, Classes, Format, Mix, Part, RoomState};

use super::exchange::{Board, Exchange};
use super::record::{HEAD_WORDS, Head, SUMS_WORDS, Sums, samples};
use crate::Output;
use crate::roster::Span;
use crate::tick::{PAUSE_DBOV, Run, contributor, speak_alone};

/// Ticks after it has listened in which a part tells its sums. Two, because the tick in which a large
/// part listens is the longest of all.
const SUM_TICKS: u64 = 2;

/// Ticks after it has listened in which it sends.
pub(crate) const SPEAK_TICKS: u64 = 3;

/// All parts that a shard may have, by the place of the exchange.
#[derive(Debug)]
pub(crate) struct Spread {
    shard: u8,
    places: Vec<Place>,
    /// Parts that are open.
    open: usize,
    /// What another part told.
    words: Box<[u64; SUMS_WORDS]>,
}

/// A place of the exchange, with this shard's part of the room that has it, if there is one.
#[derive(Debug)]
struct Place {
    board: Board,
    /// The slot of the part.
    room: Option<u32>,
    /// The first period since it is open.
    first: Option<PeriodIndex>,
    mix: Box<Mix>,
    /// The period in progress, when its tick was and how far it is.
    period: PeriodIndex,
    listened: Instant,
    step: Step,
    head: Head,
    /// Whether members wait to be decoded until they are wanted.
    are_ranked: bool,
    /// How many listen at each rate.
    listeners: [u32; RateClass::ALL.len()],
    tap_class: Option<RateClass>,
    /// The rates at which somebody here hears all of the room.
    whole: Classes,
    /// The claims of other parts.
    claims: Vec<u64>,
    /// Those who are to be sent something.
    listening: Vec<Part>,
}

/// How far a part is in its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has sent.
    Rests,
    /// It has told its head.
    Listened,
    /// It has told its sums.
    Summed,
}

impl Spread {
    /// None: rooms live on one shard.
    pub(crate) fn none(shard: u8) -> Self {
        Self { shard, places: Vec::new(), open: 0, words: Box::new([0; SUMS_WORDS]) }
    }

    /// All that the parts will ever need.
    pub(crate) fn new(shard: u8, exchange: Exchange, members_max: u32, kernels: Kernels) -> Self {
        let place = |board: Board| Place {
            claims: Vec::with_capacity(board.others.len() * CLAIMS_MAX),
            board,
            room: None,
            first: None,
            mix: Box::new(Mix::new(kernels, members_max)),
            period: 0,
            listened: Instant::START,
            step: Step::Rests,
            head: Head::QUIET,
            are_ranked: false,
            listeners: [0; RateClass::ALL.len()],
            tap_class: None,
            whole: Classes::NONE,
            listening: Vec::with_capacity(members_max as usize),
        };
        Self { places: exchange.boards.into_iter().map(place).collect(), ..Self::none(shard) }
    }

    /// What [`Spread::new`] reserves, but for what depends on how many shards there are.
    pub(crate) const fn memory_bytes(limits: &Limits) -> usize {
        let members = limits.room_members_max;
        let part = size_of::<Place>()
            + Mix::memory_bytes(members)
            + members as usize * size_of::<Part>()
            + engine_exchange::memory_bytes(HEAD_WORDS)
            + engine_exchange::memory_bytes(SUMS_WORDS);
        limits.spread_max as usize * part + size_of::<[u64; SUMS_WORDS]>()
    }

    /// Whether a place is there and free.
    pub(crate) fn is_vacant(&self, spread: SpreadId) -> bool {
        self.places.get(usize::from(spread.0)).is_some_and(|place| place.room.is_none())
    }

    /// A part is opened, in a place that was found vacant.
    pub(crate) fn open(&mut self, spread: SpreadId, room: u32) {
        let place = &mut self.places[usize::from(spread.0)];
        place.room = Some(room);
        place.first = None;
        place.step = Step::Rests;
        self.open += 1;
    }

    /// A part is closed: the others hear no more of it.
    pub(crate) fn close(&mut self, spread: SpreadId) {
        let place = &mut self.places[usize::from(spread.0)];
        if place.room.take().is_some() {
            place.board.heads.close();
            place.board.sums.close();
            self.open -= 1;
        }
    }

    /// A member has left whose part of the period in progress may not be mixed yet. Returns the
    /// period that it has listened to and was sent nothing of.
    pub(crate) fn forget(&mut self, spread: SpreadId, slot: u32) -> PeriodIndex {
        let place = &mut self.places[usize::from(spread.0)];
        place.mix.forget(slot);
        place.period
    }

    /// Whether there is anything to do, ever.
    pub(crate) const fn has_parts(&self) -> bool {
        self.open > 0
    }

    /// The next part, from this one on, that has something to do in this tick, with what it has
    /// done last.
    pub(crate) fn due(&self, tick: u64, from: u16) -> Option<(u16, Step)> {
        let due = move |(spread, place): (u16, &Place)| {
            let after = match place.step {
                Step::Rests => return None,
                Step::Listened => SUM_TICKS,
                Step::Summed => SPEAK_TICKS,
            };
            let phase = u64::from(phase_of(SpreadId(spread)));
            (place.room.is_some() && place.period * PHASES + phase + after <= tick)
                .then_some((spread, place.step))
        };
        (0..).zip(&self.places).skip(usize::from(from)).find_map(due)
    }
}

/// The phase in which all parts of a room listen: none needs to ask another.
pub(crate) const fn phase_of(spread: SpreadId) -> u8 {
    (spread.0 as u64 % PHASES) as u8
}

impl Place {
    /// Reads the heads of the others. Returns what holds for all, what the period before has left, as
    /// the eldest part tells it, and how many were late. `claims` are theirs.
    fn gather(&mut self, shard: u8, own: RoomState, words: &mut [u64]) -> (Head, RoomState, u64) {
        let (mut head, mut state, mut late) = (self.head, own, 0);
        let mut eldest = (self.first.unwrap_or(self.period), shard);
        let mut limits = own;
        self.claims.clear();
        for other in &self.board.others {
            let Some(first) = other.heads.first().filter(|&first| first <= self.period) else {
                continue;
            };
            let told = other.heads.read(self.period, words);
            let Some((its_head, its_state, claims)) = told.and_then(Head::read) else {
                late += 1;
                continue;
            };
            head = head.and(its_head);
            limits = limits.with_listeners_of(its_state);
            if (first, other.shard) < eldest {
                eldest = (first, other.shard);
                state = its_state;
            }
            self.claims.extend(claims.iter().take(CLAIMS_MAX));
        }
        (head, state.with_listeners_of(limits), late)
    }
}

impl<O: Output> Run<'_, O> {
    /// Plays what the members of a part say, and tells the others what decides who is heard.
    pub(crate) fn listen_part(&mut self, parts: &[Part], span: Span, spread: SpreadId) {
        let at = usize::from(spread.0);
        let (sound, state) =
            (self.rooms[span.room as usize].sound, self.rooms[span.room as usize].state);
        let (period, now) = (self.moment.period, self.moment.now);
        swap(self.mix, &mut self.spread.places[at].mix);
        self.mix.start_part(sound, period);
        let mut listeners = [0; RateClass::ALL.len()];
        let (mut are_ranked, mut is_pause) = (false, true);
        for &part in parts {
            are_ranked |= self.hear(part.member, part, sound.selection);
            let session = &mut self.sessions[part.member as usize];
            session.awaits_mix = true;
            is_pause &= !part.says || session.talk.level_dbov() > PAUSE_DBOV;
            listeners[part.format.class() as usize] += u32::from(part.hears);
        }
        let head = Head { classes: span.classes, has_gains: span.has_gains, is_pause };
        let place = &mut self.spread.places[at];
        place.board.heads.write(period, head.words(state, self.mix.claims(self.sources)));
        swap(self.mix, &mut place.mix);
        place.first.get_or_insert(period);
        (place.period, place.listened, place.step) = (period, now, Step::Listened);
        (place.head, place.are_ranked, place.listeners) = (head, are_ranked, listeners);
        place.tap_class = span.tap_class;
    }

    /// Goes on with a part whose time has come.
    pub(crate) fn go_on(&mut self, spread: u16, step: Step) {
        let at = usize::from(spread);
        let Some(room) = self.spread.places[at].room else { return };
        let period = self.spread.places[at].period;
        let present = replace(&mut self.moment.period, period);
        swap(self.mix, &mut self.spread.places[at].mix);
        if step == Step::Listened {
            self.sum_up(at, room);
        } else {
            self.speak_part(at, room);
        }
        swap(self.mix, &mut self.spread.places[at].mix);
        self.moment.period = present;
    }

    /// Decides who is heard as all parts do, and tells the others what those here add up to.
    fn sum_up(&mut self, at: usize, room: u32) {
        let (shard, state) = (self.spread.shard, self.rooms[room as usize].state);
        let place = &mut self.spread.places[at];
        let (head, state, late) = place.gather(shard, state, &mut self.spread.words[..]);
        self.moment.totals.parts_late += late;
        place.head = head;
        let now = replace(&mut self.moment.now, place.listened);
        let claims = place.claims.iter().copied();
        self.mix.join_parts((head.classes, head.has_gains), state, claims, self.sources);
        if place.are_ranked {
            while let Some(slot) = self.mix.next_wanted() {
                if self.is_here(slot, room) {
                    let part = self.sessions[slot as usize].part();
                    let energy = self.play(part);
                    self.offer(slot, part, energy);
                }
            }
            let roster = self.roster;
            for &slot in roster.phase(phase_of(SpreadId(at as u16))).members(room) {
                let session = &mut self.sessions[slot as usize];
                if session.waits && session.awaits_mix {
                    session.skip(&mut self.moment);
                }
            }
        }
        self.mix.settle(self.sources);
        self.moment.now = now;
        self.tell_sums(at, room);
    }

    fn tell_sums(&mut self, at: usize, room: u32) {
        let mut listeners = self.spread.places[at].listeners;
        for slot in self.mix.audible().filter(|&slot| self.is_here(slot, room)) {
            let part = self.sessions[slot as usize].part();
            let count = &mut listeners[part.format.class() as usize];
            *count = count.saturating_sub(u32::from(part.hears));
        }
        self.name_audible(room);
        let contributors = &self.moment.bench.contributors;
        let place = &mut self.spread.places[at];
        let hears_all = |class: &RateClass| listeners[*class as usize] > 0;
        let whole = RateClass::ALL.into_iter().filter(hears_all).chain(place.tap_class).collect();
        let sums = Sums {
            classes: self.mix.partials().map(|(class, _)| class).collect(),
            whole,
            audible: self.mix.audible().count() as u32,
        };
        place.board.sums.write(place.period, sums.words(contributors.list(), self.mix.partials()));
        (place.whole, place.step) = (whole, Step::Summed);
    }

    /// Whether a member still waits for the mix of this part.
    fn is_here(&self, slot: u32, room: u32) -> bool {
        let session = &self.sessions[slot as usize];
        session.awaits_mix && session.room() == room
    }

    /// Notes who of this part is in the mix.
    fn name_audible(&mut self, room: u32) {
        self.moment.bench.contributors.clear();
        for slot in self.mix.audible() {
            if self.is_here(slot, room)
                && let Some(one) = contributor(&self.sessions[slot as usize])
            {
                self.moment.bench.contributors.add(one);
            }
        }
    }

    /// Adds up what all parts say, and sends it to those here who listen.
    fn speak_part(&mut self, at: usize, room: u32) {
        self.add_others(at, room);
        let place = &mut self.spread.places[at];
        place.step = Step::Rests;
        let (head, tap_class) = (place.head, place.tap_class);
        if let Some(class) = tap_class
            && self.rooms[room as usize].watch.is_watched()
        {
            self.give_whole(room, class);
        }
        let mut listening = take(&mut self.spread.places[at].listening);
        listening.clear();
        let roster = self.roster;
        let members = roster.phase(phase_of(SpreadId(at as u16))).members_parts(room);
        let waiting = |part: &&Part| self.sessions[part.member as usize].awaits_mix;
        listening.extend(members.iter().filter(waiting));
        self.share_encoders(&listening, room, head);
        for &part in &listening {
            self.speak_to(part, room);
        }
        self.spread.places[at].listening = listening;
        self.rooms[room as usize].state = self.mix.finish();
    }

    /// Adds what the other parts say. What all listeners of the room hear is made here, too, whether
    /// anyone hears it here or not: what it leaves for the next period is the same everywhere.
    fn add_others(&mut self, at: usize, room: u32) {
        // Other rooms had their turn since the names of this part were told.
        self.name_audible(room);
        let Spread { places, words, .. } = &mut *self.spread;
        let place = &mut places[at];
        let mut whole = place.whole;
        for other in &place.board.others {
            if other.sums.first().is_none_or(|first| first > place.period) {
                continue;
            }
            let told = other.sums.read(place.period, &mut words[..]);
            let Some((sums, names, partials)) = told.and_then(Sums::read) else {
                self.moment.totals.parts_late += 1;
                continue;
            };
            whole = whole.or(sums.whole);
            Sums::names(names).for_each(|name| self.moment.bench.contributors.add(name));
            self.mix.add_part(sums.audible as usize);
            for (class, words) in sums.partials(partials) {
                self.mix.add_partial(class, samples(words));
            }
        }
        for class in whole.iter().filter(|&class| place.head.classes.contains(class)) {
            self.mix.whole(class);
        }
    }

    /// Lets those share an encoder who hear the same.
    fn share_encoders(&mut self, listening: &[Part], room: u32, head: Head) {
        if listening.iter().all(|part| !part.hears || matches!(part.format, Format::Plain(_))) {
            return;
        }
        let groups = &mut self.rooms[room as usize].groups;
        let hears_otherwise = |position: u32| {
            let member = listening[position as usize].member;
            let source = &self.sources[member as usize];
            self.mix.is_heard(member) || head.has_gains && source.listens_otherwise()
        };
        let Head { is_pause, .. } = head;
        groups.settle(self.sessions, listening, self.moment.period, is_pause, hears_otherwise);
        self.encoded.clear();
    }

    /// Sends one member what it hears: silence where it wants it at another rate than when it
    /// listened.
    fn speak_to(&mut self, part: Part, room: u32) {
        let session = &mut self.sessions[part.member as usize];
        session.awaits_mix = false;
        session.tell_turn(self.mix.is_heard(part.member), &mut self.moment);
        if self.mix.classes().contains(part.format.class()) || !part.hears {
            self.speak(part.member, part, room);
        } else {
            let Self { sessions, encoded, moment, .. } = self;
            let session = &mut sessions[part.member as usize];
            speak_alone(session, None, &mut encoded.alone, moment);
        }
    }

    /// A member that has said its part of a period leaves before it was sent the mix of it: it is
    /// sent silence in its place.
    pub(crate) fn forgo_mix(&mut self, slot: u32, period: PeriodIndex) {
        let session = &mut self.sessions[slot as usize];
        session.awaits_mix = false;
        let present = replace(&mut self.moment.period, period);
        if session.waits {
            session.skip(&mut self.moment);
        }
        self.moment.bench.contributors.clear();
        let Self { sessions, encoded, moment, .. } = self;
        speak_alone(&mut sessions[slot as usize], None, &mut encoded.alone, moment);
        self.moment.period = present;
    }
}
