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
    /// Two members that hear only each other, in the same payload format: each one's frames are
    /// passed to the other as they came.
    Relay,
}

impl Way {
    /// The way for a room of these parts. A relay is possible where exactly two members both say
    /// and hear in one plain payload format and nothing else `needs_mix`: a tap of the room, say.
    pub fn of(parts: &[Part], needs_mix: bool) -> Self {
        match parts {
            [one, other]
                if !needs_mix
                    && one.format == other.format
                    && one.is_plain()
                    && other.is_plain() =>
            {
                Self::Relay
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
            && !self.has_gain
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
    fn anything_else_is_a_mix() {
        let other = Part { member: 7, ..PLAIN };
        assert_eq!(Way::of(&[], false), Way::Mix);
        assert_eq!(Way::of(&[PLAIN], false), Way::Mix);
        assert_eq!(Way::of(&[PLAIN, other, Part { member: 8, ..PLAIN }], false), Way::Mix);
        assert_eq!(Way::of(&[PLAIN, other], true), Way::Mix, "the room needs a mix");
        for different in [
            Part { says: false, ..other },
            Part { hears: false, ..other },
            Part { tapped: true, ..other },
            Part { has_gain: true, ..other },
            Part { format: Format::Plain(Law::A), ..other },
            Part { format: Format::Other(RateClass::Narrow), ..other },
        ] {
            assert_eq!(Way::of(&[PLAIN, different], false), Way::Mix, "{different:?}");
            assert_eq!(Way::of(&[different, PLAIN], false), Way::Mix, "{different:?}");
        }
    }
}
