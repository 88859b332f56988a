//! When a shard with too much to do gives sessions to another.
//!
//! Asked from time to time. A shard that is above the threshold twice in a row is relieved, a few
//! sessions at a time, until it is clear of it; only by a shard that has clear slack, and by no more than
//! would make the two alike: so no session goes to and fro.

use crate::load::{FULL_PRESSURE, NEVER_PERCENT, ShardLoad};

/// Sessions that go at one time, at most.
const SESSIONS_MAX: u32 = 8;

/// So far below the threshold a shard is clear of it, and so much slack more than the other the one
/// must have that is to relieve it.
const MARGIN: u32 = FULL_PRESSURE / 5;

/// What is known of the shards from one time to the next.
#[derive(Debug)]
pub struct Balance {
    threshold: Option<u32>,
    /// Which shard was above it the last time, and whether it is being relieved.
    above: Option<(u8, bool)>,
}

/// Sessions that should go from one shard to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relief {
    /// From which.
    pub from: u8,
    /// To which.
    pub to: u8,
    /// How many, at most.
    pub sessions: u32,
}

impl Balance {
    /// A shard is relieved above this pressure, in percent.
    pub const fn new(above_percent: u32) -> Self {
        let is_never = above_percent >= NEVER_PERCENT;
        let threshold = above_percent * (FULL_PRESSURE / 100);
        Self { threshold: if is_never { None } else { Some(threshold) }, above: None }
    }

    /// Who should go where, by how all shards are now.
    pub fn choose(&mut self, loads: &[ShardLoad]) -> Option<Relief> {
        let threshold = self.threshold?;
        let (from, fullest) = (0..).zip(loads).max_by_key(|(_, load)| load.pressure)?;
        let before = self.above.take().filter(|(shard, _)| *shard == from);
        let is_relieved = before.is_some_and(|(_, is_relieved)| is_relieved);
        let bar = if is_relieved { threshold.saturating_sub(MARGIN) } else { threshold };
        if fullest.pressure <= bar {
            return None;
        }
        self.above = Some((from, before.is_some()));
        let (to, emptiest) = (0..).zip(loads).min_by_key(|(_, load)| load.pressure)?;
        let ahead = fullest.pressure - emptiest.pressure;
        let has_slack = emptiest.pressure + MARGIN <= threshold && ahead >= MARGIN;
        if before.is_none() || !has_slack || fullest.sessions == 0 {
            return None;
        }
        let each = (fullest.pressure / fullest.sessions).max(1);
        Some(Relief { from, to, sessions: (ahead / 2 / each).clamp(1, SESSIONS_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::loads;

    #[test]
    fn who_is_above_the_threshold_twice_in_a_row_is_relieved_until_it_is_clear_of_it() {
        let mut balance = Balance::new(75);
        assert_eq!(balance.choose(&loads(&[(75, 100), (10, 5)])), None, "not above it");
        assert_eq!(balance.choose(&loads(&[(80, 100), (10, 5)])), None, "once");
        let relief = Relief { from: 0, to: 1, sessions: SESSIONS_MAX };
        assert_eq!(balance.choose(&loads(&[(80, 100), (10, 5)])), Some(relief));
        assert_eq!(balance.choose(&loads(&[(70, 90), (15, 15)])), Some(relief));
        assert_eq!(balance.choose(&loads(&[(55, 80), (20, 25)])), None, "clear of it");
        assert_eq!(balance.choose(&loads(&[(74, 80), (20, 25)])), None);
        assert_eq!(balance.choose(&loads(&[(76, 80), (20, 25)])), None, "once again");
    }

    #[test]
    fn another_that_is_above_it_has_its_own_count() {
        let mut balance = Balance::new(50);
        assert_eq!(balance.choose(&loads(&[(60, 10), (0, 0)])), None);
        assert_eq!(balance.choose(&loads(&[(0, 0), (60, 10)])), None);
        assert_eq!(
            balance.choose(&loads(&[(0, 0), (60, 10)])),
            Some(Relief { from: 1, to: 0, sessions: 5 })
        );
    }

    #[test]
    fn only_a_shard_with_clear_slack_relieves_another() {
        for other in [60, 70, 100] {
            let mut balance = Balance::new(75);
            for _ in 0..4 {
                assert_eq!(balance.choose(&loads(&[(110, 50), (other, 40)])), None, "{other}");
            }
        }
        let mut balance = Balance::new(75);
        let alone = loads(&[(90, 50)]);
        assert_eq!((balance.choose(&alone), balance.choose(&alone)), (None, None));
    }

    #[test]
    fn no_more_go_than_would_make_the_two_alike() {
        let mut balance = Balance::new(75);
        let full = loads(&[(100, 4), (40, 1)]);
        balance.choose(&full);
        // 25 percent each: with one more gone the other way they would change places.
        let sessions = balance.choose(&full).map(|relief| relief.sessions);
        assert_eq!(sessions, Some(1));
    }

    #[test]
    fn a_threshold_that_is_never_reached_moves_nobody() {
        let mut balance = Balance::new(NEVER_PERCENT);
        let full = loads(&[(2000, 4), (0, 1)]);
        assert_eq!((balance.choose(&full), balance.choose(&full)), (None, None));
    }
}
