//! Which rooms are recorded: follows what the front end tells, and begins what the configuration
//! asks for.

use std::collections::BTreeMap;

use engine_control::TapPoint;
use signaling::{Fact, Outside, RecordedTrack, RecordingId, RecordingStart};

use crate::world::World;

/// The keeper of recordings.
pub(crate) struct Keeper {
    /// Whether every room is recorded.
    all_rooms: bool,
    /// Rooms that are recorded.
    rooms: BTreeMap<String, RecordingId>,
}

impl Keeper {
    pub(crate) fn new(all_rooms: bool) -> Self {
        Self { all_rooms, rooms: BTreeMap::new() }
    }

    /// Whether a room is recorded now.
    pub(crate) fn records(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }

    /// Takes a fact.
    pub(crate) fn take(&mut self, fact: Fact, world: &mut World) {
        match fact {
            Fact::RoomOpened { name, key } if self.all_rooms => {
                let track = RecordedTrack {
                    point: TapPoint::Room(key),
                    label: "mix".to_owned(),
                    participant: None,
                };
                let start = RecordingStart {
                    subject: name.clone(),
                    room: Some(name.clone()),
                    call_id: None,
                    tracks: vec![track],
                };
                // A conference without its recording is worth more than no conference; what was
                // refused is counted and logged.
                if let Ok(recording) = world.begin_recording(start) {
                    self.rooms.insert(name, recording);
                }
            }
            Fact::RoomClosed { name } => {
                self.rooms.remove(&name);
            }
            _ => {}
        }
    }
}
