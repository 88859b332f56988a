//! Rooms that are sent to a recorder of others (RFC 7866 sections 6.1, 7.1 and 8.1): one INVITE with
//! an offer and metadata for each room, a new one whenever somebody comes or goes, BYE at its end.
//! A recorder that fails is followed by the next of the list, and the last by our own recording.

use engine_control::{Command, Route, TapPoint};
use media_units::Instant;
use signaling_sdp::Capabilities;
use signaling_siprec::{Presence, Session, identifier, timestamp};
use sipx_sip::{Header, HeaderName, Method, Request, Response};

use super::FrontEnd;
use super::invite::new_call;
use super::media::{Duty, session_open};
use crate::call::{CallTimer, Caller, Refresh};
use crate::counters::Ending;
use crate::dialog::{Dialog, answered_sequence, sequence};
use crate::endpoint::TransactionId;
use crate::outside::{Outside, Peer};
use crate::recording::{RecordedTrack, RecordingStart};
use crate::reply::{ALLOW, push};
use crate::routing::Destination;
use crate::session_timer::SessionTimer;
use crate::siprec::body::Bodies;
use crate::siprec::sent::{Calling, Sending, SentRoom, bodies};
use crate::siprec::{RecorderAddress, Siprec, client_contact};
use crate::view::{NotFound, ParticipantId};

/// The user part of our addresses.
const USER: &str = "recording-client";

/// First `CSeq` of ours in a dialog is below this, so that it never wraps.
const FIRST_SEQUENCE_MAX: u32 = 1 << 16;

impl FrontEnd {
    /// Begins to send a room to the configured recorders. Nothing happens where it is sent
    /// already. Not found: no such room, or no recorder.
    pub fn send_room(
        &mut self,
        now: Instant,
        name: &str,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        let room = self.focus.get(name).ok_or(NotFound)?;
        if self.config.siprec.send_to.is_empty() {
            return Err(NotFound);
        }
        if self.sent_rooms.contains_key(name) {
            return Ok(());
        }
        let (key, members) = (room.key, room.members.clone());
        let session = Session {
            id: identifier(self.random.u128()),
            start_time: Some(timestamp(out.since_1970(now))),
            ..Session::default()
        };
        let stream = identifier(self.random.u128());
        let sent = SentRoom {
            key,
            recorder: 0,
            call: None,
            is_stale: false,
            session,
            stream,
            people: std::collections::BTreeMap::new(),
            identifiers: std::collections::BTreeMap::new(),
            own_recording: None,
        };
        self.sent_rooms.insert(name.to_owned(), sent);
        let joined = |id: &ParticipantId| {
            let media = self.calls.get(id).and_then(|call| call.media.as_ref());
            media.is_some_and(|media| media.is_open)
        };
        let joined: Vec<ParticipantId> = members.into_iter().filter(joined).collect();
        for id in joined {
            self.note_arrival(now, name, id, out);
        }
        self.try_recorder(now, name, out);
        Ok(())
    }

    /// Ends the sending of a room.
    pub fn end_sending(
        &mut self,
        now: Instant,
        name: &str,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        let sent = self.sent_rooms.remove(name).ok_or(NotFound)?;
        if let Some(recording) = sent.own_recording {
            out.end_recording(recording);
        }
        if let Some(id) = sent.call {
            self.hang_up(now, id, Ending::Removed, out);
        }
        Ok(())
    }

    /// Rooms that are sent: name, and the address of the recorder; none where the room is
    /// recorded here for want of one.
    pub fn sent_rooms(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.sent_rooms.iter().map(|(name, sent)| {
            let recorder = self.config.siprec.send_to.get(sent.recorder);
            (name.as_str(), recorder.filter(|_| sent.call.is_some()).map(RecorderAddress::text))
        })
    }

    /// Somebody joined a room.
    pub(super) fn joined_room(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: &str,
        out: &mut dyn Outside,
    ) {
        if self.sent_rooms.contains_key(name) {
            self.note_arrival(now, name, id, out);
            return self.tell_recorder(now, name, out);
        }
        let is_wanted = self.config.siprec.rooms.iter().any(|pattern| pattern.matches(name));
        if is_wanted && !self.config.siprec.send_to.is_empty() {
            // It is there: somebody has just joined it.
            let _ = self.send_room(now, name, out);
        }
    }

    /// Somebody left a room, which may be the end of it.
    pub(super) fn left_room(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: &str,
        out: &mut dyn Outside,
    ) {
        let Some(sent) = self.sent_rooms.get_mut(name) else { return };
        sent.identifiers.remove(&id);
        if sent.people.remove(&id).is_none() {
            return;
        }
        if sent.people.is_empty() {
            let _ = self.end_sending(now, name, out);
        } else {
            sent.is_stale = true;
            self.tell_recorder(now, name, out);
        }
    }

    fn note_arrival(&mut self, now: Instant, name: &str, id: ParticipantId, out: &dyn Outside) {
        let identifier = identifier(self.random.u128());
        let Some(sent) = self.sent_rooms.get_mut(name) else { return };
        let presence = Presence {
            session: sent.session.id.clone(),
            associate_time: Some(timestamp(out.since_1970(now))),
            disassociate_time: None,
        };
        sent.people.insert(id, presence);
        sent.identifiers.insert(id, identifier);
        sent.is_stale = true;
    }

    /// Calls the recorder whose turn it is, or records here where none is left.
    fn try_recorder(&mut self, now: Instant, name: &str, out: &mut dyn Outside) {
        loop {
            let Some(sent) = self.sent_rooms.get(name).filter(|_| !self.is_stopping) else {
                return;
            };
            let Some(recorder) = self.config.siprec.send_to.get(sent.recorder).cloned() else {
                return self.record_here(name, out);
            };
            let (shard, peer) = (sent.key.shard(), recorder.peer());
            if let Ok((session, address)) = out.open_media(Some(shard), peer.remote) {
                let session_id = self.random.u64() >> 2;
                let sending = Sending::new(name.to_owned(), session, address, session_id);
                return self.call_recorder(now, sending, &recorder.uri(), peer, out);
            }
            self.next_recorder(name);
        }
    }

    fn next_recorder(&mut self, name: &str) {
        if let Some(sent) = self.sent_rooms.get_mut(name) {
            sent.recorder += 1;
            sent.call = None;
        }
    }

    fn record_here(&mut self, name: &str, out: &mut dyn Outside) {
        let Some(sent) = self.sent_rooms.get_mut(name) else { return };
        let track = RecordedTrack {
            point: TapPoint::Room(sent.key),
            label: "mix".to_owned(),
            participant: None,
        };
        let start = RecordingStart {
            subject: name.to_owned(),
            room: Some(name.to_owned()),
            call_id: None,
            tracks: vec![track],
        };
        self.endpoint.counters.recorders_gone += 1;
        sent.own_recording = out.begin_recording(start).ok();
    }

    fn call_recorder(
        &mut self,
        now: Instant,
        sending: Sending,
        target: &sipx_sip::Uri,
        peer: Peer,
        out: &mut dyn Outside,
    ) {
        let address = self.local_address(peer, out);
        let us = format!("sip:{USER}@{address}");
        let call_id = format!("{}@{}", self.random.token(), address.ip());
        let first = self.random.below(FIRST_SEQUENCE_MAX);
        let contact = client_contact(&us, peer);
        let tag = self.random.token();
        let dialog = Dialog::calling(target, &us, call_id, tag, first, contact, peer);
        let caller = Caller {
            uri: us,
            user: USER.to_owned(),
            display_name: None,
            dialled: String::new(),
            since: now,
        };
        self.admitted += 1;
        let id = ParticipantId::new(self.admitted);
        let room = sending.room.clone();
        if let Some(session) = sending.session {
            self.by_stream.insert(session, id);
        }
        let mut call = new_call(dialog, Destination::Record, caller, None, None, None);
        call.siprec = Some(Siprec::Client(Box::new(sending)));
        self.insert(id, call);
        if let Some(sent) = self.sent_rooms.get_mut(&room) {
            sent.call = Some(id);
        }
        self.set_timer(id, CallTimer::Ring, now + self.config.siprec.answer_timeout);
        self.offer_to_recorder(now, id, out);
    }

    /// Sends an INVITE with our offer and all metadata: the first, or a later one.
    pub(super) fn offer_to_recorder(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(Siprec::Client(sending)) = &call.siprec else { return };
        let Some(sent) = self.sent_rooms.get_mut(&sending.room) else { return };
        sent.is_stale = false;
        let who = |id| {
            let caller = &self.calls.get(&id)?.caller;
            Some((caller.uri.clone(), caller.display_name.clone()))
        };
        let metadata = sent.metadata(who);
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
        let fresh =
            SessionTimer { interval: policy.wanted, we_refresh: true, known_to_peer: false };
        let timer = call.session_timer.unwrap_or(fresh);
        if !timer.interval.is_zero() {
            push(headers, HeaderName::SessionExpires, timer.in_refresh());
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

    /// Tells the recorder of who is in the room now, as soon as it may be told.
    fn tell_recorder(&mut self, now: Instant, name: &str, out: &mut dyn Outside) {
        let Some(sent) = self.sent_rooms.get(name).filter(|sent| sent.is_stale) else { return };
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
        let call = self.calls.get(&id);
        call.and_then(|call| call.siprec.as_ref()).is_some_and(|siprec| match siprec {
            Siprec::Client(sending) => {
                sending.calling.as_ref().is_some_and(|it| it.transaction == transaction)
            }
            Siprec::Recorder(_) => false,
        })
    }

    fn sending(&mut self, id: ParticipantId) -> Option<&mut Sending> {
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
        let Some(sending) = self.sending(id) else { return };
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
        call.accepted_refresh = Some((calling.transaction, number));
        self.acknowledge(id, number, out);
        if calling.is_given_up || !is_dialog {
            return self.end(now, id, Ending::Refused, out);
        }
        self.adopt_timer(now, id, response);
        self.take_recorder_answer(now, id, response, out);
        self.tell_recorder_again(now, id, out);
    }

    /// Whether a call is our side of a dialog with a recorder.
    pub(super) fn is_sending(&self, id: ParticipantId) -> bool {
        let call = self.calls.get(&id);
        call.is_some_and(|call| matches!(call.siprec, Some(Siprec::Client(_))))
    }

    /// Tells a recorder what has changed while it was being told.
    pub(super) fn tell_recorder_again(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        if let Some(name) = self.sending(id).map(|sending| sending.room.clone()) {
            self.tell_recorder(now, &name, out);
        }
    }

    fn adopt_timer(&mut self, now: Instant, id: ParticipantId, response: &Response) {
        let interval = self.policy().wanted;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ours = SessionTimer { interval, we_refresh: true, known_to_peer: false };
        call.session_timer = (!interval.is_zero()).then(|| ours.adopted(&response.headers));
        self.session_refreshed(now, id);
    }

    /// What a recorder answers to an offer: the room's mix goes where it says. One that takes
    /// nothing is none.
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
        let Some(sending) = self.sending(id) else { return };
        let agreed = answer.and_then(|sdp| sending.streams.accept_answer(&sdp, &capabilities).ok());
        let agreed = agreed.and_then(|streams| streams.into_iter().next().flatten());
        let (session, is_open, room) = (sending.session, sending.is_open, sending.room.clone());
        let key = self.sent_rooms.get(&room).map(|sent| sent.key);
        let (Some(media), Some(session), Some(key)) = (agreed, session, key) else {
            return self.end(now, id, Ending::BadAnswer, out);
        };
        let command = if is_open {
            Command::UpdateSession { session, media: Box::new(media) }
        } else {
            let open = session_open(&mut self.random, media, Route::Room(key));
            Command::OpenSession { session, open }
        };
        if out.command(command).is_err() {
            return self.end(now, id, Ending::EngineFailed, out);
        }
        if !is_open {
            // It hears everyone, and nobody hears it.
            self.oblige(now, Duty::MuteSession(session, true), out);
        }
        if let Some(sending) = self.sending(id) {
            sending.is_open = true;
        }
    }

    /// The session of a dialog with a recorder is given back already.
    pub(super) fn forget_session_sent(&mut self, id: ParticipantId) {
        if let Some(sending) = self.sending(id) {
            sending.session = None;
        }
    }

    /// Nobody answered our first INVITE.
    pub(super) fn recorder_unanswered(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        if let Some(sending) = self.sending(id) {
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
        let Some(calling) = self.sending(id).and_then(|sending| sending.calling.as_mut()) else {
            return;
        };
        let (transaction, is_provisional) = (calling.transaction, calling.is_provisional);
        if self.is_stopping && !is_provisional {
            // Nothing was heard of it: it is not waited for.
            self.endpoint.abandon(now, transaction, out);
            return self.recorder_unanswered(now, id, out);
        }
        let Some(calling) = self.sending(id).and_then(|sending| sending.calling.as_mut()) else {
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
        let cancel = cancel(&calling.invite);
        let to = call.dialog.flow();
        self.endpoint.request(now, cancel, to, id, out);
    }

    /// Gives back the session of a dialog with a recorder, and calls the next recorder if the
    /// room is to be sent on.
    pub(super) fn release_sending(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let Some(sending) = self.sending(id) else { return };
        let (session, is_open) = (sending.session.take(), std::mem::take(&mut sending.is_open));
        let room = sending.room.clone();
        if let Some(session) = session {
            self.by_stream.remove(&session);
            if is_open {
                self.oblige(now, Duty::CloseSession(session), out);
            } else {
                out.abandon_media(session);
            }
        }
        let is_current = self.sent_rooms.get(&room).is_some_and(|sent| sent.call == Some(id));
        if is_current {
            self.next_recorder(&room);
            self.try_recorder(now, &room, out);
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
