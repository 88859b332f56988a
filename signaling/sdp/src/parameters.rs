//! Format parameters (`a=fmtp`) and bandwidths: how the endpoint wants to be sent to, within what
//! our configuration allows, and what we say about ourselves.

use std::fmt::Write as _;

use media_units::{Encoding, EncodingParameters};
use sdp_types::{Media, Session};

use crate::format::Format;
use crate::packet_time;

/// The telephone events we take: the sixteen keys (RFC 4733 section 3.2).
const EVENTS: &str = "0-15";

/// Bits in a second that Opus can have (RFC 7587 section 6.1).
const OPUS_BIT_RATES: std::ops::RangeInclusive<u32> = 6000..=510_000;

/// The rates that Opus tells apart (RFC 6716 section 2.1.3).
const OPUS_RATES: [u32; 5] = [8000, 12_000, 16_000, 24_000, 48_000];

/// Bits of IPv4, UDP and RTP headers in each packet: `b=AS` counts them (RFC 3550 section 6.2).
const HEADER_BITS: u32 = 8 * 40;

/// How we are to encode for the endpoint that described itself as `media`. What a format has no
/// parameter for is as by default, so that listeners of one kind are equal.
pub(crate) fn agreed(
    session: &Session,
    media: &Media,
    (payload_type, encoding): (u8, Encoding),
    ours: &EncodingParameters,
) -> EncodingParameters {
    let asked = Asked::read(media, payload_type);
    let ilbc_mode_ms = match encoding {
        // 30 where nothing is said, and where the two differ (RFC 3952 section 5).
        Encoding::Ilbc if asked.number("mode") == Some(20) => ours.ilbc_mode_ms,
        _ => EncodingParameters::DEFAULT.ilbc_mode_ms,
    };
    let shortest_ms = asked.number("minptime").filter(|_| encoding == Encoding::Opus);
    let shortest_ms = shortest_ms.and_then(|ms| u16::try_from(ms).ok());
    let packet_time_ms =
        packet_time::agreed_ms(media, encoding, ilbc_mode_ms, ours.packet_time_ms, shortest_ms);
    let plain = EncodingParameters { packet_time_ms, ilbc_mode_ms, ..EncodingParameters::DEFAULT };
    if encoding != Encoding::Opus {
        return plain;
    }
    let bit_rate = [
        Some(ours.bit_rate),
        asked.number("maxaveragebitrate"),
        bandwidth(session, media, packet_time_ms),
    ];
    let bit_rate = bit_rate.into_iter().flatten().min().unwrap_or(ours.bit_rate);
    let rate = asked.number("maxplaybackrate").unwrap_or(u32::MAX).min(ours.playback_rate);
    EncodingParameters {
        bit_rate: bit_rate.clamp(*OPUS_BIT_RATES.start(), *OPUS_BIT_RATES.end()),
        playback_rate: OPUS_RATES.into_iter().find(|known| *known >= rate).unwrap_or(48_000),
        complexity: ours.complexity,
        in_band_fec: ours.in_band_fec && asked.is_set("useinbandfec"),
        constant_bit_rate: ours.constant_bit_rate || asked.is_set("cbr"),
        stereo: ours.stereo && asked.is_set("stereo"),
        discontinuous: ours.discontinuous && asked.is_set("usedtx"),
        ..plain
    }
}

/// Whether telephone events of this payload type are of use: they include a key. Without a list
/// they do (RFC 4733 section 2.4.1).
pub(crate) fn has_keys(media: &Media, payload_type: u8) -> bool {
    let Some(list) = Asked::read(media, payload_type).0 else { return true };
    let mut events = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.trim().parse::<u8>().ok()?, last.trim().parse::<u8>().ok()?))
    });
    // A list that makes no sense says nothing.
    events.next().is_none_or(|(first, _)| first <= 15) || events.any(|(first, _)| first <= 15)
}

/// Whether the endpoint describes silence in the way of G.729's Annex B, and takes it: it does where
/// it says nothing about it (RFC 4856 section 2.1.9).
pub(crate) fn has_annex_b(media: &Media, payload_type: u8) -> bool {
    let said = Asked::read(media, payload_type).value("annexb");
    said.is_none_or(|said| !said.eq_ignore_ascii_case("no"))
}

/// What we say about a format: how we want to be sent to. `annex_b`: of G.729.
pub(crate) fn ours(format: &Format, ours: &EncodingParameters, annex_b: bool) -> Option<String> {
    match format {
        Format::Audio(encoding) if encoding.is_g729() => {
            Some(format!("annexb={}", if annex_b { "yes" } else { "no" }))
        }
        Format::Audio(Encoding::Opus) => Some(opus(ours)),
        Format::Audio(Encoding::Ilbc) => Some(format!("mode={}", ours.ilbc_mode_ms)),
        Format::TelephoneEvent(_) => Some(EVENTS.to_owned()),
        _ => None,
    }
}

/// RFC 7587 section 6.1. What we receive has no bound; what is not said is off.
fn opus(ours: &EncodingParameters) -> String {
    let mut text = "minptime=10;useinbandfec=1".to_owned();
    if ours.playback_rate < 48_000 {
        let rate = ours.playback_rate;
        let _ = write!(text, ";maxplaybackrate={rate};sprop-maxcapturerate={rate}");
    }
    for (is_on, parameter) in [
        (ours.stereo, ";stereo=1;sprop-stereo=1"),
        (ours.constant_bit_rate, ";cbr=1"),
        (ours.discontinuous, ";usedtx=1"),
    ] {
        if is_on {
            text += parameter;
        }
    }
    text
}

/// The `a=fmtp` of one payload type.
struct Asked<'a>(Option<&'a str>);

impl<'a> Asked<'a> {
    fn read(media: &'a Media, payload_type: u8) -> Self {
        let lines = media.get_attribute_values("fmtp").flatten();
        Self(
            lines
                .filter_map(|line| line.trim().split_once(' '))
                .find(|(number, _)| number.parse() == Ok(payload_type))
                .map(|(_, parameters)| parameters),
        )
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let pairs = self.0?.split(';').filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.value(name)?.parse().ok()
    }

    fn is_set(&self, name: &str) -> bool {
        self.value(name) == Some("1")
    }
}

/// Bits in a second that `b=TIAS` (RFC 3890) and `b=AS` leave for sound.
fn bandwidth(session: &Session, media: &Media, packet_time_ms: u8) -> Option<u32> {
    let headers = HEADER_BITS * 1000 / u32::from(packet_time_ms.max(1));
    let given = session.bandwidths.iter().chain(&media.bandwidths).filter_map(|line| {
        let value = u32::try_from(line.bandwidth).unwrap_or(u32::MAX);
        match line.bwtype.as_str() {
            "TIAS" => Some(value),
            "AS" => Some(value.saturating_mul(1000).saturating_sub(headers)),
            _ => None,
        }
    });
    given.min()
}
