//! What a track lacks, and why. Positions are counted in periods of 20 ms from the recording's
//! first sample: the one unit that all sample rates share.

use serde::{Deserialize, Serialize};

/// Gap marks that one track keeps. Of later gaps only the number and length are known.
pub const GAP_MARKS_MAX: usize = 1000;

/// Why a part of a track is not what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// Nothing came from the endpoint: silence.
    NotReceived,
    /// Packets were lost or late: what is there was made up by concealment.
    Concealed,
    /// The participant was muted: silence.
    Muted,
    /// A key was pressed: what it sounds like is not kept.
    Digit,
    /// The call was on hold: silence.
    Held,
    /// The recording was paused: silence.
    Paused,
    /// The shard had no time for these periods and left them out: silence.
    Late,
    /// The ring between shard and recorder was full: silence.
    Overrun,
    /// The disk did not take it in time: silence.
    Unwritten,
}

/// A part of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its first period.
    pub start: u64,
    /// How many periods.
    pub periods: u64,
    /// Why.
    pub cause: GapCause,
}

/// The gaps of a track, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapMarks {
    /// The first [`GAP_MARKS_MAX`] of them.
    pub marks: Vec<Gap>,
    /// How many more there were.
    pub unmarked: u64,
    /// Periods in all gaps.
    pub periods: u64,
}

impl GapMarks {
    /// Marks a gap; one that goes on where the last ended, for the same cause, is the same gap.
    pub fn mark(&mut self, gap: Gap) {
        self.periods = self.periods.saturating_add(gap.periods);
        if let Some(last) = self.marks.last_mut()
            && last.cause == gap.cause
            && last.start.checked_add(last.periods) == Some(gap.start)
        {
            last.periods = last.periods.saturating_add(gap.periods);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_gaps_of_one_cause_are_one() {
        let mut gaps = GapMarks::default();
        let cause = GapCause::Unwritten;
        gaps.mark(Gap { start: 0, periods: 1, cause });
        gaps.mark(Gap { start: 1, periods: 2, cause });
        gaps.mark(Gap { start: 3, periods: 1, cause: GapCause::Muted });
        gaps.mark(Gap { start: 6, periods: 1, cause });
        assert_eq!((gaps.count(), gaps.periods), (3, 5));
    }

    #[test]
    fn gaps_beyond_the_marks_are_counted() {
        let mut gaps = GapMarks::default();
        for index in 0..GAP_MARKS_MAX as u64 + 3 {
            gaps.mark(Gap { start: index * 2, periods: 1, cause: GapCause::Muted });
        }
        assert_eq!((gaps.marks.len(), gaps.unmarked), (GAP_MARKS_MAX, 3));
        assert_eq!(gaps.periods, GAP_MARKS_MAX as u64 + 3);
    }
}
