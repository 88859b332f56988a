//! Bytes to lines, within bounds. The grammar is `sdp-types`'; the bounds are ours, and hold
//! before it allocates anything.

use sdp_types::{ParserError, Session};

use crate::{Bound, SdpRefusal};

/// Longest description read. A browser's with every codec and candidate has about 10 kB.
pub const BODY_BYTES_MAX: usize = 32 * 1024;

/// Most media streams in one description.
pub const STREAMS_MAX: usize = 32;

/// Most attributes in one description, over all streams.
pub const ATTRIBUTES_MAX: usize = 1024;

/// Reads a description.
pub(crate) fn parse(body: &[u8]) -> Result<Session, SdpRefusal> {
    if body.len() > BODY_BYTES_MAX {
        return Err(SdpRefusal::TooLarge(Bound::Bytes));
    }
    let lines_of = |start: &[u8]| {
        body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(start)).count()
    };
    if lines_of(b"m=") > STREAMS_MAX {
        return Err(SdpRefusal::TooLarge(Bound::Streams));
    }
    if lines_of(b"a=") > ATTRIBUTES_MAX {
        return Err(SdpRefusal::TooLarge(Bound::Attributes));
    }
    Session::parse(body).map_err(|error| SdpRefusal::NotSdp { line: line_of(&error) })
}

#[allow(deprecated)] // the library still lists errors that it no longer reports
fn line_of(error: &ParserError) -> usize {
    match error {
        ParserError::UnexpectedLine(line, _)
        | ParserError::InvalidLineFormat(line, _)
        | ParserError::InvalidFieldEncoding(line, _)
        | ParserError::InvalidFieldFormat(line, _)
        | ParserError::MissingField(line, _)
        | ParserError::FieldTrailingData(line, _)
        | ParserError::InvalidVersion(line, _)
        | ParserError::MultipleVersions(line)
        | ParserError::MultipleOrigins(line)
        | ParserError::MultipleSessionNames(line)
        | ParserError::MultipleSessionDescription(line)
        | ParserError::MultipleUris(line)
        | ParserError::MultipleConnections(line)
        | ParserError::MultipleTimeZones(line)
        | ParserError::MultipleMediaTitles(line)
        | ParserError::MultipleKeys(line)
        | ParserError::RepeatWithoutTime(line) => *line,
        ParserError::NoVersion | ParserError::NoOrigin | ParserError::NoSessionName => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broken_line_is_named() {
        let body = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio seventy RTP/AVP 0\r\n";
        assert_eq!(parse(body), Err(SdpRefusal::NotSdp { line: 6 }));
        assert_eq!(parse(b""), Err(SdpRefusal::NotSdp { line: 1 }));
        assert_eq!(parse(b"{\"json\": true}"), Err(SdpRefusal::NotSdp { line: 1 }));
    }

    #[test]
    fn every_bound_is_kept() {
        let many = |line: &str, count: usize| format!("v=0\r\n{}", line.repeat(count)).into_bytes();
        let too_large = |bound| Err(SdpRefusal::TooLarge(bound));
        assert!(parse(&many("m=audio 9 RTP/AVP 0\r\n", STREAMS_MAX)).is_ok());
        assert_eq!(
            parse(&many("m=audio 9 RTP/AVP 0\r\n", STREAMS_MAX + 1)),
            too_large(Bound::Streams)
        );
        assert!(parse(&many("a=x\r\n", ATTRIBUTES_MAX)).is_ok());
        assert_eq!(parse(&many("a=x\r\n", ATTRIBUTES_MAX + 1)), too_large(Bound::Attributes));
        assert_eq!(parse(&many("b=AS:1\r\n", BODY_BYTES_MAX / 8)), too_large(Bound::Bytes));
    }
}
