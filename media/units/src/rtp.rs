//! Sequence numbers, timestamps and source identifiers of RFC 3550, with their wrap-around.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A synchronization source identifier (RFC 3550 section 8).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A 16-bit sequence number: wraps, so it is compared by distance only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// Steps from `other` to `self`, in -32768..=32767.
    pub const fn distance_from(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0) as i16
    }

    /// The number `steps` later.
    #[must_use]
    pub const fn plus(self, steps: u16) -> Self {
        Self(self.0.wrapping_add(steps))
    }
}

/// A sequence number with its count of wraps (RFC 3550 section 6.4.1): never wraps in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ExtendedSequence(pub u64);

impl ExtendedSequence {
    /// The extended number nearest to `self` whose lower bits are `sequence`.
    #[must_use]
    pub const fn nearest(self, sequence: SequenceNumber) -> Self {
        let distance = sequence.distance_from(SequenceNumber(self.0 as u16)) as i64;
        Self(self.0.wrapping_add_signed(distance))
    }
}

/// A 32-bit media timestamp in units of the payload format's clock; wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// Units from `other` to `self`.
    pub const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// The timestamp `units` later.
    #[must_use]
    pub const fn plus(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_crosses_the_wrap() {
        assert_eq!(SequenceNumber(2).distance_from(SequenceNumber(65534)), 4);
        assert_eq!(SequenceNumber(65534).distance_from(SequenceNumber(2)), -4);
        assert_eq!(RtpTimestamp(80).distance_from(RtpTimestamp(u32::MAX - 79)), 160);
    }

    #[test]
    fn nearest_extends_over_the_wrap_both_ways() {
        let last = ExtendedSequence(0x2_ffff);
        assert_eq!(last.nearest(SequenceNumber(1)), ExtendedSequence(0x3_0001));
        let first = ExtendedSequence(0x3_0001);
        assert_eq!(first.nearest(SequenceNumber(0xffff)), ExtendedSequence(0x2_ffff));
    }
}
