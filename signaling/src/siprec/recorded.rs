//! A recording session that somebody makes with us: several streams in one dialog, each a media
//! session and a track.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use engine_control::{MediaAddress, RemoteMedia, SessionKey, TapPoint};
use media_units::Direction;
use signaling_sdp::{Capabilities, Local, OfferedStreams};
use signaling_siprec::Metadata;

use crate::recording::{RecordedParticipant, RecordedTrack, RecordingId};

/// A recording session, seen from the recorder.
#[derive(Debug)]
pub(crate) struct RecordedSession {
    pub capabilities: Arc<Capabilities>,
    pub local: Local,
    /// The last offer that was taken.
    pub streams: Option<OfferedStreams>,
    /// What is received, by its place in the description.
    pub received: BTreeMap<usize, Received>,
    /// All that was said about who is in which stream.
    pub metadata: Metadata,
    pub recording: Option<RecordingId>,
    /// What the recording knows about the communication sessions.
    tagged: BTreeMap<&'static str, String>,
    /// The last description that we sent.
    described: String,
}

/// One stream that is received.
#[derive(Debug)]
pub(crate) struct Received {
    pub session: SessionKey,
    pub address: MediaAddress,
    pub label: String,
    pub agreed: RemoteMedia,
    /// Whether several were named as its senders at one time: then it is nobody's any more.
    pub is_mix: bool,
    /// As it is recorded now; `None`: it is not, yet or any more.
    pub track: Option<RecordedTrack>,
}

impl RecordedSession {
    pub(crate) fn new(capabilities: Arc<Capabilities>, session_id: u64) -> Self {
        let address = MediaAddress { address: Ipv4Addr::UNSPECIFIED.into(), rtp_port: 0 };
        let direction = Direction::ReceiveOnly;
        Self {
            capabilities,
            local: Local { address, session_id, version: session_id, direction },
            streams: None,
            received: BTreeMap::new(),
            metadata: Metadata::default(),
            recording: None,
            tagged: BTreeMap::new(),
            described: String::new(),
        }
    }

    /// The shard of all its streams, once there is one.
    pub(crate) fn shard(&self) -> Option<u8> {
        self.received.values().next().map(|stream| stream.session.shard())
    }

    /// Takes the offer that its sessions follow now.
    pub(crate) fn set_streams(&mut self, streams: OfferedStreams) {
        self.streams = Some(streams);
        if let Some(first) = self.received.values().next() {
            self.local.address = first.address;
        }
    }

    /// Takes what is known about who is in which stream.
    pub(crate) fn set_metadata(&mut self, metadata: Metadata) {
        self.metadata = metadata;
        for stream in self.received.values_mut() {
            stream.is_mix |= self.metadata.senders(&stream.label).nth(1).is_some();
        }
    }

    /// What the recording does not know yet about the communication sessions: their identifiers and
    /// times as they were written, in the order of the sessions. What is no longer said stays.
    pub(crate) fn new_tags(&mut self) -> Vec<(&'static str, String)> {
        let mut tags = Vec::new();
        for (name, words) in self.metadata.words() {
            if !words.is_empty() && self.tagged.get(name) != Some(&words) {
                self.tagged.insert(name, words.clone());
                tags.push((name, words));
            }
        }
        tags
    }

    /// The tracks of all its streams, from now on recorded.
    pub(crate) fn tracks_begun(&mut self) -> Vec<RecordedTrack> {
        let tracks: Vec<RecordedTrack> =
            self.received.iter().map(|(place, stream)| self.track(*place, stream)).collect();
        for (stream, track) in self.received.values_mut().zip(&tracks) {
            stream.track = Some(track.clone());
        }
        tracks
    }

    /// Tracks to begin, each with its place and with the point of the one that it follows. Who is
    /// no longer named as the sender of its stream keeps its track until somebody else is.
    pub(crate) fn track_changes(&self) -> Vec<(Option<TapPoint>, (usize, RecordedTrack))> {
        let streams = self.received.iter().filter_map(|(place, stream)| {
            let track = self.track(*place, stream);
            let Some(now) = &stream.track else { return Some((None, (*place, track))) };
            let is_named = track.participant.is_some() || stream.is_mix;
            let is_another = is_named && track.participant != now.participant;
            is_another.then_some((Some(now.point), (*place, track)))
        });
        streams.collect()
    }

    /// The track of a stream, with who speaks on it as far as that is known.
    fn track(&self, place: usize, stream: &Received) -> RecordedTrack {
        let is_somebodys = !stream.is_mix && !stream.label.is_empty();
        let who = self.metadata.sender(&stream.label).filter(|_| is_somebodys);
        let participant = who.map(|who| RecordedParticipant {
            id: who.id.clone(),
            uri: who.aor.clone(),
            display_name: who.name.clone(),
        });
        let label = match stream.label.as_str() {
            "" => format!("stream{}", place + 1),
            label => label.to_owned(),
        };
        RecordedTrack { point: TapPoint::Received(stream.session), label, participant }
    }

    /// The answer to the last offer, with a new version where it says something new (RFC 3264
    /// section 8).
    pub(crate) fn answer(&mut self) -> String {
        let Some(streams) = &self.streams else { return String::new() };
        let address = |place| self.received.get(&place).map(|stream| stream.address);
        let same_version = streams.answer(&self.local, address);
        if !self.described.is_empty() && same_version != self.described {
            self.local.version += 1;
        }
        self.described = streams.answer(&self.local, address);
        self.described.clone()
    }
}
