//! Rooms on bad networks, and after they heal.

use std::time::Duration;

use sim::network::profile::Profile;
use sim::network::{LinkModel, Loss, Rate};
use sim::world::{PhoneSettings, Settings, World};

use super::*;

/// Rooms of 2, 3, 10 and 100 whose sound travels over `media`.
fn rooms_on(media: LinkModel) -> impl Iterator<Item = World> {
    [2, 3, 10, 100].into_iter().map(move |phones| {
        room_with(Settings { media, ..settings(100 + phones as u64, phones) }, phones)
    })
}

#[test]
fn everybody_is_heard_in_spite_of_uniform_loss() {
    for mut world in rooms_on(LinkModel { loss: Loss::Uniform(0.02), ..latency() }) {
        assert_all_hear_all_somehow(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn everybody_is_heard_in_spite_of_bursts_of_loss() {
    let loss = Loss::Bursts { to_bad: 0.005, to_good: 0.4, loss_bad: 0.9 };
    for mut world in rooms_on(LinkModel { loss, ..latency() }) {
        assert_all_hear_all_somehow(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn everybody_is_heard_in_spite_of_jitter() {
    for mut world in rooms_on(LinkModel { jitter: 30 * MS, ..latency() }) {
        world.run(Duration::from_secs(4));
        assert_all_hear_all_somehow(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn everybody_is_heard_in_spite_of_reordering() {
    let media =
        LinkModel { reordering: 0.05, reordering_delay: 45 * MS, overtaking: true, ..latency() };
    for mut world in rooms_on(media) {
        world.run(Duration::from_secs(4));
        assert_all_hear_all_somehow(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn everybody_is_heard_in_spite_of_duplicates() {
    for mut world in rooms_on(LinkModel { duplication: 0.3, ..latency() }) {
        assert_all_hear_all_somehow(&mut world);
        assert_lawful(&world);
        let report = world.reports()[0];
        assert!(report.discards[media_units::Discard::Duplicate as usize] > 0);
    }
}

#[test]
fn everybody_is_heard_on_the_networks_that_people_have() {
    for profile in Profile::ALL {
        let mut world = room_with(Settings { media: profile.link(), ..settings(230, 3) }, 3);
        world.run(Duration::from_secs(4));
        assert_all_hear_all_somehow(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn calls_stand_in_spite_of_lost_and_doubled_sip_messages() {
    let sip =
        LinkModel { loss: Loss::Uniform(0.2), duplication: 0.2, jitter: 50 * MS, ..latency() };
    for seed in 200..205 {
        let mut world = World::new(Settings { sip, ..settings(seed, 5) });
        world.fill_room("conf1", 5);
        world.run(Duration::from_secs(40));
        for number in 0..5 {
            assert!(world.endpoint(number).is_talking(), "{:?}", world.endpoint(number).history);
        }
        assert_all_hear_all(&mut world);
    }
}

#[test]
fn when_a_hole_in_the_network_closes_everybody_hears_everybody_again() {
    let mut world = room(210, 5);
    world.set_media_link(2, LinkModel { loss: Loss::Everything, ..latency() });
    world.run(Duration::from_secs(4));
    assert_heard(&mut world, |listener, talker| listener != talker && listener != 2 && talker != 2);
    world.set_media_links(latency());
    world.run(Duration::from_secs(1));
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn after_jitter_the_delay_comes_down_again() {
    let media = LinkModel { jitter: 60 * MS, ..latency() };
    let mut world = room_with(Settings { media, ..settings(211, 3) }, 3);
    world.run(Duration::from_secs(10));
    world.set_media_links(latency());
    world.run(Duration::from_secs(30));
    let matrix = assert_all_hear_all(&mut world);
    for delay in matrix.delays() {
        assert!(delay <= 60 * MS, "{delay:?}");
    }
}

#[test]
fn skewed_clocks_neither_run_dry_nor_pile_up() {
    let mut world = World::new(settings(212, 3));
    for skew_ppm in [300, 0, -300] {
        let phone = world.add(&PhoneSettings { skew_ppm, ..PhoneSettings::dialling("conf1") });
        world.dial(phone);
    }
    // 300 ppm are a packet in 67 s.
    world.run(Duration::from_secs(300));
    let matrix = assert_all_hear_all(&mut world);
    for delay in matrix.delays() {
        assert!(delay <= 80 * MS, "{delay:?}");
    }
    assert_lawful(&world);
}

#[test]
fn a_narrow_pipe_costs_packets_and_nothing_else() {
    // Each phone needs 8,600 octets a second either way.
    let rate = Some(Rate { octets_per_second: 8_500, queue: 60 * MS });
    let mut world =
        room_with(Settings { media: LinkModel { rate, ..latency() }, ..settings(213, 3) }, 3);
    world.run(Duration::from_secs(10));
    assert_all_hear_all_somehow(&mut world);
    assert_lawful(&world);
}

#[test]
fn a_phone_behind_a_forgetful_nat_is_heard_again_after_the_stated_time() {
    let mut world = room(214, 3);
    world.run(Duration::from_secs(5));
    world.rebind(1);
    world.run(Duration::from_secs(1));
    assert_heard(&mut world, |listener, talker| listener != talker && listener != 1 && talker != 1);
    // `relatch_after` is 3 s.
    world.run(Duration::from_secs(2));
    assert_all_hear_all(&mut world);
}

#[test]
fn late_ticks_lose_nothing() {
    let settings = Settings { tick_lateness: 4 * MS, ..settings(215, 10) };
    let mut world = room_with(settings, 10);
    world.run(Duration::from_secs(5));
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
    for number in 0..10 {
        assert_eq!(world.endpoint(number).phone.receiver.counts().lost, 0);
    }
}
