//! The RTP header as an endpoint writes and reads it (RFC 3550 section 5.1), and which datagrams
//! are RTCP instead (RFC 5761 section 4). Independent of the server's own reader.

use media_units::{RtpTimestamp, SequenceNumber, Ssrc};

/// Octets of a header without contributing sources.
pub const HEADER_OCTETS: usize = 12;

/// The fields of a header that an endpoint cares about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// First packet of a talkspurt.
    pub marker: bool,
    /// Payload type, below 128.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: SequenceNumber,
    /// Media timestamp.
    pub timestamp: RtpTimestamp,
    /// Source.
    pub ssrc: Ssrc,
}

impl Header {
    /// The header on the wire.
    pub fn octets(&self) -> [u8; HEADER_OCTETS] {
        let mut octets = [0; HEADER_OCTETS];
        octets[0] = 0x80;
        octets[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        octets[2..4].copy_from_slice(&self.sequence.0.to_be_bytes());
        octets[4..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        octets[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        octets
    }

    /// Reads a packet: its header, its contributing sources and its payload.
    pub fn read(packet: &[u8]) -> Option<(Self, usize, &[u8])> {
        let (fixed, rest) = packet.split_first_chunk::<HEADER_OCTETS>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let sources = usize::from(fixed[0] & 0x0f);
        let mut payload = rest.get(4 * sources..)?;
        if fixed[0] & 0x10 != 0 {
            let words = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
            payload = payload.get(4 + 4 * usize::from(words)..)?;
        }
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            payload = payload.get(..payload.len().checked_sub(padding)?)?;
        }
        let header = Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: SequenceNumber(u16::from_be_bytes([fixed[2], fixed[3]])),
            timestamp: RtpTimestamp(word(fixed, 4)),
            ssrc: Ssrc(word(fixed, 8)),
        };
        Some((header, sources, payload))
    }
}

/// Whether a datagram on a multiplexed port is RTCP.
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

fn word(octets: &[u8; HEADER_OCTETS], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_extension_and_sources_are_not_payload() {
        let mut packet = vec![0xb2, 0x88, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([9; 8]); // two contributing sources
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        packet.extend([7, 7, 0, 0, 3]); // two octets of sound, three of padding
        let (header, sources, payload) = Header::read(&packet).unwrap();
        assert!(header.marker && header.payload_type == 8 && header.ssrc == Ssrc(3));
        assert_eq!((sources, payload), (2, [7, 7].as_slice()));
    }

    proptest! {
        #[test]
        fn reading_never_panics(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (Header::read(&packet), is_rtcp(&packet));
        }

        #[test]
        fn what_is_written_is_read(marker: bool, payload_type in 0_u8..128, sequence: u16,
                                   timestamp: u32, ssrc: u32) {
            let header = Header { marker, payload_type, sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(timestamp), ssrc: Ssrc(ssrc) };
            let octets = header.octets();
            prop_assert_eq!(Header::read(&octets), Some((header, 0, [].as_slice())));
        }
    }
}
