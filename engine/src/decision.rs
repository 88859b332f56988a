//! What was decided about a session, for whoever wants to know why it was heard or not.

use media::playout::Pulled;
use media_units::{DISCARDS, Discard};

/// What a session said in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Said {
    /// Nothing: it had its turn in this period already.
    #[default]
    Rested,
    /// Nothing was received: it has not begun, pauses, or is gone.
    Nothing,
    /// Comfort noise.
    Noise,
    /// Received sound that is silence.
    Silent,
    /// Received sound.
    Played,
    /// Invented sound in place of what is missing.
    Concealed,
    /// Received, and not decoded: by its level nobody would hear it.
    Skipped,
}

impl Said {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Rested,
        Self::Nothing,
        Self::Noise,
        Self::Silent,
        Self::Played,
        Self::Concealed,
        Self::Skipped,
    ];
}

impl From<Pulled> for Said {
    fn from(pulled: Pulled) -> Self {
        match pulled {
            Pulled::Silence => Self::Nothing,
            Pulled::Noise => Self::Noise,
            Pulled::Played => Self::Played,
            Pulled::Concealed => Self::Concealed,
        }
    }
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A turn in a room.
    Turn {
        /// What was said.
        said: Said,
        /// Whether it is muted.
        is_muted: bool,
        /// Whether the others hear it.
        is_heard: bool,
    },
    /// A datagram was not used.
    Discarded(Discard),
}

impl Decision {
    /// As a small number.
    pub const fn to_bits(self) -> u8 {
        match self {
            Self::Turn { said, is_muted, is_heard } => {
                said as u8 | (is_muted as u8) << 3 | (is_heard as u8) << 4
            }
            Self::Discarded(reason) => 0x80 | reason as u8,
        }
    }

    /// The decision with this number, if one has it.
    pub fn from_bits(bits: u8) -> Option<Self> {
        if bits & 0x80 != 0 {
            return DISCARDS.get(usize::from(bits & 0x7f)).map(|&reason| Self::Discarded(reason));
        }
        let said = *Said::ALL.get(usize::from(bits & 7))?;
        let (is_muted, is_heard) = (bits >> 3 & 1 == 1, bits >> 4 & 1 == 1);
        (bits >> 5 == 0).then_some(Self::Turn { said, is_muted, is_heard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_has_its_number() {
        let turns = Said::ALL.into_iter().flat_map(|said| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(is_muted, is_heard)| Decision::Turn { said, is_muted, is_heard })
        });
        let all: Vec<Decision> = turns.chain(DISCARDS.map(Decision::Discarded)).collect();
        for decision in &all {
            assert_eq!(Decision::from_bits(decision.to_bits()), Some(*decision));
        }
        let known = (0..=255).filter(|&bits| Decision::from_bits(bits).is_some()).count();
        assert_eq!(known, all.len());
    }
}
