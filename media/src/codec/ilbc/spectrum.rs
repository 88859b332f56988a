//! Line spectral frequencies: how the filters are sent, and how they move within a frame
//! (sections 3.2.3 to 3.2.7).

use std::f32::consts::TAU;
use std::f64::consts::{FRAC_PI_2, PI};

use super::tables::{FREQUENCIES_HIGH, FREQUENCIES_LOW, FREQUENCIES_MIDDLE, MEAN_FREQUENCIES};
use super::{Filters, IDENTITY, Lpc, Mode, ORDER};

/// Frequencies in radians, rising.
pub(super) type Frequencies = [f32; ORDER];

/// Half the order: the roots of each of the two polynomials.
const HALF: usize = ORDER / 2;

/// One cycle in radians and its inverse, as the RFC has them.
const CYCLE: f32 = TAU;
const PER_CYCLE: f32 = 0.159_154_94;

/// The steps of the search for a root, in cycles.
const STEPS: [f32; 4] = [0.006_35, 0.003_175, 0.001_587_5, 0.000_793_75];

/// How much of the older frequencies is in each subframe.
const OLDER_SHORT: [f32; 4] = [0.75, 0.5, 0.25, 0.0];
const OLDER_LONG: [f32; 6] = [0.5, 1.0, 2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0];

/// What the codes stand for, kept apart and in order.
pub(super) fn decode(codes: [[u8; 3]; 2], mode: Mode) -> [Frequencies; 2] {
    let mut sets = [MEAN_FREQUENCIES; 2];
    for (set, code) in sets.iter_mut().zip(codes).take(mode.analyses()) {
        let [low, middle, high] = code.map(usize::from);
        set[..3].copy_from_slice(&FREQUENCIES_LOW[low & 63]);
        set[3..6].copy_from_slice(&FREQUENCIES_MIDDLE[middle & 127]);
        set[6..].copy_from_slice(&FREQUENCIES_HIGH[high & 127]);
    }
    for _ in 0..2 {
        for set in &mut sets[..mode.analyses()] {
            keep_apart(set);
        }
    }
    sets
}

/// The codes nearest to the frequencies.
pub(super) fn quantize(frequencies: &Frequencies) -> [u8; 3] {
    [
        nearest(&FREQUENCIES_LOW, &frequencies[..3]),
        nearest(&FREQUENCIES_MIDDLE, &frequencies[3..6]),
        nearest(&FREQUENCIES_HIGH, &frequencies[6..]),
    ]
}

fn nearest<const N: usize>(table: &[[f32; N]], wanted: &[f32]) -> u8 {
    let (mut best, mut least) = (0, f32::INFINITY);
    for (index, entry) in table.iter().enumerate() {
        let distance = wanted.iter().zip(entry).fold(0.0, |sum, (wanted, entry)| {
            let apart = wanted - entry;
            sum + apart * apart
        });
        if distance < least {
            (best, least) = (index, distance);
        }
    }
    best as u8
}

/// Frequencies at least 50 Hz apart, and within the band.
fn keep_apart(set: &mut Frequencies) {
    const APART: f32 = 0.039;
    const HALF_APART: f32 = 0.0195;
    #[allow(clippy::approx_constant)] // a bound of the RFC's, a little below pi
    const HIGHEST: f32 = 3.14;
    for k in 0..ORDER - 1 {
        if set[k + 1] - set[k] < APART {
            if set[k + 1] < set[k] {
                set[k + 1] = set[k] + HALF_APART;
                set[k] = set[k + 1] - HALF_APART;
            } else {
                set[k] -= HALF_APART;
                set[k + 1] += HALF_APART;
            }
        }
        set[k] = set[k].clamp(0.01, HIGHEST);
    }
}

/// The filter of each subframe, between the last frame's frequencies and this one's.
pub(super) fn filters(mode: Mode, past: &Frequencies, sets: &[Frequencies; 2]) -> Filters {
    let mut filters = [IDENTITY; 6];
    let (first, second) = (&sets[0], &sets[1]);
    match mode {
        Mode::Short => {
            for (filter, weight) in filters.iter_mut().zip(OLDER_SHORT) {
                *filter = between(past, first, weight);
            }
        }
        Mode::Long => {
            filters[0] = between(past, first, OLDER_LONG[0]);
            for (filter, weight) in filters.iter_mut().zip(OLDER_LONG).skip(1) {
                *filter = between(first, second, weight);
            }
        }
    }
    filters
}

fn between(older: &Frequencies, newer: &Frequencies, weight: f32) -> Lpc {
    let mut mixed = [0.0; ORDER];
    for ((mixed, older), newer) in mixed.iter_mut().zip(older).zip(newer) {
        *mixed = weight * older + (1.0 - weight) * newer;
    }
    filter(&mixed)
}

/// Moves the roots of a filter inwards.
pub(super) fn widen(filter: &Lpc, factor: f32) -> Lpc {
    let mut widened = *filter;
    let mut power = factor;
    for coefficient in &mut widened[1..] {
        *coefficient *= power;
        power *= factor;
    }
    widened
}

/// The filter that has these frequencies.
fn filter(frequencies: &Frequencies) -> Lpc {
    let mut cycles = frequencies.map(|frequency| frequency * PER_CYCLE);
    if cycles[0] <= 0.0 || cycles[ORDER - 1] >= 0.5 {
        spread(&mut cycles);
    }
    let mut sum = Sections::new([0, 2, 4, 6, 8].map(|k| cosine(CYCLE * cycles[k])));
    let mut difference = Sections::new([1, 3, 5, 7, 9].map(|k| cosine(CYCLE * cycles[k])));
    sum.next(0.25);
    difference.next(0.25);
    let mut filter = IDENTITY;
    for (k, coefficient) in filter[1..].iter_mut().enumerate() {
        let (a, b) = if k == 0 { (0.25, -0.25) } else { (0.0, 0.0) };
        *coefficient = 2.0 * (sum.next(a) + difference.next(b));
    }
    filter
}

/// Frequencies that no filter can have become ones that are evenly spread.
fn spread(cycles: &mut Frequencies) {
    if cycles[0] <= 0.0 {
        cycles[0] = 0.022;
    }
    if cycles[ORDER - 1] >= 0.5 {
        cycles[ORDER - 1] = 0.499;
    }
    let step = (cycles[ORDER - 1] - cycles[0]) / (ORDER - 1) as f32;
    for k in 1..ORDER {
        cycles[k] = cycles[k - 1] + step;
    }
}

/// Sections of second order one after another, each with a pair of zeros on the unit circle.
struct Sections {
    cosines: [f32; HALF],
    past: [[f32; 2]; HALF],
}

impl Sections {
    fn new(cosines: [f32; HALF]) -> Self {
        Self { cosines, past: [[0.0; 2]; HALF] }
    }

    fn next(&mut self, input: f32) -> f32 {
        self.cosines.iter().zip(&mut self.past).fold(input, |input, (cosine, past)| {
            let output = input - 2.0 * cosine * past[0] + past[1];
            *past = [input, past[0]];
            output
        })
    }
}

/// The frequencies that a filter has: the roots of its two polynomials, in turn.
pub(super) fn frequencies(filter: &Lpc) -> Frequencies {
    let polynomials = [polynomial(filter, 1.0), polynomial(filter, -1.0)];
    let mut last = [1.0e37_f32; 2];
    let mut frequencies = [0.0; ORDER];
    let mut begin = 0.0_f32;
    for (k, frequency) in frequencies.iter_mut().enumerate() {
        let (root, found) = root(&polynomials[k & 1], begin, &mut last[k & 1]);
        begin = found;
        *frequency = root * CYCLE;
    }
    frequencies
}

/// Half of a symmetric polynomial, without its root at the end of the band.
fn polynomial(filter: &Lpc, sign: f32) -> [f32; HALF] {
    let mut coefficients = [0.0; HALF];
    let mut previous = 1.0_f32;
    for (k, coefficient) in coefficients.iter_mut().enumerate() {
        let (low, high) = (filter[k + 1], filter[ORDER - k]);
        *coefficient = if sign > 0.0 { (low + high) - previous } else { previous - (high - low) };
        previous = *coefficient;
    }
    coefficients[HALF - 1] /= 2.0;
    coefficients
}

/// Looks for the next root from `begin` on, in ever smaller steps. Gives it, and where the coarse
/// steps came to. `last` is the polynomial's value at the step before.
fn root(polynomial: &[f32; HALF], begin: f32, last: &mut f32) -> (f32, f32) {
    let (mut omega, mut coarse) = (begin, begin);
    let mut depth = 0;
    loop {
        let value = evaluate(polynomial, omega);
        if value * *last > 0.0 && omega < 0.5 {
            *last = value;
            omega += STEPS[depth];
        } else if depth + 1 == STEPS.len() {
            let root = if value.abs() >= last.abs() { omega - STEPS[depth] } else { omega };
            *last = if *last >= 0.0 { -1.0e37 } else { 1.0e37 };
            return (root, coarse);
        } else {
            if depth == 0 {
                coarse = omega;
            }
            depth += 1;
            omega -= STEPS[depth];
        }
    }
}

/// The value at a frequency in cycles, by the recursion of Chebyshev.
fn evaluate(polynomial: &[f32; HALF], omega: f32) -> f32 {
    let x = cosine(omega * CYCLE);
    let first = 2.0 * x + polynomial[0];
    let second = 2.0 * x * first - 1.0 + polynomial[1];
    let third = 2.0 * x * second - first + polynomial[2];
    let fourth = 2.0 * x * third - second + polynomial[3];
    x * fourth - third + polynomial[4]
}

/// The cosine of an angle from 0 to a little above pi, by its series: the platform's may differ
/// from machine to machine.
fn cosine(angle: f32) -> f32 {
    let angle = f64::from(angle);
    let (angle, sign) = if angle > FRAC_PI_2 { (PI - angle, -1.0) } else { (angle, 1.0) };
    let square = angle * angle;
    let series = (1..=11).rev().fold(1.0, |rest, k| {
        let k = f64::from(2 * k);
        1.0 - rest * square / (k * (k - 1.0))
    });
    (sign * series) as f32
}
