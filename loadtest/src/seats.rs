//! Who sits where: the room of each call, who talks, and with which code.

use sim::code::Code;

/// The plan of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seats {
    calls: usize,
    rooms: usize,
    talkers: usize,
}

impl Seats {
    pub(crate) fn new(calls: usize, rooms: usize, talkers: usize) -> Self {
        Self { calls, rooms, talkers }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    pub(crate) fn rooms(&self) -> usize {
        self.rooms
    }

    /// The room of a call, counted from 0. Calls go round the rooms.
    pub(crate) fn room(&self, call: usize) -> usize {
        call % self.rooms
    }

    fn seat(&self, call: usize) -> usize {
        call / self.rooms
    }

    pub(crate) fn talks(&self, call: usize) -> bool {
        self.seat(call) < self.talkers
    }

    /// The code that a call plays, if it talks. Rooms that follow each other use other codes, so
    /// that sound from the wrong room is noticed.
    pub(crate) fn code(&self, call: usize) -> Option<Code> {
        self.talks(call).then(|| Code::of(self.room(call) * self.talkers + self.seat(call)))
    }

    /// The talkers in a call's room, itself included where it talks.
    pub(crate) fn talkers_around(&self, call: usize) -> impl Iterator<Item = usize> + use<> {
        let (room, rooms, calls) = (self.room(call), self.rooms, self.calls);
        (0..self.talkers).map(move |seat| seat * rooms + room).filter(move |&call| call < calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_its_talkers_and_neighbouring_rooms_other_codes() {
        let seats = Seats::new(25, 3, 2);
        assert_eq!(seats.talkers_around(4).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(seats.talkers_around(24).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((0..25).filter(|&call| seats.talks(call)).count(), 6);
        assert!(seats.code(1) != seats.code(0) && seats.code(6).is_none());
    }

    #[test]
    fn a_room_with_fewer_members_than_talkers_has_them_all_talking() {
        let seats = Seats::new(2, 1, 3);
        assert_eq!(seats.talkers_around(0).collect::<Vec<_>>(), [0, 1]);
    }
}
