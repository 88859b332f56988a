//! How much delay the network asks for, learned from when packets arrive.
//!
//! A packet's *relative delay* is how much later it came than the fastest of the last seconds would
//! have, by the stream's own clock. A histogram of it, which forgets, is weighed: a millisecond
//! of delay against a share of packets that come too late. Links that hold everything back for
//! a moment and let it go at once (Wi-Fi, LTE) are too seldom late for that; they are known by
//! their peaks: one may be an accident, two within some seconds are a habit. What a first peak made
//! the delay grow to is kept for a few seconds all the same: a second one finds it there, and
//! giving it back and growing anew would be heard twice.
//!
//! All is counted in samples of the stream.

use std::mem::offset_of;

use media_kernels::prefetch_start;

use super::drift::Drift;

/// Upper bounds of the histogram's buckets in milliseconds: fine where calls are, coarse above.
const BOUNDS: [u16; 40] = [
    1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 45, 50, 55, 60, 65, 70, 75,
    80, 90, 100, 110, 120, 135, 150, 165, 180, 200, 225, 250, 285, 320, 360,
];

/// The last bucket holds what no delay allowed would have helped.
const BUCKETS: usize = BOUNDS.len() + 1;

/// Packets after which what was counted weighs half.
const HALVING: u16 = 400;

/// Milliseconds of delay that one packet in a hundred, in time instead of late, is worth.
const MS_PER_PERCENT: u32 = 30;

/// Packets between two looks at the histogram.
const LOOK_EVERY: u8 = 10;

/// Buckets of the least delay; each lasts [`BASE_PACKETS`].
const BASES: usize = 4;

/// Packets that a bucket of the least delay lasts: 3 s.
const BASE_PACKETS: u8 = 150;

/// So many packets in a row that no delay would have helped: the way has become longer.
const TOO_LATE_PACKETS: u8 = 50;

/// A delay so much above the target is a peak.
const PEAK_MS: u32 = 20;

/// Peaks that are remembered.
const PEAKS: usize = 4;

/// How long a peak is remembered, in milliseconds.
const PEAK_MEMORY_MS: u32 = 12_000;

/// How long a single peak is taken for a habit, in milliseconds.
const LONE_PEAK_MS: u32 = 4000;

/// Nothing is that far.
const FAR: i32 = i32::MAX;

/// What the arrivals of the last seconds say. In this order: what every packet touches is first.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct DelayEstimate {
    /// Samples in a millisecond, in 1/16: 44.1 kHz has no whole number of them.
    per_ms: u32,
    /// When the last packet arrived, on the stream's clock, in ms.
    now_ms: u32,
    base_packets: u8,
    /// Packets in a row that no delay would have helped.
    too_late: u8,
    until_look: u8,
    total: u16,
    /// What the histogram asks for, in ms.
    learned: u16,
    /// Highest delay of the peak in progress, in ms.
    rising: u16,
    /// The least delay of the last seconds, and of each part of them.
    base: i32,
    bases: [i32; BASES],
    peaks: [Peak; PEAKS],
    counts: [u16; BUCKETS],
    drift: Drift,
}

/// A moment in which all packets were late.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    /// Milliseconds.
    height: u16,
    /// On the stream's clock, in ms.
    at: u32,
}

impl DelayEstimate {
    /// Nothing known of a stream of so many samples a second.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            per_ms: rate * 16 / 1000,
            base: FAR,
            bases: [FAR; BASES],
            base_packets: 0,
            too_late: 0,
            counts: [0; BUCKETS],
            total: 0,
            until_look: 0,
            learned: 1,
            rising: 0,
            peaks: [Peak::default(); PEAKS],
            now_ms: 0,
            drift: Drift::new(rate),
        }
    }

    /// Asks the memory for what the next packet touches.
    pub(super) fn prefetch(&self) {
        prefetch_start(self, offset_of!(Self, counts) + 1);
    }

    /// The stream's clock jumped: what was learned of the network stays.
    pub(super) fn rebase(&mut self) {
        self.base = FAR;
        self.bases = [FAR; BASES];
        self.base_packets = 0;
        self.too_late = 0;
        self.drift.restart();
    }

    /// A packet came so late that no delay would have helped. Where all do, the way has become
    /// longer for good, and what it was before tells nothing any more.
    pub(super) fn too_late(&mut self) {
        self.too_late += 1;
        if self.too_late == TOO_LATE_PACKETS {
            self.rebase();
        }
    }

    /// Notes one packet: `delay` is its arrival less its place, `at` its arrival.
    pub(super) fn packet(&mut self, delay: i32, at: u32) {
        self.too_late = 0;
        self.follow_base(delay, at);
        let relative = self.as_ms(delay.wrapping_sub(self.base).max(0) as u32);
        self.count(relative);
        self.now_ms = at / (self.per_ms / 16);
        self.follow_peaks(relative);
    }

    /// The least delay there is, from which all others are counted. `None` before the first
    /// packet.
    pub(super) fn base(&self) -> Option<i32> {
        (self.base != FAR).then_some(self.base)
    }

    /// The delay to give to a packet beyond the least there is. Late ticks need no more: a pull
    /// that is late gives packets time, and the schedule is that of the pulls in time.
    pub(super) fn target(&self) -> u32 {
        u32::from(self.learned).max(self.habit()) * self.per_ms / 16
    }

    /// How much too fast the sender's clock is, in parts per million, once known.
    pub(super) fn drift_ppm(&self) -> Option<i16> {
        self.drift.ppm()
    }

    fn as_ms(&self, samples: u32) -> u32 {
        (samples.min(1 << 24) * 16).div_ceil(self.per_ms)
    }

    fn follow_base(&mut self, delay: i32, at: u32) {
        self.bases[0] = self.bases[0].min(delay);
        self.base = self.base.min(delay);
        self.base_packets += 1;
        if self.base_packets == BASE_PACKETS {
            self.base_packets = 0;
            self.drift.least(self.bases[0], at);
            self.bases.rotate_right(1);
            self.bases[0] = FAR;
            self.base = self.bases.iter().copied().min().unwrap_or(FAR);
        }
    }

    fn count(&mut self, relative_ms: u32) {
        let bucket = if relative_ms <= 6 {
            (relative_ms as usize).saturating_sub(1)
        } else {
            BOUNDS.partition_point(|&bound| u32::from(bound) < relative_ms)
        };
        self.counts[bucket] += 1;
        self.total += 1;
        if self.total >= HALVING {
            self.forget();
        }
        if self.until_look == 0 || relative_ms > u32::from(self.learned) {
            self.until_look = LOOK_EVERY;
            self.learned = self.weigh();
        }
        self.until_look -= 1;
    }

    fn forget(&mut self) {
        self.total = 0;
        for count in &mut self.counts {
            *count /= 2;
            self.total += *count;
        }
    }

    /// The delay at which delay and late packets together cost least.
    fn weigh(&self) -> u16 {
        let mut late = u32::from(self.total);
        let total = late.max(50);
        let mut best = (u32::MAX, BOUNDS[0]);
        for (&count, &bound) in self.counts.iter().zip(&BOUNDS) {
            late -= u32::from(count);
            let cost = u32::from(bound) * 16 + late * MS_PER_PERCENT * 1600 / total;
            if cost < best.0 {
                best = (cost, bound);
            }
        }
        best.1
    }

    fn follow_peaks(&mut self, relative_ms: u32) {
        let now_ms = self.now_ms;
        if relative_ms > u32::from(self.learned) + PEAK_MS {
            self.rising = self.rising.max(relative_ms.min(1000) as u16);
        } else if self.rising > 0 {
            self.peaks.rotate_right(1);
            self.peaks[0] = Peak { height: self.rising, at: now_ms };
            self.rising = 0;
        } else if self.peaks[0].height > 0 && now_ms.wrapping_sub(self.peaks[0].at) > PEAK_MEMORY_MS
        {
            self.peaks = [Peak::default(); PEAKS];
        }
    }

    /// The height that peaks reach as a habit, in ms: the second highest of the last, or the only
    /// one while it is new. The one in progress counts as well.
    fn habit(&self) -> u32 {
        let mut highest = [0; 2];
        for height in self.peaks.iter().map(|peak| peak.height).chain([self.rising]) {
            highest = match highest {
                [first, _] if height > first => [height, first],
                [first, second] => [first, second.max(height)],
            };
        }
        let is_new = self.rising > 0 || self.now_ms.wrapping_sub(self.peaks[0].at) < LONE_PEAK_MS;
        match highest {
            [only, 0] if is_new => u32::from(only),
            [_, second] => u32::from(second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 samples in a millisecond, packets of 20 ms, delays in milliseconds.
    fn learn(
        estimate: &mut DelayEstimate,
        delays: impl IntoIterator<Item = i32>,
        from: u32,
    ) -> u32 {
        let mut at = from;
        for delay in delays {
            at += 160;
            estimate.packet(delay * 8, at);
        }
        at
    }

    fn target_ms(estimate: &DelayEstimate) -> u32 {
        estimate.target() / 8
    }

    #[test]
    fn a_clean_network_asks_for_a_millisecond() {
        let mut estimate = DelayEstimate::new(8000);
        learn(&mut estimate, [40; 500], 0);
        assert_eq!(target_ms(&estimate), 1);
        assert_eq!(estimate.base(), Some(320));
    }

    #[test]
    fn jitter_is_covered_and_forgotten() {
        let mut estimate = DelayEstimate::new(8000);
        let at = learn(&mut estimate, (0..1000).map(|index| index * 7 % 40), 0);
        assert!((36..=42).contains(&target_ms(&estimate)), "{}", target_ms(&estimate));
        learn(&mut estimate, [0; 1500], at);
        assert!(target_ms(&estimate) <= 4, "{}", target_ms(&estimate));
    }

    #[test]
    fn one_peak_is_an_accident_and_two_are_a_habit() {
        let peak = [100, 80, 60, 40, 20, 0];
        let mut estimate = DelayEstimate::new(8000);
        let mut at = learn(&mut estimate, [0; 500], 0);
        at = learn(&mut estimate, peak, at);
        at = learn(&mut estimate, [0; 150], at);
        assert!(target_ms(&estimate) > 95, "kept for 4 s: {}", target_ms(&estimate));
        at = learn(&mut estimate, [0; 60], at);
        assert!(target_ms(&estimate) < 30, "{}", target_ms(&estimate));
        at = learn(&mut estimate, peak, at);
        at = learn(&mut estimate, [0; 150], at);
        assert!((95..110).contains(&target_ms(&estimate)), "{}", target_ms(&estimate));
        learn(&mut estimate, [0; 650], at);
        assert!(target_ms(&estimate) < 10, "after 13 s: {}", target_ms(&estimate));
    }

    #[test]
    fn seldom_lateness_costs_less_than_delay() {
        let mut estimate = DelayEstimate::new(8000);
        let delays = (0..1500).map(|index| if index % 200 == 199 { 18 } else { 0 });
        learn(&mut estimate, delays, 0);
        assert_eq!(target_ms(&estimate), 1, "half a percent is worth 15 ms");
    }

    #[test]
    fn the_fastest_are_forgotten_where_the_way_became_longer() {
        let mut estimate = DelayEstimate::new(8000);
        let at = learn(&mut estimate, [10; 600], 0);
        learn(&mut estimate, [60; 700], at);
        assert_eq!(estimate.base(), Some(480));
    }
}
