//! When to report: RFC 3550 section 6.3, for a session of two.
//!
//! Half the least interval first, a random factor of 0.5 to 1.5 over e - 3/2, the average packet
//! size, the number of members, and timer reconsideration, reverse reconsideration when the other
//! one leaves included. What has no place in a session of two: a share of the bandwidth for
//! senders (who are a quarter of the members at least, so that all share alike), members that
//! time out (the call ends), and the back-off of BYE (for 50 members and more).

use std::time::Duration;

use media_units::{Encoding, Instant, PERIOD};

use crate::Random;
use crate::rtp::HEADER_BYTES;

/// IP and UDP header, which count as part of a packet's size (RFC 3550 section 6.2).
const LOWER_LAYER_BYTES: usize = 28;

/// Makes up for timer reconsideration: e - 3/2 (RFC 3550 section 6.3.1).
const COMPENSATION: f64 = 1.21828;

/// The size assumed of our first packet (RFC 3550 section 6.3.2).
const FIRST_BYTES: usize = 100;

/// RTCP octets per second beside sound in this payload format at so many bits in a second (which
/// matter for Opus only): 5 % of the session bandwidth, headers included (RFC 3550 section 6.2).
pub fn bandwidth(encoding: Encoding, bit_rate: u32) -> f64 {
    let bits = match encoding {
        Encoding::Opus => bit_rate,
        Encoding::Pcmu | Encoding::Pcma | Encoding::G722 => 64_000,
        Encoding::G726 => 32_000,
        Encoding::Gsm => 13_200,
        Encoding::Ilbc => 13_333,
        #[cfg(feature = "g729")]
        Encoding::G729 => 8000,
        Encoding::L16At8000
        | Encoding::L16At16000
        | Encoding::L16At44100
        | Encoding::L16At48000 => 16 * encoding.sample_rate(),
    };
    let headers = (LOWER_LAYER_BYTES + HEADER_BYTES) as f64 / PERIOD.as_secs_f64();
    (f64::from(bits) / 8.0 + headers) * 0.05
}

/// Decides when the next report is due.
#[derive(Debug, Clone)]
pub struct Timer {
    interval: Duration,
    bandwidth: f64,
    average_bytes: f64,
    /// Who is known: we, and the endpoint once it was heard of.
    members: u8,
    /// Nothing was sent yet: half the interval.
    initial: bool,
    last: Instant,
    next: Instant,
}

impl Timer {
    /// Starts with the session. `interval` is the least mean interval (5 s in RFC 3550),
    /// `bandwidth` is what RTCP may take, in octets per second.
    pub fn new(interval: Duration, bandwidth: f64, now: Instant, random: &mut Random) -> Self {
        let average_bytes = (FIRST_BYTES + LOWER_LAYER_BYTES) as f64;
        let mut timer = Self {
            interval,
            bandwidth,
            average_bytes,
            members: 1,
            initial: true,
            last: now,
            next: now,
        };
        timer.next = now + timer.draw(random);
        timer
    }

    /// When to ask again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Whether a report was ever sent.
    pub fn has_sent(&self) -> bool {
        !self.initial
    }

    /// Another payload format was agreed on.
    pub fn set_bandwidth(&mut self, bandwidth: f64) {
        self.bandwidth = bandwidth;
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

    /// A compound of `bytes` arrived from the endpoint, which is a member by that.
    pub fn received(&mut self, bytes: usize) {
        self.members = 2;
        self.average(bytes);
    }

    /// The endpoint says goodbye: what is left of the interval shrinks with the members (reverse
    /// reconsideration, RFC 3550 section 6.3.4).
    pub fn left(&mut self, now: Instant) {
        if std::mem::replace(&mut self.members, 1) == 2 {
            self.next = now + self.next.since(now) / 2;
            self.last = now - now.since(self.last) / 2;
        }
    }

    fn average(&mut self, bytes: usize) {
        let bytes = (bytes + LOWER_LAYER_BYTES) as f64;
        self.average_bytes += (bytes - self.average_bytes) / 16.0;
    }

    fn draw(&self, random: &mut Random) -> Duration {
        let least = if self.initial { self.interval / 2 } else { self.interval };
        let by_bandwidth = f64::from(self.members) * self.average_bytes / self.bandwidth;
        let mean = least.as_secs_f64().max(by_bandwidth);
        let factor = 0.5 + f64::from(random.next_u32()) / f64::from(u32::MAX);
        Duration::from_secs_f64(mean * factor / COMPENSATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    /// G.711 at 20 ms: 80 kbit/s.
    const BANDWIDTH: f64 = 500.0;

    /// The times of `count` reports of 120 octets, asked every 5 ms.
    fn reports(seed: u64, count: usize) -> Vec<Instant> {
        let mut random = Random::new(seed);
        let mut now = Instant::from_millis(1000);
        let mut timer = Timer::new(INTERVAL, BANDWIDTH, now, &mut random);
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
        let mut timer = Timer::new(INTERVAL, BANDWIDTH, now, &mut random);
        for _ in 0..100 {
            timer.received(4000);
        }
        timer.sent(4000, now, &mut random);
        assert!(timer.next().since(now) > Duration::from_secs(6), "2 * 4028 / 500 / 1.22 / 2");
    }

    #[test]
    fn rtcp_may_take_a_twentieth_of_what_the_sound_takes() {
        for (encoding, bit_rate, bandwidth) in [
            (Encoding::Pcmu, 0, BANDWIDTH),
            (Encoding::Opus, 24_000, 250.0),
            (Encoding::L16At48000, 0, 4900.0),
            (Encoding::Gsm, 0, 182.5),
        ] {
            let found = super::bandwidth(encoding, bit_rate);
            assert!((found - bandwidth).abs() < 1e-6, "{encoding}: {found}");
        }
    }

    #[test]
    fn who_is_alone_has_all_the_bandwidth_and_who_is_left_reports_sooner() {
        let mut random = Random::new(1);
        let now = Instant::from_millis(1000);
        let mut timer = Timer::new(Duration::from_millis(500), 10.0, now, &mut random);
        let longest = |members: f64| Duration::from_secs_f64(members * 128.0 / 10.0 * 1.5 / 1.21);
        assert!(timer.next().since(now) < longest(1.0));
        assert!(!timer.has_sent());
        timer.received(100);
        timer.sent(100, now, &mut random);
        assert!(timer.has_sent());
        let before = timer.next().since(now);
        timer.left(now);
        assert_eq!(timer.next().since(now), before / 2);
        timer.left(now);
        assert_eq!(timer.next().since(now), before / 2, "it leaves once");
        timer.set_bandwidth(1e9);
        timer.sent(100, now, &mut random);
        assert!(timer.next().since(now) < Duration::from_millis(700));
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        assert_eq!(reports(9, 50), reports(9, 50));
        assert_ne!(reports(9, 50), reports(10, 50));
    }
}
