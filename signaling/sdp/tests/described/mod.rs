//! What all tests of descriptions share.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::net::SocketAddr;

use engine_control::{MediaAddress, RemoteMedia};
use media_units::{Direction, Encoding};
use signaling_sdp::{Capabilities, Local, Negotiation, negotiate};

/// Our side.
pub(crate) fn local() -> Local {
    Local {
        address: MediaAddress { address: "203.0.113.1".parse().unwrap(), rtp_port: 16384 },
        session_id: 77,
        version: 3,
        direction: Direction::SendReceive,
    }
}

/// Everything there is in every build, in the order of [`Encoding::ALL`].
pub(crate) fn everything() -> Capabilities {
    Capabilities {
        encodings: Encoding::ALL.into_iter().filter(|encoding| !encoding.is_g729()).collect(),
        comfort_noise: true,
        audio_levels: true,
        mixer_levels: true,
        voip_metrics: true,
        ..Capabilities::default()
    }
}

/// A description of one plain stream with these further lines in it.
pub(crate) fn plain(address: &str, m: &str, attributes: &[&str]) -> String {
    let mut text = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN {address}\r\nt=0 0\r\n");
    text.push_str(m);
    for attribute in attributes {
        text.push_str("\r\na=");
        text.push_str(attribute);
    }
    text + "\r\n"
}

/// A description of one stream with these formats.
pub(crate) fn audio(formats: &str, attributes: &[&str]) -> String {
    plain("IP4 192.0.2.1", &format!("m=audio 4000 RTP/AVP {formats}"), attributes)
}

/// What an offer leads to where we can everything.
pub(crate) fn agreed(offer: &str) -> Negotiation {
    negotiate(offer.as_bytes(), &everything()).unwrap()
}

pub(crate) fn agreed_media(offer: &str) -> RemoteMedia {
    agreed(offer).media()
}

/// The lines of a description that begin with this.
pub(crate) fn lines<'a>(description: &'a str, start: &str) -> Vec<&'a str> {
    description.lines().filter(|line| line.starts_with(start)).collect()
}

pub(crate) fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
