//! One block, mixed with three pitches before and three after it.

use super::super::tables::QUARTERS;
use super::{BLOCK, BLOCKS, KEPT, Kept, Periods, dot};

/// Blocks to each side.
const REACH: usize = 3;

/// How far the pitch may be off, in samples.
const SLOP: usize = 2;

/// How many shifts are compared.
const SHIFTS: usize = 2 * SLOP + 1;

/// The share of the energy that may change.
const CHANGE_MAX: f32 = 0.05;

/// How much each block counts. The one in the middle is not among them.
const WEIGHTS: [f32; 2 * REACH + 1] =
    [0.146_446_62, 0.5, 0.853_553_4, 0.0, 0.853_553_3, 0.5, 0.146_446_5];

/// Samples from the beginning of a block to where it is compared with another.
const HALF: f32 = BLOCK as f32 / 2.0;

/// The middle of each block of the kept samples.
const MIDDLES: Periods = [40.0, 120.0, 200.0, 280.0, 360.0, 440.0, 520.0, 600.0];

/// The enhanced block that begins at `begin`.
pub(super) fn block(kept: &Kept, begin: usize, periods: &Periods) -> [f32; BLOCK] {
    let mut now = [0.0; BLOCK];
    now.copy_from_slice(&kept[begin..begin + BLOCK]);
    mix(&now, &surround(kept, &now, begin, periods))
}

/// What the neighbours say that the block should be.
fn surround(kept: &Kept, now: &[f32; BLOCK], begin: usize, periods: &Periods) -> [f32; BLOCK] {
    let mut blocks = [[0.0; BLOCK]; 2 * REACH + 1];
    let nearest_now = nearest(&MIDDLES, 0.5 * (2 * begin + BLOCK - 1) as f32);

    let (mut place, mut period) = (begin as f32, periods[nearest_now]);
    for block in blocks[..REACH].iter_mut().rev() {
        place -= period;
        let next = nearest(&MIDDLES, place + HALF - period);
        if place >= 2.0 {
            (*block, place) = refine(kept, now, place);
        }
        period = periods[next];
    }
    let mut sources = MIDDLES;
    for (source, period) in sources.iter_mut().zip(periods) {
        *source -= period;
    }
    place = begin as f32;
    for block in &mut blocks[REACH + 1..] {
        place += periods[nearest(&sources, place + HALF)];
        if place + ((BLOCK + 2) as f32) < KEPT as f32 {
            (*block, place) = refine(kept, now, place);
        }
    }
    let mut sum = blocks[0].map(|sample| sample * WEIGHTS[0]);
    for (k, (block, weight)) in blocks.iter().zip(WEIGHTS).enumerate().skip(1) {
        if k != REACH {
            for (sum, sample) in sum.iter_mut().zip(block) {
                *sum += sample * weight;
            }
        }
    }
    sum
}

fn nearest(places: &Periods, wanted: f32) -> usize {
    let (mut best, mut least) = (0, f32::INFINITY);
    for (index, place) in places.iter().enumerate() {
        let apart = place - wanted;
        if apart * apart < least {
            (best, least) = (index, apart * apart);
        }
    }
    best
}

/// The block near `place` that is most like `now`, to a quarter of a sample, and where it is.
fn refine(kept: &Kept, now: &[f32; BLOCK], place: f32) -> ([f32; BLOCK], f32) {
    let rounded = (f64::from(place) - 0.5) as usize;
    let first = rounded.saturating_sub(SLOP);
    let last = (rounded + SLOP).min(KEPT - BLOCK - 1);
    let mut products = [0.0; SHIFTS];
    let count = (last + 1).saturating_sub(first).min(SHIFTS);
    for (shift, product) in products[..count].iter_mut().enumerate() {
        *product = dot(&kept[first + shift..first + shift + BLOCK], now);
    }
    let quarter = best_quarter(&products[..count]);
    let place = first as f32 + quarter as f32 / 4.0 + 1.0;

    let whole = quarter.div_ceil(4);
    let taps = &QUARTERS[4 * whole - quarter];
    let mut around = [0.0; BLOCK + 6];
    for (at, sample) in (first + whole..).zip(&mut around) {
        *sample = at.checked_sub(3).and_then(|at| kept.get(at)).copied().unwrap_or(0.0);
    }
    let mut block = [0.0; BLOCK];
    for (j, tap) in taps.iter().enumerate() {
        for (sample, around) in block.iter_mut().zip(&around[j..]) {
            *sample += around * tap;
        }
    }
    (block, place)
}

/// Where between the shifts the products are greatest, in quarters.
fn best_quarter(products: &[f32]) -> usize {
    // So few products meet only the taps in the middle.
    let reach = products.len() / 2;
    let (mut best, mut most) = (0, f32::NEG_INFINITY);
    for quarter in 0..4 * products.len() {
        let taps = &QUARTERS[quarter % 4][3 - reach..=3 + reach];
        let mut product = 0.0;
        for (k, tap) in taps.iter().enumerate() {
            let at = (quarter / 4 + reach).checked_sub(k);
            product += at.and_then(|at| products.get(at)).unwrap_or(&0.0) * tap;
        }
        if product > most {
            (best, most) = (quarter, product);
        }
    }
    best
}

/// The surroundings alone where they are near enough to the block; else as much of them as the
/// bound allows.
fn mix(now: &[f32; BLOCK], surround: &[f32; BLOCK]) -> [f32; BLOCK] {
    let own = dot(now, now);
    let theirs = dot(surround, surround).max(1.0);
    let common = dot(surround, now);
    let gain = (own / theirs).sqrt();
    let mixed = surround.map(|sample| gain * sample);
    let change = now.iter().zip(&mixed).fold(0.0, |sum, (now, mixed)| {
        let apart = now - mixed;
        sum + apart * apart
    });
    if change <= CHANGE_MAX * own {
        return mixed;
    }
    let own = own.max(1.0);
    let spread = (theirs * own - common * common) / (own * own);
    let (mut part, mut kept) = (0.0, 1.0);
    if f64::from(spread) > 0.0001 {
        part = ((CHANGE_MAX - CHANGE_MAX * CHANGE_MAX / 4.0) / spread).sqrt();
        kept = 1.0 + (-CHANGE_MAX / 2.0 - part * common / own);
    }
    let mut mixed = *now;
    for (mixed, surround) in mixed.iter_mut().zip(surround) {
        *mixed = part * surround + kept * *mixed;
    }
    mixed
}

const _: () = assert!(BLOCKS * BLOCK == KEPT);
