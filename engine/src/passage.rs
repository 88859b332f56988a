//! A session goes from one shard to another, as a value.
//!
//! It leaves right after its turn, so that almost a period is left to arrive in: whoever is taken in
//! before its next turn has it there, and nobody hears anything of it. All shards count the same
//! periods, so its timestamps go on; its packets wait in its sockets, which travel beside it.

use std::mem::swap;

use engine_control::{Command, Event, Limits, PASSAGES_MAX, Refusal, Route, SessionKey};
use media_units::{Instant, PHASES};
use mixer::Source;

use crate::groups::Sharing;
use crate::luggage::Luggage;
use crate::quality::late_ticks;
use crate::session::Session;
use crate::shard::Shard;
use crate::spread::SPEAK_TICKS;
use crate::tick::Run;
use crate::{Output, Port};

/// A session on its way, with all that a shard knows of it; or nobody, which is what is left in its
/// place.
#[derive(Debug)]
pub struct Traveller {
    session: Session,
    source: Source,
}

impl Traveller {
    /// The place for one, with all memory that a place needs. Allocates.
    pub(crate) fn nobody(limits: &Limits) -> Self {
        Self { session: Session::vacant(0, 0, limits), source: Source::new() }
    }
}

/// Sessions that leave after their next turn, each with what it leaves behind.
#[derive(Debug)]
pub(crate) struct Departures(Vec<(SessionKey, Box<Traveller>)>);

impl Departures {
    /// Memory for as many as may be under way.
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(PASSAGES_MAX))
    }

    /// What [`Departures::new`] reserves.
    pub(crate) const fn memory_bytes() -> usize {
        PASSAGES_MAX * size_of::<(SessionKey, Box<Traveller>)>()
    }
}

/// Whether a command brings along what it cannot do without.
pub(crate) fn check_luggage(command: &Command, luggage: Option<&Luggage>) -> Result<(), Refusal> {
    match (command, luggage) {
        (Command::SendAway { .. } | Command::TakeIn { .. }, Some(Luggage::Traveller(_))) => Ok(()),
        (Command::SendAway { .. } | Command::TakeIn { .. }, _) => Err(Refusal::Gone),
        _ => Ok(()),
    }
}

impl Shard {
    /// Whether a session could leave. What listens to it, or what it listens to, could not go along.
    pub(crate) fn check_send_away(&self, key: SessionKey) -> Result<(), Refusal> {
        let session = self.session(key)?;
        if session.received.is_watched()
            || session.sent.is_watched()
            || session.packets.is_some()
            || matches!(session.route, Route::Monitor(_))
        {
            return Err(Refusal::Immovable);
        }
        let Departures(departures) = &self.departures;
        let is_leaving = departures.iter().any(|(leaving, _)| *leaving == key);
        if departures.len() < PASSAGES_MAX && !is_leaving { Ok(()) } else { Err(Refusal::Full) }
    }

    /// A session leaves after its next turn.
    pub(crate) fn send_away(&mut self, key: SessionKey, luggage: Option<Luggage>) {
        if let Some(nobody) = luggage.and_then(Luggage::traveller) {
            self.departures.0.push((key, nobody));
        }
    }

    /// The tick is over: those leave who have had their turn in it.
    pub(crate) fn let_go(&mut self, now: Instant, output: &mut impl Output) {
        let mut at = 0;
        while let Some(&(key, _)) = self.departures.0.get(at) {
            if self.has_had_turn(key.slot()) {
                let (_, traveller) = self.departures.0.remove(at);
                self.depart(key, traveller, now, output);
            } else {
                at += 1;
            }
        }
    }

    /// Whether this tick was the last of a session's turn: in a room that is spread it is sent
    /// something later than it is listened to.
    fn has_had_turn(&self, slot: u32) -> bool {
        let session = &self.sessions[slot as usize];
        let room = self.rooms.get(session.room() as usize);
        let is_spread = room.is_some_and(|room| room.spread.is_some());
        let later = if is_spread { SPEAK_TICKS } else { 0 };
        (u64::from(session.phase) + later) % PHASES == u64::from(self.clock.phase())
    }

    fn depart(
        &mut self,
        key: SessionKey,
        mut traveller: Box<Traveller>,
        now: Instant,
        output: &mut impl Output,
    ) {
        let slot = key.slot() as usize;
        self.forgo_mix(key.slot(), now, output);
        self.leave(key.slot());
        let late_ticks = late_ticks(&self.totals);
        let session = &mut self.sessions[slot];
        session.route = Route::Idle;
        session.shift_late_ticks(late_ticks.wrapping_neg());
        swap(session, &mut traveller.session);
        session.key = key;
        swap(&mut self.sources[slot], &mut traveller.source);
        self.totals.sessions -= 1;
        output.retire(Luggage::Traveller(traveller));
        output.event(Event::SessionLeft { session: key });
    }

    /// Takes in a session that left another shard, into a vacant place. If its turn in this period
    /// has passed here, it has it alone, now; periods without a turn are left out.
    pub(crate) fn take_in(
        &mut self,
        key: SessionKey,
        luggage: Option<Luggage>,
        now: Instant,
        output: &mut impl Output,
    ) {
        let Some(mut traveller) = luggage.and_then(Luggage::traveller) else { return };
        let (slot, period) = (key.slot() as usize, self.clock.period());
        swap(&mut self.sessions[slot], &mut traveller.session);
        swap(&mut self.sources[slot], &mut traveller.source);
        self.idle[slot] = 0;
        let late_ticks = late_ticks(&self.totals);
        let Run { sessions, mut moment, .. } = self.run(now, output);
        let session = &mut sessions[slot];
        session.key = key;
        session.shift_late_ticks(late_ticks);
        session.sharing = Sharing::alone_from(period);
        let missed = period.saturating_sub(session.next_turn);
        if missed > 0 {
            session.leave_out(missed, &mut moment);
        }
        if let Some(source) = session.latch.source().filter(|_| session.latch.is_latched()) {
            moment.output.latch(key.slot(), Port::Rtp, Some(source));
        }
        let phase = session.phase;
        self.enter(key.slot());
        self.totals.sessions += 1;
        self.keep_up(key.slot(), phase, now, output);
        output.retire(Luggage::Traveller(traveller));
        output.event(Event::SessionArrived { session: key });
    }
}
