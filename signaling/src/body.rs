//! What a message carries: a session description, a digit, or something we do not take.

use bytes::Bytes;
use sipx_sip::headers::ContentType;
use sipx_sip::{HeaderName, Headers, Request};

use crate::refusal::Refusal;
use crate::reply::SDP;

/// The body formats of INFO.
const DIGIT_FORMATS: &str = "application/dtmf-relay, application/dtmf";

/// Most parts of a multipart body that are looked at.
const PARTS_MAX: usize = 16;

/// Refuses a body that is compressed or otherwise encoded.
pub(crate) fn check_encoding(headers: &Headers) -> Result<(), Refusal> {
    match headers.value(&HeaderName::ContentEncoding) {
        Some(value) if !value.eq_ignore_ascii_case(b"identity") => Err(Refusal::ContentEncoding),
        _ => Ok(()),
    }
}

/// The session description in a message, alone or as a part of several (RFC 5621). `None` where
/// there is no body, or only one that may be ignored.
pub(crate) fn description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let content = content_type(headers)?;
    if content.is("application", "sdp") {
        return Ok(Some(body.clone()));
    }
    if content.media_type == b"multipart"
        && let Some(part) = content.param("boundary").and_then(|b| described_part(body, b))
    {
        return Ok(Some(part));
    }
    if is_optional(headers) { Ok(None) } else { Err(Refusal::ContentType(SDP)) }
}

/// The digit that an INFO reports, if it has a body at all (RFC 6086 section 5 leaves these
/// formats to their users: `Signal=5` in lines, or the digit alone).
pub(crate) fn digit(info: &Request) -> Result<Option<char>, Refusal> {
    if info.headers.get(&HeaderName::Other(Bytes::from_static(b"Info-Package"))).is_some() {
        return Err(Refusal::Package);
    }
    if info.body().is_empty() {
        return Ok(None);
    }
    let content = content_type(&info.headers)?;
    let text = String::from_utf8_lossy(info.body());
    let signal = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
    });
    let signal = if content.is("application", "dtmf-relay") {
        signal
    } else if content.is("application", "dtmf") {
        signal.or(Some(text.trim()))
    } else {
        return Err(Refusal::ContentType(DIGIT_FORMATS));
    };
    let pressed = signal.and_then(key).ok_or(Refusal::Malformed("digit".into()))?;
    Ok(Some(pressed))
}

/// The key that a signal names: by itself, or by its number in RFC 4733.
fn key(signal: &str) -> Option<char> {
    let mut characters = signal.chars();
    match (characters.next()?.to_ascii_uppercase(), characters.next()) {
        (pressed @ ('0'..='9' | '*' | '#' | 'A'..='D'), None) => Some(pressed),
        ('1', Some(_)) => "*#ABCD".chars().nth(signal.parse::<usize>().ok()?.checked_sub(10)?),
        _ => None,
    }
}

fn content_type(headers: &Headers) -> Result<ContentType, Refusal> {
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

/// The first part of a multipart body whose type is that of a session description.
fn described_part(body: &Bytes, boundary: &[u8]) -> Option<Bytes> {
    let delimiter = [b"--", boundary].concat();
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = find(body.get(at..)?, &delimiter).filter(|_| starts.len() <= PARTS_MAX)
    {
        starts.push(at + found);
        at += found + delimiter.len();
    }
    starts.windows(2).find_map(|pair| {
        let part = body.get(pair[0] + delimiter.len()..pair[1])?;
        let head_end = find(part, b"\r\n\r\n")?;
        let is_sdp = String::from_utf8_lossy(part.get(..head_end)?).lines().any(|line| {
            let Some((name, value)) = line.split_once(':') else { return false };
            let kind = value.split(';').next().unwrap_or_default().trim();
            let name = name.trim();
            (name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c"))
                && kind.eq_ignore_ascii_case(SDP)
        });
        let content = part.get(head_end + 4..)?;
        let content = content.strip_suffix(b"\r\n").unwrap_or(content);
        is_sdp.then(|| Bytes::copy_from_slice(content))
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len().max(1)).position(|window| window == needle)
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
        digit(message(headers, body).as_request().unwrap())
    }

    #[test]
    fn digits_are_read_from_both_formats() {
        let relay = "Content-Type: application/dtmf-relay";
        assert_eq!(pressed(relay, "Signal=5\r\nDuration=160\r\n"), Ok(Some('5')));
        assert_eq!(pressed(relay, "signal = #\nduration=100"), Ok(Some('#')));
        assert_eq!(pressed(relay, "Signal=10\r\n"), Ok(Some('*')));
        assert_eq!(pressed("c: application/dtmf", "d"), Ok(Some('D')));
        assert_eq!(pressed("c: application/dtmf", "7\r\n"), Ok(Some('7')));
        assert_eq!(pressed("Subject: none", ""), Ok(None));
    }

    #[test]
    fn other_info_is_refused_with_what_would_be_taken() {
        let refusal = |headers, body| pressed(headers, body).unwrap_err();
        assert!(matches!(refusal("c: text/plain", "5"), Refusal::ContentType(_)));
        assert!(matches!(refusal("c: application/dtmf-relay", "x"), Refusal::Malformed(_)));
        assert!(matches!(refusal("c: application/dtmf", "55"), Refusal::Malformed(_)));
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
    fn a_foreign_body_is_refused_unless_it_may_be_ignored() {
        let foreign = message("c: text/html", "<p>");
        let refusal = description(foreign.headers(), foreign.body()).unwrap_err();
        assert_eq!(refusal, Refusal::ContentType(SDP));
        let optional = "c: text/html\r\nContent-Disposition: render; handling=optional";
        let ignored = message(optional, "<p>");
        assert_eq!(description(ignored.headers(), ignored.body()), Ok(None));
    }
}
