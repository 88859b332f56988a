//! One stream's 20 ms brought to another rate: our filters beside rubato's, each with the samples of
//! 16 bits that it is given and must return.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use media::resample::{History, Resampler};
use media_kernels::Kernels;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

const PAIRS: [(u32, u32); 8] = [
    (8000, 16_000),
    (8000, 48_000),
    (16_000, 48_000),
    (16_000, 8000),
    (48_000, 8000),
    (48_000, 16_000),
    (44_100, 48_000),
    (48_000, 44_100),
];

fn sound(hertz: u32) -> Vec<i16> {
    (0..hertz / 50).map(|at| (at.wrapping_mul(2_654_435_769) >> 18) as i16 - 8192).collect()
}

/// Ours, at each level that this machine has.
fn ours(criterion: &mut Criterion, from: u32, to: u32) {
    let mut group = criterion.benchmark_group(format!("resample/{from}_to_{to}"));
    let block = sound(from);
    for kernels in Kernels::levels_available().filter_map(Kernels::at) {
        let (mut resampler, mut history) = (Resampler::new(kernels), History::SILENT);
        let mut out = vec![0; to as usize / 50];
        group.bench_function(format!("ours_{}", kernels.level()), |b| {
            b.iter(|| {
                resampler.resample(&history, from, black_box(&block), to, &mut out);
                history.keep(&block);
                black_box(&mut out);
            });
        });
    }
    group.finish();
}

/// rubato's synchronous resampler, in pieces of 5 ms: that is a delay of 2.5 ms.
fn rubato(criterion: &mut Criterion, from: u32, to: u32) {
    let block = sound(from);
    let (samples, results) = (from as usize / 50, to as usize / 50);
    // 44.1 kHz has no whole number of samples in 5 ms: 10 ms are its smallest piece.
    let pieces = if from == 44_100 || to == 44_100 { 2 } else { 4 };
    let window = WindowFunction::BlackmanHarris2;
    let (from_hz, to_hz) = (from as usize, to as usize);
    let both = FixedSync::Both;
    let fft = Fft::<f32>::new_custom(from_hz, to_hz, samples, pieces, 1, window, both);
    let Ok(mut fft) = fft else { return };
    let (mut floats, mut out) = (vec![0.0_f32; samples], vec![0.0_f32; results]);
    let mut narrowed = vec![0_i16; results];
    criterion.bench_function(&format!("resample/{from}_to_{to}/rubato"), |b| {
        b.iter(|| {
            for (float, &sample) in floats.iter_mut().zip(black_box(&block)) {
                *float = f32::from(sample);
            }
            let input = InterleavedSlice::new(&floats, 1, samples);
            let output = InterleavedSlice::new_mut(&mut out, 1, results);
            if let (Ok(input), Ok(mut output)) = (input, output) {
                let _ = black_box(fft.process_into_buffer(&input, &mut output, None));
            }
            for (sample, &float) in narrowed.iter_mut().zip(&out) {
                *sample = float as i16;
            }
            black_box(&mut narrowed);
        });
    });
}

fn resample(criterion: &mut Criterion) {
    for (from, to) in PAIRS {
        ours(criterion, from, to);
        rubato(criterion, from, to);
    }
}

criterion_group!(benches, resample);
criterion_main!(benches);
