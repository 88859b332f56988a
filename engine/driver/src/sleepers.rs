//! Sockets that have been silent for long: they are not read in every period, the kernel says when
//! something comes. What is on hold costs no system call so, and is heard as early as ever.
//!
//! A poll set is asked once in each tick while anyone is in it. Sockets that are spoken to are not
//! in it: to be told of every packet costs more than to look.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{CreateFlags, Event, EventData, EventFlags, add, create, delete, wait};

/// Sockets that are told of by one system call.
pub(crate) const TOLD: usize = 64;

/// At once.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The silent sockets of one shard, known by their slots.
pub(crate) struct Sleepers {
    /// None where the system has no more of them: then all sockets are read as before.
    set: Option<OwnedFd>,
    /// Who sleeps, by slot: thousands of them are looked at in each period, and their sockets are
    /// not.
    asleep: Box<[bool]>,
    count: usize,
}

impl Sleepers {
    pub(crate) fn new(sessions_max: u32) -> Self {
        let asleep = vec![false; sessions_max as usize].into();
        Self { set: create(CreateFlags::CLOEXEC).ok(), asleep, count: 0 }
    }

    /// Whether the socket of this slot was taken in.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.asleep.get(slot as usize).is_some_and(|&asleep| asleep)
    }

    /// Takes in a socket. False where that cannot be: it is to be read as before.
    pub(crate) fn insert(&mut self, slot: u32, socket: BorrowedFd<'_>) -> bool {
        let Some(set) = &self.set else { return false };
        let data = EventData::new_u64(slot.into());
        let is_in = add(set, socket, data, EventFlags::IN | EventFlags::ONESHOT).is_ok();
        self.asleep[slot as usize] = is_in;
        self.count += usize::from(is_in);
        is_in
    }

    /// Gives up a socket; false where it was not taken in.
    pub(crate) fn remove(&mut self, slot: u32, socket: BorrowedFd<'_>) -> bool {
        let Some(set) = self.set.as_ref().filter(|_| self.has(slot)) else { return false };
        // It is in it: nothing else could fail.
        let _ = delete(set, socket);
        self.asleep[slot as usize] = false;
        self.count -= 1;
        true
    }

    /// The slots of some sockets that something came to, each told once; how many they are. Less
    /// than there is place for: these are all.
    pub(crate) fn spoken_to(&self, slots: &mut [u32; TOLD]) -> usize {
        let Some(set) = self.set.as_ref().filter(|_| self.count > 0) else { return 0 };
        let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let mut events = [nothing; TOLD];
        let count = wait(set, &mut events[..], Some(&NOW)).unwrap_or(0);
        for (slot, event) in slots.iter_mut().zip(&events[..count]) {
            *slot = event.data.u64() as u32;
        }
        count
    }
}
