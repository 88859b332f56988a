//! What a message carries: a session description, a digit, or something we do not take.

use std::time::Duration;

use bytes::Bytes;
use media_units::{KEYS, key_number};
use signaling_siprec::multipart::{self, Handling};
use sipx_sip::headers::ContentType;
use sipx_sip::{HeaderName, Headers, Request};

use crate::refusal::Refusal;
use crate::reply::SDP;

/// The body formats of INFO.
const DIGIT_FORMATS: &str = "application/dtmf-relay, application/dtmf";

/// Refuses a body that is compressed or otherwise encoded.
pub(crate) fn check_encoding(headers: &Headers) -> Result<(), Refusal> {
    match headers.value(&HeaderName::ContentEncoding) {
        Some(value) if !value.eq_ignore_ascii_case(b"identity") => Err(Refusal::ContentEncoding),
        _ => Ok(()),
    }
}

/// The session description in a request, alone or as a part of several (RFC 5621). `None` where
/// there is no body, or only one that may be ignored. Parts beside it are ignored unless they say
/// that they must not be: few phones say of theirs that they may.
pub(crate) fn description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, Refusal> {
    described(headers, body, true)
}

/// The session description in an ACK or a response, which cannot be refused: whatever stands beside
/// it is ignored.
pub(crate) fn answer(headers: &Headers, body: &Bytes) -> Option<Bytes> {
    described(headers, body, false).ok().flatten()
}

fn described(
    headers: &Headers,
    body: &Bytes,
    is_refusable: bool,
) -> Result<Option<Bytes>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let content = content_type(headers)?;
    if content.is("application", "sdp") {
        return Ok(Some(body.clone()));
    }
    if content.media_type == b"multipart" {
        let boundary = content.param("boundary").unwrap_or_default();
        let parts = multipart::parts(body, boundary).map_err(Refusal::Body)?;
        // Of alternatives one is enough.
        let are_all_wanted = is_refusable && content.subtype != b"alternative"[..];
        let is_required = |part: &multipart::Part| part.handling == Some(Handling::Required);
        if are_all_wanted && parts.iter().any(|part| is_required(part) && !is_description(part)) {
            return Err(Refusal::ContentType(SDP));
        }
        let described = parts.into_iter().find(is_description);
        if let Some(part) = described {
            return Ok(Some(part.content));
        }
    }
    if is_optional(headers) { Ok(None) } else { Err(Refusal::ContentType(SDP)) }
}

/// Whether a part describes the session, and not one before the answer (RFC 3959), for one.
fn is_description(part: &multipart::Part) -> bool {
    let is_of_session = part.disposition.as_ref().is_none_or(|what| what == "session");
    part.content_type == SDP && !part.is_encoded && is_of_session
}

/// A key that an INFO reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyPress {
    pub digit: char,
    pub duration: Duration,
}

/// How long a key is held where an INFO does not say.
const PRESS: Duration = Duration::from_millis(100);

/// The key that an INFO reports, if it has a body at all, and one that reports a key and not a
/// flash (RFC 6086 section 5 leaves these formats to their users: `Signal=5` and `Duration=160`
/// in lines, or the key alone).
pub(crate) fn digit(info: &Request) -> Result<Option<KeyPress>, Refusal> {
    if info.headers.get(&HeaderName::Other(Bytes::from_static(b"Info-Package"))).is_some() {
        return Err(Refusal::Package);
    }
    if info.body().is_empty() {
        return Ok(None);
    }
    let content = content_type(&info.headers)?;
    let text = String::from_utf8_lossy(info.body());
    let line = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let signal = if content.is("application", "dtmf-relay") {
        line("signal").ok_or(Refusal::Malformed("no Signal line in the body".into()))?
    } else if content.is("application", "dtmf") {
        line("signal").unwrap_or(text.trim())
    } else {
        return Err(Refusal::ContentType(DIGIT_FORMATS));
    };
    if is_flash(signal) {
        return Ok(None);
    }
    let digit = key(signal).ok_or(Refusal::Malformed("the signal is no key".into()))?;
    let duration = line("duration").and_then(|value| value.parse().ok());
    let duration = duration.map_or(PRESS, |ms: u16| Duration::from_millis(u64::from(ms)));
    Ok(Some(KeyPress { digit, duration }))
}

/// The key that a signal names: by itself, or by its number in RFC 4733.
fn key(signal: &str) -> Option<char> {
    let mut characters = signal.chars();
    match (characters.next()?, characters.next()) {
        (key, None) => key_number(key).map(|number| KEYS[usize::from(number)]),
        ('1', Some(_)) => {
            KEYS.get(10..)?.get(signal.parse::<usize>().ok()?.checked_sub(10)?).copied()
        }
        _ => None,
    }
}

/// The hook pressed for a moment, by its names and by its number in RFC 4733: no digit, and
/// nothing that a conference could do.
fn is_flash(signal: &str) -> bool {
    ["flash", "hookflash", "hf", "!", "16"].iter().any(|name| signal.eq_ignore_ascii_case(name))
}

pub(crate) fn content_type(headers: &Headers) -> Result<ContentType, Refusal> {
    match headers.typed::<ContentType>() {
        Some(Ok(content)) => Ok(content),
        Some(Err(_)) => Err(Refusal::Malformed("Content-Type".into())),
        None => Err(Refusal::Malformed("body without Content-Type".into())),
    }
}

/// Whether the sender allows a body to be ignored (RFC 3261 section 20.11).
fn is_optional(headers: &Headers) -> bool {
    headers.value(&HeaderName::ContentDisposition).is_some_and(|value| {
        let mut parameters = value.split(|b| *b == b';').skip(1);
        parameters.any(|parameter| {
            let text: Vec<u8> = parameter.iter().copied().filter(|b| *b != b' ').collect();
            text.eq_ignore_ascii_case(b"handling=optional")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sipx_sip::{Limits, Message, parse_datagram};

    fn message(headers: &str, body: &str) -> Message {
        let text = format!("INFO sip:a@b SIP/2.0\r\n{headers}\r\n\r\n{body}");
        parse_datagram(text.into(), &Limits::datagram()).unwrap()
    }

    fn pressed(headers: &str, body: &str) -> Result<Option<char>, Refusal> {
        let press = digit(message(headers, body).as_request().unwrap())?;
        Ok(press.map(|press| press.digit))
    }

    #[test]
    fn digits_are_read_from_both_formats() {
        let relay = "Content-Type: application/dtmf-relay";
        for (body, expected) in [
            ("Signal=5\r\nDuration=160\r\n", '5'),
            ("signal = #\nduration=100", '#'),
            ("Signal= *\r\n", '*'),
            ("Duration=160\r\nSignal=a", 'A'),
            ("Signal=10\r\n", '*'),
            ("Signal=11\r\n", '#'),
            ("Signal=15\r\n", 'D'),
        ] {
            assert_eq!(pressed(relay, body), Ok(Some(expected)), "{body:?}");
        }
        assert_eq!(pressed("c: application/dtmf", "d"), Ok(Some('D')));
        assert_eq!(pressed("c: Application/DTMF", "7\r\n"), Ok(Some('7')));
        assert_eq!(pressed("c: application/dtmf", "Signal=9"), Ok(Some('9')));
        assert_eq!(pressed("Subject: none", ""), Ok(None));
    }

    #[test]
    fn a_flash_is_taken_and_is_no_digit() {
        for signal in ["flash", "HookFlash", "hf", "!", "16"] {
            let body = format!("Signal={signal}\r\nDuration=160\r\n");
            assert_eq!(pressed("c: application/dtmf-relay", &body), Ok(None));
            assert_eq!(pressed("c: application/dtmf", signal), Ok(None));
        }
    }

    #[test]
    fn the_duration_is_taken_where_it_can_be_read() {
        let duration = |body: &str| {
            let info = message("c: application/dtmf-relay", body);
            digit(info.as_request().unwrap()).unwrap().unwrap().duration.as_millis()
        };
        assert_eq!(duration("Signal=5\r\nDuration=250\r\n"), 250);
        assert_eq!(duration("Signal=5\r\n"), 100);
        assert_eq!(duration("Signal=5\r\nDuration=long\r\n"), 100);
        assert_eq!(duration("Signal=5\r\nDuration=99999999\r\n"), 100);
    }

    #[test]
    fn other_info_is_refused_with_what_would_be_taken() {
        let refusal = |headers, body| pressed(headers, body).unwrap_err();
        assert!(matches!(refusal("c: text/plain", "5"), Refusal::ContentType(_)));
        let relay = "c: application/dtmf-relay";
        let malformed = |what: &'static str| Refusal::Malformed(what.into());
        assert_eq!(refusal(relay, "5"), malformed("no Signal line in the body"));
        for body in ["Signal=", "Signal=55", "Signal=E", "Signal=17", "Signal=1\u{e9}", "Signal=1+"]
        {
            assert_eq!(refusal(relay, body), malformed("the signal is no key"), "{body}");
        }
        assert_eq!(refusal("c: application/dtmf", "55"), malformed("the signal is no key"));
        assert_eq!(refusal("Info-Package: g.3gpp.x", ""), Refusal::Package);
    }

    #[test]
    fn a_description_is_found_among_several_parts() {
        let body = "--b\r\nContent-Type: application/isup\r\n\r\nxx\r\n--b\r\n\
                    Content-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n--b--\r\n";
        let message = message("Content-Type: multipart/mixed;boundary=\"b\"", body);
        let found = description(message.headers(), message.body()).unwrap().unwrap();
        assert_eq!(&found[..], b"v=0\r\ns=-");
    }

    #[test]
    fn a_description_of_something_else_is_not_that_of_the_session() {
        let part = |disposition: &str, content: &str| {
            format!("--b\r\nContent-Type: application/sdp\r\n{disposition}\r\n{content}\r\n")
        };
        let early = part("Content-Disposition: early-session\r\n", "v=0 early");
        let found = |session: &str| {
            let message = message("Content-Type: multipart/mixed;boundary=b", session);
            description(message.headers(), message.body())
        };
        for disposition in ["", "Content-Disposition: session\r\n"] {
            let body = format!("{early}{}--b--\r\n", part(disposition, "v=0"));
            assert_eq!(found(&body).unwrap().unwrap(), "v=0");
        }
        assert_eq!(found(&format!("{early}--b--\r\n")), Err(Refusal::ContentType(SDP)));
    }

    #[test]
    fn a_foreign_part_is_passed_over_unless_it_must_be_understood() {
        let body = |handling: &str| {
            format!(
                "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n\
                 Content-Type: application/isup\r\n\
                 Content-Disposition: signal{handling}\r\n\r\nxx\r\n--b--\r\n"
            )
        };
        let found = |kind: &str, handling: &str| {
            let content = format!("Content-Type: multipart/{kind};boundary=b");
            let message = message(&content, &body(handling));
            description(message.headers(), message.body())
        };
        for handling in ["", ";handling=optional", "; Handling = Optional"] {
            assert_eq!(found("mixed", handling).unwrap().unwrap(), "v=0", "{handling}");
        }
        for handling in [";handling=required", ";x=y; Handling = Required"] {
            assert_eq!(found("mixed", handling), Err(Refusal::ContentType(SDP)), "{handling}");
            assert_eq!(found("alternative", handling).unwrap().unwrap(), "v=0", "{handling}");
        }
    }

    #[test]
    fn a_foreign_body_is_refused_unless_it_may_be_ignored() {
        let foreign = message("c: text/html", "<p>");
        let refusal = description(foreign.headers(), foreign.body()).unwrap_err();
        assert_eq!(refusal, Refusal::ContentType(SDP));
        let optional = "c: text/html\r\nContent-Disposition: render; handling=optional";
        let ignored = message(optional, "<p>");
        assert_eq!(description(ignored.headers(), ignored.body()), Ok(None));
    }
}
