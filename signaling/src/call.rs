//! One call: a dialog, a media session, and where both are in their lives.

use std::sync::Arc;
use std::time::Duration;

use engine_control::{RemoteMedia, Route, SessionKey};
use media_units::Instant;
use signaling_sdp::{
    Capabilities, Local, Negotiation, SdpRefusal, accept_answer, negotiate, offer,
};
use sipx_sip::{Request, Response};

use crate::counters::Ending;
use crate::dialog::Dialog;
use crate::endpoint::TransactionId;
use crate::keypad::Keypad;
use crate::recording::{RecordState, Recorded};
use crate::routing::Destination;
use crate::session_timer::SessionTimer;
use crate::siprec::Siprec;
use crate::timers::Deadline;
use crate::view::Gains;

/// A call from its INVITE to its BYE.
#[derive(Debug)]
pub(crate) struct Call {
    pub dialog: Dialog,
    pub destination: Destination,
    pub caller: Caller,
    /// The INVITE, until it has a final response.
    pub ringing: Option<Ringing>,
    /// The last 2xx to an INVITE, until its ACK.
    pub unacknowledged: Option<Unacknowledged>,
    /// Whether an ACK came: only then may we send BYE (RFC 3261 section 15).
    pub confirmed: bool,
    /// Why the call ends as soon as it may.
    pub ending: Option<Ending>,
    /// `None` once it is given back.
    pub media: Option<Media>,
    pub session_timer: Option<SessionTimer>,
    pub refresh: Option<Refresh>,
    pub refused: Refused,
    pub deadlines: [Option<Deadline>; CallTimer::COUNT],
    pub muted: bool,
    pub gains: Gains,
    pub talking: bool,
    pub keypad: Keypad,
    pub recording: Recorded,
    /// Whether it is recorded here, as far as its endpoint is to be told.
    pub recorded_here: RecordState,
    /// Where it is a recording session: then it has no media of its own.
    pub siprec: Option<Siprec>,
}

/// What the endpoint has refused since it accepted a request of ours.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// How many offers that were due.
    pub offers: u32,
    /// Whether an interval was too short for it, and was lengthened.
    pub is_lengthened: bool,
}

/// Who calls.
#[derive(Debug)]
pub(crate) struct Caller {
    pub uri: String,
    pub user: String,
    pub display_name: Option<String>,
    pub dialled: String,
    pub since: Instant,
}

/// An INVITE without a final response.
#[derive(Debug)]
pub(crate) struct Ringing {
    pub transaction: TransactionId,
    pub invite: Box<Request>,
    /// Whether the ring time has passed.
    pub is_over: bool,
    /// A reliable provisional response that waits for its PRACK.
    pub provisional: Option<Provisional>,
}

/// A reliable provisional response (RFC 3262).
#[derive(Debug)]
pub(crate) struct Provisional {
    pub number: u32,
    pub response: Response,
    pub interval: Duration,
}

/// A 2xx that is repeated until its ACK comes.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    pub transaction: TransactionId,
    pub sequence: u32,
    pub response: Response,
    pub interval: Duration,
}

/// A session refresh request of ours without a final response.
#[derive(Debug)]
pub(crate) struct Refresh {
    pub transaction: TransactionId,
    /// The `CSeq` of an INVITE, which carries our offer; `None` for an UPDATE without one.
    pub invite: Option<u32>,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallTimer {
    /// The end of the ring time.
    Ring,
    /// The end of what the caller is willing to wait for an answer.
    Invitation,
    /// The next copy of a reliable provisional response.
    Provisional,
    /// The last moment for its PRACK.
    PrackLimit,
    /// The next copy of a 2xx.
    Answer,
    /// The last moment for its ACK.
    AckLimit,
    /// Our next session refresh.
    Refresh,
    /// The next try of an offer that is due.
    Offer,
    /// The end of the session for want of a refresh.
    Expiry,
    /// The next look whether a recorder is there.
    Check,
}

impl CallTimer {
    pub(crate) const COUNT: usize = 10;
}

/// The media session of a call and the state of offer and answer (RFC 3264).
#[derive(Debug)]
pub(crate) struct Media {
    pub session: SessionKey,
    pub route: Route,
    pub local: Local,
    /// What the endpoint may use.
    capabilities: Arc<Capabilities>,
    /// Whether the engine has the session.
    pub is_open: bool,
    /// Whether an offer of ours waits for its answer in an ACK.
    pub is_offering: bool,
    /// The last offer and answer: what a later one keeps to.
    pub negotiation: Option<Negotiation>,
    pub agreed: Option<RemoteMedia>,
    /// The last description that we sent.
    described: String,
    /// Whether it is recorded, where the endpoint wants to know; and as it was told last.
    recorded: Option<RecordState>,
    told: Option<RecordState>,
    /// Whether the endpoint is to be asked to keep to one sound, its answer having kept several.
    to_narrow: bool,
    /// What was described before an offer of ours that was due, until that is accepted.
    before: Option<Box<Described>>,
}

/// What is due to an endpoint that refused a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StillDue {
    /// That was no offer that was due.
    Unasked,
    /// Nothing: what it was asked is given up, or is so no more.
    Nothing,
    /// The rest of what it was asked, which it has not refused by itself yet.
    Rest,
    /// The same once more.
    Same,
}

/// What an endpoint was told last.
#[derive(Debug)]
struct Described {
    text: String,
    version: u64,
    told: Option<RecordState>,
}

impl Call {
    /// Whether an offer of ours has no answer yet, so that another one would cross it.
    pub(crate) fn is_offering(&self) -> bool {
        self.refresh.as_ref().is_some_and(|refresh| refresh.invite.is_some())
            || self.media.as_ref().is_some_and(|media| media.is_offering)
    }
}

impl Media {
    pub(crate) fn new(
        session: SessionKey,
        route: Route,
        local: Local,
        capabilities: Arc<Capabilities>,
    ) -> Self {
        Self {
            session,
            route,
            local,
            capabilities,
            is_open: false,
            is_offering: false,
            negotiation: None,
            agreed: None,
            described: String::new(),
            recorded: None,
            told: None,
            to_narrow: false,
            before: None,
        }
    }

    /// Whether the endpoint put us on hold.
    pub(crate) fn is_held(&self) -> bool {
        self.agreed.is_some_and(|agreed| !agreed.direction.sends())
    }

    /// Our answer to the last offer.
    pub(crate) fn answer(&mut self, negotiation: &Negotiation) -> String {
        self.to_narrow = false;
        self.describe(|local| negotiation.answer(local))
    }

    /// An offer of ours.
    pub(crate) fn offer(&mut self) -> String {
        let (negotiation, capabilities) = (self.negotiation.clone(), self.capabilities.clone());
        self.describe(|local| match &negotiation {
            Some(negotiation) => negotiation.offer(local, &capabilities),
            None => offer(local, &capabilities),
        })
    }

    /// An offer that changes nothing: the last description once more, with its version (RFC 3264
    /// section 8), so that it neither ends a hold nor brings back what was refused.
    pub(crate) fn repeat(&self) -> String {
        self.described.clone()
    }

    /// The endpoint wants to know whether it is recorded; it is so now. Whether that is news.
    pub(crate) fn set_recorded(&mut self, state: RecordState) -> bool {
        self.recorded.replace(state) != Some(state)
    }

    /// Whether the endpoint is to be made an offer: it was told something of recording that is not
    /// so any more, or it is to keep to one sound.
    pub(crate) fn is_offer_due(&self) -> bool {
        self.to_narrow || (self.told.is_some() && self.told != self.recorded)
    }

    /// An offer that changes nothing but what it is due for, and its version.
    pub(crate) fn due_offer(&mut self) -> String {
        let origin = |local: &Local| format!(" {} {} IN ", local.session_id, local.version);
        let before = origin(&self.local);
        let (version, told) = (self.local.version, self.told);
        let narrowed = self.negotiation.as_ref().filter(|_| self.to_narrow);
        let described = narrowed.map_or_else(
            || self.described.clone(),
            |negotiation| negotiation.narrowed_offer(&self.local, &self.capabilities),
        );
        self.local.version += 1;
        let described = described.replacen(&before, &origin(&self.local), 1);
        let described = self.with_recorded(described);
        let text = std::mem::replace(&mut self.described, described);
        self.told = self.recorded;
        self.before = Some(Box::new(Described { text, version, told }));
        self.described.clone()
    }

    /// The endpoint accepted a request of ours. A repeated description keeps nobody to one sound.
    pub(crate) fn offer_accepted(&mut self) {
        if self.before.take().is_some() {
            self.to_narrow = false;
        }
    }

    /// The endpoint refused a request of ours: where that was an offer that was due, all is as it was
    /// (RFC 3261 section 14.1), and it was told nothing. Unless it refused it only for now, it is not asked
    /// again to keep to one sound, and expected to go by its own order.
    pub(crate) fn offer_refused(&mut self, is_for_now: bool) -> StillDue {
        let Some(before) = self.before.take() else { return StillDue::Unasked };
        self.described = before.text;
        self.local.version = before.version;
        self.told = before.told;
        let is_given_up = self.to_narrow && !is_for_now;
        let theirs = self.negotiation.as_ref().and_then(Negotiation::by_its_order).cloned();
        if let Some(theirs) = theirs.filter(|_| is_given_up) {
            self.negotiation = Some(theirs);
        }
        self.to_narrow &= is_for_now;
        match self.is_offer_due() {
            false => StillDue::Nothing,
            true if is_given_up => StillDue::Rest,
            true => StillDue::Same,
        }
    }

    fn with_recorded(&self, description: String) -> String {
        match self.recorded {
            Some(state) => state.told_in(&description),
            None => description,
        }
    }

    /// Reads an offer of the endpoint's.
    pub(crate) fn read_offer(&self, offer: &[u8]) -> Result<Negotiation, SdpRefusal> {
        match &self.negotiation {
            Some(negotiation) => negotiation.renegotiate(offer, &self.capabilities),
            None => negotiate(offer, &self.capabilities),
        }
    }

    /// Takes the answer to an offer of ours. One to an offer of all that the endpoint may use, which
    /// an ACK answers, is to be narrowed where it keeps several sounds: once, whatever comes of it.
    pub(crate) fn answered(&mut self, negotiation: Negotiation) {
        let was_of_all = std::mem::take(&mut self.is_offering);
        self.to_narrow = negotiation.keeps_several() && (was_of_all || self.to_narrow);
        self.negotiation = Some(negotiation);
    }

    /// Reads the answer to an offer of ours.
    pub(crate) fn read_answer(&self, answer: &[u8]) -> Result<Negotiation, SdpRefusal> {
        match &self.negotiation {
            Some(negotiation) => negotiation.accept_answer(answer, &self.capabilities),
            None => accept_answer(answer, &self.capabilities),
        }
    }

    /// A description with a new version where it says something new (RFC 3264 section 8).
    fn describe(&mut self, write: impl Fn(&Local) -> String) -> String {
        self.told = self.recorded;
        let same_version = self.with_recorded(write(&self.local));
        if !self.described.is_empty() && same_version != self.described {
            self.local.version += 1;
            self.described = self.with_recorded(write(&self.local));
        } else {
            self.described = same_version;
        }
        self.described.clone()
    }
}
