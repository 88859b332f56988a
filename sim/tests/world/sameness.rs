//! The same seed gives the same trace, whatever runs it.

use std::time::Duration;

use media_kernels::Kernels;
use sim::caller::Hold;
use sim::network::{LinkModel, Loss};
use sim::world::{Conduct, PhoneSettings, Settings, World};

use super::*;

/// A bit of everything, for a quarter of a minute.
fn eventful(settings: Settings) -> u64 {
    let media = LinkModel {
        loss: Loss::Bursts { to_bad: 0.02, to_good: 0.3, loss_bad: 0.7 },
        jitter: 25 * MS,
        duplication: 0.02,
        reordering: 0.02,
        reordering_delay: 40 * MS,
        ..latency()
    };
    let sip = LinkModel { loss: Loss::Uniform(0.05), jitter: 10 * MS, ..latency() };
    let mut world = World::new(Settings { media, sip, tick_lateness: 2 * MS, ..settings });
    world.fill_room("conf1", 8);
    world.fill_room("conf2", 2);
    world.change_ssrc(0);
    world.hold(1, Hold::SendOnly);
    world.mute(2, true);
    world.endpoint_mut(3).conduct = Conduct::Vanished;
    world.run(Duration::from_secs(3));
    world.hang_up(4);
    world.rebind(5);
    let late = world.add(&PhoneSettings::dialling("conf1"));
    world.dial(late);
    world.run(Duration::from_secs(8));
    world.trace().value()
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed| eventful(settings(seed, 3));
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn all_kernels_give_the_same_trace() {
    let traces: Vec<u64> = Kernels::levels_available()
        .filter_map(Kernels::at)
        .map(|kernels| eventful(Settings { kernels, ..settings(3, 3) }))
        .collect();
    assert!(traces.windows(2).all(|pair| pair[0] == pair[1]), "{traces:x?}");
}
