//! Calls that end, one way or another, and leave nothing behind.

use std::time::Duration;

use engine_control::Limits;
use sim::caller::CallEvent;
use sim::network::{LinkModel, Loss};
use sim::world::{Conduct, PhoneSettings, Settings, World};

use super::*;

/// After 64 * T1 no transaction is left, whatever happened to it.
const FORGOTTEN: Duration = Duration::from_secs(70);

#[test]
fn after_the_last_goodbye_nothing_is_left() {
    for phones in [2, 3, 10, 100] {
        let mut world = room(800 + phones as u64, phones);
        for number in 0..phones {
            world.hang_up(number);
        }
        world.run(Duration::from_secs(1));
        for number in 0..phones {
            assert_eq!(world.endpoint(number).history.last(), Some(&CallEvent::Ended));
        }
        assert_eq!(world.slots_taken(), (0, 0));
        world.run(FORGOTTEN);
        assert_nothing_left(&mut world, "");
    }
}

#[test]
fn callers_who_vanish_are_noticed_and_leave_nothing() {
    for phones in [2, 3, 10, 100] {
        let mut world = room(900 + phones as u64, phones);
        let vanishing = phones.div_ceil(2);
        for number in 0..vanishing {
            world.endpoint_mut(number).conduct = Conduct::Vanished;
        }
        // `media_timeout` is 30 s; the BYE is repeated for 32 s.
        world.run(Duration::from_secs(31));
        assert_eq!(world.slots_taken().0, phones - vanishing);
        assert_heard(&mut world, |listener, talker| {
            listener != talker && listener >= vanishing && talker >= vanishing
        });
        for number in vanishing..phones {
            world.hang_up(number);
        }
        world.run(FORGOTTEN);
        assert_nothing_left(&mut world, "");
    }
}

#[test]
fn a_phone_whose_sound_stops_is_sent_a_goodbye() {
    let limits = Limits {
        media_timeout: Duration::from_secs(5),
        sessions_max: 16,
        rooms_max: 4,
        ..Limits::default()
    };
    let mut world = room_with(Settings { limits, ..settings(1000, 2) }, 2);
    world.set_media_link(0, LinkModel { loss: Loss::Everything, ..latency() });
    world.run(Duration::from_secs(6));
    assert_eq!(world.endpoint(0).history.last(), Some(&CallEvent::HungUp));
    assert!(world.endpoint(1).is_talking());
}

#[test]
fn a_call_that_is_cancelled_or_hung_up_at_any_moment_leaves_nothing() {
    for step in 0..20 {
        let mut world = World::new(settings(1100 + step, 1));
        let phone = world.add(&PhoneSettings::dialling("conf1"));
        world.dial(phone);
        world.run(Duration::from_millis(step));
        world.hang_up(phone);
        world.run(Duration::from_secs(1));
        let last = world.endpoint(phone).history.last();
        assert!(matches!(last, Some(CallEvent::Ended | CallEvent::Refused(487))), "{last:?}");
        world.run(FORGOTTEN);
        assert_nothing_left(&mut world, "");
    }
}

#[test]
fn an_invite_whose_caller_vanishes_leaves_nothing() {
    for step in [0, 4, 6, 11, 16, 40] {
        let mut world = World::new(settings(1200 + step, 1));
        let phone = world.add(&PhoneSettings::dialling("conf1"));
        world.dial(phone);
        world.run(Duration::from_millis(step));
        world.endpoint_mut(phone).conduct = Conduct::Vanished;
        // The 200 is repeated for 32 s, and the BYE for as long.
        world.run(Duration::from_secs(40) + FORGOTTEN);
        assert_nothing_left(&mut world, &format!("vanished after {step} ms"));
    }
}

#[test]
fn a_full_server_says_so_and_takes_calls_again_when_one_leaves() {
    let limits = Limits { sessions_max: 3, rooms_max: 4, ..Limits::default() };
    let mut world = room_with(Settings { limits, ..settings(1300, 3) }, 3);
    let fourth = world.add(&PhoneSettings::dialling("conf1"));
    world.dial(fourth);
    world.run(Duration::from_secs(1));
    assert_eq!(world.endpoint(fourth).history, [CallEvent::Refused(503)]);
    world.hang_up(0);
    world.run(Duration::from_secs(1));
    let fifth = world.add(&PhoneSettings::dialling("conf1"));
    world.dial(fifth);
    world.run(Duration::from_secs(1));
    assert_heard(&mut world, |listener, talker| {
        let is_in = |number| [1, 2, 4].contains(&number);
        listener != talker && is_in(listener) && is_in(talker)
    });
}

#[test]
fn every_packet_that_arrived_is_accounted_for() {
    let media = LinkModel {
        loss: Loss::Uniform(0.02),
        duplication: 0.05,
        jitter: 30 * MS,
        reordering: 0.02,
        reordering_delay: 60 * MS,
        ..latency()
    };
    let mut world = room_with(Settings { media, ..settings(1400, 10) }, 10);
    world.run(Duration::from_secs(20));
    for number in 0..10 {
        world.hang_up(number);
    }
    world.run(Duration::from_secs(1));
    let report = world.reports()[0];
    let carried = world.carried();
    assert_eq!(report.rtp_sent + report.rtcp_sent, carried.media_sent_down);
    // What waited in a socket for its phase when the call ended was never received.
    let unread = carried.media_arrived_up - report.rtp_received - report.rtcp_received;
    assert!(unread <= 2 * 10, "{unread}: {carried:?}");
    // What waited in a playout buffer, at most 300 ms, was never played.
    let discarded: u64 = report.discards.iter().sum();
    // Where the delay changed, sound was made longer or shorter by some percent.
    let used = report.rtp_received - discarded;
    let unplayed = used.abs_diff(report.blocks_played);
    assert!(unplayed <= 15 * 10 + used / 30, "{unplayed}: {report:?}");
}
