//! The way in: a packet finds its position and is stored. Nothing is decided here.

use std::time::Duration;

use media_units::{Arrival, Discard, ExtendedSequence, Instant, RtpTimestamp};

use super::packets::PacketStore;
use super::{Newest, ORIGIN, PAYLOAD_BYTES_MAX, Phase, Playout, RECOVERABLE, RECOVERABLE_MAX};
use crate::codec::Decoder;
use crate::comfort_noise::ComfortNoise;
use crate::rtp::RtpView;

/// Sequence numbers that are remembered, to know a duplicate.
const SEEN: u64 = u64::BITS as u64;

/// After 10 s two clocks may be milliseconds apart, and the network another: begin anew.
const LONG_PAUSE_SECONDS: u64 = 10;

impl Playout {
    /// Stores a packet of sound: the only copy on the way in. `decoder` is the stream's.
    ///
    /// [`Discard::Overflow`] means that this packet was stored and that the oldest sound made
    /// way, so that the delay stays below its bound.
    pub fn insert(
        &mut self,
        packet: &RtpView<'_>,
        extended: ExtendedSequence,
        arrival: Arrival,
        decoder: &Decoder,
    ) -> Result<(), Discard> {
        let payload = packet.payload();
        let length = self.length(payload, decoder)?;
        let before = self.newest.map_or(extended.0, |newest| newest.sequence.0);
        let position = self.place(packet, extended, length, arrival)?;
        // What was overtaken by the beginning of the pause does not end it.
        if self.silent.end == u64::MAX && extended.0 > before {
            self.silent.end = position;
        }
        self.note_length(length);
        if self.memory.is_some() {
            self.note_redundancy(extended.0.saturating_sub(before), payload, decoder);
        }
        if let Some(noise) = decoder.pause_after(payload)
            && extended.0 > before
        {
            self.silent = (position + length).max(self.end)..u64::MAX;
            self.background.describe(&noise);
        }
        self.note_arrival(position, arrival);
        let whole = self.store(position, length, payload);
        self.limit_delay(position, length)?;
        if whole { Ok(()) } else { Err(Discard::Overflow) }
    }

    /// Takes a description of the noise that is to be heard until the next packet of sound
    /// (RFC 3389): what is missing from here on is meant.
    pub fn insert_comfort_noise(
        &mut self,
        packet: &RtpView<'_>,
        extended: ExtendedSequence,
        arrival: Arrival,
    ) -> Result<(), Discard> {
        let noise = ComfortNoise::parse(packet.payload())?;
        self.insert_pause(packet, extended, arrival)?;
        self.background.describe(&noise);
        Ok(())
    }

    /// Takes note of a packet of a telephone event (RFC 4733): the endpoint sends it in place of
    /// sound, so that what is missing from here on is no loss.
    pub fn insert_event(&mut self, extended: ExtendedSequence) {
        let Some(newest) = self.newest.filter(|newest| extended > newest.sequence) else { return };
        // All packets of an event have the timestamp of its beginning: it tells no place.
        self.note_newest(extended, newest.timestamp, newest.position);
        self.silent = self.end..u64::MAX;
        self.background.silence();
    }

    fn insert_pause(
        &mut self,
        packet: &RtpView<'_>,
        extended: ExtendedSequence,
        arrival: Arrival,
    ) -> Result<(), Discard> {
        let Some(newest) = self.newest else { return Ok(()) };
        let is_newest = extended > newest.sequence;
        let position = self.place(packet, extended, 0, arrival)?;
        if is_newest {
            self.silent = position.max(self.end)..u64::MAX;
        }
        Ok(())
    }

    /// How many samples the payload holds, if it can be kept.
    fn length(&self, payload: &[u8], decoder: &Decoder) -> Result<u64, Discard> {
        if self.memory.is_none() {
            let fits = (1..=PAYLOAD_BYTES_MAX).contains(&payload.len());
            return if fits { Ok(payload.len() as u64) } else { Err(Discard::PayloadSize) };
        }
        let samples = decoder.samples(payload)?;
        // 120 ms: the longest that any format has (RFC 6716 section 2.1.4).
        let fits = PacketStore::fits(payload.len()) && samples <= self.rate as usize * 12 / 100;
        if fits { Ok(samples as u64) } else { Err(Discard::PayloadSize) }
    }

    /// Finds the packet's position, and remembers that it was seen.
    fn place(
        &mut self,
        packet: &RtpView<'_>,
        extended: ExtendedSequence,
        length: u64,
        arrival: Arrival,
    ) -> Result<u64, Discard> {
        let arrival = arrival.estimate();
        let position = match self.newest {
            None => self.begin(length, arrival),
            Some(newest) => {
                let units = i64::from(packet.timestamp().distance_from(newest.timestamp));
                let distance = units * i64::from(self.scale);
                let position = newest.position.saturating_add_signed(distance);
                if extended > newest.sequence {
                    self.place_newer(position, length, arrival)
                } else {
                    self.place_older(position, length, newest.sequence.0 - extended.0, arrival)?
                }
            }
        };
        self.note_newest(extended, packet.timestamp(), position);
        Ok(position)
    }

    /// The first packet, or the first after a pause of which the timestamps say nothing useful:
    /// plays as soon as it had its margin.
    fn begin(&mut self, length: u64, arrival: Instant) -> u64 {
        // Packets that are no multiple of a period are due up to so much before they are there.
        let misfit = u64::from(self.period - step(length, self.period));
        let hold = u64::from(self.target().max(self.as_samples(self.limits.delay_initial)));
        let nanos = (hold + misfit) * 1_000_000_000 / u64::from(self.rate);
        self.phase = Phase::Held { until: arrival + Duration::from_nanos(nanos) };
        self.estimate.rebase();
        self.waited = 0;
        self.end
    }

    /// The place of the newest packet of all. Its timestamp is believed as far as it makes sense.
    fn place_newer(&mut self, position: u64, length: u64, arrival: Instant) -> u64 {
        let paused = self.playhead == self.end && self.concealer.is_silent();
        if paused {
            return self.resume(position, length, arrival);
        }
        if position < self.playhead || position + length > self.playhead + self.ahead_max() {
            // The sender's timestamps jumped: its sound goes on where it was.
            self.estimate.rebase();
            return self.end;
        }
        position
    }

    /// After a pause the sound goes on as scheduled, if the sender's clock ran on meanwhile.
    /// The hole itself is over: nothing need be stored for it.
    fn resume(&mut self, position: u64, length: u64, arrival: Instant) -> u64 {
        let scheduled = self.playhead + self.waited;
        let is_long = self.waited > LONG_PAUSE_SECONDS * u64::from(self.rate);
        if is_long || position.abs_diff(scheduled) > u64::from(self.delay_max) {
            return self.begin(length, arrival);
        }
        // The hole is taken out of the stream: positions are smaller by what was waited.
        let place = self.playhead + position.saturating_sub(scheduled);
        self.anchor = self.anchor.wrapping_add(position.wrapping_sub(place) as u32);
        self.waited = scheduled.saturating_sub(position);
        self.accept_wait();
        place
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
        if steps >= SEEN || is_over || end > self.playhead + self.ahead_max() {
            self.report.packets_late += 1;
            if is_over {
                self.note_arrival(position, Arrival::At(arrival));
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
                if steps == 1 && position > self.end && self.silent.end != u64::MAX {
                    self.silent = self.end..position;
                }
            }
        }
    }

    fn note_length(&mut self, length: u64) {
        if length as u32 != self.packet_samples {
            self.packet_samples = length as u32;
            self.step = step(length, self.period);
        }
    }

    /// Follows how much is lost that the redundancy in the next packet could recover, which is only
    /// there in time if the delay is a packet longer.
    fn note_redundancy(&mut self, steps: u64, payload: &[u8], decoder: &Decoder) {
        self.recoverable = self.recoverable.saturating_sub(1);
        if steps > 1 && steps < SEEN && decoder.has_redundancy(payload) {
            self.recoverable = (self.recoverable + RECOVERABLE).min(RECOVERABLE_MAX);
        }
    }

    /// Tells the estimate how long the packet was on its way. What came so late that no delay
    /// allowed would have helped says nothing.
    fn note_arrival(&mut self, position: u64, arrival: Arrival) {
        let at = match (arrival, self.estimate.base()) {
            (Arrival::By(latest), None) => latest,
            _ => arrival.earliest(),
        };
        let place = position.wrapping_sub(ORIGIN) as u32;
        let units = at.as_rtp_units(self.rate);
        if self.estimate.base().is_none() {
            let before = self.anchor;
            self.anchor = units.wrapping_sub(place);
            let moved = before.wrapping_sub(self.anchor) as i32;
            self.schedule = self.schedule.wrapping_add(moved);
        }
        let mut delay = units.wrapping_sub(self.anchor).wrapping_sub(place) as i32;
        let base = self.estimate.base().unwrap_or(delay);
        if matches!(arrival, Arrival::By(_)) {
            // Perhaps it was faster, perhaps not: it says nothing about the fastest.
            delay = delay.max(base);
        }
        if delay.wrapping_sub(base) > self.delay_max as i32 + self.period as i32 {
            self.estimate.too_late();
            return;
        }
        self.estimate.packet(delay, units);
        if self.phase == Phase::Running {
            let ahead = position as i64 - (self.playhead + self.waited) as i64;
            let offset = (ahead as i32).rem_euclid(self.period as i32);
            let slack = self.schedule.saturating_sub(offset).saturating_sub(delay);
            if slack < 0 {
                self.calm = 0;
            }
            let heard = slack.clamp(0, self.rate as i32) as u32;
            self.mean_slack = self.mean_slack + heard - (self.mean_slack >> 4);
        }
    }

    /// Stores what is not yet due over. False where another packet had to make way.
    fn store(&mut self, position: u64, length: u64, payload: &[u8]) -> bool {
        self.end = self.end.max(position + length);
        self.report.packets_stored += 1;
        let over = self.playhead.saturating_sub(position);
        if over > 0 {
            self.report.samples_late += over.min(length);
        }
        if let Some(memory) = &mut self.memory {
            return memory.packets.insert(position, length as usize, payload);
        }
        if let Some(rest) = payload.get(over as usize..) {
            self.store.write(position.max(self.playhead), rest);
        }
        true
    }

    /// Drops the oldest sound where more waits than allowed.
    fn limit_delay(&mut self, position: u64, length: u64) -> Result<(), Discard> {
        let most = u64::from(self.delay_max).max(length + u64::from(self.period));
        let waiting = position.saturating_sub(self.playhead);
        if waiting <= most {
            return Ok(());
        }
        let excess = waiting - most;
        let holes_only = self.gap(excess as usize) as u64 == excess;
        self.skip(excess);
        if holes_only { Ok(()) } else { Err(Discard::Overflow) }
    }
}

/// By how much the places of packets of that length differ within a period.
fn step(length: u64, period: u32) -> u32 {
    let (mut a, mut b) = (length, u64::from(period));
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (a as u32).max(1)
}

const _: () = assert!(ORIGIN > 1 << 33, "no distance of timestamps reaches below zero");
