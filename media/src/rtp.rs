//! The RTP header (RFC 3550 section 5.1): a view over received octets, and our own header out.

use std::fmt;

use media_units::{Discard, RtpTimestamp, SequenceNumber, Ssrc};
use rtp_rs::RtpReader;

/// Octets of the header that we send: no CSRC, no extension.
pub const HEADER_BYTES: usize = 12;

/// A valid RTP packet, read in place.
pub struct RtpView<'a> {
    reader: RtpReader<'a>,
    payload: &'a [u8],
}

impl<'a> RtpView<'a> {
    /// Reads a packet, or says that it is none (version, lengths, padding).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Discard> {
        let reader = RtpReader::new(bytes).map_err(|_| Discard::MalformedRtp)?;
        let payload = reader.payload();
        Ok(Self { reader, payload })
    }

    /// The payload type.
    pub fn payload_type(&self) -> u8 {
        self.reader.payload_type()
    }

    /// The marker: the first packet of a talkspurt (RFC 3551 section 4.1).
    pub fn marker(&self) -> bool {
        self.reader.mark()
    }

    /// The sequence number.
    pub fn sequence(&self) -> SequenceNumber {
        SequenceNumber(self.reader.sequence_number().into())
    }

    /// When the first sample of the payload was taken, on the sender's clock.
    pub fn timestamp(&self) -> RtpTimestamp {
        RtpTimestamp(self.reader.timestamp())
    }

    /// Who sent it.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(self.reader.ssrc())
    }

    /// The payload, without padding.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl fmt::Debug for RtpView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}

/// The header of a packet that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// The payload type, 0..=127.
    pub payload_type: u8,
    /// The marker.
    pub marker: bool,
    /// The sequence number.
    pub sequence: SequenceNumber,
    /// The timestamp of the first sample.
    pub timestamp: RtpTimestamp,
    /// Our SSRC.
    pub ssrc: Ssrc,
}

impl RtpHeader {
    /// The header as octets: version 2, no padding, extension or CSRC.
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let [s0, s1] = self.sequence.0.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.0.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.0.to_be_bytes();
        let type_octet = (self.payload_type & 0x7f) | (u8::from(self.marker) << 7);
        [0x80, type_octet, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_csrc_and_extension_are_not_payload() {
        let mut bytes = vec![0xb1, 0x80, 0, 7, 0, 0, 0, 160, 0, 0, 0, 9];
        bytes.extend([0, 0, 0, 1]); // one CSRC
        bytes.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        bytes.extend([10, 11, 12]); // payload
        bytes.extend([0, 2]); // padding
        let view = RtpView::parse(&bytes).unwrap();
        assert_eq!(view.payload(), [10, 11, 12]);
        assert!(view.marker());
        assert_eq!((view.payload_type(), view.sequence(), view.ssrc()), {
            (0, SequenceNumber(7), Ssrc(9))
        });
        assert_eq!(view.timestamp(), RtpTimestamp(160));
    }

    #[test]
    fn what_is_no_rtp_packet_is_discarded() {
        let header = [0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        assert!(RtpView::parse(&header).is_ok(), "an empty payload is valid RTP");
        let malformed: [(&str, Vec<u8>); 7] = [
            ("empty", vec![]),
            ("short", header[..11].to_vec()),
            ("version 1", [&[0x40], &header[1..]].concat()),
            ("CSRC list beyond the end", [&[0x81], &header[1..]].concat()),
            ("extension beyond the end", [&[0x90], &header[1..], &[0, 0, 0, 1][..]].concat()),
            ("padding of nothing", [&[0xa0], &header[1..]].concat()),
            ("padding longer than the packet", [&[0xa0], &header[1..], &[9][..]].concat()),
        ];
        for (what, bytes) in malformed {
            assert_eq!(RtpView::parse(&bytes).err(), Some(Discard::MalformedRtp), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_parse_or_are_discarded(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(view) = RtpView::parse(&bytes) {
                prop_assert!(view.payload().len() + HEADER_BYTES <= bytes.len());
                let shown = format!("{view:?}");
                prop_assert!(shown.contains("payload_type"));
            }
        }

        #[test]
        fn a_damaged_packet_parses_or_is_discarded(
            at in 0usize..40, with in any::<u8>(), length in 0usize..40
        ) {
            let mut bytes = [0xb2; 40];
            bytes[at] = with;
            if let Ok(view) = RtpView::parse(&bytes[..length]) {
                prop_assert!(view.payload().len() + HEADER_BYTES <= length);
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            payload_type in 0u8..128, marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let header = RtpHeader {
                payload_type,
                marker,
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(timestamp),
                ssrc: Ssrc(ssrc),
            };
            let bytes = [&header.write()[..], &payload].concat();
            let view = RtpView::parse(&bytes).unwrap();
            let read = RtpHeader {
                payload_type: view.payload_type(),
                marker: view.marker(),
                sequence: view.sequence(),
                timestamp: view.timestamp(),
                ssrc: view.ssrc(),
            };
            prop_assert_eq!(read, header);
            prop_assert_eq!(view.payload(), payload);
        }
    }
}
