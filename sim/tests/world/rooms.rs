//! Rooms on a clean network: who hears whom, who does not, and how long it takes.

use std::time::Duration;

use media_units::Law;
use sim::caller::{CallEvent, Hold};
use sim::world::{PhoneSettings, Settings, World};

use super::*;

#[test]
fn two_hear_each_other_and_not_themselves() {
    let mut world = room(1, 2);
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn three_hear_each_other_and_not_themselves() {
    let mut world = room(2, 3);
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn ten_hear_each_other_and_not_themselves() {
    let mut world = room(3, 10);
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn a_hundred_hear_each_other_and_not_themselves() {
    let mut world = room(4, 100);
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn one_alone_hears_nothing_but_is_sent_every_packet() {
    let mut world = room(5, 1);
    assert_heard(&mut world, |_, _| false);
    let counts = world.endpoint(0).phone.receiver.counts();
    assert!(counts.packets > 190 && counts.lost == 0, "{counts:?}");
}

#[test]
fn sound_reaches_the_ear_within_the_promised_time() {
    for phones in [2, 3, 10] {
        let mut world = room(6, phones);
        let matrix = assert_all_hear_all(&mut world);
        let delays: Vec<Duration> = matrix.delays().collect();
        assert_eq!(delays.len(), phones * (phones - 1));
        // The network takes 5 ms each way; 25 ms is what the server may take at most.
        for delay in delays {
            assert!((10 * MS..=35 * MS).contains(&delay), "{phones} phones: {delay:?}");
        }
    }
}

#[test]
fn without_stamps_of_arrival_sound_is_as_fast_where_packets_come_evenly() {
    for seed in 22..26 {
        let mut world = room_with(Settings { arrival_timestamps: false, ..settings(seed, 10) }, 10);
        let matrix = assert_all_hear_all(&mut world);
        for delay in matrix.delays() {
            assert!((10 * MS..=35 * MS).contains(&delay), "{delay:?}");
        }
        assert_lawful(&world);
    }
}

#[test]
fn no_packet_is_lost_and_none_comes_late_on_a_clean_network() {
    let mut world = room(7, 10);
    for number in 0..10 {
        world.endpoint_mut(number).phone.receiver.restart_counts();
    }
    world.run(Duration::from_secs(10));
    for number in 0..10 {
        let receiver = &world.endpoint(number).phone.receiver;
        let counts = receiver.counts();
        assert!((499..=501).contains(&counts.packets) && counts.lost == 0, "{counts:?}");
        assert_eq!((counts.reordered, counts.duplicates, counts.timestamp_skips), (0, 0, 0));
        assert!(receiver.gap_max() <= 21 * MS, "{:?}", receiver.gap_max());
    }
}

#[test]
fn rooms_do_not_hear_each_other() {
    let mut world = World::new(settings(8, 6));
    let rooms = [world.fill_room("conf1", 3), world.fill_room("3007", 3)];
    let together = |a: usize, b: usize| rooms.iter().any(|r| r.contains(&a) && r.contains(&b));
    assert_heard(&mut world, |listener, talker| listener != talker && together(listener, talker));
}

#[test]
fn the_echo_returns_the_callers_own_sound() {
    let mut world = World::new(settings(9, 2));
    world.fill_room("echo", 2);
    assert_heard(&mut world, |listener, talker| listener == talker);
}

#[test]
fn the_oracle_names_every_pair_that_is_not_as_planned() {
    let mut world = World::new(settings(9, 2));
    world.fill_room("echo", 2);
    let matrix = Matrix::measure(&mut world, AMPLITUDE);
    let wrong = matrix.check(Acuity::SHARP, |listener, talker| listener != talker).unwrap_err();
    let pairs: Vec<_> = wrong.0.iter().map(|w| (w.listener, w.talker, w.should)).collect();
    assert_eq!(pairs, [(0, 0, false), (0, 1, true), (1, 0, true), (1, 1, false)]);
}

#[test]
fn both_encodings_meet_in_one_room() {
    let mut world = World::new(settings(10, 3));
    for laws in [[Law::Mu], [Law::A], [Law::A]] {
        let encodings = laws.map(Law::encoding).to_vec();
        let phone = world.add(&PhoneSettings { encodings, ..PhoneSettings::dialling("conf1") });
        world.dial(phone);
    }
    world.run(Duration::from_secs(2));
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn a_phone_may_change_its_encoding_in_mid_call() {
    let mut world = room(19, 3);
    for law in [Law::A, Law::Mu] {
        assert!(world.change_encoding(0, law.encoding()));
        world.run(Duration::from_secs(1));
        assert_all_hear_all(&mut world);
    }
}

#[test]
fn a_phone_may_change_its_address_in_mid_call() {
    let mut world = room(20, 3);
    world.run(Duration::from_secs(5));
    assert!(world.change_address(0));
    world.run(Duration::from_millis(500));
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn packets_of_ten_to_sixty_milliseconds_are_heard() {
    let mut world = World::new(settings(21, 5));
    for packet_time_ms in [10, 20, 30, 40, 60] {
        let phone = PhoneSettings { packet_time_ms, ..PhoneSettings::dialling("conf1") };
        let phone = world.add(&phone);
        world.dial(phone);
    }
    world.run(Duration::from_secs(3));
    assert_all_hear_all(&mut world);
}

#[test]
fn an_offer_in_the_ok_is_as_good_as_one_in_the_invite() {
    let mut world = World::new(settings(11, 3));
    for offer_in_ok in [true, false, true] {
        let phone = world.add(&PhoneSettings { offer_in_ok, ..PhoneSettings::dialling("conf1") });
        world.dial(phone);
    }
    world.run(Duration::from_secs(2));
    assert_all_hear_all(&mut world);
}

#[test]
fn a_muted_one_is_not_heard_but_hears() {
    let mut world = room(12, 4);
    assert!(world.mute(1, true));
    world.run(Duration::from_secs(1));
    assert_heard(&mut world, |listener, talker| listener != talker && talker != 1);
    assert!(world.mute(1, false));
    world.run(Duration::from_secs(1));
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn a_held_one_neither_hears_nor_is_heard_as_its_hold_says() {
    for (hold, is_heard) in
        [(Hold::SendOnly, true), (Hold::Inactive, false), (Hold::Unspecified, true)]
    {
        let mut world = room(13, 3);
        assert!(world.hold(0, hold));
        world.run(Duration::from_secs(1));
        assert_heard(&mut world, |listener, talker| {
            listener != talker && listener != 0 && (talker != 0 || is_heard)
        });
        assert!(world.hold(0, Hold::Active));
        world.run(Duration::from_secs(1));
        assert_all_hear_all(&mut world);
    }
}

#[test]
fn a_late_joiner_is_heard_at_once_and_disturbs_nobody() {
    let mut world = room(14, 2);
    let third = world.add(&PhoneSettings::dialling("conf1"));
    world.run(Duration::from_secs(3));
    world.dial(third);
    world.run(Duration::from_secs(1));
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
    for number in 0..2 {
        let counts = world.endpoint(number).phone.receiver.counts();
        assert_eq!((counts.lost, counts.timestamp_skips), (0, 0));
    }
}

#[test]
fn a_room_of_a_hundred_takes_a_late_hundred_and_first() {
    let mut world = room(15, 100);
    let late = world.add(&PhoneSettings::dialling("conf1"));
    world.dial(late);
    world.run(Duration::from_secs(1));
    assert_all_hear_all(&mut world);
}

#[test]
fn rooms_on_several_shards_are_served_alike() {
    let mut world = World::new(Settings { shards: 3, ..settings(16, 9) });
    let rooms: Vec<_> = (1..=3).map(|n| world.fill_room(&format!("conf{n}"), 3)).collect();
    let together = |a: usize, b: usize| rooms.iter().any(|r| r.contains(&a) && r.contains(&b));
    assert_heard(&mut world, |listener, talker| listener != talker && together(listener, talker));
    let sessions: Vec<u32> = world.reports().iter().map(|report| report.sessions).collect();
    assert_eq!(sessions, [3, 3, 3]);
}

#[test]
fn an_unknown_number_is_refused_with_404() {
    let mut world = World::new(settings(17, 1));
    let phone = world.add(&PhoneSettings::dialling("nobody"));
    world.dial(phone);
    world.run(Duration::from_secs(1));
    assert_eq!(world.endpoint(phone).history, [CallEvent::Refused(404)]);
}

#[test]
fn a_recording_holds_what_was_said() {
    let mut world = World::new(settings(18, 2));
    world.fill_room("record", 1);
    world.run(Duration::from_secs(2));
    let recorded = &world.recordings()[0];
    let window = recorded.samples[4000..].first_chunk().expect("two seconds were recorded");
    let spectrum = sim::code::Spectrum::of(window);
    assert!(spectrum.amplitude(world.endpoint(0).code) > 0.9 * AMPLITUDE);
}
