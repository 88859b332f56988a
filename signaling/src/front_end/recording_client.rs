//! Dialogs with recorders of others (RFC 7866 sections 6.1, 7.1 and 8.1): an INVITE with an offer
//! and metadata for each room or call that is sent, a new one whenever something has changed, BYE at
//! the end. A recorder that fails is followed by the next of the list.

use engine_control::{Command, RemoteMedia, Route, SessionKey};
use media_units::Instant;
use signaling_sdp::Capabilities;
use sipx_sip::{Header, HeaderName, Method, Request, Response};

use super::FrontEnd;
use super::invite::new_call;
use super::media::{Duty, session_open};
use crate::call::{CallTimer, Caller, Refresh};
use crate::counters::Ending;
use crate::dialog::{Dialog, FIRST_SEQUENCE_MAX, answered_sequence, sequence};
use crate::endpoint::TransactionId;
use crate::outside::Outside;
use crate::refusal::Refusal;
use crate::reply::{ALLOW, push};
use crate::routing::Destination;
use crate::siprec::body::Bodies;
use crate::siprec::sending::{Calling, Line, Sending, bodies};
use crate::siprec::sent::Subject;
use crate::siprec::{RecorderAddress, Siprec, client_contact};
use crate::view::ParticipantId;

/// The user part of our addresses.
const USER: &str = "recording-client";

impl FrontEnd {
    /// Calls the recorder whose turn it is, if one is left.
    pub(super) fn try_recorder(&mut self, now: Instant, subject: &Subject, out: &mut dyn Outside) {
        let Some(sent) = self.sent.get(subject).filter(|_| !self.is_stopping) else { return };
        match self.config.siprec.send_to.get(sent.recorder).cloned() {
            Some(recorder) => self.call_recorder(now, subject, &recorder, out),
            None => self.endpoint.counters.recorders_gone += 1,
        }
    }

    fn call_recorder(
        &mut self,
        now: Instant,
        subject: &Subject,
        recorder: &RecorderAddress,
        out: &mut dyn Outside,
    ) {
        let peer = recorder.peer();
        let address = self.local_address(peer, out);
        let us = format!("sip:{USER}@{address}");
        let call_id = format!("{}@{}", self.random.token(), address.ip());
        let first = self.random.below(FIRST_SEQUENCE_MAX);
        let contact = client_contact(&us, peer);
        let tag = self.random.token();
        let target = recorder.uri();
        let dialog = Dialog::calling(&target, &us, call_id, tag, first, contact, peer);
        let caller = Caller {
            uri: us,
            user: USER.to_owned(),
            display_name: None,
            dialled: String::new(),
            since: now,
        };
        self.admitted += 1;
        let id = ParticipantId::new(self.admitted);
        let mut call = new_call(dialog, Destination::Record, caller, None, None, None);
        let sending = Sending::new(subject.clone(), self.random.u64() >> 2);
        call.siprec = Some(Siprec::Client(Box::new(sending)));
        self.insert(id, call);
        if let Some(sent) = self.sent.get_mut(subject) {
            sent.call = Some(id);
        }
        self.follow_parts(now, id, out);
        if self.sending(id).is_some_and(|sending| sending.lines.is_empty()) {
            // No media session is left: nothing could be sent.
            return self.forget(now, id, Ending::EngineFailed, out);
        }
        self.set_timer(id, CallTimer::Ring, now + self.config.siprec.answer_timeout);
        self.offer_to_recorder(now, id, out);
    }

    /// Gives every part of what is sent a line and a media session, and takes back those of parts
    /// that are gone. A part for which there is none is recorded here.
    fn follow_parts(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let Some(call) = self.calls.get(&id) else { return };
        let toward = call.dialog.flow().remote;
        let Some(sent) = self.sending(id).and_then(|sending| self.sent.get(&sending.subject))
        else {
            return;
        };
        let parts = sent.parts().to_vec();
        let Some(sending) = self.sending_mut(id) else { return };
        let gone = sending.remove(|line| parts.iter().any(|part| part.point == line.point));
        let new = sending.hold(parts);
        for line in gone {
            self.close_line(now, line, out);
        }
        for part in new {
            let of = part.point.session();
            let shard = of.map_or_else(|| part.point.shard(), |session| out.shard_of(session));
            let Ok((session, address)) = out.open_media(Some(shard), toward) else {
                continue;
            };
            if self.sending_mut(id).is_some_and(|sending| sending.add(&part, session, address)) {
                self.by_stream.insert(session, id);
            } else {
                out.abandon_media(session);
            }
        }
    }

    fn close_line(&mut self, now: Instant, line: Line, out: &mut dyn Outside) {
        self.by_stream.remove(&line.session);
        if line.is_open {
            self.oblige(now, Duty::CloseSession(line.session), out);
        } else {
            out.abandon_media(line.session);
        }
    }

    /// Sends an INVITE with our offer and all metadata: the first, or a later one.
    pub(super) fn offer_to_recorder(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        self.follow_parts(now, id, out);
        let Some(sending) = self.sending(id) else { return };
        let subject = sending.subject.clone();
        let Some(sent) = self.sent.get_mut(&subject) else { return };
        let metadata = sent.offered();
        let boundary = self.random.token();
        let capabilities = self.sending_capabilities();
        let policy = self.policy();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(Siprec::Client(sending)) = &mut call.siprec else { return };
        let (content_type, body) = bodies(&boundary, &sending.offer(&capabilities), &metadata);
        let (mut request, to) = call.dialog.request(&Method::Invite);
        let headers = &mut request.headers;
        push(headers, HeaderName::Contact, call.dialog.contact().to_owned());
        push(headers, HeaderName::Allow, ALLOW);
        push(headers, HeaderName::Require, "siprec");
        push(headers, HeaderName::Supported, "timer");
        if let Some(timer) = call.session_timer.or(policy.ours()) {
            push(headers, HeaderName::SessionExpires, timer.in_request());
            push(headers, HeaderName::MinSe, policy.shortest.as_secs().max(90).to_string());
        }
        push(headers, HeaderName::ContentType, content_type);
        request.set_body(body.into_bytes().into());
        let number = sequence(&request);
        self.complete(&mut request, to, out);
        let invite = request.clone();
        let Some(transaction) = self.endpoint.request(now, request, to, id, out) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.confirmed {
            call.refresh = Some(Refresh { transaction, invite: number });
        } else if let Some(Siprec::Client(sending)) = &mut call.siprec {
            sending.calling =
                Some(Calling { transaction, invite, is_provisional: false, is_given_up: false });
        }
    }

    /// What we offer: sound and nothing beside it.
    fn sending_capabilities(&self) -> Capabilities {
        Capabilities {
            telephone_event: false,
            audio_levels: false,
            mixer_levels: false,
            voip_metrics: false,
            ..self.config.capabilities.clone()
        }
    }

    /// Tells the recorder of what has changed, as soon as it may be told.
    pub(super) fn tell_recorder(&mut self, now: Instant, subject: &Subject, out: &mut dyn Outside) {
        let Some(sent) = self.sent.get(subject).filter(|sent| sent.is_stale) else { return };
        let Some(id) = sent.call else { return };
        let is_free = self.calls.get(&id).is_some_and(|call| {
            call.confirmed && call.refresh.is_none() && call.unacknowledged.is_none()
        });
        if is_free {
            self.offer_to_recorder(now, id, out);
        }
    }

    /// Whether this is the INVITE that is to make a dialog with a recorder.
    pub(super) fn is_call_to_recorder(
        &self,
        id: ParticipantId,
        transaction: TransactionId,
    ) -> bool {
        let calling = self.sending(id).and_then(|sending| sending.calling.as_ref());
        calling.is_some_and(|calling| calling.transaction == transaction)
    }

    /// Our side of a dialog with a recorder, where a call is one.
    pub(super) fn sending(&self, id: ParticipantId) -> Option<&Sending> {
        match self.calls.get(&id)?.siprec.as_ref()? {
            Siprec::Client(sending) => Some(sending),
            Siprec::Recorder(_) => None,
        }
    }

    fn sending_mut(&mut self, id: ParticipantId) -> Option<&mut Sending> {
        match self.calls.get_mut(&id)?.siprec.as_mut()? {
            Siprec::Client(sending) => Some(sending),
            Siprec::Recorder(_) => None,
        }
    }

    /// A recorder answers our first INVITE.
    pub(super) fn recorder_answered(
        &mut self,
        now: Instant,
        id: ParticipantId,
        response: &Response,
        out: &mut dyn Outside,
    ) {
        let Some(sending) = self.sending_mut(id) else { return };
        if response.status.is_provisional() {
            if let Some(calling) = &mut sending.calling
                && !std::mem::replace(&mut calling.is_provisional, true)
                && calling.is_given_up
            {
                self.cancel_invite(now, id, out);
            }
            return;
        }
        let Some(calling) = sending.calling.take() else { return };
        self.clear_timer(id, CallTimer::Ring);
        if !(200..300).contains(&response.status.code()) {
            return self.forget(now, id, Ending::Refused, out);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        let is_dialog = call.dialog.answered(response);
        call.confirmed = true;
        let number = answered_sequence(response).unwrap_or_default();
        self.acknowledge(id, number, out);
        if calling.is_given_up || !is_dialog {
            return self.end(now, id, Ending::Refused, out);
        }
        self.adopt_timer(now, id, response);
        self.check_later(now, id);
        self.take_recorder_answer(now, id, response, out);
        self.offer_is_over(now, id, out);
    }

    /// Whether a call is our side of a dialog with a recorder.
    pub(super) fn is_sending(&self, id: ParticipantId) -> bool {
        self.sending(id).is_some()
    }

    /// An offer to a recorder is over, whatever came of it: what has changed meanwhile is told, and
    /// what is not taken is recorded here.
    pub(super) fn offer_is_over(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        if let Some(subject) = self.sending(id).map(|sending| sending.subject.clone()) {
            self.tell_recorder(now, &subject, out);
            self.cover(&subject, out);
        }
    }

    fn check_later(&mut self, now: Instant, id: ParticipantId) {
        self.set_timer(id, CallTimer::Check, now + self.config.siprec.answer_timeout);
    }

    /// Asks the recorder by OPTIONS whether it is still there. One that has not answered since the
    /// last time is gone: the next one gets what it got.
    pub(super) fn check_recorder(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        if self.sending(id).is_none_or(|sending| sending.check.is_some()) {
            return self.hang_up(now, id, Ending::SessionExpired, out);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (request, to) = call.dialog.request(&Method::Options);
        let check = self.send(now, id, request, to, out);
        if let Some(sending) = self.sending_mut(id) {
            sending.check = check;
        }
        self.check_later(now, id);
    }

    /// Whether this is the question whether a recorder is there.
    pub(super) fn is_check(&self, id: ParticipantId, transaction: TransactionId) -> bool {
        self.sending(id).is_some_and(|sending| sending.check == Some(transaction))
    }

    /// A recorder answers that question: whatever it says, it is there, unless it says that it no
    /// longer knows the dialog (RFC 5057 section 5.1).
    pub(super) fn recorder_is_there(
        &mut self,
        now: Instant,
        id: ParticipantId,
        response: &Response,
        out: &mut dyn Outside,
    ) {
        if response.status.is_provisional() {
            return;
        }
        if let Some(sending) = self.sending_mut(id) {
            sending.check = None;
        }
        if matches!(response.status.code(), 408 | 481) {
            self.hang_up(now, id, Ending::SessionExpired, out);
        }
    }

    fn adopt_timer(&mut self, now: Instant, id: ParticipantId, response: &Response) {
        let ours = self.policy().ours();
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.session_timer = ours.map(|ours| ours.adopted(&response.headers));
        self.session_refreshed(now, id);
    }

    /// What a recorder answers to an offer: each part goes where it says. One that takes nothing is
    /// none.
    pub(super) fn take_recorder_answer(
        &mut self,
        now: Instant,
        id: ParticipantId,
        response: &Response,
        out: &mut dyn Outside,
    ) {
        let capabilities = self.sending_capabilities();
        let bodies = Bodies::read(&response.headers, response.body());
        let answer = bodies.ok().and_then(|bodies| bodies.description);
        let Some(sending) = self.sending_mut(id) else { return };
        let subject = sending.subject.clone();
        let agreed = answer.and_then(|sdp| sending.streams.accept_answer(&sdp, &capabilities).ok());
        let Some(agreed) = agreed else { return self.end(now, id, Ending::BadAnswer, out) };
        if let Some(sent) = self.sent.get_mut(&subject) {
            sent.confirmed();
        }
        if !self.follow_agreement(now, id, &agreed, out) {
            self.end(now, id, Ending::BadAnswer, out);
        }
    }

    /// Sends each part where the recorder wants it. Whether there is one that it takes.
    fn follow_agreement(
        &mut self,
        now: Instant,
        id: ParticipantId,
        agreed: &[Option<RemoteMedia>],
        out: &mut dyn Outside,
    ) -> bool {
        let Some(sending) = self.sending_mut(id) else { return false };
        let subject = sending.subject.clone();
        let is_taken = |line: &Line| agreed.get(line.place).is_some_and(Option::is_some);
        let refused = sending.remove(is_taken);
        let lines = sending.lines.clone();
        for line in refused {
            self.close_line(now, line, out);
        }
        let parts = self.sent.get(&subject).map(|sent| sent.parts().to_vec()).unwrap_or_default();
        for line in &lines {
            let media = agreed.get(line.place).copied().flatten();
            // What is gone by now is no longer offered next time.
            let is_there = parts.iter().any(|part| part.point == line.point);
            if let Some(media) = media.filter(|_| is_there) {
                self.open_line(id, *line, media, out);
            }
        }
        !lines.is_empty()
    }

    /// A recorder asks for something inside of its dialog: for all metadata, which it is then told,
    /// or for a pause of some streams, and their going on. The answer, where there was an offer.
    pub(super) fn recorder_asks(
        &mut self,
        now: Instant,
        id: ParticipantId,
        request: &Request,
        out: &mut dyn Outside,
    ) -> Result<Option<String>, Refusal> {
        let bodies = Bodies::read(&request.headers, request.body())?;
        let capabilities = self.sending_capabilities();
        let sending = self.sending_mut(id).ok_or(Refusal::NoDialog)?;
        let subject = sending.subject.clone();
        if let Some(sent) = self.sent.get_mut(&subject) {
            sent.is_stale |= bodies.wants_metadata;
        }
        let Some(offer) = bodies.description else { return Ok(None) };
        let sending = self.sending_mut(id).ok_or(Refusal::NoDialog)?;
        let agreed =
            sending.streams.take_offer(&offer, &capabilities).map_err(Refusal::Description)?;
        self.follow_agreement(now, id, &agreed, out);
        Ok(self.sending_mut(id).map(Sending::answer))
    }

    /// Opens the session of a line, or tells the engine of what has changed about it. Where its ring is
    /// full, the line is as it was: what was to be opened is recorded here until the next offer.
    fn open_line(
        &mut self,
        id: ParticipantId,
        line: Line,
        media: RemoteMedia,
        out: &mut dyn Outside,
    ) {
        let (session, is_wanted) = (line.session, media.direction.sends());
        let command = if line.is_open {
            Command::UpdateSession { session, media: Box::new(media) }
        } else {
            let open = session_open(&mut self.random, media, Route::Monitor(line.point));
            Command::OpenSession { session, open }
        };
        let is_done = out.command(command).is_ok();
        let lines = self.sending_mut(id).map(|sending| &mut sending.lines);
        if let Some(line) = lines.into_iter().flatten().find(|line| line.session == session) {
            line.is_open |= is_done;
            line.was_wanted |= is_done && is_wanted;
        }
    }

    /// The engine could not open a line's session after all, whose slot is given back already:
    /// what it was to carry is recorded here, until the next offer.
    pub(super) fn line_failed(
        &mut self,
        now: Instant,
        id: ParticipantId,
        session: SessionKey,
        out: &mut dyn Outside,
    ) {
        let Some(sending) = self.sending_mut(id) else { return };
        sending.remove(|line| line.session != session);
        if sending.lines.is_empty() {
            return self.hang_up(now, id, Ending::EngineFailed, out);
        }
        let subject = sending.subject.clone();
        self.cover(&subject, out);
    }

    /// Nobody answered our first INVITE.
    pub(super) fn recorder_unanswered(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        if let Some(sending) = self.sending_mut(id) {
            sending.calling = None;
        }
        self.forget(now, id, Ending::Refused, out);
    }

    /// The answer of a recorder is no longer waited for: the next one is called, and this one is
    /// told as soon as it may be (RFC 3261 section 9.1).
    pub(super) fn give_up_recorder(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let Some(calling) = self.sending_mut(id).and_then(|sending| sending.calling.as_mut())
        else {
            return;
        };
        let (transaction, is_provisional) = (calling.transaction, calling.is_provisional);
        if self.is_stopping && !is_provisional {
            // Nothing was heard of it: it is not waited for.
            self.endpoint.abandon(now, transaction, out);
            return self.recorder_unanswered(now, id, out);
        }
        let Some(calling) = self.sending_mut(id).and_then(|sending| sending.calling.as_mut())
        else {
            return;
        };
        if std::mem::replace(&mut calling.is_given_up, true) {
            return;
        }
        if is_provisional {
            self.cancel_invite(now, id, out);
        }
        self.clear_timer(id, CallTimer::Ring);
        self.release_sending(now, id, out);
    }

    fn cancel_invite(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(Siprec::Client(sending)) = &call.siprec else { return };
        let Some(calling) = &sending.calling else { return };
        let (cancel, transaction) = (cancel(&calling.invite), calling.transaction);
        let to = call.dialog.flow();
        self.endpoint.give_up(transaction, now + self.config.timing.patience());
        self.endpoint.request(now, cancel, to, id, out);
    }

    /// Gives back the sessions of a dialog with a recorder, and calls the next recorder if what it
    /// got is to be sent on.
    pub(super) fn release_sending(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let Some(sending) = self.sending_mut(id) else { return };
        let subject = sending.subject.clone();
        for line in sending.remove(|_| false) {
            self.close_line(now, line, out);
        }
        let sent = self.sent.get_mut(&subject).filter(|sent| sent.call == Some(id));
        if let Some(sent) = sent {
            sent.recorder += 1;
            sent.call = None;
            self.try_recorder(now, &subject, out);
            self.cover(&subject, out);
        }
    }
}

/// The CANCEL of an INVITE: its Via, its number, its way (RFC 3261 section 9.1).
fn cancel(invite: &Request) -> Request {
    let mut cancel = Request::new(Method::Cancel, invite.uri.clone());
    let headers = &mut cancel.headers;
    if let Some(via) = invite.headers.get(&HeaderName::Via) {
        headers.push(via.clone());
    }
    for name in [HeaderName::Route, HeaderName::MaxForwards, HeaderName::From, HeaderName::To] {
        invite.headers.get_all(&name).for_each(|header: &Header| headers.push(header.clone()));
    }
    if let Some(call_id) = invite.headers.get(&HeaderName::CallId) {
        headers.push(call_id.clone());
    }
    push(headers, HeaderName::CSeq, format!("{} CANCEL", sequence(invite).unwrap_or_default()));
    push(headers, HeaderName::ContentLength, "0");
    cancel
}
