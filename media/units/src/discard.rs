//! Why the media path did not use what the network sent.

/// Why a datagram was not used. Each is a counter; none is ever logged per packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Discard {
    /// Neither RTP nor RTCP by its first byte (RFC 7983), or empty.
    Unroutable,
    /// Not a valid RTP packet (RFC 3550 appendix A.1).
    MalformedRtp,
    /// Not a valid RTCP compound packet (RFC 3550 appendix A.2).
    MalformedRtcp,
    /// From an address other than the latched one, or of a source that another one there replaced.
    Stranger,
    /// A payload type that was not negotiated.
    PayloadType,
    /// A payload longer than a playout slot holds, or empty.
    PayloadSize,
    /// The same sequence number a second time.
    Duplicate,
    /// Too late to be played.
    Late,
    /// The playout buffer was full: the oldest packets made way.
    Overflow,
    /// Media on a session whose direction forbids it.
    Unwanted,
    /// A datagram larger than the receive buffer.
    Truncated,
}

/// All reasons, in the order of their counters.
pub const DISCARDS: [Discard; 11] = [
    Discard::Unroutable,
    Discard::MalformedRtp,
    Discard::MalformedRtcp,
    Discard::Stranger,
    Discard::PayloadType,
    Discard::PayloadSize,
    Discard::Duplicate,
    Discard::Late,
    Discard::Overflow,
    Discard::Unwanted,
    Discard::Truncated,
];

impl Discard {
    /// The reason as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unroutable => "unroutable",
            Self::MalformedRtp => "malformed_rtp",
            Self::MalformedRtcp => "malformed_rtcp",
            Self::Stranger => "stranger",
            Self::PayloadType => "payload_type",
            Self::PayloadSize => "payload_size",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Overflow => "overflow",
            Self::Unwanted => "unwanted",
            Self::Truncated => "truncated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discards_are_numbered_as_listed() {
        for (index, discard) in DISCARDS.iter().enumerate() {
            assert_eq!(*discard as usize, index);
        }
    }
}
