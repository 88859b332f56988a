//! Sound for what is missing: the voice goes on as it last was, and fades.
//!
//! The method is that of ITU-T G.711 Appendix I in its idea: find the period of the voice in the
//! last sound and repeat it, softer and softer. Beyond it, sound without a period is not
//! made to hum (stretches of it are taken from changing places), and where real sound comes
//! back late, the place is chosen at which both look alike.

use std::iter::once;

use super::similarity::Comparison;
use super::stretch::cross_fade;

/// Samples of the past that are kept, in quanta of 2.5 ms: 40 ms.
pub(super) const PAST_QUANTA: usize = 16;

/// The past of a stream at 8 kHz.
pub(super) const PAST_NARROW: usize = PAST_QUANTA * 20;

/// Repetitions are compared over so many quanta: 10 ms.
const TEMPLATE: usize = 4;

/// The longest period of a voice, in quanta: 15 ms (67 Hz).
const LAG_MAX: usize = 6;

/// How long a loss is as loud as what was before, in quanta: 10 ms.
const LOUD: usize = 4;

/// When it has faded into silence, in quanta: 100 ms.
const FADE: usize = 40;

/// The same, where the sender said that it falls silent: 5 ms.
const HUSH: usize = 2;

/// Less likeness than that, of 1024, is no voice.
const VOICED: i64 = 400;

/// The state of the loss in progress. In this order: what is asked for in every period is first.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Concealer {
    quantum: usize,
    /// Samples invented so far.
    invented: usize,
    lag: usize,
    voiced: bool,
    /// Samples until another lag is taken.
    until_turn: usize,
    /// The step between what was and what is repeated, and how much of it is left.
    step: i32,
    step_left: usize,
}

impl Concealer {
    /// For a stream with so many samples in 2.5 ms.
    pub(super) fn new(quantum: usize) -> Self {
        Self {
            quantum,
            invented: 0,
            lag: quantum,
            voiced: false,
            until_turn: 0,
            step: 0,
            step_left: 0,
        }
    }

    /// Whether something is missing just now.
    pub(super) fn is_active(&self) -> bool {
        self.invented > 0
    }

    /// Whether the loss has faded into silence.
    pub(super) fn is_silent(&self) -> bool {
        self.invented >= FADE * self.quantum
    }

    /// A loss begins after `past`.
    pub(super) fn begin(&mut self, past: &[i16]) {
        let quantum = self.quantum;
        let template = TEMPLATE * quantum;
        let coarse = (quantum / 20).max(1);
        let end = past.len();
        let recent = end - template..end;
        let lags = (quantum..=LAG_MAX * quantum).step_by(coarse);
        let place = |lag| (end - template - lag, lag);
        let middle = Comparison::new(past, recent.clone(), coarse).best(lags.map(place));
        let middle = middle.map_or(quantum, |(_, lag)| lag);
        // Where others are as like, the one that was found coarsely stays.
        let first = middle.saturating_sub(coarse).max(quantum);
        let last = (middle + coarse).min(LAG_MAX * quantum);
        let lags = once(middle).chain(first..=last);
        let best = Comparison::new(past, recent, 1).best(lags.map(place));
        self.lag = best.map_or(quantum, |(_, lag)| lag);
        self.voiced = best.is_some_and(|(found, _)| found.likeness() >= VOICED);
        self.turn(past);
    }

    /// Lets the loss fade quickly: the silence is meant.
    pub(super) fn hush(&mut self) {
        self.invented = self.invented.max((FADE - HUSH) * self.quantum);
    }

    /// How long what was said fades then.
    pub(super) fn hush_length(&self) -> usize {
        HUSH * self.quantum
    }

    /// Lets a loss of `length` samples pass without hearing it.
    pub(super) fn skip(&mut self, length: usize) {
        self.invented = (self.invented + length).min(FADE * self.quantum);
    }

    /// Invents samples. `past` is what was played before, and will be.
    pub(super) fn fill(&mut self, past: &mut [i16], mut samples: &mut [i16]) {
        while !samples.is_empty() {
            if self.is_silent() {
                samples.fill(0);
                return;
            }
            if self.until_turn == 0 {
                self.turn(past);
            }
            let length = samples.len().min(self.until_turn).min(self.lag);
            let (now, later) = samples.split_at_mut(length);
            self.repeat(past, now);
            samples = later;
        }
    }

    /// Real sound is back: fades from what would have been invented into it. `spare` is as long as
    /// the fade.
    pub(super) fn rejoin(&mut self, past: &mut [i16], spare: &mut [i16], samples: &mut [i16]) {
        let length = samples.len().min(spare.len());
        let spare = &mut spare[..length];
        self.fill(past, spare);
        for (index, (from, to)) in spare.iter().zip(samples).enumerate() {
            *to = cross_fade(*from, *to, index + 1, length + 1);
        }
        self.end();
    }

    /// How long the fade into real sound is.
    pub(super) fn rejoin_length(&self) -> usize {
        let longest = if self.is_silent() { 2 } else { 4 } * self.quantum;
        (2 * self.quantum + self.invented / 4).min(longest)
    }

    /// The loss is over.
    pub(super) fn end(&mut self) {
        self.invented = 0;
    }

    /// Begins a repetition.
    fn turn(&mut self, past: &[i16]) {
        if !self.voiced {
            // Some place between two and four and a half quanta back, another one each time.
            let place = (self.invented / self.quantum * 7 + 3) % 11;
            self.lag = 2 * self.quantum + place * self.quantum / 4;
        }
        self.until_turn = self.lag;
        if !self.voiced || self.invented == 0 {
            let end = past.len();
            self.step = i32::from(past[end - 1]) - i32::from(past[end - 1 - self.lag]);
            self.step_left = self.quantum / 2;
        }
    }

    /// Invents at most a lag of samples.
    fn repeat(&mut self, past: &mut [i16], samples: &mut [i16]) {
        let end = past.len();
        let length = samples.len();
        for index in 0..length {
            let mut sample = i32::from(past[end - self.lag + index]);
            if self.step_left > 0 {
                self.step_left -= 1;
                sample += self.step * self.step_left as i32 / (self.quantum as i32 / 2);
            }
            samples[index] = sample.clamp(-32768, 32767) as i16;
        }
        past.copy_within(length.., 0);
        past[end - length..].copy_from_slice(samples);
        for sample in &mut *samples {
            *sample = ((i32::from(*sample) * self.gain()) >> 12) as i16;
            self.invented += 1;
        }
        self.until_turn -= length;
    }

    /// The gain of the next sample, of 4096.
    fn gain(&self) -> i32 {
        let (loud, fade) = (LOUD * self.quantum, FADE * self.quantum);
        if self.invented < loud {
            return 4096;
        }
        (fade.saturating_sub(self.invented) * 4096 / (fade - loud)) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A voice of 100 Hz with overtones, at 8 kHz.
    fn voice(length: usize) -> Vec<i16> {
        let sample = |index: usize| {
            let phase = index as f64 / 80.0 * std::f64::consts::TAU;
            (6000.0 * phase.sin() + 3000.0 * (3.0 * phase).cos()) as i16
        };
        (0..length).map(sample).collect()
    }

    #[test]
    fn a_voice_goes_on_in_its_own_period_and_fades() {
        let sound = voice(PAST_NARROW + 1600);
        let mut past = sound[..PAST_NARROW].to_vec();
        let mut concealer = Concealer::new(20);
        concealer.begin(&past);
        let mut invented = vec![0; 900];
        concealer.fill(&mut past, &mut invented);
        let loud = LOUD * 20;
        for (index, (&one, &other)) in invented.iter().zip(&sound[PAST_NARROW..]).enumerate() {
            let (one, other) = (i32::from(one), i32::from(other));
            assert!(index >= loud || (one - other).abs() < 200, "{index}: {one} {other}");
            assert!(one.abs() <= other.abs() + 300, "{index}: {one} {other}");
        }
        assert!(concealer.is_silent());
        assert_eq!(invented[FADE * 20..], [0; 100]);
    }

    #[test]
    fn real_sound_fades_in_without_a_jump() {
        let sound = voice(PAST_NARROW + 600);
        let mut past = sound[..PAST_NARROW].to_vec();
        let mut concealer = Concealer::new(20);
        concealer.begin(&past);
        let mut invented = vec![0; 160];
        concealer.fill(&mut past, &mut invented);
        let mut back = sound[PAST_NARROW + 160 + 40..][..160].to_vec(); // half a period off
        let mut spare = vec![0; concealer.rejoin_length()];
        concealer.rejoin(&mut past, &mut spare, &mut back);
        assert!(!concealer.is_active());
        let all = [invented, back].concat();
        let steepest = all.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max();
        assert!(steepest < Some(2000), "{steepest:?}");
    }

    #[test]
    fn silence_and_noise_are_no_voice() {
        let mut random = crate::Random::new(1);
        let noise: Vec<i16> = (0..PAST_NARROW).map(|_| (random.next_u32() >> 20) as i16).collect();
        for mut past in [vec![0; PAST_NARROW], noise] {
            let mut concealer = Concealer::new(20);
            concealer.begin(&past);
            assert!(!concealer.voiced || past[0] != 0);
            let mut invented = vec![1; 480];
            concealer.fill(&mut past, &mut invented);
            assert!(invented.iter().all(|&sample| sample.unsigned_abs() <= 4096));
        }
    }
}
