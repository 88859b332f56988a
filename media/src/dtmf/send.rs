//! Digits that go out: what takes the place of sound, period by period.
//!
//! Where events were negotiated (RFC 4733 section 2.5.1), one event packet goes out in each period: all with the
//! timestamp at which the key went down, the duration rising, the marker on the first. The end is
//! told three times, once in each of three periods, so that one burst of loss does not take all.
//! Where no events were negotiated, the key's tones go out instead, and silence after them.

use media_units::{Cadence, Digits, RtpTimestamp};

use super::TonePair;

/// Digits that may wait.
const QUEUE_MAX: usize = Digits::MAX;

/// How often the end of an event is told.
const ENDS: u8 = 3;

/// Milliseconds in a period.
const PERIOD_MS: u16 = 20;

/// Sends digits one after the other.
#[derive(Debug, Clone)]
pub struct DigitSender {
    /// A ring: the first `waiting` from `first`.
    queue: [Press; QUEUE_MAX],
    first: u8,
    waiting: u8,
    state: State,
}

/// What takes the place of sound in one period.
#[derive(Debug, Clone, Copy)]
pub enum Sending {
    /// This packet, and no sound.
    Event(EventPacket),
    /// The key's tones: [`TonePair::fill`] writes them, and [`DigitSender::sounded`] is told.
    Tones(TonePair),
    /// Silence between two keys.
    Silence,
}

/// An event packet without its RTP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// The first packet of a press.
    pub marker: bool,
    /// When the key went down, or this segment of a long press began.
    pub timestamp: RtpTimestamp,
    /// RFC 4733 section 2.3.
    pub payload: [u8; 4],
}

#[derive(Debug, Clone, Copy)]
struct Press {
    key: u8,
    cadence: Cadence,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Event {
        press: Press,
        timestamp: RtpTimestamp,
        units_per_period: u32,
        step: u32,
        before: u32,
        ends: u8,
    },
    Tones {
        press: Press,
        pair: TonePair,
        left: u16,
    },
    /// The pause after a key.
    Gap {
        left: u16,
        silent: bool,
    },
}

impl Default for DigitSender {
    fn default() -> Self {
        Self::new()
    }
}

impl DigitSender {
    /// Nothing to send.
    pub const fn new() -> Self {
        let nothing = Press { key: 0, cadence: Cadence::DEFAULT };
        Self { queue: [nothing; QUEUE_MAX], first: 0, waiting: 0, state: State::Idle }
    }

    /// Whether nothing is sent and nothing waits.
    pub const fn is_idle(&self) -> bool {
        self.waiting == 0 && matches!(self.state, State::Idle)
    }

    /// Whether so many more fit.
    pub const fn has_room(&self, digits: usize) -> bool {
        self.waiting as usize + digits <= QUEUE_MAX
    }

    /// Appends digits; all of them, or none where they do not fit.
    pub fn push(&mut self, digits: &Digits, cadence: Cadence) {
        if !self.has_room(digits.len()) {
            return;
        }
        for key in digits.numbers() {
            let at = (self.first + self.waiting) as usize % QUEUE_MAX;
            self.queue[at] = Press { key, cadence };
            self.waiting += 1;
        }
    }

    /// What takes the place of sound in this period; `None`: the sound itself goes out.
    /// `timestamp` is the period's, `event_clock_rate` that of telephone-event where negotiated.
    pub fn next(
        &mut self,
        timestamp: RtpTimestamp,
        event_clock_rate: Option<u32>,
    ) -> Option<Sending> {
        self.follow_negotiation(event_clock_rate);
        if let State::Gap { left: 0, .. } | State::Idle = self.state {
            self.state = match self.pop() {
                Some(press) => begin(press, timestamp, event_clock_rate),
                None => State::Idle,
            };
        }
        match &mut self.state {
            State::Idle => None,
            State::Gap { left, silent } => {
                *left -= 1;
                silent.then_some(Sending::Silence)
            }
            State::Tones { press, pair, left } => {
                let sounds = *pair;
                *left -= 1;
                if *left == 0 {
                    let left = periods(press.cadence.gap_ms);
                    self.state = State::Gap { left, silent: true };
                }
                Some(Sending::Tones(sounds))
            }
            State::Event { .. } => self.event().map(Sending::Event),
        }
    }

    /// The tones as they went on through a period.
    pub fn sounded(&mut self, now: TonePair) {
        if let State::Tones { pair, .. } = &mut self.state {
            *pair = now;
        }
    }

    /// A press that began in the other way is cut off.
    fn follow_negotiation(&mut self, event_clock_rate: Option<u32>) {
        let is_other = match self.state {
            State::Event { .. } => event_clock_rate.is_none(),
            State::Tones { .. } => event_clock_rate.is_some(),
            State::Idle | State::Gap { .. } => false,
        };
        if is_other {
            self.state = State::Gap { left: periods(Cadence::DEFAULT.gap_ms), silent: false };
        }
    }

    fn pop(&mut self) -> Option<Press> {
        self.waiting = self.waiting.checked_sub(1)?;
        let press = self.queue[usize::from(self.first)];
        self.first = (self.first + 1) % QUEUE_MAX as u8;
        Some(press)
    }

    fn event(&mut self) -> Option<EventPacket> {
        let State::Event { press, timestamp, units_per_period, step, before, ends } =
            &mut self.state
        else {
            return None;
        };
        *step += 1;
        let steps = u32::from(periods(press.cadence.duration_ms));
        let from = timestamp.plus(*before);
        let units = (*step).min(steps) * *units_per_period - *before;
        let (units, is_end) = if let Ok(units) = u16::try_from(units) {
            (units, *step >= steps)
        } else {
            // The segment is full; the rest is told in the next one (section 2.5.1.3).
            *before += u32::from(u16::MAX);
            (u16::MAX, false)
        };
        *ends += u8::from(is_end);
        let [high, low] = units.to_be_bytes();
        let flags = if is_end { 0x80 } else { 0 } | press.cadence.volume & 0x3f;
        let packet = EventPacket {
            marker: *step == 1,
            timestamp: from,
            payload: [press.key, flags, high, low],
        };
        if *ends == ENDS {
            // The pause began when the end was told first.
            let left = periods(press.cadence.gap_ms).saturating_sub(u16::from(ENDS) - 1);
            self.state = State::Gap { left, silent: false };
        }
        Some(packet)
    }
}

fn begin(press: Press, timestamp: RtpTimestamp, event_clock_rate: Option<u32>) -> State {
    match event_clock_rate {
        Some(rate) => {
            let units_per_period = rate * u32::from(PERIOD_MS) / 1000;
            State::Event { press, timestamp, units_per_period, step: 0, before: 0, ends: 0 }
        }
        None => State::Tones {
            press,
            pair: TonePair::new(press.key, press.cadence.volume),
            left: periods(press.cadence.duration_ms).max(1),
        },
    }
}

/// Whole periods, rounded up.
fn periods(duration_ms: u16) -> u16 {
    duration_ms.div_ceil(PERIOD_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtmf::{Digit, DigitReceiver};
    use crate::rtp::{RtpHeader, RtpView};
    use media_units::{Instant, KEYS, SequenceNumber, Ssrc};
    use proptest::prelude::*;
    use std::time::Duration;

    fn sender(digits: &str, cadence: Cadence) -> DigitSender {
        let mut sender = DigitSender::new();
        sender.push(&Digits::parse(digits).unwrap(), cadence);
        sender
    }

    /// What goes out in so many periods, from this timestamp on.
    fn send(
        sender: &mut DigitSender,
        rate: u32,
        start: u32,
        periods: u32,
    ) -> Vec<Option<EventPacket>> {
        let packet = |period: u32| {
            let timestamp = RtpTimestamp(start.wrapping_add(period * (rate / 50)));
            match sender.next(timestamp, Some(rate)) {
                Some(Sending::Event(packet)) => Some(packet),
                None => None,
                Some(other) => panic!("{other:?}"),
            }
        };
        (0..periods).map(packet).collect()
    }

    /// What an endpoint makes of it.
    fn received(packets: &[Option<EventPacket>], rate: u32) -> Vec<Digit> {
        let mut receiver = DigitReceiver::new();
        let mut digits = Vec::new();
        let mut now = Instant::from_millis(50);
        for packet in packets {
            now += Duration::from_millis(20);
            if let Some(EventPacket { marker, timestamp, payload }) = *packet {
                let (sequence, ssrc) = (SequenceNumber(0), Ssrc(1));
                let header = RtpHeader { payload_type: 101, marker, sequence, timestamp, ssrc };
                let bytes = [&header.write()[..], &payload].concat();
                let view = RtpView::parse(&bytes).unwrap();
                digits.extend(receiver.packet(&view, rate, now).unwrap());
            }
            digits.extend(receiver.expire(now));
        }
        digits
    }

    #[test]
    fn a_key_is_a_marker_one_timestamp_a_rising_duration_and_three_ends() {
        let cadence = Cadence { duration_ms: 60, gap_ms: 60, volume: 7 };
        let sent = send(&mut sender("#1", cadence), 8000, 1000, 8);
        let packet = |marker, timestamp, payload| {
            Some(EventPacket { marker, timestamp: RtpTimestamp(timestamp), payload })
        };
        assert_eq!(
            sent,
            [
                packet(true, 1000, [11, 7, 0, 160]),
                packet(false, 1000, [11, 7, 1, 64]),
                packet(false, 1000, [11, 0x87, 1, 224]),
                packet(false, 1000, [11, 0x87, 1, 224]),
                packet(false, 1000, [11, 0x87, 1, 224]),
                None, // 60 ms after the first end the next key goes down
                packet(true, 1960, [1, 7, 0, 160]),
                packet(false, 1960, [1, 7, 1, 64]),
            ]
        );
    }

    #[test]
    fn a_long_key_at_48_khz_comes_in_segments() {
        let cadence = Cadence { duration_ms: 4000, ..Cadence::DEFAULT };
        let sent = send(&mut sender("7", cadence), 48_000, u32::MAX - 5, 250);
        let segments: std::collections::BTreeSet<u32> =
            sent.iter().flatten().map(|packet| packet.timestamp.0).collect();
        assert_eq!(segments.len(), 3);
        assert_eq!(sent.iter().flatten().filter(|packet| packet.marker).count(), 1);
        let digits = received(&sent, 48_000);
        assert_eq!(digits, [Digit { digit: '7', duration_ms: 4000 }]);
    }

    #[test]
    fn tones_sound_without_a_break_and_are_followed_by_silence() {
        let cadence = Cadence { duration_ms: 50, gap_ms: 40, volume: 10 };
        let mut sender = sender("5", cadence);
        let mut sound = Vec::new();
        let mut silence = 0;
        while !sender.is_idle() {
            match sender.next(RtpTimestamp(0), None) {
                Some(Sending::Tones(mut pair)) => {
                    let mut block = [0; 160];
                    pair.fill(8000, &mut block);
                    sender.sounded(pair);
                    sound.extend(block);
                }
                Some(Sending::Silence) => silence += 1,
                Some(Sending::Event(_)) => panic!("no events were negotiated"),
                None => {}
            }
        }
        let mut whole = vec![0; 480];
        TonePair::new(5, 10).fill(8000, &mut whole);
        assert_eq!((sound, silence), (whole, 2));
    }

    #[test]
    fn a_press_is_cut_off_where_the_negotiation_changes() {
        let mut sender = sender("12", Cadence::DEFAULT);
        assert!(matches!(sender.next(RtpTimestamp(0), Some(8000)), Some(Sending::Event(_))));
        assert!(sender.next(RtpTimestamp(160), None).is_none());
        let next = (0..10).find_map(|_| sender.next(RtpTimestamp(320), None));
        assert!(matches!(next, Some(Sending::Tones(_))));
    }

    #[test]
    fn digits_beyond_the_queue_are_refused_whole() {
        let mut sender = sender(&"1".repeat(30), Cadence::DEFAULT);
        assert!(!sender.has_room(3));
        sender.push(&Digits::parse("123").unwrap(), Cadence::DEFAULT);
        assert!(sender.has_room(2), "none of them was taken");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_received(
            keys in prop::collection::vec(0_usize..16, 1..20),
            duration_ms in 40_u16..400,
            gap_ms in 40_u16..400,
            start in any::<u32>(),
            rate in prop::sample::select(vec![8000_u32, 16_000, 48_000]),
        ) {
            let text: String = keys.iter().map(|&key| KEYS[key]).collect();
            let mut sender = sender(&text, Cadence { duration_ms, gap_ms, volume: 10 });
            let sent = send(&mut sender, rate, start, 20 * 45 + 20);
            prop_assert!(sender.is_idle());
            let digits = received(&sent, rate);
            prop_assert_eq!(digits.iter().map(|digit| digit.digit).collect::<String>(), text);
            let held = duration_ms.div_ceil(20) * 20;
            prop_assert!(digits.iter().all(|digit| digit.duration_ms == held));
        }
    }
}
