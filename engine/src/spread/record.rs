//! What the parts of a room tell each other, as words.

use media::rtp::{CONTRIBUTORS_MAX, Contributor};
use media_units::{RateClass, Ssrc};
use mixer::{CLAIMS_MAX, Classes, RoomState};

/// Most words of a head.
pub(super) const HEAD_WORDS: usize = 1 + STATE_WORDS + CLAIMS_MAX;

const STATE_WORDS: usize = 3;

/// Most names that a part tells: as many as a listener can be told of, and itself.
pub(crate) const NAMES_MAX: usize = CONTRIBUTORS_MAX + 1;

/// Most words of the sums: two samples in each.
pub(super) const SUMS_WORDS: usize = 1
    + NAMES_MAX
    + (RateClass::Narrow.block_samples()
        + RateClass::Wide.block_samples()
        + RateClass::Full.block_samples())
        / 2;

/// What decides who is heard and how, as far as one part knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The rates at which somebody listens.
    pub(super) classes: Classes,
    /// Whether a member has a gain of its own.
    pub(super) has_gains: bool,
    /// Whether nobody who may be heard is loud.
    pub(super) is_pause: bool,
}

impl Head {
    /// Of a part in which nobody is.
    pub(super) const QUIET: Self =
        Self { classes: Classes::NONE, has_gains: false, is_pause: true };

    /// As words, with what the period before has left and the claims of those who may be among
    /// the loudest.
    pub(super) fn words(
        self,
        state: RoomState,
        claims: impl Iterator<Item = u64>,
    ) -> impl Iterator<Item = u64> {
        let flags = u64::from(self.has_gains) << 8 | u64::from(self.is_pause) << 9;
        let first = u64::from(self.classes.to_bits()) | flags;
        std::iter::once(first).chain(state.to_words()).chain(claims)
    }

    /// What [`Head::words`] gave.
    pub(super) fn read(words: &[u64]) -> Option<(Self, RoomState, &[u64])> {
        let (&[first, ref state @ ..], claims) =
            words.split_first_chunk::<{ 1 + STATE_WORDS }>()?;
        let head = Self {
            classes: Classes::from_bits(first as u8),
            has_gains: first >> 8 & 1 == 1,
            is_pause: first >> 9 & 1 == 1,
        };
        Some((head, RoomState::from_words(*state), claims))
    }

    /// What holds for two parts together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            classes: self.classes.or(other.classes),
            has_gains: self.has_gains || other.has_gains,
            is_pause: self.is_pause && other.is_pause,
        }
    }
}

/// What the audible members of one part are together, but for who they are and what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    /// The rates at which there is a sum.
    pub(super) classes: Classes,
    /// The rates at which somebody hears all of the room.
    pub(super) whole: Classes,
    /// How many are audible.
    pub(super) audible: u32,
}

impl Sums {
    /// As words, with who they are and what they say.
    pub(super) fn words<'a>(
        self,
        names: &'a [Contributor],
        partials: impl Iterator<Item = (RateClass, &'a [i32])>,
    ) -> impl Iterator<Item = u64> {
        let first = u64::from(self.classes.to_bits())
            | u64::from(self.whole.to_bits()) << 8
            | (names.len() as u64) << 16
            | u64::from(self.audible) << 32;
        let names = names.iter().map(|one| u64::from(one.ssrc.0) << 8 | u64::from(one.level_dbov));
        let samples =
            partials.flat_map(|(_, sums)| sums.as_chunks::<2>().0.iter().copied().map(pair));
        std::iter::once(first).chain(names).chain(samples)
    }

    /// What [`Sums::words`] gave: with the words of [`Sums::names`] and of [`Sums::partials`].
    pub(super) fn read(words: &[u64]) -> Option<(Self, &[u64], &[u64])> {
        let (&first, rest) = words.split_first()?;
        let (names, samples) = rest.split_at_checked((first >> 16) as usize & 0xffff)?;
        let sums = Self {
            classes: Classes::from_bits(first as u8),
            whole: Classes::from_bits((first >> 8) as u8),
            audible: (first >> 32) as u32,
        };
        Some((sums, names, samples))
    }

    /// Who they are.
    pub(super) fn names(words: &[u64]) -> impl Iterator<Item = Contributor> {
        let name = |&word: &u64| (Ssrc((word >> 8) as u32), word as u8);
        words.iter().map(name).map(|(ssrc, level_dbov)| Contributor { ssrc, level_dbov })
    }

    /// What they say at each rate: the words of [`samples`].
    pub(super) fn partials(self, mut words: &[u64]) -> impl Iterator<Item = (RateClass, &[u64])> {
        let classes = RateClass::ALL.into_iter().filter(move |&class| self.classes.contains(class));
        classes.map_while(move |class| {
            let (own, others) = words.split_at_checked(class.block_samples() / 2)?;
            words = others;
            Some((class, own))
        })
    }
}

fn pair([one, other]: [i32; 2]) -> u64 {
    u64::from(one as u32) | u64::from(other as u32) << 32
}

/// The samples of words.
pub(super) fn samples(words: &[u64]) -> impl Iterator<Item = i32> {
    words.iter().flat_map(|&word| [word as u32 as i32, (word >> 32) as u32 as i32])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_told() {
        let classes = Classes::NARROW.and(RateClass::Full);
        let head = Head { classes, has_gains: true, is_pause: false };
        let state = RoomState::from_words([7, 8, 3]);
        let words: Vec<u64> = head.words(state, [u64::MAX; CLAIMS_MAX].into_iter()).collect();
        assert_eq!(words.len(), HEAD_WORDS);
        let (read, state_read, claims) = Head::read(&words).unwrap();
        assert_eq!((read, state_read.to_words(), claims.len()), (head, [7, 8, 3], CLAIMS_MAX));
        assert_eq!(Head::QUIET.and(head), head);
    }

    #[test]
    fn sums_are_read_as_they_were_told() {
        let classes: Classes = RateClass::ALL.into_iter().collect();
        let sums = Sums { classes, whole: Classes::NARROW, audible: 70_000 };
        let name = Contributor { ssrc: Ssrc(0xdead_beef), level_dbov: 127 };
        let block: Vec<i32> = (0..960).map(|at| if at % 2 == 0 { -at } else { at << 20 }).collect();
        let partials = RateClass::ALL.map(|class| (class, &block[..class.block_samples()]));
        let names = [name; NAMES_MAX];
        let words: Vec<u64> = sums.words(&names, partials.into_iter()).collect();
        assert_eq!(words.len(), SUMS_WORDS);
        let (read, names_read, samples_read) = Sums::read(&words).unwrap();
        assert_eq!(read, sums);
        let told: Vec<_> = Sums::names(names_read).map(|one| (one.ssrc, one.level_dbov)).collect();
        assert_eq!(told, [(name.ssrc, name.level_dbov); NAMES_MAX]);
        let samples_read = read.partials(samples_read);
        for ((class, words), (expected, block)) in samples_read.zip(partials) {
            assert_eq!(class, expected);
            assert!(samples(words).eq(block.iter().copied()));
        }
    }

    proptest! {
        #[test]
        fn any_words_can_be_read(words in proptest::collection::vec(any::<u64>(), 0..100)) {
            if let Some((sums, names, samples)) = Sums::read(&words) {
                prop_assert!(Sums::names(names).count() < words.len());
                prop_assert!(sums.partials(samples).all(|(_, words)| words.len() <= samples.len()));
            }
            prop_assert_eq!(Head::read(&words).is_some(), words.len() >= 4);
        }
    }
}
