//! Anything at any moment, by seed: afterwards the network heals, everybody who is left hears
//! everybody who is left, and when they have gone nothing is left.

use std::time::Duration;

use media_units::Law;
use sim::Seed;
use sim::caller::Hold;
use sim::network::{LinkModel, Loss};
use sim::world::{Conduct, PhoneSettings, Settings, World};

use super::*;

const PHONES: usize = 8;
/// Who vanishes while on hold is noticed only when the session is refreshed.
const SESSION_EXPIRES: u32 = 90;

/// One run. What happened is in the message of whatever fails.
fn run(seed: u64) {
    let mut dice = Seed::new(seed).fork(99);
    let sip = LinkModel { loss: Loss::Uniform(0.05), jitter: 20 * MS, ..latency() };
    let settings =
        Settings { sip, tick_lateness: 3 * MS, shards: 1 + (seed % 2) as u8, ..settings(seed, 3) };
    let mut world = World::new(settings);
    let mut dialled = [false; PHONES];
    let mut story = Vec::new();
    for _ in 0..PHONES {
        let mut phone = PhoneSettings::dialling(["conf1", "3001"][dice.below(2) as usize]);
        phone.session_expires = Some(SESSION_EXPIRES);
        phone.offer_in_ok = dice.chance(0.2);
        phone.packet_time_ms = [20, 20, 20, 10, 30][dice.below(5) as usize];
        phone.skew_ppm = dice.below(600) as i32 - 300;
        story.push(format!("{} {}", phone.dials, phone.packet_time_ms));
        world.add(&phone);
    }
    for _ in 0..60 {
        let number = dice.below(PHONES as u64) as usize;
        let what = if std::mem::replace(&mut dialled[number], true) {
            disturb(&mut world, number, &mut dice)
        } else {
            world.dial(number);
            "dials"
        };
        story.push(format!("{}: {number} {what}", world.now()));
        world.run(Duration::from_millis(dice.below(300)));
    }
    heal(&mut world);
    check_rooms(&mut world, seed, &story);
    for number in 0..PHONES {
        world.hang_up(number);
    }
    world.run(Duration::from_secs(2 * u64::from(SESSION_EXPIRES) + 70));
    assert_nothing_left(&mut world, &format!("seed {seed}: {story:#?}"));
}

fn disturb(world: &mut World, number: usize, dice: &mut Seed) -> &'static str {
    match dice.below(12) {
        0 => {
            world.hang_up(number);
            "hangs up"
        }
        1..=3 => {
            let holds = [Hold::Active, Hold::SendOnly, Hold::Inactive, Hold::Unspecified];
            world.hold(number, holds[dice.below(4) as usize]);
            "holds or resumes"
        }
        4 => {
            world.mute(number, dice.chance(0.5));
            "is muted or not"
        }
        5 => {
            world.change_ssrc(number);
            "has a new SSRC"
        }
        6 => {
            let units = dice.next_u32() as i32;
            world.endpoint_mut(number).phone.sender.jump_timestamp(units);
            "jumps in time"
        }
        7 => {
            world.change_encoding(number, Law::ALL[dice.below(2) as usize].encoding());
            "changes its law"
        }
        8 => {
            world.rebind(number);
            "is behind another port"
        }
        9 if dice.chance(0.3) => {
            world.endpoint_mut(number).conduct = Conduct::Vanished;
            "vanishes"
        }
        _ => {
            let loss = Loss::Bursts { to_bad: dice.unit() / 10.0, to_good: 0.2, loss_bad: 0.9 };
            let jitter = Duration::from_millis(dice.below(80));
            world.set_media_link(number, LinkModel { loss, jitter, ..latency() });
            "gets a bad network"
        }
    }
}

/// Good networks, nobody on hold or muted, and time to notice it.
fn heal(world: &mut World) {
    world.set_media_links(latency());
    // A re-INVITE under way takes up to 32 s; who vanished is noticed after 30 s.
    world.run(Duration::from_secs(40));
    for number in 0..PHONES {
        world.hold(number, Hold::Active);
        world.mute(number, false);
    }
    world.run(Duration::from_secs(20));
}

fn check_rooms(world: &mut World, seed: u64, story: &[String]) {
    let rooms: Vec<String> = story[..PHONES].iter().map(|line| line[..5].to_owned()).collect();
    let stands: Vec<bool> = (0..PHONES).map(|n| world.endpoint(n).is_talking()).collect();
    let plan = |listener: usize, talker: usize| {
        listener != talker
            && stands[listener]
            && stands[talker]
            && rooms[listener].trim() == rooms[talker].trim()
    };
    if let Err(mismatches) = Matrix::measure(world, AMPLITUDE).check(Acuity::SHARP, plan) {
        panic!("seed {seed}: {mismatches} {story:#?}");
    }
}

#[test]
fn whatever_happened_the_world_heals_and_is_left_empty() {
    for seed in 0..24 {
        run(seed);
    }
}
