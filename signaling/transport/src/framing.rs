//! Where one message ends and the next begins on a stream (RFC 3261 section 18.3).
//!
//! Only `Content-Length` is read. The rules are strict, since two elements that disagree about
//! the end of a message are how a body becomes a request: lines end in CRLF, the length is given
//! exactly once and in digits. After a fault the stream is lost; nothing tries to find its way
//! back into it.

use bytes::{Buf, Bytes, BytesMut};

/// Cuts a stream into messages.
#[derive(Debug)]
pub(crate) struct Framer {
    buffer: BytesMut,
    /// Bytes in which the end of the head is known not to begin.
    scanned: usize,
    /// Length of the whole message, once its head is read.
    length: Option<usize>,
    /// CRLFs between messages, counted to a ping.
    line_ends: u8,
    message_bytes_max: usize,
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    /// One whole message.
    Message(Bytes),
    /// A keep-alive that wants a CRLF back (RFC 5626 section 4.4.1).
    Ping,
    /// Part of a message.
    Incomplete,
    /// Nothing.
    Empty,
}

/// Why no message can be told from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingFault {
    /// No `Content-Length`: required on a stream (RFC 3261 section 20.14).
    NoLength,
    /// A `Content-Length` that is no number, or a second one.
    BadLength,
    /// Longer than allowed.
    TooLong,
}

const HEAD_END: &[u8] = b"\r\n\r\n";

impl Framer {
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, length: None, line_ends: 0, message_bytes_max }
    }

    /// Where the next bytes of the stream go.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// What is there, in order. To be called until it is `Incomplete` or `Empty`.
    pub(crate) fn next(&mut self) -> Result<Framed, FramingFault> {
        let length = match self.length {
            Some(length) => length,
            None => match self.next_head()? {
                Ok(length) => *self.length.insert(length),
                Err(other) => return Ok(other),
            },
        };
        if self.buffer.len() < length {
            return Ok(Framed::Incomplete);
        }
        (self.length, self.scanned) = (None, 0);
        Ok(Framed::Message(self.buffer.split_to(length).freeze()))
    }

    /// The length of the message whose head is complete, or what there is instead.
    fn next_head(&mut self) -> Result<Result<usize, Framed>, FramingFault> {
        if self.skip_line_ends() {
            return Ok(Err(Framed::Ping));
        }
        if self.buffer.is_empty() {
            return Ok(Err(Framed::Empty));
        }
        let unscanned = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(at) = unscanned.windows(HEAD_END.len()).position(|window| window == HEAD_END)
        else {
            self.scanned = self.buffer.len().saturating_sub(HEAD_END.len() - 1);
            let too_long = self.buffer.len() > self.message_bytes_max;
            return if too_long { Err(FramingFault::TooLong) } else { Ok(Err(Framed::Incomplete)) };
        };
        self.line_ends = 0;
        let head_bytes = self.scanned + at + HEAD_END.len();
        let body_bytes = content_length(self.buffer.get(..head_bytes).unwrap_or_default())?;
        match head_bytes.checked_add(body_bytes) {
            Some(length) if length <= self.message_bytes_max => Ok(Ok(length)),
            _ => Err(FramingFault::TooLong),
        }
    }

    /// Drops line ends between messages; true at every second one.
    fn skip_line_ends(&mut self) -> bool {
        while self.buffer.starts_with(b"\r\n") {
            self.buffer.advance(2);
            self.scanned = 0;
            self.line_ends += 1;
            if self.line_ends == 2 {
                self.line_ends = 0;
                return true;
            }
        }
        false
    }
}

/// The header fields of a head as (name, value), without the start line; a folded value with its
/// folds in it. Lines that are no header field are passed over: whoever reads the message will
/// refuse it, but its end can be told.
pub(crate) fn headers(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = after_line(head).1;
    let fields = std::iter::from_fn(move || {
        let (mut field, mut after) = after_line(rest);
        while matches!(after.first(), Some(b' ' | b'\t')) {
            let (fold, next) = after_line(after);
            let length = rest.len() - after.len() + fold.len();
            (field, after) = (rest.get(..length).unwrap_or_default(), next);
        }
        rest = after;
        (!field.is_empty()).then_some(field)
    });
    fields.filter_map(|field| {
        let (name, value) = field.split_at(field.iter().position(|byte| *byte == b':')?);
        Some((name.trim_ascii_end(), value.get(1..).unwrap_or_default().trim_ascii()))
    })
}

/// The first line without its end, and what follows it.
fn after_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.windows(2).position(|window| window == b"\r\n");
    match end {
        Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 2..).unwrap_or_default()),
        None => (text, &[]),
    }
}

fn content_length(head: &[u8]) -> Result<usize, FramingFault> {
    let mut lengths = headers(head).filter_map(|(name, value)| {
        let is_length =
            name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l");
        is_length.then_some(value)
    });
    let value = lengths.next().ok_or(FramingFault::NoLength)?;
    if lengths.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(FramingFault::BadLength);
    }
    let digits = std::str::from_utf8(value).map_err(|_| FramingFault::BadLength)?;
    // So many digits that they do not fit: a number, and too long.
    digits.parse().map_err(|_| FramingFault::TooLong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sipx_sip::{Limits, StreamParser};

    use super::*;

    fn message(length_line: &str, body: &str) -> String {
        format!(
            "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nTo: <sip:a@b>\r\n\
             From: <sip:c@d>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 INFO\r\n{length_line}\r\n{body}"
        )
    }

    /// Everything that comes out when `stream` arrives in pieces of `size` bytes.
    fn frame(stream: &[u8], size: usize) -> Result<Vec<Framed>, FramingFault> {
        let mut framer = Framer::new(4096);
        let mut out = Vec::new();
        for piece in stream.chunks(size) {
            framer.buffer().extend_from_slice(piece);
            loop {
                match framer.next()? {
                    Framed::Incomplete | Framed::Empty => break,
                    framed => out.push(framed),
                }
            }
        }
        Ok(out)
    }

    #[test]
    fn messages_are_cut_alike_however_they_arrive() {
        let first = message("Content-Length : 5\r\n", "INVIT");
        let second = message("l:\r\n 0\r\n", "");
        let stream = format!("\r\n{first}{second}\r\n\r\n{second}");
        let whole = |text: &str| Framed::Message(Bytes::copy_from_slice(text.as_bytes()));
        let expected = vec![whole(&first), whole(&second), Framed::Ping, whole(&second)];
        for size in 1..stream.len() {
            assert_eq!(frame(stream.as_bytes(), size).as_ref(), Ok(&expected), "pieces of {size}");
        }
    }

    #[test]
    fn a_length_must_be_given_once_and_in_digits() {
        let fault = |line: &str| frame(message(line, "").as_bytes(), 4096).unwrap_err();
        assert_eq!(fault(""), FramingFault::NoLength);
        assert_eq!(fault("X: 1\r\n Content-Length: 0\r\n"), FramingFault::NoLength);
        for bad in ["-1", "+1", "", "0x10", "1 1", "1,1", "5;a"] {
            assert_eq!(
                fault(&format!("Content-Length: {bad}\r\n")),
                FramingFault::BadLength,
                "{bad}"
            );
        }
        assert_eq!(fault("Content-Length: 0\r\nl: 0\r\n"), FramingFault::BadLength);
    }

    #[test]
    fn a_line_that_is_no_header_does_not_hide_the_length() {
        let broken = message("Foobar roobar\r\nContent-Length: 2\r\n", "ab");
        let whole = Framed::Message(Bytes::copy_from_slice(broken.as_bytes()));
        assert_eq!(frame(broken.as_bytes(), 4096), Ok(vec![whole]));
    }

    #[test]
    fn a_message_longer_than_allowed_is_known_before_its_body_comes() {
        let fault = |text: String| frame(text.as_bytes(), 512).unwrap_err();
        assert_eq!(fault(message("Content-Length: 4096\r\n", "")), FramingFault::TooLong);
        assert_eq!(fault(message("l: 99999999999999999999999\r\n", "")), FramingFault::TooLong);
        assert_eq!(fault("x".repeat(5000)), FramingFault::TooLong);
    }

    proptest! {
        /// The front end reads each message with `sipx-sip`: both must see the same ones.
        #[test]
        fn messages_end_where_the_parser_says(
            bodies in proptest::collection::vec("[ -~\r\n]{0,40}", 1..5),
            names in proptest::collection::vec(
                prop_oneof![Just("Content-Length: "), Just("l : "), Just("CONTENT-LENGTH:\r\n\t"), Just("X: ")],
                5,
            ),
            size in 1..200_usize,
        ) {
            let stream: String = bodies
                .iter()
                .zip(&names)
                .map(|(body, name)| message(&format!("{name}{}\r\n", body.len()), body))
                .collect();
            let mut parser = StreamParser::new(Limits::stream());
            let theirs = parser.push(stream.as_bytes());
            match frame(stream.as_bytes(), size) {
                Ok(framed) => {
                    let theirs: Vec<_> = theirs.unwrap().iter().map(|m| Framed::Message(m.to_bytes())).collect();
                    let ours: Vec<_> = framed.into_iter().filter(|f| *f != Framed::Ping).collect();
                    prop_assert_eq!(ours, theirs);
                }
                Err(_) => prop_assert!(theirs.is_err()),
            }
        }

        #[test]
        fn any_bytes_are_framed_without_a_panic(
            stream in proptest::collection::vec(any::<u8>(), 0..300),
            size in 1..64_usize,
        ) {
            let _ = frame(&stream, size);
        }
    }
}
