//! A packet that breaks a shard, for tests of what is known of a fault afterwards.

use media_units::Ssrc;

/// Who sends it.
pub const FAULTY_SSRC: Ssrc = Ssrc(0xfa11_fa11);

/// Breaks the shard where this is the sender.
pub(crate) fn trap(sender: Ssrc) {
    assert!(sender != FAULTY_SSRC, "a test sent a packet that breaks a shard");
}
