//! Each payload format: 20 ms of a voice encoded and decoded.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use media::codec::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};
use media::comfort_noise::{ComfortNoise, DiscontinuousSender, NoiseGenerator};
use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters};

/// What is negotiated where 20 ms go into a packet.
const PARAMETERS: EncodingParameters =
    EncodingParameters { ilbc_mode_ms: 20, ..EncodingParameters::DEFAULT };

/// Frames that are gone through, over and over.
const FRAMES: usize = 50;

/// A second of pulses and breath, at any rate.
fn voice(rate: u32) -> Vec<i16> {
    let mut seed = 1_u32;
    let (mut first, mut second) = (0_i32, 0_i32);
    let sample = |n: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let pulse = if n.is_multiple_of(rate / 120) { 9000 } else { 0 };
        let excited = (seed >> 24) as i32 - 128 + pulse;
        let sounding =
            (excited + (29_000 * first - 15_000 * second) / 16_384).clamp(-30_000, 30_000);
        (first, second) = (sounding, first);
        sounding as i16
    };
    (0..rate).map(sample).collect()
}

fn formats(criterion: &mut Criterion) {
    let kernels = Kernels::detect();
    let mut group = criterion.benchmark_group("codec");
    for encoding in Encoding::ALL {
        let voice = voice(encoding.sample_rate());
        let blocks: Vec<&[i16]> = voice.chunks_exact(voice.len() / FRAMES).collect();
        let mut frame = [0; FRAME_BYTES_MAX];
        let mut encoder = Encoder::new(encoding, &PARAMETERS);
        let payloads: Vec<Vec<u8>> = blocks
            .iter()
            .map(|block| {
                let octets = encoder.encode(&kernels, block, &mut frame);
                frame[..octets].to_vec()
            })
            .collect();

        let mut at = 0;
        group.bench_function(format!("encode/{encoding}"), |b| {
            b.iter(|| {
                at = (at + 1) % FRAMES;
                encoder.encode(&kernels, black_box(blocks[at]), &mut frame)
            });
        });
        let mut decoder = Decoder::new(encoding);
        let mut samples = [0; PACKET_SAMPLES_MAX];
        group.bench_function(format!("decode/{encoding}"), |b| {
            b.iter(|| {
                at = (at + 1) % FRAMES;
                decoder.decode(&kernels, black_box(&payloads[at]), &mut samples)
            });
        });
    }
    group.finish();
}

fn comfort_noise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("comfort_noise");
    let mut samples = [0; 160];
    let mut generator = NoiseGenerator::new(8000, 1);
    generator.describe(&ComfortNoise::white(50));
    group.bench_function("fill", |b| b.iter(|| generator.fill(black_box(&mut samples))));
    let mut sender = DiscontinuousSender::new(8000);
    group.bench_function("silence", |b| b.iter(|| sender.packet(black_box(&samples))));
    group.finish();
}

criterion_group! {
    name = codec;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20);
    targets = formats, comfort_noise
}
criterion_main!(codec);
