//! Numbers out of a shard: filled in on request, so that a shard never waits for a reader.

use std::net::SocketAddr;
use std::time::Duration;

use media_units::{BAD_SECONDS, DISCARDS, Encoding, Seconds, Ssrc, StreamQuality, VoipMetrics};

use crate::{Route, SessionKey, ShardLoad};

/// One session, as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionReport {
    /// Which session.
    pub session: SessionKey,
    /// What it is connected to.
    pub route: Route,
    /// Its payload format.
    pub encoding: Encoding,
    /// Where its packets come from, once they came.
    pub remote: Option<SocketAddr>,
    /// The endpoint's SSRC, once it sent.
    pub remote_ssrc: Option<Ssrc>,
    /// Whether it is muted by us.
    pub muted: bool,
    /// Whether it speaks.
    pub talking: bool,
    /// Level of what it says, in dB below full scale (0 loudest, 127 silent; RFC 6464).
    pub level_dbov: u8,
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP payload octets received.
    pub octets_received: u64,
    /// Packets that never came (RFC 3550 appendix A.3; may be negative with duplicates).
    pub packets_lost: i64,
    /// Interarrival jitter (RFC 3550 appendix A.8).
    pub jitter: Duration,
    /// Present playout delay.
    pub playout_delay: Duration,
    /// The playout delay aimed at.
    pub playout_target: Duration,
    /// How much faster than ours the endpoint's clock runs, in parts per million, once known.
    pub drift_ppm: Option<i16>,
    /// Packets recovered from the redundancy in the next.
    pub packets_recovered: u64,
    /// Sound invented in place of what is missing.
    pub concealed: Duration,
    /// Sound inserted to let the playout delay grow.
    pub expanded: Duration,
    /// Sound taken out to let the playout delay shrink.
    pub accelerated: Duration,
    /// Blocks played from received sound.
    pub blocks_played: u64,
    /// Blocks invented because sound was missing.
    pub blocks_concealed: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP payload octets sent.
    pub octets_sent: u64,
    /// Share lost of what we sent, as last reported by the endpoint, in 1/256.
    pub remote_fraction_lost: u8,
    /// Round trip from the endpoint's RTCP (RFC 3550 section 6.4.1), once known.
    pub round_trip: Option<Duration>,
    /// What we hear, since the present source began.
    pub receive_quality: Option<StreamQuality>,
    /// What the endpoint hears of us, by its reports.
    pub send_quality: Option<StreamQuality>,
    /// What the endpoint last said of it in extended reports (RFC 3611).
    pub far_end: Option<VoipMetrics>,
    /// Good and bad seconds.
    pub seconds: Seconds,
    /// Datagrams not used, by reason ([`DISCARDS`]).
    pub discards: [u32; DISCARDS.len()],
}

impl SessionReport {
    /// An empty report to be filled in by the shard.
    pub fn of(session: SessionKey) -> Self {
        Self {
            session,
            route: Route::Idle,
            encoding: Encoding::Pcmu,
            remote: None,
            remote_ssrc: None,
            muted: false,
            talking: false,
            level_dbov: 127,
            packets_received: 0,
            octets_received: 0,
            packets_lost: 0,
            jitter: Duration::ZERO,
            playout_delay: Duration::ZERO,
            playout_target: Duration::ZERO,
            drift_ppm: None,
            packets_recovered: 0,
            concealed: Duration::ZERO,
            expanded: Duration::ZERO,
            accelerated: Duration::ZERO,
            blocks_played: 0,
            blocks_concealed: 0,
            packets_sent: 0,
            octets_sent: 0,
            remote_fraction_lost: 0,
            round_trip: None,
            receive_quality: None,
            send_quality: None,
            far_end: None,
            seconds: Seconds::default(),
            discards: [0; DISCARDS.len()],
        }
    }
}

/// Upper bounds of the tick lateness histogram, in microseconds; one more bucket holds the rest.
pub const LATENESS_BOUNDS: [u32; 10] =
    [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 50_000];

/// How late ticks were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    /// Ticks per bucket of [`LATENESS_BOUNDS`], the last one beyond all bounds.
    pub buckets: [u64; LATENESS_BOUNDS.len() + 1],
    /// Sum of all lateness in microseconds.
    pub sum_us: u64,
    /// The latest of all, in microseconds.
    pub max_us: u64,
}

impl Lateness {
    /// Counts one tick.
    pub fn record(&mut self, late: Duration) {
        let us = late.as_micros() as u64;
        let bucket = LATENESS_BOUNDS.iter().position(|&bound| us <= u64::from(bound));
        self.buckets[bucket.unwrap_or(LATENESS_BOUNDS.len())] += 1;
        self.sum_us += us;
        self.max_us = self.max_us.max(us);
    }

    /// Ticks that were later than this, one of [`LATENESS_BOUNDS`].
    pub fn later_than(&self, bound_us: u32) -> u64 {
        let within = LATENESS_BOUNDS.iter().filter(|&&bound| bound <= bound_us).count();
        self.buckets[within..].iter().sum()
    }
}

/// Upper bounds of the opinion histogram, in hundredths: where ITU-T G.109 and G.107 annex B draw
/// the line between users who are mostly not satisfied, many, some, satisfied, very satisfied.
pub const OPINION_BOUNDS: [u16; 5] = [258, 310, 360, 403, 434];

/// How sessions were judged at their end: the mean opinion by the E-model (MOS-CQ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opinions {
    /// Sessions per bucket of [`OPINION_BOUNDS`], the last one beyond all bounds.
    pub buckets: [u64; OPINION_BOUNDS.len() + 1],
    /// Sum of all opinions, in hundredths.
    pub sum_hundredths: u64,
}

impl Opinions {
    /// Counts one session.
    pub fn record(&mut self, opinion: f32) {
        let hundredths = (opinion * 100.0).round() as u64;
        let bucket = OPINION_BOUNDS.iter().position(|&bound| hundredths <= u64::from(bound));
        self.buckets[bucket.unwrap_or(OPINION_BOUNDS.len())] += 1;
        self.sum_hundredths += hundredths;
    }
}

/// Seconds of all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SecondsTotal {
    /// All of them.
    pub all: u64,
    /// Bad ones.
    pub bad: u64,
    /// Bad ones by reason ([`BAD_SECONDS`]). One second may have several.
    pub by_reason: [u64; BAD_SECONDS.len()],
}

impl SecondsTotal {
    /// Adds what a session's account grew by.
    pub fn add(&mut self, seconds: &Seconds) {
        self.all += u64::from(seconds.all);
        self.bad += u64::from(seconds.bad);
        for (total, added) in self.by_reason.iter_mut().zip(seconds.by_reason) {
            *total += u64::from(added);
        }
    }
}

/// One shard, as it is now. Counters count from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardReport {
    /// Which shard.
    pub shard: u8,
    /// Sessions open.
    pub sessions: u32,
    /// Rooms open.
    pub rooms: u32,
    /// Ticks run.
    pub ticks: u64,
    /// How late they were.
    pub lateness: Lateness,
    /// How late they would have been had nobody else ever had the shard's core.
    pub lateness_alone: Lateness,
    /// Periods of 20 ms left out because they were too late.
    pub periods_left_out: u64,
    /// Time spent working (receive, tick, send), not waiting.
    pub busy: Duration,
    /// How much of its time it needs, and what it gives up for want of it.
    pub load: ShardLoad,
    /// RTP packets received.
    pub rtp_received: u64,
    /// RTP packets sent.
    pub rtp_sent: u64,
    /// RTCP packets received.
    pub rtcp_received: u64,
    /// RTCP packets sent.
    pub rtcp_sent: u64,
    /// `VoIP` metrics received in extended reports.
    pub metrics_received: u64,
    /// `VoIP` metrics sent in extended reports.
    pub metrics_sent: u64,
    /// Datagrams that the kernel refused to send.
    pub send_failures: u64,
    /// Datagrams not used, by reason ([`DISCARDS`]), of all sessions past and present.
    pub discards: [u64; DISCARDS.len()],
    /// Blocks played from received sound.
    pub blocks_played: u64,
    /// Blocks invented because sound was missing.
    pub blocks_concealed: u64,
    /// Blocks received and not decoded: their sender's level said that nobody would hear them, or their
    /// period was left out.
    pub blocks_skipped: u64,
    /// Frames encoded for listeners that are not sent plain G.711, each for all who share it.
    pub frames_encoded: u64,
    /// Parts of spread rooms that other shards had not told in time: they were silent for a period.
    pub parts_late: u64,
    /// Sum of the playout delay over all blocks played, for the mean.
    pub playout_delay_sum: Duration,
    /// Blocks and packets that taps lost because the ring was full.
    pub tap_overruns: u64,
    /// Seconds of all sessions past and present.
    pub seconds: SecondsTotal,
    /// What we heard, by session at its end.
    pub receive_opinions: Opinions,
    /// What the endpoints heard, by session at its end, where they reported.
    pub send_opinions: Opinions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_falls_into_its_bucket() {
        let mut lateness = Lateness::default();
        lateness.record(Duration::from_micros(50));
        lateness.record(Duration::from_micros(51));
        lateness.record(Duration::from_secs(1));
        assert_eq!(lateness.buckets[0], 1);
        assert_eq!(lateness.buckets[1], 1);
        assert_eq!(lateness.buckets[LATENESS_BOUNDS.len()], 1);
        assert_eq!(lateness.max_us, 1_000_000);
        assert_eq!((lateness.later_than(50), lateness.later_than(10_000)), (2, 1));
    }

    #[test]
    fn opinions_fall_into_their_bucket() {
        let mut opinions = Opinions::default();
        for opinion in [1.0, 4.34, 4.35, 4.5] {
            opinions.record(opinion);
        }
        assert_eq!(opinions.buckets, [1, 0, 0, 0, 1, 2]);
        assert_eq!(opinions.sum_hundredths, 1419);
    }
}
