//! Recording sessions (RFC 7866): those that others make with us as their recorder, and those
//! that we make with recorders of others.

mod address;
pub(crate) mod body;
pub(crate) mod recorded;
pub(crate) mod sending;
pub(crate) mod sent;

use std::time::Duration;

use sipx_sip::headers::Contact;
use sipx_sip::{HeaderName, Request};

use crate::option_tags::lists;
use crate::outside::{Carrier, Peer};
use crate::{Network, Pattern};
use recorded::RecordedSession;
use sending::Sending;

pub use address::{NotARecorder, RecorderAddress};
pub use sent::Subject;

/// What makes a request one of a recording session.
const TAG: &str = "siprec";

/// The feature tag of a recording client, and that of a recorder.
const CLIENT: &str = "+sip.src";
const RECORDER: &str = "+sip.srs";

/// Limits and rights of recording sessions. Checked by the server before it gets here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiprecConfig {
    /// Whose recording sessions we take; empty: nobody's.
    pub accept_from: Vec<Network>,
    /// Recording sessions that we take at one time; the next one is answered 503.
    pub sessions_max: usize,
    /// Streams of one recording session; those beyond are refused in their places.
    pub streams_max: usize,
    /// The recorders that our rooms and calls are sent to: the first that answers.
    pub send_to: Vec<RecorderAddress>,
    /// Rooms that are always sent.
    pub rooms: Vec<Pattern>,
    /// Dialled numbers whose calls are always sent, each by itself.
    pub calls: Vec<Pattern>,
    /// Participants of one room that are sent in a stream of their own; others in its mix.
    pub send_streams_max: usize,
    /// How long a recorder may take to answer before the next is called.
    pub answer_timeout: Duration,
}

impl Default for SiprecConfig {
    fn default() -> Self {
        Self {
            accept_from: Vec::new(),
            sessions_max: 4096,
            streams_max: 8,
            send_to: Vec::new(),
            rooms: Vec::new(),
            calls: Vec::new(),
            send_streams_max: 16,
            answer_timeout: Duration::from_secs(4),
        }
    }
}

impl SiprecConfig {
    /// Whether we are a recorder at all.
    pub(crate) fn accepts(&self) -> bool {
        !self.accept_from.is_empty()
    }

    /// The option tags that go with it.
    pub(crate) fn tags(&self) -> &'static [&'static str] {
        if self.accepts() { &[TAG] } else { &[] }
    }
}

/// A call that is a recording session.
#[derive(Debug)]
pub(crate) enum Siprec {
    /// We record.
    Recorder(Box<RecordedSession>),
    /// We send.
    Client(Box<Sending>),
}

/// Whether an INVITE is to make a recording session: it requires the extension, or its sender
/// says that it is a recording client.
pub(crate) fn is_recording_session(invite: &Request) -> bool {
    let is_client = || {
        let contact = invite.headers.typed::<Contact>().and_then(Result::ok);
        contact.is_some_and(|contact| {
            contact.0.params.iter().any(|param| param.name.eq_ignore_ascii_case(CLIENT.as_bytes()))
        })
    };
    lists(&invite.headers, &HeaderName::Require, TAG) || is_client()
}

/// Contact of a recorder.
pub(crate) fn recorder_contact(contact: &str) -> String {
    format!("{contact};{RECORDER}")
}

/// Contact of a recording client at `uri`, for `peer`.
pub(crate) fn client_contact(uri: &str, peer: Peer) -> String {
    let transport = match peer.carrier {
        Carrier::Udp => "",
        Carrier::Tcp(_) | Carrier::TcpNew => ";transport=tcp",
    };
    format!("<{uri}{transport}>;{CLIENT}")
}
