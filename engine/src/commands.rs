//! Commands: checked first, so that a refused one goes home unchanged; then applied whole.

use engine_control::{
    Command, Event, Refusal, RoomKey, Route, SessionKey, SessionOpen, SpreadId, TapPoint,
};
use media_units::{Gain, Instant, RoomSound};
use mixer::Source;

use crate::luggage::Luggage;
use crate::passage::check_luggage;
use crate::session::Session;
use crate::shard::{Room, Shard};
use crate::spread::phase_of;
use crate::tick::Run;
use crate::{Equipment, Output};

impl Shard {
    /// Applies one command, with the luggage that belongs to it ([`Luggage::beside`]). Call it
    /// at the start of a tick, before the sockets are read.
    pub fn command(
        &mut self,
        command: Command,
        luggage: Option<Luggage>,
        now: Instant,
        output: &mut impl Output,
    ) {
        match self.check(&command).and_then(|()| check_luggage(&command, luggage.as_ref())) {
            Ok(()) => self.apply(command, luggage, now, output),
            Err(refusal) => {
                if let Some(luggage) = luggage {
                    output.retire(luggage);
                }
                output.event(Event::Refused { command, refusal });
            }
        }
    }

    fn check(&self, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::OpenSession { session, open } => {
                self.check_vacant_session(*session)?;
                self.check_route(session.slot(), open.route)
            }
            Command::UpdateSession { session, .. }
            | Command::MuteSession { session, .. }
            | Command::SetGain { session, .. }
            | Command::Prompt { session, .. }
            | Command::CloseSession { session } => self.session(*session).map(|_| ()),
            Command::SendDigits { session, digits, .. } => {
                let fits = self.session(*session)?.record.sender.has_room(digits.len());
                if fits { Ok(()) } else { Err(Refusal::Full) }
            }
            Command::RouteSession { session, route } => {
                let present = self.session(*session)?.route;
                if present == *route { Ok(()) } else { self.check_route(session.slot(), *route) }
            }
            Command::SendAway { session } => self.check_send_away(*session),
            Command::TakeIn { session } => self.check_vacant_session(*session),
            Command::OpenRoom { room, .. } => self.check_vacant_room(*room),
            Command::OpenPart { room, spread, .. } => {
                let is_vacant = self.spread.is_vacant(*spread);
                self.check_vacant_room(*room)?;
                if is_vacant { Ok(()) } else { Err(Refusal::Full) }
            }
            Command::CloseRoom { room } => self.room(*room).map(|_| ()),
            Command::StartTap { point, .. } => self.check_start_tap(*point),
            Command::StopTap { point } => self.tap_at(*point)?.map(|_| ()).ok_or(Refusal::Gone),
            Command::ReportSessions { .. } | Command::ReportShard { .. } => Ok(()),
        }
    }

    /// Applies a command that was checked.
    fn apply(
        &mut self,
        command: Command,
        luggage: Option<Luggage>,
        now: Instant,
        output: &mut impl Output,
    ) {
        match command {
            Command::OpenSession { session, open } => {
                let equipment = luggage.and_then(Luggage::equipment);
                self.open_session(session, &open, equipment, now, output);
                output.event(Event::SessionOpened { session, open });
            }
            Command::UpdateSession { session, media } => {
                self.abdicate(session.slot());
                let equipment = luggage.and_then(Luggage::equipment);
                let Run { sessions, mut moment, .. } = self.run(now, output);
                sessions[session.slot() as usize].update(&media, equipment, &mut moment);
                self.work_on_sound(session.slot());
                self.revise_part(session.slot());
                output.event(Event::MediaReturned { session, media });
            }
            Command::RouteSession { session, route } => {
                self.route_session(session.slot(), route, now, output);
            }
            Command::MuteSession { session, muted } => {
                self.sessions[session.slot() as usize].mute(muted);
                self.revise_part(session.slot());
            }
            Command::SetGain { session, says, hears } => {
                self.set_gain(session.slot(), says, hears);
            }
            Command::SendDigits { session, digits, cadence } => {
                self.sessions[session.slot() as usize].send_digits(&digits, cadence);
                output.event(Event::DigitsTaken { session });
            }
            Command::Prompt { session, prompt } => {
                self.sessions[session.slot() as usize].prompt(Some(prompt), output);
            }
            Command::CloseSession { session } => self.close_session(session, now, output),
            Command::SendAway { session } => self.send_away(session, luggage),
            Command::TakeIn { session } => self.take_in(session, luggage, now, output),
            Command::OpenRoom { room, sound } => {
                self.open_room(room, sound, self.roster.least_loaded(), None);
            }
            Command::OpenPart { room, sound, spread } => {
                self.open_room(room, sound, phase_of(spread), Some(spread));
                self.spread.open(spread, room.slot());
                self.roster.phase_mut(phase_of(spread)).keep(room.slot());
            }
            Command::CloseRoom { room } => self.close_room(room, now, output),
            Command::StartTap { point, tap, class } => self.start_tap(point, tap, class),
            Command::StopTap { point } => self.end_tap(point, now, output),
            Command::ReportSessions { mut reports } => {
                self.fill_sessions(&mut reports);
                output.event(Event::SessionsReported { reports });
            }
            Command::ReportShard { mut report } => {
                self.fill_shard(&mut report);
                output.event(Event::ShardReported { report });
            }
        }
    }

    fn open_session(
        &mut self,
        key: SessionKey,
        open: &SessionOpen,
        equipment: Option<Box<Equipment>>,
        now: Instant,
        output: &mut impl Output,
    ) {
        let phase = match open.route {
            Route::Room(room) => self.rooms[room.slot() as usize].phase,
            _ => self.roster.least_loaded(),
        };
        let Run { sessions, sources, idle, mut moment, .. } = self.run(now, output);
        idle[key.slot() as usize] = 0;
        let session = &mut sessions[key.slot() as usize];
        session.open(key, open, equipment, phase, &mut moment);
        sources[key.slot() as usize] = Source::named(open.ssrc.0);
        self.enter(key.slot());
        self.totals.sessions += 1;
    }

    fn close_session(&mut self, key: SessionKey, now: Instant, output: &mut impl Output) {
        for point in TapPoint::of_session(key) {
            self.end_tap(point, now, output);
            self.dismiss_monitors(point, now, output);
        }
        self.forgo_mix(key.slot(), now, output);
        self.leave(key.slot());
        let Run { sessions, mut moment, .. } = self.run(now, output);
        sessions[key.slot() as usize].close(&mut moment);
        self.totals.sessions -= 1;
        output.event(Event::SessionClosed { session: key });
    }

    /// Connects a session to something else. It goes to the phase of a room that it enters; where
    /// that one's turn has passed in this period and its own has not, it has its turn alone, now:
    /// so it has one turn in every period, whatever happens.
    pub(crate) fn route_session(
        &mut self,
        slot: u32,
        route: Route,
        now: Instant,
        output: &mut impl Output,
    ) {
        self.forgo_mix(slot, now, output);
        self.leave(slot);
        let phase = match route {
            Route::Room(room) => self.rooms[room.slot() as usize].phase,
            _ => self.sessions[slot as usize].phase,
        };
        self.keep_up(slot, phase, now, output);
        let session = &mut self.sessions[slot as usize];
        session.route = route;
        session.phase = phase;
        self.enter(slot);
    }

    /// A session is to have its turns in this phase: where that one's turn has passed in this period
    /// and its own has not, it has its turn alone, now.
    pub(crate) fn keep_up(&mut self, slot: u32, phase: u8, now: Instant, output: &mut impl Output) {
        let (current, period) = (self.clock.phase(), self.clock.period());
        if phase < current && self.sessions[slot as usize].next_turn <= period {
            self.run(now, output).alone(slot);
        }
    }

    /// A session that waits for the mix of a room that is spread goes on without it.
    pub(crate) fn forgo_mix(&mut self, slot: u32, now: Instant, output: &mut impl Output) {
        let session = &self.sessions[slot as usize];
        let room = session.awaits_mix.then(|| &self.rooms[session.room() as usize]);
        if let Some(spread) = room.and_then(|room| room.spread) {
            let period = self.spread.forget(spread, slot);
            self.run(now, output).forgo_mix(slot, period);
        }
    }

    /// Enters a session into the plan of its phase.
    pub(crate) fn enter(&mut self, slot: u32) {
        self.work_on_sound(slot);
        let session = &mut self.sessions[slot as usize];
        session.has_gain = self.sources[slot as usize].has_gain();
        let route = session.route;
        if let Route::Room(room) = route {
            self.rooms[room.slot() as usize].members += 1;
        }
        self.roster.phase_mut(session.phase).insert(session.room(), session.part());
        if let Route::Monitor(point) = route {
            self.begin_monitoring(slot, point);
        }
    }

    /// Takes a session out of the plan of its phase.
    pub(crate) fn leave(&mut self, slot: u32) {
        self.abdicate(slot);
        if let Route::Monitor(point) = self.sessions[slot as usize].route {
            self.end_monitoring(slot, point);
            // What it is sent until it has come somewhere else is silence of its own.
            self.sessions[slot as usize].route = Route::Idle;
        }
        let session = &self.sessions[slot as usize];
        if let Route::Room(room) = session.route {
            self.rooms[room.slot() as usize].members -= 1;
        }
        self.roster.phase_mut(session.phase).remove(session.room(), slot);
    }

    /// A session's sound is worked on as its room asks for. Digits are looked for in it where
    /// nothing better was negotiated.
    fn work_on_sound(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let sound = match session.route {
            Route::Room(room) => self.rooms[room.slot() as usize].sound,
            _ => RoomSound::DEFAULT,
        };
        let has_events = session.media.telephone_event.is_some();
        session.listen_for_tones(sound.in_band_digits && !has_events);
        session.suppress_noise(sound.noise_suppression);
    }

    /// A session shares its encoder with nobody any more: it is about to leave its room, or to
    /// change what it is sent.
    fn abdicate(&mut self, slot: u32) {
        let Self { sessions, rooms, roster, .. } = self;
        let session = &sessions[slot as usize];
        if let Route::Room(room) = session.route {
            let others = roster.phase(session.phase).members(room.slot()).iter().copied();
            let groups = &mut rooms[room.slot() as usize].groups;
            groups.leave(sessions, slot, others.filter(|&other| other != slot));
        }
    }

    /// Sets a session's gains. Where it had one, its room goes on to look at them, to bring it back
    /// to unity softly.
    fn set_gain(&mut self, slot: u32, says: Gain, hears: Gain) {
        let source = &mut self.sources[slot as usize];
        source.gain = says;
        source.listening_gain = hears;
        self.sessions[slot as usize].has_gain |= source.has_gain();
        self.revise_part(slot);
    }

    /// A session may say or hear something else than before.
    pub(crate) fn revise_part(&mut self, slot: u32) {
        let session = &self.sessions[slot as usize];
        self.roster.phase_mut(session.phase).update(session.room(), session.part());
    }

    fn open_room(&mut self, key: RoomKey, sound: RoomSound, phase: u8, spread: Option<SpreadId>) {
        self.roster.phase_mut(phase).adopt();
        self.rooms[key.slot() as usize] = Room::open(key, phase, sound, spread);
        self.totals.rooms += 1;
    }

    fn close_room(&mut self, key: RoomKey, now: Instant, output: &mut impl Output) {
        self.end_tap(TapPoint::Room(key), now, output);
        self.dismiss_monitors(TapPoint::Room(key), now, output);
        let phase = self.rooms[key.slot() as usize].phase;
        while let Some(&slot) = self.roster.phase(phase).members(key.slot()).first() {
            self.route_session(slot, Route::Idle, now, output);
        }
        self.roster.phase_mut(phase).abandon();
        if let Some(spread) = self.rooms[key.slot() as usize].spread {
            self.spread.close(spread);
            self.roster.phase_mut(phase).release(key.slot());
        }
        self.rooms[key.slot() as usize].is_open = false;
        self.totals.rooms -= 1;
        output.event(Event::RoomClosed { room: key });
    }

    pub(crate) fn session(&self, key: SessionKey) -> Result<&Session, Refusal> {
        self.check_shard(key.shard())?;
        let session = self.sessions.get(key.slot() as usize).ok_or(Refusal::Gone)?;
        if session.is_open && session.key == key { Ok(session) } else { Err(Refusal::Gone) }
    }

    pub(crate) fn room(&self, key: RoomKey) -> Result<&Room, Refusal> {
        self.check_shard(key.shard())?;
        let room = self.rooms.get(key.slot() as usize).ok_or(Refusal::Gone)?;
        if room.is_open && room.key == key { Ok(room) } else { Err(Refusal::Gone) }
    }

    fn check_vacant_session(&self, key: SessionKey) -> Result<(), Refusal> {
        self.check_shard(key.shard())?;
        let session = self.sessions.get(key.slot() as usize).ok_or(Refusal::Full)?;
        if session.is_open { Err(Refusal::Occupied) } else { Ok(()) }
    }

    fn check_vacant_room(&self, key: RoomKey) -> Result<(), Refusal> {
        self.check_shard(key.shard())?;
        let room = self.rooms.get(key.slot() as usize).ok_or(Refusal::Full)?;
        if room.is_open { Err(Refusal::Occupied) } else { Ok(()) }
    }

    fn check_route(&self, slot: u32, route: Route) -> Result<(), Refusal> {
        let key = match route {
            Route::Room(key) => key,
            Route::Monitor(point) => return self.check_monitor(slot, point),
            Route::Idle | Route::Echo | Route::Tone => return Ok(()),
        };
        let room = self.room(key)?;
        if room.members < self.room_members_max { Ok(()) } else { Err(Refusal::Full) }
    }

    fn check_shard(&self, shard: u8) -> Result<(), Refusal> {
        if shard == self.index { Ok(()) } else { Err(Refusal::OtherShard) }
    }
}
