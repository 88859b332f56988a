//! The order in which a frame's residual is made: the start state, its rest, then forwards to the
//! end, then backwards to the beginning (section 3.1). Encoder and decoder go the same way.

use std::ops::Range;

use super::codebook::{self, MEMORY};
use super::frame::{Frame, Piece};
use super::{Filters, Mode, STATE, SUBFRAME, Samples, state};

/// A piece that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// Which: 0 is the rest of the start state.
    pub(super) number: usize,
    /// Where it is in the frame.
    pub(super) range: Range<usize>,
    /// Time runs backwards.
    pub(super) backwards: bool,
}

impl Task {
    /// The samples there, in the task's own time.
    pub(super) fn read(&self, samples: &Samples) -> [f32; SUBFRAME] {
        let mut piece = [0.0; SUBFRAME];
        let length = self.range.len();
        piece[..length].copy_from_slice(&samples[self.range.clone()]);
        if self.backwards {
            piece[..length].reverse();
        }
        piece
    }

    fn write(&self, samples: &mut Samples, piece: &[f32; SUBFRAME]) {
        let target = &mut samples[self.range.clone()];
        target.copy_from_slice(&piece[..self.range.len()]);
        if self.backwards {
            target.reverse();
        }
    }

    /// The past in the task's own time: what is known, the nearest sample last.
    fn past(&self, samples: &Samples, known: &Range<usize>) -> [f32; MEMORY] {
        let mut past = [0.0; MEMORY];
        let count = known.len().min(MEMORY);
        let target = &mut past[MEMORY - count..];
        if self.backwards {
            target.copy_from_slice(&samples[known.start..known.start + count]);
            target.reverse();
        } else {
            target.copy_from_slice(&samples[known.end - count..known.end]);
        }
        past
    }
}

/// Where the samples of the start state are.
pub(super) fn state_range(mode: Mode, frame: &Frame) -> Range<usize> {
    let rest = STATE - mode.state_samples();
    let begin = (usize::from(frame.start) - 1) * SUBFRAME;
    let begin = if frame.state_first == 1 { begin } else { begin + rest };
    begin..begin + mode.state_samples()
}

/// Makes the residual of a frame whose start state is known. `choose` says of each piece which
/// vectors it is made of; it is given the past that the codebook is made from.
pub(super) fn make(
    mode: Mode,
    frame: &Frame,
    filters: &Filters,
    mut choose: impl FnMut(&Task, &[f32]) -> Piece,
) -> Samples {
    let mut samples = [0.0; super::SAMPLES_MAX];
    let mut known = state_range(mode, frame);
    samples[known.clone()]
        .copy_from_slice(&state::decode(mode, frame, filters)[..mode.state_samples()]);
    let both = (usize::from(frame.start) - 1) * SUBFRAME;
    let rest = if frame.state_first == 1 { known.end..both + STATE } else { both..known.start };

    let forwards = both + STATE..mode.samples();
    let pieces = std::iter::once((rest, frame.state_first != 1))
        .chain(forwards.step_by(SUBFRAME).map(|begin| (begin..begin + SUBFRAME, false)))
        .chain((0..both).step_by(SUBFRAME).rev().map(|begin| (begin..begin + SUBFRAME, true)));
    for (number, (range, backwards)) in pieces.enumerate() {
        let task = Task { number, range, backwards };
        let past = task.past(&samples, &known);
        let past = &past[MEMORY - codebook::memory(task.range.len())..];
        let piece = choose(&task, past);
        task.write(&mut samples, &codebook::decode(piece, past, task.range.len()));
        known = known.start.min(task.range.start)..known.end.max(task.range.end);
    }
    samples
}
