//! How good a session is, both ways: gathered from what arrives, judged once a second and when
//! someone asks. docs/call-quality.md says what each number means.

use std::time::Duration;

use engine_control::ShardReport;
use media::playout::PlayoutReport;
use media::quality::emodel::{Impairment, Path, look_ahead};
use media::quality::losses::{GAP_MINIMUM, as_256th};
use media::quality::seconds::{Account, Counters};
use media::rtcp::{Extended, LastReference, ReportBlock};
use media_units::{
    Instant, NtpTime, PERIOD, PeriodIndex, Seconds, Ssrc, StreamQuality, VoipMetrics,
};

use crate::moment::Moment;
use crate::session::Session;

/// Periods in a second.
pub(crate) const SECOND: PeriodIndex = 50;

/// A tick that is later than half a period makes its second a bad one.
const LATE_TICK_US: u32 = 10_000;

/// Fewer packets than in a second are no session to be judged.
const JUDGED_PACKETS_MIN: u64 = 50;

/// More than this is no jitter that anyone measured: it is as good as untold.
const JITTER_MAX: Duration = Duration::from_secs(10);

/// What we say of ourselves in `VoIP` metrics: losses are concealed in the standard way, the
/// playout buffer adapts (RFC 3611 section 4.7.6).
const RECEIVER_CONFIGURATION: u8 = 0b1111_0000;

/// What is known of a session's quality beside what its streams count.
#[derive(Debug, Default)]
pub(crate) struct Quality {
    account: Account,
    /// The endpoint's last report on what we send.
    remote: Option<ReportBlock>,
    far_end: Option<VoipMetrics>,
    /// The endpoint's last reference time: whose, its middle bits, and when it came.
    asked: Option<(Ssrc, u32, Instant)>,
    /// What the playout buffer had done before, for others.
    playout_before: PlayoutReport,
}

impl Quality {
    pub(crate) fn new(counters: Counters, playout_before: PlayoutReport) -> Self {
        Self { account: Account::new(counters), playout_before, ..Self::default() }
    }

    /// The endpoint reported on what we send.
    pub(crate) fn reported(&mut self, block: ReportBlock) {
        self.remote = Some(block);
    }

    /// The endpoint said how we sound.
    pub(crate) fn judged(&mut self, metrics: VoipMetrics) {
        self.far_end = Some(metrics);
    }

    /// The endpoint wants to know the round trip.
    pub(crate) fn asked(&mut self, ssrc: Ssrc, ntp: NtpTime, arrival: Instant) {
        self.asked = Some((ssrc, ntp.middle(), arrival));
    }

    pub(crate) fn far_end(&self) -> Option<VoipMetrics> {
        self.far_end
    }

    pub(crate) fn seconds(&self) -> Seconds {
        self.account.seconds()
    }
}

/// Ticks that made their second a bad one.
pub(crate) fn late_ticks(totals: &ShardReport) -> u32 {
    totals.lateness.later_than(LATE_TICK_US) as u32
}

impl Session {
    /// A second is over: was it a good one?
    pub(crate) fn judge_second<O>(&mut self, moment: &mut Moment<'_, O>) {
        self.second_ends = moment.period + SECOND;
        let counters = self.counters(moment);
        let added = self.record.quality.account.second(counters, moment.now);
        moment.totals.seconds.add(&added);
    }

    /// The session is over: how good was it?
    pub(crate) fn judge_at_end<O>(&self, moment: &mut Moment<'_, O>) {
        if let Some(quality) = self.receive_quality()
            && self.reception.packets() >= JUDGED_PACKETS_MIN
        {
            moment.totals.receive_opinions.record(quality.rating.mos_conversational);
        }
        if let Some(quality) = self.send_quality()
            && self.send.packets() >= JUDGED_PACKETS_MIN
        {
            moment.totals.send_opinions.record(quality.rating.mos_conversational);
        }
    }

    /// It leaves a shard, or has come to one: late ticks are those of the shard that it is on.
    pub(crate) fn shift_late_ticks(&mut self, by: u32) {
        self.record.quality.account.shift_late_ticks(by);
    }

    /// What seconds are judged by.
    pub(crate) fn counters<O>(&self, moment: &Moment<'_, O>) -> Counters {
        Counters {
            concealed: self.blocks_concealed as u32,
            received: self.reception.packets() as u32,
            lost: self.reception.missing() as u32,
            late: self.reception.discarded() as u32,
            late_ticks: late_ticks(moment.totals),
        }
    }

    /// What the playout buffer did for this session.
    pub(crate) fn playout_since_open(&self) -> PlayoutReport {
        let (report, before) = (self.playout.report(), &self.record.quality.playout_before);
        PlayoutReport {
            packets_recovered: report.packets_recovered - before.packets_recovered,
            samples_concealed: report.samples_concealed - before.samples_concealed,
            samples_expanded: report.samples_expanded - before.samples_expanded,
            samples_accelerated: report.samples_accelerated - before.samples_accelerated,
            ..report
        }
    }

    /// How the endpoint sounds to us, since its present source began.
    pub(crate) fn receive_quality(&self) -> Option<StreamQuality> {
        let fates = self.reception.fates()?;
        let of_expected = |packets: u64| packets as f32 / fates.expected.max(1) as f32;
        let (lost, discarded) = (of_expected(fates.lost), of_expected(fates.discarded));
        let blocks = self.blocks_played + self.blocks_concealed;
        let concealed = self.blocks_concealed as f32 / blocks.max(1) as f32;
        let delay = self.network_delay() + fates.packet_time + self.playout.delay();
        let recovered = of_expected(self.playout_since_open().packets_recovered);
        let path = Path {
            impairment: self.impairment(),
            // Redundancy makes up for loss; and sound may be wanting though every packet came.
            missing: (lost + discarded - recovered).max(concealed),
            burst_ratio: fates.burst_ratio,
            delay: delay + look_ahead(self.media.encoding),
        };
        Some(StreamQuality {
            lost,
            discarded: Some(discarded),
            spread: Some(fates.spread),
            jitter: self.reception.jitter(),
            delay: path.delay,
            rating: path.rating(),
        })
    }

    /// How we sound to the endpoint, as far as it says so.
    pub(crate) fn send_quality(&self) -> Option<StreamQuality> {
        let Quality { remote, far_end, .. } = &self.record.quality;
        let block = remote.as_ref()?;
        let sent = self.send.packets().max(1) as f32;
        let lost = (block.cumulative_lost.max(0) as f32 / sent).min(1.0);
        let discarded = far_end.map(|metrics| f32::from(metrics.discard_rate) / 256.0);
        let clock_rate = self.media.encoding.clock_rate();
        let jitter = Duration::from_secs_f64(f64::from(block.jitter) / f64::from(clock_rate));
        let jitter = if jitter < JITTER_MAX { jitter } else { Duration::ZERO };
        let far_delay = far_end.map(|metrics| metrics.end_system_delay_ms).filter(|ms| *ms > 0);
        let far_delay = match far_delay {
            Some(ms) => Duration::from_millis(ms.into()),
            // It does not say: a playout buffer that just covers the jitter.
            None => PERIOD + jitter.saturating_mul(2),
        };
        let packet_time = Duration::from_millis(self.media.parameters.packet_time_ms.into());
        let delay = self.network_delay() + packet_time + far_delay;
        let path = Path {
            impairment: self.impairment(),
            missing: lost + discarded.unwrap_or(0.0),
            burst_ratio: 1.0,
            delay: delay + look_ahead(self.media.encoding),
        };
        Some(StreamQuality {
            lost,
            discarded,
            spread: far_end.map(|metrics| metrics.spread),
            jitter,
            delay: path.delay,
            rating: path.rating(),
        })
    }

    /// What we say beyond the standard report, if `is_sender` it sends media.
    pub(crate) fn extended_report<O>(&self, is_sender: bool, moment: &Moment<'_, O>) -> Extended {
        let takes_metrics = self.media.voip_metrics;
        let ntp = moment.rules.wall.ntp(moment.now);
        let last_reference = self.record.quality.asked.map(|(ssrc, last, arrival)| {
            let delay = moment.now.since(arrival).as_nanos() << 16;
            let delay = u32::try_from(delay / 1_000_000_000).unwrap_or(u32::MAX);
            LastReference { ssrc, last, delay_since_last: delay }
        });
        Extended {
            // Who sends media learns the round trip from report blocks.
            reference: (takes_metrics && !is_sender).then_some(ntp),
            last_reference,
            metrics: if takes_metrics { self.metrics(moment) } else { None },
        }
    }

    fn metrics<O>(&self, moment: &Moment<'_, O>) -> Option<(Ssrc, VoipMetrics)> {
        let source = self.reception.ssrc()?;
        let fates = self.reception.fates()?;
        let rating = self.receive_quality()?.rating;
        let ms = |duration: Duration| duration.as_millis().min(u128::from(u16::MAX)) as u16;
        let tenths = |opinion: f32| Some((opinion * 10.0).round() as u8);
        let playout_ms = ms(self.playout.delay());
        let limit_ms = ms(moment.rules.playout_delay_max);
        let encoding_time = Duration::from_millis(self.media.parameters.packet_time_ms.into())
            + look_ahead(self.media.encoding);
        let metrics = VoipMetrics {
            loss_rate: as_256th(fates.lost, fates.expected),
            discard_rate: as_256th(fates.discarded, fates.expected),
            spread: fates.spread,
            round_trip_ms: ms(self.record.round_trip.unwrap_or_default()),
            end_system_delay_ms: playout_ms.saturating_add(ms(encoding_time)),
            gap_minimum: GAP_MINIMUM,
            r_factor: Some(rating.r_factor.round() as u8),
            mos_listening_tenths: tenths(rating.mos_listening),
            mos_conversational_tenths: tenths(rating.mos_conversational),
            receiver_configuration: RECEIVER_CONFIGURATION,
            playout_nominal_ms: playout_ms,
            playout_maximum_ms: limit_ms,
            playout_limit_ms: limit_ms,
            ..VoipMetrics::default()
        };
        Some((source, metrics))
    }

    fn impairment(&self) -> Impairment {
        Impairment::of(self.media.encoding, self.media.parameters.bit_rate)
    }

    /// One way through the network: half of the round trip, once it is known.
    fn network_delay(&self) -> Duration {
        self.record.round_trip.unwrap_or_default() / 2
    }
}
