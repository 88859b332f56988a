//! Extended reports (RFC 3611): the blocks that we read and write.
//!
//! Receiver reference time (4) and its answer (5) give a round trip to who sends no media;
//! `VoIP` metrics (7) tell how it sounds. Blocks of other types are skipped, and so is the rest
//! of a packet whose lengths do not add up: what stands before and beside it is still good.

use std::ops::RangeInclusive;
use std::time::Duration;

use media_units::{BurstGap, NtpTime, Ssrc, VoipMetrics};

use super::read::Fact;
use super::round_trip;
use super::write::Cursor;

/// The packet type.
pub(super) const XR: u8 = 207;

const REFERENCE_TIME: u8 = 4;
const LAST_REFERENCE: u8 = 5;
const VOIP_METRICS: u8 = 7;

/// Octets of the packet's header with its SSRC.
pub(super) const HEADER_BYTES: usize = 8;

/// Octets of one answer within a block of type 5.
pub(super) const ANSWER_BYTES: usize = 12;

/// Octets of a `VoIP` metrics block behind its header.
const METRICS_BYTES: usize = 32;

/// Octets of the longest extended report that we write.
pub(super) const XR_BYTES_MAX: usize = HEADER_BYTES + 12 + 4 + ANSWER_BYTES + 4 + METRICS_BYTES;

/// In place of a number that is not known.
const UNKNOWN: u8 = 127;

/// What we say beyond the standard report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extended {
    /// Our time, for who is to answer with a [`LastReference`].
    pub reference: Option<NtpTime>,
    /// Our answer to such a time.
    pub last_reference: Option<LastReference>,
    /// How the source with this SSRC sounds to us.
    pub metrics: Option<(Ssrc, VoipMetrics)>,
}

/// When the last reference time of a receiver came (RFC 3611 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastReference {
    /// The receiver that it is for.
    pub ssrc: Ssrc,
    /// Middle 32 bits of its time; 0 if there was none.
    pub last: u32,
    /// Time since it came, in 1/65536 s.
    pub delay_since_last: u32,
}

impl LastReference {
    /// The time there and back, if it answers a time of ours. `now` is when it came.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        round_trip(now, self.last, self.delay_since_last)
    }
}

impl Extended {
    pub(super) fn write(&self, ssrc: Ssrc, out: &mut Cursor<'_>) {
        if *self == Self::default() {
            return;
        }
        let packet = out.begin(0, XR);
        out.word(ssrc.0);
        if let Some(ntp) = self.reference {
            out.octets(&[REFERENCE_TIME, 0, 0, 2]);
            out.word((ntp.0 >> 32) as u32);
            out.word(ntp.0 as u32);
        }
        if let Some(answer) = self.last_reference {
            out.octets(&[LAST_REFERENCE, 0, 0, 3]);
            out.word(answer.ssrc.0);
            out.word(answer.last);
            out.word(answer.delay_since_last);
        }
        if let Some((source, metrics)) = &self.metrics {
            write_metrics(*source, metrics, out);
        }
        out.end(packet);
    }
}

fn write_metrics(source: Ssrc, metrics: &VoipMetrics, out: &mut Cursor<'_>) {
    let known = |value: Option<u8>| value.map_or(UNKNOWN, |value| value.min(UNKNOWN - 1));
    let level = |value: Option<i8>| value.map_or(UNKNOWN, |value| value.min(126) as u8);
    let spread = &metrics.spread;
    out.octets(&[VOIP_METRICS, 0, 0, 8]);
    out.word(source.0);
    out.octets(&[
        metrics.loss_rate,
        metrics.discard_rate,
        spread.burst_density,
        spread.gap_density,
    ]);
    out.halves(spread.burst_duration_ms, spread.gap_duration_ms);
    out.halves(metrics.round_trip_ms, metrics.end_system_delay_ms);
    out.octets(&[
        level(metrics.signal_dbm),
        level(metrics.noise_dbm),
        known(metrics.echo_return_loss_db),
        metrics.gap_minimum,
    ]);
    out.octets(&[
        known(metrics.r_factor),
        known(metrics.external_r_factor),
        known(metrics.mos_listening_tenths),
        known(metrics.mos_conversational_tenths),
    ]);
    out.octets(&[metrics.receiver_configuration, 0]);
    out.octets(&metrics.playout_nominal_ms.to_be_bytes());
    out.halves(metrics.playout_maximum_ms, metrics.playout_limit_ms);
}

/// One block of a packet: its type and content, and what stands behind it.
pub(super) fn split_block(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, _, high, low], rest) = octets.split_first_chunk::<4>()?;
    let length = 4 * usize::from(u16::from_be_bytes([*high, *low]));
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

/// What a block says by itself; the answers of a block of type 5 are gone through later.
pub(super) enum Content<'a> {
    Fact(Fact),
    Answers(&'a [u8]),
    Nothing,
}

pub(super) fn read_block(reporter: Ssrc, kind: u8, content: &[u8]) -> Content<'_> {
    match kind {
        REFERENCE_TIME => content.first_chunk().map_or(Content::Nothing, |ntp| {
            let ntp = NtpTime(u64::from_be_bytes(*ntp));
            Content::Fact(Fact::ReferenceTime { ssrc: reporter, ntp })
        }),
        LAST_REFERENCE => Content::Answers(content),
        VOIP_METRICS => content.first_chunk().map_or(Content::Nothing, |octets| {
            let (source, metrics) = read_metrics(octets);
            Content::Fact(Fact::Metrics { reporter, source, metrics })
        }),
        _ => Content::Nothing,
    }
}

pub(super) fn read_answer(octets: &[u8; ANSWER_BYTES]) -> LastReference {
    LastReference {
        ssrc: Ssrc(word(octets, 0)),
        last: word(octets, 4),
        delay_since_last: word(octets, 8),
    }
}

fn read_metrics(octets: &[u8; METRICS_BYTES]) -> (Ssrc, VoipMetrics) {
    // What is out of its range must be ignored (RFC 3611 sections 4.7.4 and 4.7.5).
    let within = |at: usize, range: RangeInclusive<u8>| {
        Some(octets[at]).filter(|value| range.contains(value))
    };
    let level = |at: usize| Some(octets[at] as i8).filter(|value| *value != UNKNOWN as i8);
    let half = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let metrics = VoipMetrics {
        loss_rate: octets[4],
        discard_rate: octets[5],
        spread: BurstGap {
            burst_density: octets[6],
            gap_density: octets[7],
            burst_duration_ms: half(8),
            gap_duration_ms: half(10),
        },
        round_trip_ms: half(12),
        end_system_delay_ms: half(14),
        signal_dbm: level(16),
        noise_dbm: level(17),
        echo_return_loss_db: within(18, 0..=UNKNOWN - 1),
        gap_minimum: octets[19],
        r_factor: within(20, 0..=100),
        external_r_factor: within(21, 0..=100),
        mos_listening_tenths: within(22, 10..=50),
        mos_conversational_tenths: within(23, 10..=50),
        receiver_configuration: octets[24],
        playout_nominal_ms: half(26),
        playout_maximum_ms: half(28),
        playout_limit_ms: half(30),
    };
    (Ssrc(word(octets, 0)), metrics)
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}
