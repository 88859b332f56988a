//! Where a recorder of others is.

use std::str::FromStr;

use bytes::Bytes;
use sipx_sip::Uri;

use crate::dialog::peer_of;
use crate::outside::Peer;

/// A recorder of others, by an address that needs no name to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderAddress {
    text: String,
    peer: Peer,
}

/// Not the address of a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARecorder;

impl RecorderAddress {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn uri(&self) -> Uri {
        uri(&self.text).expect("it was read before")
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }
}

impl FromStr for RecorderAddress {
    type Err = NotARecorder;

    fn from_str(text: &str) -> Result<Self, NotARecorder> {
        let uri = uri(text).ok_or(NotARecorder)?;
        let is_plain = text.starts_with("sip:") && !uri.has_headers();
        let peer = peer_of(&uri).filter(|_| is_plain).ok_or(NotARecorder)?;
        Ok(Self { text: text.to_owned(), peer })
    }
}

fn uri(text: &str) -> Option<Uri> {
    Uri::parse(Bytes::copy_from_slice(text.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::Carrier;

    #[test]
    fn a_recorder_is_known_by_an_address_without_names() {
        let peer = |text: &str| text.parse::<RecorderAddress>().map(|address| address.peer());
        let udp = Peer { carrier: Carrier::Udp, remote: "192.0.2.7:5080".parse().unwrap() };
        assert_eq!(peer("sip:srs@192.0.2.7:5080"), Ok(udp));
        let tcp = Peer { carrier: Carrier::TcpNew, remote: "[2001:db8::1]:5060".parse().unwrap() };
        assert_eq!(peer("sip:[2001:db8::1];transport=tcp"), Ok(tcp));
        for wrong in [
            "",
            "srs",
            "sip:srs@example.org",
            "sips:192.0.2.7",
            "tel:+1",
            "sip:192.0.2.7?a=b",
            "sip:192.0.2.7;transport=tls",
            "sip:192.0.2.7\r\n",
        ] {
            assert_eq!(peer(wrong), Err(NotARecorder), "{wrong}");
        }
    }
}
