//! Calls whose endpoints want to know whether they are recorded (RFC 7866 section 6): each of our
//! descriptions says it, and a change of it is told by an INVITE that changes nothing else.

use media_units::Instant;

use super::FrontEnd;
use crate::fact::Fact;
use crate::outside::Outside;
use crate::recording::{RecordState, preferred};
use crate::siprec::sent::Subject;
use crate::view::ParticipantId;

impl FrontEnd {
    /// The calls whose endpoints want to know whether they are recorded.
    pub fn record_aware(&self) -> impl Iterator<Item = ParticipantId> {
        self.record_aware.iter().copied()
    }

    /// Whether a call is recorded here now.
    pub fn set_recorded(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        state: RecordState,
        out: &mut dyn Outside,
    ) {
        if let Some(call) = self.calls.get_mut(&participant) {
            call.recorded_here = state;
            self.tell_recorded(now, participant, out);
        }
    }

    /// Tells an endpoint that wants to know whether its call is recorded, where that has changed and
    /// as soon as it may be told.
    fn tell_recorded(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        if !self.record_aware.contains(&id) {
            return;
        }
        let is_sent = self.is_sent(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let state = if is_sent { RecordState::On } else { call.recorded_here };
        let Some(media) = &mut call.media else { return };
        // What was refused is asked again in its time, whatever is recorded elsewhere.
        if media.set_recorded(state) {
            self.make_due_offer(now, id, out);
        }
    }

    /// What is sent began or ends to be: its members are told.
    pub(super) fn tell_members(&mut self, now: Instant, subject: &Subject, out: &mut dyn Outside) {
        for participant in self.members(subject) {
            self.tell_sent(now, participant, out);
        }
    }

    /// The calls of what is or may be sent.
    pub(super) fn members(&self, subject: &Subject) -> Vec<ParticipantId> {
        match subject {
            Subject::Room(name) => {
                let room = self.focus.get(name);
                room.map(|room| room.members.iter().copied().collect()).unwrap_or_default()
            }
            Subject::Call(id) => vec![*id],
        }
    }

    /// Tells one of them, and whoever keeps an eye on the calls.
    pub(super) fn tell_sent(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let on = self.is_sent(participant);
        self.facts.push_back(Fact::Sent { participant, on });
        self.tell_recorded(now, participant, out);
    }

    /// Whether a call is sent to a recorder, by itself or with its room.
    pub(super) fn is_sent(&self, id: ParticipantId) -> bool {
        let room = self.calls.get(&id).and_then(|call| Subject::room(&call.destination));
        self.sent.contains_key(&Subject::Call(id))
            || room.is_some_and(|room| self.sent.contains_key(&room))
    }

    /// An endpoint that may says by an offer that it wants to be recorded, or not to be.
    pub(super) fn note_preference(&mut self, participant: ParticipantId, offer: &[u8]) {
        let Some(call) = self.calls.get_mut(&participant) else { return };
        let Some(wish) = preferred(offer).filter(|_| call.recording.may_record) else { return };
        if call.recording.asked != Some(wish) {
            call.recording.asked = Some(wish);
            self.facts.push_back(Fact::RecordingAsked { participant, wish });
        }
    }
}
