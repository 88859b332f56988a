//! Taps and monitors begin and end.

use engine_control::{Event, Refusal, Route, Shedding, TapId, TapPoint};
use media_units::{Instant, RateClass};

use crate::Output;
use crate::shard::Shard;
use crate::taps::Watch;

impl Shard {
    /// Whether a tap could begin at a point.
    pub(crate) fn check_start_tap(&self, point: TapPoint) -> Result<(), Refusal> {
        match self.tap_at(point)? {
            Some(_) => Err(Refusal::Tapped),
            None if self.load().shedding >= Shedding::Taps => Err(Refusal::Overloaded),
            None => self.taps.check_start(),
        }
    }

    /// Begins a tap; that it can was checked.
    pub(crate) fn start_tap(&mut self, point: TapPoint, tap: TapId, class: Option<RateClass>) {
        self.taps.start();
        if let TapPoint::Room(room) = point {
            self.rooms[room.slot() as usize].tap_class = class;
        }
        self.set_tap(point, Some(tap));
    }

    /// Ends the tap at an open point, if there is one.
    pub(crate) fn end_tap(&mut self, point: TapPoint, now: Instant, output: &mut impl Output) {
        let Ok(Some(tap)) = self.tap_at(point) else { return };
        if let TapPoint::Room(room) = point {
            self.rooms[room.slot() as usize].tap_class = None;
        }
        self.set_tap(point, None);
        self.taps.end(tap, self.clock.period(), now);
        output.event(Event::TapEnded { point, tap });
    }

    /// Ends every tap.
    pub(crate) fn end_all_taps(&mut self, now: Instant, output: &mut impl Output) {
        for slot in 0..self.sessions.len() {
            let key = self.sessions[slot].key;
            for point in TapPoint::of_session(key) {
                self.end_tap(point, now, output);
            }
        }
        for slot in 0..self.rooms.len() {
            self.end_tap(TapPoint::Room(self.rooms[slot].key), now, output);
        }
    }

    /// The tap at a point that exists.
    pub(crate) fn tap_at(&self, point: TapPoint) -> Result<Option<TapId>, Refusal> {
        match point {
            TapPoint::Received(session) => self.session(session).map(|of| of.received.tap),
            TapPoint::Sent(session) => self.session(session).map(|of| of.sent.tap),
            TapPoint::Packets(session) => self.session(session).map(|of| of.packets),
            TapPoint::Room(room) => self.room(room).map(|room| room.watch.tap),
        }
    }

    fn set_tap(&mut self, point: TapPoint, tap: Option<TapId>) {
        match (point, self.watch_mut(point)) {
            (TapPoint::Packets(session), _) => {
                self.sessions[session.slot() as usize].packets = tap;
            }
            (_, Some(watch)) => watch.tap = tap,
            (_, None) => {}
        }
        self.revise_point(point);
    }

    /// Whether a session could monitor a point.
    pub(crate) fn check_monitor(&self, slot: u32, point: TapPoint) -> Result<(), Refusal> {
        self.tap_at(point)?;
        let of = point.session().and_then(|key| self.sessions.get(key.slot() as usize));
        let own = self.sessions.get(slot as usize).filter(|own| own.is_open);
        let is_monitored = |watch: Watch| watch.monitor.is_some();
        if matches!(point, TapPoint::Packets(_))
            || of.is_some_and(|of| of.slot() == slot || matches!(of.route, Route::Monitor(_)))
            || own.is_some_and(|own| is_monitored(own.received) || is_monitored(own.sent))
        {
            return Err(Refusal::Unmonitorable);
        }
        let has_place = own.is_some_and(|own| matches!(own.route, Route::Monitor(_)));
        if has_place || self.monitors.has_room() { Ok(()) } else { Err(Refusal::Full) }
    }

    /// A session monitors a point from now on, if the point is still there.
    pub(crate) fn begin_monitoring(&mut self, slot: u32, point: TapPoint) {
        let next_sending = self.sessions[slot as usize].next_turn;
        let Some(mut watch) = self.watch_mut(point).copied() else { return };
        self.monitors.begin(slot, next_sending, &mut watch);
        self.set_watch(point, watch);
    }

    /// A session monitors a point no more.
    pub(crate) fn end_monitoring(&mut self, slot: u32, point: TapPoint) {
        let Some(mut watch) = self.watch_mut(point).copied() else { return };
        let next_sending = self.monitors.end(slot, &mut watch);
        self.set_watch(point, watch);
        let session = &mut self.sessions[slot as usize];
        match next_sending {
            Some(next) if next < session.next_turn => session.send.pause(),
            Some(next) => session.next_turn = next,
            None => {}
        }
    }

    /// All monitors of a point become idle.
    pub(crate) fn dismiss_monitors(
        &mut self,
        point: TapPoint,
        now: Instant,
        output: &mut impl Output,
    ) {
        while let Some(index) = self.watch_mut(point).and_then(|watch| watch.monitor) {
            let slot = self.monitors.get(index).slot;
            self.route_session(slot, Route::Idle, now, output);
        }
    }

    /// Who listens at a point of an open session or room where there is sound.
    fn watch_mut(&mut self, point: TapPoint) -> Option<&mut Watch> {
        self.tap_at(point).ok()?;
        match point {
            TapPoint::Received(session) => {
                Some(&mut self.sessions[session.slot() as usize].received)
            }
            TapPoint::Sent(session) => Some(&mut self.sessions[session.slot() as usize].sent),
            TapPoint::Packets(_) => None,
            TapPoint::Room(room) => Some(&mut self.rooms[room.slot() as usize].watch),
        }
    }

    fn set_watch(&mut self, point: TapPoint, changed: Watch) {
        if let Some(watch) = self.watch_mut(point) {
            *watch = changed;
            self.revise_point(point);
        }
    }

    /// Somebody began or ceased to listen at a point.
    fn revise_point(&mut self, point: TapPoint) {
        match point {
            TapPoint::Received(session) | TapPoint::Sent(session) => {
                self.revise_part(session.slot());
            }
            TapPoint::Packets(_) => {}
            TapPoint::Room(key) => {
                let room = &self.rooms[key.slot() as usize];
                let phase = self.roster.phase_mut(room.phase);
                if room.watch.is_watched() {
                    phase.tap(key.slot());
                } else {
                    phase.untap(key.slot());
                }
            }
        }
    }
}
