//! By how much the sender's clock is faster or slower than ours: the slope of the least delay.

/// Points that are remembered.
const POINTS: usize = 16;

/// Points before anything is said.
const POINTS_MIN: u8 = 6;

/// Clocks are not that wrong: the network changed its way.
const PPM_MAX: i64 = 2000;

/// The least delays of parts of the stream, each some seconds long.
#[derive(Debug, Clone)]
pub(super) struct Drift {
    rate: u32,
    known: u8,
    /// The latest first: when it was, and the delay, both in samples, from an arbitrary origin.
    points: [(u32, i32); POINTS],
}

impl Drift {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, known: 0, points: [(0, 0); POINTS] }
    }

    /// The stream's clock jumped.
    pub(super) fn restart(&mut self) {
        self.known = 0;
    }

    /// Notes the least delay of a part that ended at `at`.
    pub(super) fn least(&mut self, delay: i32, at: u32) {
        // A step of more than 10 ms is another way through the network, and no clock.
        let step = i64::from(delay) - i64::from(self.points[0].1);
        if self.known > 0 && step.abs() > i64::from(self.rate / 100) {
            self.known = 0;
        }
        self.points.rotate_right(1);
        self.points[0] = (at, delay);
        self.known = (self.known + 1).min(POINTS as u8);
    }

    /// Parts per million by which the sender is faster: its packets come earlier and earlier.
    pub(super) fn ppm(&self) -> Option<i16> {
        if self.known < POINTS_MIN {
            return None;
        }
        // Least squares over milliseconds before the last point, and samples in 1/1000.
        let points = &self.points[..usize::from(self.known)];
        let (at, delay) = points[0];
        let count = points.len() as i64;
        let (mut x, mut y, mut xx, mut xy) = (0, 0, 0, 0);
        for point in points {
            let before = i64::from(at.wrapping_sub(point.0)) * 1000 / i64::from(self.rate);
            let more = i64::from(point.1.wrapping_sub(delay)) * 1000;
            x += before;
            y += more;
            xx += before * before;
            xy += before * more;
        }
        let spread = count * xx - x * x;
        if spread <= 0 {
            return None;
        }
        // 1/1000 samples per millisecond, of `rate` samples per 1000 ms.
        let slope = i128::from(count * xy - x * y) * 1_000_000 / i128::from(spread);
        let ppm = slope as i64 / i64::from(self.rate);
        (ppm.abs() <= PPM_MAX).then_some(ppm as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_the_delay_is_the_clock() {
        for rate in [8000_u32, 44_100, 48_000] {
            for ppm in [-300_i64, -20, 0, 300] {
                let mut drift = Drift::new(rate);
                for second in (0..60_i64).step_by(3) {
                    assert!(second >= 15 || drift.ppm().is_none());
                    let at = second * i64::from(rate);
                    // From just before the clock wraps.
                    drift.least((-at * ppm / 1_000_000) as i32, (at as u32).wrapping_sub(9000));
                }
                let found = i64::from(drift.ppm().unwrap());
                assert!((found - ppm).abs() <= 5, "{found} instead of {ppm} at {rate}");
            }
        }
    }

    #[test]
    fn another_way_through_the_network_is_no_drift() {
        let mut drift = Drift::new(8000);
        for second in 0..40 {
            let delay = if second < 20 { 0 } else { 400 };
            drift.least(delay, second * 8000);
        }
        assert_eq!(drift.ppm(), Some(0));
    }
}
