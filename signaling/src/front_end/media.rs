//! A call's part of the engine: its seat in a room, its session, its recording.

use std::net::SocketAddr;

use engine_control::{
    Command, Refusal as EngineRefusal, RemoteMedia, RoomKey, Route, SessionKey, SessionOpen,
    SpreadId, TapPoint,
};
use media_units::{Direction, Instant, RtpTimestamp, SequenceNumber, Ssrc};
use signaling_sdp::Local;

use super::{FrontEnd, RESEND_AFTER};
use crate::call::Caller;
use crate::counters::Ending;
use crate::fact::Fact;
use crate::outside::Outside;
use crate::random::Random;
use crate::recording::{RecordState, RecordedParticipant, RecordedTrack, RecordingStart};
use crate::refusal::Refusal;
use crate::routing::Destination;
use crate::siprec::Siprec;
use crate::view::{Gains, ParticipantId};

/// What somebody is told who would be recorded.
pub(super) const NOT_RECORDED: Refusal = Refusal::Full("Recording is not possible now");

/// A command that must reach the engine, however full its ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    CloseSession(SessionKey),
    CloseRoom(RoomKey),
    MuteSession(SessionKey, bool),
    SetGain(SessionKey, Gains),
}

impl Duty {
    /// Whether another duty that waits need not be done any more.
    fn replaces(self, waiting: Self) -> bool {
        match (self, waiting) {
            (Self::MuteSession(session, _), Self::MuteSession(other, _))
            | (Self::SetGain(session, _), Self::SetGain(other, _)) => session == other,
            _ => false,
        }
    }

    fn command(self) -> Command {
        match self {
            Self::CloseSession(session) => Command::CloseSession { session },
            Self::CloseRoom(room) => Command::CloseRoom { room },
            Self::MuteSession(session, muted) => Command::MuteSession { session, muted },
            Self::SetGain(session, Gains { says, hears }) => {
                Command::SetGain { session, says, hears }
            }
        }
    }
}

impl FrontEnd {
    /// Takes a seat in the room that was dialled, opening the room for its first member, and a
    /// media session on its shard.
    pub(super) fn reserve(
        &mut self,
        now: Instant,
        id: ParticipantId,
        destination: &Destination,
        toward: SocketAddr,
        out: &mut dyn Outside,
    ) -> Result<(SessionKey, Route, Local), Refusal> {
        let (room, route) = match destination {
            Destination::Room(name) => {
                let room = self.take_seat(now, id, name, out)?;
                (Some(room), Route::Room(room))
            }
            Destination::Echo => (None, Route::Echo),
            Destination::Tone => (None, Route::Tone),
            Destination::Record => (None, Route::Idle),
        };
        let (session, address) = match out.open_media(room.map(RoomKey::shard), toward) {
            Ok(opened) => opened,
            Err(refusal) => {
                self.leave_room(now, id, destination, out);
                return Err(no_session(refusal));
            }
        };
        let direction = Direction::SendReceive;
        // Numbers in an origin line stay below 2^63: some phones read them as signed.
        let session_id = self.random.u64() >> 2;
        let local = Local { address, session_id, version: session_id, direction };
        Ok((session, route, local))
    }

    pub(super) fn take_seat(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: &str,
        out: &mut dyn Outside,
    ) -> Result<RoomKey, Refusal> {
        self.has_seat(name)?;
        let room = match self.focus.get(name) {
            Some(room) if room.spread.is_some() => self.choose_part(name, out)?,
            Some(room) => room.key,
            None => self.open_room(now, name, out)?,
        };
        self.focus.join(name, id);
        Ok(room)
    }

    /// Whether the room of this name has a seat left, or could be opened.
    pub(super) fn has_seat(&self, name: &str) -> Result<(), Refusal> {
        match self.focus.get(name) {
            Some(room) if room.members.len() >= self.config.room_members_max => {
                Err(Refusal::RoomFull)
            }
            None if self.focus.len() >= self.config.rooms_max => Err(no_room(EngineRefusal::Full)),
            _ => Ok(()),
        }
    }

    /// Whether a call to this place would find a seat, and the shard that it would be on where that
    /// is known before.
    pub(super) fn seat_there(&self, destination: &Destination) -> Result<Option<u8>, Refusal> {
        let Destination::Room(name) = destination else { return Ok(None) };
        self.has_seat(name)?;
        let whole = self.focus.get(name).filter(|room| room.spread.is_none());
        Ok(whole.map(|room| room.key.shard()))
    }

    fn open_room(
        &mut self,
        now: Instant,
        name: &str,
        out: &mut dyn Outside,
    ) -> Result<RoomKey, Refusal> {
        let share = self.policies.spread_above(name);
        let spread = share.and_then(|share| Some((out.open_spread()?, share)));
        let room = match spread {
            Some((spread, share)) => {
                let shard = out.choose_shard(&[], share);
                self.open_part(name, shard, spread, out).inspect_err(|_| out.abandon_spread(spread))
            }
            None => self.open_whole(name, out),
        };
        let room = room.map_err(no_room)?;
        self.focus.open(name, room, spread.map(|(spread, _)| spread), now);
        self.facts.push_back(Fact::RoomOpened { name: name.to_owned(), key: room });
        Ok(room)
    }

    /// A room that lives on one shard.
    fn open_whole(&self, name: &str, out: &mut dyn Outside) -> Result<RoomKey, EngineRefusal> {
        let room = out.open_room()?;
        let sound = self.policies.sound(name);
        let opened = out.command(Command::OpenRoom { room, sound });
        opened.inspect_err(|_| out.abandon_room(room)).map(|()| room)
    }

    /// A part of a room that is spread.
    pub(super) fn open_part(
        &self,
        name: &str,
        shard: u8,
        spread: SpreadId,
        out: &mut dyn Outside,
    ) -> Result<RoomKey, EngineRefusal> {
        let room = out.open_part(shard)?;
        let sound = self.policies.sound(name);
        let opened = out.command(Command::OpenPart { room, sound, spread });
        opened.inspect_err(|_| out.abandon_room(room)).map(|()| room)
    }

    /// The part of a room that its next member is to live in: on the shard that has time for it. Where
    /// no part can be opened there, the oldest.
    fn choose_part(&mut self, name: &str, out: &mut dyn Outside) -> Result<RoomKey, Refusal> {
        let gone = || no_room(EngineRefusal::Gone);
        let room = self.focus.get(name).ok_or_else(gone)?;
        let (oldest, spread) = (room.key, room.spread.ok_or_else(gone)?);
        let parts: Vec<RoomKey> = room.rooms().collect();
        let shards: Vec<u8> = parts.iter().map(|part| part.shard()).collect();
        let shard = out.choose_shard(&shards, self.policies.spread_above(name).unwrap_or_default());
        if let Some(&part) = parts.iter().find(|part| part.shard() == shard) {
            return Ok(part);
        }
        let Ok(part) = self.open_part(name, shard, spread, out) else { return Ok(oldest) };
        self.focus.grow(name, part);
        Ok(part)
    }

    /// Gives the engine what was agreed on: opens the session, or updates it.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        id: ParticipantId,
        agreed: RemoteMedia,
        out: &mut dyn Outside,
    ) -> Result<(), (Refusal, Ending)> {
        let refused = |refusal| (no_session(refusal), Ending::EngineFailed);
        let gone = || refused(EngineRefusal::Gone);
        let call = self.calls.get_mut(&id).ok_or_else(gone)?;
        let media = call.media.as_mut().ok_or_else(gone)?;
        let session = media.session;
        if media.is_open {
            let update = Command::UpdateSession { session, media: Box::new(agreed) };
            out.command(update).map_err(refused)?;
            let was_held = media.is_held();
            media.agreed = Some(agreed);
            let held = media.is_held();
            if held != was_held {
                self.facts.push_back(Fact::Held { participant: id, held });
            }
            self.flow_changed(now, id, out);
            return Ok(());
        }
        let open = session_open(&mut self.random, agreed, media.route);
        out.command(Command::OpenSession { session, open }).map_err(refused)?;
        media.is_open = true;
        media.agreed = Some(agreed);
        self.facts.push_back(Fact::Joined { participant: id });
        let (muted, gains) = (call.muted, call.gains);
        if muted {
            self.oblige(now, Duty::MuteSession(session, true), out);
        }
        if gains != Gains::default() {
            self.oblige(now, Duty::SetGain(session, gains), out);
        }
        self.joined(now, id, out);
        self.record(id, session, out)
    }

    /// Starts the recording of a call that dialled the recorder.
    fn record(
        &mut self,
        id: ParticipantId,
        session: SessionKey,
        out: &mut dyn Outside,
    ) -> Result<(), (Refusal, Ending)> {
        let Some(call) = self.calls.get(&id) else { return Ok(()) };
        if call.destination != Destination::Record {
            return Ok(());
        }
        let Caller { uri, user, display_name, .. } = &call.caller;
        let participant = RecordedParticipant {
            id: id.to_string(),
            uri: uri.clone(),
            display_name: display_name.clone(),
        };
        let track = RecordedTrack {
            point: TapPoint::Received(session),
            label: "caller".to_owned(),
            participant: Some(participant),
        };
        let start = RecordingStart {
            subject: user.clone(),
            room: None,
            call_id: Some(call.dialog.call_id()),
            tracks: vec![track],
        };
        let refused = |_| (NOT_RECORDED, Ending::RecordingFailed);
        let recording = out.begin_recording(start).map_err(refused)?;
        let is_aware = self.record_aware.contains(&id);
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        call.recording.begun = Some(recording);
        call.recorded_here = RecordState::On;
        if let Some(media) = call.media.as_mut().filter(|_| is_aware) {
            media.set_recorded(RecordState::On);
        }
        Ok(())
    }

    /// Gives back a call's session and its seat. Harmless a second time.
    pub(super) fn release(&mut self, now: Instant, id: ParticipantId, out: &mut dyn Outside) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &call.siprec {
            Some(Siprec::Recorder(_)) => return self.release_recording(now, id, out),
            Some(Siprec::Client(_)) => return self.release_sending(now, id, out),
            None => {}
        }
        let Some(media) = call.media.take() else { return };
        let destination = call.destination.clone();
        self.by_session.remove(&media.session);
        if media.is_open {
            self.facts.push_back(Fact::Left { participant: id });
            self.oblige(now, Duty::CloseSession(media.session), out);
            self.left(now, id, &destination, out);
        } else {
            out.abandon_media(media.session);
        }
        self.leave_room(now, id, &destination, out);
    }

    pub(super) fn leave_room(
        &mut self,
        now: Instant,
        id: ParticipantId,
        destination: &Destination,
        out: &mut dyn Outside,
    ) {
        if let Destination::Room(name) = destination
            && let Some(conference) = self.focus.leave(name, id)
        {
            self.facts.push_back(Fact::RoomClosed { name: name.clone() });
            for room in conference.rooms() {
                self.oblige(now, Duty::CloseRoom(room), out);
            }
        }
    }

    /// The engine could not open a room after all: everyone in it has to go.
    pub(super) fn room_failed(&mut self, now: Instant, room: RoomKey, out: &mut dyn Outside) {
        if let Some((name, conference)) = self.focus.dissolve(room) {
            for part in conference.rooms().filter(|&part| part != room) {
                self.oblige(now, Duty::CloseRoom(part), out);
            }
            for id in conference.members {
                self.hang_up(now, id, Ending::EngineFailed, out);
            }
            self.facts.push_back(Fact::RoomClosed { name });
        }
        out.abandon_room(room);
    }

    /// Sends a command that must arrive: at once, or as soon as the ring has room.
    pub(super) fn oblige(&mut self, now: Instant, duty: Duty, out: &mut dyn Outside) {
        // The last word counts: however often it changes, one command waits.
        self.unsent.retain(|waiting| !duty.replaces(*waiting));
        self.unsent.push_back(duty);
        if self.unsent.len() == 1 {
            self.resend(now, out);
        }
    }

    pub(super) fn resend(&mut self, now: Instant, out: &mut dyn Outside) {
        self.resend_at = None;
        while let Some(duty) = self.unsent.front() {
            if out.command(duty.command()) == Err(EngineRefusal::Busy) {
                self.resend_at = Some(now + RESEND_AFTER);
                return;
            }
            self.unsent.pop_front();
        }
    }
}

/// A session to be opened, with numbers that nobody can guess.
pub(super) fn session_open(
    random: &mut Random,
    media: RemoteMedia,
    route: Route,
) -> Box<SessionOpen> {
    Box::new(SessionOpen {
        ssrc: Ssrc(random.u32()),
        sequence: SequenceNumber(random.u32() as u16),
        timestamp: RtpTimestamp(random.u32()),
        media,
        route,
    })
}

pub(super) fn no_session(refusal: EngineRefusal) -> Refusal {
    unavailable(refusal, "Every media session is in use")
}

fn no_room(refusal: EngineRefusal) -> Refusal {
    unavailable(refusal, "Every room is in use")
}

/// What a caller is told where the engine refused. `full`: where there is none left of it.
fn unavailable(refusal: EngineRefusal, full: &'static str) -> Refusal {
    Refusal::Full(match refusal {
        EngineRefusal::Full => full,
        EngineRefusal::NoPort => "No media socket could be opened",
        EngineRefusal::Busy => "The media engine is busy",
        EngineRefusal::Overloaded => "No time is left for another call",
        EngineRefusal::Gone
        | EngineRefusal::Occupied
        | EngineRefusal::Tapped
        | EngineRefusal::Unmonitorable
        | EngineRefusal::Immovable
        | EngineRefusal::OtherShard => "The media engine failed",
    })
}
