//! One frame of FLAC (RFC 9639 section 9), each audio channel by itself.
//!
//! A sample is predicted from the four before it with one of FLAC's five fixed predictors, and the
//! difference is written as a Rice code, whose parameter changes with the sound within the frame.
//! Bits that are zero in every sample are left out: sound that was G.711 has two or three of them.

use super::bits::BitWriter;
use crate::container::Sound;
use crate::container::checksum::{FLAC_FRAME, FLAC_HEADER};

/// Bits of a sample.
const SAMPLE_BITS: u32 = 16;
/// The highest order of the fixed predictors.
const ORDER_MAX: usize = 4;
/// Blocks shorter than this are written as they are.
const PREDICTED_SAMPLES_MIN: usize = 16;
/// A block is parted at most in so many halves of halves.
const PARTITION_ORDER_MAX: u32 = 6;
const PARTITION_SAMPLES_MIN: usize = 16;
/// The highest parameter that four bits hold: 15 means something else.
const PARAMETER_MAX: u32 = 14;
/// What the first bits of a subframe say, and the lowest of the fixed predictors.
const CONSTANT: u32 = 0;
const VERBATIM: u32 = 1;
const FIXED: u32 = 8;

/// Appends a frame. `first_sample`: how many samples of each audio channel came before it.
pub(super) fn write(sound: Sound, first_sample: u64, interleaved: &[i16], out: &mut Vec<u8>) {
    let start = out.len();
    let channels = usize::from(sound.channels);
    header(sound, first_sample, interleaved.len() / channels, out);
    let mut bits = BitWriter::new(out);
    let mut samples = Vec::with_capacity(interleaved.len() / channels);
    for channel in 0..channels {
        samples.clear();
        samples.extend(interleaved.iter().skip(channel).step_by(channels).map(|&s| i32::from(s)));
        subframe(&mut samples, &mut bits);
    }
    bits.align();
    let sum = FLAC_FRAME.of(&out[start..]) as u16;
    out.extend(sum.to_be_bytes());
}

fn header(sound: Sound, first_sample: u64, samples: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let rate = match sound.rate.hertz() {
        8000 => 4,
        16_000 => 5,
        _ => 10,
    };
    // Blocks of any length, whose length follows in 16 bits.
    out.extend([0xff, 0xf9, 0x70 | rate]);
    out.push(((sound.channels as u8 - 1) << 4) | 0b1000); // 16 bits a sample
    number(first_sample, out);
    out.extend((samples as u16 - 1).to_be_bytes());
    let sum = FLAC_HEADER.of(&out[start..]) as u8;
    out.push(sum);
}

/// A number of up to 36 bits, written as UTF-8 would write it.
fn number(number: u64, out: &mut Vec<u8>) {
    if number < 0x80 {
        return out.push(number as u8);
    }
    let mut following = 1;
    while number >> (6 * following) >= 1 << (6 - following) {
        following += 1;
    }
    let mark = !(0x7f_u64 >> following) & 0xff;
    out.push((mark | (number >> (6 * following))) as u8);
    for index in (0..following).rev() {
        out.push(0x80 | ((number >> (6 * index)) & 0x3f) as u8);
    }
}

/// The samples of one audio channel, in the shortest of the forms.
fn subframe(samples: &mut [i32], bits: &mut BitWriter) {
    let first = samples.first().copied().unwrap_or(0);
    if samples.iter().all(|&sample| sample == first) {
        bits.put(CONSTANT << 1, 8);
        return bits.put(first as u32, SAMPLE_BITS);
    }
    // Not all are zero, so there is a lowest one.
    let wasted = samples.iter().fold(0, |all, sample| all | sample).trailing_zeros();
    for sample in samples.iter_mut() {
        *sample >>= wasted;
    }
    let width = SAMPLE_BITS - wasted;
    if samples.len() >= PREDICTED_SAMPLES_MIN {
        let (order, residual) = predict(samples);
        let plan = Plan::of(&residual, order, samples.len());
        if plan.bits + u64::from(width) * (order as u64) < u64::from(width) * samples.len() as u64 {
            kind(FIXED + order as u32, wasted, bits);
            for &sample in &samples[..order] {
                bits.put(sample as u32, width);
            }
            return plan.write(&residual, order, bits);
        }
    }
    kind(VERBATIM, wasted, bits);
    for &sample in &*samples {
        bits.put(sample as u32, width);
    }
}

/// The header of a subframe.
fn kind(kind: u32, wasted: u32, bits: &mut BitWriter) {
    bits.put(kind << 1 | u32::from(wasted > 0), 8);
    if wasted > 0 {
        bits.put_unary(wasted - 1);
    }
}

/// The order whose differences are the smallest, and these, without those of the first samples.
/// Differences of order n are those of the differences of order n - 1.
fn predict(samples: &[i32]) -> (usize, Vec<i32>) {
    let mut sums = [0_u64; ORDER_MAX + 1];
    for window in samples.windows(ORDER_MAX + 1) {
        let mut differences = [0; ORDER_MAX + 1];
        differences.copy_from_slice(window);
        for (order, sum) in sums.iter_mut().enumerate() {
            *sum += u64::from(differences[ORDER_MAX].unsigned_abs());
            for index in (order + 1..=ORDER_MAX).rev() {
                differences[index] -= differences[index - 1];
            }
        }
    }
    let order = (0..=ORDER_MAX).min_by_key(|&order| sums[order]).unwrap_or(0);
    let mut residual = samples.to_vec();
    for low in 1..=order {
        for index in (low..residual.len()).rev() {
            residual[index] -= residual[index - 1];
        }
    }
    residual.drain(..order);
    (order, residual)
}

/// How the differences of a block are parted and written.
struct Plan {
    partition_order: u32,
    parameters: Vec<u32>,
    bits: u64,
}

impl Plan {
    /// The shortest: from the finest partition on, neighbours are joined.
    fn of(residual: &[i32], order: usize, block: usize) -> Self {
        let fits = |partition: &u32| {
            block.is_multiple_of(1 << partition) && block >> partition >= PARTITION_SAMPLES_MIN
        };
        let finest = (0..=PARTITION_ORDER_MAX).rev().find(fits).unwrap_or(0);
        let mut parts: Vec<(u64, u64)> = parts(residual, order, block >> finest)
            .map(|part| (part.len() as u64, part.iter().map(|&value| u64::from(fold(value))).sum()))
            .collect();
        let mut best = Self::at(finest, &parts);
        for partition_order in (0..finest).rev() {
            parts = parts.chunks(2).map(|two| (two[0].0 + two[1].0, two[0].1 + two[1].1)).collect();
            let coarser = Self::at(partition_order, &parts);
            if coarser.bits <= best.bits {
                best = coarser;
            }
        }
        best
    }

    /// With the best parameter for each part, of which the number and sum of its values are known.
    fn at(partition_order: u32, parts: &[(u64, u64)]) -> Self {
        let mut plan = Self { partition_order, parameters: Vec::new(), bits: 6 };
        for (count, sum) in parts {
            // At most a bit more than each value takes.
            let cost = |parameter: &u32| count * u64::from(parameter + 1) + (sum >> parameter);
            let parameter = (0..=PARAMETER_MAX).min_by_key(cost).unwrap_or(0);
            plan.bits += 4 + cost(&parameter);
            plan.parameters.push(parameter);
        }
        plan
    }

    fn write(&self, residual: &[i32], order: usize, bits: &mut BitWriter) {
        bits.put(0, 2); // parameters of four bits
        bits.put(self.partition_order, 4);
        let length = (residual.len() + order) >> self.partition_order;
        for (part, &parameter) in parts(residual, order, length).zip(&self.parameters) {
            bits.put(parameter, 4);
            for &value in part {
                let value = fold(value);
                bits.put_unary(value >> parameter);
                bits.put(value, parameter);
            }
        }
    }
}

/// The parts of the differences: the first is shorter by the samples that have none.
fn parts(residual: &[i32], order: usize, length: usize) -> impl Iterator<Item = &[i32]> {
    let (first, rest) = residual.split_at(length - order);
    std::iter::once(first).chain(rest.chunks(length))
}

/// Signed numbers as unsigned: 0, -1, 1, -2, 2 ...
const fn fold(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_utf_8_writes_characters() {
        for character in ['\0', '\u{7f}', '\u{80}', '\u{7ff}', '\u{800}', '\u{ffff}', '\u{10ffff}']
        {
            let mut out = Vec::new();
            number(u64::from(u32::from(character)), &mut out);
            assert_eq!(out, character.to_string().as_bytes());
        }
        let mut out = Vec::new();
        number((1 << 36) - 1, &mut out);
        assert_eq!(out, [0xfe, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]);
    }
}
