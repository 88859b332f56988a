//! What a period of a whole shard takes, and what taps add.

use benches::world::{CROWDS, SESSIONS, World};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine_control::{SessionKey, TapPoint};
use media_kernels::Kernels;

fn shard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard");
    for crowd in CROWDS {
        // So that the time is also told for each stream and frame.
        group.throughput(Throughput::Elements(u64::from(crowd.sessions)));
        let mut world = World::new(crowd, Kernels::detect());
        for _ in 0..50 {
            world.period();
        }
        let before = world.sent();
        world.period();
        let sent = world.sent() - before;
        assert!(sent >= u64::from(crowd.sessions), "everyone is sent sound: {sent}");
        group.bench_function(crowd.name, |b| b.iter(|| world.period()));
    }
    group.finish();
}

/// The same with a tap of every session, and all that it carries read, less the same without.
fn taps(criterion: &mut Criterion) {
    type Point = fn(SessionKey) -> TapPoint;
    let points: [(&str, Point); 3] = [
        ("received", TapPoint::Received),
        ("sent", TapPoint::Sent),
        ("packets", TapPoint::Packets),
    ];
    let crowd = CROWDS[1];
    let mut group = criterion.benchmark_group("taps");
    group.throughput(Throughput::Elements(u64::from(SESSIONS)));
    let mut world = World::new(crowd, Kernels::detect());
    group.bench_function("none", |b| b.iter(|| world.period()));
    for (name, point) in points {
        let mut world = World::new(crowd, Kernels::detect());
        world.tap(point);
        for _ in 0..50 {
            world.period();
            world.read_taps();
        }
        world.period();
        assert_eq!(world.read_taps(), SESSIONS as usize, "one record of each");
        group.bench_function(name, |b| {
            b.iter(|| {
                world.period();
                world.read_taps()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, shard, taps);
criterion_main!(benches);
