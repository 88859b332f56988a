//! What travels beside a command or a fact: memory that a shard neither makes nor frees.

use engine_control::{Command, Limits};

use crate::{Equipment, Traveller};

/// Memory on its way to a shard, or home.
#[derive(Debug)]
pub enum Luggage {
    /// What a session needs beyond plain G.711.
    Equipment(Box<Equipment>),
    /// A session on its way from one shard to another; or the place for one.
    Traveller(Box<Traveller>),
}

impl Luggage {
    /// What must be donated beside a command, if anything. Beside [`Command::TakeIn`] it is what came
    /// with [`engine_control::Event::SessionLeft`]. Allocates.
    pub fn beside(command: &Command, limits: &Limits) -> Option<Self> {
        let equipment = match command {
            Command::OpenSession { open, .. } => Equipment::for_media(&open.media, limits),
            Command::UpdateSession { media, .. } => Equipment::for_media(media, limits),
            Command::SendAway { .. } => {
                return Some(Self::Traveller(Box::new(Traveller::nobody(limits))));
            }
            _ => None,
        };
        equipment.map(Self::Equipment)
    }

    pub(crate) fn equipment(self) -> Option<Box<Equipment>> {
        match self {
            Self::Equipment(equipment) => Some(equipment),
            Self::Traveller(_) => None,
        }
    }

    pub(crate) fn traveller(self) -> Option<Box<Traveller>> {
        match self {
            Self::Traveller(traveller) => Some(traveller),
            Self::Equipment(_) => None,
        }
    }
}
