//! Phones that do what phones should not, or do it at the worst moment.

use std::time::Duration;

use media_units::Discard;
use sim::caller::Hold;
use sim::world::{Conduct, World};

use super::*;

/// Rooms of 2, 3, 10 and 100, settled.
fn rooms(seed: u64) -> impl Iterator<Item = World> {
    [2, 3, 10, 100].into_iter().map(move |phones| room(seed + phones as u64, phones))
}

#[test]
fn a_new_ssrc_in_mid_call_is_heard_like_the_old_one() {
    for mut world in rooms(300) {
        world.change_ssrc(0);
        world.run(Duration::from_secs(1));
        world.change_ssrc(1);
        world.run(Duration::from_secs(1));
        assert_all_hear_all(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn a_jump_of_the_timestamp_is_survived() {
    for mut world in rooms(400) {
        for units in [8000, -8000, 1 << 30, -(1 << 30), 77] {
            world.endpoint_mut(0).phone.sender.jump_timestamp(units);
            world.run(Duration::from_secs(1));
        }
        world.run(Duration::from_secs(1));
        assert_all_hear_all(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn numbers_that_wrap_are_not_noticed() {
    for phones in [2, 3, 10, 100] {
        let mut world = World::new(settings(500 + phones as u64, phones));
        let settings = sim::world::PhoneSettings::dialling("conf1");
        for packets in 0..phones {
            let phone = world.add(&settings);
            world.set_before_wrap(phone, 100 + packets as u16 % 20);
            world.dial(phone);
        }
        world.run(Duration::from_secs(2));
        // The wraps lie in the middle of the measurement.
        assert_all_hear_all(&mut world);
        assert_lawful(&world);
        let report = world.reports()[0];
        let discarded: u64 = report.discards.iter().sum();
        assert_eq!((discarded, report.blocks_concealed), (0, 0));
    }
}

#[test]
fn a_storm_of_holds_leaves_everybody_heard() {
    for mut world in rooms(600) {
        let phones = world.phones();
        let holds = [Hold::SendOnly, Hold::Active, Hold::Inactive, Hold::Unspecified];
        for round in 0..20 {
            for number in 0..phones.min(10) {
                world.hold(number, holds[(round + number) % holds.len()]);
            }
            world.run(30 * MS);
        }
        world.run(Duration::from_secs(1));
        for number in 0..phones.min(10) {
            assert!(world.hold(number, Hold::Active), "phone {number} is still asking");
        }
        world.run(Duration::from_secs(2));
        assert_all_hear_all(&mut world);
        assert_lawful(&world);
    }
}

#[test]
fn the_wrong_payload_type_is_discarded_and_counted() {
    let mut world = room(700, 3);
    world.endpoint_mut(0).phone.sender.set_payload_type(77);
    world.run(Duration::from_secs(1));
    assert_heard(&mut world, |listener, talker| listener != talker && talker != 0);
    let report = world.reports()[0];
    assert!(report.discards[Discard::PayloadType as usize] > 50);
    world.endpoint_mut(0).phone.sender.set_payload_type(0);
    world.run(Duration::from_secs(1));
    assert_all_hear_all(&mut world);
}

#[test]
fn one_that_talks_on_while_on_hold_is_not_heard() {
    let mut world = room(701, 3);
    assert!(world.hold(0, Hold::Inactive));
    world.endpoint_mut(0).conduct = Conduct::Insistent;
    world.run(Duration::from_secs(1));
    assert_heard(&mut world, |listener, talker| listener != talker && talker != 0 && listener != 0);
    assert!(world.reports()[0].discards[Discard::Unwanted as usize] > 50);
}

#[test]
fn silence_by_a_phone_that_only_reports_is_silence() {
    let mut world = room(702, 3);
    world.endpoint_mut(1).conduct = Conduct::RtcpOnly;
    world.run(Duration::from_secs(6));
    assert_heard(&mut world, |listener, talker| listener != talker && talker != 1);
    assert!(world.endpoint(1).is_talking(), "RTCP shows that it is alive");
}
