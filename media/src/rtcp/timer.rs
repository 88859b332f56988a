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
