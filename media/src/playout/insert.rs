//! The way in: a packet finds its position and is stored. Nothing is decided here.

use std::time::Duration;

use media_units::{
    Arrival, BLOCK_SAMPLES, Discard, ExtendedSequence, Instant, PERIOD, RtpTimestamp,
};

use super::delay::SlackWindow;
use super::{AHEAD, CAPACITY, Newest, ORIGIN, PAYLOAD_BYTES_MAX, Phase, Playout, SAMPLES_PER_MS};
use crate::codec::Decoder;
use crate::rtp::RtpView;

/// Sequence numbers that are remembered, to know a duplicate.
const SEEN: u64 = u64::BITS as u64;

/// After 10 s two clocks may be milliseconds apart, and the network another: begin anew.
const LONG_PAUSE: u64 = 80_000;

const PERIOD_SAMPLES: u64 = BLOCK_SAMPLES as u64;

impl Playout {
    /// Stores a packet: the only copy on the way in.
    ///
    /// [`Discard::Overflow`] means that this packet was stored and that the oldest sound made
    /// way, so that the delay stays below its bound.
    pub fn insert(
        &mut self,
        packet: &RtpView<'_>,
        extended: ExtendedSequence,
        arrival: Arrival,
        _decoder: &Decoder,
    ) -> Result<(), Discard> {
        let arrival = arrival.estimate();
        let payload = packet.payload();
        if !(1..=PAYLOAD_BYTES_MAX).contains(&payload.len()) {
            return Err(Discard::PayloadSize);
        }
        let length = payload.len() as u64;
        let position = match self.newest {
            None => self.begin(length, arrival),
            Some(newest) => {
                let units = packet.timestamp().distance_from(newest.timestamp);
                let position = newest.position.saturating_add_signed(i64::from(units));
                if extended > newest.sequence {
                    self.place_newer(position, length, arrival)
                } else {
                    self.place_older(position, length, newest.sequence.0 - extended.0, arrival)?
                }
            }
        };
        self.note_newest(extended, packet.timestamp(), position);
        self.note_slack(position, arrival);
        self.store(position, payload);
        self.limit_delay(position, length)
    }

    /// The first packet, or the first after a pause of which the timestamps say nothing useful:
    /// plays as soon as it had its margin.
    fn begin(&mut self, length: u64, arrival: Instant) -> u64 {
        // Packets that are no multiple of a period are due up to so much before they are there.
        let misfit = PERIOD_SAMPLES - greatest_common_divisor(length, PERIOD_SAMPLES);
        let hold = (self.needed.max(self.initial) + misfit) * 1_000_000 / SAMPLES_PER_MS;
        self.phase = Phase::Held { until: arrival + Duration::from_nanos(hold) };
        self.slack = SlackWindow::new();
        self.waited = 0;
        self.end
    }

    /// The place of the newest packet of all. Its timestamp is believed as far as it makes sense.
    fn place_newer(&mut self, position: u64, length: u64, arrival: Instant) -> u64 {
        let paused = self.playhead == self.end && self.concealer.is_silent();
        if paused {
            return self.resume(position, length, arrival);
        }
        if position < self.playhead || position + length > self.playhead + AHEAD {
            // The sender's timestamps jumped: its sound goes on where it was.
            self.slack = SlackWindow::new();
            return self.end;
        }
        position
    }

    /// After a pause the sound goes on as scheduled, if the sender's clock ran on meanwhile.
    /// The hole itself is over: nothing need be stored for it.
    fn resume(&mut self, position: u64, length: u64, arrival: Instant) -> u64 {
        let scheduled = self.playhead + self.waited;
        if self.waited > LONG_PAUSE || position.abs_diff(scheduled) > self.delay_max {
            return self.begin(length, arrival);
        }
        self.waited = scheduled.saturating_sub(position);
        self.accept_wait();
        self.playhead + position.saturating_sub(scheduled)
    }

    /// The place of a packet that was overtaken, if it is still of use.
    fn place_older(
        &mut self,
        position: u64,
        length: u64,
        steps: u64,
        arrival: Instant,
    ) -> Result<u64, Discard> {
        let seen = self.newest.map_or(0, |newest| newest.seen);
        if steps < SEEN && seen >> steps & 1 == 1 {
            self.report.packets_duplicate += 1;
            return Err(Discard::Duplicate);
        }
        let end = position.saturating_add(length);
        let is_over = end <= self.playhead;
        if steps >= SEEN || is_over || end > self.playhead + AHEAD {
            self.report.packets_late += 1;
            if is_over {
                self.note_slack(position, arrival);
            }
            if let Some(newest) = self.newest.as_mut().filter(|_| steps < SEEN) {
                newest.seen |= 1 << steps;
            }
            return Err(Discard::Late);
        }
        Ok(position)
    }

    fn note_newest(&mut self, sequence: ExtendedSequence, timestamp: RtpTimestamp, position: u64) {
        let before = self.newest;
        match &mut self.newest {
            Some(newest) if sequence <= newest.sequence => {
                newest.seen |= 1 << (newest.sequence.0 - sequence.0);
            }
            newest => {
                let steps = before.map_or(SEEN, |before| sequence.0 - before.sequence.0);
                let seen = before.map_or(0, |before| before.seen);
                let seen = seen.checked_shl(steps.min(SEEN) as u32).unwrap_or(0) | 1;
                *newest = Some(Newest { sequence, timestamp, position, seen });
                if steps == 1 && position > self.end {
                    self.silent = self.end..position;
                }
            }
        }
    }

    /// How long before it is due the packet came. What came so late that no delay allowed would
    /// have helped says nothing.
    fn note_slack(&mut self, position: u64, arrival: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        let due = self.playhead + self.waited;
        let periods = (position as i64 - due as i64).div_euclid(PERIOD_SAMPLES as i64);
        let until_pull =
            self.last_pull.as_nanos() as i64 + PERIOD.as_nanos() as i64 - arrival.as_nanos() as i64;
        let until_pull = until_pull * SAMPLES_PER_MS as i64 / 1_000_000;
        let slack = until_pull + periods * PERIOD_SAMPLES as i64;
        // A tick that runs late must not make its packets look late: they are in time.
        let slack = if periods >= 0 { slack.max(0) } else { slack.min(-1) };
        if slack < -(self.delay_max as i64) {
            return;
        }
        let slack = slack.min(CAPACITY_SAMPLES) as i32;
        self.slack.add(slack);
        let heard = slack.max(0) as u32;
        self.mean_slack = self.mean_slack + heard - (self.mean_slack >> 4);
    }

    /// Stores what is not yet due over.
    fn store(&mut self, position: u64, payload: &[u8]) {
        let over = self.playhead.saturating_sub(position) as usize;
        if let Some(rest) = payload.get(over..) {
            self.store.write(position.max(self.playhead), rest);
        }
        self.end = self.end.max(position + payload.len() as u64);
        self.report.packets_stored += 1;
    }

    /// Drops the oldest sound where more waits than allowed.
    fn limit_delay(&mut self, position: u64, length: u64) -> Result<(), Discard> {
        let most = self.delay_max.max(length + PERIOD_SAMPLES);
        let waiting = position.saturating_sub(self.playhead);
        if waiting <= most {
            return Ok(());
        }
        let excess = waiting - most;
        let holes_only = self.store.gap(self.playhead, excess as usize) as u64 == excess;
        self.skip(excess);
        if holes_only { Ok(()) } else { Err(Discard::Overflow) }
    }
}

const CAPACITY_SAMPLES: i64 = CAPACITY as i64;

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

const _: () = assert!(ORIGIN > 1 << 33, "no distance of timestamps reaches below zero");
