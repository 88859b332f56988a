//! Digits as tones in the sound: found by their two frequencies, as ITU-T Q.24 wants it.
//!
//! Every hop of 5 ms is correlated with the eight frequencies. Four hops together, weighed, are a
//! window of 20 ms, whose phase against the window before tells how far the frequency is off. A
//! window is a key's where the strongest tone of each group is loud enough, near enough to its
//! frequency, where the two are about equally loud, and where there is hardly anything else. A
//! digit begins with several such windows in a row; once begun, it goes on for as long as both
//! tones are there.
//!
//! All arithmetic is that of IEEE 754 without rounding choices, and the tables are computed at
//! compile time: every machine finds the same.

use media_units::KEYS;

use super::Digit;
use super::tones::{GRID, HIGH, LOW, cosine_and_sine};

/// Samples in a hop: 5 ms at 8 kHz.
pub(super) const HOP: usize = 40;

/// Milliseconds in a hop.
const HOP_MS: u32 = 5;

/// Hops in a window.
pub(super) const WINDOW: usize = 4;

/// How the hops of a window are weighed: the other group's tones are more than 35 dB down.
const WEIGHTS: [f32; WINDOW] = [0.5, 1.0, 1.0, 0.5];

/// The sums of the weights and of their squares.
const WEIGHT: f32 = 3.0;
const WEIGHT_SQUARED: f32 = 2.5;

/// Windows in a row that make a digit. The first one counts when three quarters of it are tone,
/// after 15 ms, the last one 5 ms after the tone: 23 ms of tone make three, 40 ms seven.
const BEGIN_HOPS: u8 = 4;

/// Hops without the tones that end a digit: more than an interruption of 10 ms takes, less than a
/// pause of 40 ms.
const END_HOPS: u8 = 5;

/// How far a frequency may be off, as a share: between the 1.5 % that must be taken and the 3.5 %
/// that must not.
const OFF_MAX: f64 = 0.025;

/// Power of the softest tone: -34 dBm0, as the square of its amplitude (0 dBm0 is 22657).
const SOFTEST: f32 = 204_000.0;

/// How much stronger than the row the column may be, and the other way: 6 dB and 10 dB. A window
/// sees a tone 1.5 % off as up to 0.6 dB softer.
const COLUMN_STRONGER: f32 = 4.0;
const ROW_STRONGER: f32 = 10.0;

/// Share of the window's energy that is the two tones'.
const PURE: f32 = 0.75;

/// Share of a tone's power at its begin below which it has gone.
const GONE: f32 = 0.15;

/// The frequencies, rows first.
const TONES: usize = 8;

/// Cosines and sines of each frequency at each sample of a hop.
static WAVES: [[f32; 2 * TONES]; HOP] = waves();

/// By what each frequency turns in a hop.
static TURNS: [Complex; TONES] = turns();

/// The cosine of the angle by which a tone just near enough turns away in a hop.
static NEAR: [f32; TONES] = near();

/// Finds digits, hop by hop.
#[derive(Debug, Clone)]
pub(super) struct Detector {
    /// Correlations of the last hops, the newest first.
    hops: [[Complex; TONES]; WINDOW],
    energies: [f32; WINDOW],
    /// The window before, by frequency.
    before: [Complex; TONES],
    /// The key of the last windows, and how many of them.
    candidate: Option<Key>,
    candidate_hops: u8,
    pressed: Option<Pressed>,
}

/// What a hop brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// A digit that has ended, and for how many hops, with this one, it was not there any more.
    pub(super) ended: Option<(Digit, u8)>,
    /// Whether one has just been found.
    pub(super) began: bool,
    /// Whether a digit lasts, though its tones may be missing for a moment.
    pub(super) lasts: bool,
}

/// A row and a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    row: u8,
    column: u8,
}

#[derive(Debug, Clone, Copy)]
struct Pressed {
    key: Key,
    /// Powers of the two tones at the begin.
    powers: [f32; 2],
    hops: u32,
    missing: u8,
}

#[derive(Debug, Clone, Copy, Default)]
struct Complex {
    re: f32,
    im: f32,
}

/// One frequency in the present window.
#[derive(Debug, Clone, Copy)]
struct Tone {
    /// The square of its amplitude.
    power: f32,
    is_near: bool,
}

impl Detector {
    pub(super) const fn new() -> Self {
        const ZERO: Complex = Complex { re: 0.0, im: 0.0 };
        Self {
            hops: [[ZERO; TONES]; WINDOW],
            energies: [0.0; WINDOW],
            before: [ZERO; TONES],
            candidate: None,
            candidate_hops: 0,
            pressed: None,
        }
    }

    /// Takes the next hop.
    pub(super) fn hop(&mut self, samples: &[i16; HOP]) -> Heard {
        self.correlate(samples);
        let windows: [Complex; TONES] = std::array::from_fn(|tone| self.window(tone));
        let before = std::mem::replace(&mut self.before, windows);
        self.decide(&windows, &before)
    }

    fn correlate(&mut self, samples: &[i16; HOP]) {
        let mut sums = [0.0_f32; 2 * TONES];
        let mut energy = 0;
        for (&sample, wave) in samples.iter().zip(&WAVES) {
            energy += i64::from(sample) * i64::from(sample);
            for (sum, wave) in sums.iter_mut().zip(wave) {
                *sum += f32::from(sample) * wave;
            }
        }
        self.hops.rotate_right(1);
        self.energies.rotate_right(1);
        self.energies[0] = energy as f32;
        self.hops[0] = std::array::from_fn(|at| Complex { re: sums[at], im: sums[TONES + at] });
    }

    /// The window's correlation with one frequency.
    fn window(&self, tone: usize) -> Complex {
        self.turned(tone, TURNS[tone])
    }

    /// The window's correlation with what turns so much in a hop, by Horner's rule.
    fn turned(&self, tone: usize, turn: Complex) -> Complex {
        let mut sum = Complex::default();
        for (hop, weight) in self.hops.iter().zip(WEIGHTS).rev() {
            sum = sum.times(turn).plus(hop[tone].scaled(weight));
        }
        sum
    }

    fn decide(&mut self, windows: &[Complex; TONES], before: &[Complex; TONES]) -> Heard {
        let key = self.key(windows, before);
        self.candidate_hops = match key {
            Some(_) if key == self.candidate => (self.candidate_hops + 1).min(BEGIN_HOPS),
            Some(_) => 1,
            None => 0,
        };
        self.candidate = key;
        let found = key.filter(|_| self.candidate_hops == BEGIN_HOPS);
        let ended = self.follow(found, windows, before);
        let began = self.pressed.is_none() && found.is_some();
        if let (true, Some(key)) = (began, found) {
            let powers = key.tones().map(|tone| self.tone(tone, windows, before).power);
            let hops = u32::from(BEGIN_HOPS);
            self.pressed = Some(Pressed { key, powers, hops, missing: 0 });
        }
        Heard { ended, began, lasts: self.pressed.is_some() }
    }

    /// Follows the digit that lasts, until its tones have gone or another key was found.
    fn follow(
        &mut self,
        found: Option<Key>,
        windows: &[Complex; TONES],
        before: &[Complex; TONES],
    ) -> Option<(Digit, u8)> {
        let mut pressed = self.pressed?;
        let tones = pressed.key.tones().map(|tone| self.tone(tone, windows, before));
        let is_there = |tone: &Tone, power: f32| tone.is_near && tone.power > power * GONE;
        if tones.iter().zip(pressed.powers).all(|(tone, power)| is_there(tone, power)) {
            pressed.hops += u32::from(pressed.missing) + 1;
            pressed.missing = 0;
        } else {
            pressed.missing += 1;
        }
        let is_over = pressed.missing >= END_HOPS || found.is_some_and(|key| key != pressed.key);
        self.pressed = (!is_over).then_some(pressed);
        is_over.then(|| (pressed.digit(), pressed.missing))
    }

    /// The key whose tones the window consists of.
    fn key(&self, windows: &[Complex; TONES], before: &[Complex; TONES]) -> Option<Key> {
        let strongest = |from: usize| {
            (from + 1..from + 4).fold(from, |best, tone| {
                if windows[tone].power() > windows[best].power() { tone } else { best }
            })
        };
        let (row, column) = (strongest(0), strongest(4));
        let least = SOFTEST / 4.0 * AMPLITUDE;
        if windows[row].power() < least || windows[column].power() < least {
            return None;
        }
        let [low, high] = [row, column].map(|tone| self.tone(tone, windows, before));
        let is_loud = low.power >= SOFTEST && high.power >= SOFTEST;
        let is_even =
            high.power <= COLUMN_STRONGER * low.power && low.power <= ROW_STRONGER * high.power;
        let energies = self.energies.iter().zip(WEIGHTS);
        let energy: f32 = energies.map(|(energy, weight)| energy * weight * weight).sum();
        let tones = (low.power + high.power) * (HOP as f32 / 2.0 * WEIGHT_SQUARED);
        let is_key = low.is_near && high.is_near && is_loud && is_even && tones >= PURE * energy;
        is_key.then_some(Key { row: row as u8, column: column as u8 - 4 })
    }

    /// How strong a tone is, at the frequency where it really is, and whether that is near.
    fn tone(&self, at: usize, windows: &[Complex; TONES], before: &[Complex; TONES]) -> Tone {
        let turned = windows[at].times(before[at].conjugate());
        let length = turned.power().sqrt();
        if length <= 0.0 {
            return Tone { power: 0.0, is_near: false };
        }
        let turn = turned.scaled(1.0 / length);
        let away = turn.times(TURNS[at].conjugate());
        let power = self.turned(at, turn).power() / AMPLITUDE;
        Tone { power, is_near: away.re >= NEAR[at] }
    }
}

/// What a tone of amplitude 1 correlates to, squared.
const AMPLITUDE: f32 = (WEIGHT * HOP as f32 / 2.0) * (WEIGHT * HOP as f32 / 2.0);

impl Key {
    /// Its two tones.
    fn tones(self) -> [usize; 2] {
        [usize::from(self.row), 4 + usize::from(self.column)]
    }
}

impl Pressed {
    fn digit(self) -> Digit {
        let number = GRID[usize::from(self.key.row)][usize::from(self.key.column)];
        let duration_ms = u16::try_from(self.hops * HOP_MS).unwrap_or(u16::MAX);
        Digit { digit: KEYS[usize::from(number)], duration_ms }
    }
}

impl Complex {
    fn times(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn scaled(self, by: f32) -> Self {
        Self { re: self.re * by, im: self.im * by }
    }

    fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }
}

const fn hertz(tone: usize) -> f64 {
    (if tone < LOW.len() { LOW[tone] } else { HIGH[tone - LOW.len()] }) as f64
}

/// Cycles of a frequency in so many samples.
const fn cycles(tone: usize, samples: usize) -> f64 {
    hertz(tone) * samples as f64 / 8000.0
}

const fn waves() -> [[f32; 2 * TONES]; HOP] {
    let mut waves = [[0.0; 2 * TONES]; HOP];
    let mut at = 0;
    while at < HOP * TONES {
        let (sample, tone) = (at / TONES, at % TONES);
        let (cosine, sine) = cosine_and_sine(cycles(tone, sample));
        waves[sample][tone] = cosine as f32;
        waves[sample][TONES + tone] = -sine as f32;
        at += 1;
    }
    waves
}

const fn turns() -> [Complex; TONES] {
    let mut turns = [Complex { re: 0.0, im: 0.0 }; TONES];
    let mut tone = 0;
    while tone < TONES {
        let (cosine, sine) = cosine_and_sine(cycles(tone, HOP));
        turns[tone] = Complex { re: cosine as f32, im: sine as f32 };
        tone += 1;
    }
    turns
}

const fn near() -> [f32; TONES] {
    let mut near = [0.0; TONES];
    let mut tone = 0;
    while tone < TONES {
        near[tone] = cosine_and_sine(cycles(tone, HOP) * OFF_MAX).0 as f32;
        tone += 1;
    }
    near
}
