//! `[siprec]`

use std::time::Duration;

use signaling::{PlanError, SiprecConfig};

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
        send_to: section.parsed_list(
            "send_to",
            "addresses of recorders without names, for example [\"sip:srs@192.0.2.7:5060;transport=tcp\"]",
            "The recorders that rooms and calls are sent to. The first is called first; where it refuses, \
             does not answer or hangs up, the next. What is said while none has answered, and where \
             none is left, is recorded here.",
            |text| text.parse().map_err(|_| "no address of a recorder".to_owned()),
        ),
        rooms: section.parsed_list(
            "rooms",
            "names, prefixes with a star, or ranges, as in [dial]",
            "Rooms that are sent from their first member to their last; others are sent when the API \
             asks for it.",
            |text| text.parse().map_err(|error: PlanError| error.to_string()),
        ),
        calls: section.parsed_list(
            "calls",
            "numbers, prefixes with a star, or ranges, as in [dial]",
            "Dialled numbers whose calls are sent, each by itself: what the caller says, and what it \
             hears. Other calls are sent when the API asks for it.",
            |text| text.parse().map_err(|error: PlanError| error.to_string()),
        ),
        send_streams_max: section.count(
            "send_streams_max",
            16,
            2..=31,
            "Participants of one room that are sent in a stream of their own. Those beyond are in the \
             room's mix, which is one stream more. Each stream needs a media session.",
        ) as usize,
        answer_timeout: section.duration(
            "answer_timeout",
            Duration::from_secs(4),
            Duration::from_millis(500)..=Duration::from_secs(32),
            "How long a recorder may take to answer before the next is called.",
        ),
    }
}
