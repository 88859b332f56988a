//! The start state: the loudest part of the residual, sent sample by sample (sections 3.5 and
//! 4.2).

use super::filter::{all_pole, circular_all_pass};
use super::frame::Frame;
use super::tables::{STATE_LEVELS, STATE_SCALES};
use super::{Filters, Lpc, Mode, ORDER, SUBFRAME};

/// What the loudest sample is scaled to.
const PEAK: f32 = 4.5;

/// Samples at most.
const STATE_MAX: usize = 58;

/// The samples that the frame says.
pub(super) fn decode(mode: Mode, frame: &Frame, filters: &Filters) -> [f32; STATE_MAX] {
    let length = mode.state_samples();
    let scale = STATE_SCALES[usize::from(frame.scale & 63)] / PEAK;
    let mut levels = [0.0; STATE_MAX];
    for (level, code) in levels[..length].iter_mut().zip(frame.state[..length].iter().rev()) {
        *level = scale * STATE_LEVELS[usize::from(code & 7)];
    }
    let mut state = circular_all_pass(&levels[..length], &filters[usize::from(frame.start) - 1]);
    state[..length].reverse();
    state
}

/// Quantizes the samples into the frame, which says already where they are.
pub(super) fn encode(
    mode: Mode,
    frame: &mut Frame,
    residual: &[f32],
    filters: &Filters,
    weights: &Filters,
) {
    let length = mode.state_samples();
    let start = usize::from(frame.start) - 1;
    let mut state = circular_all_pass(&residual[..length], &filters[start]);
    let loudest = state[..length].iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
    // Between two scales, their geometric mean decides: they are apart by logarithms.
    let above = STATE_SCALES.windows(2).filter(|pair| loudest * loudest > pair[0] * pair[1]);
    frame.scale = above.count() as u8;
    let scale = PEAK / STATE_SCALES[usize::from(frame.scale)];
    for sample in &mut state {
        *sample *= scale;
    }
    // Where the second subframe's filter begins.
    let turn = if frame.state_first == 1 { SUBFRAME } else { length - SUBFRAME };
    frame.state = shape(&state[..length], turn, &weights[start], &weights[start + 1]);
}

/// Quantizes one sample after the other so that the noise is shaped as the weights say.
fn shape(state: &[f32], turn: usize, before: &Lpc, after: &Lpc) -> [u8; STATE_MAX] {
    let mut wanted = [0.0; ORDER + STATE_MAX];
    wanted[ORDER..ORDER + state.len()].copy_from_slice(state);
    all_pole(&mut wanted[..ORDER + turn], before);
    all_pole(&mut wanted[turn..ORDER + state.len()], after);

    let mut made = [0.0; ORDER + STATE_MAX];
    let mut codes = [0; STATE_MAX];
    for (n, code) in codes[..state.len()].iter_mut().enumerate() {
        let weight = if n < turn { before } else { after };
        let upto = &mut made[n..=n + ORDER];
        all_pole(upto, weight);
        *code = level(wanted[n + ORDER] - upto[ORDER]);
        upto[ORDER] = STATE_LEVELS[usize::from(*code)];
        all_pole(upto, weight);
    }
    codes
}

/// The code of the nearest level.
fn level(value: f32) -> u8 {
    STATE_LEVELS.windows(2).filter(|pair| value > f32::midpoint(pair[0], pair[1])).count() as u8
}
