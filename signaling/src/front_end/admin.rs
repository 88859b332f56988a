//! What the API sees and does.

use engine_control::{Command, Refusal, SessionKey};
use media_units::{Cadence, Digits, Instant};

use super::FrontEnd;
use super::media::Duty;
use crate::call::Call;
use crate::counters::Ending;
use crate::fact::Fact;
use crate::outside::Outside;
use crate::routing::Destination;
use crate::view::{DigitsRefusal, Gains, NotFound, ParticipantId, ParticipantView, RoomView};

impl FrontEnd {
    /// All rooms, by name.
    pub fn rooms(&self) -> impl Iterator<Item = RoomView> {
        self.focus.iter().map(|(name, room)| RoomView {
            name: name.clone(),
            key: room.key,
            since: room.since,
            members: room.members.iter().filter_map(|id| self.participant(*id)).collect(),
        })
    }

    /// Everyone whose call has a media session, in a room or not, in order of arrival.
    pub fn participants(&self) -> impl Iterator<Item = ParticipantView> {
        self.calls.iter().filter_map(|(id, call)| view(*id, call))
    }

    /// One participant.
    pub fn participant(&self, id: ParticipantId) -> Option<ParticipantView> {
        view(id, self.calls.get(&id)?)
    }

    /// Mutes or unmutes what a participant says.
    pub fn mute(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        muted: bool,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        let call = self.calls.get_mut(&participant).ok_or(NotFound)?;
        let media = call.media.as_ref().ok_or(NotFound)?;
        let is_new = call.muted != muted;
        call.muted = muted;
        if media.is_open {
            let duty = Duty::MuteSession(media.session, muted);
            self.oblige(now, duty, out);
        }
        if is_new {
            self.facts.push_back(Fact::Muted { participant, muted });
        }
        Ok(())
    }

    /// Sets how loud a participant is heard, and hears.
    pub fn set_gains(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        gains: Gains,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        let call = self.calls.get_mut(&participant).ok_or(NotFound)?;
        let media = call.media.as_ref().ok_or(NotFound)?;
        call.gains = gains;
        if media.is_open {
            let duty = Duty::SetGain(media.session, gains);
            self.oblige(now, duty, out);
        }
        Ok(())
    }

    /// Presses keys for a participant: as events where negotiated (RFC 4733), as tones otherwise.
    /// Whether they fit behind those that wait is known to the shard of the session returned: it tells
    /// by [`engine_control::Event::DigitsTaken`], or by a refusal.
    pub fn send_digits(
        &mut self,
        participant: ParticipantId,
        digits: Digits,
        cadence: Cadence,
        out: &mut dyn Outside,
    ) -> Result<SessionKey, DigitsRefusal> {
        let media = self.calls.get(&participant).and_then(|call| call.media.as_ref());
        let media = media.filter(|media| media.is_open).ok_or(DigitsRefusal::NotFound)?;
        let session = media.session;
        match out.command(Command::SendDigits { session, digits, cadence }) {
            Ok(()) => Ok(session),
            Err(Refusal::Gone) => Err(DigitsRefusal::NotFound),
            Err(_) => Err(DigitsRefusal::Busy),
        }
    }

    /// Ends a participant's call.
    pub fn kick(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        self.calls.get(&participant).and_then(|call| call.media.as_ref()).ok_or(NotFound)?;
        self.hang_up(now, participant, Ending::Removed, out);
        Ok(())
    }

    /// Ends the calls of everyone in a room, and the room with them.
    pub fn end_room(
        &mut self,
        now: Instant,
        name: &str,
        out: &mut dyn Outside,
    ) -> Result<(), NotFound> {
        self.focus.get(name).ok_or(NotFound)?;
        self.empty_room(now, name, Ending::Removed, out);
        Ok(())
    }
}

fn view(participant: ParticipantId, call: &Call) -> Option<ParticipantView> {
    let media = call.media.as_ref()?;
    Some(ParticipantView {
        participant,
        session: media.session,
        uri: call.caller.uri.clone(),
        display_name: call.caller.display_name.clone(),
        call_id: call.dialog.call_id(),
        dialled: call.caller.dialled.clone(),
        room: match &call.destination {
            Destination::Room(name) => Some(name.clone()),
            Destination::Echo | Destination::Tone | Destination::Record => None,
        },
        since: call.caller.since,
        answered: call.ringing.is_none(),
        muted: call.muted,
        gains: call.gains,
        held: media.is_held(),
        agreed: media.agreed,
        talking: call.talking,
        recording: call.recording,
        digits: call.keypad.pressed().to_owned(),
    })
}
