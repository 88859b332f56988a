//! Which packets are missing, and in what bursts (RFC 3611 section 4.7.2).
//!
//! A packet is missing where it never came, or came too late to be played. That is certain only
//! when it is [`WINDOW`] packets old, so bursts are counted so much later.
//!
//! A burst begins and ends with a missing packet and has fewer than [`GAP_MINIMUM`] received ones
//! in a row within. All the rest is gaps; a missing packet with so many received ones on both
//! sides is part of its gap.

use std::time::Duration;

use media_units::BurstGap;

/// Packets received in a row that end a burst: Gmin as RFC 3611 section 4.7.2 recommends.
pub const GAP_MINIMUM: u8 = 16;

/// Packets whose fate is open.
pub const WINDOW: u64 = u64::BITS as u64;

/// Follows one source. In this order, as the first of it is touched by every packet.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Losses {
    /// The last [`WINDOW`] packets up to the newest, which is the lowest bit: is it there?
    there: u64,
    /// All packets up to the newest, there or not.
    packets: u64,
    /// Received since the last missing one.
    received: u32,
    /// What may become a burst: from its first missing packet to its last so far.
    open: Burst,
    /// All bursts that are over.
    closed: Burst,
    bursts: u32,
    /// Missing packets that are in no burst.
    lone: u32,
    /// Missing packets come in so many runs without a received one within.
    runs: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Burst {
    packets: u32,
    missing: u32,
}

impl Burst {
    /// One missing packet is no burst.
    fn is_burst(self) -> bool {
        self.missing > 1
    }
}

impl Losses {
    /// Begins with a first packet.
    pub fn new() -> Self {
        Self {
            // What was before the first packet is not missing.
            there: u64::MAX,
            packets: 1,
            received: u32::from(GAP_MINIMUM),
            open: Burst::default(),
            closed: Burst::default(),
            bursts: 0,
            lone: 0,
            runs: 0,
        }
    }

    /// A packet came that is so many newer than the newest before.
    pub fn newer(&mut self, steps: u64) {
        self.packets += steps;
        for step in 0..steps.min(WINDOW) {
            if self.there >> (WINDOW - 1 - step) & 1 == 1 {
                self.received = self.received.saturating_add(1);
            } else {
                self.settle_missing(1);
            }
        }
        self.settle_missing(steps.saturating_sub(WINDOW) as u32);
        self.there = self.there.checked_shl(steps as u32).unwrap_or(0) | 1;
    }

    /// A packet came that is so many older than the newest. False where it was there already, or
    /// is too old for anyone to know.
    pub fn older(&mut self, steps: u64) -> bool {
        let is_new = steps < WINDOW && self.there >> steps & 1 == 0;
        if is_new {
            self.there |= 1 << steps;
        }
        is_new
    }

    /// A packet came that is so many older than the newest, and so many older than the first so
    /// far. Those in between are missing.
    pub fn before_first(&mut self, steps: u64, before: u64) {
        self.packets += before;
        for between in (steps + 1).saturating_sub(before)..steps.min(WINDOW) {
            self.there &= !(1 << between);
        }
    }

    /// The packet that is so many older than the newest came and cannot be played. False where
    /// that changes nothing, because it counts as missing already.
    pub fn discard(&mut self, steps: u64) -> bool {
        let was_there = steps < WINDOW && self.there >> steps & 1 == 1;
        if was_there {
            self.there &= !(1 << steps);
        }
        was_there
    }

    /// How the missing ones are spread, each packet being so long.
    pub fn spread(&self, packet: Duration) -> BurstGap {
        let is_burst = self.open.is_burst();
        let open = if is_burst { self.open } else { Burst::default() };
        let bursts = self.bursts + u32::from(is_burst);
        let burst_packets = u64::from(self.closed.packets) + u64::from(open.packets);
        let burst_missing = u64::from(self.closed.missing) + u64::from(open.missing);
        let gap_packets = self.settled().saturating_sub(burst_packets);
        let gap_missing = self.lone + if is_burst { 0 } else { self.open.missing };
        let mean = |packets: u64, count: u32| {
            let whole = packets as f64 * packet.as_secs_f64() * 1000.0;
            (whole / f64::from(count.max(1))).min(f64::from(u16::MAX)) as u16
        };
        BurstGap {
            burst_density: as_256th(burst_missing, burst_packets),
            gap_density: as_256th(gap_missing.into(), gap_packets),
            burst_duration_ms: mean(burst_packets, bursts),
            // There is a gap before the first burst and behind each.
            gap_duration_ms: mean(gap_packets, bursts + 1),
        }
    }

    /// The burst ratio of the E-model (ITU-T G.107 section 3.5): how many times longer the runs of
    /// missing packets are than they would be if losses were random. 1 where nothing is missing.
    pub fn burst_ratio(&self) -> f32 {
        let missing = self.missing();
        if self.runs == 0 || missing >= self.settled() {
            return 1.0;
        }
        let share = missing as f32 / self.settled() as f32;
        (missing as f32 / self.runs as f32 * (1.0 - share)).max(1.0)
    }

    /// Packets whose fate is known.
    fn settled(&self) -> u64 {
        self.packets.saturating_sub(WINDOW)
    }

    fn missing(&self) -> u64 {
        u64::from(self.closed.missing) + u64::from(self.open.missing) + u64::from(self.lone)
    }

    /// So many packets in a row are missing for good.
    fn settle_missing(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        if self.received >= u32::from(GAP_MINIMUM) {
            self.close();
        } else {
            self.open.packets = self.open.packets.saturating_add(self.received);
        }
        if self.received > 0 || self.runs == 0 {
            self.runs = self.runs.saturating_add(1);
        }
        self.open.packets = self.open.packets.saturating_add(count);
        self.open.missing = self.open.missing.saturating_add(count);
        self.received = 0;
    }

    /// A gap came behind the open burst.
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if open.is_burst() {
            self.bursts = self.bursts.saturating_add(1);
            self.closed.packets = self.closed.packets.saturating_add(open.packets);
            self.closed.missing = self.closed.missing.saturating_add(open.missing);
        } else {
            self.lone = self.lone.saturating_add(open.missing);
        }
    }
}

impl Default for Losses {
    fn default() -> Self {
        Self::new()
    }
}

/// A share in 1/256, which 255 must do for where it is all.
pub fn as_256th(part: u64, whole: u64) -> u8 {
    let share = part.saturating_mul(256).checked_div(whole).unwrap_or(0);
    share.min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: Duration = Duration::from_millis(20);

    /// A source of which the packets marked `.` come and those marked `x` do not; then enough
    /// packets that all of these are settled.
    fn source(pattern: &str) -> Losses {
        let mut losses = Losses::new();
        let mut steps = 1;
        for packet in pattern.chars().skip(1).chain(std::iter::repeat_n('.', WINDOW as usize)) {
            if packet == '.' {
                losses.newer(steps);
                steps = 1;
            } else {
                steps += 1;
            }
        }
        losses
    }

    fn dots(count: usize) -> String {
        ".".repeat(count)
    }

    #[test]
    fn nothing_missing_is_one_gap() {
        let losses = source(&dots(100));
        let expected = BurstGap { gap_duration_ms: 2000, ..BurstGap::default() };
        assert_eq!(losses.spread(PACKET), expected);
        assert!((losses.burst_ratio() - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn a_lone_packet_missing_is_part_of_its_gap() {
        let losses = source(&[&dots(31), "x", &dots(32)].concat());
        let spread = losses.spread(PACKET);
        assert_eq!((spread.burst_density, spread.burst_duration_ms), (0, 0));
        assert_eq!((spread.gap_density, spread.gap_duration_ms), (4, 64 * 20));
    }

    #[test]
    fn fewer_than_sixteen_received_do_not_end_a_burst() {
        let losses = source(&[&dots(50), "x", &dots(15), "x", &dots(33)].concat());
        let spread = losses.spread(PACKET);
        assert_eq!((spread.burst_density, spread.burst_duration_ms), (30, 17 * 20));
        assert_eq!((spread.gap_density, spread.gap_duration_ms), (0, 83 * 20 / 2));
        let losses = source(&[&dots(50), "x", &dots(16), "x", &dots(33)].concat());
        let spread = losses.spread(PACKET);
        assert_eq!((spread.burst_density, spread.burst_duration_ms), (0, 0));
        assert_eq!(spread.gap_density, 5);
    }

    #[test]
    fn bursts_are_averaged() {
        let losses =
            source(&[&dots(40), "xxxx", &dots(20), "xx.xxx", &dots(60), "x", &dots(39)].concat());
        let spread = losses.spread(PACKET);
        assert_eq!(spread.burst_duration_ms, (4 + 6) * 20 / 2);
        assert_eq!(spread.burst_density, 230);
        assert_eq!(spread.gap_duration_ms, 160 * 20 / 3);
        assert_eq!(spread.gap_density, 1);
        let share = 10.0 / 170.0;
        assert!((losses.burst_ratio() - 10.0 / 4.0 * (1.0 - share)).abs() < 0.01);
    }

    #[test]
    fn a_gap_longer_than_the_window_is_one_run() {
        let losses = source(&[dots(70), "x".repeat(200), dots(100)].concat());
        let spread = losses.spread(PACKET);
        assert_eq!((spread.burst_density, spread.burst_duration_ms), (255, 200 * 20));
        assert_eq!(losses.runs, 1);
    }

    #[test]
    fn what_comes_late_but_in_time_is_not_missing_and_what_is_discarded_is() {
        let mut losses = Losses::new();
        losses.newer(3);
        assert!(losses.older(1) && losses.older(2));
        assert!(!losses.older(1), "a duplicate");
        losses.newer(1);
        assert!(losses.discard(0));
        assert!(!losses.discard(0));
        for _ in 0..WINDOW {
            losses.newer(1);
        }
        assert_eq!((losses.missing(), losses.runs), (1, 1));
        assert!(!losses.older(WINDOW), "too old");
        assert!(!losses.discard(WINDOW));
    }

    #[test]
    fn packets_before_the_first_belong_to_the_source() {
        let mut losses = Losses::new();
        losses.newer(2); // 10, 12
        losses.before_first(5, 3); // 7
        assert!(losses.older(4) && losses.older(3) && losses.older(1)); // 8, 9, 11
        assert_eq!(losses.packets, 6);
        assert_eq!(losses.there, u64::MAX);
    }

    proptest! {
        #[test]
        fn all_packets_are_in_bursts_or_gaps(
            steps in prop::collection::vec(1u64..100, 1..200),
        ) {
            let mut losses = Losses::new();
            for steps in &steps {
                losses.newer(*steps);
            }
            let missing: u64 = steps.iter().map(|steps| steps - 1).sum();
            prop_assert_eq!(losses.packets, 1 + steps.iter().sum::<u64>());
            for _ in 0..WINDOW {
                losses.newer(1);
            }
            prop_assert_eq!(losses.missing(), missing);
            prop_assert!(losses.burst_ratio() >= 1.0);
            let spread = losses.spread(PACKET);
            prop_assert!(spread.gap_density < 32, "a missing one and 16 received");
            prop_assert!(spread.burst_density == 0 || spread.burst_density >= 16);
        }
    }
}
