//! AVX-512: G.711 by arithmetic in 32 lanes of 16 bits, the rest as the compiler vectorises it.

use std::arch::x86_64::{
    __m256i, __m512i, _mm_setr_epi8, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_add_epi16,
    _mm512_add_epi32, _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_castsi256_si512,
    _mm512_castsi512_si256, _mm512_cvtepi16_epi8, _mm512_cvtepi16_epi32, _mm512_cvtepu8_epi16,
    _mm512_cvtsepi32_epi16, _mm512_extracti64x4_epi64, _mm512_inserti64x4, _mm512_loadu_si512,
    _mm512_madd_epi16, _mm512_mask_sub_epi16, _mm512_maskz_set1_epi16, _mm512_max_epu8,
    _mm512_max_epu16, _mm512_min_epi16, _mm512_or_si512, _mm512_permutex2var_epi32,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_sllv_epi16, _mm512_srai_epi16,
    _mm512_srli_epi16, _mm512_srlv_epi16, _mm512_storeu_si512, _mm512_sub_epi16, _mm512_sub_epi32,
    _mm512_subs_epu16, _mm512_test_epi16_mask, _mm512_test_epi32_mask, _mm512_xor_si512,
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

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn decode_ulaw(codes: &[u8], samples: &mut [i16]) {
    let (code_chunks, code_rest) = codes.as_chunks::<32>();
    let (sample_chunks, sample_rest) = samples.as_chunks_mut::<32>();
    for (samples, codes) in sample_chunks.iter_mut().zip(code_chunks) {
        let code = _mm512_xor_si512(load_codes(codes), _mm512_set1_epi16(0xff));
        let mantissa = _mm512_slli_epi16::<3>(_mm512_and_si512(code, _mm512_set1_epi16(15)));
        let exponent = _mm512_and_si512(_mm512_srli_epi16::<4>(code), _mm512_set1_epi16(7));
        let biased = _mm512_sllv_epi16(_mm512_or_si512(mantissa, bias()), exponent);
        store(samples, signed(code, _mm512_sub_epi16(biased, bias())));
    }
    scalar::decode_ulaw(code_rest, sample_rest);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn decode_alaw(codes: &[u8], samples: &mut [i16]) {
    let (code_chunks, code_rest) = codes.as_chunks::<32>();
    let (sample_chunks, sample_rest) = samples.as_chunks_mut::<32>();
    for (samples, codes) in sample_chunks.iter_mut().zip(code_chunks) {
        // 0x55 is the code's own mask; 0x80 more makes a set bit 7 mean negative.
        let code = _mm512_xor_si512(load_codes(codes), _mm512_set1_epi16(0xd5));
        let mantissa = _mm512_slli_epi16::<4>(_mm512_and_si512(code, _mm512_set1_epi16(15)));
        // All segments but the lowest have a leading one above the mantissa.
        let upper = _mm512_test_epi16_mask(code, _mm512_set1_epi16(0x70));
        let leading = _mm512_maskz_set1_epi16(upper, 0x100);
        let start = _mm512_or_si512(leading, _mm512_set1_epi16(8));
        let exponent = _mm512_and_si512(_mm512_srli_epi16::<4>(code), _mm512_set1_epi16(7));
        let shift = _mm512_subs_epu16(exponent, _mm512_set1_epi16(1));
        store(samples, signed(code, _mm512_sllv_epi16(_mm512_or_si512(mantissa, start), shift)));
    }
    scalar::decode_alaw(code_rest, sample_rest);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn encode_ulaw(samples: &[i16], codes: &mut [u8]) {
    let (sample_chunks, sample_rest) = samples.as_chunks::<32>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<32>();
    for (codes, samples) in code_chunks.iter_mut().zip(sample_chunks) {
        let samples = load(samples);
        let sign = _mm512_srai_epi16::<15>(samples);
        let magnitude = _mm512_xor_si512(samples, sign);
        let capped = _mm512_min_epi16(magnitude, _mm512_set1_epi16(ULAW_MAGNITUDE_MAX));
        let biased = _mm512_add_epi16(capped, bias());
        let exponent = exponent(biased);
        let shift = _mm512_add_epi16(exponent, _mm512_set1_epi16(3));
        // The mantissa still has its leading one, 16; so this is 255 or 127 less the value.
        let mantissa = _mm512_srlv_epi16(biased, shift);
        let value = _mm512_add_epi16(_mm512_slli_epi16::<4>(exponent), mantissa);
        let positive = _mm512_sub_epi16(_mm512_set1_epi16(255 + 16), value);
        let code = _mm512_add_epi16(positive, _mm512_and_si512(sign, _mm512_set1_epi16(-128)));
        store_codes(codes, code);
    }
    scalar::encode_ulaw(sample_rest, code_rest);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn encode_alaw(samples: &[i16], codes: &mut [u8]) {
    let (sample_chunks, sample_rest) = samples.as_chunks::<32>();
    let (code_chunks, code_rest) = codes.as_chunks_mut::<32>();
    for (codes, samples) in code_chunks.iter_mut().zip(sample_chunks) {
        let samples = load(samples);
        let sign = _mm512_srai_epi16::<15>(samples);
        let magnitude = _mm512_xor_si512(samples, sign);
        let exponent = exponent(magnitude);
        // The lowest two segments have the same step.
        let step = _mm512_max_epu16(exponent, _mm512_set1_epi16(1));
        let shift = _mm512_add_epi16(step, _mm512_set1_epi16(3));
        let mantissa = _mm512_and_si512(_mm512_srlv_epi16(magnitude, shift), _mm512_set1_epi16(15));
        let value = _mm512_or_si512(_mm512_slli_epi16::<4>(exponent), mantissa);
        let mask = _mm512_and_si512(sign, _mm512_set1_epi16(0x80));
        let mask = _mm512_xor_si512(mask, _mm512_set1_epi16(0xd5));
        store_codes(codes, _mm512_xor_si512(value, mask));
    }
    scalar::encode_alaw(sample_rest, code_rest);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn add(sums: &mut [i32], samples: &[i16]) {
    scalar::add_loop(sums, samples);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn narrow(sums: &[i32], samples: &mut [i16]) -> bool {
    let (sum_chunks, sum_rest) = sums.as_chunks::<32>();
    let (sample_chunks, sample_rest) = samples.as_chunks_mut::<32>();
    let mut beyond = _mm512_setzero_si512();
    for (samples, sums) in sample_chunks.iter_mut().zip(sum_chunks) {
        store(samples, saturate(load_sums(sums), &mut beyond));
    }
    is_beyond(beyond) | scalar::narrow_loop(sum_rest, sample_rest)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn minus(sums: &[i32], own: &[i16], samples: &mut [i16]) -> bool {
    let (sum_chunks, sum_rest) = sums.as_chunks::<32>();
    let (own_chunks, own_rest) = own.as_chunks::<32>();
    let (sample_chunks, sample_rest) = samples.as_chunks_mut::<32>();
    let mut beyond = _mm512_setzero_si512();
    for ((samples, sums), own) in sample_chunks.iter_mut().zip(sum_chunks).zip(own_chunks) {
        let own = load(own);
        let [low, high] = load_sums(sums);
        let low = _mm512_sub_epi32(low, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(own)));
        let own = _mm512_extracti64x4_epi64::<1>(own);
        let high = _mm512_sub_epi32(high, _mm512_cvtepi16_epi32(own));
        store(samples, saturate([low, high], &mut beyond));
    }
    is_beyond(beyond) | scalar::minus_loop(sum_rest, own_rest, sample_rest)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn energy(samples: &[i16]) -> u64 {
    scalar::energy_loop(samples)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn peak(samples: &[i16]) -> u16 {
    scalar::peak_loop(samples)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn gain(samples: &mut [i16], ramp: Ramp) {
    scalar::gain_loop(samples, ramp);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn fir(samples: &[i16], taps: &[i16], sums: &mut [i32]) {
    let (sum_chunks, sum_rest) = sums.as_chunks_mut::<32>();
    let done = sum_chunks.len() * 32;
    let (pairs, _) = taps.as_chunks::<2>();
    for (chunk, sums) in sum_chunks.iter_mut().enumerate() {
        // A multiply-add of neighbours gives every other sum; one sample later, those between.
        let window = &samples[chunk * 32..chunk * 32 + 31 + taps.len()];
        let mut even = _mm512_setzero_si512();
        let mut odd = _mm512_setzero_si512();
        for (pair, &taps) in pairs.iter().enumerate() {
            let taps = _mm512_set1_epi32(scalar::pair(taps));
            let now = load_at(window, 2 * pair);
            let next = load_at(window, 2 * pair + 1);
            even = _mm512_add_epi32(even, _mm512_madd_epi16(now, taps));
            odd = _mm512_add_epi32(odd, _mm512_madd_epi16(next, taps));
        }
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
        add_sums(
            sums,
            [_mm512_permutex2var_epi32(even, low, odd), _mm512_permutex2var_epi32(even, high, odd)],
        );
    }
    scalar::fir_loop(&samples[done..], taps, sum_rest);
}

/// How many of the upper 7 bits of each (15-bit) lane are in use: the segment of its magnitude.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn exponent(magnitude: __m512i) -> __m512i {
    let low = _mm512_and_si512(_mm512_srli_epi16::<8>(magnitude), _mm512_set1_epi16(15));
    let high = _mm512_srli_epi16::<12>(magnitude);
    let by_low = _mm_setr_epi8(0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4);
    let by_high = _mm_setr_epi8(0, 5, 6, 6, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_max_epu8(
        _mm512_shuffle_epi8(_mm512_broadcast_i32x4(by_low), low),
        _mm512_shuffle_epi8(_mm512_broadcast_i32x4(by_high), high),
    )
}

/// The magnitudes, negative where bit 7 of the code is set.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn signed(code: __m512i, magnitude: __m512i) -> __m512i {
    let negative = _mm512_test_epi16_mask(code, _mm512_set1_epi16(0x80));
    _mm512_mask_sub_epi16(magnitude, negative, _mm512_setzero_si512(), magnitude)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn bias() -> __m512i {
    _mm512_set1_epi16(ULAW_BIAS)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_codes(codes: &[u8; 32]) -> __m512i {
    // SAFETY: reads the 32 bytes of the array; the load has no alignment.
    _mm512_cvtepu8_epi16(unsafe { _mm256_loadu_si256(codes.as_ptr().cast::<__m256i>()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load(samples: &[i16; 32]) -> __m512i {
    // SAFETY: reads the 64 bytes of the array; the load has no alignment.
    unsafe { _mm512_loadu_si512(samples.as_ptr().cast::<__m512i>()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn store(samples: &mut [i16; 32], values: __m512i) {
    // SAFETY: writes the 64 bytes of the array; the store has no alignment.
    unsafe { _mm512_storeu_si512(samples.as_mut_ptr().cast::<__m512i>(), values) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn store_codes(codes: &mut [u8; 32], values: __m512i) {
    let packed = _mm512_cvtepi16_epi8(values);
    // SAFETY: writes the 32 bytes of the array; the store has no alignment.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast::<__m256i>(), packed) }
}

/// The 32 samples from `start` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_at(samples: &[i16], start: usize) -> __m512i {
    let samples: &[i16] = &samples[start..start + 32];
    // SAFETY: reads the 64 bytes of the slice; the load has no alignment.
    unsafe { _mm512_loadu_si512(samples.as_ptr().cast::<__m512i>()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn add_sums(sums: &mut [i32; 32], values: [__m512i; 2]) {
    let start = sums.as_mut_ptr().cast::<__m512i>();
    for (half, value) in values.into_iter().enumerate() {
        // SAFETY: reads and writes the 128 bytes of the array, 64 at a time, without alignment.
        unsafe {
            let sum = _mm512_add_epi32(_mm512_loadu_si512(start.add(half)), value);
            _mm512_storeu_si512(start.add(half), sum);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_sums(sums: &[i32; 32]) -> [__m512i; 2] {
    let start = sums.as_ptr().cast::<__m512i>();
    // SAFETY: reads the 128 bytes of the array, 64 at a time; the load has no alignment.
    unsafe { [_mm512_loadu_si512(start), _mm512_loadu_si512(start.add(1))] }
}

/// The sums as samples. Where one is beyond 16 bits, upper halves in `beyond` become other than 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn saturate([low, high]: [__m512i; 2], beyond: &mut __m512i) -> __m512i {
    let least = _mm512_set1_epi32(-i32::from(i16::MIN));
    *beyond = _mm512_or_si512(*beyond, _mm512_add_epi32(low, least));
    *beyond = _mm512_or_si512(*beyond, _mm512_add_epi32(high, least));
    let low = _mm512_castsi256_si512(_mm512_cvtsepi32_epi16(low));
    _mm512_inserti64x4::<1>(low, _mm512_cvtsepi32_epi16(high))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn is_beyond(beyond: __m512i) -> bool {
    _mm512_test_epi32_mask(beyond, _mm512_set1_epi32(-65_536)) != 0
}
