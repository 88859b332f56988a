//! The receiving half: counts, and checks the peer's stream against the law of RFC 3550.

use std::time::Duration;

use media_units::{Encoding, ExtendedSequence, Instant, RtpTimestamp, Ssrc};

use super::ear::Ear;
use super::{Capture, Format};
use crate::rtp::{self, Header};
use crate::world::Trace;

/// Sequence numbers that are remembered to tell a duplicate from a late packet.
const REMEMBERED: u64 = 64;

/// What came so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// RTP packets that were good, each once.
    pub packets: u32,
    /// Packets that never came, by the sequence numbers.
    pub lost: u32,
    /// Packets that came again.
    pub duplicates: u32,
    /// Packets that came after a later one.
    pub reordered: u32,
    /// Marked packets that begin nothing: their timestamp goes on where the last one ended.
    pub marker_errors: u32,
    /// Changes of the source identifier.
    pub ssrc_changes: u32,
    /// Timestamps that went on by more than the sound in between (a pause).
    pub timestamp_skips: u32,
    /// Timestamps that broke the law: too little, or backwards.
    pub timestamp_errors: u32,
    /// Packets of another payload type than agreed.
    pub payload_type_errors: u32,
    /// Datagrams that were neither RTP nor RTCP.
    pub malformed: u32,
    /// RTCP datagrams.
    pub rtcp: u32,
}

/// What a datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next sound, and how long after the packet before it.
    Sound(Option<Duration>),
    /// A report.
    Rtcp,
    /// Sound that counts for nothing: a duplicate, or of the wrong type.
    Useless,
    /// Not for us.
    Malformed,
}

/// One stream of received packets.
#[derive(Debug)]
pub struct Receiver {
    format: Format,
    ear: Ear,
    stream: Option<Stream>,
    counts: Counts,
    /// Lost packets of streams before the present source.
    lost_before: u32,
    gap_max: Duration,
    last_arrival: Option<Instant>,
    listening: Option<Box<Capture>>,
    heard: Option<Box<Capture>>,
    /// All packets of sound so far, whenever they came.
    sound: Trace,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    ssrc: Ssrc,
    first: ExtendedSequence,
    highest: ExtendedSequence,
    /// Timestamp and length, in units of it, of the packet with the highest number.
    timestamp: RtpTimestamp,
    samples: u32,
    /// Bit n: the packet n before the highest was seen.
    seen: u64,
    packets: u32,
    /// The next timestamp counts on another clock, and cannot be checked against the last.
    is_on_new_clock: bool,
}

impl Receiver {
    /// A receiver that expects this payload format.
    pub fn new(encoding: impl Into<Encoding>) -> Self {
        let format = Format::usual(encoding.into());
        Self {
            format,
            ear: Ear::new(format.encoding),
            stream: None,
            counts: Counts::default(),
            lost_before: 0,
            gap_max: Duration::ZERO,
            last_arrival: None,
            listening: None,
            heard: None,
            sound: Trace::default(),
        }
    }

    /// Expects this payload format from now on.
    pub fn set_format(&mut self, format: Format) {
        if self.format.encoding != format.encoding {
            self.ear = Ear::new(format.encoding);
        }
        let (before, after) = (self.format.encoding, format.encoding);
        if let Some(stream) = &mut self.stream {
            stream.is_on_new_clock |= before.clock_rate() != after.clock_rate();
        }
        self.format = format;
    }

    /// What stands for every packet of sound so far, with all that is in it, whenever it came.
    pub fn sound(&self) -> u64 {
        self.sound.value()
    }

    /// Takes one datagram from the media port.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Arrival {
        if rtp::is_rtcp(datagram) {
            self.counts.rtcp += 1;
            return Arrival::Rtcp;
        }
        let Some((header, _, payload)) = Header::read(datagram) else {
            self.counts.malformed += 1;
            return Arrival::Malformed;
        };
        self.sound.note(Instant::START, 0, 0, datagram);
        if header.payload_type != self.format.payload_type {
            self.counts.payload_type_errors += 1;
            return Arrival::Useless;
        }
        let Some(units) = self.ear.units(payload) else {
            self.counts.malformed += 1;
            return Arrival::Malformed;
        };
        if !self.note(&header, units) {
            self.counts.duplicates += 1;
            return Arrival::Useless;
        }
        self.counts.packets += 1;
        self.capture(now, &header, payload);
        let gap = self.last_arrival.replace(now).map(|last| now.since(last));
        self.gap_max = self.gap_max.max(gap.unwrap_or_default());
        Arrival::Sound(gap)
    }

    /// Begins to listen: the next whole window will be found in [`Self::take_heard`].
    pub fn listen(&mut self) {
        self.heard = None;
        self.listening = Some(Box::default());
        self.ear.prick();
    }

    /// Whether a window is being gathered or waits to be taken.
    pub fn is_listening(&self) -> bool {
        self.listening.is_some() || self.heard.is_some()
    }

    /// The window that was listened to, once it is complete.
    pub fn take_heard(&mut self) -> Option<Box<Capture>> {
        self.heard.take()
    }

    /// What came so far.
    pub fn counts(&self) -> Counts {
        let lost = self.stream.map_or(0, |stream| stream.lost());
        Counts { lost: self.lost_before.saturating_add_signed(lost), ..self.counts }
    }

    /// Breaches of the law so far: timestamps, SSRC, payload type, not RTP at all.
    pub fn unlawful(&self) -> u64 {
        let Counts { timestamp_errors, ssrc_changes, payload_type_errors, malformed, .. } =
            self.counts();
        u64::from(timestamp_errors + ssrc_changes + payload_type_errors + malformed)
    }

    /// The longest time between two packets.
    pub fn gap_max(&self) -> Duration {
        self.gap_max
    }

    /// Counts from zero, but goes on with the stream: what came before does not matter any more.
    pub fn restart_counts(&mut self) {
        self.counts = Counts::default();
        self.lost_before = 0;
        self.gap_max = Duration::ZERO;
        if let Some(stream) = &mut self.stream {
            stream.first = ExtendedSequence(stream.highest.0 + 1);
            stream.packets = 0;
        }
    }

    /// The next gap is expected (hold, re-INVITE): it is not counted.
    pub fn forgive_gap(&mut self) {
        self.last_arrival = None;
    }

    /// The peer's source and highest sequence number, once known: what RTCP reports.
    pub(super) fn source(&self) -> Option<(Ssrc, ExtendedSequence)> {
        self.stream.map(|stream| (stream.ssrc, stream.highest))
    }

    /// Checks the header against the law. Returns whether the packet is new.
    fn note(&mut self, header: &Header, samples: u32) -> bool {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == header.ssrc) else {
            if let Some(before) = self.stream.replace(Stream::begun_by(header, samples)) {
                self.counts.ssrc_changes += 1;
                self.lost_before = self.lost_before.saturating_add_signed(before.lost());
            }
            return true;
        };
        let number = stream.highest.nearest(header.sequence);
        if number > stream.highest {
            stream.advance(number, header, samples, &mut self.counts);
            return true;
        }
        let age = stream.highest.0 - number.0;
        if age >= REMEMBERED || stream.seen >> age & 1 == 1 {
            return false;
        }
        stream.seen |= 1 << age;
        stream.packets += u32::from(number >= stream.first);
        self.counts.reordered += 1;
        true
    }

    fn capture(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        let Some(listening) = &mut self.listening else { return };
        let Some(sound) = self.ear.hear(payload) else { return };
        if listening.add(now, header.timestamp, self.format, sound) {
            self.heard = self.listening.take();
        }
    }
}

impl Stream {
    fn begun_by(header: &Header, samples: u32) -> Self {
        // One wrap ahead, so that packets from before the first one are not below zero.
        let first = ExtendedSequence(0x1_0000 + u64::from(header.sequence.0));
        Self {
            ssrc: header.ssrc,
            first,
            highest: first,
            timestamp: header.timestamp,
            samples,
            seen: 1,
            packets: 1,
            is_on_new_clock: false,
        }
    }

    /// Goes on to a later packet and checks its timestamp against the sound in between.
    fn advance(
        &mut self,
        number: ExtendedSequence,
        header: &Header,
        samples: u32,
        counts: &mut Counts,
    ) {
        let steps = number.0 - self.highest.0;
        let passed = i64::from(header.timestamp.distance_from(self.timestamp));
        let law = i64::from(self.samples) * steps as i64;
        if std::mem::take(&mut self.is_on_new_clock) {
            // Whatever it is.
        } else if passed < law {
            counts.timestamp_errors += 1;
        } else if passed > law {
            counts.timestamp_skips += 1;
        } else if header.marker {
            counts.marker_errors += 1;
        }
        self.seen = if steps >= REMEMBERED { 1 } else { self.seen << steps | 1 };
        self.highest = number;
        self.timestamp = header.timestamp;
        self.samples = samples;
        self.packets += 1;
    }

    /// Expected minus received; negative where a packet from before the first one came late.
    fn lost(&self) -> i32 {
        let expected = (self.highest.0 + 1 - self.first.0) as i32;
        expected - self.packets as i32
    }
}

#[cfg(test)]
mod tests {
    use media_units::{Law, SequenceNumber};

    use super::*;

    fn packet(sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(ssrc),
        };
        [header.octets().as_slice(), &[0xff; 160]].concat()
    }

    fn receive(packets: &[(u16, u32, u32)]) -> Receiver {
        let mut receiver = Receiver::new(Law::Mu);
        for (n, &(sequence, timestamp, ssrc)) in packets.iter().enumerate() {
            let now = Instant::from_millis(20 * n as u64);
            receiver.receive(now, &packet(sequence, timestamp, ssrc));
        }
        receiver
    }

    #[test]
    fn a_lawful_stream_over_the_wrap_has_no_complaints() {
        let receiver = receive(&[(65534, 0, 1), (65535, 160, 1), (0, 320, 1), (1, 480, 1)]);
        assert_eq!(receiver.counts(), Counts { packets: 4, ..Counts::default() });
        assert_eq!(receiver.gap_max(), Duration::from_millis(20));
    }

    #[test]
    fn lost_duplicate_and_reordered_packets_are_told_apart() {
        let receiver =
            receive(&[(1, 0, 1), (4, 480, 1), (3, 320, 1), (3, 320, 1), (1, 0, 1), (6, 800, 1)]);
        let counts = receiver.counts();
        assert_eq!((counts.packets, counts.lost), (4, 2));
        assert_eq!((counts.duplicates, counts.reordered), (2, 1));
    }

    #[test]
    fn breaches_of_the_law_are_counted() {
        let receiver = receive(&[(1, 0, 1), (2, 100, 1), (3, 900, 1), (9, 5, 2), (10, 165, 2)]);
        let counts = receiver.counts();
        assert_eq!((counts.timestamp_errors, counts.timestamp_skips), (1, 1));
        assert_eq!((counts.ssrc_changes, counts.lost), (1, 0));
    }

    #[test]
    fn a_mark_is_lawful_only_where_something_begins() {
        let mut receiver = receive(&[(1, 0, 1), (2, 160, 1)]);
        for (sequence, timestamp) in [(3, 320), (4, 960)] {
            let mut marked = packet(sequence, timestamp, 1);
            marked[1] |= 0x80;
            receiver.receive(Instant::from_millis(60), &marked);
        }
        let counts = receiver.counts();
        assert_eq!((counts.marker_errors, counts.timestamp_skips), (1, 1));
    }

    #[test]
    fn after_a_restart_only_what_follows_counts() {
        let mut receiver = receive(&[(1, 0, 1), (5, 640, 1)]);
        receiver.restart_counts();
        receiver.receive(Instant::from_millis(100), &packet(6, 800, 1));
        receiver.receive(Instant::from_millis(120), &packet(8, 1120, 1));
        assert_eq!((receiver.counts().packets, receiver.counts().lost), (2, 1));
    }

    #[test]
    fn noise_is_counted_and_harmless() {
        let mut receiver = Receiver::new(Law::Mu);
        assert_eq!(receiver.receive(Instant::START, b""), Arrival::Malformed);
        assert_eq!(receiver.receive(Instant::START, &[0x80, 200, 0, 0]), Arrival::Rtcp);
        let mut wrong = packet(1, 0, 1);
        wrong[1] = 8;
        assert_eq!(receiver.receive(Instant::START, &wrong), Arrival::Useless);
    }
}
