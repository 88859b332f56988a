//! Offer and answer (RFC 3264): which stream becomes ours, and what we say about it.

use engine_control::{MediaAddress, RemoteMedia, RtcpTransport, TelephoneEvent};
use media_units::{Direction, Encoding, EncodingParameters};
use sdp_types::{Media, Session};

use crate::extension::Extensions;
use crate::format::{Format, Formats};
use crate::parse::parse;
use crate::stream::Stream;
use crate::write::{AudioStream, RefusedStream, describe};
use crate::{Capabilities, CodecChoice, Local, SdpRefusal, packet_time};

/// Longest packet that we ask for in an offer, in milliseconds.
const PACKET_TIME_MS_MAX: u8 = 60;

/// Offer and answer that were understood: what they mean for the engine, how to answer, and what
/// a later offer in the same dialog has to keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiation {
    media: RemoteMedia,
    /// How we want to be sent to.
    ours: EncodingParameters,
    /// Whether in G.729 silence may be described in its own way.
    annex_b: bool,
    /// Whether an answer keeps more than one of the sounds that we offered.
    keeps_several: bool,
    /// What such an answer means by its own order.
    by_its_order: Option<Box<Self>>,
    history: History,
}

/// Reads the first offer of a dialog: the first acceptable audio stream becomes ours, every other
/// one is refused.
pub fn negotiate(offer: &[u8], capabilities: &Capabilities) -> Result<Negotiation, SdpRefusal> {
    read_offer(offer, capabilities, &Formats::default())
}

/// Our offer of one audio stream, the first of a dialog: for an INVITE without one, in the 200.
pub fn offer(local: &Local, capabilities: &Capabilities) -> String {
    History::none(capabilities).offer(all(None, capabilities), local, capabilities)
}

/// Reads the answer to [`offer`].
pub fn accept_answer(
    answer: &[u8],
    capabilities: &Capabilities,
) -> Result<Negotiation, SdpRefusal> {
    History::none(capabilities).accept_answer(None, answer, capabilities)
}

impl Negotiation {
    /// What was agreed on. Where we hold ([`Local::direction`]), the caller restricts the
    /// direction likewise.
    pub fn media(&self) -> RemoteMedia {
        self.media
    }

    /// Reads a later offer of the endpoint's in the same dialog. It may name again what was
    /// refused before, and leave out what was agreed on.
    pub fn renegotiate(
        &self,
        offer: &[u8],
        capabilities: &Capabilities,
    ) -> Result<Self, SdpRefusal> {
        read_offer(offer, capabilities, &self.history.known)
    }

    /// The answer.
    pub fn answer(&self, local: &Local) -> String {
        let audio = self.answer_line(local.address, local.direction);
        describe(local, lines(&self.history.before, audio, &self.history.after))
    }

    /// Our line of the answer.
    pub(crate) fn answer_line(&self, address: MediaAddress, direction: Direction) -> Media {
        let RemoteMedia { encoding, telephone_event, comfort_noise, .. } = self.media;
        let event = telephone_event.map(|event| Format::TelephoneEvent(event.clock_rate));
        let noise = comfort_noise.map(|_| Format::ComfortNoise(encoding.clock_rate()));
        let chosen = [Some(Format::Audio(encoding)), noise, event].into_iter().flatten();
        let audio = AudioStream {
            proto: &self.history.proto,
            formats: &self.history.known.numbered(chosen.collect()),
            parameters: &self.ours,
            annex_b: self.annex_b,
            packet_time_ms: packet_time::ours_ms(encoding, &self.ours),
            packet_time_ms_max: packet_time::longest_ms(encoding, &self.ours),
            extensions: self.history.extensions,
            voip_metrics: self.media.voip_metrics,
            rtcp_mux: self.media.rtcp == RtcpTransport::Mux,
            direction: self.media.direction.restricted_to(direction),
        };
        audio.lines(address)
    }

    /// Our own offer later in the same dialog: the streams stay in their places (RFC 3264
    /// section 8), a payload type keeps its meaning (section 8.3.2), and what is agreed on comes
    /// first, so that a session refresh changes nothing.
    pub fn offer(&self, local: &Local, capabilities: &Capabilities) -> String {
        self.history.offer(all(Some(self.media.encoding), capabilities), local, capabilities)
    }

    /// Whether the endpoint may send any of several sounds, of which we expect only one.
    pub fn keeps_several(&self) -> bool {
        self.keeps_several
    }

    /// The same by the order of the endpoint's answer, where that kept several: who will not keep to the
    /// first of ours most likely sends in the first of its own.
    pub fn by_its_order(&self) -> Option<&Self> {
        self.by_its_order.as_deref()
    }

    /// An offer of that one alone, beside which the keys stay on the clock that they have.
    pub fn narrowed_offer(&self, local: &Local, capabilities: &Capabilities) -> String {
        let encodings = vec![self.media.encoding];
        let mut kept = formats(&Capabilities { encodings, ..capabilities.clone() });
        let events = self.media.telephone_event;
        let events = events.map(|events| Format::TelephoneEvent(events.clock_rate));
        if let Some(events) = events.filter(|events| !kept.contains(events)) {
            kept.push(events);
        }
        self.history.offer(kept, local, capabilities)
    }

    /// Our line of [`Negotiation::offer`].
    pub(crate) fn offer_line(
        &self,
        address: MediaAddress,
        direction: Direction,
        capabilities: &Capabilities,
    ) -> Media {
        let offered = all(Some(self.media.encoding), capabilities);
        self.history.offer_line(offered, address, direction, capabilities)
    }

    /// A line of our first offer.
    pub(crate) fn first_line(
        address: MediaAddress,
        direction: Direction,
        capabilities: &Capabilities,
    ) -> Media {
        let offered = all(None, capabilities);
        History::none(capabilities).offer_line(offered, address, direction, capabilities)
    }

    /// What was said so far about payload types, for the next offer.
    pub(crate) fn known(&self) -> &Formats {
        &self.history.known
    }

    /// Reads one stream of the answer to an offer of several that we only send; `earlier` is what
    /// was agreed on about it before.
    pub(crate) fn accept_stream(
        earlier: Option<&Self>,
        session: &Session,
        media: &Media,
        capabilities: &Capabilities,
    ) -> Result<Self, SdpRefusal> {
        let agreed = earlier.map(|earlier| earlier.media.encoding);
        let none = || History::none(capabilities);
        let history = earlier.map_or_else(none, |earlier| earlier.history.clone());
        // What its order prefers is what the endpoint wants to be sent (RFC 3264 section 7).
        history.accept_stream(agreed, session, media, capabilities, CodecChoice::Offerer)
    }

    /// Reads the answer to [`Negotiation::offer`].
    pub fn accept_answer(
        &self,
        answer: &[u8],
        capabilities: &Capabilities,
    ) -> Result<Self, SdpRefusal> {
        self.history.accept_answer(Some(self.media.encoding), answer, capabilities)
    }
}

/// What offers and answers so far mean for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct History {
    proto: String,
    /// What payload types mean in this dialog.
    known: Formats,
    /// Header extensions and their identifiers.
    extensions: Extensions,
    /// Streams that are not ours, in front of it and behind it.
    before: Vec<RefusedStream>,
    after: Vec<RefusedStream>,
}

impl History {
    /// Before the first offer of a dialog.
    fn none(capabilities: &Capabilities) -> Self {
        Self {
            proto: "RTP/AVP".to_owned(),
            known: Formats::default(),
            extensions: Extensions::first(capabilities.levels()),
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    fn offer(&self, offered: Vec<Format>, local: &Local, capabilities: &Capabilities) -> String {
        let audio = self.offer_line(offered, local.address, local.direction, capabilities);
        describe(local, lines(&self.before, audio, &self.after))
    }

    fn offer_line(
        &self,
        offered: Vec<Format>,
        address: MediaAddress,
        direction: Direction,
        capabilities: &Capabilities,
    ) -> Media {
        let ours = &capabilities.parameters;
        let audio = AudioStream {
            proto: &self.proto,
            formats: &self.known.numbered(offered),
            parameters: ours,
            annex_b: capabilities.comfort_noise,
            packet_time_ms: ours.packet_time_ms,
            packet_time_ms_max: PACKET_TIME_MS_MAX,
            extensions: self.extensions,
            voip_metrics: capabilities.voip_metrics,
            rtcp_mux: true,
            direction,
        };
        audio.lines(address)
    }

    /// The endpoint sends by our payload types and we send by its, and of several sounds that it
    /// keeps it sends by our order (RFC 3264 section 6.1).
    fn accept_answer(
        &self,
        agreed: Option<Encoding>,
        answer: &[u8],
        capabilities: &Capabilities,
    ) -> Result<Negotiation, SdpRefusal> {
        let session = parse(answer)?;
        let media = session.medias.get(self.before.len()).ok_or(SdpRefusal::NoAudio)?;
        let by = |choice| self.accept_stream(agreed, &session, media, capabilities, choice);
        let mut negotiation = by(CodecChoice::Ours)?;
        if negotiation.keeps_several {
            negotiation.by_its_order = Some(Box::new(by(CodecChoice::Offerer)?));
        }
        Ok(negotiation)
    }

    fn accept_stream(
        &self,
        agreed: Option<Encoding>,
        session: &Session,
        media: &Media,
        capabilities: &Capabilities,
        choice: CodecChoice,
    ) -> Result<Negotiation, SdpRefusal> {
        let capabilities = &preferring(agreed, capabilities);
        let stream = read_audio(session, media, capabilities, choice)?;
        let offered = self.known.numbered(formats(capabilities));
        let is_kept = |(_, encoding): &(u8, Encoding)| {
            stream.formats.number(&Format::Audio(*encoding)).is_some()
        };
        let keeps_several = offered.encodings().filter(is_kept).count() > 1;
        let number = |format: Format, theirs| offered.number(&format).unwrap_or(theirs);
        let receive_payload_type = number(Format::Audio(stream.encoding), stream.payload_type);
        let telephone_event = stream.telephone_event.map(|(send, clock_rate)| {
            let receive = number(Format::TelephoneEvent(clock_rate), send);
            TelephoneEvent { receive, send, clock_rate }
        });
        let noise = Format::ComfortNoise(stream.encoding.clock_rate());
        let extensions = self.extensions.answered(stream.extensions);
        let mut known = stream.formats.clone();
        known.learn(&offered);
        let history = Self { known, extensions, ..self.clone() };
        let media = RemoteMedia {
            receive_payload_type,
            telephone_event,
            comfort_noise: stream.comfort_noise.filter(|id| offered.number(&noise) == Some(*id)),
            audio_level: extensions.audio_level,
            mixer_levels: extensions.mixer_levels,
            ..remote_media(&stream)
        };
        Ok(Negotiation {
            media,
            ours: ours(&stream, capabilities),
            annex_b: stream.annex_b,
            keeps_several,
            by_its_order: None,
            history,
        })
    }
}

fn read_offer(
    offer: &[u8],
    capabilities: &Capabilities,
    known: &Formats,
) -> Result<Negotiation, SdpRefusal> {
    let session = parse(offer)?;
    let mut refusal = SdpRefusal::NoAudio;
    for (index, media) in session.medias.iter().enumerate() {
        match agree(&session, media, capabilities, known) {
            Ok(mut negotiation) => {
                negotiation.history.before = refused(session.medias.get(..index));
                negotiation.history.after = refused(session.medias.get(index + 1..));
                return Ok(negotiation);
            }
            // The first audio stream's trouble says most.
            Err(reason) if refusal == SdpRefusal::NoAudio => refusal = reason,
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// Agrees on one stream of an offer, as if it were alone in it.
pub(crate) fn agree(
    session: &Session,
    media: &Media,
    capabilities: &Capabilities,
    known: &Formats,
) -> Result<Negotiation, SdpRefusal> {
    let stream = read_audio(session, media, capabilities, capabilities.choice)?;
    let mut known = known.clone();
    known.learn(&stream.formats);
    Ok(Negotiation {
        media: remote_media(&stream),
        ours: ours(&stream, capabilities),
        annex_b: stream.annex_b,
        // Our answer names one.
        keeps_several: false,
        by_its_order: None,
        history: History {
            proto: media.proto.clone(),
            known,
            extensions: stream.extensions,
            before: Vec::new(),
            after: Vec::new(),
        },
    })
}

fn read_audio(
    session: &Session,
    media: &Media,
    capabilities: &Capabilities,
    choice: CodecChoice,
) -> Result<Stream, SdpRefusal> {
    if !media.media.eq_ignore_ascii_case("audio") || media.port == 0 {
        return Err(SdpRefusal::NoAudio);
    }
    Stream::read(session, media, capabilities, choice)
}

/// Our stream in its place among those that are not ours.
fn lines(before: &[RefusedStream], ours: Media, after: &[RefusedStream]) -> Vec<Media> {
    let before = before.iter().map(RefusedStream::line);
    before.chain([ours]).chain(after.iter().map(RefusedStream::line)).collect()
}

fn refused(streams: Option<&[Media]>) -> Vec<RefusedStream> {
    streams.unwrap_or_default().iter().map(RefusedStream::of).collect()
}

/// What we can, in the order of an offer of ours: what is agreed on already comes first.
fn preferring(agreed: Option<Encoding>, capabilities: &Capabilities) -> Capabilities {
    let mut ordered = capabilities.clone();
    ordered.encodings.sort_by_key(|encoding| Some(*encoding) != agreed);
    ordered
}

/// All that we can, in that order.
fn all(agreed: Option<Encoding>, capabilities: &Capabilities) -> Vec<Format> {
    formats(&preferring(agreed, capabilities))
}

/// All that we can: sound, then what goes beside it on each clock.
fn formats(capabilities: &Capabilities) -> Vec<Format> {
    let sound = &capabilities.encodings;
    let noise = sound.iter().filter_map(|encoding| capabilities.comfort_noise_beside(*encoding));
    let events = sound
        .iter()
        .filter(|_| capabilities.telephone_event)
        .map(|encoding| Format::TelephoneEvent(encoding.clock_rate()));
    let mut formats: Vec<Format> = sound.iter().copied().map(Format::Audio).collect();
    for format in noise.chain(events).filter(|format| format.usual_number().is_some()) {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    formats
}

/// What we say about ourselves beside the endpoint's stream: iLBC has one mode for both ways.
fn ours(stream: &Stream, capabilities: &Capabilities) -> EncodingParameters {
    EncodingParameters { ilbc_mode_ms: stream.parameters.ilbc_mode_ms, ..capabilities.parameters }
}

/// What the endpoint's offer means: both sides use its payload types.
fn remote_media(stream: &Stream) -> RemoteMedia {
    let event = |(number, clock_rate)| TelephoneEvent { receive: number, send: number, clock_rate };
    RemoteMedia {
        encoding: stream.encoding,
        receive_payload_type: stream.payload_type,
        send_payload_type: stream.payload_type,
        telephone_event: stream.telephone_event.map(event),
        comfort_noise: stream.comfort_noise,
        audio_level: stream.extensions.audio_level,
        mixer_levels: stream.extensions.mixer_levels,
        voip_metrics: stream.voip_metrics,
        rtp: stream.rtp,
        rtcp: stream.rtcp,
        direction: stream.direction,
        parameters: stream.parameters,
    }
}
