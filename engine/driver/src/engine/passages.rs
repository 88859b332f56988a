//! Where commands go, and sessions that go from one shard to another.

use engine::Luggage;
use engine_control::{Command, Destination, Event, Left, Refusal, SessionKey};

use super::{Engine, Tenant};
use crate::rings::{Notice, Order};
use crate::sockets::SocketPair;

/// What is said to a session at most about one change of its room: where it goes, and that its taps end and
/// others begin.
const CHANGE_MAX: usize = 6;

impl Engine {
    /// The shard where a session lives, or that it is on its way to.
    pub fn shard_of(&self, session: SessionKey) -> u8 {
        self.residences.shard_of(session)
    }

    /// The shard where a session lives until it has left it: whom a question about it is for.
    pub fn present_shard_of(&self, session: SessionKey) -> u8 {
        self.residences.place_of(session).shard()
    }

    /// Sessions that have arrived on another shard.
    pub fn sessions_moved(&self) -> u64 {
        self.moved
    }

    /// Sends an open session to another shard, with all that it is. Its key, its ports and its
    /// streams stay. It is connected to nothing until it is routed, which may be asked for at once:
    /// what is said to it meanwhile follows it. Refused where too many are under way, and where
    /// packets come to a socket of the whole shard.
    pub fn send_away(&mut self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        self.may_send_away(session, shard)?;
        let from = self.shard_of(session);
        let now = self.clock.now();
        let there = self.shards.get_mut(usize::from(shard)).ok_or(Refusal::Gone)?;
        let at_home = (session.shard() == shard).then_some(session);
        let to = at_home.or_else(|| there.sessions.take_session()).ok_or(Refusal::Full)?;
        there.admission.count(now);
        let command = self.residences.begin(session, to);
        let sent = self.send(Destination::Shard(from), command, SocketPair::default());
        sent.map_err(|(_, refusal)| refusal)
    }

    /// Whether a session could be connected to something on this shard now, with all that belongs to it:
    /// so that nothing is changed for one that cannot.
    pub fn may_go(&self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        if self.residences.places_behind(session) < CHANGE_MAX {
            return Err(Refusal::Busy);
        }
        if self.shard_of(session) != shard {
            self.may_send_away(session, shard)?;
        }
        self.check_way(Destination::Shard(shard))
    }

    fn may_send_away(&self, session: SessionKey, shard: u8) -> Result<(), Refusal> {
        if self.sockets.is_none() {
            return Err(Refusal::Immovable);
        }
        let Some(Tenant::Open { .. }) = self.tenants.get(&session) else {
            return Err(Refusal::Gone);
        };
        let from = self.shard_of(session);
        if from == shard {
            return Err(Refusal::Occupied);
        }
        self.residences.check(session)?;
        self.check_way(Destination::Shard(from))
    }

    /// Whether a command could go there now.
    pub(super) fn check_way(&self, destination: Destination) -> Result<(), Refusal> {
        let Destination::Shard(shard) = destination else { return Ok(()) };
        let ends = &self.shards.get(usize::from(shard)).ok_or(Refusal::Gone)?.ends;
        if ends.orders.is_abandoned() {
            return Err(Refusal::Gone);
        }
        if ends.has_room() { Ok(()) } else { Err(Refusal::Busy) }
    }

    /// Sends a command there, or lets it wait.
    pub(super) fn send(
        &mut self,
        destination: Destination,
        command: Command,
        sockets: SocketPair,
    ) -> Result<(), (Command, Refusal)> {
        match destination {
            Destination::Shard(shard) => {
                let luggage = Luggage::beside(&command, &self.config.limits);
                self.push(shard, command, sockets, luggage)
            }
            Destination::Behind(session) => {
                let waits = self.residences.wait(session, (command, sockets));
                waits.map_err(|(command, _)| (command, Refusal::Busy))
            }
        }
    }

    fn push(
        &mut self,
        shard: u8,
        command: Command,
        sockets: SocketPair,
        luggage: Option<Luggage>,
    ) -> Result<(), (Command, Refusal)> {
        let Some(shard) = self.shards.get_mut(usize::from(shard)) else {
            return Err((command, Refusal::Gone));
        };
        let number = shard.flight.as_mut().map_or(0, |flight| flight.keep(&command));
        let sent = shard.ends.orders.push(Order { command, sockets, luggage, number });
        sent.map_err(|rtrb::PushError::Full(order)| (order.command, Refusal::Busy))
    }

    /// Sends a session that has left a shard on to the next, and behind it what was said to it
    /// meanwhile. Gives back every other notice.
    pub(super) fn pass_on(&mut self, notice: Notice) -> Option<Notice> {
        match notice.event {
            Event::SessionLeft { session } => {
                if let Some(Left { from, to, waiting }) = self.residences.left(session) {
                    let Notice { sockets, luggage, .. } = notice;
                    self.push_kept(to, sockets, luggage);
                    self.give_back_guest(from);
                    self.say_again(waiting);
                }
                None
            }
            Event::Refused { command: Command::SendAway { session }, .. } => {
                if let Some((to, waiting)) = self.residences.stays(session) {
                    self.give_back_guest(to);
                    self.say_again(waiting);
                }
                Some(notice)
            }
            _ => Some(notice),
        }
    }

    fn push_kept(&mut self, to: SessionKey, sockets: SocketPair, luggage: Option<Luggage>) {
        let command = Command::TakeIn { session: to };
        if let Err((_, refusal)) = self.push(to.shard(), command, sockets, luggage) {
            // Its place in the ring is kept: the shard's thread has ended.
            tracing::error!(session = %to, ?refusal, "a session was lost on its way");
        }
    }

    /// What waited for a session goes where that is now. Where it cannot, it is refused as late as by
    /// a shard: whoever said it waits for the outcome.
    pub(super) fn say_again(&mut self, waiting: Vec<(Command, SocketPair)>) {
        for (mut command, sockets) in waiting {
            let sent = match self.residences.address(&mut command) {
                Ok(destination) => self.send(destination, command, sockets),
                Err(refusal) => Err((command, refusal)),
            };
            if let Err((command, refusal)) = sent {
                self.refused.push_back(Event::Refused { command, refusal });
            }
        }
    }

    /// A place is free in which a session lived that is not at home there, or was to.
    fn give_back_guest(&mut self, place: SessionKey) {
        if !self.tenants.contains_key(&place)
            && let Some(shard) = self.shards.get_mut(usize::from(place.shard()))
        {
            shard.sessions.give_back(place.slot(), place.generation());
        }
    }

    /// Closes what is still here of a session and gives its slots back.
    pub(super) fn release(&mut self, session: SessionKey) {
        if self.tenants.remove(&session).is_some() {
            self.give_back_guest(session);
            if let Some(place) = self.residences.close(session) {
                self.give_back_guest(place);
            }
        }
    }
}
