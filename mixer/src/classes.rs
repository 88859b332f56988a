//! A set of rate classes.

use media_units::RateClass;

/// Which rate classes a room is mixed in: those of its listeners and taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(u8);

impl Classes {
    /// None.
    pub const NONE: Self = Self(0);

    /// The telephone's only.
    pub const NARROW: Self = Self::NONE.and(RateClass::Narrow);

    /// These and one more.
    #[must_use]
    pub const fn and(self, class: RateClass) -> Self {
        Self(self.0 | 1 << class as u8)
    }

    /// Whether it is one of them.
    pub const fn contains(self, class: RateClass) -> bool {
        self.0 >> class as u8 & 1 == 1
    }

    /// All of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All of them, as the low bits of a number.
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// What [`Classes::to_bits`] gave. Other bits mean nothing.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & ((1 << RateClass::ALL.len()) - 1))
    }

    /// All of them, lowest first.
    pub fn iter(self) -> impl Iterator<Item = RateClass> {
        RateClass::ALL.into_iter().filter(move |&class| self.contains(class))
    }

    /// Whether it is all of them.
    pub(crate) const fn are_only(self, class: RateClass) -> bool {
        self.0 == 1 << class as u8
    }
}

impl FromIterator<RateClass> for Classes {
    fn from_iter<I: IntoIterator<Item = RateClass>>(classes: I) -> Self {
        classes.into_iter().fold(Self::NONE, Self::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_lowest_first() {
        let set: Classes =
            [RateClass::Full, RateClass::Narrow, RateClass::Full].into_iter().collect();
        assert!(set.iter().eq([RateClass::Narrow, RateClass::Full]));
        assert!(!set.contains(RateClass::Wide) && !set.are_only(RateClass::Full));
        assert!(Classes::NARROW.are_only(RateClass::Narrow));
        assert_eq!(Classes::NONE.iter().count(), 0);
        assert_eq!(Classes::from_bits(set.to_bits() | 0xf0), set);
        assert_eq!(set.or(Classes::NONE.and(RateClass::Wide)).iter().count(), 3);
    }
}
