//! The payload formats of `[rtp]`, `[rtp.opus]` and `[[endpoint]]`.

use media_units::{Encoding, EncodingParameters};
use signaling::{EndpointRule, Pattern, PlanError};
use signaling_sdp::{Capabilities, CodecChoice, Families};

use super::reader::Section;

/// Every payload format by the name that the configuration has for it. `None`: this server was built
/// without it, by the feature of the same name.
const NAMES: [(&str, Option<Encoding>); 12] = [
    ("opus", Some(Encoding::Opus)),
    ("G722", Some(Encoding::G722)),
    ("PCMU", Some(Encoding::Pcmu)),
    ("PCMA", Some(Encoding::Pcma)),
    ("G726-32", Some(Encoding::G726)),
    ("GSM", Some(Encoding::Gsm)),
    ("iLBC", Some(Encoding::Ilbc)),
    ("L16/8000", Some(Encoding::L16At8000)),
    ("L16/16000", Some(Encoding::L16At16000)),
    ("L16/44100", Some(Encoding::L16At44100)),
    ("L16/48000", Some(Encoding::L16At48000)),
    ("G729", Encoding::G729_IF_BUILT_IN),
];

/// What is offered and taken where the configuration names nothing.
const USUAL: [&str; 7] = ["opus", "G722", "PCMU", "PCMA", "G726-32", "GSM", "iLBC"];

/// What `[[endpoint]]` means, for the documentation.
pub(super) const ENDPOINT: &str = "\
Endpoints that may use other payload formats than those of `rtp.codecs` or in another order, that may record, or that
are recorded: by the address that their SIP messages come from, by the user part of their From, or by both. There may be several of these tables; the first that
matches decides.";

/// What `[rtp.opus]` means, for the documentation.
const OPUS: &str = "How Opus is sent: the most that an endpoint gets. One that asks for less is sent less (RFC 7587).";

/// Offer and answer.
pub(super) fn capabilities(section: &mut Section<'_, '_>) -> Capabilities {
    let encodings = section.choices_built(
        "codecs",
        &NAMES,
        &USUAL,
        "Payload formats in our order of preference, which is that of our own offers.",
    );
    let choice = section.choice(
        "codec_choice",
        &[("offerer", CodecChoice::Offerer), ("ours", CodecChoice::Ours)],
        "Whose order decides when we answer an offer (RFC 3264 section 6.1).",
    );
    let packet_time_ms = section.choice(
        "packet_time",
        &[("20ms", 20), ("10ms", 10), ("30ms", 30), ("40ms", 40), ("60ms", 60)],
        "Sound in each packet, where the phone asks for no other. Opus has no 30 ms; L16 above \
         16 kHz has 10 ms only.",
    );
    let parameters = EncodingParameters {
        packet_time_ms,
        discontinuous: section.flag(
            "discontinuous",
            false,
            "Whether less is sent in silence: Opus to those who ask for that (usedtx), others \
             where comfort noise was agreed on.",
        ),
        ..Capabilities::PARAMETERS
    };
    let mut flag = |name, meaning| section.flag(name, true, meaning);
    let capabilities = Capabilities {
        families: Families::Both,
        encodings,
        choice,
        parameters,
        telephone_event: true,
        comfort_noise: flag(
            "comfort_noise",
            "Whether comfort noise is agreed on (RFC 3389; Annex B of G.729).",
        ),
        audio_levels: flag(
            "audio_levels",
            "Whether phones may tell how loud they are in each packet (RFC 6464): who is not \
             heard need not be decoded.",
        ),
        mixer_levels: flag(
            "mixer_levels",
            "Whether phones that ask are told who is heard, and how loud (RFC 6465).",
        ),
        voip_metrics: flag(
            "voip_metrics",
            "Whether VoIP metrics are exchanged in RTCP (RFC 3611).",
        ),
    };
    let parameters = section.section("rtp.opus", OPUS, |section| opus(section, parameters));
    Capabilities { parameters, ..capabilities }
}

fn opus(section: &mut Section<'_, '_>, plain: EncodingParameters) -> EncodingParameters {
    EncodingParameters {
        bit_rate: section.count("bit_rate", plain.bit_rate, 6000..=510_000, "Bits in a second."),
        playback_rate: section.choice(
            "rate",
            &[
                ("48kHz", 48_000),
                ("24kHz", 24_000),
                ("16kHz", 16_000),
                ("12kHz", 12_000),
                ("8kHz", 8000),
            ],
            "The sound up to half of this rate is sent.",
        ),
        complexity: section.count(
            "complexity",
            plain.complexity.into(),
            0..=10,
            "How hard the encoder tries: more is better, and costs more CPU.",
        ) as u8,
        in_band_fec: section.flag(
            "in_band_fec",
            plain.in_band_fec,
            "Whether packets repeat the one before in brief, for phones that ask for it and \
             report loss.",
        ),
        constant_bit_rate: section.flag(
            "constant_bit_rate",
            plain.constant_bit_rate,
            "Whether every packet has the same size, asked for or not.",
        ),
        stereo: section.flag(
            "stereo",
            plain.stereo,
            "Whether two audio channels are sent to those who ask for them. A room has one.",
        ),
        ..plain
    }
}

/// One `[[endpoint]]`; none where it says nothing of use.
pub(super) fn endpoint(section: &mut Section<'_, '_>) -> Option<EndpointRule> {
    // What is as usual is an exception, too: from a table further down.
    let says = ["codecs", "may_record", "record"].into_iter().any(|key| section.has(key));
    let network = section.parsed(
        "network",
        "an address or a network, for example \"192.0.2.0/24\"",
        "The addresses that its SIP messages come from; left out: any.",
        |text| text.parse().map_err(|_| "no network".to_owned()),
    );
    let user = section.parsed(
        "user",
        "one user part, a prefix with a star, or a range, as in [dial]",
        "The user part of its From; left out: any.",
        |text| text.parse::<Pattern>().map_err(|error: PlanError| error.to_string()),
    );
    let encodings = section.choices_built(
        "codecs",
        &NAMES,
        &[],
        "Its payload formats in order; [], or left out: those of `rtp.codecs`.",
    );
    let may_record = section.flag(
        "may_record",
        false,
        "Whether it may begin, pause and end recordings: of its room by `recording.keys`, of its room \
         or else its call by a header `Record: on`, `pause` or `off` in INVITE or INFO.",
    );
    let is_recorded = section.flag(
        "record",
        false,
        "Whether each of its calls is recorded from its answer to its end.",
    );
    if network.is_none() && user.is_none() {
        section.refuse("for nobody; write network or user");
        return None;
    }
    if !says {
        section.refuse("says nothing; write codecs, may_record or record");
        return None;
    }
    Some(EndpointRule { network, user, encodings, may_record, is_recorded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_the_server_shows() {
        for (name, encoding) in NAMES {
            let shown = encoding.map_or_else(|| "G729".to_owned(), |known| known.to_string());
            assert_eq!(name, shown);
        }
        for encoding in Encoding::ALL {
            assert!(NAMES.iter().any(|(_, known)| *known == Some(encoding)));
        }
    }
}
