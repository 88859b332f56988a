//! What we write: one audio stream, and every other stream refused in its place.

use engine_control::MediaAddress;
use media_units::{Direction, EncodingParameters};
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use crate::extension::Extensions;
use crate::format::Formats;
use crate::{Local, parameters};

/// A stream of the other side's that is not ours: echoed with port 0 (RFC 3264 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedStream {
    pub media: String,
    pub proto: String,
    pub formats: String,
}

/// Our audio stream.
#[derive(Debug, Clone)]
pub(crate) struct AudioStream<'a> {
    pub proto: &'a str,
    pub formats: &'a Formats,
    /// How we want to be sent to.
    pub parameters: &'a EncodingParameters,
    /// Whether silence may be described in the way of G.729's Annex B.
    pub annex_b: bool,
    pub packet_time_ms: u8,
    pub packet_time_ms_max: u8,
    pub extensions: Extensions,
    pub voip_metrics: bool,
    pub rtcp_mux: bool,
    pub direction: Direction,
}

/// The whole description, of these streams.
pub(crate) fn describe(local: &Local, streams: Vec<Media>) -> String {
    let address = local.address.address;
    let origin = Origin::with_ip_addr(local.session_id, local.version, address);
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::from_ip_addr(address));
    session.add_time(Time::new(0, 0));
    session.add_medias(streams);
    let mut text = Vec::new();
    // Writing into memory cannot fail, and only strings go in.
    session.write(&mut text).expect("memory takes every byte");
    String::from_utf8(text).expect("made of strings")
}

impl RefusedStream {
    pub(crate) fn of(media: &Media) -> Self {
        Self { media: media.media.clone(), proto: media.proto.clone(), formats: media.fmt.clone() }
    }

    pub(crate) fn line(&self) -> Media {
        media(&self.media, 0, &self.proto, self.formats.clone())
    }
}

impl AudioStream<'_> {
    pub(crate) fn lines(&self, address: MediaAddress) -> Media {
        let payload_types: Vec<_> =
            self.formats.iter().map(|(payload_type, _)| payload_type.to_string()).collect();
        let mut media = media("audio", address.rtp_port, self.proto, payload_types.join(" "));
        for (payload_type, format) in self.formats.iter() {
            if let Some(map) = format.rtpmap(*payload_type) {
                media.add_attribute(map);
            }
            if let Some(text) = parameters::ours(format, self.parameters, self.annex_b) {
                media.add_attribute_with_value("fmtp", format!("{payload_type} {text}"));
            }
        }
        media.add_attribute_with_value("ptime", self.packet_time_ms);
        media.add_attribute_with_value("maxptime", self.packet_time_ms_max);
        media.add_attributes(self.extensions.lines());
        if self.voip_metrics {
            media.add_attribute_with_value("rtcp-xr", "voip-metrics");
        }
        if self.rtcp_mux {
            media.add_attribute_from_str("rtcp-mux");
        }
        media.add_attribute(direction(self.direction));
        media
    }
}

fn media(kind: &str, port: u16, proto: &str, formats: String) -> Media {
    Media {
        media: kind.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: formats,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// `direction` as the attribute that says it about us.
fn direction(direction: Direction) -> Attribute {
    match direction {
        Direction::SendReceive => sdp_types::Direction::SendRecv,
        Direction::SendOnly => sdp_types::Direction::SendOnly,
        Direction::ReceiveOnly => sdp_types::Direction::RecvOnly,
        Direction::Inactive => sdp_types::Direction::Inactive,
    }
    .into()
}
