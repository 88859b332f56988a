//! The stateless answer to a request whose end cannot be told: the connection closes after it,
//! so that the front end never sees it.

use bytes::Bytes;

use crate::framing::{FramingFault, headers};

/// Header fields that an answer repeats (RFC 3261 section 8.2.6.2), long and compact.
const REPEATED: [(&str, &str); 5] =
    [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "CSeq")];

/// Answers the request that `received` begins with, as far as it came. `None` where it is no
/// request, or one that is not answered (ACK), or too little of it came.
pub(crate) fn refuse(received: &[u8], fault: FramingFault) -> Option<Bytes> {
    if received.starts_with(b"SIP/") || received.starts_with(b"ACK ") {
        return None;
    }
    let status = match fault {
        FramingFault::NoLength => "400 Content-Length Required",
        FramingFault::BadLength => "400 Bad Content-Length",
        FramingFault::TooLong => "513 Message Too Large",
    };
    let mut answer = format!("SIP/2.0 {status}\r\n").into_bytes();
    for (name, compact) in REPEATED {
        let is_it = |found: &[u8]| {
            found.eq_ignore_ascii_case(name.as_bytes())
                || found.eq_ignore_ascii_case(compact.as_bytes())
        };
        let mut found = false;
        // Up to the first empty line: what follows is body.
        for (_, value) in headers(head(received)).filter(|(found, _)| is_it(found)) {
            answer.extend_from_slice(name.as_bytes());
            answer.extend_from_slice(b": ");
            answer.extend_from_slice(value);
            answer.extend_from_slice(b"\r\n");
            found = true;
        }
        if !found {
            return None;
        }
    }
    answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(answer.into())
}

/// The complete lines before the body.
fn head(received: &[u8]) -> &[u8] {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.or_else(|| received.windows(2).rposition(|window| window == b"\r\n"));
    received.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/TCP h1;branch=z9hG4bK1\r\n\
        Via: SIP/2.0/TCP h2;branch=z9hG4bK2\r\nt: <sip:a@b>\r\nFrom: <sip:c@d>\r\n ;tag=1\r\n\
        i: 7\r\nCSeq: 1 INVITE\r\nSubject: x\r\n\r\nVia: not a header\r\n";

    #[test]
    fn the_answer_finds_its_way_back() {
        let answer = refuse(REQUEST.as_bytes(), FramingFault::NoLength).unwrap();
        assert_eq!(
            std::str::from_utf8(&answer).unwrap(),
            "SIP/2.0 400 Content-Length Required\r\nVia: SIP/2.0/TCP h1;branch=z9hG4bK1\r\n\
             Via: SIP/2.0/TCP h2;branch=z9hG4bK2\r\nFrom: <sip:c@d>\r\n ;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: 7\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        for text in
            ["", "x", "SIP/2.0 200 OK\r\nVia: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
        {
            assert_eq!(refuse(text.as_bytes(), FramingFault::TooLong), None, "{text}");
        }
        let ack = REQUEST.replace("INVITE", "ACK");
        assert_eq!(refuse(ack.as_bytes(), FramingFault::NoLength), None);
        let cut = &REQUEST[..REQUEST.find("CSeq").unwrap() + 6];
        assert_eq!(refuse(cut.as_bytes(), FramingFault::TooLong), None, "an unfinished line");
    }
}
