//! The session descriptions of a plain phone (RFC 4566, RFC 3264): one audio line.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use media_units::Encoding;

use crate::phone::Format;

/// Which way the phone wants sound to flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// Both ways: not on hold.
    #[default]
    Active,
    /// Music on hold: we send, the other side is not heard.
    SendOnly,
    /// Silence both ways.
    Inactive,
    /// The way of RFC 2543: the address 0.0.0.0.
    Unspecified,
}

/// What offer and answer agreed on, seen from the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    /// Where the phone sends RTP.
    pub remote: SocketAddr,
    /// Payload format of both directions.
    pub encoding: Encoding,
    /// The payload type that the other side expects.
    pub payload_type: u8,
    /// Whether the other side takes sound from us.
    pub sends: bool,
    /// Whether the other side will send us sound.
    pub receives: bool,
}

/// What a phone says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description<'a> {
    pub address: SocketAddr,
    pub encodings: &'a [Encoding],
    pub hold: Hold,
    pub session: u64,
    pub version: u32,
}

impl Description<'_> {
    pub(super) fn text(&self) -> String {
        let family = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let address = match self.hold {
            Hold::Unspecified => "0.0.0.0".to_owned(),
            _ => self.address.ip().to_string(),
        };
        let mut text = format!(
            "v=0\r\no=- {} {} IN {family} {}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
             m=audio {} RTP/AVP",
            self.session,
            self.version,
            self.address.ip(),
            self.address.port(),
        );
        let formats = || self.encodings.iter().copied().map(Format::usual);
        for Format { payload_type, .. } in formats() {
            let _ = write!(text, " {payload_type}");
        }
        text.push_str(" 101\r\n");
        for Format { encoding, payload_type } in formats() {
            let (name, clock_rate) = (encoding.name(), encoding.clock_rate());
            let _ = write!(text, "a=rtpmap:{payload_type} {name}/{clock_rate}");
            text.push_str(match encoding {
                Encoding::Opus => "/2\r\n",
                _ => "\r\n",
            });
            let _ = match encoding {
                Encoding::Opus => write!(text, "a=fmtp:{payload_type} useinbandfec=1\r\n"),
                Encoding::Ilbc => write!(text, "a=fmtp:{payload_type} mode=20\r\n"),
                _ => Ok(()),
            };
        }
        text.push_str("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n");
        text.push_str("a=ptime:20\r\na=rtcp-mux\r\n");
        text.push_str(match self.hold {
            Hold::Active | Hold::Unspecified => "a=sendrecv\r\n",
            Hold::SendOnly => "a=sendonly\r\n",
            Hold::Inactive => "a=inactive\r\n",
        });
        text
    }
}

impl Media {
    /// The format in which the other side sends: by the number that our own description has.
    pub fn receives_format(&self) -> Format {
        Format::usual(self.encoding)
    }

    /// What the other side's description means for us. `None` where there is no audio line, it
    /// was rejected, or it has nothing of `ours`. Where there are several, our order decides.
    pub(super) fn of(description: &str, ours: &[Encoding], hold: Hold) -> Option<Self> {
        let lines = || description.split("\r\n").flat_map(|line| line.split('\n'));
        let values = |prefix: &'static str| lines().filter_map(move |l| l.strip_prefix(prefix));
        let mut words = values("m=audio ").next()?.split(' ');
        let port: u16 = words.next()?.split('/').next()?.parse().ok()?;
        let offered: Vec<u8> = words.skip(1).filter_map(|word| word.parse().ok()).collect();
        let address = values("c=").last()?.split(' ').nth(2)?;
        let address: IpAddr = address.split('/').next()?.parse().ok()?;
        let map = |number: u8| {
            let mapped = values("a=rtpmap:").filter_map(|line| line.split_once(' '));
            mapped.filter(|(mapped, _)| mapped.parse() == Ok(number)).map(|(_, map)| map).next()
        };
        let is_it = |number: u8, encoding: Encoding| match map(number) {
            Some(map) => {
                let mut parts = map.split('/');
                let is_named =
                    parts.next().is_some_and(|n| n.eq_ignore_ascii_case(encoding.name()));
                is_named && parts.next() == Some(&encoding.clock_rate().to_string())
            }
            None => encoding.static_payload_type() == Some(number),
        };
        let (encoding, payload_type) = ours.iter().find_map(|&encoding| {
            let number = offered.iter().copied().find(|&number| is_it(number, encoding))?;
            Some((encoding, number))
        })?;
        if port == 0 {
            return None;
        }
        let has = |direction: &str| lines().any(|line| line == direction);
        let (they_send, they_receive) = match () {
            () if has("a=sendonly") => (true, false),
            () if has("a=recvonly") => (false, true),
            () if has("a=inactive") => (false, false),
            () => (true, true),
        };
        let (we_send, we_receive) = match hold {
            Hold::Active => (true, true),
            Hold::SendOnly | Hold::Unspecified => (true, false),
            Hold::Inactive => (false, false),
        };
        Some(Self {
            remote: SocketAddr::new(address, port),
            encoding,
            payload_type,
            sends: they_receive && we_send && !address.is_unspecified(),
            receives: they_send && we_receive,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_understood_by_its_reader() {
        let address: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        let encodings = [Encoding::Pcma, Encoding::Opus];
        let text = |hold| {
            let encodings = &encodings;
            Description { address, encodings, hold, session: 1, version: 2 }.text()
        };
        let of = |text: &str, hold| Media::of(text, &encodings, hold);
        let media = of(&text(Hold::Active), Hold::Active).unwrap();
        assert_eq!(
            (media.remote, media.encoding, media.payload_type),
            (address, Encoding::Pcma, 8)
        );
        let opus = Media::of(&text(Hold::Active), &[Encoding::Opus], Hold::Active).unwrap();
        assert_eq!((opus.encoding, opus.payload_type), (Encoding::Opus, 112));
        assert_eq!(Media::of(&text(Hold::Active), &[Encoding::G722], Hold::Active), None);
        assert!(media.sends && media.receives);
        let media = of(&text(Hold::SendOnly), Hold::Active).unwrap();
        assert!(!media.sends && media.receives);
        let media = of(&text(Hold::Unspecified), Hold::Active).unwrap();
        assert!(!media.sends);
        assert_eq!(of("v=0\r\nm=audio 0 RTP/AVP 0\r\nc=IN IP4 1.2.3.4\r\n", Hold::Active), None);
        assert_eq!(of("", Hold::Active), None);
    }
}
