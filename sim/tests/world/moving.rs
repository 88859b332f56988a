//! Participants that go from shard to shard, and from room to room, while everyone talks.

use engine_control::{Balance, Limits, ShardReport};
use media_units::RoomSound;
use sim::caller::Hold;
use sim::world::{PhoneSettings, Settings};

use super::spread::{laborious, spread};
use super::*;

/// What came and was not taken.
fn discarded(reports: &[ShardReport]) -> u64 {
    reports.iter().flat_map(|report| report.discards).sum()
}

/// The same, with what had to be invented.
fn lost(reports: &[ShardReport]) -> u64 {
    discarded(reports) + reports.iter().map(|report| report.blocks_concealed).sum::<u64>()
}

fn sessions(reports: &[ShardReport]) -> u32 {
    reports.iter().map(|report| report.sessions).sum()
}

fn restart_counts(world: &mut World) {
    for number in 0..world.phones() {
        world.endpoint_mut(number).phone.receiver.restart_counts();
    }
}

/// Nobody's stream has a hole, and only those who may have one a pause of a period at most.
fn assert_whole(world: &World, gap_max: Duration) {
    for number in 0..world.phones() {
        let receiver = &world.endpoint(number).phone.receiver;
        let counts = receiver.counts();
        assert_eq!((counts.lost, counts.duplicates, counts.reordered), (0, 0, 0), "{counts:?}");
        assert_eq!((counts.ssrc_changes, counts.timestamp_errors), (0, 0), "{counts:?}");
        assert!(receiver.gap_max() <= gap_max, "phone {number}: {:?}", receiver.gap_max());
    }
}

/// All phones go somewhere else, one after the other, and not in step with anything.
fn move_about(world: &mut World, shards: u8, steps: usize) {
    for step in 0..steps {
        world.send_away(step * 5 % world.phones(), ((step + step / 7) % usize::from(shards)) as u8);
        world.run(Duration::from_micros(23_700));
    }
}

#[test]
fn members_of_a_room_that_are_moved_to_and_fro_hear_on_and_are_heard() {
    let mut world = World::new(spread(settings(131, 9), 3, 0, RoomSound::DEFAULT));
    world.fill_room("conf1", 9);
    let before = world.reports();
    restart_counts(&mut world);
    move_about(&mut world, 3, 80);
    assert!(world.sessions_moved() >= 40, "{}", world.sessions_moved());
    let after = world.reports();
    assert_eq!((lost(&after), sessions(&after)), (lost(&before), 9));
    // Who is asked to go right behind its turn is on its way for less than until the next.
    assert_whole(&world, 21 * MS);
    for number in 0..9 {
        let counts = world.endpoint(number).phone.receiver.counts();
        assert_eq!(counts.timestamp_skips, 0, "phone {number}");
    }
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
    (0..9).for_each(|phone| world.hang_up(phone));
    world.run(Duration::from_secs(40));
    assert_nothing_left(&mut world, "a room whose members were moved");
}

#[test]
fn shards_that_are_late_lose_nothing_of_who_moves() {
    let late = Settings { tick_lateness: 7 * MS, ..settings(132, 6) };
    let mut world = World::new(spread(late, 2, 0, RoomSound::DEFAULT));
    world.fill_room("conf1", 6);
    restart_counts(&mut world);
    let before = world.reports();
    move_about(&mut world, 2, 60);
    assert!(world.sessions_moved() >= 20, "{}", world.sessions_moved());
    assert_eq!(sessions(&world.reports()), 6);
    assert_eq!(discarded(&world.reports()), discarded(&before));
    assert_whole(&world, 55 * MS);
    assert_all_hear_all_somehow(&mut world);
    assert_lawful(&world);
}

#[test]
fn a_shard_with_too_much_to_do_gives_members_of_a_room_to_one_with_slack_and_nobody_notices() {
    let mut world = World::new(spread(laborious(settings(136, 10)), 2, 90, RoomSound::DEFAULT));
    world.fill_room("conf1", 10);
    assert_eq!([0, 1].map(|shard| world.load(shard).sessions), [10, 0]);
    restart_counts(&mut world);
    let mut balance = Balance::new(40);
    let mut relieve = |world: &mut World| {
        for _ in 0..10 {
            world.run(500 * MS);
            let loads = [0, 1].map(|shard| world.load(shard));
            if let Some(relief) = balance.choose(&loads) {
                let (from, to, count) = (relief.from, relief.to, relief.sessions as usize);
                world.front_end(|front_end, _, out| front_end.relieve(from, to, count, out));
            }
        }
    };
    relieve(&mut world);
    let loads = [0, 1].map(|shard| world.load(shard));
    assert!(loads.iter().all(|load| load.pressure < 400_000 && load.sessions >= 4), "{loads:?}");
    let moved = world.sessions_moved();
    relieve(&mut world);
    assert_eq!(world.sessions_moved(), moved, "and it stays so");
    assert_whole(&world, 30 * MS);
    assert_all_hear_all(&mut world);
    assert_lawful(&world);
}

#[test]
fn who_goes_to_a_room_on_another_shard_and_back_hears_those_who_are_there() {
    let mut world = World::new(Settings { shards: 2, ..settings(133, 7) });
    world.fill_room("conf1", 4);
    world.fill_room("conf2", 3);
    let per_shard: Vec<u32> = world.reports().iter().map(|report| report.sessions).collect();
    assert_eq!(per_shard, [4, 3]);
    let mut rooms = [1, 1, 1, 1, 2, 2, 2];
    let before = discarded(&world.reports());
    restart_counts(&mut world);
    for (phone, room) in [(0, 2), (5, 1), (1, 2), (0, 1), (0, 3), (0, 2)] {
        assert!(world.transfer(phone, &room.to_string()));
        // What is said to it while it is under way is not lost.
        assert!(world.mute(phone, true) && world.mute(phone, false));
        rooms[phone] = room;
        world.run(300 * MS);
        assert_heard(&mut world, |listener, talker| {
            listener != talker && rooms[listener] == rooms[talker]
        });
    }
    assert!(world.sessions_moved() >= 4, "{}", world.sessions_moved());
    assert_eq!(discarded(&world.reports()), before);
    assert_whole(&world, 41 * MS);
    assert_lawful(&world);
    (0..7).for_each(|phone| world.hang_up(phone));
    world.run(Duration::from_secs(40));
    assert_nothing_left(&mut world, "rooms on two shards");
}

#[test]
fn who_goes_on_while_it_is_under_way_ends_where_it_was_sent_last() {
    let mut world = World::new(Settings { shards: 2, ..settings(137, 6) });
    // The third is on the first shard as well, so that a fourth will be on the second.
    for room in ["conf1", "conf2", "conf3"] {
        world.fill_room(room, 2);
    }
    // The fourth is closed before it has come there.
    for room in ["2", "4", "2"] {
        assert!(world.transfer(0, room));
    }
    world.run(300 * MS);
    assert_eq!(world.sessions_moved(), 1);
    let rooms = [2, 1, 2, 2, 3, 3];
    assert_heard(&mut world, |listener, talker| {
        listener != talker && rooms[listener] == rooms[talker]
    });
    (0..6).for_each(|phone| world.hang_up(phone));
    world.run(Duration::from_secs(40));
    assert_nothing_left(&mut world, "who went on under way");
}

#[test]
fn who_hangs_up_or_holds_while_it_is_under_way_is_no_trouble() {
    let mut world = World::new(spread(settings(134, 4), 2, 0, RoomSound::DEFAULT));
    world.fill_room("conf1", 4);
    for phone in 0..2 {
        // Where it is nothing happens; where it is on its way it stays there.
        world.send_away(phone, 0);
        world.send_away(phone, 1);
    }
    world.hang_up(0);
    world.hold(1, Hold::Inactive);
    world.run(Duration::from_secs(1));
    world.hold(1, Hold::Active);
    world.run(Duration::from_secs(1));
    assert_eq!(world.sessions_moved(), 2);
    assert_heard(&mut world, |listener, talker| listener != talker && listener > 0 && talker > 0);
    (1..4).for_each(|phone| world.hang_up(phone));
    world.run(Duration::from_secs(40));
    assert_nothing_left(&mut world, "who left under way");
}

#[test]
fn where_a_shard_has_no_place_left_everyone_stays_where_it_is() {
    let limits = Limits { sessions_max: 2, rooms_max: 8, ..Limits::default() };
    let mut world = World::new(Settings { shards: 2, limits, ..settings(135, 4) });
    world.fill_room("conf1", 2);
    world.fill_room("conf2", 2);
    assert!(!world.transfer(0, "2"), "the other shard is full");
    assert_heard(&mut world, |a, b| a != b && a / 2 == b / 2);
    world.hang_up(3);
    world.run(Duration::from_secs(1));
    assert!(world.transfer(0, "2"));
    world.run(Duration::from_secs(1));
    assert_heard(&mut world, |a, b| a != b && [a, b].iter().all(|phone| [0, 2].contains(phone)));
    // Its ports are of the first shard, where nobody else gets them.
    let another = world.add(&PhoneSettings::dialling("conf1"));
    world.dial(another);
    world.run(Duration::from_secs(1));
    assert!(!world.endpoint(another).is_talking());
}
