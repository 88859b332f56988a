//! Rooms that are spread over several shards: where their members live.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::RoomKey;
use crate::load::{FULL_PRESSURE, ShardLoad};

/// Pressures that differ by less may be taken for the same.
const PRESSURE_STEP: u32 = FULL_PRESSURE / 10;

/// Which place of the exchange between shards a room has: all its parts meet there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpreadId(pub u16);

/// The places of the exchange and the parts that meet there, kept by the control plane.
#[derive(Debug)]
pub struct SpreadPool {
    free: VecDeque<SpreadId>,
    parts: BTreeMap<RoomKey, SpreadId>,
}

impl SpreadPool {
    /// So many places, all free.
    pub fn new(capacity: u32) -> Self {
        Self { free: (0..capacity as u16).map(SpreadId).collect(), parts: BTreeMap::new() }
    }

    /// Takes the one that was free for longest, for a room whose parts are going to be opened.
    pub fn take(&mut self) -> Option<SpreadId> {
        self.free.pop_front()
    }

    /// Gives one back of whose room no part was opened.
    pub fn give_back(&mut self, spread: SpreadId) {
        if !self.free.contains(&spread) && !self.parts.values().any(|&other| other == spread) {
            self.free.push_back(spread);
        }
    }

    /// A command is sent that opens a part.
    pub fn note_opened(&mut self, part: RoomKey, spread: SpreadId) {
        self.parts.insert(part, spread);
    }

    /// A room is closed, or was not opened. The place is free once no part is left.
    pub fn note_closed(&mut self, room: RoomKey) {
        if let Some(spread) = self.parts.remove(&room) {
            self.give_back(spread);
        }
    }
}

/// The shard for one more member of a room. With a share of 0 that is the one with the fewest
/// sessions. Else it is the first that has a part of it already and whose pressure is below
/// `share_percent`; else the one with the least pressure, and of those whose pressure is in the same
/// tenth the one with the fewest sessions: what is measured wavers, and a crowd comes faster than it
/// is measured. `loads` are those of all shards, and `parts` the shards that have a part, in the order
/// in which they got it.
pub fn choose_shard(loads: &[ShardLoad], parts: &[u8], share_percent: u32) -> u8 {
    let share = share_percent.saturating_mul(FULL_PRESSURE / 100);
    let pressure = |shard: u8| loads.get(usize::from(shard)).map_or(u32::MAX, |load| load.pressure);
    if let Some(&shard) = parts.iter().find(|&&shard| pressure(shard) < share) {
        return shard;
    }
    let all = (0..).zip(loads);
    let least = all.min_by_key(|&(shard, load)| {
        let is_new = !parts.contains(&shard);
        let pressure = if share == 0 { 0 } else { load.pressure / PRESSURE_STEP };
        (pressure, load.sessions, is_new, shard)
    });
    least.map_or(0, |(shard, _)| shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::loads;

    #[test]
    fn a_room_stays_where_it_is_until_its_shard_has_given_its_share() {
        assert_eq!(choose_shard(&loads(&[(10, 0), (49, 900)]), &[1], 50), 1);
        assert_eq!(choose_shard(&loads(&[(10, 0), (50, 900)]), &[1], 50), 0);
        assert_eq!(choose_shard(&loads(&[(49, 0), (60, 900), (0, 0)]), &[1, 0], 50), 0);
    }

    #[test]
    fn beyond_it_the_shard_with_the_most_slack_is_next() {
        assert_eq!(choose_shard(&loads(&[(70, 5), (60, 9), (80, 1)]), &[0, 2], 50), 1);
        assert_eq!(choose_shard(&loads(&[(0, 3), (0, 2), (0, 2)]), &[0], 0), 1);
        assert_eq!(choose_shard(&loads(&[(0, 2), (0, 2), (0, 2)]), &[2], 0), 2);
        assert_eq!(choose_shard(&loads(&[(73, 7), (78, 6)]), &[0], 50), 1, "about the same");
    }

    #[test]
    fn with_a_share_of_nothing_members_are_dealt_out_evenly() {
        assert_eq!(choose_shard(&loads(&[(10, 7), (90, 6)]), &[0], 0), 1);
    }

    #[test]
    fn a_new_room_goes_where_least_is_to_do() {
        assert_eq!(choose_shard(&loads(&[(30, 1), (20, 9)]), &[], 50), 1);
        assert_eq!(choose_shard(&[], &[], 50), 0);
    }

    #[test]
    fn a_place_of_the_exchange_is_given_once() {
        let mut pool = SpreadPool::new(2);
        assert_eq!(
            [pool.take(), pool.take(), pool.take()],
            [Some(SpreadId(0)), Some(SpreadId(1)), None]
        );
        let parts = [RoomKey::new(0, 1, 1), RoomKey::new(1, 7, 1)];
        for part in parts {
            pool.note_opened(part, SpreadId(1));
        }
        pool.note_closed(parts[1]);
        pool.give_back(SpreadId(1));
        assert_eq!(pool.take(), None, "a part is still open");
        pool.note_closed(parts[0]);
        pool.note_closed(parts[0]);
        assert_eq!([pool.take(), pool.take()], [Some(SpreadId(1)), None]);
    }
}
