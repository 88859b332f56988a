//! A room of ten with three who talk: the mix and what all ten are sent.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Block, Law, RateClass};
use mixer::{Mix, RoomState, Setting, Source};

/// The sound of one who talks, not alike for any two; ten together are within full scale.
fn sound(member: u32) -> Block {
    let mut noise = member.wrapping_add(1).wrapping_mul(2_654_435_769);
    Block(std::array::from_fn(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 20) as i16 - 2048
    }))
}

fn room(criterion: &mut Criterion, name: &str, members: u32, talkers: u32) {
    let sounds: Vec<Block> = (0..talkers).map(sound).collect();
    let mut group = criterion.benchmark_group(format!("room/{name}"));
    // So that the time is also told for each listener.
    group.throughput(Throughput::Elements(u64::from(members)));
    for kernels in Kernels::levels_available().filter_map(Kernels::at) {
        let mut mix = Mix::new(kernels, members);
        let mut sources = vec![Source::new(); members as usize];
        let mut state = RoomState::default();
        let mut packet = [0; BLOCK_SAMPLES];
        group.bench_function(kernels.level().name(), |b| {
            b.iter(|| {
                mix.start(&Setting::PLAIN, state);
                for (talker, sound) in sounds.iter().enumerate() {
                    mix.next_block(RateClass::Narrow).copy_from_slice(&sound.0);
                    mix.offer(talker as u32, RateClass::Narrow, 1, true);
                }
                mix.settle(&mut sources[..]);
                for member in 0..members {
                    let source = &mut sources[member as usize];
                    packet.copy_from_slice(mix.frame_for(member, Law::Mu, source));
                    black_box(&mut packet);
                }
                state = mix.finish();
            });
        });
    }
    group.finish();
}

fn rooms(criterion: &mut Criterion) {
    room(criterion, "3_of_10", 10, 3);
    room(criterion, "10_of_10", 10, 10);
    room(criterion, "3_of_1000", 1000, 3);
}

criterion_group!(benches, rooms);
criterion_main!(benches);
