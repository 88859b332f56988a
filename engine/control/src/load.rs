//! How much of its time a shard needs, and what it gives up where that is too much.
//!
//! Time is short where a tick ends close to the deadline of the next: the *pressure* of a tick is
//! the time from its deadline to the end of its work, as far as the shard itself is to blame for
//! it, in millionths of the time between two deadlines.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The pressure of a tick that ends when the next one is due.
pub const FULL_PRESSURE: u32 = 1_000_000;

/// No pressure is above so many percent: a threshold there is never passed.
pub const NEVER_PERCENT: u32 = 1000;

/// What a shard gives up, in this order. Each step includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Shedding {
    /// Nothing.
    #[default]
    Nothing,
    /// New sessions.
    Sessions,
    /// Some of the quality of Opus: its encoders try less hard.
    Complexity,
    /// Taps: they end, and none begins.
    Taps,
}

impl Shedding {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Sessions, Self::Complexity, Self::Taps];

    /// Its name in the API and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Sessions => "new-calls",
            Self::Complexity => "opus-complexity",
            Self::Taps => "recordings",
        }
    }
}

/// When a shard gives what up, as shares of [`FULL_PRESSURE`] in percent, and when it takes it
/// back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverloadRule {
    /// No new session above this.
    pub refuse_above: u32,
    /// Less complexity above this.
    pub complexity_above: u32,
    /// No taps above this.
    pub taps_above: u32,
    /// So far below its threshold the pressure must be before a step is taken back.
    pub hysteresis: u32,
    /// For so long.
    pub calm: Duration,
    /// The complexity that is left to Opus encoders, 0 to 10.
    pub opus_complexity: u8,
}

impl OverloadRule {
    /// The pressure above which this is given up.
    pub fn threshold(&self, shedding: Shedding) -> u32 {
        let percent = match shedding {
            Shedding::Nothing => 0,
            Shedding::Sessions => self.refuse_above,
            Shedding::Complexity => self.complexity_above,
            Shedding::Taps => self.taps_above,
        };
        percent.saturating_mul(FULL_PRESSURE / 100)
    }

    /// The pressure below which it is taken back.
    pub fn restoring(&self, shedding: Shedding) -> u32 {
        let below = self.hysteresis.saturating_mul(FULL_PRESSURE / 100);
        self.threshold(shedding).saturating_sub(below)
    }
}

impl Default for OverloadRule {
    fn default() -> Self {
        Self {
            refuse_above: 75,
            complexity_above: 85,
            taps_above: NEVER_PERCENT,
            hysteresis: 15,
            calm: Duration::from_secs(5),
            opus_complexity: 1,
        }
    }
}

/// How a shard is: small enough to be told in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardLoad {
    /// The smoothed pressure of its fullest phase.
    pub pressure: u32,
    /// Sessions open.
    pub sessions: u32,
    /// What it gives up.
    pub shedding: Shedding,
}

impl ShardLoad {
    /// All of it in one word. A shard has fewer than 2^24 sessions.
    pub const fn to_bits(self) -> u64 {
        (self.pressure as u64) << 32
            | (self.sessions as u64 & 0x00ff_ffff) << 8
            | self.shedding as u64
    }

    /// What [`ShardLoad::to_bits`] gave.
    pub const fn from_bits(bits: u64) -> Self {
        let step = (bits & 0xff) as usize;
        Self {
            pressure: (bits >> 32) as u32,
            sessions: (bits >> 8) as u32 & 0x00ff_ffff,
            shedding: if step < Shedding::ALL.len() {
                Shedding::ALL[step]
            } else {
                Shedding::Nothing
            },
        }
    }
}

/// Shards of so many percent pressure and so many sessions each.
#[cfg(test)]
pub(crate) fn loads(all: &[(u32, u32)]) -> Vec<ShardLoad> {
    let load = |&(percent, sessions)| ShardLoad {
        pressure: percent * (FULL_PRESSURE / 100),
        sessions,
        ..ShardLoad::default()
    };
    all.iter().map(load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_told_in_one_word() {
        for shedding in Shedding::ALL {
            let load = ShardLoad { pressure: 1_234_567, sessions: 0x00ab_cdef, shedding };
            assert_eq!(ShardLoad::from_bits(load.to_bits()), load);
        }
        assert_eq!(ShardLoad::from_bits(0), ShardLoad::default());
    }

    #[test]
    fn each_step_has_its_threshold_and_is_taken_back_below_it() {
        let rule = OverloadRule { taps_above: 110, ..OverloadRule::default() };
        let of = |shedding| (rule.threshold(shedding), rule.restoring(shedding));
        assert_eq!(of(Shedding::Sessions), (750_000, 600_000));
        assert_eq!(of(Shedding::Taps), (1_100_000, 950_000));
    }
}
