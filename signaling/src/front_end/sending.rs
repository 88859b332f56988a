//! What is sent to recorders of others (RFC 7866 sections 6.1, 7.1 and 8.1): rooms and calls, from
//! their beginning to their end, with everyone who comes and goes. What no recorder takes is
//! recorded here: until the first answers, while one is looked for, and where none is left.

use engine_control::TapPoint;
use media_units::Instant;
use signaling_siprec::{Session, identifier, timestamp};

use super::FrontEnd;
use crate::counters::Ending;
use crate::outside::Outside;
use crate::recording::{RecordedTrack, RecordingId, RecordingStart};
use crate::routing::Destination;
use crate::siprec::RecorderAddress;
use crate::siprec::sent::{OwnRecording, Part, Person, Sent, Subject};
use crate::view::{NotFound, ParticipantId};

impl FrontEnd {
    /// Begins to send a room or a call to the configured recorders. Nothing happens where it is
    /// sent already. Not found: no such room or call, or no recorder.
    pub fn begin_sending(
        &mut self,
        now: Instant,
        subject: &Subject,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        if self.config.siprec.send_to.is_empty() {
            return Err(NotFound);
        }
        let is_open = |id: &ParticipantId| {
            let media = self.calls.get(id).and_then(|call| call.media.as_ref());
            media.is_some_and(|media| media.is_open)
        };
        let mut members = self.members(subject);
        members.retain(is_open);
        if members.is_empty() {
            return Err(NotFound);
        }
        if self.sent.contains_key(subject) {
            return Ok(());
        }
        let session = Session {
            id: identifier(self.random.u128()),
            start_time: Some(timestamp(out.since_1970(now))),
            ..Session::default()
        };
        let room = match subject {
            Subject::Room(name) => self.focus.get(name).map(|room| room.key),
            Subject::Call(_) => None,
        };
        self.sent.insert(subject.clone(), Sent::new(session, room));
        for id in members {
            self.note_arrival(now, subject, id, out);
        }
        self.share_out(now, subject, out);
        self.try_recorder(now, subject, out);
        self.cover(subject, out);
        self.tell_members(now, subject, out);
        Ok(())
    }

    /// Ends the sending of a room or a call.
    pub fn end_sending(
        &mut self,
        now: Instant,
        subject: &Subject,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        let sent = self.sent.remove(subject).ok_or(NotFound)?;
        if let Some(own) = sent.own_recording {
            out.end_recording(own.id);
        }
        if let Some(id) = sent.call {
            self.hang_up(now, id, Ending::Removed, out);
        }
        self.tell_members(now, subject, out);
        Ok(())
    }

    /// What is sent, and the address of its recorder; none where no recorder has taken it.
    pub fn sent(&self) -> impl Iterator<Item = (&Subject, Option<&str>)> {
        self.sent.iter().map(|(subject, sent)| {
            let recorder = self.config.siprec.send_to.get(sent.recorder);
            (subject, recorder.filter(|_| sent.call.is_some()).map(RecorderAddress::text))
        })
    }

    /// Whether a call is sent by the configuration, whichever room it is in.
    pub fn is_sent_by_rule(&self, id: ParticipantId) -> bool {
        let patterns = &self.config.siprec.calls;
        let call = self.calls.get(&id);
        call.is_some_and(|call| patterns.iter().any(|it| it.matches(&call.caller.dialled)))
    }

    /// Whether a recording is of what no recorder takes.
    pub fn is_cover(&self, recording: RecordingId) -> bool {
        let own = self.sent.values().filter_map(|sent| sent.own_recording.as_ref());
        own.into_iter().any(|own| own.id == recording)
    }

    /// A call has its media: it may be one of those that are sent, or join a room that is.
    pub(super) fn joined(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        if self.config.siprec.send_to.is_empty() {
            return;
        }
        let Some(call) = self.calls.get(&id) else { return };
        if let Some(room) = Subject::room(&call.destination) {
            let rooms = &self.config.siprec.rooms;
            let is_room_sent = rooms.iter().any(|pattern| pattern.matches(&room.to_string()));
            if self.sent.contains_key(&room) {
                self.note_arrival(now, &room, id, out);
                self.has_changed(now, &room, out);
                self.tell_sent(now, id, out);
            } else if is_room_sent {
                // It is there: somebody has just joined it.
                let _ = self.begin_sending(now, &room, out);
            }
        }
        if self.is_sent_by_rule(id) {
            let _ = self.begin_sending(now, &Subject::Call(id), out);
        }
    }

    /// The media of a call is gone: so is what was sent of it, and perhaps its room.
    pub(super) fn left(
        &mut self,
        now: Instant,
        id: ParticipantId,
        destination: &Destination,
        out: &mut dyn Outside,
    ) {
        let _ = self.end_sending(now, &Subject::Call(id), out);
        self.left_room(now, id, destination, out);
    }

    /// A call is not in its room any more.
    pub(super) fn left_room(
        &mut self,
        now: Instant,
        id: ParticipantId,
        destination: &Destination,
        out: &mut dyn Outside,
    ) {
        let Some(room) = Subject::room(destination) else { return };
        let at = timestamp(out.since_1970(now));
        let Some(sent) = self.sent.get_mut(&room).filter(|sent| !sent.is_empty()) else { return };
        if !sent.leave(id, &at) {
            return;
        }
        if sent.is_empty() {
            let _ = self.end_sending(now, &room, out);
        } else {
            self.has_changed(now, &room, out);
        }
    }

    /// The direction of a call's media may have changed: hold and its end.
    pub(super) fn flow_changed(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let Some(call) = self.calls.get(&id).filter(|_| !self.sent.is_empty()) else { return };
        let Some(agreed) = call.media.as_ref().and_then(|media| media.agreed) else { return };
        let room = Subject::room(&call.destination);
        let (says, hears) = (agreed.direction.receives(), agreed.direction.sends());
        for subject in room.into_iter().chain([Subject::Call(id)]) {
            let Some(sent) = self.sent.get_mut(&subject) else { continue };
            sent.set_flow(id, says, hears);
            self.has_changed(now, &subject, out);
        }
    }

    /// Who is in what is sent is not as it was: shares the streams out anew, and tells the recorder.
    fn has_changed(&mut self, now: Instant, subject: &Subject, out: &mut dyn Outside) {
        if self.sent.get(subject).is_some_and(|sent| sent.is_stale) {
            self.share_out(now, subject, out);
            self.tell_recorder(now, subject, out);
            self.cover(subject, out);
        }
    }

    fn share_out(&mut self, now: Instant, subject: &Subject, out: &dyn Outside) {
        let at = timestamp(out.since_1970(now));
        let Some(sent) = self.sent.get_mut(subject) else { return };
        let random = &mut self.random;
        let mut identifiers = || identifier(random.u128());
        sent.share_out(self.config.siprec.send_streams_max, &at, &mut identifiers);
    }

    /// Adds a participant; of a call the other side as well: ours.
    fn note_arrival(
        &mut self,
        now: Instant,
        subject: &Subject,
        id: ParticipantId,
        out: &dyn Outside,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(media) = &call.media else { return };
        let (says, hears) = media
            .agreed
            .map_or((true, true), |agreed| (agreed.direction.receives(), agreed.direction.sends()));
        let since = timestamp(out.since_1970(now));
        let caller = Person {
            who: Some(id),
            id: identifier(self.random.u128()),
            aor: call.caller.uri.clone(),
            name: call.caller.display_name.clone(),
            since: since.clone(),
            point: TapPoint::Received(media.session),
            says,
            hears,
        };
        let address = self.local_address(call.dialog.flow(), out);
        let server = matches!(subject, Subject::Call(_)).then(|| Person {
            who: None,
            id: identifier(self.random.u128()),
            aor: format!("sip:{}@{address}", call.caller.dialled),
            name: None,
            since,
            point: TapPoint::Sent(media.session),
            says: true,
            hears: true,
        });
        let Some(sent) = self.sent.get_mut(subject) else { return };
        sent.arrive(caller);
        if let Some(server) = server {
            sent.arrive(server);
        }
    }

    /// Records here what no recorder takes, for as long as that is so.
    pub(super) fn cover(&mut self, subject: &Subject, out: &mut dyn Outside) {
        let Some(sent) = self.sent.get(subject).filter(|_| !self.is_stopping) else { return };
        let sending = sent.call.and_then(|id| self.sending(id));
        let is_taken = |part: &&Part| sending.is_some_and(|sending| sending.takes(part));
        let taken: Vec<TapPoint> =
            sent.parts().iter().filter(is_taken).map(|part| part.point).collect();
        let mut wanted = sent.tracks();
        wanted.retain(|track| !taken.contains(&track.point));
        let of_call =
            |id| self.calls.get(id).map(|call| (&call.caller.dialled, call.dialog.call_id()));
        let start = |tracks| match subject {
            Subject::Room(name) => RecordingStart {
                subject: name.clone(),
                room: Some(name.clone()),
                call_id: None,
                tracks,
            },
            Subject::Call(id) => {
                let (dialled, call_id) = of_call(id).unzip();
                let subject = dialled.cloned().unwrap_or_default();
                RecordingStart { subject, room: None, call_id, tracks }
            }
        };
        let own = match &sent.own_recording {
            Some(own) => own.clone().following(wanted, out),
            None => OwnRecording::begin(wanted, start, out),
        };
        if let Some(sent) = self.sent.get_mut(subject) {
            sent.own_recording = own;
        }
    }
}

impl OwnRecording {
    /// Begins with these tracks, where there are any and it is possible.
    fn begin(
        tracks: Vec<RecordedTrack>,
        start: impl FnOnce(Vec<RecordedTrack>) -> RecordingStart,
        out: &mut dyn Outside,
    ) -> Option<Self> {
        let points: Vec<TapPoint> = tracks.iter().map(|track| track.point).collect();
        if points.is_empty() {
            return None;
        }
        let id = out.begin_recording(start(tracks)).ok()?;
        Some(Self { id, points })
    }

    /// Goes on with these tracks, the new ones first: it would end with the last of the others.
    fn following(mut self, tracks: Vec<RecordedTrack>, out: &mut dyn Outside) -> Option<Self> {
        if tracks.is_empty() {
            out.end_recording(self.id);
            return None;
        }
        let wanted: Vec<TapPoint> = tracks.iter().map(|track| track.point).collect();
        for track in tracks {
            let point = track.point;
            if !self.points.contains(&point) && out.add_track(self.id, track).is_ok() {
                self.points.push(point);
            }
        }
        for point in &self.points {
            if !wanted.contains(point) {
                out.end_track(self.id, *point);
            }
        }
        self.points.retain(|point| wanted.contains(point));
        Some(self)
    }
}
