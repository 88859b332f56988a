//! The topmost Via: what we add to it, and where it sends our responses.
//!
//! RFC 3261 sections 18.2.1 and 18.2.2, RFC 3581 (`rport`).

use std::net::{IpAddr, SocketAddr};

use sipx_sip::headers::first_hop_end;
use sipx_sip::{Header, HeaderName, Request, Via};

use crate::outside::{Carrier, Peer};
use crate::reach::{DEFAULT_PORT, literal};

/// Where the responses to one request go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReturnPath {
    /// Where they go.
    pub peer: Peer,
    /// Where they go once that connection is closed.
    pub fallback: Option<Peer>,
}

/// Writes `received` and `rport` into the topmost Via and says where responses go. `None` where
/// there is no Via: such a request cannot be answered. One with a malformed Via can be told so
/// only where it came from.
pub(crate) fn trace(request: &mut Request, from: Peer) -> Option<ReturnPath> {
    let Ok(via) = request.headers.typed::<Via>()? else {
        return Some(ReturnPath { peer: from, fallback: None });
    };
    let source = from.remote.ip().to_canonical();
    if via.rport().is_some() || literal(&via.host) != Some(source) {
        stamp(request, from.remote, via.rport().is_some())?;
    }
    let sent_by_port = via.port.unwrap_or(DEFAULT_PORT);
    let sent_by = SocketAddr::new(source, sent_by_port);
    if from.carrier != Carrier::Udp {
        let fallback = Peer { carrier: Carrier::TcpNew, remote: sent_by };
        return Some(ReturnPath { peer: from, fallback: Some(fallback) });
    }
    let maddr = via.maddr().and_then(|text| std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok());
    let remote = match maddr.filter(|address| !address.is_multicast()) {
        Some(address) => SocketAddr::new(address, sent_by_port),
        None if via.rport().is_some() => from.remote,
        None => sent_by,
    };
    Some(ReturnPath { peer: Peer { carrier: Carrier::Udp, remote }, fallback: None })
}

/// Replaces `received` and `rport` of the first hop; the rest stays as it was written.
fn stamp(request: &mut Request, source: SocketAddr, with_port: bool) -> Option<()> {
    let position = request.headers.iter().position(|header| *header.name() == HeaderName::Via)?;
    let value = request.headers.value(&HeaderName::Via)?.into_owned();
    let (first, rest) = value.split_at_checked(first_hop_end(&value))?;
    let mut hop = Vec::with_capacity(value.len() + 64);
    for (index, part) in split_parameters(first).enumerate() {
        let name = part.split(|b| *b == b'=').next()?.trim_ascii();
        let ours = name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport");
        if index == 0 {
            hop.extend_from_slice(part.trim_ascii());
        } else if !ours {
            hop.push(b';');
            hop.extend_from_slice(part.trim_ascii());
        }
    }
    hop.extend_from_slice(format!(";received={}", source.ip().to_canonical()).as_bytes());
    if with_port {
        hop.extend_from_slice(format!(";rport={}", source.port()).as_bytes());
    }
    hop.extend_from_slice(rest);
    let header = Header::build(HeaderName::Via, hop).ok()?;
    request.headers.remove_first(&HeaderName::Via)?;
    request.headers.insert(position, header);
    Some(())
}

/// Splits at the semicolons that are not inside a quoted string.
fn split_parameters(hop: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    hop.split(move |b| {
        let escapes = quoted && !escaped && *b == b'\\';
        let was_escaped = std::mem::replace(&mut escaped, escapes);
        if *b == b'"' && !was_escaped {
            quoted = !quoted;
        }
        *b == b';' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sipx_sip::{Limits, parse_datagram};

    fn traced(via: &str, carrier: Carrier) -> (String, ReturnPath) {
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\n\r\n");
        let message = parse_datagram(text.into(), &Limits::datagram()).unwrap();
        let mut request = message.as_request().unwrap().clone();
        let from = Peer { carrier, remote: "198.51.100.7:4321".parse().unwrap() };
        let path = trace(&mut request, from).unwrap();
        let value = request.headers.value(&HeaderName::Via).unwrap().into_owned();
        (String::from_utf8(value).unwrap(), path)
    }

    #[test]
    fn without_rport_a_response_goes_to_the_sent_by_port() {
        let (via, path) =
            traced("Via: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKa", Carrier::Udp);
        assert_eq!(via, "SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKa");
        assert_eq!(path.peer.remote, "198.51.100.7:5070".parse().unwrap());
        let (via, path) = traced("Via: SIP/2.0/UDP phone.example;branch=z9hG4bKa", Carrier::Udp);
        assert_eq!(via, "SIP/2.0/UDP phone.example;branch=z9hG4bKa;received=198.51.100.7");
        assert_eq!(path.peer.remote, "198.51.100.7:5060".parse().unwrap());
    }

    #[test]
    fn with_rport_a_response_goes_to_the_source() {
        let (via, path) = traced(
            "v: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKa, SIP/2.0/UDP x;rport",
            Carrier::Udp,
        );
        assert_eq!(
            via,
            "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa;received=198.51.100.7;rport=4321, \
             SIP/2.0/UDP x;rport"
        );
        assert_eq!(path.peer.remote, "198.51.100.7:4321".parse().unwrap());
    }

    #[test]
    fn maddr_decides_where_there_is_one() {
        let (_, path) = traced(
            "Via: SIP/2.0/UDP 198.51.100.7;maddr=198.51.100.9;branch=z9hG4bKa",
            Carrier::Udp,
        );
        assert_eq!(path.peer.remote, "198.51.100.9:5060".parse().unwrap());
    }

    #[test]
    fn a_false_received_is_replaced_and_quoted_semicolons_stay() {
        let (via, _) = traced(
            "Via: SIP/2.0/UDP x;received=1.2.3.4;note=\"a;b\\\";c\";branch=z9hG4bKa",
            Carrier::Udp,
        );
        assert_eq!(via, "SIP/2.0/UDP x;note=\"a;b\\\";c\";branch=z9hG4bKa;received=198.51.100.7");
    }

    #[test]
    fn a_stream_is_answered_on_itself_and_then_at_its_sent_by() {
        let (_, path) = traced("Via: SIP/2.0/TCP x:5099;branch=z9hG4bKa", Carrier::Tcp(3));
        assert_eq!(path.peer.carrier, Carrier::Tcp(3));
        let fallback = path.fallback.unwrap();
        assert_eq!(fallback.carrier, Carrier::TcpNew);
        assert_eq!(fallback.remote, "198.51.100.7:5099".parse().unwrap());
    }
}
