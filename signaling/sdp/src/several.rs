//! Several audio streams in one description, as a recording session has them (RFC 7866 section
//! 7): each is agreed on for itself, keeps its place in the dialog, and is known by its label
//! (RFC 4574). All else is refused in its place.

use engine_control::{MediaAddress, RemoteMedia};
use media_units::Direction;
use sdp_types::{Connection, Media};

use crate::format::Formats;
use crate::negotiation::{Negotiation, agree};
use crate::parse::{STREAMS_MAX, parse};
use crate::write::{RefusedStream, describe};
use crate::{Capabilities, Local, SdpRefusal};

/// Longest label that is kept; what is longer is no label.
const LABEL_BYTES_MAX: usize = 64;

/// The streams of the endpoint's last offer, of which we only receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedStreams(Vec<Offered>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Offered {
    label: String,
    /// `None`: refused.
    agreed: Option<Negotiation>,
    line: RefusedStream,
}

impl OfferedStreams {
    /// Reads an offer; `earlier` is the last one of the same dialog. An offer that asks for audio
    /// of which we can take none at all is refused as a whole.
    pub fn read(
        offer: &[u8],
        capabilities: &Capabilities,
        earlier: Option<&Self>,
    ) -> Result<Self, SdpRefusal> {
        let session = parse(offer)?;
        let mut refusal = None;
        let mut streams = Vec::new();
        for (place, media) in session.medias.iter().enumerate() {
            let before = earlier.and_then(|earlier| earlier.0.get(place)?.agreed.as_ref());
            let nothing = Formats::default();
            let known = before.map_or(&nothing, Negotiation::known);
            let agreed = agree(&session, media, capabilities, known).map_err(|reason| {
                let is_asked_for = media.port != 0;
                let is_audio = media.media.eq_ignore_ascii_case("audio");
                // The first audio stream's trouble says most.
                if is_asked_for && (refusal.is_none() || is_audio) {
                    refusal.get_or_insert(reason);
                }
            });
            let line = RefusedStream::of(media);
            streams.push(Offered { label: label(media), agreed: agreed.ok(), line });
        }
        without_ambiguous_labels(&mut streams);
        let is_any_taken = streams.iter().any(|stream| stream.agreed.is_some());
        match refusal {
            Some(refusal) if !is_any_taken => Err(refusal),
            // Where the dialog exists all streams may be given up; a dialog without any may not
            // begin.
            None if !is_any_taken && earlier.is_none() => Err(SdpRefusal::NoAudio),
            _ => Ok(Self(streams)),
        }
    }

    /// The streams that we take, each with its place, its label (empty where it has none) and
    /// what was agreed on.
    pub fn audio(&self) -> impl Iterator<Item = (usize, &str, RemoteMedia)> {
        self.0.iter().enumerate().filter_map(|(place, stream)| {
            let mut media = stream.agreed.as_ref()?.media();
            media.direction = media.direction.restricted_to(Direction::ReceiveOnly);
            Some((place, stream.label.as_str(), media))
        })
    }

    /// Refuses a stream after all, for want of what it needs.
    pub fn refuse(&mut self, place: usize) {
        if let Some(stream) = self.0.get_mut(place) {
            stream.agreed = None;
        }
    }

    /// The answer: `address` knows where each stream that we take is to be sent.
    pub fn answer(&self, local: &Local, address: impl Fn(usize) -> Option<MediaAddress>) -> String {
        let lines = self.0.iter().enumerate().map(|(place, stream)| {
            let taken = stream.agreed.as_ref().zip(address(place));
            let line = taken.map(|(agreed, address)| {
                let line = agreed.answer_line(address, Direction::ReceiveOnly);
                connected(line, address, local)
            });
            labelled(line.unwrap_or_else(|| stream.line.line()), &stream.label)
        });
        describe(local, lines.collect())
    }
}

/// The streams of our own offers, of which we only send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnStreams(Vec<Own>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    label: String,
    address: MediaAddress,
    /// `None`: it was removed, and its place is free.
    direction: Option<Direction>,
    agreed: Option<Negotiation>,
}

impl OwnStreams {
    /// Adds a stream and gives its place: one that became free, where there is one (RFC 3264
    /// section 8.1). `None`: a description has no room for more.
    pub fn add(&mut self, label: &str, address: MediaAddress) -> Option<usize> {
        let direction = Some(Direction::SendOnly);
        let stream = Own { label: label.to_owned(), address, direction, agreed: None };
        if let Some(place) = self.0.iter().position(|stream| stream.direction.is_none()) {
            self.0[place] = stream;
            return Some(place);
        }
        if self.0.len() == STREAMS_MAX {
            return None;
        }
        self.0.push(stream);
        Some(self.0.len() - 1)
    }

    /// Removes a stream.
    pub fn remove(&mut self, place: usize) {
        if let Some(stream) = self.0.get_mut(place) {
            stream.direction = None;
            stream.agreed = None;
        }
    }

    /// Sends nothing on a stream for a while, or goes on.
    pub fn hold(&mut self, place: usize, is_held: bool) {
        if let Some(Own { direction: Some(direction), .. }) = self.0.get_mut(place) {
            *direction = if is_held { Direction::Inactive } else { Direction::SendOnly };
        }
    }

    /// The next offer.
    pub fn offer(&self, local: &Local, capabilities: &Capabilities) -> String {
        let lines = self.0.iter().map(|stream| {
            let Some(direction) = stream.direction else { return no_stream() };
            let line = match &stream.agreed {
                Some(agreed) => agreed.offer_line(stream.address, direction, capabilities),
                None => Negotiation::first_line(stream.address, direction, capabilities),
            };
            labelled(connected(line, stream.address, local), &stream.label)
        });
        describe(local, lines.collect())
    }

    /// Reads the answer to the last offer: for each place what was agreed on, or `None` where the
    /// stream was removed or the endpoint does not take it.
    pub fn accept_answer(
        &mut self,
        answer: &[u8],
        capabilities: &Capabilities,
    ) -> Result<Vec<Option<RemoteMedia>>, SdpRefusal> {
        let session = parse(answer)?;
        if session.medias.len() != self.0.len() {
            return Err(SdpRefusal::NoAudio);
        }
        let mut agreed = Vec::with_capacity(self.0.len());
        for (stream, media) in self.0.iter().zip(&session.medias) {
            agreed.push(match stream.direction {
                Some(_) if media.port != 0 => Some(Negotiation::accept_stream(
                    stream.agreed.as_ref(),
                    &session,
                    media,
                    capabilities,
                )?),
                _ => None,
            });
        }
        for (stream, agreed) in self.0.iter_mut().zip(agreed) {
            stream.agreed = agreed;
        }
        Ok(self.agreed())
    }

    /// Reads an offer of the endpoint's about our streams, which pauses some or goes on with them: for
    /// each place what is agreed on now. Nothing changes where it is refused.
    pub fn take_offer(
        &mut self,
        offer: &[u8],
        capabilities: &Capabilities,
    ) -> Result<Vec<Option<RemoteMedia>>, SdpRefusal> {
        let session = parse(offer)?;
        if session.medias.len() != self.0.len() {
            return Err(SdpRefusal::NoAudio);
        }
        let nothing = Formats::default();
        let agreed = self.0.iter().zip(&session.medias).map(|(stream, media)| {
            let known = stream.agreed.as_ref().map_or(&nothing, Negotiation::known);
            match stream.direction {
                Some(_) if media.port != 0 => agree(&session, media, capabilities, known).map(Some),
                _ => Ok(None),
            }
        });
        let agreed = agreed.collect::<Result<Vec<_>, SdpRefusal>>()?;
        if agreed.iter().all(Option::is_none) {
            return Err(SdpRefusal::NoAudio);
        }
        for (stream, agreed) in self.0.iter_mut().zip(agreed) {
            stream.agreed = agreed;
        }
        Ok(self.agreed())
    }

    /// The answer to the last offer of the endpoint's.
    pub fn answer(&self, local: &Local) -> String {
        let lines = self.0.iter().map(|stream| {
            let taken = stream.agreed.as_ref().zip(stream.direction);
            let line = taken.map(|(agreed, direction)| {
                let line = agreed.answer_line(stream.address, direction);
                labelled(connected(line, stream.address, local), &stream.label)
            });
            line.unwrap_or_else(no_stream)
        });
        describe(local, lines.collect())
    }

    fn agreed(&self) -> Vec<Option<RemoteMedia>> {
        let sends = |stream: &Own| {
            let mut media = stream.agreed.as_ref()?.media();
            let limit = stream.direction?.restricted_to(Direction::SendOnly);
            media.direction = media.direction.restricted_to(limit);
            Some(media)
        };
        self.0.iter().map(sends).collect()
    }
}

/// The line of a place where there is no stream.
fn no_stream() -> Media {
    let (media, proto) = ("audio".to_owned(), "RTP/AVP".to_owned());
    RefusedStream { media, proto, formats: "0".to_owned() }.line()
}

fn label(media: &Media) -> String {
    let label = media.get_first_attribute_value("label").flatten().unwrap_or_default().trim();
    if label.len() <= LABEL_BYTES_MAX { label.to_owned() } else { String::new() }
}

/// A label that two streams have tells neither from the other.
fn without_ambiguous_labels(streams: &mut [Offered]) {
    let labels: Vec<String> = streams.iter().map(|stream| stream.label.clone()).collect();
    for stream in streams {
        if labels.iter().filter(|label| **label == stream.label).count() > 1 {
            stream.label.clear();
        }
    }
}

fn labelled(mut line: Media, label: &str) -> Media {
    if !label.is_empty() {
        line.add_attribute_with_value("label", label);
    }
    line
}

/// With an address of its own where it is not that of the whole description.
fn connected(mut line: Media, address: MediaAddress, local: &Local) -> Media {
    if address.address != local.address.address {
        line.connections.push(Connection::from_ip_addr(address.address));
    }
    line
}
