//! AVX2: G.711 by arithmetic in 16 lanes of 16 bits, the rest as the compiler vectorises it.
//!
//! AVX2 cannot shift 16-bit lanes by different amounts; multiplying by a power of two, looked up
//! with a byte shuffle, does the same.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_setr_epi8, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cvtepu8_epi16, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_epu8, _mm256_min_epi16, _mm256_mulhi_epu16, _mm256_mullo_epi16,
    _mm256_or_si256, _mm256_packus_epi16, _mm256_permute2x128_si256, _mm256_permute4x64_epi64,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_sign_epi16, _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srli_epi16,
    _mm256_storeu_si256, _mm256_sub_epi16, _mm256_unpackhi_epi32, _mm256_unpacklo_epi32,
    _mm256_xor_si256,
};

use crate::gain::Ramp;
use crate::scalar::{ULAW_BIAS, ULAW_MAGNITUDE_MAX};
use crate::{Set, scalar};

pub(crate) const SET: Set = Set {
    decode_ulaw,
    decode_alaw,
    encode_ulaw,
    encode_alaw,
    add,
    narrow,
    minus,
    energy,
    peak,
    gain,
    fir,
};

#[target_feature(enable = "avx2")]
fn decode_ulaw(codes: &[u8], samples: &mut [i16]) {
    let (code_chunks, code_rest) = codes.as_chunks::<16>();
    let (sample_chunks, sample_rest) = samples.as_chunks_mut::<16>();
    for (samples, codes) in sample_chunks.iter_mut().zip(code_chunks) {
        let code = _mm256_xor_si256(load_codes(codes), _mm256_set1_epi16(0xff));
        let mantissa = _mm256_slli_epi16::<3>(_mm256_and_si256(code, _mm256_set1_epi16(15)));
        let step = per_segment(code, [1, 2, 4, 8, 16, 32, 64, -128]);
        let magnitude = _mm256_mullo_epi16(_mm256_or_si256(mantissa, bias()), step);
        // Bit 7 becomes the sign, and bit 0 keeps the lane from being zero.
        let sign = _mm256_or_si256(_mm256_slli_epi16::<8>(code), _mm256_set1_epi16(1));
        store(samples, _mm256_sign_epi16(_mm256_sub_epi16(magnitude, bias()), sign));
    }
    scalar::decode_ulaw(code_rest, sample_rest);
}

#[target_feature(enable = "avx2")]
fn decode_alaw(codes: &[u8], samples: &mut [i16]) {
    let (code_chunks, code_rest) = codes.as_chunks::<16>();
    let (sample_chunks, sample_rest) = samples.as_chunks_mut::<16>();
    for (samples, codes) in sample_chunks.iter_mut().zip(code_chunks) {
        // 0x55 is the code's own mask; 0x80 more makes a set bit 7 mean negative.
        let code = _mm256_xor_si256(load_codes(codes), _mm256_set1_epi16(0xd5));
        let mantissa = _mm256_slli_epi16::<4>(_mm256_and_si256(code, _mm256_set1_epi16(15)));
        // All segments but the lowest have a leading one above the mantissa.
        let leading = _mm256_slli_epi16::<8>(per_segment(code, [0, 1, 1, 1, 1, 1, 1, 1]));
        let start = _mm256_or_si256(leading, _mm256_set1_epi16(8));
        let step = per_segment(code, [1, 1, 2, 4, 8, 16, 32, 64]);
        let magnitude = _mm256_mullo_epi16(_mm256_or_si256(mantissa, start), step);
        let sign = _mm256_or_si256(_mm256_slli_epi16::<8>(code), _mm256_set1_epi16(1));
        store(samples, _mm256_sign_epi16(magnitude, sign));
    }
    scalar::decode_alaw(code_rest, sample_rest);
}

#[target_feature(enable = "avx2")]
fn encode_ulaw(samples: &[i16], codes: &mut [u8]) {
    let (sample_chunks, sample_rest) = samples.as_chunks::<32>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<32>();
    for (codes, samples) in code_chunks.iter_mut().zip(sample_chunks) {
        let [low, high] = load_samples(samples);
        store_codes(codes, ulaw(low), ulaw(high));
    }
    scalar::encode_ulaw(sample_rest, code_rest);
}

#[target_feature(enable = "avx2")]
fn encode_alaw(samples: &[i16], codes: &mut [u8]) {
    let (sample_chunks, sample_rest) = samples.as_chunks::<32>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<32>();
    for (codes, samples) in code_chunks.iter_mut().zip(sample_chunks) {
        let [low, high] = load_samples(samples);
        store_codes(codes, alaw(low), alaw(high));
    }
    scalar::encode_alaw(sample_rest, code_rest);
}

#[target_feature(enable = "avx2")]
fn add(sums: &mut [i32], samples: &[i16]) {
    scalar::add_loop(sums, samples);
}

#[target_feature(enable = "avx2")]
fn narrow(sums: &[i32], samples: &mut [i16]) -> bool {
    scalar::narrow_loop(sums, samples)
}

#[target_feature(enable = "avx2")]
fn minus(sums: &[i32], own: &[i16], samples: &mut [i16]) -> bool {
    scalar::minus_loop(sums, own, samples)
}

#[target_feature(enable = "avx2")]
fn energy(samples: &[i16]) -> u64 {
    scalar::energy_loop(samples)
}

#[target_feature(enable = "avx2")]
fn peak(samples: &[i16]) -> u16 {
    scalar::peak_loop(samples)
}

#[target_feature(enable = "avx2")]
fn gain(samples: &mut [i16], ramp: Ramp) {
    scalar::gain_loop(samples, ramp);
}

#[target_feature(enable = "avx2")]
fn fir(samples: &[i16], taps: &[i16], sums: &mut [i32]) {
    let (sum_chunks, sum_rest) = sums.as_chunks_mut::<16>();
    let done = sum_chunks.len() * 16;
    let (pairs, _) = taps.as_chunks::<2>();
    for (chunk, sums) in sum_chunks.iter_mut().enumerate() {
        // A multiply-add of neighbours gives every other sum; one sample later, those between.
        let window = &samples[chunk * 16..chunk * 16 + 15 + taps.len()];
        let mut even = _mm256_setzero_si256();
        let mut odd = _mm256_setzero_si256();
        for (pair, &taps) in pairs.iter().enumerate() {
            let taps = _mm256_set1_epi32(scalar::pair(taps));
            let now = load(window, 2 * pair);
            let next = load(window, 2 * pair + 1);
            even = _mm256_add_epi32(even, _mm256_madd_epi16(now, taps));
            odd = _mm256_add_epi32(odd, _mm256_madd_epi16(next, taps));
        }
        // Interleaving works in halves of the registers.
        let low = _mm256_unpacklo_epi32(even, odd);
        let high = _mm256_unpackhi_epi32(even, odd);
        add_sums(
            sums,
            [
                _mm256_permute2x128_si256::<0x20>(low, high),
                _mm256_permute2x128_si256::<0x31>(low, high),
            ],
        );
    }
    scalar::fir_loop(&samples[done..], taps, sum_rest);
}

/// The mu-law codes of 16 samples.
#[inline]
#[target_feature(enable = "avx2")]
fn ulaw(samples: __m256i) -> __m256i {
    let sign = _mm256_srai_epi16::<15>(samples);
    let magnitude = _mm256_xor_si256(samples, sign);
    let capped = _mm256_min_epi16(magnitude, _mm256_set1_epi16(ULAW_MAGNITUDE_MAX));
    let biased = _mm256_add_epi16(capped, bias());
    let exponent = exponent(biased);
    // 2^(15 - exponent): the upper half of a product with it is a shift by exponent + 1.
    let power = _mm256_slli_epi16::<8>(_mm256_shuffle_epi8(
        table([-128, 64, 32, 16, 8, 4, 2, 1], [0; 8]),
        exponent,
    ));
    let mantissa = _mm256_mulhi_epu16(_mm256_srli_epi16::<2>(biased), power);
    // The mantissa still has its leading one, 16; so this is 255 or 127 less the code's value.
    let value = _mm256_add_epi16(_mm256_slli_epi16::<4>(exponent), mantissa);
    let positive = _mm256_sub_epi16(_mm256_set1_epi16(255 + 16), value);
    _mm256_add_epi16(positive, _mm256_and_si256(sign, _mm256_set1_epi16(-128)))
}

/// The A-law codes of 16 samples.
#[inline]
#[target_feature(enable = "avx2")]
fn alaw(samples: __m256i) -> __m256i {
    let sign = _mm256_srai_epi16::<15>(samples);
    let magnitude = _mm256_xor_si256(samples, sign);
    let exponent = exponent(magnitude);
    // As in mu-law, but the lowest two segments have the same step.
    let power = _mm256_slli_epi16::<8>(_mm256_shuffle_epi8(
        table([64, 64, 32, 16, 8, 4, 2, 1], [0; 8]),
        exponent,
    ));
    let mantissa = _mm256_mulhi_epu16(_mm256_srli_epi16::<2>(magnitude), power);
    let mantissa = _mm256_and_si256(mantissa, _mm256_set1_epi16(15));
    let value = _mm256_or_si256(_mm256_slli_epi16::<4>(exponent), mantissa);
    let mask = _mm256_and_si256(sign, _mm256_set1_epi16(0x80));
    _mm256_xor_si256(value, _mm256_xor_si256(mask, _mm256_set1_epi16(0xd5)))
}

/// How many of the upper 7 bits of each (15-bit) lane are in use: the segment of its magnitude.
#[inline]
#[target_feature(enable = "avx2")]
fn exponent(magnitude: __m256i) -> __m256i {
    let low = _mm256_and_si256(_mm256_srli_epi16::<8>(magnitude), _mm256_set1_epi16(15));
    let high = _mm256_srli_epi16::<12>(magnitude);
    let by_low = table([0, 1, 2, 2, 3, 3, 3, 3], [4; 8]);
    let by_high = table([0, 5, 6, 6, 7, 7, 7, 7], [0; 8]);
    _mm256_max_epu8(_mm256_shuffle_epi8(by_low, low), _mm256_shuffle_epi8(by_high, high))
}

/// Of each code the value (0..=255) that `values` has for its segment: bits 4 to 6.
#[inline]
#[target_feature(enable = "avx2")]
fn per_segment(code: __m256i, values: [i8; 8]) -> __m256i {
    // The sign, bit 7, stays in the index: both halves of the table are the same. An index byte
    // of 0x80 gives zero.
    let index = _mm256_or_si256(_mm256_srli_epi16::<4>(code), _mm256_set1_epi16(i16::MIN));
    _mm256_shuffle_epi8(table(values, values), index)
}

/// A table of 16 bytes for the byte shuffle, in both halves of the register.
#[inline]
#[target_feature(enable = "avx2")]
fn table(low: [i8; 8], high: [i8; 8]) -> __m256i {
    let [a, b, c, d, e, f, g, h] = low;
    let [i, j, k, l, m, n, o, p] = high;
    _mm256_broadcastsi128_si256(_mm_setr_epi8(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p))
}

#[inline]
#[target_feature(enable = "avx2")]
fn bias() -> __m256i {
    _mm256_set1_epi16(ULAW_BIAS)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_codes(codes: &[u8; 16]) -> __m256i {
    // SAFETY: reads the 16 bytes of the array; the load has no alignment.
    let codes = unsafe { _mm_loadu_si128(codes.as_ptr().cast::<__m128i>()) };
    _mm256_cvtepu8_epi16(codes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_samples(samples: &[i16; 32]) -> [__m256i; 2] {
    let start = samples.as_ptr().cast::<__m256i>();
    // SAFETY: reads the 64 bytes of the array, 32 at a time; the load has no alignment.
    unsafe { [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(samples: &mut [i16; 16], values: __m256i) {
    // SAFETY: writes the 32 bytes of the array; the store has no alignment.
    unsafe { _mm256_storeu_si256(samples.as_mut_ptr().cast::<__m256i>(), values) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_codes(codes: &mut [u8; 32], low: __m256i, high: __m256i) {
    // Packing works in halves of the registers; the permutation puts the quarters in order.
    let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(low, high));
    // SAFETY: writes the 32 bytes of the array; the store has no alignment.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast::<__m256i>(), packed) }
}

/// The 16 samples from `start` on.
#[inline]
#[target_feature(enable = "avx2")]
fn load(samples: &[i16], start: usize) -> __m256i {
    let samples: &[i16] = &samples[start..start + 16];
    // SAFETY: reads the 32 bytes of the slice; the load has no alignment.
    unsafe { _mm256_loadu_si256(samples.as_ptr().cast::<__m256i>()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_sums(sums: &mut [i32; 16], values: [__m256i; 2]) {
    let start = sums.as_mut_ptr().cast::<__m256i>();
    for (half, value) in values.into_iter().enumerate() {
        // SAFETY: reads and writes the 64 bytes of the array, 32 at a time, without alignment.
        unsafe {
            let sum = _mm256_add_epi32(_mm256_loadu_si256(start.add(half)), value);
            _mm256_storeu_si256(start.add(half), sum);
        }
    }
}
