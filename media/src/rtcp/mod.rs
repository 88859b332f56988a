//! RTCP (RFC 3550 section 6) and its extended reports (RFC 3611): what a received compound says,
//! what we say, and when.
//!
//! Reading goes through `rtcp-types`, packet by packet and only for the types whose content we
//! use, because its SDES reader allocates. Writing is by hand, into a buffer of the caller.

mod extended;
mod read;
#[cfg(test)]
mod tests;
mod timer;
mod write;

use std::time::Duration;

use media_units::{NtpTime, RtpTimestamp, Ssrc};

pub use extended::{Extended, LastReference};
pub use read::{Compound, Fact, Facts};
pub use timer::{Timer, bandwidth};
pub use write::{COMPOUND_BYTES_MAX, Report};

/// What a sender says of itself (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// Wall time of the report.
    pub ntp: NtpTime,
    /// The same moment on the stream's RTP clock.
    pub timestamp: RtpTimestamp,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

/// What a receiver says of one source (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// Whom it is about.
    pub ssrc: Ssrc,
    /// Share lost since the previous report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits with sign.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with its count of cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the RTP clock.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; 0 if there was none.
    pub last_sr: u32,
    /// Time since that report arrived, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// The time to the receiver and back, if the block refers to a sender report of ours.
    /// `now` is when the block arrived, on the clock of our sender reports.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        round_trip(now, self.last_sr, self.delay_since_last_sr)
    }
}

/// From when we said what the other end repeats (`last`) to now, less how long it took to answer.
fn round_trip(now: NtpTime, last: u32, delay_since_last: u32) -> Option<Duration> {
    if last == 0 {
        return None;
    }
    let elapsed = now.middle().wrapping_sub(last);
    // Negative where the receiver rounded its delay up, or invented it.
    let units = elapsed.checked_sub(delay_since_last)?;
    Some(Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16))
}
