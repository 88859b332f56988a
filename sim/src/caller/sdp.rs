//! The session descriptions of a plain phone (RFC 4566, RFC 3264): one audio line.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use media_units::Law;

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
    pub law: Law,
    /// Whether the other side takes sound from us.
    pub sends: bool,
    /// Whether the other side will send us sound.
    pub receives: bool,
}

/// What a phone says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description<'a> {
    pub address: SocketAddr,
    pub laws: &'a [Law],
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
        for law in self.laws {
            let _ = write!(text, " {}", law.static_payload_type());
        }
        text.push_str(" 101\r\n");
        for law in self.laws {
            let payload_type = law.static_payload_type();
            let _ = write!(text, "a=rtpmap:{payload_type} {}/8000\r\n", law.name());
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
    /// What the other side's description means for us. `None` where there is no audio line, it
    /// was rejected, or the first payload type is none of ours.
    pub(super) fn of(description: &str, hold: Hold) -> Option<Self> {
        let lines = || description.split("\r\n").flat_map(|line| line.split('\n'));
        let values = |prefix: &'static str| lines().filter_map(move |l| l.strip_prefix(prefix));
        let mut words = values("m=audio ").next()?.split(' ');
        let port: u16 = words.next()?.split('/').next()?.parse().ok()?;
        let payload_type: u8 = words.nth(1)?.parse().ok()?;
        let address = values("c=").last()?.split(' ').nth(2)?;
        let address: IpAddr = address.split('/').next()?.parse().ok()?;
        let law = Law::ALL.into_iter().find(|e| e.static_payload_type() == payload_type)?;
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
            law,
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
        let laws = [Law::A, Law::Mu];
        let text = |hold| Description { address, laws: &laws, hold, session: 1, version: 2 }.text();
        let media = Media::of(&text(Hold::Active), Hold::Active).unwrap();
        assert_eq!((media.remote, media.law), (address, Law::A));
        assert!(media.sends && media.receives);
        let media = Media::of(&text(Hold::SendOnly), Hold::Active).unwrap();
        assert!(!media.sends && media.receives);
        let media = Media::of(&text(Hold::Unspecified), Hold::Active).unwrap();
        assert!(!media.sends);
        assert_eq!(
            Media::of("v=0\r\nm=audio 0 RTP/AVP 0\r\nc=IN IP4 1.2.3.4\r\n", Hold::Active),
            None
        );
        assert_eq!(Media::of("", Hold::Active), None);
    }
}
