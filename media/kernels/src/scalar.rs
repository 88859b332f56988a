//! The plain loops: the definition of what every other level computes.
//!
//! The `*_loop` functions are also inlined into the other levels, where the compiler vectorises
//! them for the wider registers.

use crate::Set;
use crate::gain::Ramp;

pub(crate) const SET: Set = Set {
    decode_ulaw,
    decode_alaw,
    encode_ulaw,
    encode_alaw,
    add: add_loop,
    narrow: narrow_loop,
    minus: minus_loop,
    energy: energy_loop,
    peak: peak_loop,
    gain: gain_loop,
    fir: fir_loop,
};

static ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = ulaw_to_linear(code as u8);
        code += 1;
    }
    table
};

static ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = alaw_to_linear(code as u8);
        code += 1;
    }
    table
};

pub(crate) fn decode_ulaw(codes: &[u8], samples: &mut [i16]) {
    for (sample, &code) in samples.iter_mut().zip(codes) {
        *sample = ULAW[code as usize];
    }
}

pub(crate) fn decode_alaw(codes: &[u8], samples: &mut [i16]) {
    for (sample, &code) in samples.iter_mut().zip(codes) {
        *sample = ALAW[code as usize];
    }
}

pub(crate) fn encode_ulaw(samples: &[i16], codes: &mut [u8]) {
    for (code, &sample) in codes.iter_mut().zip(samples) {
        *code = linear_to_ulaw(sample);
    }
}

pub(crate) fn encode_alaw(samples: &[i16], codes: &mut [u8]) {
    for (code, &sample) in codes.iter_mut().zip(samples) {
        *code = linear_to_alaw(sample);
    }
}

/// What is added to a magnitude so that every mu-law segment starts at a power of two.
pub(crate) const ULAW_BIAS: i16 = 132;

/// The greatest magnitude that mu-law holds.
pub(crate) const ULAW_MAGNITUDE_MAX: i16 = i16::MAX - ULAW_BIAS;

/// G.711 table 2b: the value of a mu-law code, on the scale of 16 bits.
const fn ulaw_to_linear(code: u8) -> i16 {
    let code = !code;
    let exponent = code >> 4 & 7;
    let mantissa = (code & 15) as i16;
    let magnitude = ((mantissa << 3 | 132) << exponent) - ULAW_BIAS;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711 table 1b: the value of an A-law code, on the scale of 16 bits.
const fn alaw_to_linear(code: u8) -> i16 {
    let code = code ^ 0x55;
    let exponent = code >> 4 & 7;
    let mantissa = (code & 15) as i16;
    let magnitude = match exponent {
        0 => mantissa << 4 | 8,
        _ => (mantissa << 4 | 0x108) << (exponent - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

const fn linear_to_ulaw(sample: i16) -> u8 {
    let sign = sample >> 15;
    let magnitude = sample ^ sign;
    let capped = if magnitude > ULAW_MAGNITUDE_MAX { ULAW_MAGNITUDE_MAX } else { magnitude };
    let biased = (capped + ULAW_BIAS) as u16;
    let exponent = 8 - biased.leading_zeros();
    let mantissa = biased >> (exponent + 3) & 15;
    !(sign as u8 & 0x80 | (exponent << 4) as u8 | mantissa as u8)
}

const fn linear_to_alaw(sample: i16) -> u8 {
    let sign = sample >> 15;
    let magnitude = (sample ^ sign) as u16;
    // The lowest two segments have the same step.
    let exponent = 8_u32.saturating_sub(magnitude.leading_zeros());
    let shift = if exponent == 0 { 4 } else { exponent + 3 };
    let mantissa = magnitude >> shift & 15;
    (!sign as u8 & 0x80 | (exponent << 4) as u8 | mantissa as u8) ^ 0x55
}

/// Samples of the shortest block. The compiler unrolls a loop whose length it knows.
const KNOWN: usize = 160;

#[inline(always)]
pub(crate) fn add_loop(sums: &mut [i32], samples: &[i16]) {
    #[inline(always)]
    fn add(sums: &mut [i32], samples: &[i16]) {
        for (sum, &sample) in sums.iter_mut().zip(samples) {
            *sum = sum.wrapping_add(i32::from(sample));
        }
    }
    match (<&mut [i32; KNOWN]>::try_from(&mut *sums), <&[i16; KNOWN]>::try_from(samples)) {
        (Ok(sums), Ok(samples)) => add(sums, samples),
        _ => add(sums, samples),
    }
}

#[inline(always)]
pub(crate) fn narrow_loop(sums: &[i32], samples: &mut [i16]) -> bool {
    #[inline(always)]
    fn narrow(sums: &[i32], samples: &mut [i16]) -> u32 {
        let mut bits = 0;
        for (sample, &sum) in samples.iter_mut().zip(sums) {
            bits |= beyond(sum);
            *sample = saturate(sum);
        }
        bits
    }
    is_beyond(
        match (<&[i32; KNOWN]>::try_from(sums), <&mut [i16; KNOWN]>::try_from(&mut *samples)) {
            (Ok(sums), Ok(samples)) => narrow(sums, samples),
            _ => narrow(sums, samples),
        },
    )
}

#[inline(always)]
pub(crate) fn minus_loop(sums: &[i32], own: &[i16], samples: &mut [i16]) -> bool {
    #[inline(always)]
    fn minus(sums: &[i32], own: &[i16], samples: &mut [i16]) -> u32 {
        let mut bits = 0;
        for ((sample, &sum), &own) in samples.iter_mut().zip(sums).zip(own) {
            let others = sum.wrapping_sub(i32::from(own));
            bits |= beyond(others);
            *sample = saturate(others);
        }
        bits
    }
    let known = (
        <&[i32; KNOWN]>::try_from(sums),
        <&[i16; KNOWN]>::try_from(own),
        <&mut [i16; KNOWN]>::try_from(&mut *samples),
    );
    is_beyond(match known {
        (Ok(sums), Ok(own), Ok(samples)) => minus(sums, own, samples),
        _ => minus(sums, own, samples),
    })
}

/// A number whose upper half is zero where the sum fits into 16 bits: numbers of many sums may be
/// joined bit by bit.
#[inline(always)]
fn beyond(sum: i32) -> u32 {
    sum.wrapping_sub(i32::from(i16::MIN)) as u32
}

#[inline(always)]
fn is_beyond(bits: u32) -> bool {
    bits >> 16 != 0
}

#[inline(always)]
pub(crate) fn energy_loop(samples: &[i16]) -> u64 {
    // Two squares fit into 32 bits without sign; as pairs they are one multiply-add instruction.
    let (pairs, rest) = samples.as_chunks::<2>();
    let rest: u64 = rest.iter().map(|&sample| square(sample) as u64).sum();
    let pairs = pairs.iter().map(|&[a, b]| u64::from(square(a).wrapping_add(square(b)) as u32));
    pairs.sum::<u64>() + rest
}

#[inline(always)]
pub(crate) fn peak_loop(samples: &[i16]) -> u16 {
    samples.iter().fold(0, |peak, sample| peak.max(sample.unsigned_abs()))
}

/// The gain of sample `n` is `(start + (n + 1) * slope / 2^14) / 2^shift`.
#[inline(always)]
pub(crate) fn gain_loop(samples: &mut [i16], ramp: Ramp) {
    let half = 1 << (ramp.shift - 1);
    let mut climb = 0_i32;
    for sample in samples {
        climb += ramp.slope;
        let gain = ramp.start + (climb >> Ramp::SLOPE_BITS);
        *sample = saturate((i32::from(*sample) * gain + half) >> ramp.shift);
    }
}

#[inline(always)]
pub(crate) fn fir_loop(samples: &[i16], taps: &[i16], sums: &mut [i32]) {
    for (sum, window) in sums.iter_mut().zip(samples.windows(taps.len())) {
        for (&sample, &tap) in window.iter().zip(taps) {
            *sum = sum.wrapping_add(i32::from(sample) * i32::from(tap));
        }
    }
}

#[inline(always)]
fn square(sample: i16) -> i32 {
    i32::from(sample) * i32::from(sample)
}

#[inline(always)]
fn saturate(value: i32) -> i16 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// Two taps as the multiply-add instructions take them, to be seen as one number of 32 bits.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub(crate) fn pair([first, second]: [i16; 2]) -> i32 {
    i32::from(first) & 0xffff | i32::from(second) << 16
}
