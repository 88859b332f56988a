//! iLBC (RFC 3951): 20 ms of sound in 38 octets or 30 ms in 50, each frame almost on its own.
//!
//! The residual of a linear prediction is coded from its loudest part, the start state, outwards:
//! each further piece is made of what of the frame is known already. So little depends on frames
//! that may be lost. The decoder smooths the residual with its neighbours a pitch away (the
//! enhancer), which delays it by 5 or 10 ms, and invents the residual of lost frames.
//!
//! Written from the RFC; its floating-point arithmetic in its order, and no function of the
//! platform's, so that every machine gives the same samples. A packet may hold several frames, all
//! of one mode (RFC 3952 section 3.2); the receiver knows the mode by the length.

mod analysis;
mod codebook;
mod conceal;
mod decode;
mod encode;
mod enhance;
mod filter;
mod frame;
mod residual;
mod search;
mod spectrum;
mod state;
mod tables;

pub use decode::IlbcDecoder;
pub use encode::IlbcEncoder;

/// Order of the linear prediction.
const ORDER: usize = 10;

/// Samples in a subframe.
const SUBFRAME: usize = 40;

/// Samples in the two subframes of the start state.
const STATE: usize = 2 * SUBFRAME;

/// Samples in the longest frame.
const SAMPLES_MAX: usize = 240;

/// Subframes in the longest frame.
const SUBFRAMES_MAX: usize = 6;

/// Residual or sound of a frame; of the shorter kind, the first samples only.
type Samples = [f32; SAMPLES_MAX];

/// A filter of linear prediction, its first coefficient 1.
type Lpc = [f32; ORDER + 1];

/// A filter for each subframe.
type Filters = [Lpc; SUBFRAMES_MAX];

/// The filter that changes nothing.
const IDENTITY: Lpc = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// How long the frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// 20 ms.
    Short,
    /// 30 ms.
    Long,
}

impl Mode {
    const fn samples(self) -> usize {
        self.subframes() * SUBFRAME
    }

    const fn octets(self) -> usize {
        match self {
            Self::Short => 38,
            Self::Long => 50,
        }
    }

    const fn subframes(self) -> usize {
        match self {
            Self::Short => 4,
            Self::Long => 6,
        }
    }

    /// Analyses of the spectrum in a frame.
    const fn analyses(self) -> usize {
        match self {
            Self::Short => 1,
            Self::Long => 2,
        }
    }

    /// Samples of the start state that are sent one by one.
    const fn state_samples(self) -> usize {
        match self {
            Self::Short => 57,
            Self::Long => 58,
        }
    }
}

#[cfg(test)]
mod tests;
