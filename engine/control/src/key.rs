//! Typed, generational keys: a stale key is refused, never a wrong call.

use std::fmt;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub struct $name(u64);

        impl $name {
            /// The key of slot `slot` (at most 2^24 - 1) of shard `shard` in its `generation`-th use.
            pub const fn new(shard: u8, slot: u32, generation: u32) -> Self {
                assert!(slot < 1 << 24, "a shard has fewer than 2^24 slots");
                Self((shard as u64) << 56 | (slot as u64) << 32 | generation as u64)
            }

            /// The shard that holds it.
            pub const fn shard(self) -> u8 {
                (self.0 >> 56) as u8
            }

            /// Its place in the shard's slab.
            pub const fn slot(self) -> u32 {
                (self.0 >> 32) as u32 & 0x00ff_ffff
            }

            /// How often the slot was used before: tells an old tenant from the present one.
            pub const fn generation(self) -> u32 {
                self.0 as u32
            }

            /// The whole key as one number, for logs and the API.
            pub const fn as_u64(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}.{}.{}"), self.shard(), self.slot(), self.generation())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

key!(
    /// One RTP session with one endpoint (RFC 3550).
    SessionKey,
    "s"
);
key!(
    /// The media twin of one conference.
    RoomKey,
    "r"
);

/// The free slots of one slab of one shard, kept by the control plane. The least recently freed
/// slot is given first, so that a port rests as long as possible before its next tenant.
#[derive(Debug)]
pub struct SlotPool {
    shard: u8,
    free: std::collections::VecDeque<u32>,
    generations: Vec<u32>,
}

impl SlotPool {
    /// A pool of `capacity` slots of `shard`, all free.
    pub fn new(shard: u8, capacity: u32) -> Self {
        Self { shard, free: (0..capacity).collect(), generations: vec![0; capacity as usize] }
    }

    /// How many slots are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// How many slots are taken.
    pub fn taken(&self) -> usize {
        self.generations.len() - self.free.len()
    }

    /// Takes a slot: its shard, index and new generation.
    pub fn take(&mut self) -> Option<(u8, u32, u32)> {
        let slot = self.free.pop_front()?;
        let generation = self.generations.get_mut(slot as usize)?;
        *generation = generation.wrapping_add(1);
        Some((self.shard, slot, *generation))
    }

    /// Takes a slot for a session.
    pub fn take_session(&mut self) -> Option<SessionKey> {
        self.take().map(|(shard, slot, generation)| SessionKey::new(shard, slot, generation))
    }

    /// Takes a slot for a room.
    pub fn take_room(&mut self) -> Option<RoomKey> {
        self.take().map(|(shard, slot, generation)| RoomKey::new(shard, slot, generation))
    }

    /// Gives a slot back. Only after the shard has said that it let go of it
    /// ([`crate::Event::SessionClosed`], [`crate::Event::RoomClosed`]).
    pub fn give_back(&mut self, slot: u32, generation: u32) -> bool {
        if self.generations.get(slot as usize) != Some(&generation) || self.free.contains(&slot) {
            return false;
        }
        self.free.push_back(slot);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_parts() {
        let key = SessionKey::new(3, 0x00ab_cdef, 77);
        assert_eq!((key.shard(), key.slot(), key.generation()), (3, 0x00ab_cdef, 77));
        assert_eq!(key.to_string(), "s3.11259375.77");
    }

    #[test]
    fn a_slot_is_reused_last_and_under_a_new_generation() {
        let mut pool = SlotPool::new(0, 2);
        let first = pool.take_session().unwrap();
        assert!(pool.give_back(first.slot(), first.generation()));
        assert!(!pool.give_back(first.slot(), first.generation()), "given back twice");
        let second = pool.take_session().unwrap();
        assert_ne!(first.slot(), second.slot());
        let third = pool.take_session().unwrap();
        assert_eq!(first.slot(), third.slot());
        assert_ne!(first, third);
        assert!(pool.take_session().is_none());
        assert_eq!((pool.free(), pool.taken()), (0, 2));
    }
}
