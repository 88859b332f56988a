//! Writes recording metadata (RFC 7865 section 6.10), its identifiers and its times.

use std::fmt::Write;
use std::time::Duration;

use quick_xml::escape::escape;

use crate::metadata::{DataMode, Metadata, Participant, Session};

/// The namespace of recording metadata.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:recording:1";

/// The document of `metadata`.
pub fn write(metadata: &Metadata) -> String {
    let mode = match metadata.data_mode {
        DataMode::Complete => "complete",
        DataMode::Partial => "partial",
    };
    let mut xml = Xml("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n".to_owned());
    xml.open("recording", &[("xmlns", NAMESPACE)]);
    xml.text("datamode", mode);
    for session in &metadata.sessions {
        xml.session(session);
    }
    for participant in &metadata.participants {
        xml.participant(participant);
    }
    for stream in &metadata.streams {
        xml.open("stream", &[("stream_id", &stream.id), ("session_id", &stream.session)]);
        xml.text("label", &stream.label);
        xml.close("stream");
    }
    for session in &metadata.sessions {
        xml.open("sessionrecordingassoc", &[("session_id", &session.id)]);
        xml.optional("associate-time", session.start_time.as_deref());
        xml.close("sessionrecordingassoc");
    }
    for participant in &metadata.participants {
        for presence in &participant.sessions {
            let names = [("participant_id", &*participant.id), ("session_id", &presence.session)];
            xml.open("participantsessionassoc", &names);
            xml.optional("associate-time", presence.associate_time.as_deref());
            xml.optional("disassociate-time", presence.disassociate_time.as_deref());
            xml.close("participantsessionassoc");
        }
    }
    for association in &metadata.associations {
        xml.open("participantstreamassoc", &[("participant_id", &association.participant)]);
        association.sends.iter().for_each(|stream| xml.text("send", stream));
        association.receives.iter().for_each(|stream| xml.text("recv", stream));
        xml.optional("associate-time", association.associate_time.as_deref());
        xml.optional("disassociate-time", association.disassociate_time.as_deref());
        xml.close("participantstreamassoc");
    }
    xml.close("recording");
    xml.0
}

/// An identifier out of 128 random bits: a UUID of version 4 (RFC 9562), in the base64 that the
/// schema wants.
pub fn identifier(random: u128) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let version = 0xf << 76;
    let variant = 0b11 << 62;
    let uuid = (random & !version & !variant) | (4 << 76) | (0b10 << 62);
    // 128 bits are 21 digits and two bits more.
    let digit = |at: u32| match 122_u32.checked_sub(at * 6) {
        Some(shift) => uuid >> shift,
        None => uuid << 4,
    };
    let digits = (0..22).map(|at| char::from(DIGITS[(digit(at) & 63) as usize]));
    digits.chain("==".chars()).collect()
}

/// A time since 1970, in UTC (RFC 3339).
pub fn timestamp(since_1970: Duration) -> String {
    let (days, seconds) = (since_1970.as_secs() / 86400, since_1970.as_secs() % 86400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let milliseconds = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The Gregorian date of a day since 1970. Years begin in March here, so that the leap day is the
/// last; 400 of them have always 146,097 days.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    // From 1 March of year 0 to 1 January 1970.
    let days = days_since_1970 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

struct Xml(String);

impl Xml {
    fn session(&mut self, session: &Session) {
        self.open("session", &[("session_id", &session.id)]);
        session.sip_session_ids.iter().for_each(|id| self.text("sipSessionID", id));
        self.optional("start-time", session.start_time.as_deref());
        self.optional("stop-time", session.stop_time.as_deref());
        self.close("session");
    }

    fn participant(&mut self, participant: &Participant) {
        self.open("participant", &[("participant_id", &participant.id)]);
        self.open("nameID", &[("aor", &participant.aor)]);
        self.optional("name", participant.name.as_deref());
        self.close("nameID");
        self.close("participant");
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.0, "<{name}");
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"{}\"", clean(value));
        }
        self.0.push_str(">\r\n");
    }

    fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>\r\n");
    }

    fn text(&mut self, name: &str, text: &str) {
        let _ = write!(self.0, "<{name}>{}</{name}>\r\n", clean(text));
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }
}

/// Escaped, and without the control characters that XML has no way to write.
fn clean(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control() && !is_no_character(*c)).collect();
    escape(kept).into_owned()
}

fn is_no_character(c: char) -> bool {
    matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds: u64| timestamp(Duration::from_millis(seconds * 1000 + 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00.007Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.007Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.007Z");
    }

    #[test]
    fn identifiers_are_uuids_in_base64() {
        assert_eq!(identifier(0), "AAAAAAAAQACAAAAAAAAAAA==");
        assert_eq!(identifier(u128::MAX), "////////T/+//////////w==");
        assert_ne!(identifier(1 << 5), identifier(1 << 6));
    }
}
