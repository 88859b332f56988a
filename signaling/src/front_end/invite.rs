//! A new call: from its INVITE to the ACK of our 200.

use std::net::SocketAddr;
use std::time::Duration;

use media_units::Instant;
use signaling_sdp::{SdpRefusal, negotiate};
use sipx_sip::headers::{Expires, From as FromHeader};
use sipx_sip::rel::MAX_FIRST_RSEQ;
use sipx_sip::{HeaderName, Request, Response};

use super::{Asked, FrontEnd};
use crate::body::description;
use crate::call::{Call, CallTimer, Caller, Media, Provisional, Refused, Ringing, Unacknowledged};
use crate::counters::Dropped;
use crate::dialog::{Dialog, FIRST_SEQUENCE_MAX, sequence};
use crate::endpoint::TransactionId;
use crate::keypad::Keypad;
use crate::option_tags::{RECORD_AWARE, accepts_sdp, lists, names};
use crate::outside::{Carrier, Outside, Peer};
use crate::reach::is_behind_nat;
use crate::recording::{RecordState, Recorded};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::routing::Destination;
use crate::session_timer::SessionTimer;
use crate::view::{Gains, ParticipantId};

impl FrontEnd {
    /// Admits a call, reserves what it needs, and rings or answers.
    pub(super) fn invite(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let request = &asked.request;
        let transaction = asked.transaction.ok_or(Refusal::NoDialog)?;
        if self.is_to_record(request) {
            return self.invite_to_record(now, asked, out);
        }
        let (dialled, destination) = self.dialled(request)?;
        if !accepts_sdp(&request.headers) {
            return Err(Refusal::NotAcceptable);
        }
        let offer = description(&request.headers, request.body())?;
        let session_timer = self.policy().negotiate(request)?;
        let caller = caller(request, dialled, now);
        let rights = self.policies.rights(asked.from.remote.ip(), &caller.user);
        let recording = Recorded::of(&rights, request)?;
        let capabilities = rights.capabilities;
        let negotiation = offer.map(|offer| negotiate(&offer, &capabilities));
        let negotiation = negotiation.transpose().map_err(Refusal::Description)?;
        self.admit()?;
        let dialog = self.dialog(request, &caller.dialled, asked.from, out)?;
        let toward = negotiation.as_ref().map(|negotiation| negotiation.media().rtp);
        let toward = toward.filter(|rtp| is_reachable(*rtp, asked.from));
        let toward = toward.unwrap_or(asked.from.remote);
        if !capabilities.families.serve(toward.ip()) {
            return Err(Refusal::Description(SdpRefusal::Family { given: toward.ip() }));
        }

        self.admitted += 1;
        let id = ParticipantId::new(self.admitted);
        let (session, route, local) = self.reserve(now, id, &destination, toward, out)?;
        let mut media = Media::new(session, route, local, capabilities);
        media.negotiation = negotiation;
        if names(&request.headers, RECORD_AWARE) {
            media.set_recorded(RecordState::Off);
            self.record_aware.insert(id);
        }
        let ringing = Ringing {
            transaction,
            invite: asked.request.clone(),
            is_over: false,
            provisional: None,
        };
        self.endpoint.own(transaction, id);
        let (ringing, media) = (Some(ringing), Some(media));
        let call = new_call(dialog, destination, caller, ringing, media, session_timer);
        self.insert(id, Call { recording, ..call });
        self.ring(now, id, out);
        self.limit_ringing(now, id);
        Ok(())
    }

    /// Whether one more call is taken, of whatever kind. Where OPTIONS ask, as where an INVITE does.
    pub(super) fn admit(&self) -> Result<(), Refusal> {
        let is_full = self.calls.len() >= self.config.calls_max;
        if is_full { Err(Refusal::Full("Every call is in use")) } else { Ok(()) }
    }

    pub(super) fn dialog(
        &mut self,
        request: &Request,
        dialled: &str,
        from: Peer,
        out: &dyn Outside,
    ) -> Result<Dialog, Refusal> {
        let address = self.local_address(from, out);
        let transport = match from.carrier {
            Carrier::Udp => "",
            Carrier::Tcp(_) | Carrier::TcpNew => ";transport=tcp",
        };
        // What the dial plan lets through needs no escapes.
        let contact = format!("<sip:{dialled}@{address}{transport}>");
        let first_sequence = self.random.below(FIRST_SEQUENCE_MAX);
        let dialog = Dialog::accept(request, self.random.token(), first_sequence, contact, from)
            .ok_or(Refusal::Malformed("Contact or Record-Route".into()))?;
        if dialog.is_secure() { Err(Refusal::Scheme) } else { Ok(dialog) }
    }

    pub(super) fn insert(&mut self, id: ParticipantId, call: Call) {
        self.by_tag.insert(call.dialog.local_tag().to_owned(), id);
        if let Some(media) = &call.media {
            self.by_session.insert(media.session, id);
        }
        self.remember_flow(id, call.dialog.flow());
        self.calls.insert(id, Box::new(call));
    }

    /// Says 180 where there is a ring time or the caller insists on hearing it, reliably where
    /// the caller can acknowledge it (RFC 3262 section 3). An INVITE without an offer would have
    /// to find ours in a reliable 180 (section 5); it is not sent one.
    fn ring(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(ringing) = &call.ringing else { return };
        let headers = &ringing.invite.headers;
        let has_offer = call.media.as_ref().is_some_and(|media| media.negotiation.is_some());
        let is_required = lists(headers, &HeaderName::Require, "100rel");
        let is_reliable = names(headers, "100rel") && has_offer;
        if self.config.ring_time.is_zero() && !(is_required && has_offer) {
            return self.accept_call(now, id, out);
        }
        if is_reliable {
            self.ring_reliably(now, id, out);
        } else if !is_required {
            self.provisional(now, id, &Reply::new(180), out);
        }
        if self.config.ring_time.is_zero() {
            self.ring_time_over(now, id, out);
        } else {
            self.set_timer(id, CallTimer::Ring, now + self.config.ring_time);
        }
    }

    /// An INVITE with Expires wants its answer within that time (RFC 3261 section 13.3.1).
    fn limit_ringing(&mut self, now: Instant, id: ParticipantId) {
        let ringing = self.calls.get(&id).and_then(|call| call.ringing.as_ref());
        let expires = ringing.and_then(|ringing| ringing.invite.headers.typed::<Expires>());
        if let Some(Ok(Expires(seconds))) = expires {
            let after = Duration::from_secs(seconds.into());
            self.set_timer(id, CallTimer::Invitation, now + after);
        }
    }

    fn ring_reliably(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let number = 1 + self.random.below(MAX_FIRST_RSEQ);
        let reply = Reply::new(180)
            .header(HeaderName::Require, "100rel")
            .header(HeaderName::RSeq, number.to_string());
        let Some(response) = self.provisional(now, id, &reply, out) else { return };
        let interval = self.config.timing.t1;
        if let Some(ringing) = self.calls.get_mut(&id).and_then(|call| call.ringing.as_mut()) {
            ringing.provisional = Some(Provisional { number, response, interval });
        }
        self.set_timer(id, CallTimer::Provisional, now + interval);
        self.set_timer(id, CallTimer::PrackLimit, now + self.config.timing.patience());
    }

    fn provisional(
        &mut self,
        now: Instant,
        id: ParticipantId,
        reply: &Reply,
        out: &mut dyn Outside,
    ) -> Option<Response> {
        let call = self.calls.get(&id)?;
        let ringing = call.ringing.as_ref()?;
        let reply = reply.clone().in_dialog(call.dialog.contact());
        let response = reply.to(&ringing.invite, call.dialog.local_tag(), &self.config.server_name);
        self.endpoint.respond(now, ringing.transaction, response.clone(), out);
        Some(response)
    }

    pub(super) fn repeat_provisional(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let call = self.calls.get_mut(&id);
        let Some(ringing) = call.and_then(|call| call.ringing.as_mut()) else { return };
        let Some(provisional) = &mut ringing.provisional else { return };
        // Doubling without a ceiling (RFC 3262 section 3).
        provisional.interval *= 2;
        let at = now + provisional.interval;
        let (transaction, response) = (ringing.transaction, provisional.response.clone());
        self.endpoint.respond_again(now, transaction, response, out);
        self.set_timer(id, CallTimer::Provisional, at);
    }

    pub(super) fn ring_time_over(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let call = self.calls.get_mut(&id);
        let Some(ringing) = call.and_then(|call| call.ringing.as_mut()) else { return };
        ringing.is_over = true;
        if ringing.provisional.is_none() {
            self.accept_call(now, id, out);
        }
    }

    /// The reliable 180 arrived: answers as soon as it has rung long enough.
    pub(super) fn provisional_acknowledged(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        self.clear_timer(id, CallTimer::Provisional);
        self.clear_timer(id, CallTimer::PrackLimit);
        let call = self.calls.get_mut(&id);
        let Some(ringing) = call.and_then(|call| call.ringing.as_mut()) else { return };
        ringing.provisional = None;
        if ringing.is_over {
            self.accept_call(now, id, out);
        }
    }

    /// Answers with 200, or refuses where the engine has no more room after all.
    fn accept_call(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let agreed = self.calls.get(&id).and_then(|call| {
            call.media.as_ref()?.negotiation.as_ref().map(signaling_sdp::Negotiation::media)
        });
        let connected = agreed.map_or(Ok(()), |agreed| self.connect(now, id, agreed, out));
        if let Err((refusal, ending)) = connected {
            return self.reject(now, id, &refusal, ending, out);
        }
        self.clear_timer(id, CallTimer::Invitation);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (Some(ringing), Some(media)) = (call.ringing.take(), call.media.as_mut()) else {
            return;
        };
        let sdp = if let Some(negotiation) = media.negotiation.clone() {
            media.answer(&negotiation)
        } else {
            media.is_offering = true;
            media.offer()
        };
        let reply = Reply::new(200).in_dialog(call.dialog.contact()).describing(sdp);
        let reply = with_session_timer(reply, call.session_timer);
        self.endpoint.counters.calls_answered += 1;
        self.accept_invite(now, id, ringing.transaction, &ringing.invite, &reply, out);
    }

    /// Sends the 2xx to an INVITE, and again until its ACK comes (RFC 3261 section 13.3.1.4).
    pub(super) fn accept_invite(
        &mut self,
        now: Instant,
        id: ParticipantId,
        transaction: TransactionId,
        invite: &Request,
        reply: &Reply,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let response = reply.to(invite, call.dialog.local_tag(), &self.config.server_name);
        let interval = self.config.timing.t1;
        call.unacknowledged = Some(Unacknowledged {
            transaction,
            sequence: sequence(invite).unwrap_or_default(),
            response: response.clone(),
            interval,
        });
        self.endpoint.respond(now, transaction, response, out);
        self.set_timer(id, CallTimer::Answer, now + interval);
        self.set_timer(id, CallTimer::AckLimit, now + self.config.timing.patience());
        self.session_refreshed(now, id);
    }

    pub(super) fn repeat_answer(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let call = self.calls.get_mut(&id);
        let Some(waiting) = call.and_then(|call| call.unacknowledged.as_mut()) else { return };
        waiting.interval = self.config.timing.backed_off(waiting.interval);
        let at = now + waiting.interval;
        let (transaction, response) = (waiting.transaction, waiting.response.clone());
        self.endpoint.respond_again(now, transaction, response, out);
        self.set_timer(id, CallTimer::Answer, at);
    }

    /// The ACK of a 2xx. It is never answered; what is wrong with it ends the call.
    pub(super) fn acknowledged(
        &mut self,
        now: Instant,
        ack: &Request,
        from: Peer,
        out: &mut dyn Outside,
    ) {
        let Some(id) = self.dialog_of(ack) else {
            return self.endpoint.counters.count_dropped(Dropped::StrayAck);
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let expected = call.unacknowledged.as_ref().map(|waiting| waiting.sequence);
        if expected.is_none() || expected != sequence(ack) {
            return;
        }
        call.unacknowledged = None;
        call.confirmed = true;
        self.clear_timer(id, CallTimer::Answer);
        self.clear_timer(id, CallTimer::AckLimit);
        self.follow(id, from);
        let Some(call) = self.calls.get(&id) else { return };
        if let Some(ending) = call.ending {
            return self.end(now, id, ending, out);
        }
        if call.media.as_ref().is_some_and(|media| media.is_offering) {
            self.take_answer(now, id, &ack.headers, ack.body(), out);
        }
        self.offer_is_over(now, id, out);
        self.make_due_offer(now, id, out);
    }
}

/// Whether a description names an address that its endpoint can have. One of the other family than
/// its messages come from says nothing of the way between.
pub(super) fn is_reachable(rtp: SocketAddr, from: Peer) -> bool {
    let (named, seen) = (rtp.ip().to_canonical(), from.remote.ip().to_canonical());
    let is_of_other_family = named.is_ipv4() != seen.is_ipv4();
    !named.is_unspecified() && (is_of_other_family || !is_behind_nat(named, seen))
}

/// Adds what the session timer has to say in a 2xx.
pub(super) fn with_session_timer(reply: Reply, timer: Option<SessionTimer>) -> Reply {
    let Some(timer) = timer else { return reply };
    let reply = reply.header(HeaderName::SessionExpires, timer.in_answer());
    if timer.is_required() { reply.header(HeaderName::Require, "timer") } else { reply }
}

pub(super) fn new_call(
    dialog: Dialog,
    destination: Destination,
    caller: Caller,
    ringing: Option<Ringing>,
    media: Option<Media>,
    session_timer: Option<SessionTimer>,
) -> Call {
    Call {
        dialog,
        destination,
        caller,
        ringing,
        unacknowledged: None,
        confirmed: false,
        ending: None,
        media,
        session_timer,
        refresh: None,
        refused: Refused::default(),
        deadlines: [None; CallTimer::COUNT],
        muted: false,
        gains: Gains::default(),
        talking: false,
        keypad: Keypad::default(),
        recording: Recorded::default(),
        recorded_here: RecordState::default(),
        siprec: None,
    }
}

pub(super) fn caller(request: &Request, dialled: String, since: Instant) -> Caller {
    let from = request.headers.typed::<FromHeader>().and_then(Result::ok);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Caller {
        uri: from.as_ref().map(|from| text(&from.uri.to_bytes())).unwrap_or_default(),
        user: from
            .as_ref()
            .and_then(|from| from.uri.decoded_user())
            .map(|user| text(&user))
            .unwrap_or_default(),
        display_name: from.and_then(|from| from.0.display_name).map(|name| text(&name)),
        dialled,
        since,
    }
}
