//! Which sessions are due in which phase, grouped by room: the plan that a tick walks.
//!
//! All rooms of a phase share one list, ordered by room and slot, so a room is a range of it and
//! costs no memory of its own. A change of membership, mute, hold, route or tap edits the list and
//! marks it; the next tick of that phase finds the rooms' ranges and their ways through anew. A
//! tick without a change only walks.

use std::ops::Range;

use media_units::{PHASES, RateClass};
use mixer::{Classes, Format, Part, Way};

use crate::shard::Room;

/// The room of those who are in none: sorts behind all rooms.
pub(crate) const NO_ROOM: u32 = u32::MAX;

/// Sessions in a group, where rooms do not ask for more: few enough that what the first part of a
/// turn brought into the cache (session and socket) is still there for its last.
const GROUP: usize = 64;

/// One room's range of its phase's list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The room's slot, or [`NO_ROOM`].
    pub(crate) room: u32,
    /// Its first part.
    pub(crate) first: u32,
    /// How many parts it has.
    pub(crate) count: u32,
    /// How its sound goes through.
    pub(crate) way: Way,
    /// The rates at which somebody listens.
    pub(crate) classes: Classes,
    /// Whether somebody listens in anything but plain G.711.
    pub(crate) has_senders: bool,
    /// Whether somebody is told who is in the mix.
    pub(crate) wants_names: bool,
    /// Whether somebody has a gain of its own.
    pub(crate) has_gains: bool,
    /// The rate at which a tap or a monitor listens to the room, where one does.
    pub(crate) tap_class: Option<RateClass>,
}

impl Span {
    fn new(
        room: u32,
        first: usize,
        parts: &[Part],
        tap: Option<RateClass>,
        (needs_mix, is_part): (bool, bool),
    ) -> Self {
        let listeners = || parts.iter().filter(|part| part.hears);
        Self {
            room,
            first: first as u32,
            count: parts.len() as u32,
            way: if is_part { Way::Part } else { Way::of(parts, tap.is_some() || needs_mix) },
            classes: listeners().map(|part| part.format.class()).chain(tap).collect(),
            has_senders: listeners().any(|part| matches!(part.format, Format::Other(_))),
            wants_names: listeners().any(|part| part.wants_names),
            has_gains: parts.iter().any(|part| part.has_gain),
            tap_class: tap,
        }
    }
}

/// Rooms that take their turn together: ranges of the phase's spans and slots.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Group {
    /// The first span, and the one behind the last.
    pub(crate) spans: [u32; 2],
    /// The first slot, and the one behind the last.
    pub(crate) slots: [u32; 2],
}

/// The sessions of one phase.
#[derive(Debug)]
pub(crate) struct Phase {
    slots: Vec<u32>,
    rooms: Vec<u32>,
    parts: Vec<Part>,
    spans: Vec<Span>,
    groups: Vec<Group>,
    /// Rooms with a tap, ascending.
    tapped: Vec<u32>,
    /// Parts of spread rooms, ascending.
    kept: Vec<u32>,
    rooms_born: u32,
    changed: bool,
}

/// The sessions of all phases.
#[derive(Debug)]
pub(crate) struct Roster {
    phases: [Phase; PHASES as usize],
}

impl Roster {
    /// An empty roster with memory for so many sessions and rooms in any one phase.
    pub(crate) fn new(sessions_max: u32, rooms_max: u32) -> Self {
        Self { phases: std::array::from_fn(|_| Phase::new(sessions_max, rooms_max)) }
    }

    /// What [`Roster::new`] reserves.
    pub(crate) const fn memory_bytes(sessions_max: u32, rooms_max: u32) -> usize {
        let session = 2 * size_of::<u32>() + size_of::<Part>();
        let spans = spans_max(sessions_max, rooms_max) * (size_of::<Span>() + size_of::<Group>());
        let rooms = rooms_max as usize * 2 * size_of::<u32>();
        PHASES as usize * (sessions_max as usize * session + spans + rooms)
    }

    /// The phase with the least to do. A room counts like a session: it will have some.
    pub(crate) fn least_loaded(&self) -> u8 {
        let load = |phase: &Phase| phase.slots.len() + phase.rooms_born as usize;
        let loads = self.phases.iter().map(load).enumerate();
        loads.min_by_key(|&(_, load)| load).map_or(0, |(phase, _)| phase as u8)
    }

    /// One phase.
    pub(crate) fn phase(&self, phase: u8) -> &Phase {
        &self.phases[usize::from(phase)]
    }

    /// One phase, to change it.
    pub(crate) fn phase_mut(&mut self, phase: u8) -> &mut Phase {
        &mut self.phases[usize::from(phase)]
    }
}

impl Phase {
    fn new(sessions_max: u32, rooms_max: u32) -> Self {
        Self {
            slots: Vec::with_capacity(sessions_max as usize),
            rooms: Vec::with_capacity(sessions_max as usize),
            parts: Vec::with_capacity(sessions_max as usize),
            spans: Vec::with_capacity(spans_max(sessions_max, rooms_max)),
            groups: Vec::with_capacity(spans_max(sessions_max, rooms_max)),
            tapped: Vec::with_capacity(rooms_max as usize),
            kept: Vec::with_capacity(rooms_max as usize),
            rooms_born: 0,
            changed: false,
        }
    }

    /// The slots of its sessions, room by room.
    pub(crate) fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// The groups that have something to do, as of the last [`Phase::plan`].
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The rooms of one group.
    pub(crate) fn spans(&self, group: Group) -> &[Span] {
        &self.spans[group.spans[0] as usize..group.spans[1] as usize]
    }

    /// The sessions of one group.
    pub(crate) fn slots_of(&self, group: Group) -> &[u32] {
        &self.slots[group.slots[0] as usize..group.slots[1] as usize]
    }

    /// The parts of one room, and of all that have their turn after it.
    pub(crate) fn parts_from(&self, span: Span) -> &[Part] {
        &self.parts[span.first as usize..]
    }

    /// The members of one room, from the lists as they are now.
    pub(crate) fn members(&self, room: u32) -> &[u32] {
        &self.slots[self.range(room)]
    }

    /// Their parts.
    pub(crate) fn members_parts(&self, room: u32) -> &[Part] {
        &self.parts[self.range(room)]
    }

    fn range(&self, room: u32) -> Range<usize> {
        let first = self.rooms.partition_point(|&other| other < room);
        let end = self.rooms.partition_point(|&other| other <= room);
        first..end
    }

    /// A room was born in this phase.
    pub(crate) fn adopt(&mut self) {
        self.rooms_born += 1;
    }

    /// A room of this phase was closed.
    pub(crate) fn abandon(&mut self) {
        self.rooms_born -= 1;
    }

    /// A tap listens to a room from now on: it is run even where nobody is in it, so that its
    /// track goes on.
    pub(crate) fn tap(&mut self, room: u32) {
        enlist(&mut self.tapped, room);
        self.changed = true;
    }

    /// No tap listens to a room any more.
    pub(crate) fn untap(&mut self, room: u32) {
        self.changed |= strike(&mut self.tapped, room);
    }

    /// A part of a spread room is open: it is run even where nobody is in it, so that the others
    /// know of it.
    pub(crate) fn keep(&mut self, room: u32) {
        enlist(&mut self.kept, room);
        self.changed = true;
    }

    /// It is closed.
    pub(crate) fn release(&mut self, room: u32) {
        self.changed |= strike(&mut self.kept, room);
    }

    /// Adds a session to a room, or to those who are in none.
    pub(crate) fn insert(&mut self, room: u32, part: Part) {
        let at = self.place(room, part.member);
        self.slots.insert(at, part.member);
        self.rooms.insert(at, room);
        self.parts.insert(at, part);
        self.changed = true;
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, room: u32, slot: u32) {
        let at = self.place(room, slot);
        debug_assert_eq!(self.slots.get(at), Some(&slot));
        self.slots.remove(at);
        self.rooms.remove(at);
        self.parts.remove(at);
        self.changed = true;
    }

    /// Changes what a session may say and hear.
    pub(crate) fn update(&mut self, room: u32, part: Part) {
        let at = self.place(room, part.member);
        debug_assert_eq!(self.slots.get(at), Some(&part.member));
        self.parts[at] = part;
        self.changed = true;
    }

    /// Finds the rooms and their ways where anything changed. A mix that is being turned down goes
    /// on until it is not, so that nobody hears a step: then it is planned anew.
    pub(crate) fn plan(&mut self, rooms: &[Room]) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        self.spans.clear();
        let mut first = 0;
        for members in self.rooms.chunk_by(|one, next| one == next) {
            let room = members[0];
            // Those who are in no room have nothing to do with each other.
            let most = if room == NO_ROOM { GROUP } else { members.len() };
            for members in members.chunks(most) {
                let count = members.len();
                let parts = &self.parts[first..first + count];
                let room_of = rooms.get(room as usize);
                let is_tapped = self.tapped.binary_search(&room).is_ok();
                let tap = is_tapped.then(|| tap_class(room_of, parts));
                let needs_mix = room_of.is_some_and(Room::needs_mix);
                self.changed |= count == 2 && room_of.is_some_and(|room| !room.state.is_at_rest());
                let is_part = self.kept.binary_search(&room).is_ok();
                self.spans.push(Span::new(room, first, parts, tap, (needs_mix, is_part)));
                first += count;
            }
        }
        for &room in &self.kept {
            if self.rooms.binary_search(&room).is_err() {
                let is_tapped = self.tapped.binary_search(&room).is_ok();
                let tap = is_tapped.then(|| tap_class(rooms.get(room as usize), &[]));
                self.spans.push(Span::new(room, first, &[], tap, (false, true)));
            }
        }
        for &room in &self.tapped {
            if self.rooms.binary_search(&room).is_err() && self.kept.binary_search(&room).is_err() {
                let tap = tap_class(rooms.get(room as usize), &[]);
                self.spans.push(Span::new(room, first, &[], Some(tap), (false, false)));
            }
        }
        self.group();
    }

    /// Divides the rooms into groups.
    fn group(&mut self) {
        self.groups.clear();
        let mut group = Group::default();
        for (index, span) in self.spans.iter().enumerate() {
            group.spans[1] = index as u32 + 1;
            group.slots[1] = span.first + span.count;
            if (group.slots[1] - group.slots[0]) as usize >= GROUP {
                self.groups.push(group);
                group = Group { spans: [group.spans[1]; 2], slots: [group.slots[1]; 2] };
            }
        }
        if group.spans[0] < group.spans[1] {
            self.groups.push(group);
        }
    }

    /// Where a session of a room is in the lists, or would be.
    fn place(&self, room: u32, slot: u32) -> usize {
        let first = self.rooms.partition_point(|&other| other < room);
        let end = self.rooms.partition_point(|&other| other <= room);
        first + self.slots[first..end].partition_point(|&other| other < slot)
    }
}

/// The rate at which a room's whole mix is wanted: as its tap asked, or the highest of its members'.
fn tap_class(room: Option<&Room>, parts: &[Part]) -> RateClass {
    let highest = || parts.iter().map(|part| part.format.class()).max();
    room.and_then(|room| room.tap_class).or_else(highest).unwrap_or(RateClass::Narrow)
}

/// Adds a room to an ascending list, once.
fn enlist(rooms: &mut Vec<u32>, room: u32) {
    if let Err(place) = rooms.binary_search(&room) {
        rooms.insert(place, room);
    }
}

/// Takes a room out of such a list. Returns whether it was there.
fn strike(rooms: &mut Vec<u32>, room: u32) -> bool {
    let place = rooms.binary_search(&room);
    place.map(|place| rooms.remove(place)).is_ok()
}

/// Most spans that a phase may have: one a room, and one a group of those who are in none.
const fn spans_max(sessions_max: u32, rooms_max: u32) -> usize {
    rooms_max as usize + (sessions_max as usize).div_ceil(GROUP)
}

#[cfg(test)]
mod tests {
    use media_units::Law;

    use super::*;

    fn part(member: u32) -> Part {
        Part {
            member,
            says: true,
            hears: true,
            tapped: false,
            wants_names: false,
            has_gain: false,
            format: Format::Plain(Law::Mu),
        }
    }

    #[test]
    fn groups_are_whole_rooms_and_cover_everyone_once() {
        let mut roster = Roster::new(400, 8);
        let phase = roster.phase_mut(0);
        let rooms = [(0, 10), (1, 60), (2, 200), (3, 3), (NO_ROOM, 127)];
        let mut slot = 0;
        for (room, members) in rooms {
            for _ in 0..members {
                phase.insert(room, part(slot));
                slot += 1;
            }
        }
        phase.tap(7);
        phase.plan(&[]);
        let groups = phase.groups();
        let sizes: Vec<_> = groups.iter().map(|&group| phase.slots_of(group).len()).collect();
        assert_eq!(sizes, [70, 200, 67, 63]);
        let slots: Vec<_> =
            groups.iter().flat_map(|&group| phase.slots_of(group)).copied().collect();
        assert_eq!(slots, phase.slots());
        let spans: usize = groups.iter().map(|&group| phase.spans(group).len()).sum();
        assert_eq!(spans, phase.spans.len(), "the empty room with a tap has its turn, too");
    }

    #[test]
    fn a_phase_lists_its_sessions_room_by_room() {
        let mut roster = Roster::new(8, 8);
        let phase = roster.phase_mut(2);
        for (room, slot) in [(5, 3), (NO_ROOM, 0), (1, 7), (5, 1), (1, 2)] {
            phase.insert(room, part(slot));
        }
        assert_eq!(phase.slots(), [2, 7, 1, 3, 0]);
        assert_eq!(phase.members(5), [1, 3]);
        phase.remove(5, 1);
        assert_eq!(phase.slots(), [2, 7, 3, 0]);
        assert_eq!(phase.members(4), [0_u32; 0]);
    }

    #[test]
    fn the_plan_follows_every_change() {
        let mut roster = Roster::new(8, 8);
        let phase = roster.phase_mut(0);
        phase.insert(1, part(4));
        phase.insert(1, part(5));
        phase.plan(&[]);
        assert_eq!(phase.spans[0].way, Way::Relay);
        phase.update(1, Part { says: false, ..part(5) });
        phase.plan(&[]);
        assert_eq!(phase.spans[0].way, Way::Translate);
        assert!(!phase.parts_from(phase.spans[0])[1].says);
        phase.update(1, part(5));
        phase.tap(6);
        phase.tap(1);
        phase.plan(&[]);
        assert_eq!(phase.spans[0].way, Way::Mix, "tapped");
        assert_eq!((phase.spans[1].room, phase.spans[1].count), (6, 0));
        phase.untap(1);
        phase.untap(6);
        phase.plan(&[]);
        assert_eq!((phase.spans.len(), phase.spans[0].way), (1, Way::Relay));
    }

    #[test]
    fn the_next_room_is_born_where_least_is_to_do() {
        let mut roster = Roster::new(8, 8);
        roster.phase_mut(0).insert(NO_ROOM, part(1));
        roster.phase_mut(1).adopt();
        roster.phase_mut(2).adopt();
        assert_eq!(roster.least_loaded(), 3);
        roster.phase_mut(2).abandon();
        roster.phase_mut(3).adopt();
        assert_eq!(roster.least_loaded(), 2);
    }
}
