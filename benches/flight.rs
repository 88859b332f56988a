//! What the flight recorder adds to a packet.

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::flight::{Kept, Trace, flight_ring};
use engine::{Datagram, Decision, Port, Said};
use media_units::{Arrival, Instant};

const PACKET: [u8; 172] = {
    let mut packet = [0x55; 172];
    packet[0] = 0x80;
    packet
};

fn datagram(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flight");
    for (name, kept) in [("headers", Kept::Headers), ("all", Kept::All)] {
        let (mut sink, _reader) = flight_ring(8 << 20);
        let source = SocketAddr::from(([192, 0, 2, 1], 4000));
        let arrival = Arrival::At(Instant::from_millis(20));
        group.bench_function(format!("datagram_{name}"), |b| {
            b.iter(|| {
                let bytes = black_box(&PACKET[..]);
                let (slot, port) = (7, Port::Rtp);
                let datagram = Datagram { slot, port, source, arrival, bytes, truncated: false };
                sink.datagram(&datagram, kept);
            });
        });
    }
    let (mut sink, _reader) = flight_ring(8 << 20);
    group.bench_function("decision", |b| {
        let decision = Decision::Turn { said: Said::Played, is_muted: false, is_heard: true };
        b.iter(|| sink.decision(black_box(7), decision));
    });
    let mut trace = Trace::default();
    let to = SocketAddr::from(([192, 0, 2, 1], 4000));
    group.bench_function("trace_of_what_is_sent", |b| {
        b.iter(|| trace.send(7, Port::Rtp, to, [black_box(&PACKET[..12]), &PACKET[12..]]));
    });
    group.finish();
}

criterion_group!(benches, datagram);
criterion_main!(benches);
