//! The RTP header (RFC 3550 section 5.1): a view over received octets, and our own header out.

mod extension;

use std::fmt;

use media_units::{Discard, RtpTimestamp, SequenceNumber, Ssrc};
use rtp_rs::RtpReader;

pub use extension::{AudioLevel, CONTRIBUTORS_MAX, Contributor};

/// Octets of a header without CSRC and extension.
pub const HEADER_BYTES: usize = 12;

/// Octets of the longest header that we send: every contributor, and its level.
pub const HEADER_BYTES_MAX: usize =
    HEADER_BYTES + 4 * CONTRIBUTORS_MAX + extension::EXTENSION_BYTES_MAX;

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

    /// The content of the header extension's element with this identifier (RFC 8285), the first
    /// where there are several.
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        let (profile, octets) = self.reader.extension()?;
        extension::find(profile, octets, id)
    }

    /// How loud it is, where the sender says so under this identifier (RFC 6464).
    pub fn audio_level(&self, id: u8) -> Option<AudioLevel> {
        AudioLevel::read(self.extension(id)?)
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

    /// Writes the header of a mix and returns its length: who is in it (the CSRC list, at most
    /// [`CONTRIBUTORS_MAX`]), and how loud each is, where the endpoint takes that under an
    /// identifier (RFC 6465). Without contributors it is [`RtpHeader::write`].
    pub fn write_mix(
        &self,
        contributors: &[Contributor],
        levels: Option<u8>,
        to: &mut [u8; HEADER_BYTES_MAX],
    ) -> usize {
        let contributors = &contributors[..contributors.len().min(CONTRIBUTORS_MAX)];
        to[..HEADER_BYTES].copy_from_slice(&self.write());
        to[0] |= contributors.len() as u8;
        let mut length = HEADER_BYTES;
        for contributor in contributors {
            to[length..length + 4].copy_from_slice(&contributor.ssrc.0.to_be_bytes());
            length += 4;
        }
        if let Some(id) = levels.filter(|_| !contributors.is_empty()) {
            to[0] |= 0x10;
            length += extension::write_levels(contributors, id, &mut to[length..]);
        }
        length
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

    const HEADER: RtpHeader = RtpHeader {
        payload_type: 0,
        marker: true,
        sequence: SequenceNumber(7),
        timestamp: RtpTimestamp(160),
        ssrc: Ssrc(9),
    };

    #[test]
    fn the_header_of_a_mix_names_who_is_in_it_and_how_loud() {
        let mut to = [0xee; HEADER_BYTES_MAX];
        let sources = [
            Contributor { ssrc: Ssrc(1), level_dbov: 20 },
            Contributor { ssrc: Ssrc(0x0203_0405), level_dbov: 255 },
        ];
        let length = HEADER.write_mix(&sources, Some(3), &mut to);
        let mut expected = vec![0x92, 0x80, 0, 7, 0, 0, 0, 160, 0, 0, 0, 9];
        expected.extend([0, 0, 0, 1, 2, 3, 4, 5]);
        expected.extend([0xbe, 0xde, 0, 1, 0x31, 20, 127, 0]);
        assert_eq!(to[..length], expected);
        assert_eq!(HEADER.write_mix(&sources, None, &mut to), 20);
        assert_eq!(to[0], 0x82);
        assert_eq!(HEADER.write_mix(&[], Some(3), &mut to), HEADER_BYTES);
        assert_eq!(to[..HEADER_BYTES], HEADER.write());
    }

    #[test]
    fn the_longest_header_fits() {
        let sources = [Contributor { ssrc: Ssrc(1), level_dbov: 20 }; 40];
        for id in [1, 14, 16, 255] {
            let mut to = [0; HEADER_BYTES_MAX];
            let length = HEADER.write_mix(&sources, Some(id), &mut to);
            let view = RtpView::parse(&to[..length]).unwrap();
            assert_eq!(view.extension(id), Some(&[20; CONTRIBUTORS_MAX][..]));
            assert!(view.payload().is_empty());
        }
    }

    #[test]
    fn a_level_is_read_beside_other_elements() {
        let mut bytes = vec![0x90, 0, 0, 7, 0, 0, 0, 160, 0, 0, 0, 9];
        bytes.extend([0xbe, 0xde, 0, 2, 0x21, 1, 2, 0x10, 0xa3, 0, 0, 0, 77]);
        let view = RtpView::parse(&bytes).unwrap();
        assert_eq!(view.audio_level(1), Some(AudioLevel { is_voice: true, dbov: 35 }));
        assert_eq!(view.extension(2), Some(&[1, 2][..]));
        assert_eq!(view.audio_level(4), None);
        assert_eq!(view.payload(), [77]);
        let bare = HEADER.write();
        assert_eq!(RtpView::parse(&bare).unwrap().audio_level(1), None);
    }

    proptest! {
        #[test]
        fn any_octets_parse_or_are_discarded(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(view) = RtpView::parse(&bytes) {
                prop_assert!(view.payload().len() + HEADER_BYTES <= bytes.len());
                prop_assert!(view.extension(1).is_none_or(|element| element.len() < bytes.len()));
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
