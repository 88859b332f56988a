//! The parameters of a frame, and their bits on the wire (section 3.8).
//!
//! Each parameter's bits are split in three classes of how much it hurts to lose them; all of the
//! first class come first.

use super::Mode;

/// Classes of bits.
const CLASSES: usize = 3;

/// Bits of a parameter in each class.
type Bits = [u8; CLASSES];

/// Stages of a codebook search.
pub(super) const STAGES: usize = 3;

/// Pieces of the residual at most.
const PIECES_MAX: usize = 5;

/// Samples of the start state at most.
const STATE_MAX: usize = 58;

/// Bits of the line spectral frequencies.
const FREQUENCY_BITS: [u8; 3] = [6, 7, 7];

/// Bits of a sample of the start state.
const STATE_BITS: Bits = [0, 1, 2];

/// Bits of the codebook vectors of each piece, and of their gains.
const VECTOR_BITS_SHORT: [[Bits; STAGES]; 3] = [
    [[6, 0, 1], [0, 0, 7], [0, 0, 7]],
    [[7, 0, 1], [0, 0, 7], [0, 0, 7]],
    [[0, 0, 8], [0, 0, 8], [0, 0, 8]],
];
const GAIN_BITS_SHORT: [[Bits; STAGES]; 3] = [
    [[2, 0, 3], [1, 1, 2], [0, 0, 3]],
    [[1, 2, 2], [1, 1, 2], [0, 0, 3]],
    [[1, 1, 3], [0, 2, 2], [0, 0, 3]],
];
const VECTOR_BITS_LONG: [[Bits; STAGES]; 5] = [
    [[4, 2, 1], [0, 0, 7], [0, 0, 7]],
    [[6, 1, 1], [0, 0, 7], [0, 0, 7]],
    [[0, 7, 1], [0, 0, 8], [0, 0, 8]],
    [[0, 7, 1], [0, 0, 8], [0, 0, 8]],
    [[0, 7, 1], [0, 0, 8], [0, 0, 8]],
];
const GAIN_BITS_LONG: [[Bits; STAGES]; 5] = [
    [[1, 1, 3], [1, 1, 2], [0, 0, 3]],
    [[1, 2, 2], [1, 2, 1], [0, 0, 3]],
    [[0, 2, 3], [0, 2, 2], [0, 0, 3]],
    [[0, 1, 4], [0, 1, 3], [0, 0, 3]],
    [[0, 1, 4], [0, 1, 3], [0, 0, 3]],
];

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The line spectral frequencies of each analysis.
    pub(super) frequencies: [[u8; 3]; 2],
    /// The second subframe of the start state, 1 and up.
    pub(super) start: u8,
    /// 1 where what is sent of the start state sample by sample comes first, 0 where it comes last.
    pub(super) state_first: u8,
    /// How loud the start state is.
    pub(super) scale: u8,
    /// The samples of the start state.
    pub(super) state: [u8; STATE_MAX],
    /// The pieces of the residual.
    pub(super) pieces: [Piece; PIECES_MAX],
    /// 1 says that there is no frame.
    pub(super) empty: u8,
}

/// A piece of the residual: a sum of vectors from a codebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Piece {
    pub(super) vectors: [u8; STAGES],
    pub(super) gains: [u8; STAGES],
}

impl Frame {
    /// All zero.
    pub(super) const EMPTY: Self = Self {
        frequencies: [[0; 3]; 2],
        start: 0,
        state_first: 0,
        scale: 0,
        state: [0; STATE_MAX],
        pieces: [Piece { vectors: [0; STAGES], gains: [0; STAGES] }; PIECES_MAX],
        empty: 0,
    };

    /// Reads the parameters. None where they cannot be a frame.
    pub(super) fn read(mode: Mode, octets: &[u8]) -> Option<Self> {
        let mut frame = Self::EMPTY;
        let mut next = 0;
        for class in 0..CLASSES {
            frame.visit(mode, |value, bits| {
                for _ in 0..bits[class] {
                    let octet = octets.get(next / 8).copied().unwrap_or(0);
                    *value = *value << 1 | (octet >> (7 - next % 8)) & 1;
                    next += 1;
                }
            });
        }
        frame.empty = octets.get(next / 8)? >> (7 - next % 8) & 1;
        frame.is_valid(mode).then_some(frame)
    }

    /// Writes the parameters.
    pub(super) fn write(&mut self, mode: Mode, octets: &mut [u8]) {
        octets.fill(0);
        let mut next = 0;
        for class in 0..CLASSES {
            self.visit(mode, |value, bits| {
                let later: u8 = bits[class + 1..].iter().sum();
                for bit in (0..bits[class]).rev() {
                    if let Some(octet) = octets.get_mut(next / 8) {
                        *octet |= (*value >> (later + bit) & 1) << (7 - next % 8);
                    }
                    next += 1;
                }
            });
        }
    }

    fn is_valid(&self, mode: Mode) -> bool {
        (1..mode.subframes() as u8).contains(&self.start) && self.empty == 0
    }

    /// All parameters, in the order of the wire.
    fn visit(&mut self, mode: Mode, mut see: impl FnMut(&mut u8, Bits)) {
        for set in &mut self.frequencies[..mode.analyses()] {
            for (value, bits) in set.iter_mut().zip(FREQUENCY_BITS) {
                see(value, [bits, 0, 0]);
            }
        }
        see(&mut self.start, [if mode == Mode::Short { 2 } else { 3 }, 0, 0]);
        see(&mut self.state_first, [1, 0, 0]);
        see(&mut self.scale, [6, 0, 0]);
        for value in &mut self.state[..mode.state_samples()] {
            see(value, STATE_BITS);
        }
        let (vectors, gains): (&[_], &[_]) = match mode {
            Mode::Short => (&VECTOR_BITS_SHORT, &GAIN_BITS_SHORT),
            Mode::Long => (&VECTOR_BITS_LONG, &GAIN_BITS_LONG),
        };
        // Vectors and gains of the first piece, then the vectors of all others, then their gains.
        let (first, others) = self.pieces.split_at_mut(1);
        for pieces in [(first, 0), (others, 1)] {
            let (pieces, skip) = pieces;
            for (piece, bits) in pieces.iter_mut().zip(&vectors[skip..]) {
                piece.vectors.iter_mut().zip(bits).for_each(|(value, bits)| see(value, *bits));
            }
            for (piece, bits) in pieces.iter_mut().zip(&gains[skip..]) {
                piece.gains.iter_mut().zip(bits).for_each(|(value, bits)| see(value, *bits));
            }
        }
    }
}

impl Piece {
    /// On the wire, the later vectors of the second piece leave out what is never searched there.
    pub(super) fn leave_out_unsearched(&mut self) {
        for vector in &mut self.vectors[1..] {
            *vector = match *vector {
                108..172 => *vector - 64,
                236.. => *vector - 128,
                other => other,
            };
        }
    }

    /// The inverse.
    pub(super) fn put_back_unsearched(&mut self) {
        for vector in &mut self.vectors[1..] {
            *vector = match *vector {
                44..108 => *vector + 64,
                108..128 => *vector + 128,
                other => other,
            };
        }
    }
}
