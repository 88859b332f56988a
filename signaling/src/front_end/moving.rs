//! Participants that go to another room, or to another shard, while they speak: their calls and
//! their streams go on.

use engine_control::{Command, Refusal as EngineRefusal, RoomKey, Route, SessionKey};
use media_units::Instant;

use super::FrontEnd;
use crate::outside::Outside;
use crate::routing::Destination;
use crate::view::{ParticipantId, TransferRefusal};

impl FrontEnd {
    /// Whether a transfer would be refused, as far as that is known before it is tried: so that one
    /// that cannot be has no effect.
    pub fn may_transfer(
        &self,
        participant: ParticipantId,
        name: &str,
        out: &dyn Outside,
    ) -> Result<(), TransferRefusal> {
        let (session, _) = self.open_session_of(participant)?;
        self.has_seat(name).map_err(|_| TransferRefusal::Unavailable)?;
        let here = out.shard_of(session);
        let whole = self.focus.get(name).filter(|room| room.spread.is_none());
        let there = whole.map_or(here, |room| room.key.shard());
        if here != there && self.is_sent(participant) {
            return Err(TransferRefusal::Immovable);
        }
        Ok(out.may_go(session, there)?)
    }

    /// Sends a participant to the room of this name, which is opened if there is none. Where that lives
    /// on another shard, so does the participant from now on.
    pub fn transfer(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        name: &str,
        out: &mut dyn Outside,
    ) -> Result<(), TransferRefusal> {
        let (session, from) = self.open_session_of(participant)?;
        let to = Destination::Room(name.to_owned());
        if *from == to {
            return Ok(());
        }
        let from = from.clone();
        let seat = self.take_seat(now, participant, name, out);
        let room = seat.map_err(|_| TransferRefusal::Unavailable)?;
        if let Err(refusal) = self.bring(participant, session, room, out) {
            self.leave_room(now, participant, &to, out);
            return Err(refusal.into());
        }
        if let Some(call) = self.calls.get_mut(&participant) {
            call.destination = to;
        }
        self.left_room(now, participant, &from, out);
        self.leave_room(now, participant, &from, out);
        self.joined(now, participant, out);
        Ok(())
    }

    /// Sends a member of a room that is spread to the part of it on this shard, which is opened if
    /// there is none. Nothing happens where it lives there already.
    pub fn send_away(
        &mut self,
        participant: ParticipantId,
        shard: u8,
        out: &mut dyn Outside,
    ) -> Result<(), TransferRefusal> {
        let (session, destination) = self.open_session_of(participant)?;
        if out.shard_of(session) == shard {
            return Ok(());
        }
        let Destination::Room(name) = destination else { return Err(TransferRefusal::Immovable) };
        let name = name.clone();
        let room = self.focus.get(&name).ok_or(TransferRefusal::NotFound)?;
        let spread = room.spread.ok_or(TransferRefusal::Immovable)?;
        let present = room.rooms().find(|part| part.shard() == shard);
        let part = if let Some(part) = present {
            part
        } else {
            let part = self.open_part(&name, shard, spread, out)?;
            self.focus.grow(&name, part);
            part
        };
        Ok(self.bring(participant, session, part, out)?)
    }

    /// Sends up to so many members of rooms that are spread from one shard to another. Returns how
    /// many are under way.
    pub fn relieve(&mut self, from: u8, to: u8, count: usize, out: &mut dyn Outside) -> usize {
        let rooms = self.focus.iter().map(|(_, room)| room).filter(|room| room.spread.is_some());
        let members: Vec<ParticipantId> =
            rooms.flat_map(|room| room.members.iter().copied()).collect();
        let mut sent = 0;
        for participant in members {
            if sent == count {
                break;
            }
            let session = self.open_session_of(participant);
            let is_there = session.is_ok_and(|(session, _)| out.shard_of(session) == from);
            if is_there && self.send_away(participant, to, out).is_ok() {
                sent += 1;
            }
        }
        sent
    }

    fn open_session_of(
        &self,
        participant: ParticipantId,
    ) -> Result<(SessionKey, &Destination), TransferRefusal> {
        let call = self.calls.get(&participant).ok_or(TransferRefusal::NotFound)?;
        let media = call.media.as_ref().filter(|media| media.is_open && call.ending.is_none());
        let session = media.ok_or(TransferRefusal::NotFound)?.session;
        Ok((session, &call.destination))
    }

    /// Connects a session to a room, wherever that lives.
    fn bring(
        &mut self,
        participant: ParticipantId,
        session: SessionKey,
        room: RoomKey,
        out: &mut dyn Outside,
    ) -> Result<(), EngineRefusal> {
        if out.shard_of(session) != room.shard() {
            // Who listens to it for a recorder lives beside it.
            if self.is_sent(participant) {
                return Err(EngineRefusal::Immovable);
            }
            out.send_away(session, room.shard())?;
        }
        let route = Route::Room(room);
        out.command(Command::RouteSession { session, route })?;
        if let Some(call) = self.calls.get_mut(&participant)
            && let Some(media) = &mut call.media
        {
            media.route = route;
        }
        Ok(())
    }
}

impl From<EngineRefusal> for TransferRefusal {
    fn from(refusal: EngineRefusal) -> Self {
        match refusal {
            EngineRefusal::Gone => Self::NotFound,
            EngineRefusal::Immovable | EngineRefusal::Occupied => Self::Immovable,
            _ => Self::Unavailable,
        }
    }
}
