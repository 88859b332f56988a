//! Sound made shorter or longer without a change of pitch (in the style of WSOLA: waveform
//! similarity overlap-add).
//!
//! A splice jumps from one place of the sound to another that looks the same, one or more periods
//! of the voice further or back, and fades from the one into the other. What is found is only
//! used where the likeness is good, or where it is too quiet to be heard.

use std::ops::{Range, RangeInclusive};

use super::similarity::{Comparison, Correlation, mean_square};

/// Where to splice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Splice {
    /// Samples before the jump.
    pub(super) at: usize,
    /// How far: forward takes sound out, back repeats it.
    pub(super) jump: isize,
}

/// What may be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Samples in 2.5 ms.
    pub(super) quantum: usize,
    /// Samples in a period.
    pub(super) period: usize,
    /// Samples that the delay is to change by.
    pub(super) wanted: usize,
    /// The likeness that is good enough, of 1024.
    pub(super) likeness: i64,
}

/// Sound as soft as that may be cut anywhere: the mean square of a sine at about -46 dBov.
const QUIET: i64 = 13_000;

/// The fade, in quanta: 5 ms.
const FADE: usize = 2;

/// The longest jump in sound, in quanta: 15 ms.
const JUMP_MAX: usize = 6;

/// Where to leave out up to `bounds.wanted` samples, of a sound of at least a period, a
/// jump and a fade.
pub(super) fn shorten(sound: &[i16], bounds: Bounds) -> Option<Splice> {
    let Bounds { quantum, period, wanted, .. } = bounds;
    let fade = FADE * quantum;
    let room = sound.len().checked_sub(period)?.min(wanted);
    if room == 0 {
        return None;
    }
    if mean_square(&sound[..period + room]) < QUIET {
        return Some(Splice { at: 0, jump: room as isize });
    }
    let most = room.min(JUMP_MAX * quantum);
    let mut best = None;
    for at in [0, 2 * quantum, 4 * quantum, 6 * quantum] {
        let from = at..at + fade;
        search(sound, from, quantum..=most, &mut best, |jump| (at + jump, jump as isize));
    }
    accept(best, bounds)
}

/// Where to repeat up to `bounds.wanted` samples, of a sound of at least a period.
pub(super) fn lengthen(sound: &[i16], bounds: Bounds) -> Option<Splice> {
    let Bounds { quantum, period, wanted, .. } = bounds;
    let fade = FADE * quantum;
    if mean_square(&sound[..period]) < QUIET {
        let jump = wanted.min(period - fade);
        return (jump > 0).then_some(Splice { at: jump, jump: -(jump as isize) });
    }
    let most = wanted.min(period - fade);
    let mut best = None;
    for at in [period - fade, period - 2 * fade] {
        let from = at..at + fade;
        let jumps = quantum..=most.min(at);
        search(sound, from, jumps, &mut best, |jump| (at - jump, -(jump as isize)));
    }
    accept(best, bounds)
}

/// Plays a period of `sound`, spliced, and says how much of it was used.
pub(super) fn splice(sound: &[i16], splice: Splice, quantum: usize, played: &mut [i16]) -> usize {
    let Splice { at, jump } = splice;
    let target = at.wrapping_add_signed(jump);
    let fade = (FADE * quantum).min(played.len() - at);
    played[..at].copy_from_slice(&sound[..at]);
    for index in 0..fade {
        let from = sound.get(at + index).copied().unwrap_or(0);
        played[at + index] = cross_fade(from, sound[target + index], index + 1, fade + 1);
    }
    let rest = played.len() - at - fade;
    played[at + fade..].copy_from_slice(&sound[target + fade..][..rest]);
    played.len().wrapping_add_signed(jump)
}

/// The sample `step` of `steps` on the way from one sound to another.
pub(super) fn cross_fade(from: i16, to: i16, step: usize, steps: usize) -> i16 {
    let (step, steps) = (step as i32, steps as i32);
    ((i32::from(from) * (steps - step) + i32::from(to) * step) / steps) as i16
}

type Found = Option<(Correlation, Splice)>;

/// Tries to jump from `from` by one quantum or more: coarsely, then all near the best. `splice` says where
/// a jump leads, and the jump with its sign.
fn search(
    sound: &[i16],
    from: Range<usize>,
    jumps: RangeInclusive<usize>,
    best: &mut Found,
    splice: impl Fn(usize) -> (usize, isize),
) {
    let (quantum, most) = (*jumps.start(), *jumps.end());
    let at = from.start;
    let coarse = (quantum / 20).max(1);
    let places = jumps.step_by(coarse).map(|jump| (splice(jump).0, jump));
    let peak = Comparison::new(sound, from.clone(), coarse).best(places);
    let Some((_, middle)) = peak else { return };
    let near = middle.saturating_sub(coarse - 1).max(quantum)..=(middle + coarse - 1).min(most);
    let places = near.map(|jump| {
        let (to, jump) = splice(jump);
        (to, Splice { at, jump })
    });
    let found = Comparison::new(sound, from, 1).best(places);
    if let Some((correlation, splice)) = found
        && best.is_none_or(|(known, _)| correlation.is_better_than(&known))
    {
        *best = Some((correlation, splice));
    }
}

fn accept(best: Found, bounds: Bounds) -> Option<Splice> {
    let (correlation, splice) = best?;
    (correlation.likeness() >= bounds.likeness).then_some(splice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { quantum: 20, period: 160, wanted: 160, likeness: 880 };

    fn tone(period: f64, amplitude: f64, length: usize) -> Vec<i16> {
        let sample =
            |index| (amplitude * (f64::from(index) / period * std::f64::consts::TAU).sin()) as i16;
        (0..length as i32).map(sample).collect()
    }

    #[test]
    fn a_tone_is_cut_and_repeated_by_whole_periods() {
        let sound = tone(73.0, 9000.0, 400);
        for (found, length) in [(shorten(&sound, BOUNDS), 73), (lengthen(&sound, BOUNDS), -73)] {
            let found = found.unwrap();
            assert_eq!(found.jump, length);
            let mut played = [0; 160];
            assert_eq!(splice(&sound, found, 20, &mut played) as isize, 160 + length);
            for (one, other) in played.iter().zip(&sound) {
                assert!((one - other).abs() < 60, "the tone goes on");
            }
        }
    }

    #[test]
    fn no_more_is_cut_or_repeated_than_wanted() {
        let sound = tone(40.0, 9000.0, 400);
        for wanted in 0..200 {
            let bounds = Bounds { wanted, ..BOUNDS };
            for found in [shorten(&sound, bounds), lengthen(&sound, bounds)].into_iter().flatten() {
                assert!(found.jump.unsigned_abs() <= wanted && found.jump != 0);
            }
        }
    }

    #[test]
    fn what_is_soft_may_be_cut_anywhere() {
        let sound = tone(31.0, 100.0, 480);
        let bounds = Bounds { wanted: 300, ..BOUNDS };
        assert_eq!(shorten(&sound, bounds), Some(Splice { at: 0, jump: 300 }));
        let bounds = Bounds { wanted: 7, ..BOUNDS };
        assert_eq!(lengthen(&sound, bounds), Some(Splice { at: 7, jump: -7 }));
    }

    #[test]
    fn loud_noise_is_left_alone() {
        let mut random = crate::Random::new(3);
        let noise: Vec<i16> = (0..400).map(|_| (random.next_u32() >> 16) as i16 / 4).collect();
        assert_eq!(shorten(&noise, BOUNDS), None);
        assert_eq!(lengthen(&noise[..160], BOUNDS), None);
    }
}
