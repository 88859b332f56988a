//! The loops over samples, at each level that this machine has: one block of 20 ms per iteration.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Block};

/// A sum, aligned as in the mix.
#[repr(align(64))]
struct Aligned([i32; BLOCK_SAMPLES]);

fn kernels(criterion: &mut Criterion) {
    for kernels in Kernels::levels_available().filter_map(Kernels::at) {
        let mut group = criterion.benchmark_group(format!("kernels/{}", kernels.level()));
        let codes: [u8; BLOCK_SAMPLES] = std::array::from_fn(|i| (i * 37) as u8);
        let mut sound = Block::SILENCE;
        kernels.decode_ulaw(&codes, &mut sound.0);
        let (mut samples, mut encoded) = (Block::SILENCE, [0; BLOCK_SAMPLES]);
        let mut sum = Box::new(Aligned([0; BLOCK_SAMPLES]));

        group.bench_function("decode_ulaw", |b| {
            b.iter(|| kernels.decode_ulaw(black_box(&codes), black_box(&mut samples.0)));
        });
        group.bench_function("decode_alaw", |b| {
            b.iter(|| kernels.decode_alaw(black_box(&codes), black_box(&mut samples.0)));
        });
        group.bench_function("encode_ulaw", |b| {
            b.iter(|| kernels.encode_ulaw(black_box(&sound.0), black_box(&mut encoded)));
        });
        group.bench_function("encode_alaw", |b| {
            b.iter(|| kernels.encode_alaw(black_box(&sound.0), black_box(&mut encoded)));
        });
        group.bench_function("add", |b| {
            b.iter(|| kernels.add(black_box(&mut sum.0), black_box(&sound.0)));
        });
        group.bench_function("narrow", |b| {
            b.iter(|| kernels.narrow(black_box(&sum.0), black_box(&mut samples.0)));
        });
        group.bench_function("minus", |b| {
            b.iter(|| {
                kernels.minus(black_box(&sum.0), black_box(&sound.0), black_box(&mut samples.0))
            });
        });
        group.bench_function("energy", |b| b.iter(|| kernels.energy(black_box(&sound.0))));
        group.bench_function("peak", |b| b.iter(|| kernels.peak(black_box(&sound.0))));
        group.finish();
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
