//! One sound on the sample clock: where each block belongs, and which parts are missing.

use media_units::{BLOCK_SAMPLES, PeriodIndex};
use serde::Serialize;

use crate::wav;

/// Gap marks that one track keeps. Of later gaps only the number and length are known.
pub const GAP_MARKS_MAX: usize = 1000;

/// Why a part of a track is silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No block came for these periods: the tap's ring was full, or nothing was mixed.
    Missing,
    /// The blocks came but could not be stored in time.
    Unwritten,
}

/// A part of a track that is silence because its sound is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first sample, counted from the track's start.
    pub start_sample: u64,
    /// How many samples.
    pub samples: u64,
    /// Why.
    pub cause: GapCause,
}

/// The gaps of a track, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GapMarks {
    /// The first [`GAP_MARKS_MAX`] of them.
    pub marks: Vec<Gap>,
    /// How many more there were.
    pub unmarked: u64,
    /// Samples in all gaps.
    pub samples: u64,
}

impl GapMarks {
    /// Marks a gap; one that goes on where the last ended, for the same cause, is the same gap.
    pub fn mark(&mut self, gap: Gap) {
        self.samples += gap.samples;
        if let Some(last) = self.marks.last_mut()
            && last.cause == gap.cause
            && last.start_sample + last.samples == gap.start_sample
        {
            last.samples += gap.samples;
        } else if self.marks.len() < GAP_MARKS_MAX {
            self.marks.push(gap);
        } else {
            self.unmarked += 1;
        }
    }

    /// How many gaps there were.
    pub fn count(&self) -> u64 {
        self.marks.len() as u64 + self.unmarked
    }
}

/// Why a block has no place on a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Misplaced {
    /// Its period is not after the last one: a fault of the tap's.
    Past,
    /// The track is as long as its container allows.
    Full,
}

/// A track: starts with its first block, and is as long as the clock says at each later one.
#[derive(Debug, Clone, Default)]
pub struct Track {
    first: Option<PeriodIndex>,
    samples: u64,
    gaps: GapMarks,
}

impl Track {
    /// An empty track.
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of the next block, as its first sample on the track. What lies between the
    /// track's end and there is silence, and marked as a gap.
    pub fn place(&mut self, period: PeriodIndex) -> Result<u64, Misplaced> {
        let first = *self.first.get_or_insert(period);
        let period = period.checked_sub(first).ok_or(Misplaced::Past)?;
        let start = period.checked_mul(BLOCK_SAMPLES as u64).ok_or(Misplaced::Full)?;
        let hole = start.checked_sub(self.samples).ok_or(Misplaced::Past)?;
        if start > wav::SAMPLES_MAX - BLOCK_SAMPLES as u64 {
            return Err(Misplaced::Full);
        }
        if hole > 0 {
            let cause = GapCause::Missing;
            self.gaps.mark(Gap { start_sample: self.samples, samples: hole, cause });
        }
        self.samples = start + BLOCK_SAMPLES as u64;
        Ok(start)
    }

    /// Marks sound that came, but was lost before it was stored.
    pub fn mark_unwritten(&mut self, start_sample: u64, samples: u64) {
        self.gaps.mark(Gap { start_sample, samples, cause: GapCause::Unwritten });
    }

    /// The track's length on the clock.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// What is missing.
    pub fn gaps(&self) -> &GapMarks {
        &self.gaps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_track_starts_with_its_first_block() {
        let mut track = Track::new();
        assert_eq!(track.place(1000), Ok(0));
        assert_eq!(track.place(1001), Ok(160));
        assert_eq!((track.samples(), track.gaps().count()), (320, 0));
    }

    #[test]
    fn a_hole_in_the_clock_is_a_gap_of_its_length() {
        let mut track = Track::new();
        track.place(5).unwrap();
        assert_eq!(track.place(8), Ok(480));
        let gap = Gap { start_sample: 160, samples: 320, cause: GapCause::Missing };
        assert_eq!(track.gaps().marks, [gap]);
    }

    #[test]
    fn a_block_of_the_past_is_refused_and_changes_nothing() {
        let mut track = Track::new();
        track.place(5).unwrap();
        track.place(6).unwrap();
        for period in [0, 4, 5, 6] {
            assert_eq!(track.place(period), Err(Misplaced::Past));
        }
        assert_eq!((track.place(7), track.samples()), (Ok(320), 480));
    }

    #[test]
    fn a_track_never_outgrows_its_container() {
        let mut track = Track::new();
        track.place(0).unwrap();
        for period in [wav::SAMPLES_MAX / 160, u64::MAX] {
            assert_eq!(track.place(period), Err(Misplaced::Full));
        }
        assert_eq!((track.samples(), track.gaps().count()), (160, 0));
        assert!(track.place(wav::SAMPLES_MAX / 160 - 1).is_ok());
    }

    #[test]
    fn neighbouring_gaps_of_one_cause_are_one() {
        let mut track = Track::new();
        track.mark_unwritten(0, 160);
        track.mark_unwritten(160, 320);
        track.mark_unwritten(960, 160);
        assert_eq!(track.gaps().count(), 2);
        assert_eq!(track.gaps().samples, 640);
    }

    #[test]
    fn gaps_beyond_the_marks_are_counted() {
        let mut gaps = GapMarks::default();
        for index in 0..GAP_MARKS_MAX as u64 + 3 {
            let cause = GapCause::Unwritten;
            gaps.mark(Gap { start_sample: index * 320, samples: 160, cause });
        }
        assert_eq!((gaps.marks.len(), gaps.unmarked), (GAP_MARKS_MAX, 3));
        assert_eq!(gaps.samples, (GAP_MARKS_MAX as u64 + 3) * 160);
    }

    proptest! {
        #[test]
        fn length_is_the_clock_and_sound_and_gaps_add_up(
            first in 0..u64::MAX / 2, steps in proptest::collection::vec(1_u64..50, 0..200)
        ) {
            let mut track = Track::new();
            let mut period = first;
            prop_assert_eq!(track.place(period), Ok(0));
            for step in &steps {
                period += step;
                prop_assert_eq!(track.place(period), Ok((period - first) * 160));
            }
            prop_assert_eq!(track.samples(), (period - first + 1) * 160);
            let sound = (steps.len() as u64 + 1) * 160;
            prop_assert_eq!(track.samples(), sound + track.gaps().samples);
        }
    }
}
