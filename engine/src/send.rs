//! One send stream: RTP headers on the session's sample clock.
//!
//! The timestamp is the session's first timestamp plus 160 for each period since the engine
//! started, whether something was sent in it or not (RFC 3550 section 5.1: it counts sampling
//! instants); the sequence number counts packets. So a hold, a hole in a relay or a change of
//! phase never disturbs either. The marker says that a talkspurt begins: the packet before was
//! not sent (RFC 3551 section 4.1).

use media::rtp::{HEADER_BYTES, RtpHeader};
use media_units::{BLOCK_SAMPLES, PeriodIndex, RtpTimestamp, SequenceNumber, Ssrc};

/// What we send to one endpoint.
#[derive(Debug)]
pub(crate) struct SendStream {
    ssrc: Ssrc,
    sequence: SequenceNumber,
    timestamp_at_start: RtpTimestamp,
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
            timestamp_at_start,
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
        self.timestamp_at_start.plus((period as u32).wrapping_mul(BLOCK_SAMPLES as u32))
    }

    /// Sends with another payload type from now on.
    pub(crate) fn set_payload_type(&mut self, payload_type: u8) {
        self.payload_type = payload_type;
    }

    /// Nothing is sent in this period.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// The header of the packet that is sent in `period` with so many octets of payload.
    pub(crate) fn header(&mut self, period: PeriodIndex, octets: usize) -> [u8; HEADER_BYTES] {
        let header = RtpHeader {
            payload_type: self.payload_type,
            marker: std::mem::take(&mut self.paused),
            sequence: self.sequence,
            timestamp: self.timestamp(period),
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.plus(1);
        self.packets += 1;
        self.octets += octets as u64;
        header.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_costs_no_sequence_number_but_time_and_is_marked() {
        let start = RtpTimestamp(u32::MAX - 159);
        let mut stream = SendStream::new(Ssrc(0x0102_0304), SequenceNumber(0xffff), start, 8);
        assert_eq!(stream.header(0, 160), [0x80, 0x88, 255, 255, 255, 255, 255, 96, 1, 2, 3, 4]);
        assert_eq!(stream.header(1, 160), [0x80, 8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        stream.pause();
        assert_eq!(stream.header(3, 160), [0x80, 0x88, 0, 1, 0, 0, 1, 64, 1, 2, 3, 4]);
        assert_eq!((stream.packets(), stream.octets()), (3, 480));
    }
}
