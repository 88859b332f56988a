//! More calls than a shard has time for.

use std::time::Duration;

use engine_control::{Limits, OverloadRule, Shedding};
use sim::caller::CallEvent;
use sim::world::{PhoneSettings, Settings, Work, World};

use super::*;

/// A shard that bears 50 sessions: each phase 12, for its tick is over after 5 ms.
const WORK: Work = Work {
    command: Duration::from_micros(20),
    session: Duration::from_micros(400),
    session_reduced: Duration::from_micros(400),
    datagram: Duration::ZERO,
    tap: Duration::ZERO,
};

/// A room more is two fifths of a tick here: the usual margin would be coarser than what it is to keep.
fn rule() -> OverloadRule {
    OverloadRule { refuse_above: 90, complexity_above: 95, ..OverloadRule::default() }
}

fn world(seed: u64, overload: OverloadRule) -> World {
    let limits = Limits { sessions_max: 1024, rooms_max: 64, overload, ..Limits::default() };
    World::new(Settings { work: WORK, limits, ..settings(seed, 60) })
}

/// So many more phones dial, each this long after the one before.
fn dial(world: &mut World, phones: usize, room: impl Fn(usize) -> usize, pause: Duration) {
    for number in world.phones()..world.phones() + phones {
        world.add(&PhoneSettings::dialling(&format!("conf{}", room(number))));
        world.dial(number);
        world.run(pause);
    }
    world.run(Duration::from_secs(2));
}

fn talking(world: &World) -> Vec<bool> {
    (0..world.phones()).map(|number| world.endpoint(number).is_talking()).collect()
}

#[track_caller]
fn assert_no_late_tick(world: &mut World) {
    for report in world.reports() {
        assert_eq!(report.lateness.later_than(5000), 0, "{:?}", report.lateness);
    }
}

#[test]
fn at_120_percent_of_what_a_shard_bears_those_who_are_in_keep_their_quality() {
    let mut world = world(81, rule());
    dial(&mut world, 60, |number| number / 5, 150 * MS);
    let is_in = talking(&world);
    let in_all = is_in.iter().filter(|&&is_in| is_in).count();
    assert!((38..=50).contains(&in_all), "{in_all} are in: {:?}", world.load(0));
    for (number, is_in) in is_in.iter().enumerate() {
        let history = &world.endpoint(number).history;
        assert_eq!(*is_in, !history.contains(&CallEvent::Refused(503)), "{history:?}");
    }
    assert_heard(&mut world, |listener, talker| {
        listener != talker && listener / 5 == talker / 5 && is_in[listener] && is_in[talker]
    });
    assert_lawful(&world);
    assert_no_late_tick(&mut world);
    assert_eq!(world.load(0).shedding, Shedding::Nothing, "it never came to that");
}

#[test]
fn a_flood_of_2000_calls_a_second_makes_no_tick_late() {
    let mut world = world(82, rule());
    // 60 percent: as 2,000 streams on a core.
    dial(&mut world, 30, |number| number / 5, 100 * MS);
    assert_eq!(talking(&world), [true; 30]);
    dial(&mut world, 1000, |_| 999, Duration::from_micros(500));
    let is_in = talking(&world);
    assert_eq!(is_in[..30], [true; 30]);
    let more = is_in[30..].iter().filter(|&&is_in| is_in).count();
    assert!((1..=12).contains(&more), "{more} of the flood are in");
    assert_lawful(&world);
    assert_no_late_tick(&mut world);
}

#[test]
fn a_shard_gives_up_calls_then_complexity_then_recordings_and_takes_them_back() {
    let calm = Duration::from_secs(1);
    let rule = OverloadRule { taps_above: 100, calm, ..rule() };
    let mut world = world(83, rule);
    dial(&mut world, 1, |_| 0, MS);
    world.fill_room("record", 1);
    let kept = |world: &World| world.recordings()[0].samples.len();
    let seen = |world: &mut World, session_us: u64, reduced_us: u64| {
        let session = Duration::from_micros(session_us);
        world.set_work(Work {
            session,
            session_reduced: Duration::from_micros(reduced_us),
            ..WORK
        });
        world.run(Duration::from_secs(5));
        world.load(0).shedding
    };
    assert_eq!(seen(&mut world, 4000, 4000), Shedding::Nothing);
    assert_eq!(seen(&mut world, 4600, 4600), Shedding::Sessions);
    let late = world.add(&PhoneSettings::dialling("conf0"));
    world.dial(late);
    world.run(Duration::from_secs(1));
    assert_eq!(world.endpoint(late).history, [CallEvent::Refused(503)]);
    assert_eq!(seen(&mut world, 4900, 4600), Shedding::Complexity, "less of it is enough");
    let before = kept(&world);
    assert_eq!(seen(&mut world, 5200, 5100), Shedding::Taps);
    let stopped = kept(&world);
    assert!(stopped < before + 3 * 8000, "the recording ended");
    assert_eq!(seen(&mut world, 1000, 1000), Shedding::Nothing);
    assert_eq!(kept(&world), stopped, "and is over");
    world.dial(late);
    world.run(Duration::from_secs(1));
    assert!(world.endpoint(late).is_talking(), "{:?}", world.endpoint(late).history);
}

/// What a shard with 20 sessions works at 85 percent of the time, a third of it for what it receives.
const BUSY: Work = Work {
    command: Duration::from_micros(20),
    session: Duration::from_micros(560),
    session_reduced: Duration::from_micros(560),
    datagram: Duration::from_micros(290),
    tap: Duration::ZERO,
};

/// A shard that never refuses, with four rooms of five who all talk.
fn busy(seed: u64) -> World {
    let limits = Limits {
        overload: OverloadRule { refuse_above: 1000, complexity_above: 1000, ..rule() },
        ..Limits::default()
    };
    let mut world = World::new(Settings { limits, ..settings(seed, 20) });
    dial(&mut world, 20, |number| number / 5, 20 * MS);
    world.set_work(BUSY);
    world.run(Duration::from_secs(5));
    assert_no_late_tick(&mut world);
    world
}

#[test]
fn a_shard_with_little_time_to_spare_recovers_from_a_stall_at_once() {
    let mut world = busy(84);
    // A tick of 300 ms.
    world.set_work(Work { session: 60 * MS, ..BUSY });
    world.run(5 * MS);
    world.set_work(BUSY);
    world.run(Duration::from_millis(700));
    let late = |world: &mut World| world.reports()[0].lateness.later_than(5000);
    let (left_out, late_then) = (world.reports()[0].periods_left_out, late(&mut world));
    assert!((10..=20).contains(&left_out), "{left_out} periods");
    world.run(Duration::from_secs(5));
    assert_eq!(late(&mut world), late_then, "none is late any more");
    assert_heard(&mut world, |listener, talker| listener != talker && listener / 5 == talker / 5);
    assert_lawful(&world);
}

#[test]
fn a_shard_that_bears_less_than_it_has_is_late_by_no_more_than_a_few_periods() {
    let mut world = busy(85);
    world.set_work(Work { session: Duration::from_micros(900), ..BUSY });
    world.run(Duration::from_secs(10));
    let report = world.reports()[0];
    assert!(report.lateness.max_us < 100_000, "{:?}", report.lateness);
    assert!(report.periods_left_out > 40, "a fifth of the time is missing");
    assert_lawful(&world);
}
