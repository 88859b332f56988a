//! Our side of a dialog with a recorder of others: its lines, and the media session of each.

use engine_control::{MediaAddress, SessionKey, TapPoint};
use media_units::Direction;
use signaling_sdp::{Capabilities, Local, OwnStreams};
use signaling_siprec::multipart;
use sipx_sip::Request;

use super::sent::{Part, Subject};
use crate::endpoint::TransactionId;

/// Our side of a dialog with a recorder.
#[derive(Debug)]
pub(crate) struct Sending {
    pub subject: Subject,
    /// The INVITE, until it has a final response.
    pub calling: Option<Calling>,
    /// The question whether the recorder is there, until it has an answer.
    pub check: Option<TransactionId>,
    pub streams: OwnStreams,
    pub lines: Vec<Line>,
    local: Local,
    described: String,
}

/// A part of what is sent, on its line of the description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub place: usize,
    pub session: SessionKey,
    /// What it carries: no two lines carry the same.
    pub point: TapPoint,
    /// Whether the engine has the session: the recorder takes the line.
    pub is_open: bool,
    /// Whether the recorder has wanted what it carries: what it wants no more is a pause of its own.
    pub was_wanted: bool,
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
    pub(crate) fn new(subject: Subject, session_id: u64) -> Self {
        let address = MediaAddress { address: std::net::Ipv4Addr::UNSPECIFIED.into(), rtp_port: 0 };
        let direction = Direction::SendOnly;
        Self {
            subject,
            calling: None,
            check: None,
            streams: OwnStreams::default(),
            lines: Vec::new(),
            local: Local { address, session_id, version: session_id, direction },
            described: String::new(),
        }
    }

    /// Gives a part a line, if the description has room for one.
    pub(crate) fn add(&mut self, part: &Part, session: SessionKey, address: MediaAddress) -> bool {
        let Some(place) = self.streams.add(&part.label, address) else { return false };
        if self.lines.is_empty() {
            self.local.address = address;
        }
        self.streams.hold(place, !part.is_active);
        let point = part.point;
        self.lines.push(Line { place, session, point, is_open: false, was_wanted: false });
        true
    }

    /// Takes out the lines that are no longer wanted.
    pub(crate) fn remove(&mut self, is_wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
        let (kept, gone) = std::mem::take(&mut self.lines).into_iter().partition(is_wanted);
        self.lines = kept;
        for line in &gone {
            let Line { place, .. } = line;
            self.streams.remove(*place);
        }
        gone
    }

    /// Holds the lines in which nothing is to be heard. Gives those parts that have none.
    pub(crate) fn hold(&mut self, parts: Vec<Part>) -> Vec<Part> {
        let mut without = Vec::new();
        for part in parts {
            match self.lines.iter().find(|line| line.point == part.point) {
                Some(line) => self.streams.hold(line.place, !part.is_active),
                None => without.push(part),
            }
        }
        without
    }

    /// Whether the recorder takes this part: what it has never wanted to hear (`a=inactive` in its
    /// answers) it does not, unless nothing is to be heard in it now.
    pub(crate) fn takes(&self, part: &Part) -> bool {
        let mut lines = self.lines.iter().filter(|line| line.point == part.point);
        lines.any(|line| line.is_open && (line.was_wanted || !part.is_active))
    }

    /// Our offer.
    pub(crate) fn offer(&mut self, capabilities: &Capabilities) -> String {
        self.describe(|streams, local| streams.offer(local, capabilities))
    }

    /// Our answer to the last offer of the recorder's.
    pub(crate) fn answer(&mut self) -> String {
        self.describe(OwnStreams::answer)
    }

    /// A description with a new version where it says something new (RFC 3264 section 8).
    fn describe(&mut self, write: impl Fn(&OwnStreams, &Local) -> String) -> String {
        let same_version = write(&self.streams, &self.local);
        if !self.described.is_empty() && same_version != self.described {
            self.local.version += 1;
        }
        self.described = write(&self.streams, &self.local);
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
