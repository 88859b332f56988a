//! How good a call is, as the API tells it. docs/call-quality.md says what each number means.

use engine_control::SessionReport;
use media_units::{BurstGap, Instant, Seconds, StreamQuality, VoipMetrics};
use serde::Serialize;
use utoipa::ToSchema;

use super::model::{ms, percent, rounded};

/// How good the call is, both ways.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Quality {
    /// What we hear of it, since its present source (SSRC) began; absent before its first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receive: Option<Direction>,
    /// What it hears of us, by its RTCP; absent before its first report on us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) send: Option<Direction>,
    /// Its own judgement in RTCP extended reports (RFC 3611); absent where it sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) far_end: Option<FarEnd>,
    /// Good and bad seconds.
    pub(crate) seconds: BadSeconds,
}

/// One direction.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Direction {
    /// R factor of the E-model, 0 to 100 (ITU-T G.107; wideband divided by 1.29).
    #[schema(example = 92.1)]
    pub(crate) r_factor: f64,
    /// Mean opinion of who listens only, 1 to 4.5 (MOS-LQ).
    #[schema(example = 4.41)]
    pub(crate) mos_listening: f64,
    /// Mean opinion of who converses, 1 to 4.5: with the delay (MOS-CQ).
    #[schema(example = 4.38)]
    pub(crate) mos_conversational: f64,
    /// Share of packets that never came, in percent.
    pub(crate) lost_percent: f64,
    /// Share of packets that came too late to be played, in percent; absent where the receiver
    /// does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) discarded_percent: Option<f64>,
    /// How both are spread; absent where the receiver does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spread: Option<Spread>,
    /// Interarrival jitter at the receiver (RFC 3550 appendix A.8).
    pub(crate) jitter_ms: f64,
    /// One way, from microphone to loudspeaker: half of the round trip, packet, codec, playout.
    pub(crate) delay_ms: f64,
}

/// Missing packets in bursts, and in the gaps between them (RFC 3611 section 4.7.2).
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Spread {
    /// Share of packets missing within bursts, in percent.
    pub(crate) burst_density_percent: f64,
    /// Mean length of a burst.
    pub(crate) burst_duration_ms: u16,
    /// Share of packets missing within gaps, in percent.
    pub(crate) gap_density_percent: f64,
    /// Mean length of a gap.
    pub(crate) gap_duration_ms: u16,
}

/// What the endpoint says of what it hears (RFC 3611 section 4.7).
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FarEnd {
    /// Its R factor; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r_factor: Option<u8>,
    /// Its MOS-LQ; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mos_listening: Option<f64>,
    /// Its MOS-CQ; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mos_conversational: Option<f64>,
    /// Share of packets lost, in percent.
    pub(crate) lost_percent: f64,
    /// Share of packets discarded, in percent.
    pub(crate) discarded_percent: f64,
    /// The delay it adds by itself.
    pub(crate) end_system_delay_ms: u16,
    /// The present delay of its playout buffer.
    pub(crate) playout_delay_ms: u16,
    /// Level of the speech it hears, in dBm0; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal_dbm: Option<i8>,
    /// Level of the noise it hears, in dBm0; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise_dbm: Option<i8>,
    /// Residual echo return loss in dB; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) echo_return_loss_db: Option<u8>,
}

/// Seconds of the call, and why some were bad. One second may have several reasons.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BadSeconds {
    /// All seconds.
    pub(crate) all: u32,
    /// Bad ones.
    pub(crate) bad: u32,
    /// Bad because the network lost packets.
    pub(crate) network_loss: u32,
    /// Bad because packets came later than the playout buffer waits.
    pub(crate) late: u32,
    /// Bad because of the far end's clock, timestamps or unannounced pauses.
    pub(crate) far_end_clock: u32,
    /// Bad because a tick of ours was late.
    pub(crate) late_tick: u32,
    /// How long ago the last bad one was, in seconds; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_bad_age_s: Option<u64>,
}

impl Quality {
    /// What a session's report says of it at this moment.
    pub(super) fn of(report: &SessionReport, now: Instant) -> Self {
        Self {
            receive: report.receive_quality.as_ref().map(Direction::from),
            send: report.send_quality.as_ref().map(Direction::from),
            far_end: report.far_end.as_ref().map(FarEnd::from),
            seconds: BadSeconds::of(&report.seconds, now),
        }
    }
}

impl From<&StreamQuality> for Direction {
    fn from(quality: &StreamQuality) -> Self {
        let share = |share: f32| percent(share.into(), 1.0);
        Self {
            r_factor: rounded(quality.rating.r_factor, 10.0),
            mos_listening: rounded(quality.rating.mos_listening, 100.0),
            mos_conversational: rounded(quality.rating.mos_conversational, 100.0),
            lost_percent: share(quality.lost),
            discarded_percent: quality.discarded.map(share),
            spread: quality.spread.as_ref().map(Spread::from),
            jitter_ms: ms(quality.jitter),
            delay_ms: ms(quality.delay),
        }
    }
}

impl From<&BurstGap> for Spread {
    fn from(spread: &BurstGap) -> Self {
        Self {
            burst_density_percent: of_256(spread.burst_density),
            burst_duration_ms: spread.burst_duration_ms,
            gap_density_percent: of_256(spread.gap_density),
            gap_duration_ms: spread.gap_duration_ms,
        }
    }
}

impl From<&VoipMetrics> for FarEnd {
    fn from(metrics: &VoipMetrics) -> Self {
        let tenths = |tenths: Option<u8>| tenths.map(|tenths| f64::from(tenths) / 10.0);
        Self {
            r_factor: metrics.r_factor,
            mos_listening: tenths(metrics.mos_listening_tenths),
            mos_conversational: tenths(metrics.mos_conversational_tenths),
            lost_percent: of_256(metrics.loss_rate),
            discarded_percent: of_256(metrics.discard_rate),
            end_system_delay_ms: metrics.end_system_delay_ms,
            playout_delay_ms: metrics.playout_nominal_ms,
            signal_dbm: metrics.signal_dbm,
            noise_dbm: metrics.noise_dbm,
            echo_return_loss_db: metrics.echo_return_loss_db,
        }
    }
}

impl BadSeconds {
    fn of(seconds: &Seconds, now: Instant) -> Self {
        let [network_loss, late, far_end_clock, late_tick] = seconds.by_reason;
        Self {
            all: seconds.all,
            bad: seconds.bad,
            network_loss,
            late,
            far_end_clock,
            late_tick,
            last_bad_age_s: seconds.last_bad.map(|last| now.since(last).as_secs()),
        }
    }
}

fn of_256(share: u8) -> f64 {
    percent(share.into(), 256.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine_control::SessionKey;
    use media_units::{BAD_SECONDS, Rating};

    use super::*;

    #[test]
    fn quality_is_told_in_units_that_people_read() {
        let mut report = SessionReport::of(SessionKey::new(0, 1, 1));
        let rating =
            Rating { r_factor: 87.654, mos_listening: 4.312_3, mos_conversational: 4.256_7 };
        report.receive_quality = Some(StreamQuality {
            lost: 0.0125,
            discarded: Some(0.005),
            spread: Some(BurstGap { burst_density: 64, ..BurstGap::default() }),
            jitter: Duration::from_micros(2500),
            delay: Duration::from_millis(81),
            rating,
        });
        report.far_end = Some(VoipMetrics {
            mos_listening_tenths: Some(41),
            signal_dbm: Some(-20),
            ..VoipMetrics::default()
        });
        report.seconds.by_reason[BAD_SECONDS.len() - 1] = 3;
        report.seconds.last_bad = Some(Instant::from_millis(3000));
        let quality = Quality::of(&report, Instant::from_millis(64_500));
        let found = serde_json::to_value(&quality).unwrap();
        let receive = serde_json::json!({
            "r_factor": 87.7, "mos_listening": 4.31, "mos_conversational": 4.26,
            "lost_percent": 1.25, "discarded_percent": 0.5,
            "spread": {
                "burst_density_percent": 25.0, "burst_duration_ms": 0,
                "gap_density_percent": 0.0, "gap_duration_ms": 0,
            },
            "jitter_ms": 2.5, "delay_ms": 81.0,
        });
        assert_eq!(found["receive"], receive);
        assert!(found.get("send").is_none());
        assert_eq!(found["far_end"]["mos_listening"], 4.1);
        assert!(found["far_end"].get("r_factor").is_none());
        assert_eq!(found["seconds"]["late_tick"], 3);
        assert_eq!(found["seconds"]["last_bad_age_s"], 61);
    }
}
