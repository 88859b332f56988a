//! Mute: nobody hears a session, and nobody hears a click when that begins or ends.

use media_kernels::{GAIN_BITS, Kernels};

use crate::session::Session;

/// A change that is still to be heard, in the session's next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fade {
    /// None: it is heard as it is, or not at all.
    None,
    /// It was muted until now.
    In,
    /// It is muted from now on.
    Out,
}

/// Part of a period that a fade takes: 5 ms.
const PART: usize = 4;

const UNITY: u32 = 1 << GAIN_BITS;

impl Session {
    /// Mutes it, or lets it be heard again.
    pub(crate) fn mute(&mut self, muted: bool) {
        if self.muted != muted {
            self.fade = match self.fade {
                Fade::None if muted => Fade::Out,
                Fade::None => Fade::In,
                // Nothing of the change before was heard yet.
                Fade::In | Fade::Out => Fade::None,
            };
        }
        self.muted = muted;
    }

    /// Whether a muted session still has the beginning of a period to say.
    pub(crate) fn fades_out(&self) -> bool {
        self.fade == Fade::Out
    }

    /// Whether something of its next period may be heard.
    pub(crate) fn may_be_heard(&self) -> bool {
        !self.muted || self.fades_out()
    }

    /// Fades the period in which it was muted, or was so no longer. False where there is nothing to
    /// fade.
    pub(crate) fn soften(&mut self, kernels: &Kernels, block: &mut [i16]) -> bool {
        let (from, to) = match self.fade {
            Fade::None => return false,
            Fade::In => {
                // What it said while it was muted is still in there.
                self.interrupt_suppression();
                (0, UNITY)
            }
            Fade::Out => (UNITY, 0),
        };
        self.fade = Fade::None;
        let (ramp, rest) = block.split_at_mut(block.len() / PART);
        kernels.gain(ramp, from, to);
        if to == 0 {
            rest.fill(0);
        }
        true
    }
}
