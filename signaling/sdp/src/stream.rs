//! One audio stream as the endpoint described it.

use std::net::{IpAddr, SocketAddr};

use engine_control::RtcpTransport;
use media_units::{Direction, Encoding};
use sdp_types::{AddrType, Connection, Media, NetType, Rtcp, RtpMap, Session};

use crate::{Capabilities, SdpRefusal};

/// RTP clock of every audio format we know, and of the telephone events beside it.
pub(crate) const CLOCK_RATE: u32 = 8000;

/// Highest payload type (7 bits, RFC 3550 section 5.1).
const PAYLOAD_TYPE_MAX: u8 = 127;

/// Most codec names repeated in a refusal.
const NAMES_MAX: usize = 8;

/// Packet times that the engine accepts, in milliseconds.
const PACKET_TIMES_MS: std::ops::RangeInclusive<u16> = 10..=60;

/// What one audio stream says, in our terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// The first payload format that we know.
    pub encoding: Encoding,
    /// Its payload type in this description.
    pub payload_type: u8,
    /// Payload type of telephone events in this description.
    pub telephone_event: Option<u8>,
    /// Where the endpoint listens.
    pub rtp: SocketAddr,
    /// Where it listens for RTCP.
    pub rtcp: RtcpTransport,
    /// Seen from the server.
    pub direction: Direction,
    /// Packet time that the endpoint wants.
    pub packet_time_ms: u8,
}

impl Stream {
    /// Reads `media`, an audio stream whose port is not zero.
    pub(crate) fn read(
        session: &Session,
        media: &Media,
        capabilities: &Capabilities,
    ) -> Result<Self, SdpRefusal> {
        if !is_plain_rtp(&media.proto) {
            return Err(SdpRefusal::Transport { offered: media.proto.clone() });
        }
        let formats = Formats::read(media);
        let known = &capabilities.encodings;
        let (payload_type, encoding) = formats.first_of(known).ok_or_else(|| {
            SdpRefusal::NoCommonCodec { known: known.clone(), offered: formats.names() }
        })?;
        let rtp = SocketAddr::new(address(session, media)?, media.port);
        Ok(Self {
            encoding,
            payload_type,
            telephone_event: formats.telephone_event().filter(|_| capabilities.telephone_event),
            rtp,
            rtcp: rtcp(media, rtp),
            direction: direction(session, media, rtp.ip()),
            packet_time_ms: packet_time_ms(media, capabilities.packet_time_ms),
        })
    }
}

/// RTP without encryption, with or without the feedback profile (RFC 4585): we send no feedback
/// beyond what `RTP/AVP` allows, which the profile permits.
fn is_plain_rtp(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("RTP/AVP") || proto.eq_ignore_ascii_case("RTP/AVPF")
}

/// What one payload type stands for.
#[derive(Debug, Clone)]
enum Format {
    Audio(Encoding),
    TelephoneEvent,
    Other(String),
}

/// The payload types of a stream in the endpoint's order of preference.
struct Formats(Vec<(u8, Format)>);

impl Formats {
    fn read(media: &Media) -> Self {
        let mut mapped: [Option<Format>; PAYLOAD_TYPE_MAX as usize + 1] = [const { None }; _];
        for value in media.get_attribute_values("rtpmap").flatten() {
            let Ok(map) = value.trim().parse::<RtpMap>() else { continue };
            if let Some(format) = mapped.get_mut(map.payload_type as usize) {
                format.get_or_insert_with(|| format_of(&map));
            }
        }
        let listed = media
            .fmt
            .split_ascii_whitespace()
            .filter_map(|token| token.parse::<u8>().ok())
            .filter(|payload_type| *payload_type <= PAYLOAD_TYPE_MAX)
            .take(PAYLOAD_TYPE_MAX as usize + 1);
        Self(
            listed
                .filter_map(|payload_type| {
                    let format = mapped.get(payload_type as usize)?.clone();
                    Some((payload_type, format.unwrap_or_else(|| static_format(payload_type))))
                })
                .collect(),
        )
    }

    fn first_of(&self, encodings: &[Encoding]) -> Option<(u8, Encoding)> {
        self.0.iter().find_map(|(payload_type, format)| match format {
            Format::Audio(encoding) if encodings.contains(encoding) => {
                Some((*payload_type, *encoding))
            }
            _ => None,
        })
    }

    fn telephone_event(&self) -> Option<u8> {
        self.0.iter().find_map(|(payload_type, format)| {
            matches!(format, Format::TelephoneEvent).then_some(*payload_type)
        })
    }

    fn names(&self) -> Vec<String> {
        let names = self.0.iter().filter_map(|(_, format)| match format {
            Format::Audio(encoding) => Some(encoding.to_string()),
            Format::Other(name) => Some(name.clone()),
            Format::TelephoneEvent => None,
        });
        names.take(NAMES_MAX).collect()
    }
}

fn format_of(map: &RtpMap) -> Format {
    let is_mono = map.encoding_params.as_deref().is_none_or(|channels| channels.trim() == "1");
    let named = |name: &str| map.encoding_name.eq_ignore_ascii_case(name);
    let is_it =
        |encoding: &Encoding| named(encoding.name()) && map.clock_rate == encoding.clock_rate();
    if is_mono && let Some(encoding) = Encoding::ALL.into_iter().find(is_it) {
        return Format::Audio(encoding);
    }
    if is_mono && named("telephone-event") && map.clock_rate == CLOCK_RATE {
        return Format::TelephoneEvent;
    }
    Format::Other(format!("{}/{}", map.encoding_name, map.clock_rate))
}

/// Payload types that mean something without an `a=rtpmap` (RFC 3551 table 4).
fn static_format(payload_type: u8) -> Format {
    let known = Encoding::ALL
        .into_iter()
        .find(|encoding| encoding.static_payload_type() == Some(payload_type));
    if let Some(encoding) = known {
        return Format::Audio(encoding);
    }
    Format::Other(match payload_type {
        4 => "G723/8000".into(),
        15 => "G728/8000".into(),
        other => format!("payload type {other}"),
    })
}

/// The stream's own connection address, or the session's.
fn address(session: &Session, media: &Media) -> Result<IpAddr, SdpRefusal> {
    let connection: &Connection =
        media.connections.first().or(session.connection.as_ref()).ok_or(SdpRefusal::NoAddress)?;
    let known_type = matches!(connection.addrtype, AddrType::Ip4 | AddrType::Ip6);
    if connection.nettype != NetType::In || !known_type {
        return Err(SdpRefusal::Network);
    }
    match connection.try_address() {
        Ok(address) if address.ip.is_multicast() => Err(SdpRefusal::Multicast),
        Ok(address) => Ok(address.ip),
        Err(_) => Err(SdpRefusal::NotAnAddress { given: connection.connection_address.clone() }),
    }
}

/// Multiplexed (RFC 5761), where `a=rtcp` says (RFC 3605), or on the port above RTP's.
fn rtcp(media: &Media, rtp: SocketAddr) -> RtcpTransport {
    if media.has_attribute("rtcp-mux") {
        return RtcpTransport::Mux;
    }
    let given = media
        .get_first_attribute_value("rtcp")
        .flatten()
        .and_then(|value| value.trim().parse::<Rtcp>().ok());
    let Some(given) = given else {
        let port = rtp.port().checked_add(1).unwrap_or(0);
        return RtcpTransport::Separate(SocketAddr::new(rtp.ip(), port));
    };
    let address = match given.try_address() {
        Some(Ok(address)) if !address.ip.is_multicast() => address.ip,
        _ => rtp.ip(),
    };
    RtcpTransport::Separate(SocketAddr::new(address, given.port))
}

/// The stream's direction, or the session's, seen from the server. An unspecified address is the
/// older way to ask for silence (RFC 3264 section 8.4).
fn direction(session: &Session, media: &Media, address: IpAddr) -> Direction {
    let offered = direction_in(&media.attributes)
        .or_else(|| direction_in(&session.attributes))
        .unwrap_or_default()
        .reversed();
    if address.is_unspecified() { offered.restricted_to(Direction::ReceiveOnly) } else { offered }
}

fn direction_in(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| {
        Some(match attribute.attribute.parse::<sdp_types::Direction>().ok()? {
            sdp_types::Direction::SendRecv => Direction::SendReceive,
            sdp_types::Direction::SendOnly => Direction::SendOnly,
            sdp_types::Direction::RecvOnly => Direction::ReceiveOnly,
            sdp_types::Direction::Inactive => Direction::Inactive,
        })
    })
}

/// The packet time asked for by `a=ptime`, within `a=maxptime` and what the engine accepts.
fn packet_time_ms(media: &Media, usual_ms: u8) -> u8 {
    let asked = |name| {
        let value = media.get_first_attribute_value(name).flatten()?.trim();
        let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
        whole.parse::<u16>().ok().filter(|ms| PACKET_TIMES_MS.contains(ms))
    };
    let wanted = asked("ptime").unwrap_or(u16::from(usual_ms));
    asked("maxptime").map_or(wanted, |longest| wanted.min(longest)) as u8
}
