//! The pitch: where in the past excitation the residual is most alike (section 5.2.11).

use super::super::arithmetic::{headroom, loudest, multiply};
use super::super::{Excitation, LAG_MAX, SUBFRAME_SAMPLES};

/// DLB: between the gains.
const GAIN_BOUNDS: [i16; 3] = [6554, 16_384, 26_214];

/// The lag and the code of its gain.
pub(super) fn find(residual: &[i16; SUBFRAME_SAMPLES], excitation: &Excitation) -> (u8, u8) {
    let loudest = loudest(residual);
    let spare = if loudest == 0 { 0 } else { headroom(i32::from(loudest) << 16) };
    let shift = 6_u32.saturating_sub(spare);
    let scaled = residual.map(|sample| sample >> shift);

    let past = |lag: usize| &excitation[LAG_MAX - lag..LAG_MAX - lag + SUBFRAME_SAMPLES];
    let (mut best, mut likeness) = (SUBFRAME_SAMPLES, 0);
    for lag in SUBFRAME_SAMPLES..=LAG_MAX {
        let products = scaled.iter().zip(past(lag));
        let sum: i32 = products.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        if sum > likeness {
            (best, likeness) = (lag, sum);
        }
    }
    let likeness = (likeness << 1) >> (6 - shift);
    let power = past(best).iter().map(|sample| i32::from(sample >> 3).pow(2)).sum::<i32>() << 1;
    (best as u8, gain(likeness, power))
}

fn gain(likeness: i32, power: i32) -> u8 {
    if likeness <= 0 {
        return 0;
    }
    if likeness >= power {
        return GAIN_BOUNDS.len() as u8;
    }
    let shift = headroom(power);
    let likeness = ((likeness << shift) >> 16) as i16;
    let power = ((power << shift) >> 16) as i16;
    GAIN_BOUNDS.iter().filter(|bound| likeness > multiply(power, **bound)).count() as u8
}
