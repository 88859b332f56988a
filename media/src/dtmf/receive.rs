//! Digits as named events (RFC 4733): pressed by the endpoint, reported once, at their end.
//!
//! An event is known by its source and the timestamp of its first packet: a gateway may send
//! events under an SSRC of their own beside the sound. The end may be told three times, or be
//! lost; then the next event or silence ends it. An event longer than 65535 units comes in
//! segments, each with a new timestamp. Some phones let the timestamp run on while a key is held:
//! what begins before the same key can have been released is the same press. Durations that fall
//! are reordered or wrong: the longest one counts.

use std::time::Duration;

use media_units::{Discard, Instant, KEYS, RtpTimestamp, Ssrc};

use super::Digit;
use crate::rtp::RtpView;

/// An event of which nothing was heard for so long has ended: several times the usual update
/// interval of 50 ms (RFC 4733 section 2.5.2.2).
const SILENCE_ENDS: Duration = Duration::from_millis(200);

/// A packet with an older timestamp within this time was overtaken. Later, the sender's clock was
/// set back.
const REORDERED: Duration = Duration::from_secs(1);

/// Follows the events of one receive stream.
#[derive(Debug, Clone, Default)]
pub struct DigitReceiver {
    event: Option<Event>,
}

/// The latest event. It stays after its end, so that its repetitions are known.
#[derive(Debug, Clone, Copy)]
struct Event {
    ssrc: Ssrc,
    digit: char,
    /// Units in a second.
    clock_rate: u32,
    /// Of the present segment.
    timestamp: RtpTimestamp,
    /// Of the segments before.
    earlier_units: u32,
    /// Of the present segment.
    units: u16,
    ended: bool,
    reported: bool,
    heard: Instant,
}

/// What a packet says.
#[derive(Debug, Clone, Copy)]
struct Update {
    ssrc: Ssrc,
    digit: char,
    timestamp: RtpTimestamp,
    units: u16,
    end: bool,
}

impl DigitReceiver {
    /// No digit yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event packet whose durations are in units of `clock_rate`. Events that are no
    /// digits (flash, tones) are ignored.
    pub fn packet(
        &mut self,
        packet: &RtpView<'_>,
        clock_rate: u32,
        arrival: Instant,
    ) -> Result<Option<Digit>, Discard> {
        let Some(update) = Update::read(packet)? else {
            return Ok(None);
        };
        let Some(event) = &mut self.event else {
            self.event = Some(Event::begin(update, clock_rate, arrival));
            return Ok(self.report_if_ended());
        };
        if event.overlaps(update) || event.is_continued_by(update) {
            event.update(update, arrival);
            return Ok(self.report_if_ended());
        }
        if event.is_newer_than(update) && arrival.since(event.heard) < REORDERED {
            return Ok(None); // A repetition of what was reported.
        }
        event.ended = true;
        let before = self.report_if_ended();
        self.event = Some(Event::begin(update, clock_rate, arrival));
        // Two digits at once are rare (all packets of one lost but the end): the second one waits
        // for the next packet or `expire`.
        Ok(before.or_else(|| self.report_if_ended()))
    }

    /// The source has begun anew: its timestamps say nothing of what is older than what.
    pub fn begin_anew(&mut self) {
        if let Some(event) = &mut self.event {
            event.heard = Instant::START;
        }
    }

    /// The digit whose end was lost, once that is certain. Call it at every period.
    pub fn expire(&mut self, now: Instant) -> Option<Digit> {
        let event = self.event.as_mut().filter(|event| !event.reported)?;
        event.ended |= now.since(event.heard) >= SILENCE_ENDS;
        self.report_if_ended()
    }

    fn report_if_ended(&mut self) -> Option<Digit> {
        let event = self.event.as_mut().filter(|event| event.ended && !event.reported)?;
        event.reported = true;
        Some(Digit { digit: event.digit, duration_ms: event.duration_ms() })
    }
}

impl Update {
    fn read(packet: &RtpView<'_>) -> Result<Option<Self>, Discard> {
        let [event, flags, high, low] =
            *packet.payload().first_chunk().ok_or(Discard::PayloadSize)?;
        let Some(&digit) = KEYS.get(usize::from(event)) else {
            return Ok(None);
        };
        let units = u16::from_be_bytes([high, low]);
        let (ssrc, timestamp) = (packet.ssrc(), packet.timestamp());
        Ok(Some(Self { ssrc, digit, timestamp, units, end: flags & 0x80 != 0 }))
    }
}

impl Event {
    fn begin(update: Update, clock_rate: u32, heard: Instant) -> Self {
        Self {
            ssrc: update.ssrc,
            digit: update.digit,
            clock_rate: clock_rate.max(1),
            timestamp: update.timestamp,
            earlier_units: 0,
            units: update.units,
            ended: update.end,
            reported: false,
            heard,
        }
    }

    /// Whether `update` is of the same source and key.
    fn is_of(&self, update: Update) -> bool {
        self.ssrc == update.ssrc && self.digit == update.digit
    }

    /// Whether `update` of the same source is of something before.
    fn is_newer_than(&self, update: Update) -> bool {
        self.ssrc == update.ssrc && update.timestamp.distance_from(self.timestamp) < 0
    }

    /// Whether `update` begins before this event is over, with the same key: it is the same press,
    /// perhaps of an endpoint whose timestamps run on.
    fn overlaps(&self, update: Update) -> bool {
        let shortest = (self.clock_rate / 50) as i32;
        let age = update.timestamp.distance_from(self.timestamp);
        self.is_of(update) && (0..=i32::from(self.units).max(shortest)).contains(&age)
    }

    /// Whether `update` belongs to the next segment: it starts where this one is full
    /// (RFC 4733 section 2.5.1.3). The full one's last packets may be lost.
    fn is_continued_by(&self, update: Update) -> bool {
        let lost_at_most = (self.clock_rate / 4) as i32;
        let age = update.timestamp.distance_from(self.timestamp);
        !self.ended
            && self.is_of(update)
            && i32::from(u16::MAX) - i32::from(self.units) < lost_at_most
            && (i32::from(self.units)..=i32::from(u16::MAX)).contains(&age)
    }

    fn update(&mut self, update: Update, heard: Instant) {
        if self.ended {
            // Repetitions of the end whose timestamps run on.
            self.timestamp = update.timestamp;
            return;
        }
        if self.is_continued_by(update) && update.timestamp != self.timestamp {
            let segment = update.timestamp.distance_from(self.timestamp).unsigned_abs();
            self.earlier_units = self.earlier_units.saturating_add(segment);
            self.units = 0;
        }
        self.timestamp = update.timestamp;
        self.units = self.units.max(update.units);
        self.ended = update.end;
        self.heard = heard;
    }

    fn duration_ms(&self) -> u16 {
        let units = u64::from(self.earlier_units) + u64::from(self.units);
        u16::try_from(units * 1000 / u64::from(self.clock_rate)).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::RtpHeader;
    use media_units::{SequenceNumber, Ssrc};
    use proptest::prelude::*;

    struct Phone {
        receiver: DigitReceiver,
        ssrc: u32,
        clock_rate: u32,
        now: Instant,
        digits: Vec<Digit>,
    }

    impl Phone {
        fn new() -> Self {
            Self::at(8000)
        }

        fn at(clock_rate: u32) -> Self {
            let now = Instant::from_millis(1000);
            Self { receiver: DigitReceiver::new(), ssrc: 5, clock_rate, now, digits: Vec::new() }
        }

        fn send(&mut self, event: u8, timestamp: u32, units: u16, end: bool) {
            let [high, low] = units.to_be_bytes();
            let payload = [event, if end { 0x8a } else { 0x0a }, high, low];
            let digit = self.payload(timestamp, &payload).unwrap();
            self.digits.extend(digit);
            self.now += Duration::from_millis(20);
        }

        fn payload(&mut self, timestamp: u32, payload: &[u8]) -> Result<Option<Digit>, Discard> {
            let header = RtpHeader {
                payload_type: 101,
                marker: false,
                sequence: SequenceNumber(0),
                timestamp: RtpTimestamp(timestamp),
                ssrc: Ssrc(self.ssrc),
            };
            let bytes = [&header.write()[..], payload].concat();
            self.receiver.packet(&RtpView::parse(&bytes).unwrap(), self.clock_rate, self.now)
        }

        fn wait(&mut self, millis: u64) {
            for _ in 0..millis / 20 {
                self.now += Duration::from_millis(20);
                self.digits.extend(self.receiver.expire(self.now));
            }
        }
    }

    fn digit(digit: char, duration_ms: u16) -> Digit {
        Digit { digit, duration_ms }
    }

    #[test]
    fn a_digit_is_reported_once_at_its_end() {
        let mut phone = Phone::new();
        for units in [160, 320, 480] {
            phone.send(5, 1000, units, false);
            assert_eq!(phone.digits, []);
        }
        for _ in 0..3 {
            phone.send(5, 1000, 640, true);
        }
        phone.wait(1000);
        assert_eq!(phone.digits, [digit('5', 80)]);
    }

    #[test]
    fn the_same_key_twice_is_two_digits() {
        let mut phone = Phone::new();
        for timestamp in [0xffff_ff00, 0x500] {
            phone.send(11, timestamp, 400, false);
            phone.send(11, timestamp, 800, true);
            phone.send(11, timestamp, 800, true);
        }
        assert_eq!(phone.digits, [digit('#', 100), digit('#', 100)]);
    }

    #[test]
    fn a_lost_end_is_made_up_for_by_the_next_digit_or_by_silence() {
        let mut phone = Phone::new();
        phone.send(1, 0, 800, false);
        phone.send(2, 2000, 160, false);
        assert_eq!(phone.digits, [digit('1', 100)]);
        phone.wait(160);
        assert_eq!(phone.digits.len(), 1);
        phone.wait(60);
        assert_eq!(phone.digits, [digit('1', 100), digit('2', 20)]);
        phone.send(2, 2000, 320, true); // Its end, much too late.
        phone.wait(1000);
        assert_eq!(phone.digits.len(), 2);
    }

    #[test]
    fn an_end_alone_is_a_digit_also_behind_an_unfinished_one() {
        let mut phone = Phone::new();
        phone.send(1, 0, 800, false);
        phone.send(2, 2000, 480, true);
        phone.wait(20);
        assert_eq!(phone.digits, [digit('1', 100), digit('2', 60)]);
    }

    #[test]
    fn reordered_repetitions_of_an_older_digit_are_ignored() {
        let mut phone = Phone::new();
        phone.send(1, 0, 800, true);
        phone.send(2, 2000, 160, false);
        phone.send(1, 0, 800, true);
        phone.send(2, 2000, 320, true);
        assert_eq!(phone.digits, [digit('1', 100), digit('2', 40)]);
    }

    #[test]
    fn other_keys_with_the_same_timestamp_are_other_digits() {
        let mut phone = Phone::new();
        for event in [1, 2, 3] {
            phone.send(event, 1000, 800, true);
            phone.send(event, 1000, 800, true);
        }
        assert_eq!(phone.digits, [digit('1', 100), digit('2', 100), digit('3', 100)]);
    }

    #[test]
    fn timestamps_of_another_source_say_nothing_about_a_digit() {
        let mut phone = Phone::new();
        phone.send(1, 100_000, 800, true);
        phone.ssrc = 6;
        phone.send(1, 100_080, 800, true);
        phone.ssrc = 7;
        phone.send(1, 50, 800, true);
        assert_eq!(phone.digits, [digit('1', 100); 3]);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_digit() {
        let mut phone = Phone::new();
        phone.send(1, 100_000, 800, true);
        phone.wait(1000);
        phone.send(2, 50, 800, true);
        assert_eq!(phone.digits, [digit('1', 100), digit('2', 100)]);
    }

    #[test]
    fn a_source_that_begins_anew_may_set_its_clock_back_at_once() {
        let mut phone = Phone::new();
        phone.send(11, 92_640, 2240, true);
        phone.send(0, 17_632, 0, false);
        assert_eq!(phone.digits, [digit('#', 280)], "older than that by its timestamp");
        phone.receiver.begin_anew();
        phone.send(0, 17_632, 0, false);
        phone.send(0, 17_632, 2240, true);
        assert_eq!(phone.digits, [digit('#', 280), digit('0', 280)]);
    }

    #[test]
    fn a_long_digit_in_segments_is_one_digit() {
        let mut phone = Phone::new();
        let mut timestamp = 9_u32;
        for _ in 0..2 {
            for units in (8000..=64_000).step_by(8000) {
                phone.send(12, timestamp, units, false);
            }
            phone.send(12, timestamp, u16::MAX, false);
            timestamp += u32::from(u16::MAX);
        }
        phone.send(12, timestamp, 800, true);
        assert_eq!(phone.digits, [digit('A', ((2 * 65535 + 800) / 8) as u16)]);
    }

    #[test]
    fn durations_are_in_units_of_the_clock() {
        for (clock_rate, units) in [(8000, 800), (16_000, 1600), (48_000, 4800)] {
            let mut phone = Phone::at(clock_rate);
            phone.send(3, 77, units / 2, false);
            phone.send(3, 77, units, true);
            assert_eq!(phone.digits, [digit('3', 100)]);
        }
    }

    #[test]
    fn a_digit_of_3_s_at_48_khz_is_one_digit_although_a_segment_is_full_after_1365_ms() {
        let mut phone = Phone::at(48_000);
        let (mut base, mut held) = (0_u32, 0_u32);
        while held < 3 * 48_000 {
            held += 960;
            if held - base > 0xffff {
                phone.send(9, base, u16::MAX, false);
                base += 0xffff;
            }
            // Every fourth packet is lost, also around the change of segments.
            if held / 960 % 4 != 0 || held == 3 * 48_000 {
                phone.send(9, base, (held - base) as u16, held == 3 * 48_000);
            }
        }
        assert_eq!(phone.digits, [digit('9', 3000)]);
    }

    #[test]
    fn a_timestamp_that_runs_on_while_a_key_is_held_is_one_digit() {
        let mut phone = Phone::new();
        for step in 0..6_u16 {
            phone.send(4, u32::from(step) * 160, step * 160, false);
        }
        for step in 6..9 {
            phone.send(4, step * 160, 960, true);
        }
        phone.wait(400);
        assert_eq!(phone.digits, [digit('4', 120)]);
    }

    #[test]
    fn a_duration_that_falls_does_not_shorten_a_digit_nor_end_it() {
        let mut phone = Phone::new();
        for units in [160, 480, 320, 0, 640, 160] {
            phone.send(6, 50, units, false);
        }
        phone.send(6, 50, 320, true);
        assert_eq!(phone.digits, [digit('6', 80)]);
    }

    #[test]
    fn the_same_key_again_whose_first_end_was_lost_is_two_digits_at_any_clock() {
        for clock_rate in [8000, 16_000, 48_000] {
            let mut phone = Phone::at(clock_rate);
            let ms = clock_rate / 1000;
            phone.send(5, 0, (80 * ms) as u16, false);
            phone.send(5, 140 * ms, (20 * ms) as u16, false);
            phone.send(5, 140 * ms, (60 * ms) as u16, true);
            assert_eq!(phone.digits, [digit('5', 80), digit('5', 60)]);
        }
    }

    #[test]
    fn a_key_held_for_ever_is_capped() {
        let mut phone = Phone::new();
        for segment in 0..20 {
            phone.send(0, segment * u32::from(u16::MAX), u16::MAX, false);
        }
        phone.wait(400);
        assert_eq!(phone.digits, [digit('0', u16::MAX)]);
    }

    #[test]
    fn what_is_no_digit_is_ignored_or_discarded() {
        let mut phone = Phone::new();
        phone.send(16, 0, 800, true);
        phone.send(255, 4000, 800, true);
        assert_eq!(phone.digits, []);
        assert_eq!(phone.payload(0, &[1, 2, 3]), Err(Discard::PayloadSize));
        assert_eq!(phone.payload(0, &[]), Err(Discard::PayloadSize));
    }

    proptest! {
        #[test]
        fn any_events_give_at_most_one_digit_each(
            clock_rate in any::<u32>(),
            packets in prop::collection::vec(
                (0u8..20, any::<u8>(), any::<u32>(), any::<u16>(), 0u64..400), 0..40
            )
        ) {
            let mut phone = Phone::at(clock_rate);
            for &(event, flags, timestamp, units, wait) in &packets {
                phone.now += Duration::from_millis(wait);
                let [high, low] = units.to_be_bytes();
                let digit = phone.payload(timestamp, &[event, flags, high, low]);
                phone.digits.extend(digit.unwrap());
                phone.wait(20);
            }
            phone.wait(1000);
            prop_assert!(phone.digits.len() <= packets.len());
        }

        /// Whatever is lost, twice there or overtaken by one: of each key one press at most, and
        /// one where at least one of its packets came.
        #[test]
        fn a_lossy_network_neither_splits_nor_doubles_a_digit(
            clock_rate in prop::sample::select(vec![8000_u32, 16_000, 48_000]),
            start in any::<u32>(),
            keys in prop::collection::vec((0u8..16, 2u32..20), 1..6),
            fate in prop::collection::vec(0u8..6, 200),
        ) {
            let unit = clock_rate / 50;
            let mut packets = Vec::new();
            let mut at = 0;
            for &(key, steps) in &keys {
                for step in 1..=steps + 2 {
                    let units = (step.min(steps) * unit) as u16;
                    packets.push((at + step, key, start.wrapping_add(at * unit), units, step >= steps));
                }
                at += steps + 15;
            }
            let mut phone = Phone::at(clock_rate);
            let mut expected = String::new();
            let mut last = None;
            let mut clock = 0;
            for (packet, fate) in packets.iter().zip(&fate) {
                let &(due, key, timestamp, units, end) = packet;
                phone.wait(u64::from(due - clock) * 20);
                clock = due;
                if *fate == 0 {
                    continue;
                }
                for _ in 0..=u8::from(*fate == 1) {
                    let [high, low] = units.to_be_bytes();
                    let payload = [key, if end { 0x8a } else { 0x0a }, high, low];
                    let digit = phone.payload(timestamp, &payload);
                    phone.digits.extend(digit.unwrap());
                }
                if last != Some(timestamp) {
                    expected.push(KEYS[usize::from(key)]);
                    last = Some(timestamp);
                }
            }
            phone.wait(1000);
            let pressed: String = phone.digits.iter().map(|digit| digit.digit).collect();
            prop_assert_eq!(pressed, expected);
        }
    }
}
