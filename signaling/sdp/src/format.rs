//! What payload types stand for: in the endpoint's descriptions, and in our own offers.

use media_units::Encoding;
use sdp_types::{Media, RtpMap};

/// Highest payload type (7 bits, RFC 3550 section 5.1).
const PAYLOAD_TYPE_MAX: u8 = 127;

/// Payload types that have no meaning of their own (RFC 3551 section 6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=PAYLOAD_TYPE_MAX;

/// Most codec names repeated in a refusal.
const NAMES_MAX: usize = 8;

/// What one payload type stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// Sound.
    Audio(Encoding),
    /// Digits (RFC 4733), on this clock.
    TelephoneEvent(u32),
    /// Comfort noise (RFC 3389), on this clock.
    ComfortNoise(u32),
    /// Anything else, by name and clock rate.
    Other(String),
}

impl Format {
    fn of(map: &RtpMap) -> Self {
        let named = |name: &str| map.encoding_name.eq_ignore_ascii_case(name);
        let channels = map.encoding_params.as_deref().map_or("1", str::trim);
        let is_it = |encoding: &Encoding| {
            // Opus says two whatever is sent (RFC 7587 section 7); not every phone does.
            named(encoding.name())
                && map.clock_rate == encoding.clock_rate()
                && (channels == "1" || *encoding == Encoding::Opus)
        };
        match Encoding::ALL.into_iter().find(is_it) {
            Some(encoding) => Self::Audio(encoding),
            None if named("telephone-event") => Self::TelephoneEvent(map.clock_rate),
            None if named("CN") && channels == "1" => Self::ComfortNoise(map.clock_rate),
            None => Self::Other(format!("{}/{}", map.encoding_name, map.clock_rate)),
        }
    }

    /// What it means without an `a=rtpmap` (RFC 3551 table 4).
    fn of_static(payload_type: u8) -> Self {
        let is_it = |encoding: &Encoding| encoding.static_payload_type() == Some(payload_type);
        if let Some(encoding) = Encoding::ALL.into_iter().find(is_it) {
            return Self::Audio(encoding);
        }
        match payload_type {
            13 => Self::ComfortNoise(8000),
            4 => Self::Other("G723/8000".into()),
            15 => Self::Other("G728/8000".into()),
            18 => Self::Other("G729/8000".into()),
            other => Self::Other(format!("payload type {other}")),
        }
    }

    /// Its payload type in our own offers, where nothing speaks against it. 101 is what most
    /// phones use themselves.
    pub(crate) fn usual_number(&self) -> Option<u8> {
        Some(match self {
            Self::Audio(Encoding::Opus) => 96,
            Self::Audio(Encoding::Ilbc) => 97,
            Self::Audio(Encoding::G726) => 98,
            Self::Audio(Encoding::L16At8000) => 99,
            Self::Audio(Encoding::L16At16000) => 100,
            Self::Audio(Encoding::L16At48000) => 102,
            Self::Audio(encoding) => encoding.static_payload_type()?,
            Self::TelephoneEvent(8000) => 101,
            Self::TelephoneEvent(16_000) => 103,
            Self::TelephoneEvent(48_000) => 104,
            Self::TelephoneEvent(44_100) => 107,
            Self::ComfortNoise(8000) => 13,
            Self::ComfortNoise(16_000) => 105,
            Self::ComfortNoise(48_000) => 106,
            Self::TelephoneEvent(_) | Self::ComfortNoise(_) | Self::Other(_) => return None,
        })
    }

    /// The line that says what `payload_type` stands for.
    pub(crate) fn rtpmap(&self, payload_type: u8) -> Option<RtpMap> {
        let map = |name: &str, clock_rate| RtpMap::new(payload_type, name, clock_rate);
        Some(match self {
            Self::Audio(Encoding::Opus) => {
                let mut opus = map(Encoding::Opus.name(), Encoding::Opus.clock_rate());
                opus.set_encoding_params("2");
                opus
            }
            Self::Audio(encoding) => map(encoding.name(), encoding.clock_rate()),
            Self::TelephoneEvent(clock_rate) => map("telephone-event", *clock_rate),
            Self::ComfortNoise(clock_rate) => map("CN", *clock_rate),
            Self::Other(_) => return None,
        })
    }
}

/// Payload types and what they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Formats(Vec<(u8, Format)>);

impl Formats {
    /// Those of an offer or an answer, in the endpoint's order of preference.
    pub(crate) fn read(media: &Media) -> Self {
        let mut mapped: [Option<Format>; PAYLOAD_TYPE_MAX as usize + 1] = [const { None }; _];
        for value in media.get_attribute_values("rtpmap").flatten() {
            let Ok(map) = value.trim().parse::<RtpMap>() else { continue };
            if let Some(format) = mapped.get_mut(map.payload_type as usize) {
                format.get_or_insert_with(|| Format::of(&map));
            }
        }
        let mut read = Self::default();
        let numbers = media.fmt.split_ascii_whitespace().filter_map(|token| token.parse().ok());
        for payload_type in numbers {
            if let Some(format) = mapped.get(usize::from(payload_type))
                && read.meaning(payload_type).is_none()
            {
                let format = format.clone().unwrap_or_else(|| Format::of_static(payload_type));
                read.0.push((payload_type, format));
            }
        }
        read
    }

    /// The first payload type that stands for `format`.
    pub(crate) fn number(&self, format: &Format) -> Option<u8> {
        self.0.iter().find(|(_, known)| known == format).map(|(payload_type, _)| *payload_type)
    }

    /// The encodings among them, in order.
    pub(crate) fn encodings(&self) -> impl Iterator<Item = (u8, Encoding)> {
        self.0.iter().filter_map(|(payload_type, format)| match format {
            Format::Audio(encoding) => Some((*payload_type, *encoding)),
            _ => None,
        })
    }

    /// What they are called, for a refusal.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.0.iter().map(|(_, format)| match format {
            Format::Audio(encoding) => encoding.to_string(),
            Format::Other(name) => name.clone(),
            Format::TelephoneEvent(clock_rate) => format!("telephone-event/{clock_rate}"),
            Format::ComfortNoise(clock_rate) => format!("CN/{clock_rate}"),
        });
        names.take(NAMES_MAX).collect()
    }

    /// Remembers what `later` says: its word about a payload type counts.
    pub(crate) fn learn(&mut self, later: &Self) {
        self.0.retain(|(payload_type, _)| later.meaning(*payload_type).is_none());
        // What was said last is found first.
        self.0.splice(0..0, later.0.iter().cloned());
    }

    /// The same formats with the payload types of our next offer: each keeps the number that it
    /// has in this dialog, and none is used for two (RFC 3264 section 8.3.2).
    pub(crate) fn numbered(&self, formats: Vec<Format>) -> Self {
        let mut numbered = Self::default();
        for format in formats {
            let is_free = |number: &u8| {
                self.meaning(*number).is_none() && numbered.meaning(*number).is_none()
            };
            let usual = || format.usual_number().filter(is_free);
            // From the top: the usual numbers are at the bottom.
            let any = || DYNAMIC.rev().find(is_free);
            if let Some(number) = self.number(&format).or_else(usual).or_else(any) {
                numbered.0.push((number, format));
            }
        }
        numbered
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u8, Format)> {
        self.0.iter()
    }

    fn meaning(&self, payload_type: u8) -> Option<&Format> {
        self.0.iter().find(|(known, _)| *known == payload_type).map(|(_, format)| format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Vec<Format> {
        let clocks = [8000, 16_000, 48_000];
        let audio = Encoding::ALL.map(Format::Audio);
        let more = clocks.map(Format::TelephoneEvent).into_iter();
        audio.into_iter().chain(more).chain(clocks.map(Format::ComfortNoise)).collect()
    }

    #[test]
    fn every_format_has_its_own_usual_number_and_reads_back_from_its_line() {
        let mut numbers: Vec<u8> = Vec::new();
        for format in everything() {
            let number = format.usual_number().unwrap();
            assert!(!numbers.contains(&number), "{format:?}");
            numbers.push(number);
            assert_eq!(Format::of(&format.rtpmap(number).unwrap()), format);
        }
    }

    #[test]
    fn a_number_that_the_endpoint_uses_is_not_given_another_meaning() {
        let mut known = Formats::default();
        known.learn(&Formats(vec![
            (96, Format::Other("speex/16000".into())),
            (111, Format::Audio(Encoding::Opus)),
            (97, Format::Other("speex/8000".into())),
        ]));
        let ours = known.numbered(everything());
        assert_eq!(ours.number(&Format::Audio(Encoding::Opus)), Some(111));
        assert_eq!(ours.number(&Format::Audio(Encoding::Ilbc)), Some(127));
        assert_eq!(ours.number(&Format::Audio(Encoding::G726)), Some(98));
        assert_eq!(ours.0.len(), everything().len());
    }

    #[test]
    fn where_every_number_is_taken_a_format_is_left_out() {
        let all = (0..=PAYLOAD_TYPE_MAX).map(|n| (n, Format::Other(n.to_string()))).collect();
        let taken = Formats(all);
        assert_eq!(taken.numbered(everything()), Formats::default());
    }

    #[test]
    fn the_last_word_about_a_number_counts() {
        let mut known = Formats(vec![(96, Format::Audio(Encoding::Opus))]);
        known.learn(&Formats(vec![(96, Format::Audio(Encoding::Ilbc))]));
        assert_eq!(known.number(&Format::Audio(Encoding::Opus)), None);
        assert_eq!(known.number(&Format::Audio(Encoding::Ilbc)), Some(96));
    }
}
