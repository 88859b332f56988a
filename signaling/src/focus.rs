//! The focus of every conference: which rooms there are and who is in them (RFC 4353).

use std::collections::{BTreeMap, BTreeSet};

use engine_control::RoomKey;
use media_units::Instant;

use crate::view::ParticipantId;

/// All conferences, by name.
#[derive(Debug, Default)]
pub(crate) struct Focus {
    conferences: BTreeMap<String, Conference>,
}

/// One conference and its room in the engine.
#[derive(Debug)]
pub(crate) struct Conference {
    pub key: RoomKey,
    pub since: Instant,
    pub members: BTreeSet<ParticipantId>,
}

impl Focus {
    pub(crate) fn len(&self) -> usize {
        self.conferences.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Conference> {
        self.conferences.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Conference)> {
        self.conferences.iter()
    }

    /// Adds a conference that has no member yet.
    pub(crate) fn open(&mut self, name: &str, key: RoomKey, since: Instant) {
        let conference = Conference { key, since, members: BTreeSet::new() };
        self.conferences.insert(name.to_owned(), conference);
    }

    pub(crate) fn join(&mut self, name: &str, who: ParticipantId) {
        if let Some(conference) = self.conferences.get_mut(name) {
            conference.members.insert(who);
        }
    }

    /// Lets `who` go. The room, if nobody is left in it: it is to be closed.
    pub(crate) fn leave(&mut self, name: &str, who: ParticipantId) -> Option<RoomKey> {
        let conference = self.conferences.get_mut(name)?;
        conference.members.remove(&who);
        if !conference.members.is_empty() {
            return None;
        }
        self.conferences.remove(name).map(|conference| conference.key)
    }

    /// Takes out the conference whose room the engine does not have. Its members, who are in none
    /// now.
    pub(crate) fn dissolve(&mut self, key: RoomKey) -> BTreeSet<ParticipantId> {
        let mut conferences = self.conferences.iter();
        let name = conferences.find(|(_, conference)| conference.key == key);
        let name = name.map(|(name, _)| name.clone());
        let conference = name.and_then(|name| self.conferences.remove(&name));
        conference.map(|conference| conference.members).unwrap_or_default()
    }
}
