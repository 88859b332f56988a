//! A last reading of a request that does not parse, so that its sender can be told.
//!
//! Only the headers that a response must repeat are taken; everything else is left behind.

use bytes::Bytes;
use sipx_sip::error::{FramingError, HeaderSyntaxError, LimitKind, ParseError, StartLineError};
use sipx_sip::{HeaderName, Limits, Message, Method, Request, parse_datagram};

use crate::refusal::Refusal;

/// Most of a broken message that is looked at.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers that a response repeats.
const REPEATED: [HeaderName; 5] =
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];

/// What can be answered of `message`, which failed to parse. `None` for a response, an ACK, and
/// whatever is too broken.
pub(crate) fn salvage(message: &[u8]) -> Option<Request> {
    let message = message.get(..message.len().min(HEAD_BYTES_MAX))?;
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(message.len());
    let mut lines = logical_lines(message.get(..end)?).into_iter();
    let method = lines.next()?.split(|b| *b == b' ').next()?.to_vec();
    let mut head = [&method[..], b" sip:salvaged SIP/2.0\r\n"].concat();
    for line in lines.filter(|line| is_repeated(line)) {
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    match parse_datagram(Bytes::from(head), &Limits::datagram()).ok()? {
        Message::Request(request) if request.method != Method::Ack => Some(request),
        _ => None,
    }
}

/// What was wrong with a message that failed to parse.
pub(crate) fn diagnosis(error: &ParseError) -> Refusal {
    let what = match error {
        ParseError::StartLine(StartLineError::Uri(_)) => "Request-URI",
        ParseError::StartLine(_) => "request line",
        ParseError::HeaderSyntax { kind: HeaderSyntaxError::BareNewline, .. } => "line end",
        ParseError::HeaderSyntax { line, .. } => {
            return Refusal::Malformed(format!("header at line {line}").into());
        }
        ParseError::Framing(FramingError::NoHeaderTerminator) => "no end of the header",
        ParseError::Framing(FramingError::BodyTruncated) => "body shorter than Content-Length",
        ParseError::Framing(_) => "Content-Length",
        ParseError::Limit { limit: LimitKind::MessageBytes | LimitKind::BodyBytes, .. } => {
            return Refusal::TooLarge;
        }
        ParseError::Limit { .. } => "header too long",
        _ => "not understood",
    };
    Refusal::Malformed(what.into())
}

/// Lines with those that continue them (RFC 3261 section 7.3.1).
fn logical_lines(head: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (index, pair) in head.windows(2).enumerate() {
        let continued = matches!(head.get(index + 2), Some(b' ' | b'\t'));
        if pair == b"\r\n" && !continued {
            lines.extend(head.get(start..index));
            start = index + 2;
        }
    }
    lines.extend(head.get(start..));
    lines
}

fn is_repeated(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|b| *b == b':') else { return false };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    REPEATED.contains(&HeaderName::parse(&Bytes::copy_from_slice(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_needs_is_read_out_of_a_broken_request() {
        let text = b"INVITE <sip:a@b> SIP/2.0\r\nv: SIP/2.0/UDP h\r\n ;branch=1\r\nnonsense\r\n\
                     CSeq : 4 INVITE\r\nContent-Length: -1\r\n\r\nbody";
        let request = salvage(text).unwrap();
        assert_eq!(request.method, Method::Invite);
        assert_eq!(request.headers.len(), 2);
        assert!(request.headers.get(&HeaderName::CSeq).is_some());
    }

    #[test]
    fn neither_an_ack_nor_a_response_nor_noise_is_answered() {
        for text in ["ACK x\r\nVia: SIP/2.0/UDP h\r\n\r\n", "SIP/2.0 99999 x\r\n\r\n", "", "\r\n"] {
            assert!(salvage(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
