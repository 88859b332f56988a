//! What came of one tap since it was last taken: runs of periods, and the samples of those that
//! have sound. A block's place is its period, never when it arrived.
//!
//! It is first [`Scattered`]: all taps of all recordings speak in turn, and what they say is kept in
//! the order in which it came, in memory that is walked from front to back. To give each tap
//! its own memory at once would touch as many places in each period as there are taps, none of which
//! would still be in the cache. Later each tap's sound is gathered into a [`Portion`], one at a time.

use media_units::{PeriodIndex, RateClass};

use crate::GapCause;

/// What some periods in a row hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Sound at this rate, its samples in the portion.
    Sound {
        /// Its rate.
        class: RateClass,
        /// Made up, because packets were missing.
        concealed: bool,
    },
    /// Silence; where that is not what was said, for this reason.
    Silence(Option<GapCause>),
}

/// Periods in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first, on the shard's clock.
    pub first: PeriodIndex,
    /// How many.
    pub periods: u64,
    /// What they hold.
    pub what: What,
}

impl Run {
    /// The first period after it.
    pub const fn end(&self) -> PeriodIndex {
        self.first.saturating_add(self.periods)
    }

    /// Samples that the portion has for it.
    pub const fn samples(&self) -> usize {
        match self.what {
            What::Sound { class, .. } => class.block_samples() * self.periods as usize,
            What::Silence(_) => 0,
        }
    }
}

/// A block has no place: its period is not after the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misplaced;

/// Runs in the order of the clock, their samples among those of other taps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scattered {
    /// The runs; none overlap.
    runs: Vec<Run>,
    /// Where the samples of each period of sound begin.
    places: Vec<u32>,
}

impl Scattered {
    /// Adds one period. Its samples go to the end of `sound`, which is that of all taps.
    pub fn push(
        &mut self,
        period: PeriodIndex,
        what: What,
        samples: &[i16],
        sound: &mut Vec<i16>,
    ) -> Result<(), Misplaced> {
        let place = u32::try_from(sound.len()).map_err(|_| Misplaced)?;
        self.place(Run { first: period, periods: 1, what })?;
        if matches!(what, What::Sound { .. }) {
            self.places.push(place);
            sound.extend_from_slice(samples);
        }
        Ok(())
    }

    /// Adds periods of silence in a row.
    pub fn push_silence(
        &mut self,
        first: PeriodIndex,
        periods: u64,
        cause: Option<GapCause>,
    ) -> Result<(), Misplaced> {
        self.place(Run { first, periods, what: What::Silence(cause) })
    }

    fn place(&mut self, run: Run) -> Result<(), Misplaced> {
        match self.runs.last_mut() {
            Some(last) if run.first < last.end() => return Err(Misplaced),
            Some(last) if run.first == last.end() && run.what == last.what => {
                last.periods += run.periods;
            }
            _ => self.runs.push(run),
        }
        Ok(())
    }

    /// Forgets the sound, for which there is no room: what is left says so, in little memory.
    pub fn forget_sound(&mut self) {
        let lost = What::Silence(Some(GapCause::Unwritten));
        self.places.clear();
        let (Some(first), Some(end)) = (self.start(), self.end()) else { return };
        self.runs.clear();
        self.runs.push(Run { first, periods: end - first, what: lost });
    }

    /// Empties it; its memory stays.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.places.clear();
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Where the clock of the tap begins.
    pub fn start(&self) -> Option<PeriodIndex> {
        self.runs.first().map(|run| run.first)
    }

    /// The first period after all that came.
    pub fn end(&self) -> Option<PeriodIndex> {
        self.runs.last().map(Run::end)
    }

    /// How many periods have sound.
    pub fn periods_of_sound(&self) -> u64 {
        self.places.len() as u64
    }

    /// Octets of memory that hold it, but for its samples.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.runs[..]) + size_of_val(&self.places[..])
    }
}

/// Runs in the order of the clock. What lies between two of them never came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Portion {
    /// The runs; none overlap.
    pub runs: Vec<Run>,
    /// Their samples, one run after the other.
    pub samples: Vec<i16>,
}

impl Portion {
    /// Adds what came later.
    pub fn append(&mut self, later: &Self) {
        self.runs.extend_from_slice(&later.runs);
        self.samples.extend_from_slice(&later.samples);
    }

    /// Adds what came later, whose samples are in `sound`.
    pub fn gather(&mut self, later: &Scattered, sound: &[i16]) {
        self.runs.extend_from_slice(&later.runs);
        let mut places = later.places.iter();
        for run in &later.runs {
            let What::Sound { class, .. } = run.what else { continue };
            for &place in places.by_ref().take(run.periods as usize) {
                let block = &sound[place as usize..][..class.block_samples()];
                self.samples.extend_from_slice(block);
            }
        }
    }

    /// Takes away everything before `period`.
    pub fn drop_before(&mut self, period: PeriodIndex) {
        let (mut whole, mut samples) = (0, 0);
        for run in &mut self.runs {
            if run.end() <= period {
                whole += 1;
                samples += run.samples();
            } else {
                if run.first < period {
                    let before = run.samples();
                    run.periods = run.end() - period;
                    run.first = period;
                    samples += before - run.samples();
                }
                break;
            }
        }
        self.runs.drain(..whole);
        self.samples.drain(..samples);
    }

    /// Empties it; its memory stays.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.samples.clear();
    }

    /// The highest rate of its sound.
    pub fn widest(&self) -> Option<RateClass> {
        let class = |run: &Run| match run.what {
            What::Sound { class, .. } => Some(class),
            What::Silence(_) => None,
        };
        self.runs.iter().filter_map(class).max()
    }

    /// The parts of its runs that lie between two periods, each with its samples.
    pub fn between(
        &self,
        from: PeriodIndex,
        to: PeriodIndex,
    ) -> impl Iterator<Item = (Run, &[i16])> {
        let mut at = 0;
        self.runs.iter().filter_map(move |run| {
            let start = at;
            at += run.samples();
            let (first, end) = (run.first.max(from), run.end().min(to));
            let part = Run { first, periods: end.checked_sub(first)?, what: run.what };
            let per_period = run.samples() / run.periods.max(1) as usize;
            let skipped = start + per_period * (first - run.first) as usize;
            let samples = &self.samples[skipped..skipped + part.samples()];
            (part.periods > 0).then_some((part, samples))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPOKEN: What = What::Sound { class: RateClass::Narrow, concealed: false };

    /// A tap that spoke in these periods, as another did in between.
    fn scattered(periods: &[u64]) -> (Scattered, Vec<i16>) {
        let (mut portion, mut sound) = (Scattered::default(), Vec::new());
        for &period in periods {
            portion.push(period, SPOKEN, &[period as i16; 160], &mut sound).unwrap();
            sound.extend([-1; 320]);
        }
        (portion, sound)
    }

    fn spoken(periods: &[u64]) -> Portion {
        let (scattered, sound) = scattered(periods);
        let mut portion = Portion::default();
        portion.gather(&scattered, &sound);
        portion
    }

    #[test]
    fn periods_in_a_row_are_one_run_and_a_hole_is_between_two() {
        let portion = spoken(&[5, 6, 7, 9]);
        let run = |first, periods| Run { first, periods, what: SPOKEN };
        assert_eq!(portion.runs, [run(5, 3), run(9, 1)]);
        let samples: Vec<i16> = portion.samples.chunks(160).map(|block| block[0]).collect();
        assert_eq!((samples, portion.samples.len()), (vec![5, 6, 7, 9], 4 * 160));
        let scattered = scattered(&[5, 6, 7, 9]).0;
        assert_eq!((scattered.start(), scattered.end()), (Some(5), Some(10)));
    }

    #[test]
    fn silence_takes_no_samples_between_sounds_of_different_rates() {
        let (mut scattered, mut sound) = (Scattered::default(), Vec::new());
        let wide = What::Sound { class: RateClass::Wide, concealed: false };
        scattered.push(1, SPOKEN, &[1; 160], &mut sound).unwrap();
        scattered.push(2, What::Silence(None), &[], &mut sound).unwrap();
        scattered.push(3, wide, &[3; 320], &mut sound).unwrap();
        let mut portion = Portion::default();
        portion.gather(&scattered, &sound);
        let lengths: Vec<usize> = portion.between(0, 9).map(|(_, samples)| samples.len()).collect();
        assert_eq!(lengths, [160, 0, 320]);
        assert_eq!(portion.samples[160..], [3; 320]);
    }

    #[test]
    fn a_block_of_the_past_is_refused_and_changes_nothing() {
        let (mut portion, mut sound) = scattered(&[5, 6]);
        for period in [0, 4, 5, 6] {
            assert_eq!(portion.push(period, SPOKEN, &[0; 160], &mut sound), Err(Misplaced));
        }
        assert_eq!((portion, sound), scattered(&[5, 6]));
    }

    #[test]
    fn forgotten_sound_leaves_one_mark_that_takes_no_room() {
        let (mut portion, mut sound) = scattered(&[5, 6, 9]);
        assert_eq!(portion.periods_of_sound(), 3);
        portion.forget_sound();
        let lost = What::Silence(Some(GapCause::Unwritten));
        assert_eq!(portion.runs, [Run { first: 5, periods: 5, what: lost }]);
        portion.push(10, SPOKEN, &[1; 160], &mut sound).unwrap();
        portion.forget_sound();
        assert_eq!(portion.runs, [Run { first: 5, periods: 6, what: lost }]);
        assert_eq!(portion.periods_of_sound(), 0);
    }

    proptest! {
        #[test]
        fn what_is_dropped_before_a_period_takes_its_samples_along(
            steps in proptest::collection::vec(1_u64..4, 1..60), cut in 0_u64..150
        ) {
            let periods: Vec<u64> = steps
                .iter()
                .scan(0, |at, step| { *at += step; Some(*at) })
                .collect();
            let mut portion = spoken(&periods);
            portion.drop_before(cut);
            let rest: Vec<u64> = periods.into_iter().filter(|&period| period >= cut).collect();
            prop_assert_eq!(portion, spoken(&rest));
        }

        #[test]
        fn between_two_periods_is_what_dropping_the_rest_leaves(
            steps in proptest::collection::vec(1_u64..4, 1..60), from in 0_u64..80, length in 0_u64..80
        ) {
            let periods: Vec<u64> = steps
                .iter()
                .scan(0, |at, step| { *at += step; Some(*at) })
                .collect();
            let whole = spoken(&periods);
            let found: Vec<(u64, i16)> = whole
                .between(from, from + length)
                .flat_map(|(run, samples)| {
                    (run.first..run.end()).zip(samples.chunks(160).map(|block| block[0]).collect::<Vec<_>>())
                })
                .collect();
            let expected: Vec<(u64, i16)> = periods
                .into_iter()
                .filter(|period| (from..from + length).contains(period))
                .map(|period| (period, period as i16))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
