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
    turns: StretchTurns,
}

/// Who may look for a place to stretch at. That costs a hundred times what a period costs otherwise: where all
/// streams of a shard want it at once, as after a stall, it would be late for that, and so for ever.
///
/// Where more want it in a round of pulls than are allowed, the next round begins with the first of them who
/// was refused. So whoever goes on to want it is served once before anybody before it is served twice.
#[derive(Debug)]
struct StretchTurns {
    /// How many may still.
    left: u32,
    /// Pulls of this round so far.
    pulls: u32,
    /// The pull of this round from which on they may.
    first: u32,
    /// The first pull behind that, that had to do without.
    refused: Option<u32>,
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
            turns: StretchTurns { left: u32::MAX, pulls: 0, first: 0, refused: None },
        }
    }

    /// Begins a round of pulls, in the same order as ever: so many of them may stretch, the pull number `first` and
    /// those behind it. Without any, all may.
    pub fn allow_stretches(&mut self, stretches: u32, first: u32) {
        self.turns = StretchTurns { left: stretches, pulls: 0, first, refused: None };
    }

    /// With which pull the stretches of the next round like this one are to begin.
    pub fn next_stretch(&self) -> u32 {
        self.turns.refused.unwrap_or(0)
    }

    /// A pull begins.
    pub(super) fn begin_pull(&mut self) {
        self.turns.pulls = self.turns.pulls.wrapping_add(1);
    }

    /// Whether this pull may stretch. It is counted.
    pub(super) fn takes_stretch(&mut self) -> bool {
        let StretchTurns { left, pulls, first, refused } = &mut self.turns;
        let pull = pulls.wrapping_sub(1);
        if pull < *first {
            return false;
        }
        if *left == 0 {
            refused.get_or_insert(pull);
            return false;
        }
        *left -= 1;
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: usize = 333;

    /// How often each of those who want it was allowed to stretch in so many rounds.
    fn served(scratch: &mut Scratch, rounds: usize, wants: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut served = vec![0; STREAMS];
        let mut first = 0;
        for _ in 0..rounds {
            scratch.allow_stretches(50, first);
            for (stream, served) in served.iter_mut().enumerate() {
                scratch.begin_pull();
                *served += u32::from(wants(stream) && scratch.takes_stretch());
            }
            first = scratch.next_stretch();
        }
        served
    }

    #[test]
    fn where_more_want_to_stretch_than_may_each_is_served_once_before_any_is_served_twice() {
        let mut scratch = Scratch::new();
        for rounds in 1..30 {
            let served = served(&mut scratch, rounds, |_| true);
            let (least, most) = (served.iter().min(), served.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{served:?}");
            assert!(served.iter().sum::<u32>() >= 47 * rounds as u32, "{rounds}: {served:?}");
        }
    }

    #[test]
    fn where_no_more_want_to_stretch_than_may_all_are_served_always() {
        let served = served(&mut Scratch::new(), 20, |stream| stream % 7 == 3);
        let fair = served
            .iter()
            .enumerate()
            .all(|(stream, &served)| served == if stream % 7 == 3 { 20 } else { 0 });
        assert!(fair, "{served:?}");
    }

    #[test]
    fn without_rounds_all_may_stretch() {
        let mut scratch = Scratch::new();
        assert!((0..1000).all(|_| scratch.takes_stretch()));
    }
}
