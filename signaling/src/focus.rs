//! The focus of every conference: which rooms there are and who is in them (RFC 4353).

use std::collections::{BTreeMap, BTreeSet};

use engine_control::{RoomKey, SpreadId};
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
    /// Its room, or the oldest part of it.
    pub key: RoomKey,
    /// Where the parts of its room meet, if that may be spread, and the parts but for the oldest.
    pub spread: Option<SpreadId>,
    pub parts: Vec<RoomKey>,
    pub since: Instant,
    pub members: BTreeSet<ParticipantId>,
}

impl Conference {
    /// Its room, or all parts of it, the oldest first.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = RoomKey> + '_ {
        std::iter::once(self.key).chain(self.parts.iter().copied())
    }
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
    pub(crate) fn open(
        &mut self,
        name: &str,
        key: RoomKey,
        spread: Option<SpreadId>,
        since: Instant,
    ) {
        let (parts, members) = (Vec::new(), BTreeSet::new());
        let conference = Conference { key, spread, parts, since, members };
        self.conferences.insert(name.to_owned(), conference);
    }

    /// The room of a conference has one more part.
    pub(crate) fn grow(&mut self, name: &str, part: RoomKey) {
        if let Some(conference) = self.conferences.get_mut(name) {
            conference.parts.push(part);
        }
    }

    pub(crate) fn join(&mut self, name: &str, who: ParticipantId) {
        if let Some(conference) = self.conferences.get_mut(name) {
            conference.members.insert(who);
        }
    }

    /// Lets `who` go. The conference, if nobody is left in it: its room is to be closed.
    pub(crate) fn leave(&mut self, name: &str, who: ParticipantId) -> Option<Conference> {
        let conference = self.conferences.get_mut(name)?;
        conference.members.remove(&who);
        if !conference.members.is_empty() {
            return None;
        }
        self.conferences.remove(name)
    }

    /// Takes out the conference whose room, or a part of it, the engine does not have. Its members
    /// are in none now.
    pub(crate) fn dissolve(&mut self, key: RoomKey) -> Option<(String, Conference)> {
        let mut conferences = self.conferences.iter();
        let name = conferences.find(|(_, conference)| conference.rooms().any(|room| room == key));
        let name = name.map(|(name, _)| name.clone())?;
        self.conferences.remove_entry(&name)
    }
}
