//! Digits as named events (RFC 4733): pressed by the endpoint, reported once, at their end.
//!
//! An event is known by the timestamp of its first packet. The end may be told three times, or be
//! lost; then the next event or silence ends it. An event longer than 65535 units comes in
//! segments, each with a new timestamp.

use std::time::Duration;

use media_units::{CLOCK_RATE, Discard, Instant, RtpTimestamp};

use crate::rtp::RtpView;

/// An event of which nothing was heard for so long has ended: several times the usual update
/// interval of 50 ms (RFC 4733 section 2.5.2.2).
const SILENCE_ENDS: Duration = Duration::from_millis(200);

/// Events 0 to 15 (RFC 4733 section 3.2).
const DIGITS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// One key, pressed and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// How long, as far as it was heard; 65535 stands for more.
    pub duration_ms: u16,
}

/// Follows the events of one receive stream.
#[derive(Debug, Clone, Default)]
pub struct DigitReceiver {
    event: Option<Event>,
}

/// The latest event. It stays after its end, so that its repetitions are known.
#[derive(Debug, Clone, Copy)]
struct Event {
    digit: char,
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

    /// Takes an event packet. Events that are no digits (flash, tones) are ignored.
    pub fn packet(
        &mut self,
        packet: &RtpView<'_>,
        arrival: Instant,
    ) -> Result<Option<Digit>, Discard> {
        let Some(update) = Update::read(packet)? else {
            return Ok(None);
        };
        let Some(event) = &mut self.event else {
            self.event = Some(Event::begin(update, arrival));
            return Ok(self.report_if_ended());
        };
        let age = update.timestamp.distance_from(event.timestamp);
        if age == 0 || event.is_continued_by(update) {
            event.update(update, arrival);
            return Ok(self.report_if_ended());
        }
        if age < 0 {
            return Ok(None); // Reordered: a repetition of what was reported.
        }
        event.ended = true;
        let before = self.report_if_ended();
        self.event = Some(Event::begin(update, arrival));
        // Two digits at once are rare (all packets of one lost but the end): the second one waits
        // for the next packet or `expire`.
        Ok(before.or_else(|| self.report_if_ended()))
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
        let Some(&digit) = DIGITS.get(usize::from(event)) else {
            return Ok(None);
        };
        let units = u16::from_be_bytes([high, low]);
        Ok(Some(Self { digit, timestamp: packet.timestamp(), units, end: flags & 0x80 != 0 }))
    }
}

impl Event {
    fn begin(update: Update, heard: Instant) -> Self {
        Self {
            digit: update.digit,
            timestamp: update.timestamp,
            earlier_units: 0,
            units: update.units,
            ended: update.end,
            reported: false,
            heard,
        }
    }

    /// Whether `update` belongs to the next segment: it starts where this one is full
    /// (RFC 4733 section 2.5.1.3). The full one's last packet may be lost.
    fn is_continued_by(&self, update: Update) -> bool {
        let full = update.timestamp.distance_from(self.timestamp);
        !self.ended
            && self.digit == update.digit
            && (i32::from(u16::MAX) - i32::from(self.units) < CLOCK_RATE as i32)
            && (i32::from(self.units)..=i32::from(u16::MAX)).contains(&full)
    }

    fn update(&mut self, update: Update, heard: Instant) {
        if self.ended {
            return;
        }
        if update.timestamp != self.timestamp {
            let segment = update.timestamp.distance_from(self.timestamp).unsigned_abs();
            self.earlier_units = self.earlier_units.saturating_add(segment);
            self.timestamp = update.timestamp;
            self.units = 0;
        }
        self.units = self.units.max(update.units);
        self.ended = update.end;
        self.heard = heard;
    }

    fn duration_ms(&self) -> u16 {
        let units = u64::from(self.earlier_units) + u64::from(self.units);
        u16::try_from(units * 1000 / u64::from(CLOCK_RATE)).unwrap_or(u16::MAX)
    }
}
