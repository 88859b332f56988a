//! Where sessions live: at home, on the shard that their ports belong to, or on another that they
//! were moved to.
//!
//! The control plane knows a session by the key it was opened under, for as long as it lives. Here
//! that key is changed to the one of the place where the session lives now, in what is sent to a
//! shard, and back again in what a shard tells. What is said to a session that is under way waits,
//! and follows it.

use std::collections::BTreeMap;

use crate::{Command, Event, Refusal, SessionKey};

/// Sessions that are under way at one time.
pub const PASSAGES_MAX: usize = 16;

/// Commands that wait for one session while it is under way.
pub const WAITING_MAX: usize = 16;

/// Where all sessions live. `W` is what waits: a command with what belongs to it.
#[derive(Debug)]
pub struct Residences<W> {
    /// Who is not at home: where it lives.
    away: BTreeMap<SessionKey, SessionKey>,
    /// The other way round.
    guests: BTreeMap<SessionKey, SessionKey>,
    /// Who is under way, by its home.
    passages: BTreeMap<SessionKey, Passage<W>>,
}

/// A session on its way.
#[derive(Debug)]
struct Passage<W> {
    from: SessionKey,
    to: SessionKey,
    /// What is to follow it, until it has left; from then on commands are right behind it.
    waiting: Option<Vec<W>>,
}

/// Where a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To this shard: it names its sessions as that shard does.
    Shard(u8),
    /// Nowhere yet, and it is unchanged: it is to wait for this session, by [`Residences::wait`].
    Behind(SessionKey),
}

/// What a session has come from, and to, that left a shard.
#[derive(Debug)]
pub struct Left<W> {
    /// The place that it was in: it is free, if it is not the session's home.
    pub from: SessionKey,
    /// The place that waits for it.
    pub to: SessionKey,
    /// What is to be sent behind it.
    pub waiting: Vec<W>,
}

impl<W> Default for Residences<W> {
    fn default() -> Self {
        Self { away: BTreeMap::new(), guests: BTreeMap::new(), passages: BTreeMap::new() }
    }
}

impl<W> Residences<W> {
    /// The place of a session now; as long as it has not left, that is where it was.
    pub fn place_of(&self, home: SessionKey) -> SessionKey {
        self.away.get(&home).copied().unwrap_or(home)
    }

    /// The shard of a session, or the one that it is on its way to.
    pub fn shard_of(&self, home: SessionKey) -> u8 {
        self.passages.get(&home).map_or_else(|| self.place_of(home), |passage| passage.to).shard()
    }

    /// How many sessions of this shard live elsewhere.
    pub fn away_from(&self, shard: u8) -> usize {
        self.away.keys().filter(|home| home.shard() == shard).count()
    }

    /// Whether a session could be sent somewhere.
    pub fn check(&self, home: SessionKey) -> Result<(), Refusal> {
        let has_room = self.passages.len() < PASSAGES_MAX && !self.passages.contains_key(&home);
        if has_room { Ok(()) } else { Err(Refusal::Busy) }
    }

    /// How much more could wait for a session that is under way; for who is not nothing has to.
    pub fn places_behind(&self, home: SessionKey) -> usize {
        let passage = self.passages.get(&home);
        let waiting = passage.and_then(|passage| passage.waiting.as_ref());
        waiting.map_or(WAITING_MAX, |waiting| WAITING_MAX - waiting.len())
    }

    /// A session that was checked is sent to this place. Returns the command for the shard where it
    /// lives.
    pub fn begin(&mut self, home: SessionKey, to: SessionKey) -> Command {
        let from = self.place_of(home);
        self.passages.insert(home, Passage { from, to, waiting: Some(Vec::new()) });
        Command::SendAway { session: from }
    }

    /// Finds where a command goes. A question waits for nobody: those that it is about may be elsewhere
    /// by the time that it could be asked, each on another shard. It goes to where they are now, and
    /// who leaves before it comes is missing in the answer.
    pub fn address(&self, command: &mut Command) -> Result<Destination, Refusal> {
        let behind = if command.is_question() { None } else { self.under_way(command) };
        if let Some(home) = behind {
            return Ok(Destination::Behind(home));
        }
        if !self.away.is_empty() {
            command.each_session(|home| *home = self.place_of(*home));
        }
        command.shard().map(Destination::Shard)
    }

    /// The first session in a command that has not left yet.
    fn under_way(&self, command: &mut Command) -> Option<SessionKey> {
        let mut behind = None;
        command.each_session(|home| {
            let passage = self.passages.get(home);
            behind = behind.or(passage.and_then(|passage| passage.waiting.as_ref()).map(|_| *home));
        });
        behind
    }

    /// Lets something wait for a session that is under way; where too much does already it comes back.
    pub fn wait(&mut self, home: SessionKey, what: W) -> Result<(), W> {
        let waiting = self.passages.get_mut(&home).and_then(|passage| passage.waiting.as_mut());
        match waiting {
            Some(waiting) if waiting.len() < WAITING_MAX => waiting.push(what),
            _ => return Err(what),
        }
        Ok(())
    }

    /// A session has left its shard: it lives in its new place from now on, behind whatever is sent
    /// there now.
    pub fn left(&mut self, from: SessionKey) -> Option<Left<W>> {
        let (home, passage) = self.passages.iter_mut().find(|(_, passage)| passage.from == from)?;
        let (home, to) = (*home, passage.to);
        let waiting = passage.waiting.take()?;
        self.guests.remove(&from);
        if to == home {
            self.away.remove(&home);
        } else {
            self.away.insert(home, to);
            self.guests.insert(to, home);
        }
        Some(Left { from, to, waiting })
    }

    /// A session could not be sent away: it stays where it is. Returns the place that waited for it,
    /// and what waited.
    pub fn stays(&mut self, from: SessionKey) -> Option<(SessionKey, Vec<W>)> {
        let (home, _) = self.passages.iter().find(|(_, passage)| passage.from == from)?;
        let home = *home;
        let passage = self.passages.remove(&home)?;
        Some((passage.to, passage.waiting.unwrap_or_default()))
    }

    /// Names all sessions in a command by their homes again.
    pub fn name_command(&self, command: &mut Command) {
        command.each_session(|place| *place = self.guests.get(place).copied().unwrap_or(*place));
    }

    /// Names all sessions in a fact by their homes. A session that has arrived is under way no more.
    pub fn name(&mut self, event: &mut Event) {
        event.each_session(|place| *place = self.guests.get(place).copied().unwrap_or(*place));
        if let Event::SessionArrived { session }
        | Event::Refused { command: Command::TakeIn { session }, .. } = event
        {
            self.passages.remove(session);
        }
    }

    /// A session is closed. Returns the place that it had away from home, if it had one.
    pub fn close(&mut self, home: SessionKey) -> Option<SessionKey> {
        let place = self.away.remove(&home)?;
        self.guests.remove(&place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use media_units::RoomSound;

    use super::*;
    use crate::{RoomKey, Route, SessionReport, TapPoint};

    const HOME: SessionKey = SessionKey::new(0, 5, 1);
    const ABROAD: SessionKey = SessionKey::new(1, 7, 3);
    const BEYOND: SessionKey = SessionKey::new(2, 1, 1);

    /// Whether nobody is away or under way.
    fn is_empty(residences: &Residences<u32>) -> bool {
        let Residences { away, guests, passages } = residences;
        away.is_empty() && guests.is_empty() && passages.is_empty()
    }

    fn mute(session: SessionKey) -> Command {
        Command::MuteSession { session, muted: true }
    }

    /// Where a command goes, and under which key.
    fn addressed(residences: &Residences<u32>, mut command: Command) -> (Destination, SessionKey) {
        let destination = residences.address(&mut command).unwrap();
        let mut key = None;
        command.each_session(|session| key = Some(*session));
        (destination, key.unwrap())
    }

    fn named(residences: &mut Residences<u32>, mut event: Event) -> SessionKey {
        residences.name(&mut event);
        let mut key = None;
        event.each_session(|session| key = Some(*session));
        key.unwrap()
    }

    fn go(residences: &mut Residences<u32>, to: SessionKey) -> Left<u32> {
        residences.check(HOME).unwrap();
        let Command::SendAway { session } = residences.begin(HOME, to) else { panic!() };
        let left = residences.left(session).unwrap();
        assert_eq!(named(residences, Event::SessionArrived { session: to }), HOME);
        left
    }

    #[test]
    fn what_is_said_to_a_session_follows_it_wherever_it_lives() {
        let mut residences = Residences::default();
        assert_eq!(addressed(&residences, mute(HOME)), (Destination::Shard(0), HOME));
        assert_eq!(go(&mut residences, ABROAD).from, HOME);
        assert_eq!(addressed(&residences, mute(HOME)), (Destination::Shard(1), ABROAD));
        assert_eq!(named(&mut residences, Event::TalkStarted { session: ABROAD }), HOME);
        assert_eq!(residences.away_from(0), 1);
        assert_eq!(go(&mut residences, BEYOND).from, ABROAD);
        assert_eq!(residences.shard_of(HOME), 2);
        assert_eq!(named(&mut residences, Event::TalkStarted { session: ABROAD }), ABROAD);
        go(&mut residences, HOME);
        assert_eq!(addressed(&residences, mute(HOME)), (Destination::Shard(0), HOME));
        assert!(is_empty(&residences));
    }

    #[test]
    fn what_is_said_to_a_session_under_way_waits_until_it_has_left_and_is_bounded() {
        let mut residences = Residences::default();
        assert_eq!(residences.begin(HOME, ABROAD).shard(), Ok(0));
        assert_eq!(residences.check(HOME), Err(Refusal::Busy));
        assert_eq!((residences.shard_of(HOME), residences.place_of(HOME)), (1, HOME));
        assert_eq!(addressed(&residences, mute(HOME)), (Destination::Behind(HOME), HOME));
        let other = SessionKey::new(0, 6, 1);
        assert_eq!(addressed(&residences, mute(other)), (Destination::Shard(0), other));
        for number in 0..WAITING_MAX as u32 {
            assert_eq!(residences.places_behind(HOME), WAITING_MAX - number as usize);
            assert_eq!(residences.wait(HOME, number), Ok(()));
        }
        assert_eq!(residences.wait(HOME, 99), Err(99));
        assert_eq!(
            (residences.places_behind(HOME), residences.places_behind(other)),
            (0, WAITING_MAX)
        );
        let left = residences.left(HOME).unwrap();
        assert_eq!((left.from, left.to, left.waiting.len()), (HOME, ABROAD, WAITING_MAX));
        // It has not arrived, but what is sent now comes behind it.
        assert_eq!(residences.places_behind(HOME), WAITING_MAX);
        assert_eq!(addressed(&residences, mute(HOME)), (Destination::Shard(1), ABROAD));
        assert_eq!(residences.check(HOME), Err(Refusal::Busy));
        assert_eq!(residences.wait(HOME, 1), Err(1));
    }

    #[test]
    fn a_question_goes_to_where_a_session_is_and_never_waits() {
        let mut residences = Residences::default();
        let ask = || Command::ReportSessions { reports: Box::new(vec![SessionReport::of(HOME)]) };
        residences.begin(HOME, ABROAD);
        assert_eq!(addressed(&residences, ask()), (Destination::Shard(0), HOME));
        residences.left(HOME).unwrap();
        assert_eq!(addressed(&residences, ask()), (Destination::Shard(1), ABROAD));
    }

    #[test]
    fn who_could_not_be_sent_away_stays_with_all_that_was_said_to_it() {
        let mut residences = Residences::default();
        residences.begin(HOME, ABROAD);
        residences.wait(HOME, 4).unwrap();
        assert_eq!(residences.stays(HOME), Some((ABROAD, vec![4])));
        assert_eq!(addressed(&residences, mute(HOME)), (Destination::Shard(0), HOME));
        assert!(is_empty(&residences));
    }

    #[test]
    fn who_is_closed_abroad_leaves_both_places() {
        let mut residences = Residences::default();
        go(&mut residences, ABROAD);
        assert_eq!(named(&mut residences, Event::SessionClosed { session: ABROAD }), HOME);
        assert_eq!(residences.close(HOME), Some(ABROAD));
        assert_eq!(residences.close(HOME), None);
        assert!(is_empty(&residences));
    }

    #[test]
    fn only_so_many_are_under_way_at_once() {
        let mut residences: Residences<u32> = Residences::default();
        for slot in 0..PASSAGES_MAX as u32 {
            let home = SessionKey::new(0, slot, 1);
            residences.check(home).unwrap();
            residences.begin(home, SessionKey::new(1, slot, 1));
        }
        assert_eq!(residences.check(SessionKey::new(0, 99, 1)), Err(Refusal::Busy));
    }

    #[test]
    fn every_name_of_a_session_in_a_command_is_changed() {
        let mut residences: Residences<u32> = Residences::default();
        go(&mut residences, ABROAD);
        let route = Route::Monitor(TapPoint::Sent(HOME));
        let monitor = SessionKey::new(1, 9, 1);
        let mut command = Command::RouteSession { session: monitor, route };
        assert_eq!(residences.address(&mut command), Ok(Destination::Shard(1)));
        let Command::RouteSession { route, .. } = command else { panic!() };
        assert_eq!(route, Route::Monitor(TapPoint::Sent(ABROAD)));
        let reports = Box::new(vec![SessionReport::of(monitor), SessionReport::of(HOME)]);
        assert_eq!(
            residences.address(&mut Command::ReportSessions { reports }),
            Ok(Destination::Shard(1))
        );
        let room = RoomKey::new(2, 5, 1);
        let mut command = Command::OpenRoom { room, sound: RoomSound::DEFAULT };
        assert_eq!(residences.address(&mut command), Ok(Destination::Shard(2)));
    }
}
