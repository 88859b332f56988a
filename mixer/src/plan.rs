//! Who may say and hear what in a room, as data.

use media_units::{Law, RateClass};

/// One member's part in its room. Members are numbers here; whose, the engine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub struct Part {
    /// Which member.
    pub member: u32,
    /// Whether the others may hear it: it is allowed to send to us and is not muted.
    pub says: bool,
    /// Whether it is sent anything.
    pub hears: bool,
    /// Whether a tap listens to it: it must be decoded then.
    pub tapped: bool,
    /// Whether it is told who is in the mix.
    pub wants_names: bool,
    /// Whether it has a gain of its own, or had one: it comes back to unity softly.
    pub has_gain: bool,
    /// How what it sends and what it is sent is encoded.
    pub format: Format,
}

/// How a member's sound is encoded, as far as the mix must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain G.711: a frame for every period, and no state from one to the next.
    Plain(Law),
    /// Anything else, mixed in this rate class.
    Other(RateClass),
}

impl Format {
    /// The rate class in which its sound is mixed.
    pub const fn class(self) -> RateClass {
        match self {
            Self::Plain(_) => RateClass::Narrow,
            Self::Other(class) => class,
        }
    }
}

/// The way a room's sound takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Decode, sum, subtract, encode.
    #[default]
    Mix,
    /// The same for one part of a room that is spread over several shards.
    Part,
    /// Two members that hear only each other: decode, bring to the other's rate, encode.
    Translate,
    /// Two members that hear only each other, in the same payload format: each one's frames are
    /// passed to the other as they came.
    Relay,
}

impl Way {
    /// The way for a room of these parts. Two members need no mix unless the room itself
    /// `needs_mix` (a tap of it, say) or one has a gain. They are a relay where both say and hear in
    /// one plain payload format and nobody else listens.
    pub fn of(parts: &[Part], needs_mix: bool) -> Self {
        match parts {
            [one, other] if !needs_mix && !one.has_gain && !other.has_gain => {
                let is_relay = one.format == other.format && one.is_plain() && other.is_plain();
                if is_relay { Self::Relay } else { Self::Translate }
            }
            _ => Self::Mix,
        }
    }
}

impl Part {
    const fn is_plain(self) -> bool {
        self.says
            && self.hears
            && !self.tapped
            && !self.wants_names
            && matches!(self.format, Format::Plain(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Part = Part {
        member: 0,
        says: true,
        hears: true,
        tapped: false,
        wants_names: false,
        has_gain: false,
        format: Format::Plain(Law::Mu),
    };

    #[test]
    fn two_plain_members_of_one_encoding_are_a_relay() {
        let other = Part { member: 7, ..PLAIN };
        assert_eq!(Way::of(&[PLAIN, other], false), Way::Relay);
    }

    #[test]
    fn two_who_differ_are_translated() {
        let other = Part { member: 7, ..PLAIN };
        for different in [
            Part { says: false, ..other },
            Part { hears: false, ..other },
            Part { tapped: true, ..other },
            Part { wants_names: true, ..other },
            Part { format: Format::Plain(Law::A), ..other },
            Part { format: Format::Other(RateClass::Narrow), ..other },
        ] {
            assert_eq!(Way::of(&[PLAIN, different], false), Way::Translate, "{different:?}");
            assert_eq!(Way::of(&[different, PLAIN], false), Way::Translate, "{different:?}");
            assert_eq!(Way::of(&[PLAIN, different], true), Way::Mix, "{different:?}");
        }
        let opus = |member| Part { member, format: Format::Other(RateClass::Full), ..PLAIN };
        assert_eq!(Way::of(&[opus(0), opus(7)], false), Way::Translate);
    }

    #[test]
    fn anything_else_is_a_mix() {
        let other = Part { member: 7, ..PLAIN };
        assert_eq!(Way::of(&[], false), Way::Mix);
        assert_eq!(Way::of(&[PLAIN], false), Way::Mix);
        assert_eq!(Way::of(&[PLAIN, other, Part { member: 8, ..PLAIN }], false), Way::Mix);
        assert_eq!(Way::of(&[PLAIN, other], true), Way::Mix, "the room needs a mix");
        let gained = Part { has_gain: true, ..other };
        assert_eq!(Way::of(&[PLAIN, gained], false), Way::Mix);
        assert_eq!(Way::of(&[gained, PLAIN], false), Way::Mix);
    }
}
