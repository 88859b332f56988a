//! One large room on several shards, without a socket: what its mix costs. The shards' ticks follow each
//! other on one core, so that each is timed by itself.

use std::time::{Duration, Instant};

use benches::world::{Crowd, World};
use clap::Parser;
use media_kernels::Kernels;
use media_units::{Encoding, PERIOD};

/// Periods until playout, levels and floors are what they stay: 2 s.
const WARM_UP: u32 = 100;

/// Times periods of one large room.
#[derive(Debug, Parser)]
struct Options {
    /// Members of the room.
    #[arg(default_value_t = 10_000)]
    members: u32,
    /// How many of them talk.
    #[arg(default_value_t = 5)]
    talkers: u32,
    /// How many shards it is spread over.
    #[arg(default_value_t = 2)]
    shards: u8,
    /// Opus instead of G.711.
    #[arg(long)]
    opus: bool,
    /// How many periods count.
    #[arg(long, default_value_t = 250)]
    periods: u32,
}

fn main() {
    let Options { members, talkers, shards, opus, periods } = Options::parse();
    let encoding = if opus { Encoding::Opus } else { Encoding::Pcmu };
    let crowd = Crowd::spread("one room", members, talkers, shards).in_encoding(encoding);
    let mut world = World::new(crowd, Kernels::detect());
    for _ in 0..WARM_UP {
        world.period();
    }
    let before = world.sent();
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..periods {
        world.period_watched(|tick| {
            let began = Instant::now();
            tick();
            let took = began.elapsed();
            all += took;
            longest = longest.max(took);
        });
    }
    let sent = world.sent() - before;
    let frames = u64::from(members) * u64::from(periods);
    assert!(sent >= frames, "everyone is sent each period");
    let nanos = all.as_nanos() as f64;
    let time = f64::from(periods) * f64::from(shards) * PERIOD.as_nanos() as f64;
    println!(
        "{members} members in {encoding:?}, {talkers} talk, {shards} shards: {:.0} ns for each stream \
         and frame, {:.1} % of each shard's core, longest tick {} us",
        nanos / frames as f64,
        100.0 * nanos / time,
        longest.as_micros(),
    );
}
