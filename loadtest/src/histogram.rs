//! Durations, counted in steps of 0.1 ms.

use std::time::Duration;

use serde::Serialize;

const STEP: Duration = Duration::from_micros(100);
/// Up to 2 s; longer ones are in the last bucket.
const BUCKETS: usize = 20_000;

/// Counted durations.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

/// A histogram in five numbers, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let bucket = (duration.as_nanos() / STEP.as_nanos()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many were longer than this.
    pub(crate) fn longer_than(&self, limit: Duration) -> u64 {
        let bucket = (limit.as_nanos() / STEP.as_nanos()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)..].iter().sum()
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        Quantiles {
            count: self.count,
            p50_ms: self.quantile(0.50),
            p99_ms: self.quantile(0.99),
            p999_ms: self.quantile(0.999),
            max_ms: self.max.as_secs_f64() * 1000.0,
        }
    }

    /// The upper end of the bucket that holds this share of all, in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|&count| {
            seen += count;
            seen >= wanted
        });
        let steps = bucket.map_or(0, |bucket| bucket as u32 + 1);
        (STEP * steps).min(self.max).as_secs_f64() * 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_step() {
        let mut histogram = Histogram::default();
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        let quantiles = histogram.quantiles();
        assert!((quantiles.p50_ms - 50.0).abs() < 0.11, "{}", quantiles.p50_ms);
        assert!((quantiles.p99_ms - 99.0).abs() < 0.11, "{}", quantiles.p99_ms);
        assert!((quantiles.p999_ms - 100.0).abs() < 0.11, "{}", quantiles.p999_ms);
        assert!((quantiles.max_ms - 100.0).abs() < 0.001);
        assert_eq!(histogram.longer_than(Duration::from_millis(60)), 41);
    }

    #[test]
    fn nothing_counted_is_zero_and_very_long_is_kept_as_the_maximum() {
        let mut histogram = Histogram::default();
        assert!(histogram.quantiles().p99_ms < 0.001);
        histogram.record(Duration::from_secs(30));
        assert!((histogram.quantiles().max_ms - 30_000.0).abs() < 0.001);
    }
}
