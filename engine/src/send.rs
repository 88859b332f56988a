//! One send stream: RTP headers on the session's sample clock.
//!
//! The timestamp is the session's first timestamp plus a period's units (160 at 8 kHz) for each
//! period since the engine started, whether something was sent in it or not (RFC 3550 section 5.1:
//! it counts sampling instants); the sequence number counts packets. So a hold, a hole in a relay or a change of
//! phase never disturbs either. The marker says that a talkspurt begins: the packet before was
//! not sent (RFC 3551 section 4.1).

use media::dtmf::EventPacket;
use media::rtp::{HEADER_BYTES, RtpHeader};
use media_units::{CLOCK_RATE, PeriodIndex, RtpTimestamp, SequenceNumber, Ssrc};

/// Periods in a second.
const PERIODS: u32 = 50;

/// What we send to one endpoint.
#[derive(Debug)]
pub(crate) struct SendStream {
    ssrc: Ssrc,
    sequence: SequenceNumber,
    /// The timestamp of one period, and which one: that behind the last in which sound was sent, or
    /// a later one.
    anchor: (RtpTimestamp, PeriodIndex),
    /// Units of the timestamp in a period.
    period_units: u32,
    payload_type: u8,
    /// Nothing was sent in the period before.
    paused: bool,
    packets: u64,
    octets: u64,
}

impl SendStream {
    /// A stream whose first packet has this sequence number.
    pub(crate) fn new(
        ssrc: Ssrc,
        sequence: SequenceNumber,
        timestamp_at_start: RtpTimestamp,
        payload_type: u8,
    ) -> Self {
        Self {
            ssrc,
            sequence,
            anchor: (timestamp_at_start, 0),
            period_units: CLOCK_RATE / PERIODS,
            payload_type,
            paused: true,
            packets: 0,
            octets: 0,
        }
    }

    /// Our SSRC.
    pub(crate) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Packets sent.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets sent.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The RTP timestamp of what is sent in `period`.
    pub(crate) fn timestamp(&self, period: PeriodIndex) -> RtpTimestamp {
        let (anchor, since) = self.anchor;
        anchor.plus((period.wrapping_sub(since) as u32).wrapping_mul(self.period_units))
    }

    /// Sends another payload format from this period on. Where its clock is another one, the
    /// timestamp goes on from where it is, and from behind all that was sent: that may be of this
    /// very period, or of a later one of another shard.
    pub(crate) fn set_format(&mut self, payload_type: u8, clock_rate: u32, period: PeriodIndex) {
        self.payload_type = payload_type;
        let units = clock_rate / PERIODS;
        if units != self.period_units {
            self.advance_to(period);
            self.period_units = units;
        }
    }

    /// What comes before this period keeps its timestamp, whatever the clock is from then on.
    fn advance_to(&mut self, period: PeriodIndex) {
        if self.anchor.1 < period {
            self.anchor = (self.timestamp(period), period);
        }
    }

    /// Nothing is sent in this period.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// The header of a packet of sound with so many octets of payload that is sent in `period` and
    /// whose first sample is so many units older than the period's.
    pub(crate) fn header(&mut self, period: PeriodIndex, age: i32, octets: usize) -> RtpHeader {
        let marker = std::mem::take(&mut self.paused);
        self.advance_to(period + 1);
        let timestamp = self.timestamp(period).plus(age.wrapping_neg() as u32);
        self.next(self.payload_type, marker, timestamp, octets)
    }

    /// As above, for comfort noise: the next sound begins a talkspurt.
    pub(crate) fn noise_header(
        &mut self,
        payload_type: u8,
        period: PeriodIndex,
        age: i32,
        octets: usize,
    ) -> RtpHeader {
        self.paused = true;
        self.advance_to(period + 1);
        let timestamp = self.timestamp(period).plus(age.wrapping_neg() as u32);
        self.next(payload_type, false, timestamp, octets)
    }

    /// The header of a packet that is sent in place of sound: the next sound begins anew.
    pub(crate) fn event_header(
        &mut self,
        payload_type: u8,
        event: &EventPacket,
    ) -> [u8; HEADER_BYTES] {
        self.paused = true;
        self.next(payload_type, event.marker, event.timestamp, event.payload.len()).write()
    }

    fn next(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: RtpTimestamp,
        octets: usize,
    ) -> RtpHeader {
        let (sequence, ssrc) = (self.sequence, self.ssrc);
        let header = RtpHeader { payload_type, marker, sequence, timestamp, ssrc };
        self.sequence = self.sequence.plus(1);
        self.packets += 1;
        self.octets += octets as u64;
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_costs_no_sequence_number_but_time_and_is_marked() {
        let start = RtpTimestamp(u32::MAX - 159);
        let mut stream = SendStream::new(Ssrc(0x0102_0304), SequenceNumber(0xffff), start, 8);
        assert_eq!(
            stream.header(0, 0, 160).write(),
            [0x80, 0x88, 255, 255, 255, 255, 255, 96, 1, 2, 3, 4]
        );
        assert_eq!(stream.header(1, 0, 160).write(), [0x80, 8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        stream.pause();
        assert_eq!(stream.header(3, 0, 160).write(), [0x80, 0x88, 0, 1, 0, 0, 1, 64, 1, 2, 3, 4]);
        assert_eq!((stream.packets(), stream.octets()), (3, 480));
    }
    #[test]
    fn with_another_clock_the_timestamp_goes_on_behind_what_was_sent() {
        let (period, start) = (100, RtpTimestamp(u32::MAX - 50_000));
        for (before, after) in [(8000, 48_000), (48_000, 8000)] {
            for told_in in period - 1..period + 3 {
                let mut stream = SendStream::new(Ssrc(1), SequenceNumber(1), start, 96);
                stream.set_format(96, before, 0);
                let last = stream.header(period, 0, 160).timestamp;
                // As a shard tells it that is behind the one before, in the same period, or later.
                stream.set_format(97, after, told_in);
                let next = told_in.max(period + 1);
                let passed = stream.header(next, 0, 160).timestamp.distance_from(last);
                assert_eq!(passed as u32, before / PERIODS * (next - period) as u32, "{told_in}");
            }
        }
    }
}
