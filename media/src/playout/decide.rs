//! What to do at a pull: a pure function of what is known then.

use super::delay::Wish;

/// Periods between two that are left out of speech: 100 ms.
const SHRINK_EVERY_PULLS: u8 = 5;

/// What is known at a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// What the delay should do.
    pub(super) wish: Wish,
    /// Periods in a row that are there, up to two.
    pub(super) periods_ready: u8,
    /// Whether the next period is so soft that nobody hears it repeated or left out.
    pub(super) quiet: bool,
    /// Pulls since a period was left out.
    pub(super) pulls_since_shrink: u8,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Play what is due.
    Play,
    /// Insert a period: what is due waits.
    Insert,
    /// Leave a period out, and fade from it into the next one.
    LeaveOut,
}

impl Status {
    /// All is well: nothing else need be known.
    pub(super) const KEEP: Self =
        Self { wish: Wish::Keep, periods_ready: 0, quiet: false, pulls_since_shrink: 0 };
}

/// Decides.
pub(super) fn decide(status: Status) -> Operation {
    let rested = status.pulls_since_shrink >= SHRINK_EVERY_PULLS;
    let may_insert = status.periods_ready >= 1;
    let may_leave_out = status.periods_ready >= 2 && (status.quiet || rested);
    match status.wish {
        Wish::Grow if may_insert => Operation::Insert,
        Wish::GrowInQuiet if may_insert && status.quiet => Operation::Insert,
        Wish::Shrink if may_leave_out => Operation::LeaveOut,
        _ => Operation::Play,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEECH: Status = Status {
        wish: Wish::Keep,
        periods_ready: 2,
        quiet: false,
        pulls_since_shrink: SHRINK_EVERY_PULLS,
    };

    #[test]
    fn delay_changes_in_speech_only_where_it_must() {
        assert_eq!(decide(SPEECH), Operation::Play);
        assert_eq!(decide(Status { wish: Wish::Grow, ..SPEECH }), Operation::Insert);
        let just_in_time = Status { wish: Wish::GrowInQuiet, ..SPEECH };
        assert_eq!(decide(just_in_time), Operation::Play);
        assert_eq!(decide(Status { quiet: true, ..just_in_time }), Operation::Insert);
        let early = Status { wish: Wish::Shrink, ..SPEECH };
        assert_eq!(decide(early), Operation::LeaveOut);
        let again = Status { pulls_since_shrink: 1, ..early };
        assert_eq!(decide(again), Operation::Play);
        assert_eq!(decide(Status { quiet: true, ..again }), Operation::LeaveOut);
    }

    #[test]
    fn only_whole_periods_wait_or_are_left_out() {
        let late = Status { wish: Wish::Grow, ..SPEECH };
        assert_eq!(decide(Status { periods_ready: 0, ..late }), Operation::Play);
        let early = Status { wish: Wish::Shrink, periods_ready: 1, ..SPEECH };
        assert_eq!(decide(early), Operation::Play);
    }
}
