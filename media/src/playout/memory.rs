//! The memory that playout needs beyond what is inline: built outside the shard, because it
//! allocates.

use media_units::Encoding;

use super::PlayoutLimits;

/// What a stream of a format other than G.711 needs: its packets until they are due, and the
/// samples decoded and played last. Donated by [`super::Playout::equip`] when a session takes up
/// such a format, and handed back when it leaves it.
#[derive(Debug)]
pub struct Memory {
    pub(super) encoding: Encoding,
}

impl Memory {
    /// Memory for a stream of `encoding`. `None` where nothing is needed (G.711). Allocates.
    pub fn new(encoding: Encoding, _limits: &PlayoutLimits) -> Option<Box<Self>> {
        encoding.law().is_none().then(|| Box::new(Self { encoding }))
    }

    /// The format it was made for.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

/// Where a pull works when more is to be done than to play what is due: one for each shard.
#[derive(Debug, Default)]
pub struct Scratch(());

impl Scratch {
    /// Allocates.
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`Scratch::new`] reserves.
    pub fn memory_bytes() -> usize {
        0
    }
}
