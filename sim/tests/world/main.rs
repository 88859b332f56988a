//! The real front end and the real shards among simulated phones and networks.

mod chaos;
mod endings;
mod lies;
mod moving;
mod networks;
mod overload;
mod rooms;
mod sameness;
mod spread;

use std::time::Duration;

use sim::network::LinkModel;
use sim::oracle::{Acuity, Leftovers, Matrix, is_lawful};
use sim::world::{Settings, World};

/// Loud enough for a few talkers, and never clipping.
const AMPLITUDE: f32 = 1200.0;
/// Soft enough for a hundred.
const AMPLITUDE_OF_A_CROWD: f32 = 300.0;

const MS: Duration = Duration::from_millis(1);

fn settings(seed: u64, phones: usize) -> Settings {
    let amplitude = if phones > 10 { AMPLITUDE_OF_A_CROWD } else { AMPLITUDE };
    Settings { seed, amplitude, ..Settings::default() }
}

/// A room of so many phones, settled.
fn room(seed: u64, phones: usize) -> World {
    room_with(settings(seed, phones), phones)
}

fn room_with(settings: Settings, phones: usize) -> World {
    let mut world = World::new(settings);
    world.fill_room("conf1", phones);
    for number in 0..phones {
        assert!(world.endpoint(number).is_talking(), "{:?}", world.endpoint(number).history);
    }
    world
}

/// Everybody hears whom the plan says (listener, talker), on a network that delivers everything.
#[track_caller]
fn assert_heard(world: &mut World, plan: impl Fn(usize, usize) -> bool) -> Matrix {
    assert_heard_with(Acuity::SHARP, world, plan)
}

#[track_caller]
fn assert_heard_with(
    acuity: Acuity,
    world: &mut World,
    plan: impl Fn(usize, usize) -> bool,
) -> Matrix {
    let amplitude = if world.phones() > 10 { AMPLITUDE_OF_A_CROWD } else { AMPLITUDE };
    let matrix = Matrix::measure(world, amplitude);
    if let Err(mismatches) = matrix.check(acuity, plan) {
        panic!("{mismatches}");
    }
    matrix
}

/// Everybody hears everybody else, and nobody itself.
#[track_caller]
fn assert_all_hear_all(world: &mut World) -> Matrix {
    assert_heard(world, |listener, talker| listener != talker)
}

/// The same on a network that does not deliver everything.
#[track_caller]
fn assert_all_hear_all_somehow(world: &mut World) -> Matrix {
    assert_heard_with(Acuity::BLURRED, world, |listener, talker| listener != talker)
}

/// The server's streams kept the law of RTP, whatever the network did to them.
#[track_caller]
fn assert_lawful(world: &World) {
    for number in 0..world.phones() {
        let counts = world.endpoint(number).phone.receiver.counts();
        assert!(is_lawful(&counts), "phone {number}: {counts:?}");
    }
}

/// The server holds nothing any more: no call, no transaction, no session, no room.
#[track_caller]
fn assert_nothing_left(world: &mut World, story: &str) {
    let leftovers = Leftovers::of(world);
    assert_eq!(leftovers, Leftovers::default(), "{story}");
}

fn latency() -> LinkModel {
    LinkModel { latency: 5 * MS, ..LinkModel::default() }
}
