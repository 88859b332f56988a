//! What a session sees of its shard while something happens to it.

use std::time::Duration;

use engine_control::{Limits, ShardReport};
use media::Random;
use media_kernels::Kernels;
use media_units::{Discard, Instant, PERIOD, PeriodIndex, WallClock};

use crate::bench::Bench;
use crate::latch::LatchRule;
use crate::taps::Taps;

/// What no session changes.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) kernels: Kernels,
    pub(crate) wall: WallClock,
    pub(crate) latch: LatchRule,
    /// Periods without media after which that is reported; `None`: never.
    pub(crate) media_timeout: Option<PeriodIndex>,
    pub(crate) rtcp_interval: Duration,
    pub(crate) playout_delay_max: Duration,
    /// Most that Opus encoders may try, and what is left of it where time is short.
    pub(crate) complexity_max: u8,
    complexity_short: u8,
}

/// libopus knows no more.
const COMPLEXITY_MAX: u8 = 10;

impl Rules {
    /// The rules of these limits, with times counted in periods, rounded up.
    pub(crate) fn new(limits: &Limits, kernels: Kernels) -> Self {
        Self {
            kernels,
            wall: WallClock::default(),
            latch: LatchRule {
                relatch_after: periods(limits.relatch_after).max(1),
                relatch_packets: limits.relatch_packets,
            },
            media_timeout: Some(periods(limits.media_timeout)).filter(|&timeout| timeout > 0),
            rtcp_interval: limits.rtcp_interval,
            playout_delay_max: limits.playout_delay_max,
            complexity_max: COMPLEXITY_MAX,
            complexity_short: limits.overload.opus_complexity,
        }
    }

    /// Opus encoders try less hard from now on, or as hard as was agreed.
    pub(crate) fn shed_complexity(&mut self, is_short: bool) {
        self.complexity_max = if is_short { self.complexity_short } else { COMPLEXITY_MAX };
    }
}

fn periods(duration: Duration) -> PeriodIndex {
    duration.as_nanos().div_ceil(PERIOD.as_nanos()) as PeriodIndex
}

/// The shard around a session, at one moment.
pub(crate) struct Moment<'a, O> {
    pub(crate) now: Instant,
    pub(crate) period: PeriodIndex,
    /// Periods that were left out just before this one.
    pub(crate) left_out: PeriodIndex,
    pub(crate) rules: &'a Rules,
    pub(crate) totals: &'a mut ShardReport,
    pub(crate) taps: &'a mut Taps,
    pub(crate) random: &'a mut Random,
    /// Whether comfort noise is heard in the place of a pause or after a long loss: where two are alone with
    /// each other. Among many a pause is silence, and costs nothing.
    pub(crate) fills_pauses: bool,
    pub(crate) bench: &'a mut Bench,
    pub(crate) output: &'a mut O,
}

impl<O> Moment<'_, O> {
    /// Counts a datagram that was not used.
    pub(crate) fn discard(&mut self, reason: Discard) {
        self.totals.discards[reason as usize] += 1;
    }
}
