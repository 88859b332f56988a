//! The memory that playout needs beyond what is inline: built outside the shard, because it
//! allocates.

use media_units::Encoding;

use super::PlayoutLimits;
use super::conceal::PAST_QUANTA;
use super::packets::PacketStore;
use super::sound::SoundBuffer;

/// What a stream of a format other than G.711 needs: its packets until they are due, and the
/// samples decoded and played last. Donated by [`super::Playout::equip`] when a session takes up
/// such a format, and handed back when it leaves it.
#[derive(Debug)]
pub struct Memory {
    encoding: Encoding,
    pub(super) packets: PacketStore,
    pub(super) sound: SoundBuffer,
    /// Behind the last packet decoded.
    pub(super) decoded_until: u64,
    /// During a loss: what was played last.
    pub(super) past: Box<[i16]>,
}

impl Memory {
    /// Memory for a stream of `encoding`. `None` where nothing is needed (G.711). Allocates.
    pub fn new(encoding: Encoding, limits: &PlayoutLimits) -> Option<Box<Self>> {
        if encoding.law().is_some() {
            return None;
        }
        let rate = encoding.sample_rate() as usize;
        Some(Box::new(Self {
            encoding,
            packets: PacketStore::new(octets_per_second(encoding), limits.delay_max),
            sound: SoundBuffer::new(rate),
            decoded_until: 0,
            past: vec![0; PAST_QUANTA * (rate / 400)].into_boxed_slice(),
        }))
    }

    /// The format it was made for.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Forgets the stream.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.sound.clear();
        self.decoded_until = 0;
    }
}

/// The most octets that a second of a format takes.
fn octets_per_second(encoding: Encoding) -> usize {
    match encoding {
        // RFC 6716 section 2.1.1: up to 510 kbit/s.
        Encoding::Opus => 64_000,
        Encoding::L16At8000
        | Encoding::L16At16000
        | Encoding::L16At44100
        | Encoding::L16At48000 => 2 * encoding.sample_rate() as usize,
        _ => 8000,
    }
}

/// Where a pull works when more is to be done than to play what is due: one for each shard.
#[derive(Debug)]
pub struct Scratch {
    /// Sound that is due and what follows it.
    pub(super) ahead: Box<[i16]>,
    /// Invented sound that real sound fades into.
    pub(super) spare: Box<[i16]>,
    /// How often sound may still be stretched.
    stretches: u32,
}

/// 80 ms at 48 kHz: a period, and what may be left out of the sound at once.
const AHEAD_SAMPLES: usize = 3840;

/// 10 ms at 48 kHz.
const SPARE_SAMPLES: usize = 480;

impl Scratch {
    /// Allocates.
    pub fn new() -> Self {
        Self {
            ahead: vec![0; AHEAD_SAMPLES].into_boxed_slice(),
            spare: vec![0; SPARE_SAMPLES].into_boxed_slice(),
            stretches: u32::MAX,
        }
    }

    /// Allows so many stretches from now on. To look for a place costs a hundred times what a period costs
    /// otherwise: where all streams of a shard want it at once, as after a stall, it would be late
    /// for that, and so for ever.
    pub fn allow_stretches(&mut self, stretches: u32) {
        self.stretches = stretches;
    }

    /// Whether one more is allowed. It is counted.
    pub(super) fn takes_stretch(&mut self) -> bool {
        let is_allowed = self.stretches > 0;
        self.stretches = self.stretches.saturating_sub(1);
        is_allowed
    }

    /// What [`Scratch::new`] reserves beside itself.
    pub const fn memory_bytes() -> usize {
        (AHEAD_SAMPLES + SPARE_SAMPLES) * size_of::<i16>()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}
