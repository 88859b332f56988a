//! Session refreshes of ours (RFC 4028 section 7), and every request that we send.

use std::time::Duration;

use media_units::Instant;
use sipx_sip::{CSeq, Header, HeaderName, Headers, Method, Request, Response};

use super::FrontEnd;
use crate::call::{CallTimer, Media, Refresh, Refused, StillDue};
use crate::counters::Ending;
use crate::dialog::answered_sequence;
use crate::endpoint::TransactionId;
use crate::outside::{Carrier, Outside, Peer};
use crate::reply::{ALLOW, SDP, push};
use crate::session_timer::SessionTimer;
use crate::siprec::Siprec;
use crate::view::ParticipantId;

/// After a 491, the side that did not make the call waits for up to this long (RFC 3261 14.1).
const GLARE_WAIT_MS_MAX: u32 = 2000;

/// A request that was refused is not sent again before this.
const RETRY_WAIT_MIN: Duration = Duration::from_secs(2);

/// Where a session has no end, a refusal is taken for half of this.
const UNTIMED: Duration = Duration::from_secs(1800);

/// So often the wait is doubled.
const DOUBLINGS_MAX: u32 = 8;

/// A request that would cross another one waits for this long.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(2);

impl FrontEnd {
    /// A request went well that counts as a sign of life: the session interval begins anew.
    pub(super) fn session_refreshed(&mut self, now: Instant, id: ParticipantId) {
        let Some(call) = self.calls.get(&id) else { return };
        let timer = call.session_timer;
        match timer.and_then(SessionTimer::refresh_after) {
            Some(after) => self.set_timer(id, CallTimer::Refresh, now + after),
            None => self.clear_timer(id, CallTimer::Refresh),
        }
        match timer {
            Some(timer) => self.set_timer(id, CallTimer::Expiry, now + timer.expires_after()),
            None => self.clear_timer(id, CallTimer::Expiry),
        }
    }

    /// Refreshes the session: by UPDATE without an offer where the caller knows it, else by an
    /// INVITE that offers what we described last.
    pub(super) fn refresh(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.ending.is_none()) else {
            return;
        };
        if call.refresh.is_some() || call.unacknowledged.is_some() {
            return self.set_timer(id, CallTimer::Refresh, now + BUSY_WAIT);
        }
        let Some(timer) = call.session_timer else { return };
        if matches!(call.siprec, Some(Siprec::Client(_))) {
            return self.offer_to_recorder(now, id, out);
        }
        if !timer.we_refresh {
            return;
        }
        let must_offer = !call.dialog.allows_update();
        let offer = match (&call.media, &call.siprec) {
            (Some(media), _) => must_offer.then(|| media.repeat()),
            // A session that is recorded is its client's to describe: whatever it answers, it is there.
            (None, Some(_)) => None,
            (None, None) => return,
        };
        self.send_refresh(now, id, offer, out);
    }

    /// Sends a session refresh request: an INVITE where it has an offer, else an UPDATE.
    pub(super) fn send_refresh(
        &mut self,
        now: Instant,
        id: ParticipantId,
        offer: Option<String>,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let timer = call.session_timer;
        let method = if offer.is_some() { Method::Invite } else { Method::Update };
        let (mut request, to) = call.dialog.request(&method);
        let contact = call.dialog.contact().to_owned();
        let headers = &mut request.headers;
        push(headers, HeaderName::Contact, contact);
        push(headers, HeaderName::Allow, ALLOW);
        push(headers, HeaderName::Supported, "timer");
        if let Some(timer) = timer {
            push(headers, HeaderName::SessionExpires, timer.in_request());
            push(headers, HeaderName::MinSe, self.config.min_se.as_secs().max(90).to_string());
        }
        let invite = offer.as_ref().and_then(|_| crate::dialog::sequence(&request));
        if let Some(offer) = offer {
            push(&mut request.headers, HeaderName::ContentType, SDP);
            request.set_body(offer.into_bytes().into());
        }
        let transaction = self.send(now, id, request, to, out);
        if let (Some(transaction), Some(call)) = (transaction, self.calls.get_mut(&id)) {
            call.refresh = Some(Refresh { transaction, invite });
        }
    }

    /// Sends a request in a transaction of its own.
    pub(super) fn send(
        &mut self,
        now: Instant,
        id: ParticipantId,
        mut request: Request,
        to: Peer,
        out: &mut dyn Outside,
    ) -> Option<TransactionId> {
        self.complete(&mut request, to, out);
        self.endpoint.request(now, request, to, id, out)
    }

    /// Adds our Via, our name and the length to a request.
    pub(super) fn complete(&mut self, request: &mut Request, to: Peer, out: &dyn Outside) {
        let address = self.local_address(to, out);
        let branch = self.random.token();
        let via = match to.carrier {
            Carrier::Udp => format!("SIP/2.0/UDP {address};rport;branch=z9hG4bK{branch}"),
            Carrier::Tcp(_) | Carrier::TcpNew => {
                format!("SIP/2.0/TCP {address};branch=z9hG4bK{branch}")
            }
        };
        if let Ok(header) = Header::build(HeaderName::Via, via) {
            request.headers.push_front(header);
        }
        let length = request.body().len().to_string();
        push(&mut request.headers, HeaderName::UserAgent, self.config.server_name.clone());
        push(&mut request.headers, HeaderName::ContentLength, length);
    }

    /// A response to a request of ours.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        id: ParticipantId,
        transaction: TransactionId,
        response: &Response,
        out: &mut dyn Outside,
    ) {
        if self.is_call_to_recorder(id, transaction) {
            return self.recorder_answered(now, id, response, out);
        }
        if self.is_check(id, transaction) {
            return self.recorder_is_there(now, id, response, out);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        let is_refresh = call.refresh.as_ref().is_some_and(|r| r.transaction == transaction);
        if !is_refresh {
            return self.acknowledge_copy(id, response, out);
        }
        if response.status.is_provisional() {
            return;
        }
        let invite = call.refresh.take().and_then(|refresh| refresh.invite);
        match response.status.code() {
            200..=299 => self.refresh_accepted(now, id, invite, response, out),
            // The caller no longer knows the dialog (RFC 5057 section 5.1).
            408 | 481 => self.hang_up(now, id, Ending::SessionExpired, out),
            code => {
                self.refresh_refused(now, id, invite, code, &response.headers, out);
                // Where the engine has no ear for it now, the call stays as it was.
                let _ = self.follow_negotiation(now, id, out);
                self.offer_is_over(now, id, out);
            }
        }
    }

    /// Nobody answered a request of ours: a caller who cannot be reached is gone.
    pub(super) fn unanswered(
        &mut self,
        now: Instant,
        id: ParticipantId,
        transaction: TransactionId,
        out: &mut dyn Outside,
    ) {
        if self.is_call_to_recorder(id, transaction) {
            return self.recorder_unanswered(now, id, out);
        }
        if self.is_check(id, transaction) {
            return self.hang_up(now, id, Ending::SessionExpired, out);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.refresh.as_ref().is_some_and(|refresh| refresh.transaction == transaction) {
            call.refresh = None;
            self.hang_up(now, id, Ending::SessionExpired, out);
        }
    }

    fn refresh_accepted(
        &mut self,
        now: Instant,
        id: ParticipantId,
        invite: Option<u32>,
        response: &Response,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.refused = Refused::default();
        call.dialog.retarget(&response.headers);
        if let Some(media) = &mut call.media {
            media.offer_accepted();
        }
        call.session_timer = call.session_timer.map(|timer| timer.adopted(&response.headers));
        self.session_refreshed(now, id);
        if invite.is_none() {
            return self.make_due_offer(now, id, out);
        }
        let Some(sequence) = invite.filter(|sent| answered_sequence(response) == Some(*sent))
        else {
            return;
        };
        self.acknowledge(id, sequence, out);
        if self.is_sending(id) {
            self.take_recorder_answer(now, id, response, out);
            return self.offer_is_over(now, id, out);
        }
        self.take_answer(now, id, &response.headers, response.body(), out);
        self.make_due_offer(now, id, out);
    }

    /// Tries again: at once where that helps, later where it was refused for now, and an offer that is
    /// due in any case. Where nothing does the session runs out in its time, unless the caller promised
    /// nothing: whoever knows no timers and answers at all is there.
    fn refresh_refused(
        &mut self,
        now: Instant,
        id: ParticipantId,
        invite: Option<u32>,
        code: u16,
        headers: &Headers,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let timer = call.session_timer;
        let knows_no_update = matches!(code, 405 | 501) && invite.is_none();
        let is_there = timer.is_some_and(|timer| !timer.known_to_peer)
            || (knows_no_update && call.media.is_none());
        if is_there {
            self.session_refreshed(now, id);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        let is_for_now =
            matches!(code, 480 | 486 | 491 | 500 | 503 | 504) || retry_after(headers).is_some();
        // Who asks for a longer interval again and again is not followed.
        let timer = timer.filter(|_| code == 422 && !call.refused.is_lengthened);
        let longer = timer.and_then(|timer| timer.lengthened(headers));
        let refused = |media: &mut Media| media.offer_refused(is_for_now || longer.is_some());
        let still_due = call.media.as_mut().map_or(StillDue::Unasked, refused);
        if knows_no_update && call.media.is_some() && call.dialog.allows_update() {
            call.dialog.forbid_update();
            return self.refresh(now, id, out);
        }
        if longer.is_some() {
            call.session_timer = longer;
            call.refused.is_lengthened = true;
        }
        let is_offer = still_due != StillDue::Unasked;
        let wait = self.wait_after(now, id, code, headers, is_offer);
        match still_due {
            StillDue::Rest => self.make_due_offer(now, id, out),
            StillDue::Same if longer.is_some() => self.make_due_offer(now, id, out),
            StillDue::Same => self.set_timer(id, CallTimer::Offer, now + wait),
            StillDue::Unasked if longer.is_some() => self.refresh(now, id, out),
            StillDue::Unasked if code == 491 || (is_for_now && !is_there) => {
                self.set_timer(id, CallTimer::Refresh, now + wait);
            }
            StillDue::Unasked | StillDue::Nothing => {}
        }
    }

    /// How long a request waits that was refused: as long as the endpoint asks for, where the session
    /// lasts so long, else for half of what is left of it; after a 491 for a while that chance decides.
    /// Who refuses offer after offer that is due is made them ever more rarely.
    fn wait_after(
        &mut self,
        now: Instant,
        id: ParticipantId,
        code: u16,
        headers: &Headers,
        is_offer: bool,
    ) -> Duration {
        let Some(call) = self.calls.get_mut(&id) else { return RETRY_WAIT_MIN };
        let times = if is_offer { 1 << call.refused.offers.min(DOUBLINGS_MAX) } else { 1 };
        call.refused.offers += u32::from(is_offer);
        if code == 491 {
            return Duration::from_millis(self.random.below(GLARE_WAIT_MS_MAX * times).into());
        }
        let end = call.deadlines[CallTimer::Expiry as usize];
        let left = end.map_or(UNTIMED, |end| end.at().since(now));
        let asked = retry_after(headers).filter(|wait| *wait < left);
        asked.unwrap_or(left / 2).max(RETRY_WAIT_MIN * times)
    }

    /// A 2xx comes to an INVITE of ours that is over: it is a copy, whose ACK was lost (RFC 3261 section
    /// 13.2.2.4).
    fn acknowledge_copy(&mut self, id: ParticipantId, response: &Response, out: &mut dyn Outside) {
        let Some(Ok(answered)) = response.headers.typed::<CSeq>() else { return };
        let is_accepted = (200..300).contains(&response.status.code());
        if is_accepted && answered.method == Method::Invite {
            self.acknowledge(id, answered.sequence, out);
        }
    }

    /// Sends the ACK of a 2xx to our INVITE: outside of any transaction.
    pub(super) fn acknowledge(&mut self, id: ParticipantId, sequence: u32, out: &mut dyn Outside) {
        let Some(call) = self.calls.get(&id) else { return };
        let (mut ack, to) = call.dialog.ack(sequence);
        self.complete(&mut ack, to, out);
        out.transmit(to, sipx_sip::Message::Request(ack).to_bytes());
    }
}

/// The seconds of Retry-After, without the comment and the parameters that may follow (RFC 3261
/// section 20.33).
fn retry_after(headers: &Headers) -> Option<Duration> {
    let value = headers.value(&HeaderName::RetryAfter)?;
    let digits = value.split(|b| !b.is_ascii_digit()).next()?;
    let seconds: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}
