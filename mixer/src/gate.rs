//! A noise gate: sources softer than a threshold are silence.

/// Whether one source's gate is open. Zero at birth: closed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gate {
    /// Blocks for which it stays open whatever comes.
    open_blocks: u8,
}

/// It stays open so long after the last loud block, so that words keep their ends: 300 ms.
const HOLD_BLOCKS: u8 = 15;

/// An open gate closes only at this much below the threshold.
const HYSTERESIS_DB: u8 = 3;

impl Gate {
    /// Takes a block of this level, in dB below full scale like the threshold, and says whether it
    /// may be heard.
    pub(crate) fn block(&mut self, threshold_dbov: u8, level_dbov: u8) -> bool {
        let softest =
            if self.open_blocks > 0 { threshold_dbov + HYSTERESIS_DB } else { threshold_dbov };
        if level_dbov <= softest {
            self.open_blocks = HOLD_BLOCKS;
            return true;
        }
        let is_open = self.open_blocks > 0;
        self.open_blocks = self.open_blocks.saturating_sub(1);
        is_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_at_once_holds_and_closes() {
        let mut gate = Gate::default();
        assert!(!gate.block(50, 51));
        assert!(gate.block(50, 50));
        assert!((0..100).all(|_| gate.block(50, 53)), "hysteresis");
        let open = (0..100).take_while(|_| gate.block(50, 90)).count();
        assert_eq!(open, 15, "300 ms");
        assert!(!gate.block(50, 53));
    }
}
