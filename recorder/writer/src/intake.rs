//! Where what taps carry is gathered. Each track has an inlet, which is found by its tap's number
//! alone: this happens for every block of every track, and what it costs is memory that is not
//! in the cache.

use std::collections::HashMap;
use std::time::Duration;

use engine_control::{SilenceCause, TapContent, TapId, TapItem};
use media_units::{Instant, PERIOD, RateClass};
use recorder::GapCause;
use recorder::portion::{Misplaced, Scattered, What};
use rustc_hash::FxBuildHasher;
use slab::Slab;

use crate::pauses::Pauses;
use crate::report::RecordingId;

/// How long after its end was asked for a track waits for what its tap carried before, or a recording
/// for its tracks.
pub(crate) const END_PATIENCE: Duration = Duration::from_secs(1);

/// What came of one track since the keeper took it the last time.
#[derive(Debug)]
pub(crate) struct Inlet {
    tap: TapId,
    pub(crate) recording: RecordingId,
    /// Which of its recording's tracks.
    pub(crate) track: usize,
    pub(crate) portion: Scattered,
    /// The rate of its tap, as far as that has been silent.
    pub(crate) class: Option<RateClass>,
    /// No block before it has a place.
    next: u64,
    /// The first period after it, once it has ended.
    pub(crate) ended: Option<u64>,
    /// Whether the keeper knows of the end.
    pub(crate) told: bool,
    /// When nothing is kept of it.
    pub(crate) pauses: Pauses,
    /// What a tap that it shares carried before is not its.
    since: Instant,
    /// Nor is what the tap carries later; and when that was read of.
    ending: Option<(Instant, Duration)>,
    /// Whether it has packets, and no sound.
    pub(crate) has_packets: bool,
    /// Its first period, and when that was mixed.
    pub(crate) first: Option<(u64, Instant)>,
}

impl Inlet {
    /// The inlet of a new track.
    pub(crate) fn new(
        tap: TapId,
        recording: RecordingId,
        track: usize,
        portion: Scattered,
    ) -> Self {
        Self {
            tap,
            recording,
            track,
            portion,
            class: None,
            next: 0,
            ended: None,
            told: false,
            pauses: Pauses::default(),
            since: Instant::START,
            ending: None,
            has_packets: false,
            first: None,
        }
    }

    /// Whether sound came of it, or may still come: not so where the shard refused its tap.
    pub(crate) fn gives_sound(&self) -> bool {
        !self.has_packets && (self.first.is_some() || self.ended.is_none())
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) {
        let end = self.end_of_packets().unwrap_or_default();
        self.ended = self.ended.or(Some(end.max(self.next)));
    }

    /// Whether its end was asked for so long ago that its tap is not expected to tell of it.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        self.ending.is_some_and(|(_, read)| now.saturating_sub(read) >= END_PATIENCE)
    }

    /// Where its end was asked for, by the clock of what came first: no packet may come to tell.
    fn end_of_packets(&self) -> Option<u64> {
        let ((at, _), (period, first)) = (self.ending?, self.first?);
        let periods = at.since(first).as_nanos() / PERIOD.as_nanos();
        self.has_packets.then_some(period + periods as u64)
    }

    /// Whether a record of its tap is its own. The first that is too late ends it.
    fn wants(&mut self, item: &TapItem<'_>) -> bool {
        if item.content == TapContent::Ended {
            return self.ended.is_none();
        }
        if self.ending.is_some_and(|(at, _)| at <= item.at) {
            self.end();
        }
        self.ended.is_none() && self.since <= item.at
    }

    /// Takes a period's sound or silence, the place of a packet, or the end. Samples go to the end of
    /// `sound`. What is missing before `lost_end` found no room in the ring; anything else was left
    /// out by the shard.
    fn take(
        &mut self,
        item: &TapItem<'_>,
        is_paused: bool,
        lost_end: u64,
        sound: &mut Vec<i16>,
    ) -> Result<(), Misplaced> {
        let paused = is_paused.then_some(GapCause::Paused);
        let (what, samples) = match item.content {
            TapContent::Ended => {
                let end = self.end_of_packets().map_or(item.period, |end| end.min(item.period));
                self.ended = Some(end.max(self.next));
                return if self.has_packets { Ok(()) } else { self.skip(end, paused, lost_end) };
            }
            TapContent::Packet { .. } => return self.take_place(item),
            TapContent::Block { class, .. } if paused.is_some() => {
                self.class = Some(class);
                (What::Silence(paused), &[][..])
            }
            TapContent::Block { class, concealed, samples } => {
                (What::Sound { class, concealed }, samples)
            }
            TapContent::Silence { class, cause } => {
                self.class = Some(class);
                (What::Silence(paused.or(cause_of(cause))), &[][..])
            }
        };
        if item.period < self.next {
            return Err(Misplaced);
        }
        self.skip(item.period, paused, lost_end)?;
        self.portion.push(item.period, what, samples, sound)?;
        self.next = item.period + 1;
        self.first.get_or_insert((item.period, item.at));
        Ok(())
    }

    /// Marks what the shard left out before this period. What the ring has lost stays a hole.
    fn skip(&mut self, to: u64, paused: Option<GapCause>, lost_end: u64) -> Result<(), Misplaced> {
        if to > self.next && self.first.is_some() && lost_end <= self.next {
            let cause = paused.unwrap_or(GapCause::Late);
            self.portion.push_silence(self.next, to - self.next, Some(cause))?;
        }
        Ok(())
    }

    /// Takes the place of a packet on the clock, of which there may be several in a period, or none.
    fn take_place(&mut self, item: &TapItem<'_>) -> Result<(), Misplaced> {
        let end = item.period + 1;
        let start = self.first.map_or(item.period, |_| self.next);
        if start < end {
            self.portion.push_silence(start, end - start, None)?;
            self.next = end;
            self.first.get_or_insert((item.period, item.at));
        }
        Ok(())
    }
}

/// The inlets of a tap: nearly always one.
#[derive(Debug)]
struct Route {
    first: usize,
    others: Vec<usize>,
}

/// All inlets.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    inlets: Slab<Inlet>,
    /// The samples of all of them, in the order in which they came.
    pub(crate) sound: Vec<i16>,
    routes: HashMap<TapId, Route, FxBuildHasher>,
}

impl Intake {
    /// Adds an inlet that was asked for at this moment, and says which it is.
    pub(crate) fn add(&mut self, mut inlet: Inlet, at: Instant) -> usize {
        let tap = inlet.tap;
        if self.routes.contains_key(&tap) {
            inlet.since = at;
        }
        let index = self.inlets.insert(inlet);
        let others = |route: &mut Route| route.others.push(index);
        let routes = self.routes.entry(tap).and_modify(others);
        routes.or_insert(Route { first: index, others: Vec::new() });
        index
    }

    /// One of them.
    pub(crate) fn get(&self, index: usize) -> &Inlet {
        &self.inlets[index]
    }

    /// One of them.
    pub(crate) fn get_mut(&mut self, index: usize) -> &mut Inlet {
        &mut self.inlets[index]
    }

    /// All of them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Inlet> {
        self.inlets.iter_mut().map(|(_, inlet)| inlet)
    }

    /// The inlets of a tap that are among these end at a moment of which is read now. What was said
    /// before may still be in the ring.
    pub(crate) fn end(&mut self, tap: TapId, among: &[usize], at: Instant, now: Duration) {
        for &index in among {
            let inlet = &mut self.inlets[index];
            if inlet.tap == tap {
                inlet.ending.get_or_insert((at, now));
            }
        }
    }

    /// Takes an inlet away.
    pub(crate) fn remove(&mut self, index: usize) -> Inlet {
        self.cut(index);
        self.inlets.remove(index)
    }

    /// Nothing more comes to this inlet.
    fn cut(&mut self, index: usize) {
        let tap = self.inlets[index].tap;
        let Some(route) = self.routes.get_mut(&tap) else { return };
        route.others.retain(|&other| other != index);
        if route.first == index {
            match route.others.pop() {
                Some(other) => route.first = other,
                None => {
                    self.routes.remove(&tap);
                }
            }
        }
    }

    /// Whether anybody asked for this tap. Looks at what taking a record of it is going to need,
    /// so that all is in the cache by then: many such looks wait for memory together, while what is
    /// taken waits one by one.
    pub(crate) fn expect(&self, tap: TapId) -> bool {
        let Some(route) = self.routes.get(&tap) else { return false };
        let Some(inlet) = self.inlets.get(route.first) else { return true };
        std::hint::black_box(inlet.portion.end());
        true
    }

    /// Takes a record. Packets are given to `packet`, with the inlet that they are for. `lost_end`:
    /// the first period after all that the ring has lost. Returns how many places it had none in.
    pub(crate) fn take(
        &mut self,
        item: &TapItem<'_>,
        lost_end: u64,
        mut packet: impl FnMut(&Inlet),
    ) -> u64 {
        let Some(route) = self.routes.get(&item.tap) else {
            // The end of a tap whose recording has ended is no news.
            return u64::from(item.content != TapContent::Ended);
        };
        let mut misplaced = 0;
        for index in [route.first].iter().chain(&route.others) {
            let Some(inlet) = self.inlets.get_mut(*index) else { continue };
            if !inlet.wants(item) {
                continue;
            }
            let is_paused = inlet.pauses.hold(item.at);
            if matches!(item.content, TapContent::Packet { .. }) && !is_paused {
                packet(inlet);
            }
            let taken = inlet.take(item, is_paused, lost_end, &mut self.sound);
            misplaced += u64::from(taken.is_err());
        }
        if item.content == TapContent::Ended {
            self.routes.remove(&item.tap);
        }
        misplaced
    }
}

/// Why what a tap calls silence is not what was said, where it is not.
const fn cause_of(cause: SilenceCause) -> Option<GapCause> {
    match cause {
        SilenceCause::Silent => None,
        SilenceCause::NothingReceived => Some(GapCause::NotReceived),
        SilenceCause::Digit => Some(GapCause::Digit),
        SilenceCause::Muted => Some(GapCause::Muted),
        SilenceCause::Held => Some(GapCause::Held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(intake: &mut Intake, tap: u32, period: u64) -> u64 {
        let content =
            TapContent::Block { class: RateClass::Narrow, concealed: false, samples: &[1; 160] };
        let item = TapItem { tap: TapId(tap), period, at: Instant::START, content };
        intake.take(&item, 0, |_| {})
    }

    fn add(intake: &mut Intake, tap: u32, recording: u64) -> usize {
        intake.add(
            Inlet::new(TapId(tap), RecordingId(recording), 0, Scattered::default()),
            Instant::START,
        )
    }

    #[test]
    fn a_tap_feeds_all_its_inlets_until_each_is_taken_away() {
        let mut intake = Intake::default();
        let inlets: Vec<usize> = (0..3).map(|recording| add(&mut intake, 7, recording)).collect();
        let other = add(&mut intake, 8, 0);
        assert_eq!(said(&mut intake, 7, 5), 0);
        assert_eq!(intake.remove(inlets[0]).portion.end(), Some(6));
        intake.end(TapId(7), &[inlets[1]], Instant::START, Duration::ZERO);
        assert_eq!(said(&mut intake, 7, 6), 0);
        assert_eq!(intake.get(inlets[1]).portion.end(), Some(6));
        assert_eq!(intake.get(inlets[2]).portion.end(), Some(7));
        intake.remove(inlets[2]);
        assert_eq!(said(&mut intake, 7, 7), 0, "it is known of, though it is over");
        intake.remove(inlets[1]);
        assert_eq!(said(&mut intake, 7, 8), 1, "nobody asked for it any more");
        assert!(!intake.expect(TapId(7)));
        assert_eq!(intake.remove(other).portion, Scattered::default());
    }

    #[test]
    fn the_past_has_no_place_even_once_the_keeper_has_taken_what_came() {
        let mut intake = Intake::default();
        let inlet = add(&mut intake, 7, 0);
        said(&mut intake, 7, 5);
        intake.get_mut(inlet).portion.clear();
        assert_eq!(said(&mut intake, 7, 5), 1);
        assert_eq!(said(&mut intake, 7, 6), 0);
    }
}
