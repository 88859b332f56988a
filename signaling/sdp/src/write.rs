//! What we write: one audio stream, and every other stream refused in its place.

use engine_control::MediaAddress;
use media_units::{Direction, Encoding};
use sdp_types::{Attribute, Connection, Media, Origin, RtpMap, Session, Time};

use crate::{Local, stream::CLOCK_RATE};

/// The telephone events we take: the sixteen keys (RFC 4733 section 3.2).
const EVENTS: &str = "0-15";

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
    pub formats: &'a [(u8, Encoding)],
    pub telephone_event: Option<u8>,
    pub rtcp_mux: bool,
    pub packet_time_ms: u8,
    pub direction: Direction,
}

/// The whole description: `before` and `after` are the refused streams around ours.
pub(crate) fn describe(
    local: &Local,
    before: &[RefusedStream],
    audio: &AudioStream,
    after: &[RefusedStream],
) -> String {
    let address = local.address.address;
    let origin = Origin::with_ip_addr(local.session_id, local.version, address);
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::from_ip_addr(address));
    session.add_time(Time::new(0, 0));
    session.add_medias(before.iter().map(RefusedStream::line));
    session.add_media(audio.lines(local.address));
    session.add_medias(after.iter().map(RefusedStream::line));
    let mut text = Vec::new();
    // Writing into memory cannot fail, and only strings go in.
    session.write(&mut text).expect("memory takes every byte");
    String::from_utf8(text).expect("made of strings")
}

impl RefusedStream {
    pub(crate) fn of(media: &Media) -> Self {
        Self { media: media.media.clone(), proto: media.proto.clone(), formats: media.fmt.clone() }
    }

    fn line(&self) -> Media {
        media(&self.media, 0, &self.proto, self.formats.clone())
    }
}

impl AudioStream<'_> {
    fn lines(&self, address: MediaAddress) -> Media {
        let payload_types =
            self.formats.iter().map(|(payload_type, _)| *payload_type).chain(self.telephone_event);
        let payload_types: Vec<_> = payload_types.map(|number| number.to_string()).collect();
        let mut media = media("audio", address.rtp_port, self.proto, payload_types.join(" "));
        for (payload_type, encoding) in self.formats {
            media.add_attribute(RtpMap::new(*payload_type, encoding.name(), CLOCK_RATE));
        }
        if let Some(payload_type) = self.telephone_event {
            media.add_attribute(RtpMap::new(payload_type, "telephone-event", CLOCK_RATE));
            media.add_attribute_with_value("fmtp", format!("{payload_type} {EVENTS}"));
        }
        media.add_attribute_with_value("ptime", self.packet_time_ms);
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
