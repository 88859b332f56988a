//! How much delay the network asks for, told by slack: how long before it was due each packet
//! arrived. Too little and packets come late; more than a period too much is delay for nothing.

use media_units::BLOCK_SAMPLES;

/// Slack that a packet should have at least: 2 ms, for late ticks and small jitter.
pub(super) const MARGIN: i32 = 16;

/// Complete buckets that are remembered beside the present one.
const BUCKETS: usize = 3;

/// Pulls that a bucket lasts: 1 s.
const BUCKET_PULLS: u8 = 50;

const PERIOD_SAMPLES: i32 = BLOCK_SAMPLES as i32;

/// What the delay should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stay.
    Keep,
    /// Grow by a period: packets come late.
    Grow,
    /// Grow by a period where nobody hears it: packets come just in time.
    GrowInQuiet,
    /// Shrink by a period: for seconds every packet came earlier than it had to.
    Shrink,
}

/// The least slack of the last seconds, in samples.
#[derive(Debug, Clone)]
pub(super) struct SlackWindow {
    /// The present one first.
    buckets: [Least; 1 + BUCKETS],
    pulls: u8,
}

/// The two least slacks. One late packet is an accident, two are a habit.
#[derive(Debug, Clone, Copy)]
struct Least {
    first: i32,
    second: i32,
}

impl Least {
    const NONE: Self = Self { first: i32::MAX, second: i32::MAX };

    fn add(&mut self, slack: i32) {
        self.second = self.second.min(slack.max(self.first));
        self.first = self.first.min(slack);
    }

    fn shift(&mut self, samples: i32) {
        for slack in [&mut self.first, &mut self.second] {
            if *slack != i32::MAX {
                *slack = slack.saturating_add(samples).min(i32::MAX - 1);
            }
        }
    }
}

impl SlackWindow {
    /// Nothing known.
    pub(super) fn new() -> Self {
        Self { buckets: [Least::NONE; 1 + BUCKETS], pulls: 0 }
    }

    /// Notes one packet's slack; negative if it was late.
    pub(super) fn add(&mut self, slack: i32) {
        self.buckets[0].add(slack);
    }

    /// The schedule moved: from now on all is due so much later.
    pub(super) fn shift(&mut self, samples: i32) {
        for bucket in &mut self.buckets {
            bucket.shift(samples);
        }
    }

    /// A period passed.
    pub(super) fn pulled(&mut self) {
        self.pulls += 1;
        if self.pulls == BUCKET_PULLS {
            self.pulls = 0;
            self.buckets.rotate_right(1);
            self.buckets[0] = Least::NONE;
        }
    }

    /// What the delay should do, if every packet is to have `needed` slack.
    pub(super) fn wish(&self, needed: i32) -> Wish {
        let least = self.least();
        let is_full = self.buckets[1..].iter().all(|bucket| bucket.first != i32::MAX);
        if least.second < 0 {
            Wish::Grow
        } else if least.first < MARGIN / 2 {
            Wish::GrowInQuiet
        } else if is_full && least.first >= needed + PERIOD_SAMPLES {
            Wish::Shrink
        } else {
            Wish::Keep
        }
    }

    fn least(&self) -> Least {
        let mut least = Least::NONE;
        for bucket in &self.buckets {
            least.add(bucket.first);
            least.add(bucket.second);
        }
        least
    }
}
