//! Who of a room's listeners share an encoder.
//!
//! Listeners who hear the same and asked for the same encoding are a group: its sound is encoded once,
//! by the sender of its leader, whichever member that is. Who begins to be heard takes a copy of
//! the leader's state along and goes on alone, so its decoder notices nothing; a leader that
//! leaves hands its state to the next one. Who ceased to be heard comes back only after
//! [`ALONE_PERIODS`], and in a pause of the mix if there is one within [`PATIENCE_PERIODS`]: its own
//! encoder has been fed the group's very sound for so long that the states of both have grown
//! alike, and what differs still is hidden by the pause.

use std::mem::replace;

use media_units::PeriodIndex;
use mixer::Part;

use crate::equipment::Equipment;
use crate::sender::Packets;
use crate::session::Session;

/// Groups of one room. Who finds no place encodes alone.
pub(crate) const GROUPS_MAX: usize = 8;

/// Periods that a listener goes on alone after it was last heard: half a second.
const ALONE_PERIODS: PeriodIndex = 25;

/// Periods after that in which it waits for a pause: 5 s.
const PATIENCE_PERIODS: PeriodIndex = 250;

/// No session's slot.
const NOBODY: u32 = u32::MAX;

/// What a room's listeners are sent in one period.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Those of each group, where it was encoded already.
    shared: Vec<Packets>,
    is_done: [bool; GROUPS_MAX],
    /// One that shares no encoder.
    pub(crate) alone: Packets,
}

impl Encoded {
    /// Allocates.
    pub(crate) fn new() -> Self {
        Self {
            shared: (0..GROUPS_MAX).map(|_| Packets::new()).collect(),
            is_done: [false; GROUPS_MAX],
            alone: Packets::new(),
        }
    }

    /// What [`Encoded::new`] reserves.
    pub(crate) const fn memory_bytes() -> usize {
        size_of::<Self>() + GROUPS_MAX * size_of::<Packets>()
    }

    /// Another room's period begins.
    pub(crate) fn clear(&mut self) {
        self.is_done = [false; GROUPS_MAX];
    }

    /// What a group is sent: `encode` is asked for it once in a period.
    pub(crate) fn shared(&mut self, group: u8, encode: impl FnOnce(&mut Packets)) -> &Packets {
        let group = usize::from(group);
        if !replace(&mut self.is_done[group], true) {
            encode(&mut self.shared[group]);
        }
        &self.shared[group]
    }
}

/// Whether a listener shares an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// It does not, at least until this period.
    Alone(PeriodIndex),
    /// With this group of its room.
    Group(u8),
}

impl Sharing {
    /// Who just came.
    pub(crate) const NEW: Self = Self::Alone(0);

    /// Who comes in the middle of what it is sent, and is to notice nothing.
    pub(crate) const fn alone_from(period: PeriodIndex) -> Self {
        Self::Alone(period + ALONE_PERIODS)
    }
}

/// The groups of one room: who leads each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups {
    leaders: [u32; GROUPS_MAX],
}

impl Groups {
    /// None.
    pub(crate) const fn new() -> Self {
        Self { leaders: [NOBODY; GROUPS_MAX] }
    }

    /// Who leads a group.
    pub(crate) fn leader(&self, group: u8) -> u32 {
        self.leaders[usize::from(group)]
    }

    /// Lets those leave who hear something of their own in this period (they are heard, or have a
    /// gain), and those come who have not for long enough; `is_pause` tells that nobody would
    /// notice. Nothing has been encoded in this period yet.
    pub(crate) fn settle(
        &mut self,
        sessions: &mut [Session],
        parts: &[Part],
        period: PeriodIndex,
        is_pause: bool,
        hears_otherwise: impl Fn(u32) -> bool,
    ) {
        for (position, part) in parts.iter().enumerate().filter(|(_, part)| part.hears) {
            let slot = part.member;
            let session = &sessions[slot as usize];
            if session.equipment.is_none() {
                continue;
            }
            // A key that is pressed for it, or a prompt, is in what it alone is sent.
            let is_spoken_to = session.sends_digits || session.is_prompted;
            match (session.sharing, hears_otherwise(position as u32) || is_spoken_to) {
                (_, true) => {
                    // Whoever takes over may be about to go as well: then it hands over in its turn.
                    self.go_alone(sessions, slot, parts.iter().map(|part| part.member), period);
                }
                (Sharing::Alone(until), false) => {
                    let waited_long = until + PATIENCE_PERIODS <= period;
                    if session.sharing == Sharing::NEW
                        || waited_long
                        || (until <= period && is_pause)
                    {
                        self.join(sessions, slot);
                    }
                }
                (Sharing::Group(_), false) => {}
            }
        }
    }

    /// A listener hears something of its own in this period: it has left its group, and does not
    /// come back soon. `others` as in [`Groups::leave`].
    pub(crate) fn go_alone(
        &mut self,
        sessions: &mut [Session],
        slot: u32,
        others: impl Iterator<Item = u32>,
        period: PeriodIndex,
    ) {
        self.leave(sessions, slot, others);
        sessions[slot as usize].sharing = Sharing::alone_from(period);
    }

    /// Takes a listener out of its group, with a copy of the group's state. If it led, the first
    /// of `others` that is in the group leads on from there.
    pub(crate) fn leave(
        &mut self,
        sessions: &mut [Session],
        slot: u32,
        mut others: impl Iterator<Item = u32>,
    ) {
        let sharing = replace(&mut sessions[slot as usize].sharing, Sharing::NEW);
        let Sharing::Group(group) = sharing else { return };
        let leader = &mut self.leaders[usize::from(group)];
        if *leader != slot {
            hand_over(sessions, *leader, slot);
            return;
        }
        let next = others.find(|&other| sessions[other as usize].sharing == sharing);
        *leader = next.unwrap_or(NOBODY);
        if let Some(next) = next {
            hand_over(sessions, slot, next);
        }
    }

    /// Lets a listener into the group of those like it, or begins one. It stays alone where it
    /// would come out of step, or where all groups are taken.
    fn join(&mut self, sessions: &mut [Session], slot: u32) {
        let Some(own) = sessions[slot as usize].equipment.as_deref() else { return };
        let mut free = None;
        for (group, &leader) in self.leaders.iter().enumerate() {
            let leading = sessions.get(leader as usize).and_then(|s| s.equipment.as_deref());
            match leading {
                None => free = free.or(Some(group)),
                Some(leading) if leading.sender.is_like(&own.sender) => {
                    if leading.sender.is_in_step_with(&own.sender) {
                        sessions[slot as usize].sharing = Sharing::Group(group as u8);
                    }
                    return;
                }
                Some(_) => {}
            }
        }
        if let Some(group) = free {
            self.leaders[group] = slot;
            sessions[slot as usize].sharing = Sharing::Group(group as u8);
        }
    }
}

/// The sender of `to` goes on where that of `from` stands.
fn hand_over(sessions: &mut [Session], from: u32, to: u32) {
    let Ok([from, to]) = sessions.get_disjoint_mut([from as usize, to as usize]) else { return };
    if let (Some(from), Some(to)) = (&from.equipment, &mut to.equipment) {
        let (from, to): (&Equipment, &mut Equipment) = (from, to);
        to.sender.continue_from(&from.sender);
    }
}
