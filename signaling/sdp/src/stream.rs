//! One audio stream as the endpoint described it.

use std::net::{IpAddr, SocketAddr};

use engine_control::RtcpTransport;
use media_units::{Direction, Encoding, EncodingParameters};
use sdp_types::{AddrType, Connection, Media, NetType, Rtcp, Session};

use crate::extension::{Extensions, takes_voip_metrics};
use crate::format::{Format, Formats};
use crate::{Capabilities, CodecChoice, Families, SdpRefusal, parameters};

/// The clocks of telephone events that we know: those of the sounds that we know (RFC 4733 section
/// 2.4.1), the most usual first.
const EVENT_CLOCKS: [u32; 4] = [8000, 48_000, 16_000, 44_100];

/// What one audio stream says, in our terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    /// The payload format that was chosen, and its payload type in this description.
    pub encoding: Encoding,
    pub payload_type: u8,
    /// Payload type of telephone events in this description, and their clock.
    pub telephone_event: Option<(u8, u32)>,
    /// Payload type of comfort noise in this description.
    pub comfort_noise: Option<u8>,
    /// Whether silence may be described in the way of G.729's Annex B: both sides have to want it
    /// (RFC 7261 section 3).
    pub annex_b: bool,
    pub extensions: Extensions,
    pub voip_metrics: bool,
    /// Where the endpoint listens.
    pub rtp: SocketAddr,
    /// Where it listens for RTCP.
    pub rtcp: RtcpTransport,
    /// Seen from the server.
    pub direction: Direction,
    /// How it wants to be sent to.
    pub parameters: EncodingParameters,
    /// All payload types in this description.
    pub formats: Formats,
}

impl Stream {
    /// Reads `media`, an audio stream whose port is not zero. `choice`: whose order decides.
    pub(crate) fn read(
        session: &Session,
        media: &Media,
        capabilities: &Capabilities,
        choice: CodecChoice,
    ) -> Result<Self, SdpRefusal> {
        if !is_plain_rtp(&media.proto) {
            return Err(SdpRefusal::Transport { offered: media.proto.clone() });
        }
        let formats = Formats::read(media);
        let known = &capabilities.encodings;
        let (payload_type, encoding) = choose(&formats, known, choice).ok_or_else(|| {
            SdpRefusal::NoCommonCodec { known: known.clone(), offered: formats.names() }
        })?;
        let families = capabilities.families;
        let rtp = SocketAddr::new(address(session, media, families)?, media.port);
        let chosen = (payload_type, encoding);
        let ours = &capabilities.parameters;
        let comfort_noise = comfort_noise(&formats, encoding, capabilities);
        let mut parameters = parameters::agreed(session, media, chosen, ours);
        parameters.discontinuous |= comfort_noise.is_some() && ours.discontinuous;
        Ok(Self {
            encoding,
            payload_type,
            telephone_event: telephone_event(media, &formats, encoding)
                .filter(|_| capabilities.telephone_event),
            comfort_noise,
            annex_b: capabilities.comfort_noise && parameters::has_annex_b(media, payload_type),
            extensions: Extensions::read(session, media, capabilities.levels()),
            voip_metrics: capabilities.voip_metrics && takes_voip_metrics(session, media),
            rtp,
            rtcp: rtcp(media, rtp, families),
            direction: direction(session, media, rtp.ip()),
            parameters,
            formats,
        })
    }
}

/// RTP without encryption, with or without the feedback profile (RFC 4585): we send no feedback
/// beyond what `RTP/AVP` allows, which the profile permits.
fn is_plain_rtp(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("RTP/AVP") || proto.eq_ignore_ascii_case("RTP/AVPF")
}

fn choose(formats: &Formats, known: &[Encoding], choice: CodecChoice) -> Option<(u8, Encoding)> {
    match choice {
        CodecChoice::Offerer => formats.encodings().find(|(_, encoding)| known.contains(encoding)),
        CodecChoice::Ours => known
            .iter()
            .find_map(|encoding| Some((formats.number(&Format::Audio(*encoding))?, *encoding))),
    }
}

/// The events on the clock of the sound, else those on any clock that we know: a phone with
/// one clock for all has still keys.
fn telephone_event(media: &Media, formats: &Formats, encoding: Encoding) -> Option<(u8, u32)> {
    let clocks = [encoding.clock_rate()].into_iter().filter(|clock| EVENT_CLOCKS.contains(clock));
    clocks.chain(EVENT_CLOCKS).find_map(|clock| {
        let number = formats.number(&Format::TelephoneEvent(clock))?;
        parameters::has_keys(media, number).then_some((number, clock))
    })
}

/// Comfort noise on the clock of a sound that has none of its own (RFC 3389 section 1).
fn comfort_noise(formats: &Formats, encoding: Encoding, can: &Capabilities) -> Option<u8> {
    let format = can.comfort_noise_beside(encoding)?;
    formats.number(&format)
}

/// The stream's own connection address, or the session's. Nothing is sent to an unspecified one.
fn address(session: &Session, media: &Media, families: Families) -> Result<IpAddr, SdpRefusal> {
    let connection: &Connection =
        media.connections.first().or(session.connection.as_ref()).ok_or(SdpRefusal::NoAddress)?;
    let known_type = matches!(connection.addrtype, AddrType::Ip4 | AddrType::Ip6);
    if connection.nettype != NetType::In || !known_type {
        return Err(SdpRefusal::Network);
    }
    match connection.try_address() {
        Ok(address) if address.ip.is_multicast() => Err(SdpRefusal::Multicast),
        Ok(address) if address.ip.is_unspecified() || families.serve(address.ip) => {
            Ok(address.ip.to_canonical())
        }
        Ok(address) => Err(SdpRefusal::Family { given: address.ip }),
        Err(_) => Err(SdpRefusal::NotAnAddress { given: connection.connection_address.clone() }),
    }
}

/// Multiplexed (RFC 5761), where `a=rtcp` says (RFC 3605), or on the port above RTP's.
fn rtcp(media: &Media, rtp: SocketAddr, families: Families) -> RtcpTransport {
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
        Some(Ok(address)) if !address.ip.is_multicast() && families.serve(address.ip) => address.ip,
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
