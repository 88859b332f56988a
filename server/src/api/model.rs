//! What the API answers with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use engine_control::{FULL_PRESSURE, SessionReport, ShardLoad};
use media_units::{Cadence, DISCARDS, Digits, Gain, Instant};
use serde::{Deserialize, Serialize};
use signaling::{Gains, may_name_a_room};
use utoipa::{IntoParams, ToSchema};

use super::agreed::Agreed;
use super::quality::Quality;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// At most so many entries.
    #[serde(default = "limit_default")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: usize,
    /// Only what comes after this: the `next` of the page before.
    pub(crate) after: Option<String>,
}

const fn limit_default() -> usize {
    100
}

impl Page {
    /// Most entries of one page.
    pub(crate) const LIMIT_MAX: usize = 1000;

    /// Whether the limit is one we grant.
    pub(crate) fn is_valid(&self) -> bool {
        (1..=Self::LIMIT_MAX).contains(&self.limit)
    }
}

/// One room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Room {
    /// Its name.
    #[schema(example = "3000")]
    pub(crate) name: String,
    /// How many are in it.
    pub(crate) participants: usize,
    /// Since when it exists, in seconds.
    pub(crate) age_s: u64,
    /// Whether it is recorded here, also where that is for want of a recorder elsewhere. That it is
    /// sent to one is not said.
    pub(crate) recorded: bool,
}

/// A page of rooms, in the order of their names.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RoomPage {
    pub(crate) rooms: Vec<Room>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// One call, seen from its far end.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Participant {
    /// Names this call and no later one, as long as the server runs.
    #[schema(example = 12)]
    pub(crate) id: u64,
    /// The room it is in; absent for other services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<String>,
    /// What was dialled.
    #[schema(example = "3000")]
    pub(crate) dialled: String,
    /// Who calls: the URI of From.
    #[schema(example = "sip:alice@example.com")]
    pub(crate) caller: String,
    /// The caller's name, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    /// The SIP Call-ID.
    pub(crate) call_id: String,
    /// Whether the call is answered; else it rings.
    pub(crate) answered: bool,
    /// Whether it put us on hold.
    pub(crate) held: bool,
    /// Whether we mute it.
    pub(crate) muted: bool,
    /// By how many decibels everyone in its room hears it louder.
    pub(crate) says_db: f64,
    /// By how many decibels it hears everyone louder.
    pub(crate) hears_db: f64,
    /// The last digits it pressed, however they came.
    pub(crate) digits: String,
    /// Since when the call exists, in seconds.
    pub(crate) age_s: u64,
    /// What offer and answer agreed on; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agreed: Option<Agreed>,
    /// Its media; absent where it has none (yet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media: Option<Media>,
}

/// How loud a participant is to be, as it is written.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Gain)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenGain {
    /// By how many decibels everyone in its room hears it louder, in tenths.
    #[schema(minimum = -60, maximum = 30, multiple_of = 0.1, example = -6.5)]
    says_db: f64,
    /// By how many decibels it hears everyone louder, in tenths.
    #[schema(minimum = -60, maximum = 30, multiple_of = 0.1, example = 0)]
    hears_db: f64,
}

impl WrittenGain {
    /// What was meant, if it is within bounds.
    pub(crate) fn read(&self) -> Option<Gains> {
        Some(Gains { says: gain(self.says_db)?, hears: gain(self.hears_db)? })
    }
}

/// A gain of whole tenths of a decibel.
fn gain(decibels: f64) -> Option<Gain> {
    let tenths = (decibels * 10.0).round();
    let is_whole = (tenths - decibels * 10.0).abs() < 1e-6;
    Gain::of(tenths as i16).filter(|_| is_whole)
}

/// Where a participant is to go, as it is written.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RoomName)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenRoom {
    /// The name of the room.
    #[schema(min_length = 1, max_length = 64, example = "3001")]
    name: String,
}

impl WrittenRoom {
    /// The name, if a room could have it.
    pub(crate) fn read(self) -> Option<String> {
        may_name_a_room(&self.name).then_some(self.name)
    }
}

/// Keys to be pressed for a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyPresses {
    pub(crate) digits: Digits,
    pub(crate) cadence: Cadence,
}

/// Keys to be pressed for a participant, as they are written.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = KeyPresses)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenKeys {
    /// One to 32 of `0`-`9`, `*`, `#`, `A`-`D`.
    #[schema(example = "12#", min_length = 1, max_length = 32)]
    digits: String,
    /// How long each key is held.
    #[serde(default = "duration_default")]
    #[schema(minimum = 40, maximum = 8000, default = 100)]
    duration_ms: u16,
    /// The pause after each key.
    #[serde(default = "gap_default")]
    #[schema(minimum = 40, maximum = 8000, default = 80)]
    gap_ms: u16,
    /// Power of each tone, in dB below 0 dBm0.
    #[serde(default = "volume_default")]
    #[schema(minimum = 3, maximum = 36, default = 10)]
    volume: u8,
}

const fn duration_default() -> u16 {
    Cadence::DEFAULT.duration_ms
}

const fn gap_default() -> u16 {
    Cadence::DEFAULT.gap_ms
}

const fn volume_default() -> u8 {
    Cadence::DEFAULT.volume
}

impl WrittenKeys {
    /// What was meant, if it is within bounds.
    pub(crate) fn read(&self) -> Option<KeyPresses> {
        let Self { duration_ms, gap_ms, volume, .. } = *self;
        let cadence = Cadence { duration_ms, gap_ms, volume };
        let digits = Digits::parse(&self.digits)?;
        cadence.is_valid().then_some(KeyPresses { digits, cadence })
    }
}

/// A page of participants, in the order of their arrival.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ParticipantPage {
    pub(crate) participants: Vec<Participant>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
}

/// The media of one call, as the shard knows it. Counters count from the start of the call.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Media {
    /// Payload format.
    #[schema(example = "PCMU")]
    pub(crate) codec: String,
    /// Where its packets come from; absent before the first.
    #[schema(value_type = Option<String>, example = "192.0.2.7:40000")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<SocketAddr>,
    /// The endpoint's SSRC in hexadecimal; absent before its first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ssrc: Option<String>,
    /// Whether it speaks.
    pub(crate) talking: bool,
    /// How loud it speaks, in dB below full scale (0 loudest, 127 silent; RFC 6464).
    pub(crate) level_dbov: u8,
    /// RTP packets received.
    pub(crate) packets_received: u64,
    /// RTP payload octets received.
    pub(crate) octets_received: u64,
    /// Packets that never came (RFC 3550 appendix A.3); negative where duplicates came.
    pub(crate) packets_lost: i64,
    /// Share of the expected packets that never came, in percent.
    pub(crate) loss_percent: f64,
    /// Interarrival jitter (RFC 3550 appendix A.8).
    pub(crate) jitter_ms: f64,
    /// Present playout delay.
    pub(crate) playout_delay_ms: f64,
    /// The playout delay aimed at.
    pub(crate) playout_target_ms: f64,
    /// How much faster than ours the endpoint's clock runs, in parts per million; absent until known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drift_ppm: Option<i16>,
    /// Packets recovered from the redundancy in the next one.
    pub(crate) packets_recovered: u64,
    /// Sound invented in place of what was missing.
    pub(crate) concealed_ms: f64,
    /// Sound inserted to let the playout delay grow.
    pub(crate) expanded_ms: f64,
    /// Sound taken out to let the playout delay shrink.
    pub(crate) accelerated_ms: f64,
    /// Blocks of 20 ms played from received sound.
    pub(crate) blocks_played: u64,
    /// Blocks invented because sound was missing.
    pub(crate) blocks_concealed: u64,
    /// RTP packets sent.
    pub(crate) packets_sent: u64,
    /// RTP payload octets sent.
    pub(crate) octets_sent: u64,
    /// Share of our packets that never reached it, by its last RTCP report, in percent.
    pub(crate) remote_loss_percent: f64,
    /// Round trip by RTCP; absent before the endpoint's first report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) round_trip_ms: Option<f64>,
    /// How good the call is, both ways.
    pub(crate) quality: Quality,
    /// Datagrams not used, by reason; reasons that never occurred are absent.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub(crate) discards: BTreeMap<&'static str, u32>,
}

impl Media {
    /// What a session's report says at this moment.
    pub(crate) fn of(report: &SessionReport, now: Instant) -> Self {
        let discards = DISCARDS.iter().zip(report.discards).filter(|(_, count)| *count > 0);
        let expected = report.packets_received as i64 + report.packets_lost.max(0);
        Self {
            codec: report.encoding.to_string(),
            address: report.remote,
            ssrc: report.remote_ssrc.map(|ssrc| ssrc.to_string()),
            talking: report.talking,
            level_dbov: report.level_dbov,
            packets_received: report.packets_received,
            octets_received: report.octets_received,
            packets_lost: report.packets_lost,
            loss_percent: percent(report.packets_lost.max(0) as f64, expected as f64),
            jitter_ms: ms(report.jitter),
            playout_delay_ms: ms(report.playout_delay),
            playout_target_ms: ms(report.playout_target),
            drift_ppm: report.drift_ppm,
            packets_recovered: report.packets_recovered,
            concealed_ms: ms(report.concealed),
            expanded_ms: ms(report.expanded),
            accelerated_ms: ms(report.accelerated),
            blocks_played: report.blocks_played,
            blocks_concealed: report.blocks_concealed,
            packets_sent: report.packets_sent,
            octets_sent: report.octets_sent,
            remote_loss_percent: percent(f64::from(report.remote_fraction_lost), 256.0),
            round_trip_ms: report.round_trip.map(ms),
            quality: Quality::of(report, now),
            discards: discards.map(|(discard, count)| (discard.name(), count)).collect(),
        }
    }
}

/// How the server is.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Whether new calls are taken: false while the server stops.
    pub(crate) ready: bool,
    /// Whether the server is ending its calls in order to stop.
    pub(crate) draining: bool,
    /// Calls at present.
    pub(crate) calls: usize,
    /// How much of its time each shard needs.
    pub(crate) shards: Vec<ShardHealth>,
    /// Recordings at present.
    pub(crate) recordings: usize,
    /// What keeps recordings from being written; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recording_failure: Option<String>,
    /// Since when the server runs, in seconds.
    pub(crate) age_s: u64,
    /// Its version.
    pub(crate) version: &'static str,
}

/// A file of the flight recorder.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Flight {
    /// Where it is on the server.
    pub(crate) file: String,
}

/// How a shard is.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ShardHealth {
    /// Which.
    shard: u8,
    /// How much of each tick it needs, in percent, smoothed over 160 ms. At 100 there is no time left.
    pressure_percent: u32,
    /// What it gives up for want of time, and what is named before it: `nothing`, `new-calls`, `opus-complexity`,
    /// `recordings`.
    gives_up: &'static str,
}

impl ShardHealth {
    pub(crate) fn of(shard: u8, load: ShardLoad) -> Self {
        let pressure_percent = load.pressure / (FULL_PRESSURE / 100);
        Self { shard, pressure_percent, gives_up: load.shedding.name() }
    }
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// To hundredths.
pub(super) fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 10_000.0).round() / 100.0 } else { 0.0 }
}

/// To so many parts of one, so that no digits are invented.
pub(super) fn rounded(value: f32, parts: f64) -> f64 {
    (f64::from(value) * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use engine_control::SessionKey;

    use super::*;

    #[test]
    fn loss_is_a_share_of_what_was_expected() {
        let mut report = SessionReport::of(SessionKey::new(0, 1, 1));
        report.packets_received = 750;
        report.packets_lost = 250;
        report.remote_fraction_lost = 64;
        report.discards[7] = 3;
        let media = Media::of(&report, Instant::START);
        assert_eq!(media.loss_percent.to_string(), "25");
        assert_eq!(media.remote_loss_percent.to_string(), "25");
        assert_eq!(media.discards, BTreeMap::from([("late", 3)]));
        report.packets_lost = -4;
        assert_eq!(Media::of(&report, Instant::START).loss_percent.to_string(), "0");
    }
}
