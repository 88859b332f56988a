//! Just enough of SIP's grammar (RFC 3261) to be the other end of a well-behaved server. On
//! purpose not the server's parser.

/// One SIP message, borrowed from its octets.
#[derive(Debug)]
pub struct Message<'a> {
    start: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    /// Its body.
    pub body: &'a str,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// A request with this method.
    Request(&'a str),
    /// A response with this status.
    Response(u16),
}

impl<'a> Message<'a> {
    /// Reads a whole message.
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.trim(), value.trim())).collect();
        Some(Self { start, headers, body })
    }

    /// Its first line.
    pub fn start(&self) -> Option<Start<'a>> {
        match self.start.strip_prefix("SIP/2.0 ") {
            Some(status) => status.get(..3)?.parse().ok().map(Start::Response),
            None => self.start.split_once(' ').map(|(method, _)| Start::Request(method)),
        }
    }

    /// The first header of this name, long or compact.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// All headers of this name, in order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let compact = compact_form(name);
        let wanted = move |given: &str| {
            given.eq_ignore_ascii_case(name)
                || compact.is_some_and(|short| given.eq_ignore_ascii_case(short))
        };
        let all = self.headers.iter().filter(move |(given, _)| wanted(given));
        all.map(|&(_, value)| value).collect::<Vec<_>>().into_iter()
    }

    /// Number and method of the `CSeq` header.
    pub fn sequence(&self) -> Option<(u32, &'a str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The tag of a From or To header.
    pub fn tag(&self, name: &str) -> Option<&'a str> {
        let value = self.header(name)?;
        let (_, parameters) = value.rsplit_once('>').unwrap_or(("", value));
        parameter(parameters, "tag")
    }
}

/// The URI within `<>`, or the whole value without parameters.
pub(super) fn uri(value: &str) -> &str {
    match value.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((uri, _)) => uri,
        None => value.split(';').next().unwrap_or(value).trim(),
    }
}

/// The value of `;name=value`.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|p| p.1)
}

/// How many octets the first message in a TCP stream has, once it is there in whole (RFC 3261
/// section 18.3). `Some(0)` never happens.
pub fn framed_octets(stream: &[u8]) -> Option<usize> {
    let end = stream.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&stream[..end]).ok()?;
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let length = lines
        .filter(|(name, _)| {
            let name = name.trim();
            name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l")
        })
        .find_map(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let whole = end.checked_add(length)?;
    (stream.len() >= whole).then_some(whole)
}

fn compact_form(name: &str) -> Option<&'static str> {
    let compact = [
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("Contact", "m"),
        ("Content-Type", "c"),
        ("Content-Length", "l"),
    ];
    compact.into_iter().find(|(long, _)| long.eq_ignore_ascii_case(name)).map(|(_, short)| short)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=z1\r\n\
        f: <sip:a@b>;tag=1\r\nTo: \"x;tag=no\" <sip:c@d;tag=no>;tag=2\r\nCSeq: 7 INVITE\r\n\
        Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\nl: 3\r\n\r\nabcSIP/2.0";

    #[test]
    fn the_parts_of_a_response_are_found() {
        let message = Message::read(&RESPONSE[..RESPONSE.len() - 7]).unwrap();
        assert_eq!(message.start(), Some(Start::Response(200)));
        assert_eq!((message.tag("From"), message.tag("To")), (Some("1"), Some("2")));
        assert_eq!(message.sequence(), Some((7, "INVITE")));
        assert_eq!(
            message.headers("Record-Route").map(uri).collect::<Vec<_>>(),
            ["sip:p1;lr", "sip:p2;lr"]
        );
        assert_eq!(message.body, "abc");
    }

    #[test]
    fn a_stream_is_cut_by_its_content_length() {
        assert_eq!(framed_octets(RESPONSE), Some(RESPONSE.len() - 7));
        assert_eq!(framed_octets(&RESPONSE[..RESPONSE.len() - 8]), None);
        assert_eq!(framed_octets(b"\r\n"), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = framed_octets(&octets);
            if let Some(message) = Message::read(&octets) {
                let _ = (message.start(), message.sequence(), message.tag("To"));
            }
        }

        #[test]
        fn cut_messages_never_panic(end in 0_usize..200) {
            let cut = &RESPONSE[..end.min(RESPONSE.len())];
            let _ = (framed_octets(cut), Message::read(cut).map(|m| m.tag("To").is_some()));
        }
    }
}
