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
    buckets: [Extremes; 1 + BUCKETS],
    pulls: u8,
}

/// The two least slacks and the greatest. One late packet is an accident, two are a habit.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    least: i32,
    second_least: i32,
    greatest: i32,
}

impl Extremes {
    /// Beyond all slacks and all shifts of them.
    const FAR: i32 = 1 << 30;

    const NONE: Self = Self { least: Self::FAR, second_least: Self::FAR, greatest: -Self::FAR };

    fn is_none(&self) -> bool {
        self.least > self.greatest
    }

    fn add(&mut self, slack: i32) {
        self.second_least = self.second_least.min(slack.max(self.least));
        self.least = self.least.min(slack);
        self.greatest = self.greatest.max(slack);
    }

    fn join(&mut self, other: &Self) {
        if !other.is_none() {
            self.second_least = self.second_least.min(other.second_least);
            self.add(other.least);
            self.greatest = self.greatest.max(other.greatest);
        }
    }

    fn shift(&mut self, samples: i32) {
        for slack in [&mut self.least, &mut self.second_least, &mut self.greatest] {
            if slack.abs() < Self::FAR / 2 {
                *slack += samples;
            }
        }
    }
}

impl SlackWindow {
    /// Nothing known.
    pub(super) fn new() -> Self {
        Self { buckets: [Extremes::NONE; 1 + BUCKETS], pulls: 0 }
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
            self.buckets[0] = Extremes::NONE;
        }
    }

    /// What the delay should do, if every packet is to have `needed` slack and none more than
    /// `allowed`.
    pub(super) fn wish(&self, needed: i32, allowed: i32) -> Wish {
        let mut all = Extremes::NONE;
        for bucket in &self.buckets {
            all.join(bucket);
        }
        let is_full = !self.buckets[1..].iter().any(Extremes::is_none);
        let may_grow = all.greatest + PERIOD_SAMPLES <= allowed;
        if all.second_least < 0 && may_grow {
            Wish::Grow
        } else if all.least < MARGIN / 2 && may_grow {
            Wish::GrowInQuiet
        } else if is_full && all.least >= needed + PERIOD_SAMPLES {
            Wish::Shrink
        } else {
            Wish::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: i32 = MARGIN;
    const ALLOWED: i32 = 2400;

    fn window_of(slacks: &[i32], pulls: usize) -> SlackWindow {
        let mut window = SlackWindow::new();
        for _ in 0..pulls {
            for &slack in slacks {
                window.add(slack);
            }
            window.pulled();
        }
        window
    }

    #[test]
    fn one_late_packet_is_an_accident_and_two_are_a_habit() {
        let mut window = window_of(&[100], 100);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Keep);
        window.add(-200);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::GrowInQuiet);
        window.add(-170);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Grow);
        window.shift(160);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Grow);
        window.shift(160);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Keep);
        assert_eq!(window.wish(NEEDED, 400), Wish::Keep);
    }

    #[test]
    fn delay_shrinks_when_every_packet_of_some_seconds_was_a_period_early() {
        let early = NEEDED + PERIOD_SAMPLES;
        let full = usize::from(BUCKET_PULLS) * BUCKETS;
        assert_eq!(window_of(&[early], full - 1).wish(NEEDED, ALLOWED), Wish::Keep);
        let mut window = window_of(&[early, early + 300], full);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Shrink);
        assert_eq!(window.wish(NEEDED + 1, ALLOWED), Wish::Keep);
        window.add(early - 1);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Keep);
    }

    #[test]
    fn delay_never_grows_beyond_what_is_allowed() {
        let window = window_of(&[-50, 700], 3);
        assert_eq!(window.wish(NEEDED, 860), Wish::Grow);
        assert_eq!(window.wish(NEEDED, 859), Wish::Keep);
    }

    #[test]
    fn nothing_heard_wishes_nothing() {
        let mut window = window_of(&[], 1000);
        window.shift(-100_000);
        assert_eq!(window.wish(NEEDED, ALLOWED), Wish::Keep);
    }
}
