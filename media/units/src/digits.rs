//! Digits of a telephone's keypad, and how they are pressed.

use serde::{Deserialize, Serialize};

/// The keys by the number of their event (RFC 4733 section 3.2).
pub const KEYS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// The number of a key's event. Letters in either case.
pub fn key_number(key: char) -> Option<u8> {
    let key = key.to_ascii_uppercase();
    KEYS.iter().position(|&known| known == key).map(|number| number as u8)
}

/// A few digits in a row, in a place of fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Digits {
    /// The numbers of two keys in each octet, the first in the lower half.
    packed: [u8; Self::MAX / 2],
    count: u8,
}

impl Digits {
    /// Most digits in a row.
    pub const MAX: usize = 32;

    /// The digits that are written here; none where it is empty, too long or has other signs.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = Self::default();
        for key in text.chars() {
            let at = usize::from(digits.count);
            *digits.packed.get_mut(at / 2)? |= key_number(key)? << (at % 2 * 4);
            digits.count += 1;
        }
        (digits.count > 0).then_some(digits)
    }

    /// How many.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The numbers of their events, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        (0..self.len()).map(|at| self.packed[at / 2] >> (at % 2 * 4) & 15)
    }
}

/// How keys are pressed for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cadence {
    /// How long each key is held: [`Cadence::DURATION_MS`].
    pub duration_ms: u16,
    /// The pause after it: [`Cadence::GAP_MS`].
    pub gap_ms: u16,
    /// Power of each tone below 0 dBm0, in dB: [`Cadence::VOLUME`].
    pub volume: u8,
}

impl Cadence {
    /// What applies where nothing was said.
    pub const DEFAULT: Self = Self { duration_ms: 100, gap_ms: 80, volume: 10 };
    /// How long a key may be held. Less than 40 ms need not be recognized (ITU-T Q.24).
    pub const DURATION_MS: std::ops::RangeInclusive<u16> = 40..=8000;
    /// How long a pause may be. Less than 40 ms need not be recognized (ITU-T Q.24).
    pub const GAP_MS: std::ops::RangeInclusive<u16> = 40..=8000;
    /// How soft a key may be. Two louder tones would not fit into full scale together; softer
    /// ones need not be recognized (RFC 4733 section 2.3.4 says 0 to -36 dBm0).
    pub const VOLUME: std::ops::RangeInclusive<u8> = 3..=36;

    /// Whether all of it is within bounds.
    pub fn is_valid(&self) -> bool {
        Self::DURATION_MS.contains(&self.duration_ms)
            && Self::GAP_MS.contains(&self.gap_ms)
            && Self::VOLUME.contains(&self.volume)
    }
}

impl Default for Cadence {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_what_was_written() {
        let all = Digits::parse("0123456789*#abCD").unwrap();
        assert!(all.numbers().eq(0..16));
        let longest = "12".repeat(Digits::MAX / 2);
        let numbers: Vec<u8> = Digits::parse(&longest).unwrap().numbers().collect();
        assert_eq!(numbers, [1, 2].repeat(Digits::MAX / 2));
    }

    #[test]
    fn what_is_no_row_of_digits_is_none() {
        assert_eq!(Digits::parse(""), None);
        assert_eq!(Digits::parse("1E"), None);
        assert_eq!(Digits::parse("1 2"), None);
        assert_eq!(Digits::parse(&"1".repeat(Digits::MAX + 1)), None);
    }
}
