//! Several bodies in one message (RFC 2046 section 5.1).
//!
//! Strict in what is written. In reading two slips of recorders in the field are forgiven: lines
//! that end without a carriage return, and a body without its closing delimiter, whose last part
//! reaches to its end (a SIP message knows its length, so nothing can have been cut off).

use std::fmt::Write;

use bytes::Bytes;

use crate::Refusal;

/// Most parts of a body that are looked at.
pub const PARTS_MAX: usize = 16;

/// Most headers of one part.
pub const HEADERS_MAX: usize = 16;

/// Longest header of a part.
pub const HEADER_BYTES_MAX: usize = 1024;

/// Longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// One part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Type and subtype in small letters, without parameters: `application/sdp`.
    pub content_type: String,
    /// What it is for, in small letters and without parameters, where that is said: `session`,
    /// `recording-session`.
    pub disposition: Option<String>,
    /// Whether it may be ignored, where its sender says that.
    pub handling: Option<Handling>,
    /// Whether it is in an encoding of its own: then it cannot be read as it is.
    pub is_encoded: bool,
    /// What it holds.
    pub content: Bytes,
}

/// What its sender allows to be done with a part that is not understood (RFC 3261 section 20.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// It may be ignored.
    Optional,
    /// It must not be.
    Required,
}

impl Handling {
    fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "optional" => Some(Self::Optional),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// Takes a body apart. What stands before the first delimiter and after the last is ignored.
pub fn parts(body: &Bytes, boundary: &[u8]) -> Result<Vec<Part>, Refusal> {
    if !is_boundary(boundary) {
        return Err(Refusal::Boundary);
    }
    let mut found = Vec::new();
    let mut rest = Delimiters { body, boundary, at: 0 };
    let mut delimiter = rest.next().ok_or(Refusal::NoPart)?;
    while !delimiter.is_last {
        if found.len() == PARTS_MAX {
            return Err(Refusal::TooManyParts);
        }
        let next = rest.next();
        let end = next.as_ref().map_or(body.len(), |next| next.start);
        found.push(part(&body.slice(delimiter.end.min(end)..end))?);
        match next {
            Some(next) => delimiter = next,
            None => break,
        }
    }
    if found.is_empty() { Err(Refusal::NoPart) } else { Ok(found) }
}

/// Puts parts together, each with its content type, its disposition and its content. `boundary`
/// must stand in none of them; the caller draws one that nobody can guess.
pub fn compose(boundary: &str, parts: &[(&str, Option<&str>, &str)]) -> String {
    let mut body = String::new();
    for (content_type, disposition, content) in parts {
        let _ = write!(body, "--{boundary}\r\nContent-Type: {content_type}\r\n");
        if let Some(disposition) = disposition {
            let _ = write!(body, "Content-Disposition: {disposition}\r\n");
        }
        let _ = write!(body, "\r\n{content}\r\n");
    }
    let _ = write!(body, "--{boundary}--\r\n");
    body
}

fn is_boundary(boundary: &[u8]) -> bool {
    let is_allowed = |b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b);
    !boundary.is_empty()
        && boundary.len() <= BOUNDARY_BYTES_MAX
        && boundary.iter().all(is_allowed)
        && !boundary.ends_with(b" ")
}

/// A line that ends one part and begins the next.
struct Delimiter {
    /// Where the line break before it begins, which belongs to it.
    start: usize,
    /// Where the part after it begins.
    end: usize,
    /// Whether it closes the body.
    is_last: bool,
}

/// The delimiters of a body, in order.
struct Delimiters<'a> {
    body: &'a [u8],
    boundary: &'a [u8],
    /// Where the next line begins.
    at: usize,
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        while let Some(rest) = self.body.get(self.at..).filter(|rest| !rest.is_empty()) {
            let line_start = self.at;
            let length = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
            self.at += length;
            let line = rest.get(..length).unwrap_or_default();
            if let Some(is_last) = self.delimits(line) {
                let before = self.body.get(..line_start).unwrap_or_default();
                let start = without_line_end(before).len();
                return Some(Delimiter { start, end: self.at, is_last });
            }
        }
        None
    }
}

impl Delimiters<'_> {
    /// Whether a line is a delimiter, and if so whether it closes the body. Blanks may follow.
    fn delimits(&self, line: &[u8]) -> Option<bool> {
        let after = line.strip_prefix(b"--")?.strip_prefix(self.boundary)?;
        let closing = after.strip_prefix(b"--");
        let padding = closing.unwrap_or(after);
        let is_blank = padding.iter().all(|b| b" \t\r\n".contains(b));
        is_blank.then_some(closing.is_some())
    }
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// One part: headers, an empty line, content. A part without headers is plain text (RFC 2046).
fn part(text: &Bytes) -> Result<Part, Refusal> {
    let mut part = Part {
        content_type: "text/plain".to_owned(),
        disposition: None,
        handling: None,
        is_encoded: false,
        content: Bytes::new(),
    };
    let mut at = 0;
    for _ in 0..=HEADERS_MAX {
        let rest = text.get(at..).unwrap_or_default();
        let Some(length) = header_length(rest) else {
            return Err(Refusal::PartHeaders);
        };
        let line = rest.get(..length).unwrap_or_default();
        at += length;
        if without_line_end(line).is_empty() {
            part.content = text.slice(at..);
            return Ok(part);
        }
        part.take(line)?;
    }
    Err(Refusal::PartHeaders)
}

/// The length of a header with its line end and the lines that go on with it.
fn header_length(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let rest = text.get(length..)?;
        length += rest.iter().position(|b| *b == b'\n')? + 1;
        let is_empty = without_line_end(text.get(..length)?).is_empty();
        let goes_on = text.get(length).is_some_and(|b| b" \t".contains(b));
        if length > HEADER_BYTES_MAX {
            return None;
        }
        if is_empty || !goes_on {
            return Some(length);
        }
    }
}

impl Part {
    fn take(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').ok_or(Refusal::PartHeaders)?;
        let mut fields = value.split(';').map(str::trim);
        let first = fields.next().unwrap_or_default().to_ascii_lowercase();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" | "c" => self.content_type = first,
            "content-disposition" => {
                self.disposition = Some(first);
                let mut named = fields.filter_map(|field| field.split_once('='));
                let said = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("handling"));
                self.handling = said.and_then(|(_, word)| Handling::of(word.trim()));
            }
            "content-transfer-encoding" => {
                self.is_encoded |= !["7bit", "8bit", "binary"].contains(&first.as_str());
            }
            "content-encoding" | "e" => self.is_encoded |= first != "identity",
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: &str, boundary: &str) -> Result<Vec<(String, String)>, Refusal> {
        let parts = parts(&Bytes::copy_from_slice(body.as_bytes()), boundary.as_bytes())?;
        let text = |part: &Part| String::from_utf8_lossy(&part.content).into_owned();
        Ok(parts.iter().map(|part| (part.content_type.clone(), text(part))).collect())
    }

    fn one(content_type: &str, content: &str) -> (String, String) {
        (content_type.to_owned(), content.to_owned())
    }

    #[test]
    fn parts_are_found_between_a_preamble_and_an_epilogue() {
        let body = "ignored\r\n--b\r\nContent-Type: application/SDP;x=y\r\n\r\nv=0\r\n\r\n--b \t\r\n\
                    c: application/rs-metadata+xml\r\nSubject: x\r\n\r\n<a/>\r\n--b--\t\r\nignored --b";
        let expected =
            [one("application/sdp", "v=0\r\n"), one("application/rs-metadata+xml", "<a/>")];
        assert_eq!(taken(body, "b").unwrap(), expected);
        let bare = body.replace('\r', "");
        let expected =
            [one("application/sdp", "v=0\n"), one("application/rs-metadata+xml", "<a/>")];
        assert_eq!(taken(&bare, "b").unwrap(), expected);
    }

    #[test]
    fn only_a_whole_line_is_a_delimiter() {
        let body = "--b\r\n\r\nx--b\r\n--bb\r\n -b\r\n--b-x\r\n--b--\r\n";
        assert_eq!(taken(body, "b").unwrap(), [one("text/plain", "x--b\r\n--bb\r\n -b\r\n--b-x")]);
    }

    #[test]
    fn a_missing_closing_delimiter_is_forgiven() {
        let body = "--b\r\nContent-Type: a/b\r\n\r\nto the end\r\n";
        assert_eq!(taken(body, "b").unwrap(), [one("a/b", "to the end\r\n")]);
    }

    #[test]
    fn headers_go_on_over_lines_and_say_what_a_part_is_for() {
        let body = "--b\r\nContent-Type:\r\n application/gtd\r\n\
                    Content-Disposition: Signal ; Handling = optional\r\n\r\nIAM\r\n--b\r\n\
                    Content-Disposition: recording-session\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                    \r\n--b--";
        let parts = parts(&Bytes::copy_from_slice(body.as_bytes()), b"b").unwrap();
        assert_eq!(parts[0].content_type, "application/gtd");
        assert_eq!(parts[0].disposition.as_deref(), Some("signal"));
        assert!(parts[0].handling == Some(Handling::Optional) && !parts[0].is_encoded);
        assert_eq!(parts[1].disposition.as_deref(), Some("recording-session"));
        assert!(parts[1].handling.is_none() && parts[1].is_encoded);
        assert!(parts[1].content.is_empty());
    }

    #[test]
    fn what_is_no_multipart_body_is_refused() {
        for boundary in ["", "a\"b", "ends in space ", &"x".repeat(71)] {
            assert_eq!(taken("--b\r\n\r\n\r\n--b--", boundary), Err(Refusal::Boundary));
        }
        assert_eq!(taken("v=0\r\n", "b"), Err(Refusal::NoPart));
        assert_eq!(taken("--b--\r\n", "b"), Err(Refusal::NoPart));
        assert_eq!(taken("--b\r\nContent-Type: a/b\r\n--b--", "b"), Err(Refusal::PartHeaders));
        assert_eq!(taken("--b\r\nno header\r\n\r\n\r\n--b--", "b"), Err(Refusal::PartHeaders));
        let long = format!("--b\r\nX: {}\r\n\r\n\r\n--b--", "x".repeat(HEADER_BYTES_MAX));
        assert_eq!(taken(&long, "b"), Err(Refusal::PartHeaders));
        let headers = format!("--b\r\n{}\r\n\r\n--b--", "X: y\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(taken(&headers, "b"), Err(Refusal::PartHeaders));
        let many = format!("{}--b--", "--b\r\n\r\nx\r\n".repeat(PARTS_MAX + 1));
        assert_eq!(taken(&many, "b"), Err(Refusal::TooManyParts));
        let most = format!("{}--b--", "--b\r\n\r\nx\r\n".repeat(PARTS_MAX));
        assert_eq!(taken(&most, "b").unwrap().len(), PARTS_MAX);
    }

    #[test]
    fn what_is_composed_reads_back() {
        let body =
            compose("b", &[("a/b", None, "one\r\n"), ("c/d", Some("recording-session"), "")]);
        assert_eq!(taken(&body, "b").unwrap(), [one("a/b", "one\r\n"), one("c/d", "")]);
    }
}
