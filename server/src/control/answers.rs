//! What the control task answers to the API.

use std::collections::BTreeSet;

use engine_control::SessionKey;
use engine_driver::Engine;
use media_units::{Gain, Instant};
use signaling::{
    DigitsRefusal, NotFound, ParticipantId, ParticipantView, RoomView, Subject, TransferRefusal,
};

use super::Control;
use crate::api::{
    Agreed, Ask, Flight, Health, KeyPresses, Media, Page, Participant, ParticipantPage, Reply,
    Room, RoomPage, ShardHealth, Trouble,
};
use crate::flight;
use crate::metrics::Snapshot;
use crate::survey::Reports;
use crate::system::{Usage, since_1970};
use crate::world::World;

/// Who waits for numbers out of the shards.
pub(crate) enum Asker {
    Participants { page: ParticipantPage, sessions: Vec<SessionKey>, reply: Reply<ParticipantPage> },
    Participant { participant: Box<Participant>, session: SessionKey, reply: Reply<Participant> },
    Metrics { reply: Reply<String> },
}

impl Control {
    pub(super) fn answer(&mut self, now: Instant, ask: Ask) {
        match ask {
            Ask::Rooms(page, reply) => tell(reply, Ok(self.rooms(now, &page))),
            Ask::Room(name, reply) => tell(reply, self.room(now, &name)),
            Ask::Participants(room, page, reply) => {
                self.participants(now, room.as_deref(), &page, reply);
            }
            Ask::Participant(id, reply) => self.participant(now, id, reply),
            Ask::Mute(id, muted, reply) => {
                let done = self.front.mute(now, ParticipantId::new(id), muted, &mut self.world);
                tell(reply, done.map_err(|NotFound| Trouble::NoParticipant));
            }
            Ask::Amplify(id, gains, reply) => {
                let id = ParticipantId::new(id);
                let done = self.front.set_gains(now, id, gains, &mut self.world);
                tell(reply, done.map_err(|NotFound| Trouble::NoParticipant));
            }
            Ask::Press(id, keys, reply) => {
                let id = ParticipantId::new(id);
                let KeyPresses { digits, cadence } = keys;
                let done = self.front.send_digits(id, digits, cadence, &mut self.world);
                match done {
                    Ok(session) => self.presses.add(session, reply),
                    Err(DigitsRefusal::NotFound) => tell(reply, Err(self.no_media_of(id))),
                    Err(DigitsRefusal::Busy) => tell(reply, Err(Trouble::Busy)),
                }
            }
            Ask::Transfer(id, room, reply) => tell(reply, self.transfer(now, id, &room)),
            Ask::Kick(id, reply) => {
                let done = self.front.kick(now, ParticipantId::new(id), &mut self.world);
                tell(reply, done.map_err(|NotFound| Trouble::NoParticipant));
            }
            Ask::EndRoom(name, reply) => {
                let done = self.front.end_room(now, &name, &mut self.world);
                tell(reply, done.map_err(|NotFound| Trouble::NoRoom));
            }
            Ask::Send(subject, true, reply) => tell(reply, self.begin_sending(now, &subject)),
            Ask::Send(subject, false, reply) => tell(reply, self.end_sending(now, &subject)),
            Ask::Recordings(reply) => tell(reply, Ok(self.recordings_going(now))),
            Ask::Record(of, wish, reply) => tell(reply, self.record(now, of, &wish)),
            Ask::ActOnRecording(name, act, reply) => tell(reply, self.act_on(&name, act)),
            Ask::ReleaseRecording(name, reply) => tell(reply, self.release_recording(&name)),
            Ask::Flight(shard, reply) => self.write_flight(shard, reply),
            Ask::Health(reply) => tell(reply, Ok(self.health())),
            Ask::Metrics(reply) => {
                let shards = self.world.engine.shards();
                self.survey.about_shards(shards, Asker::Metrics { reply });
                self.continue_survey();
            }
        }
    }

    fn begin_sending(&mut self, now: Instant, subject: &Subject) -> Result<(), Trouble> {
        if self.keeper.never_keeps(subject) {
            return Err(Trouble::NeverRecorded);
        }
        let done = self.front.begin_sending(now, subject, &mut self.world);
        done.map_err(|NotFound| self.nothing_of(subject).unwrap_or(Trouble::NoRecorder))
    }

    fn end_sending(&mut self, now: Instant, subject: &Subject) -> Result<(), Trouble> {
        let done = self.front.end_sending(now, subject, &mut self.world);
        done.map_err(|NotFound| self.nothing_of(subject).unwrap_or(Trouble::NotSent))
    }

    /// Why there is nothing of a room or a call that could be sent, where there is not.
    fn nothing_of(&self, subject: &Subject) -> Option<Trouble> {
        match subject {
            Subject::Room(name) => match self.room_named(name) {
                Ok(room) => room.members.iter().all(rings).then_some(Trouble::NotAnswered),
                Err(trouble) => Some(trouble),
            },
            Subject::Call(id) => match self.front.participant(*id) {
                Some(view) => rings(&view).then_some(Trouble::NotAnswered),
                None => Some(Trouble::NoParticipant),
            },
        }
    }

    /// Why there is nothing to be heard of a participant, and nobody who hears: it rings, or there is
    /// none.
    pub(super) fn no_media_of(&self, id: ParticipantId) -> Trouble {
        self.nothing_of(&Subject::Call(id)).unwrap_or(Trouble::NoParticipant)
    }

    fn room_named(&self, name: &str) -> Result<RoomView, Trouble> {
        self.front.rooms().find(|view| view.name == name).ok_or(Trouble::NoRoom)
    }

    /// Sends a participant to another room. Its tracks in the recording of the one that it leaves end
    /// before it goes.
    fn transfer(&mut self, now: Instant, id: u64, room: &str) -> Result<(), Trouble> {
        let id = ParticipantId::new(id);
        let present = self.front.participant(id).ok_or(Trouble::NoParticipant)?;
        if present.room.as_deref() == Some(room) {
            return Ok(());
        }
        let may = self.front.may_transfer(id, room, &self.world);
        may.map_err(|refusal| self.not_moved(id, refusal))?;
        self.keeper.leaves_room(id, &mut self.world);
        let done = self.front.transfer(now, id, room, &mut self.world);
        // A room that was opened for it is known before it comes.
        self.tell_keeper();
        if let Some(view) = self.front.participant(id) {
            self.keeper.enters_room(view, &mut self.world);
        }
        let call = Subject::Call(id);
        if self.keeper.never_keeps(&call) && !self.front.is_sent_by_rule(id) {
            // Not found: it was not sent.
            let _ = self.front.end_sending(now, &call, &mut self.world);
        }
        done.map_err(|refusal| self.not_moved(id, refusal))
    }

    fn not_moved(&self, id: ParticipantId, refusal: TransferRefusal) -> Trouble {
        match refusal {
            TransferRefusal::NotFound => self.no_media_of(id),
            TransferRefusal::Immovable => Trouble::Immovable,
            TransferRefusal::Unavailable => Trouble::NoSeat,
        }
    }

    /// Writes what a shard's flight recorder holds, beside everything else.
    fn write_flight(&mut self, shard: u8, reply: Reply<Flight>) {
        let World { flights, engine, .. } = &mut self.world;
        let Some(flight) = flights.take(engine, shard, "the API asked for it") else {
            return tell(reply, Err(Trouble::NoFlight));
        };
        flight.write_aside(|written| {
            flight::log(&written);
            let answer = written.map(|path| Flight { file: path.display().to_string() });
            tell(reply, answer.map_err(|_| Trouble::Disk));
        });
    }

    /// Sends the next portion, and answers who has all it asked for.
    pub(super) fn continue_survey(&mut self) {
        loop {
            let engine = &mut self.world.engine;
            let send = |engine: &mut Engine, portion| engine.command(portion).is_ok();
            let Some((asker, reports)) =
                self.survey.advance(engine, Engine::present_shard_of, send)
            else {
                return;
            };
            self.report(asker, &reports);
        }
    }

    fn report(&self, asker: Asker, reports: &Reports) {
        let now = self.world.engine.now();
        let media = |session| reports.sessions.get(&session).map(|report| Media::of(report, now));
        match asker {
            Asker::Participants { mut page, sessions, reply } => {
                for (participant, session) in page.participants.iter_mut().zip(sessions) {
                    participant.media = media(session);
                }
                tell(reply, Ok(page));
            }
            Asker::Participant { mut participant, session, reply } => {
                participant.media = media(session);
                tell(reply, Ok(*participant));
            }
            Asker::Metrics { reply } => {
                tell(reply, Ok(self.snapshot(reports).text()));
            }
        }
    }

    fn rooms(&self, now: Instant, page: &Page) -> RoomPage {
        // By name: that is the front end's own order.
        let (rooms, covered) = (self.front.rooms(), self.rooms_covered());
        let is_recorded = |name: &str| self.keeper.records(name) || covered.contains(name);
        let mut rooms: Vec<Room> = rooms
            .filter(|view| page.after.as_ref().is_none_or(|after| view.name > *after))
            .take(page.limit + 1)
            .map(|view| room(&view, is_recorded(&view.name), now))
            .collect();
        let is_last = rooms.len() <= page.limit;
        rooms.truncate(page.limit);
        let next = rooms.last().filter(|_| !is_last).map(|room| room.name.clone());
        RoomPage { rooms, next }
    }

    fn room(&self, now: Instant, name: &str) -> Result<Room, Trouble> {
        let is_recorded = self.keeper.records(name) || self.rooms_covered().contains(name);
        Ok(room(&self.room_named(name)?, is_recorded, now))
    }

    /// Rooms that are recorded here because no recorder takes them, of which the keeper knows nothing.
    fn rooms_covered(&self) -> BTreeSet<&str> {
        let going = self.world.recordings.going();
        let covers = going.filter(|(id, _)| self.front.is_cover(*id));
        covers.filter_map(|(_, going)| going.about.room.as_deref()).collect()
    }

    fn participants(
        &mut self,
        now: Instant,
        room: Option<&str>,
        page: &Page,
        reply: Reply<ParticipantPage>,
    ) {
        match self.page_of_participants(now, room, page) {
            Ok((page, sessions)) => {
                let asked = sessions.clone();
                self.survey.about_sessions(&asked, Asker::Participants { page, sessions, reply });
                self.continue_survey();
            }
            Err(trouble) => tell(reply, Err(trouble)),
        }
    }

    fn page_of_participants(
        &self,
        now: Instant,
        room: Option<&str>,
        page: &Page,
    ) -> Result<(ParticipantPage, Vec<SessionKey>), Trouble> {
        let after = match &page.after {
            Some(after) => Some(after.parse::<u64>().map_err(|_| Trouble::Query)?),
            None => None,
        };
        let mut views: Vec<ParticipantView> = match room {
            Some(name) => self.room_named(name)?.members,
            None => self.front.participants().collect(),
        };
        views.retain(|view| after.is_none_or(|after| view.participant.as_u64() > after));
        let is_last = views.len() <= page.limit;
        views.truncate(page.limit);
        let next = views.last().filter(|_| !is_last).map(|view| view.participant.as_u64());
        let sessions = views.iter().map(|view| view.session).collect();
        let participants = views.into_iter().map(|view| describe(now, view)).collect();
        Ok((ParticipantPage { participants, next }, sessions))
    }

    fn participant(&mut self, now: Instant, id: u64, reply: Reply<Participant>) {
        let Some(view) = self.front.participant(ParticipantId::new(id)) else {
            return tell(reply, Err(Trouble::NoParticipant));
        };
        let session = view.session;
        let participant = Box::new(describe(now, view));
        self.survey.about_sessions(&[session], Asker::Participant { participant, session, reply });
        self.continue_survey();
    }

    fn health(&self) -> Health {
        let is_stopping = self.stop_at.is_some();
        let engine = &self.world.engine;
        let shards =
            (0..engine.shards() as u8).map(|shard| ShardHealth::of(shard, engine.load(shard)));
        Health {
            shards: shards.collect(),
            ready: !is_stopping,
            draining: is_stopping,
            calls: self.front.calls(),
            recordings: self.world.recorder.status().active,
            recording_failure: self.world.recorder.failure(),
            age_s: since_1970().saturating_sub(self.started).as_secs(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn snapshot(&self, reports: &Reports) -> Snapshot {
        let World { engine, transport, recorder, shelf, flights, .. } = &self.world;
        Snapshot {
            shards: reports.shards.clone(),
            calls: self.front.calls(),
            transactions: self.front.transactions(),
            recording_sessions: self.front.recording_sessions(),
            draining: self.stop_at.is_some(),
            sip: self.front.counters().clone(),
            transport: transport.counters(),
            tcp_connections: transport.connections(),
            recorder: recorder.status(),
            shelf: shelf.status(),
            recordings_refused: recorder.refused(),
            events_lost: engine.events_lost(),
            refused_overload: engine.refused_overload(),
            sessions_moved: engine.sessions_moved(),
            flights: flights.written(),
            process: Usage::now(self.started),
        }
    }
}

/// Whether its call is not answered yet.
fn rings(view: &ParticipantView) -> bool {
    view.agreed.is_none()
}

fn room(view: &RoomView, recorded: bool, now: Instant) -> Room {
    Room {
        name: view.name.clone(),
        participants: view.members.len(),
        age_s: now.since(view.since).as_secs(),
        recorded,
    }
}

/// All but its media.
fn describe(now: Instant, view: ParticipantView) -> Participant {
    Participant {
        id: view.participant.as_u64(),
        room: view.room,
        dialled: view.dialled,
        caller: view.uri,
        display_name: view.display_name,
        call_id: view.call_id,
        answered: view.answered,
        held: view.held,
        muted: view.muted,
        says_db: decibels(view.gains.says),
        hears_db: decibels(view.gains.hears),
        digits: view.digits,
        age_s: now.since(view.since).as_secs(),
        agreed: view.agreed.as_ref().map(Agreed::of),
        media: None,
    }
}

fn decibels(gain: Gain) -> f64 {
    f64::from(gain.tenths_db) / 10.0
}

/// Answers; where whoever asked is gone by now, nobody reads it.
fn tell<T>(reply: Reply<T>, answer: Result<T, Trouble>) {
    let _ = reply.send(answer);
}
