//! What the rig's taps carry, kept by tap.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use engine_control::{
    Command, Event, SilenceCause, TapContent, TapId, TapItem, TapPoint, TapReader,
};
use media_units::{Instant, PeriodIndex, RateClass};

use super::Rig;

/// One record of a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    pub period: PeriodIndex,
    pub at: Instant,
    pub kept: Kept,
}

/// What it carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    Sound { class: RateClass, concealed: bool, samples: Vec<i16> },
    Silence { class: RateClass, cause: SilenceCause },
    Packet { source: SocketAddr, on_rtcp_port: bool, octets: Vec<u8> },
    Ended,
}

impl Tapped {
    /// The period's samples, at the rate at which they came.
    pub fn samples(&self) -> Vec<i16> {
        match &self.kept {
            Kept::Sound { samples, .. } => samples.clone(),
            Kept::Silence { class, .. } => vec![0; class.block_samples()],
            Kept::Packet { .. } | Kept::Ended => panic!("no sound: {self:?}"),
        }
    }

    pub fn cause(&self) -> Option<SilenceCause> {
        match self.kept {
            Kept::Silence { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<TapItem<'_>> for Tapped {
    fn from(item: TapItem<'_>) -> Self {
        let kept = match item.content {
            TapContent::Block { class, concealed, samples } => {
                Kept::Sound { class, concealed, samples: samples.to_vec() }
            }
            TapContent::Silence { class, cause } => Kept::Silence { class, cause },
            TapContent::Packet { source, on_rtcp_port, octets } => {
                Kept::Packet { source, on_rtcp_port, octets: octets.to_vec() }
            }
            TapContent::Ended => Kept::Ended,
        };
        Self { period: item.period, at: item.at, kept }
    }
}

/// The ring's end, what was read from it, and how many taps there were.
#[derive(Debug)]
pub struct Shelf {
    reader: Box<TapReader>,
    read: BTreeMap<TapId, Vec<Tapped>>,
    started: u32,
}

impl Shelf {
    pub fn new(reader: Box<TapReader>) -> Self {
        Self { reader, read: BTreeMap::new(), started: 0 }
    }
}

impl Rig {
    pub fn start_tap(&mut self, point: TapPoint) -> TapId {
        self.start_tap_at(point, None)
    }

    pub fn start_tap_at(&mut self, point: TapPoint, class: Option<RateClass>) -> TapId {
        let tap = TapId(self.shelf.started);
        self.shelf.started += 1;
        self.command(Command::StartTap { point, tap, class });
        tap
    }

    /// What a tap carried since this was last asked.
    pub fn tapped(&mut self, tap: TapId) -> Vec<Tapped> {
        let Shelf { reader, read, .. } = &mut self.shelf;
        while reader.read(|&item| read.entry(item.tap).or_default().push(item.into())).is_some() {}
        read.remove(&tap).unwrap_or_default()
    }

    /// Whether it was told that the tap of this point has ended.
    pub fn has_ended(&self, at: TapPoint) -> bool {
        let is_end = |event: &Event| matches!(event, Event::TapEnded { point, .. } if *point == at);
        self.taken.events.iter().any(is_end)
    }
}

/// Asserts that there is one record for every period.
pub fn assert_has_no_hole(tapped: &[Tapped]) {
    for pair in tapped.windows(2) {
        assert_eq!(pair[1].period, pair[0].period + 1);
    }
}
