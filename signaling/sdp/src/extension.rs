//! RTP header extensions (RFC 8285) and extended reports (RFC 3611), as negotiated.

use sdp_types::{Attribute, Media, Session};

/// The level of what an endpoint sends (RFC 6464).
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// The levels of those who are in a mix (RFC 6465).
const MIXER_LEVELS: &str = "urn:ietf:params:rtp-hdrext:csrc-audio-level";
/// Their identifiers in our own offers.
const AUDIO_LEVEL_ID: u8 = 1;
const MIXER_LEVELS_ID: u8 = 2;

/// Identifiers of the one-byte form (RFC 8285 section 4.2).
const IDS: std::ops::RangeInclusive<u8> = 1..=14;

/// The header extensions of a stream, each with its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extensions {
    /// The endpoint tells us its level.
    pub audio_level: Option<u8>,
    /// It said that its voice activity bit means nothing (`vad=off`).
    pub without_activity: bool,
    /// We tell it the levels of the mix.
    pub mixer_levels: Option<u8>,
}

impl Extensions {
    /// Those that both sides can; the directions are the endpoint's.
    pub(crate) fn read(
        session: &Session,
        media: &Media,
        (audio_levels, mixer_levels): (bool, bool),
    ) -> Self {
        let mut read = Self::default();
        for line in values(session, media, "extmap") {
            let Some(map) = Map::read(line) else { continue };
            if audio_levels && map.uri == AUDIO_LEVEL && map.they_send {
                read.audio_level.get_or_insert(map.id);
                read.without_activity |= map.attributes.contains("vad=off");
            }
            if mixer_levels && map.uri == MIXER_LEVELS && map.they_receive {
                read.mixer_levels.get_or_insert(map.id);
            }
        }
        // One identifier for two things is of no use for either.
        if read.audio_level.is_some() && read.audio_level == read.mixer_levels {
            return Self::default();
        }
        read
    }

    /// Those of the first offer in a dialog, where it is ours.
    pub(crate) fn first((audio_levels, mixer_levels): (bool, bool)) -> Self {
        Self {
            audio_level: audio_levels.then_some(AUDIO_LEVEL_ID),
            without_activity: false,
            mixer_levels: mixer_levels.then_some(MIXER_LEVELS_ID),
        }
    }

    /// Those that `answer` took over, under the identifiers that they were offered with (RFC 8285
    /// section 6).
    pub(crate) fn answered(self, answer: Self) -> Self {
        Self {
            audio_level: answer.audio_level.filter(|id| self.audio_level == Some(*id)),
            without_activity: answer.without_activity,
            mixer_levels: answer.mixer_levels.filter(|id| self.mixer_levels == Some(*id)),
        }
    }

    /// The lines that say so: levels of sources come to us, those of the mix go out.
    pub(crate) fn lines(self) -> impl Iterator<Item = Attribute> {
        let activity = if self.without_activity { "off" } else { "on" };
        let own = self.audio_level.map(|id| format!("{id}/recvonly {AUDIO_LEVEL} vad={activity}"));
        let mix = self.mixer_levels.map(|id| format!("{id}/sendonly {MIXER_LEVELS}"));
        own.into_iter().chain(mix).map(|value| Attribute::with_value("extmap", value))
    }
}

/// Whether the endpoint takes `VoIP` metrics (RFC 3611 section 5.1).
pub(crate) fn takes_voip_metrics(session: &Session, media: &Media) -> bool {
    let mut blocks = values(session, media, "rtcp-xr").flat_map(str::split_ascii_whitespace);
    blocks.any(|block| block.eq_ignore_ascii_case("voip-metrics"))
}

/// One `a=extmap`, seen from the endpoint.
struct Map<'a> {
    id: u8,
    uri: &'a str,
    attributes: &'a str,
    they_send: bool,
    they_receive: bool,
}

impl<'a> Map<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (entry, rest) = line.trim().split_once(' ')?;
        let (id, direction) = entry.split_once('/').unwrap_or((entry, "sendrecv"));
        let (uri, attributes) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        Some(Self {
            id: id.parse().ok().filter(|id| IDS.contains(id))?,
            uri,
            attributes,
            they_send: matches!(direction, "sendrecv" | "sendonly"),
            they_receive: matches!(direction, "sendrecv" | "recvonly"),
        })
    }
}

/// Values of an attribute that may stand at the stream or at the session.
fn values<'a>(
    session: &'a Session,
    media: &'a Media,
    name: &'static str,
) -> impl Iterator<Item = &'a str> {
    media.get_attribute_values(name).chain(session.get_attribute_values(name)).flatten()
}
