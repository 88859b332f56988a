//! What kind of packet a datagram is, by its first two octets.

/// The protocols that share a media port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demux {
    /// RTP (RFC 3550).
    Rtp,
    /// RTCP (RFC 3550), by the payload types that RTP keeps free for it (RFC 5761 section 4).
    Rtcp,
    /// STUN (RFC 8489).
    Stun,
    /// DTLS (RFC 9147).
    Dtls,
    /// None of them, or empty.
    Unknown,
}

/// Tells the protocols apart (RFC 7983 section 7, RFC 5761 section 4).
pub fn demux(bytes: &[u8]) -> Demux {
    match *bytes {
        [0..=3, ..] => Demux::Stun,
        [20..=63, ..] => Demux::Dtls,
        [128..=191, 192..=223, ..] => Demux::Rtcp,
        [128..=191, _, ..] => Demux::Rtp,
        _ => Demux::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_octet_ranges_are_those_of_rfc_7983() {
        for first in 0..=255 {
            let expected = match first {
                0..=3 => Demux::Stun,
                20..=63 => Demux::Dtls,
                128..=191 => Demux::Rtp,
                _ => Demux::Unknown,
            };
            assert_eq!(demux(&[first, 0]), expected, "first octet {first}");
        }
    }

    #[test]
    fn rtcp_packet_types_are_told_from_payload_types_with_marker() {
        for second in 0..=255 {
            let expected = if (192..=223).contains(&second) { Demux::Rtcp } else { Demux::Rtp };
            assert_eq!(demux(&[0x80, second]), expected, "second octet {second}");
        }
    }

    #[test]
    fn too_short_to_tell_is_unknown() {
        assert_eq!(demux(&[]), Demux::Unknown);
        assert_eq!(demux(&[0x80]), Demux::Unknown);
    }
}
