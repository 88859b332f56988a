//! Whether a shard has time for one more session: what it measured, and what it cannot have
//! measured yet.
//!
//! A session costs nothing before its first packets. So that a flood of calls is not let in
//! before any of them is felt, those of the last second are counted at what the others cost.

use std::time::Duration;

use media_units::Instant;

use crate::load::{NEVER_PERCENT, OverloadRule, ShardLoad, Shedding};

/// How long a session may be reserved before its cost is in what its shard measures: the answer,
/// the first packets, and the smoothing of the pressure.
const UNFELT: Duration = Duration::from_secs(1);

/// Parts of that time in which sessions are counted together.
const PARTS: usize = 4;

/// Below so many sessions on a shard the mean of what they cost says little.
const SESSIONS_FOR_MEAN: u32 = 32;

/// What a session is taken to cost at least: 1.25 microseconds in each tick of 5 ms.
const PRESSURE_MIN: u32 = 250;

/// The sessions that a shard was given of late.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// How many in which part of time.
    recent: [(u64, u32); PARTS],
}

impl Admission {
    /// Whether a shard that is so has time for one more session.
    pub fn admits(&self, now: Instant, load: ShardLoad, rule: &OverloadRule) -> bool {
        // What the new ones are expected to add may come to more than any pressure that is measured.
        if rule.refuse_above >= NEVER_PERCENT {
            return true;
        }
        load.shedding < Shedding::Sessions
            && self.expected(now, load) < u64::from(rule.threshold(Shedding::Sessions))
    }

    /// A session was given to the shard.
    pub fn count(&mut self, now: Instant) {
        let part = part(now);
        let place = &mut self.recent[part as usize % PARTS];
        if place.0 != part {
            *place = (part, 0);
        }
        place.1 += 1;
    }

    /// The pressure once all that was given to the shard is felt.
    fn expected(&self, now: Instant, load: ShardLoad) -> u64 {
        let is_known = load.sessions >= SESSIONS_FOR_MEAN;
        let mean = if is_known { load.pressure / load.sessions } else { 0 };
        let first = (part(now) + 1).saturating_sub(PARTS as u64);
        let unfelt = self.recent.iter().filter(|(part, _)| *part >= first);
        let unfelt: u64 = unfelt.map(|&(_, count)| u64::from(count)).sum();
        u64::from(load.pressure) + unfelt * u64::from(mean.max(PRESSURE_MIN))
    }
}

fn part(now: Instant) -> u64 {
    now.as_nanos() / (UNFELT.as_nanos() as u64 / PARTS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(percent: u32, sessions: u32) -> ShardLoad {
        ShardLoad { pressure: percent * 10_000, sessions, shedding: Shedding::Nothing }
    }

    /// How many sessions are let in at once.
    fn let_in(admission: &mut Admission, now: Instant, load: ShardLoad) -> u32 {
        let rule = OverloadRule::default();
        let mut count = 0;
        while admission.admits(now, load, &rule) {
            admission.count(now);
            count += 1;
        }
        count
    }

    #[test]
    fn a_flood_is_let_in_as_far_as_the_shard_would_bear_it() {
        let now = Instant::from_millis(700);
        // 60 percent for 1,000: 0.06 percent each, and 15 percent are left.
        assert_eq!(let_in(&mut Admission::default(), now, load(60, 1000)), 250);
        // Few say little of what the next ones cost.
        assert_eq!(let_in(&mut Admission::default(), now, load(50, 4)), 1000);
        assert_eq!(let_in(&mut Admission::default(), now, load(90, 1000)), 0);
    }

    #[test]
    fn what_was_let_in_is_forgotten_once_it_is_felt() {
        let mut admission = Admission::default();
        let first = let_in(&mut admission, Instant::from_millis(100), load(30, 1000));
        assert_eq!(first, 1500);
        assert_eq!(let_in(&mut admission, Instant::from_millis(900), load(30, 1000)), 0);
        assert_eq!(let_in(&mut admission, Instant::from_millis(1100), load(30, 1000)), 1500);
        assert_eq!(let_in(&mut admission, Instant::from_millis(90_000), load(30, 1000)), 1500);
    }

    #[test]
    fn who_never_refuses_takes_one_more_beside_the_highest_pressure_there_is() {
        let mut admission = Admission::default();
        let rule = OverloadRule { refuse_above: NEVER_PERCENT, ..OverloadRule::default() };
        for _ in 0..100 {
            assert!(admission.admits(Instant::START, load(NEVER_PERCENT, 100), &rule));
            admission.count(Instant::START);
        }
    }

    #[test]
    fn a_shard_that_gives_something_up_gets_nothing_new() {
        let admission = Admission::default();
        let load = ShardLoad { shedding: Shedding::Sessions, ..ShardLoad::default() };
        assert!(!admission.admits(Instant::START, load, &OverloadRule::default()));
    }
}
