//! Offer and answer (RFC 3264): which stream becomes ours, and what we say about it.

use engine_control::{RemoteMedia, RtcpTransport, TelephoneEvent};
use media_units::{Encoding, EncodingParameters};
use sdp_types::{Media, Session};

use crate::parse::parse;
use crate::stream::{CLOCK_RATE, Stream};
use crate::write::{AudioStream, RefusedStream, describe};
use crate::{Capabilities, Local, SdpRefusal};

/// Payload type of telephone events in our own offers: the number most phones use themselves.
const TELEPHONE_EVENT: u8 = 101;

/// An offer that was understood: what it means for the engine, and how to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiation {
    media: RemoteMedia,
    proto: String,
    packet_time_ms: u8,
    before: Vec<RefusedStream>,
    after: Vec<RefusedStream>,
}

/// Reads an offer: the first acceptable audio stream becomes ours, every other one is refused.
pub fn negotiate(offer: &[u8], capabilities: &Capabilities) -> Result<Negotiation, SdpRefusal> {
    let session = parse(offer)?;
    let mut refusal = SdpRefusal::NoAudio;
    for (index, media) in session.medias.iter().enumerate() {
        match read_audio(&session, media, capabilities) {
            Ok(stream) => {
                return Ok(Negotiation {
                    media: remote_media(stream, stream.payload_type, stream.telephone_event),
                    proto: media.proto.clone(),
                    packet_time_ms: capabilities.packet_time_ms,
                    before: refused(session.medias.get(..index)),
                    after: refused(session.medias.get(index + 1..)),
                });
            }
            // The first audio stream's trouble says most.
            Err(reason) if refusal == SdpRefusal::NoAudio => refusal = reason,
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// Our offer of one audio stream: for an INVITE without one, in the 200.
pub fn offer(local: &Local, capabilities: &Capabilities) -> String {
    offer_between(local, capabilities, "RTP/AVP", TELEPHONE_EVENT, &[], &[])
}

/// Reads the answer to [`offer`].
pub fn accept_answer(
    answer: &[u8],
    capabilities: &Capabilities,
) -> Result<RemoteMedia, SdpRefusal> {
    accept_answer_at(0, answer, capabilities, TELEPHONE_EVENT)
}

impl Negotiation {
    /// What was agreed on. Where we hold ([`Local::direction`]), the caller restricts the
    /// direction likewise.
    pub fn media(&self) -> RemoteMedia {
        self.media
    }

    /// The answer.
    pub fn answer(&self, local: &Local) -> String {
        let audio = AudioStream {
            proto: &self.proto,
            formats: &[(self.media.receive_payload_type, self.media.encoding)],
            telephone_event: self.media.telephone_event.map(|event| event.receive),
            rtcp_mux: self.media.rtcp == RtcpTransport::Mux,
            packet_time_ms: self.packet_time_ms,
            direction: self.media.direction.restricted_to(local.direction),
        };
        describe(local, &self.before, &audio, &self.after)
    }

    /// Our own offer later in the same dialog: the streams stay in their places (RFC 3264
    /// section 8) and a payload type keeps its meaning (section 8.3.2).
    pub fn offer(&self, local: &Local, capabilities: &Capabilities) -> String {
        let (before, after) = (&self.before, &self.after);
        offer_between(local, capabilities, &self.proto, self.event_number(), before, after)
    }

    /// Reads the answer to [`Negotiation::offer`].
    pub fn accept_answer(
        &self,
        answer: &[u8],
        capabilities: &Capabilities,
    ) -> Result<RemoteMedia, SdpRefusal> {
        accept_answer_at(self.before.len(), answer, capabilities, self.event_number())
    }

    fn event_number(&self) -> u8 {
        self.media.telephone_event.map_or(TELEPHONE_EVENT, |event| event.receive)
    }
}

fn read_audio(
    session: &Session,
    media: &Media,
    capabilities: &Capabilities,
) -> Result<Stream, SdpRefusal> {
    if !media.media.eq_ignore_ascii_case("audio") || media.port == 0 {
        return Err(SdpRefusal::NoAudio);
    }
    Stream::read(session, media, capabilities)
}

fn refused(streams: Option<&[Media]>) -> Vec<RefusedStream> {
    streams.unwrap_or_default().iter().map(RefusedStream::of).collect()
}

fn offer_between(
    local: &Local,
    capabilities: &Capabilities,
    proto: &str,
    event_number: u8,
    before: &[RefusedStream],
    after: &[RefusedStream],
) -> String {
    let formats: Vec<(u8, Encoding)> = capabilities
        .encodings
        .iter()
        .filter_map(|encoding| Some((encoding.static_payload_type()?, *encoding)))
        .collect();
    let audio = AudioStream {
        proto,
        formats: &formats,
        telephone_event: capabilities.telephone_event.then_some(event_number),
        rtcp_mux: true,
        packet_time_ms: capabilities.packet_time_ms,
        direction: local.direction,
    };
    describe(local, before, &audio, after)
}

/// The endpoint sends by our payload types and we send by its (RFC 3264 section 6.1).
fn accept_answer_at(
    index: usize,
    answer: &[u8],
    capabilities: &Capabilities,
    event_number: u8,
) -> Result<RemoteMedia, SdpRefusal> {
    let session = parse(answer)?;
    let media = session.medias.get(index).ok_or(SdpRefusal::NoAudio)?;
    let stream = read_audio(&session, media, capabilities)?;
    let event = stream.telephone_event.map(|_| event_number);
    let number = stream.encoding.static_payload_type().unwrap_or(stream.payload_type);
    Ok(remote_media(stream, number, event))
}

fn remote_media(stream: Stream, receive_payload_type: u8, event: Option<u8>) -> RemoteMedia {
    RemoteMedia {
        encoding: stream.encoding,
        receive_payload_type,
        send_payload_type: stream.payload_type,
        telephone_event: event.map(|receive| TelephoneEvent {
            receive,
            send: stream.telephone_event.unwrap_or(receive),
            clock_rate: CLOCK_RATE,
        }),
        comfort_noise: None,
        audio_level: None,
        mixer_levels: None,
        voip_metrics: false,
        rtp: stream.rtp,
        rtcp: stream.rtcp,
        direction: stream.direction,
        parameters: EncodingParameters {
            packet_time_ms: stream.packet_time_ms,
            ..EncodingParameters::DEFAULT
        },
    }
}
