//! When to report: RFC 3550 section 6.3, for a session of two.
//!
//! With two members and the bandwidth of a telephone call the minimum interval decides, and
//! members never come and go, so what remains of the algorithm is: half the interval first, a
//! random factor of 0.5 to 1.5 over e - 3/2, the average packet size, and timer reconsideration.

use std::time::Duration;

use media_units::Instant;

use crate::Random;

/// RTCP octets per second: 5 % of a G.711 stream (RFC 3550 section 6.2).
const BANDWIDTH: f64 = 64_000.0 / 8.0 * 0.05;

/// We and the endpoint.
const MEMBERS: f64 = 2.0;

/// IP and UDP header, which count as part of a packet's size (RFC 3550 section 6.2).
const LOWER_LAYER_BYTES: usize = 28;

/// Makes up for timer reconsideration: e - 3/2 (RFC 3550 section 6.3.1).
const COMPENSATION: f64 = 1.21828;

/// The size assumed of our first packet (RFC 3550 section 6.3.2).
const FIRST_BYTES: usize = 100;

/// Decides when the next report is due.
#[derive(Debug, Clone)]
pub struct Timer {
    interval: Duration,
    average_bytes: f64,
    /// Nothing was sent yet: half the interval.
    initial: bool,
    last: Instant,
    next: Instant,
}

impl Timer {
    /// Starts with the session. `interval` is the least mean interval (5 s in RFC 3550).
    pub fn new(interval: Duration, now: Instant, random: &mut Random) -> Self {
        let average_bytes = (FIRST_BYTES + LOWER_LAYER_BYTES) as f64;
        let mut timer = Self { interval, average_bytes, initial: true, last: now, next: now };
        timer.next = now + timer.draw(random);
        timer
    }

    /// When to ask again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Whether a report is to be sent now. Call it at every tick: cheap until `next`.
    pub fn expire(&mut self, now: Instant, random: &mut Random) -> bool {
        if now < self.next {
            return false;
        }
        let reconsidered = self.last + self.draw(random);
        self.next = reconsidered;
        reconsidered <= now
    }

    /// A compound of `bytes` was sent.
    pub fn sent(&mut self, bytes: usize, now: Instant, random: &mut Random) {
        self.initial = false;
        self.average(bytes);
        self.last = now;
        self.next = now + self.draw(random);
    }

    /// A compound of `bytes` arrived.
    pub fn received(&mut self, bytes: usize) {
        self.average(bytes);
    }

    fn average(&mut self, bytes: usize) {
        let bytes = (bytes + LOWER_LAYER_BYTES) as f64;
        self.average_bytes += (bytes - self.average_bytes) / 16.0;
    }

    fn draw(&self, random: &mut Random) -> Duration {
        let least = if self.initial { self.interval / 2 } else { self.interval };
        let by_bandwidth = MEMBERS * self.average_bytes / BANDWIDTH;
        let mean = least.as_secs_f64().max(by_bandwidth);
        let factor = 0.5 + f64::from(random.next_u32()) / f64::from(u32::MAX);
        Duration::from_secs_f64(mean * factor / COMPENSATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    /// The times of `count` reports of 120 octets, asked every 5 ms.
    fn reports(seed: u64, count: usize) -> Vec<Instant> {
        let mut random = Random::new(seed);
        let mut now = Instant::from_millis(1000);
        let mut timer = Timer::new(INTERVAL, now, &mut random);
        let mut times = vec![now];
        while times.len() <= count {
            now += Duration::from_millis(5);
            if timer.expire(now, &mut random) {
                timer.sent(120, now, &mut random);
                times.push(now);
            }
        }
        times
    }

    fn gaps(times: &[Instant]) -> Vec<f64> {
        times.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64()).collect()
    }

    #[test]
    fn reports_come_at_random_around_the_interval() {
        let times = reports(3, 2000);
        let gaps = gaps(&times[1..]);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean - 5.0).abs() < 0.25, "mean {mean}");
        // Reconsideration draws again, so the bounds are those of the draw.
        let (least, most) = (0.5 * 5.0 / COMPENSATION, 1.5 * 5.0 / COMPENSATION);
        assert!(gaps.iter().all(|gap| (least..most + 0.01).contains(gap)));
    }

    #[test]
    fn the_first_report_comes_after_half_the_interval() {
        let firsts: Vec<f64> = (0..500).map(|seed| gaps(&reports(seed, 1))[0]).collect();
        let mean = firsts.iter().sum::<f64>() / 500.0;
        assert!((mean - 2.5).abs() < 0.2, "mean {mean}");
    }

    #[test]
    fn large_packets_stretch_the_interval() {
        let mut random = Random::new(1);
        let now = Instant::START;
        let mut timer = Timer::new(INTERVAL, now, &mut random);
        for _ in 0..100 {
            timer.received(4000);
        }
        timer.sent(4000, now, &mut random);
        assert!(timer.next().since(now) > Duration::from_secs(8), "2 * 4028 / 400 / 1.22 / 2");
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        assert_eq!(reports(9, 50), reports(9, 50));
        assert_ne!(reports(9, 50), reports(10, 50));
    }
}
