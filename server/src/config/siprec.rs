//! `[siprec]`

use signaling::SiprecConfig;

use super::reader::Section;

/// What `[siprec]` means, for the documentation.
pub(super) const SIPREC: &str = "\
Recording sessions by SIPREC (RFC 7866): docs/siprec.md tells how they are used.";

/// Reads `[siprec]`.
pub(super) fn siprec(section: &mut Section<'_, '_>) -> SiprecConfig {
    SiprecConfig {
        accept_from: section.parsed_list(
            "accept_from",
            "addresses and networks, for example [\"192.0.2.0/24\"]",
            "Whose recording sessions are taken, by where their SIP messages come from: others are \
             answered 403. Empty: this server is no recorder, and `Require: siprec` is answered 420.",
            |text| text.parse().map_err(|_| "no network".to_owned()),
        ),
        sessions_max: section.count(
            "sessions_max",
            4096,
            1..=65536,
            "Recording sessions that are taken at one time; one more is answered 503. Each of their \
             streams needs a media session of its own, of which there are as many as \
             `sip.calls_max`.",
        ) as usize,
        streams_max: section.count(
            "streams_max",
            8,
            1..=32,
            "Streams of one recording session; those beyond are refused in their places.",
        ) as usize,
    }
}
