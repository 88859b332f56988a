//! Recording sessions that others make with us (RFC 7866 sections 6.2, 7.2 and 8.2): INVITE with
//! several streams and metadata, answered by receiving all that can be received; each stream is a
//! track under the participant that the metadata names.

use std::net::IpAddr;

use engine_control::{Command, RemoteMedia, Route, SessionKey};
use media_units::Instant;
use signaling_sdp::{OfferedStreams, SdpRefusal};
use signaling_siprec::Refusal as BodyRefusal;
use sipx_sip::Request;

use super::invite::{caller, is_reachable, new_call, with_session_timer};
use super::media::{Duty, NOT_RECORDED, no_session, session_open};
use super::{Asked, FrontEnd};
use crate::counters::Ending;
use crate::outside::{Outside, Peer};
use crate::recording::RecordingStart;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::routing::Destination;
use crate::siprec::body::Bodies;
use crate::siprec::recorded::{Received, RecordedSession};
use crate::siprec::{Siprec, is_recording_session, recorder_contact};
use crate::view::ParticipantId;

/// The user part of our Contact.
const USER: &str = "recorder";

/// An engine whose ring was full may be asked again after so many seconds.
const BUSY_SECONDS: u32 = 1;

impl FrontEnd {
    /// Admits a recording session, opens a media session for each of its streams, begins the
    /// recording and answers.
    pub(super) fn invite_to_record(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let request = &asked.request;
        let transaction = asked.transaction.ok_or(Refusal::NoDialog)?;
        let source = asked.from.remote.ip();
        self.admit_recording(source)?;
        let bodies = Bodies::read(&request.headers, request.body())?;
        let session_timer = self.policy().negotiate(request)?;
        let caller = caller(request, USER.to_owned(), now);
        let capabilities = self.policies.rights(source, &caller.user).capabilities;
        let offer = bodies.description.ok_or(Refusal::Description(SdpRefusal::NoAudio))?;
        let streams =
            OfferedStreams::read(&offer, &capabilities, None).map_err(Refusal::Description)?;
        let mut dialog = self.dialog(request, USER, asked.from, out)?;
        dialog.set_contact(recorder_contact(dialog.contact()));
        let mut recorded = RecordedSession::new(capabilities, self.random.u64() >> 2);
        self.admitted += 1;
        let id = ParticipantId::new(self.admitted);
        self.receive_streams(now, id, &mut recorded, streams, asked.from, out)?;
        recorded.set_metadata(bodies.metadata.unwrap_or_default());
        let start = RecordingStart {
            subject: if caller.user.is_empty() { USER.to_owned() } else { caller.user.clone() },
            room: None,
            call_id: Some(dialog.call_id()),
            tracks: recorded.tracks_begun(),
        };
        let Ok(recording) = out.begin_recording(start) else {
            self.release_streams(now, &mut recorded, out);
            return Err(NOT_RECORDED);
        };
        recorded.recording = Some(recording);
        tell_recording(&mut recorded, out);
        let sdp = recorded.answer();
        let reply = Reply::new(200).in_dialog(dialog.contact()).describing(sdp);
        let reply = with_session_timer(reply, session_timer);
        let mut call = new_call(dialog, Destination::Record, caller, None, None, session_timer);
        call.siprec = Some(Siprec::Recorder(Box::new(recorded)));
        self.recording_sessions += 1;
        self.insert(id, call);
        self.endpoint.counters.calls_answered += 1;
        self.accept_invite(now, id, transaction, request, &reply, out);
        Ok(())
    }

    /// Whether a request outside of a dialog is about a recording session.
    pub(super) fn is_to_record(&self, request: &Request) -> bool {
        self.config.siprec.accepts() && is_recording_session(request)
    }

    /// Whether one more recording session is taken from there.
    pub(super) fn admit_recording(&self, source: IpAddr) -> Result<(), Refusal> {
        if !self.config.siprec.accept_from.iter().any(|network| network.contains(source)) {
            return Err(Refusal::MayNotRecord);
        }
        if self.recording_sessions >= self.config.siprec.sessions_max {
            return Err(Refusal::Full("Every recording session is in use"));
        }
        self.admit()
    }

    /// How many recording sessions others make with us now.
    pub fn recording_sessions(&self) -> usize {
        self.recording_sessions
    }

    /// Whether a call is a recording session that somebody makes with us.
    pub(super) fn is_recorded(&self, id: ParticipantId) -> bool {
        let call = self.calls.get(&id);
        call.is_some_and(|call| matches!(call.siprec, Some(Siprec::Recorder(_))))
    }

    /// Takes the bodies of a request inside a recording session: other streams, other metadata.
    /// The answer, where there was an offer. Where anything is refused all stays as it was, but
    /// where the engine takes no more orders: the same again does the rest.
    pub(super) fn take_bodies(
        &mut self,
        now: Instant,
        id: ParticipantId,
        request: &Request,
        out: &mut dyn Outside,
    ) -> Result<Option<String>, Refusal> {
        let bodies = Bodies::read(&request.headers, request.body())?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        let flow = call.dialog.flow();
        // Taken out while it changes, and put back whatever came of it.
        let mut recorded = match call.siprec.take() {
            Some(Siprec::Recorder(recorded)) => recorded,
            other => {
                call.siprec = other;
                return Err(Refusal::NoDialog);
            }
        };
        let taken = self.change(now, id, &mut recorded, bodies, flow, out);
        if let Some(call) = self.calls.get_mut(&id) {
            call.siprec = Some(Siprec::Recorder(recorded));
        }
        taken
    }

    fn change(
        &mut self,
        now: Instant,
        id: ParticipantId,
        recorded: &mut RecordedSession,
        bodies: Bodies,
        flow: Peer,
        out: &mut dyn Outside,
    ) -> Result<Option<String>, Refusal> {
        let Bodies { description, metadata, wants_metadata } = bodies;
        if wants_metadata {
            // It is not ours to give.
            return Err(Refusal::Body(BodyRefusal::PartType));
        }
        let mut known = recorded.metadata.clone();
        if let Some(metadata) = metadata {
            known.update(metadata).map_err(Refusal::Body)?;
        }
        let is_offer = description.is_some();
        if let Some(offer) = description {
            let earlier = recorded.streams.as_ref();
            let streams = OfferedStreams::read(&offer, &recorded.capabilities, earlier)
                .map_err(Refusal::Description)?;
            self.receive_streams(now, id, recorded, streams, flow, out)?;
        }
        recorded.set_metadata(known);
        follow_tracks(recorded, out);
        tell_recording(recorded, out);
        Ok(is_offer.then(|| recorded.answer()))
    }

    /// Follows an offer: opens sessions for streams that are new, all on one shard, tells the
    /// engine what has changed about others, and closes those that are gone. A stream under
    /// another label is another stream.
    fn receive_streams(
        &mut self,
        now: Instant,
        id: ParticipantId,
        recorded: &mut RecordedSession,
        mut streams: OfferedStreams,
        from: Peer,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let beyond: Vec<usize> =
            streams.audio().skip(self.config.siprec.streams_max).map(|(place, ..)| place).collect();
        for place in beyond {
            streams.refuse(place);
        }
        let wanted: Vec<(usize, String, RemoteMedia)> =
            streams.audio().map(|(place, label, media)| (place, label.to_owned(), media)).collect();
        let mut opened: Vec<(usize, Received)> = Vec::new();
        for (place, label, media) in &wanted {
            if recorded.received.get(place).is_some_and(|known| known.label == *label) {
                continue;
            }
            let shard = recorded.shard();
            let shard = shard.or(opened.first().map(|(_, first)| first.session.shard()));
            match self.open_stream(shard, label, *media, from, out) {
                Ok(stream) => opened.push((*place, stream)),
                Err(refusal) => {
                    for (_, stream) in opened {
                        self.close_stream(now, &stream, out);
                    }
                    return Err(refusal);
                }
            }
        }
        let is_gone = |place: &usize| !wanted.iter().any(|(wanted, ..)| wanted == place);
        let replaced = |place: &usize| opened.iter().any(|(new, _)| new == place);
        let gone: Vec<usize> = recorded
            .received
            .keys()
            .filter(|place| is_gone(place) || replaced(place))
            .copied()
            .collect();
        for place in gone {
            if let Some(stream) = recorded.received.remove(&place) {
                self.close_stream(now, &stream, out);
            }
        }
        for (place, stream) in opened {
            self.by_stream.insert(stream.session, id);
            recorded.received.insert(place, stream);
        }
        for (place, _, media) in wanted {
            let Some(stream) = recorded.received.get_mut(&place) else { continue };
            if stream.agreed != media {
                let update =
                    Command::UpdateSession { session: stream.session, media: Box::new(media) };
                out.command(update).map_err(|_| Refusal::Unfinished(BUSY_SECONDS))?;
                stream.agreed = media;
            }
        }
        recorded.set_streams(streams);
        Ok(())
    }

    fn open_stream(
        &mut self,
        shard: Option<u8>,
        label: &str,
        media: RemoteMedia,
        from: Peer,
        out: &mut dyn Outside,
    ) -> Result<Received, Refusal> {
        let toward = if is_reachable(media.rtp, from) { media.rtp } else { from.remote };
        let (session, address) = out.open_media(shard, toward).map_err(no_session)?;
        let open = session_open(&mut self.random, media, Route::Idle);
        if let Err(refusal) = out.command(Command::OpenSession { session, open }) {
            out.abandon_media(session);
            return Err(no_session(refusal));
        }
        Ok(Received {
            session,
            address,
            label: label.to_owned(),
            agreed: media,
            is_mix: false,
            track: None,
        })
    }

    /// The engine could not open a stream after all, whose slot is given back: the whole recording
    /// session goes, so that the client looks for another recorder.
    pub(super) fn stream_failed(
        &mut self,
        now: Instant,
        session: SessionKey,
        out: &mut dyn Outside,
    ) {
        let Some(id) = self.by_stream.remove(&session) else { return };
        if let Some(Siprec::Recorder(recorded)) =
            self.calls.get_mut(&id).and_then(|call| call.siprec.as_mut())
        {
            recorded.received.retain(|_, stream| stream.session != session);
        } else {
            return self.line_failed(now, id, session, out);
        }
        self.hang_up(now, id, Ending::EngineFailed, out);
    }

    /// Ends the recording session that a stream is of.
    pub(super) fn end_recorded(
        &mut self,
        now: Instant,
        session: SessionKey,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        if let Some(id) = self.by_stream.get(&session).copied() {
            self.hang_up(now, id, ending, out);
        }
    }

    fn close_stream(&mut self, now: Instant, stream: &Received, out: &mut dyn Outside) {
        self.by_stream.remove(&stream.session);
        self.oblige(now, Duty::CloseSession(stream.session), out);
    }

    /// The end of a recording session.
    pub(super) fn release_recording(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let siprec = self.calls.get_mut(&id).and_then(|call| call.siprec.take());
        if let Some(Siprec::Recorder(mut recorded)) = siprec {
            self.recording_sessions -= 1;
            self.release_streams(now, &mut recorded, out);
        }
    }

    /// Gives back everything that a recording session holds.
    fn release_streams(
        &mut self,
        now: Instant,
        recorded: &mut RecordedSession,
        out: &mut dyn Outside,
    ) {
        if let Some(recording) = recorded.recording.take() {
            out.end_recording(recording);
        }
        for (_, stream) in std::mem::take(&mut recorded.received) {
            self.close_stream(now, &stream, out);
        }
    }
}

/// Lets a recording know what is said about the communication sessions.
fn tell_recording(recorded: &mut RecordedSession, out: &mut dyn Outside) {
    let Some(recording) = recorded.recording else { return };
    for (name, value) in recorded.new_tags() {
        out.tag_recording(recording, name, value);
    }
}

/// Lets the tracks of a recording follow its streams and who speaks on them: whoever speaks on a
/// stream that was another's has a track of its own. The track of a stream that is gone ends with
/// its session.
fn follow_tracks(recorded: &mut RecordedSession, out: &mut dyn Outside) {
    let Some(recording) = recorded.recording else { return };
    let changes = recorded.track_changes();
    for (ended, _) in &changes {
        if let Some(point) = ended {
            out.end_track(recording, *point);
        }
    }
    for (_, (place, track)) in changes {
        let is_begun = out.add_track(recording, track.clone()).is_ok();
        if let Some(stream) = recorded.received.get_mut(&place) {
            stream.track = is_begun.then_some(track);
        }
    }
}
