//! A room that is sent to a recorder of others: which recorder, over which dialog, and who is in
//! the stream.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use engine_control::{MediaAddress, RoomKey, SessionKey};
use media_units::Direction;
use signaling_sdp::{Capabilities, Local, OwnStreams};
use signaling_siprec::{
    Association, DataMode, Metadata, Participant, Presence, Session, Stream, multipart, write,
};
use sipx_sip::{Request, Uri};

use crate::dialog::peer_of;
use crate::endpoint::TransactionId;
use crate::outside::Peer;
use crate::recording::RecordingId;
use crate::view::ParticipantId;

/// The label of the one stream.
pub(crate) const LABEL: &str = "1";

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

/// One room that is sent.
#[derive(Debug)]
pub(crate) struct SentRoom {
    pub key: RoomKey,
    /// Which recorder of the list is tried or in use.
    pub recorder: usize,
    /// The dialog with it.
    pub call: Option<ParticipantId>,
    /// Whether somebody came or went since the recorder was told last.
    pub is_stale: bool,
    /// Its identifiers and times for the metadata.
    pub session: Session,
    pub stream: String,
    /// Who is in the room: identifier and since when.
    pub people: BTreeMap<ParticipantId, Presence>,
    pub identifiers: BTreeMap<ParticipantId, String>,
    /// Our own recording, where no recorder is left.
    pub own_recording: Option<RecordingId>,
}

impl SentRoom {
    /// All that is known about the session; `who` tells address and name.
    pub(crate) fn metadata(
        &self,
        who: impl Fn(ParticipantId) -> Option<(String, Option<String>)>,
    ) -> String {
        let people = self.people.iter().filter_map(|(id, presence)| {
            let (aor, name) = who(*id)?;
            let identifier = self.identifiers.get(id)?.clone();
            Some(Participant { id: identifier, aor, name, sessions: vec![presence.clone()] })
        });
        let participants: Vec<Participant> = people.collect();
        // Everyone speaks and hears in the one mix.
        let associations = participants.iter().map(|participant| Association {
            participant: participant.id.clone(),
            sends: vec![self.stream.clone()],
            receives: vec![self.stream.clone()],
            associate_time: participant.sessions.first().and_then(|it| it.associate_time.clone()),
            disassociate_time: None,
        });
        let stream = Stream {
            id: self.stream.clone(),
            session: self.session.id.clone(),
            label: LABEL.to_owned(),
        };
        write(&Metadata {
            data_mode: DataMode::Complete,
            sessions: vec![self.session.clone()],
            associations: associations.collect(),
            participants,
            streams: vec![stream],
        })
    }
}

/// Our side of a dialog with a recorder.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The name of the room.
    pub room: String,
    /// The INVITE, until it has a final response.
    pub calling: Option<Calling>,
    pub streams: OwnStreams,
    pub local: Local,
    /// `None` once it is given back.
    pub session: Option<SessionKey>,
    /// Whether the engine has it.
    pub is_open: bool,
    described: String,
}

/// An INVITE of ours without a final response.
#[derive(Debug)]
pub(crate) struct Calling {
    pub transaction: TransactionId,
    /// As it was sent: a CANCEL repeats some of it.
    pub invite: Request,
    /// Whether it was answered provisionally: only then may it be cancelled.
    pub is_provisional: bool,
    /// Whether its answer is no longer wanted.
    pub is_given_up: bool,
}

impl Sending {
    pub(crate) fn new(
        room: String,
        session: SessionKey,
        address: MediaAddress,
        session_id: u64,
    ) -> Self {
        let mut streams = OwnStreams::default();
        streams.add(LABEL, address);
        let direction = Direction::SendOnly;
        Self {
            room,
            calling: None,
            streams,
            local: Local { address, session_id, version: session_id, direction },
            session: Some(session),
            is_open: false,
            described: String::new(),
        }
    }

    /// Our offer, with a new version where it says something new (RFC 3264 section 8).
    pub(crate) fn offer(&mut self, capabilities: &Capabilities) -> String {
        let same_version = self.streams.offer(&self.local, capabilities);
        if !self.described.is_empty() && same_version != self.described {
            self.local.version += 1;
        }
        self.described = self.streams.offer(&self.local, capabilities);
        self.described.clone()
    }
}

/// Content type and body of an offer with its metadata.
pub(crate) fn bodies(boundary: &str, offer: &str, metadata: &str) -> (String, String) {
    let parts = [
        ("application/sdp", None, offer),
        ("application/rs-metadata+xml", Some("recording-session"), metadata),
    ];
    (format!("multipart/mixed;boundary={boundary}"), multipart::compose(boundary, &parts))
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
