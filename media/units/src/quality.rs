//! How good one direction of a call was, and why it was not better.

use std::time::Duration;

use crate::Instant;

/// What the E-model (ITU-T G.107) says of one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// The transmission rating, 0 (worst) to 100. That of a wideband codec (G.107.1, 0 to 129) is
    /// divided by 1.29, so that the two can be compared.
    pub r_factor: f32,
    /// Opinion of who only listens, 1 to 4.5: without the delay.
    pub mos_listening: f32,
    /// Opinion of who converses, 1 to 4.5: with the delay.
    pub mos_conversational: f32,
}

/// How losses are spread (RFC 3611 section 4.7.2): in bursts, and in the gaps between them.
/// Lost and discarded packets count alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BurstGap {
    /// Share of packets missing within bursts, in 1/256.
    pub burst_density: u8,
    /// Share of packets missing within gaps, in 1/256.
    pub gap_density: u8,
    /// Mean length of the bursts.
    pub burst_duration_ms: u16,
    /// Mean length of the gaps.
    pub gap_duration_ms: u16,
}

/// A `VoIP` metrics block of RTCP extended reports (RFC 3611 section 4.7), without its SSRC.
/// What the reporter did not know is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoipMetrics {
    /// Share lost since the beginning, in 1/256.
    pub loss_rate: u8,
    /// Share that came too early or too late to be played, in 1/256.
    pub discard_rate: u8,
    /// How both are spread.
    pub spread: BurstGap,
    /// The last known round trip, 0 if none is.
    pub round_trip_ms: u16,
    /// What the reporter itself adds: encoding, playout buffer, decoding.
    pub end_system_delay_ms: u16,
    /// Level of speech in dBm0.
    pub signal_dbm: Option<i8>,
    /// Level of noise in dBm0.
    pub noise_dbm: Option<i8>,
    /// Residual echo return loss in dB.
    pub echo_return_loss_db: Option<u8>,
    /// Packets received in a row that end a burst.
    pub gap_minimum: u8,
    /// R factor of this RTP session, 0 to 100.
    pub r_factor: Option<u8>,
    /// R factor of a network beyond the reporter.
    pub external_r_factor: Option<u8>,
    /// MOS-LQ in tenths, 10 to 50.
    pub mos_listening_tenths: Option<u8>,
    /// MOS-CQ in tenths, 10 to 50.
    pub mos_conversational_tenths: Option<u8>,
    /// How losses are concealed and whether the playout buffer adapts, as on the wire
    /// (RFC 3611 section 4.7.6).
    pub receiver_configuration: u8,
    /// Present delay of the playout buffer.
    pub playout_nominal_ms: u16,
    /// Present greatest delay of the playout buffer.
    pub playout_maximum_ms: u16,
    /// The greatest that it may ever be.
    pub playout_limit_ms: u16,
}

/// Quality of one direction since its source began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamQuality {
    /// Share of the packets that never came, of 1.
    pub lost: f32,
    /// Share of the packets that came too late to be played, of 1; `None` where the receiver did
    /// not say.
    pub discarded: Option<f32>,
    /// How they are spread, where it is known.
    pub spread: Option<BurstGap>,
    /// Interarrival jitter at the receiver (RFC 3550 appendix A.8).
    pub jitter: Duration,
    /// From the sender's microphone to the receiver's loudspeaker, as far as we can tell.
    pub delay: Duration,
    /// What that is worth.
    pub rating: Rating,
}

/// Why a second was bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BadSecond {
    /// The network lost packets.
    Loss,
    /// Packets came later than the playout buffer waits (jitter).
    Late,
    /// Sound was missing although every packet came in time: the far end's clock or timestamps
    /// jumped, or it paused without saying so.
    FarClock,
    /// A tick of ours was late.
    LateTick,
}

/// All reasons, in the order of their counters.
pub const BAD_SECONDS: [BadSecond; 4] =
    [BadSecond::Loss, BadSecond::Late, BadSecond::FarClock, BadSecond::LateTick];

impl BadSecond {
    /// The reason as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "network_loss",
            Self::Late => "late",
            Self::FarClock => "far_end_clock",
            Self::LateTick => "late_tick",
        }
    }
}

/// Seconds of a call, and those in which something was to be heard (or will be) that should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seconds {
    /// All of them.
    pub all: u32,
    /// Bad ones. One may have several reasons.
    pub bad: u32,
    /// Bad ones by reason ([`BAD_SECONDS`]).
    pub by_reason: [u32; BAD_SECONDS.len()],
    /// The end of the last bad one.
    pub last_bad: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_as_listed() {
        for (index, reason) in BAD_SECONDS.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
