//! Taps begin and end.

use engine_control::{Event, Refusal, TapId, TapPoint};
use media_units::Instant;

use crate::Output;
use crate::shard::Shard;

impl Shard {
    /// Whether a tap could begin at a point.
    pub(crate) fn check_start_tap(&self, point: TapPoint) -> Result<(), Refusal> {
        match self.tap_at(point)? {
            Some(_) => Err(Refusal::Tapped),
            None => self.taps.check_start(),
        }
    }

    /// Begins a tap; that it can was checked.
    pub(crate) fn start_tap(&mut self, point: TapPoint, tap: TapId) {
        self.taps.start();
        self.set_tap(point, Some(tap));
    }

    /// Ends the tap at an open point, if there is one.
    pub(crate) fn end_tap(&mut self, point: TapPoint, now: Instant, output: &mut impl Output) {
        let Ok(Some(tap)) = self.tap_at(point) else { return };
        self.set_tap(point, None);
        self.taps.end(tap, self.clock.period(), now);
        output.event(Event::TapEnded { point, tap });
    }

    /// The tap at a point that exists.
    pub(crate) fn tap_at(&self, point: TapPoint) -> Result<Option<TapId>, Refusal> {
        match point {
            TapPoint::Received(session) => self.session(session).map(|session| session.tap),
            TapPoint::Room(room) => self.room(room).map(|room| room.tap),
            TapPoint::Sent(_) | TapPoint::Packets(_) => Err(Refusal::Gone),
        }
    }

    fn set_tap(&mut self, point: TapPoint, tap: Option<TapId>) {
        match point {
            TapPoint::Received(session) => {
                self.sessions[session.slot() as usize].tap = tap;
                self.revise_part(session.slot());
            }
            TapPoint::Room(key) => {
                let room = &mut self.rooms[key.slot() as usize];
                room.tap = tap;
                let phase = self.roster.phase_mut(room.phase);
                if tap.is_some() { phase.tap(key.slot()) } else { phase.untap(key.slot()) }
            }
            TapPoint::Sent(_) | TapPoint::Packets(_) => {}
        }
    }
}
