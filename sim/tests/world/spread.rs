//! Rooms that are spread over several shards.

use engine_control::{Limits, OverloadRule, ShardReport};
use media_units::{RoomSound, Selection};
use signaling::FrontEndConfig;
use sim::world::{PhoneSettings, Settings, Work, World};

use super::*;

/// Members go elsewhere once their shard needs so many percent of its time.
pub(super) fn spread(
    settings: Settings,
    shards: u8,
    share_percent: u32,
    sound: RoomSound,
) -> Settings {
    let room_spread_above = Some(share_percent);
    let front_end = FrontEndConfig { room_spread_above, room_sound: sound, ..settings.front_end };
    let limits = Limits { spread_max: 2, ..settings.limits };
    Settings { shards, front_end, limits, ..settings }
}

/// Shards that need 300 us for a turn. Nobody is refused: what is asked is where they go.
pub(super) fn laborious(settings: Settings) -> Settings {
    let work = Work { session: Duration::from_micros(300), ..Work::default() };
    let overload = OverloadRule { refuse_above: 300, ..OverloadRule::default() };
    let limits = Limits { overload, sessions_max: 64, rooms_max: 8, ..Limits::default() };
    Settings { work, limits, ..settings }
}

fn sessions(reports: &[ShardReport]) -> Vec<u32> {
    reports.iter().map(|report| report.sessions).collect()
}

/// A room of twelve in which something happens; what each of them was sent.
fn eventful(shards: u8, seed: u64, sound: RoomSound) -> Vec<u64> {
    let settings = Settings { amplitude: 6000.0, ..settings(seed, 12) };
    let mut world = World::new(spread(settings, shards, 0, sound));
    // All of them at first, and dialled at times of ours: what is random in a world depends on how
    // many ticks there were.
    let phones = [(); 13].map(|()| world.add(&PhoneSettings::dialling("conf1")));
    for &phone in &phones[..12] {
        world.dial(phone);
        world.run(Duration::from_micros(7300));
    }
    world.run(Duration::from_secs(2));
    world.mute(3, true);
    world.run(Duration::from_secs(1));
    world.mute(3, false);
    world.hang_up(5);
    world.run(Duration::from_millis(500));
    world.dial(phones[12]);
    world.run(Duration::from_secs(2));
    let reports = world.reports();
    assert_eq!(reports.iter().map(|report| report.parts_late).sum::<u64>(), 0);
    let in_use = reports.iter().filter(|report| report.sessions > 0).count();
    assert_eq!(in_use, usize::from(shards), "{:?}", sessions(&reports));
    // Of who hangs up the last packets are on their way or not.
    let stayed = (0..world.phones()).filter(|&phone| phone != 5);
    stayed.map(|phone| world.endpoint(phone).phone.receiver.sound()).collect()
}

#[test]
fn one_shard_and_many_give_the_same_samples() {
    let loudest = RoomSound { selection: Selection::Loudest(3), ..RoomSound::DEFAULT };
    let quiet = RoomSound { comfort_noise: true, noise_gate_dbov: Some(60), ..RoomSound::DEFAULT };
    for (seed, sound) in [(91, RoomSound::DEFAULT), (92, loudest), (93, quiet)] {
        let one = eventful(1, seed, sound);
        for shards in [2, 4, 8] {
            assert_eq!(eventful(shards, seed, sound), one, "{shards} shards, {sound:?}");
        }
    }
}

#[test]
fn members_on_all_shards_hear_each_other_and_nothing_is_left_behind() {
    let mut world = World::new(spread(settings(94, 10), 3, 0, RoomSound::DEFAULT));
    world.fill_room("conf1", 6);
    world.fill_room("conf2", 4);
    let together = |a: usize, b: usize| (a < 6) == (b < 6);
    let matrix = assert_heard(&mut world, |a, b| a != b && together(a, b));
    for delay in matrix.delays() {
        assert!((25 * MS..=50 * MS).contains(&delay), "15 ms more than on one shard: {delay:?}");
    }
    assert_lawful(&world);
    (0..10).for_each(|phone| world.hang_up(phone));
    world.run(Duration::from_secs(40));
    assert_nothing_left(&mut world, "two rooms on three shards");
    let again: Vec<usize> = ["conf3", "conf4"]
        .into_iter()
        .flat_map(|room| {
            let phones = [(); 3].map(|()| world.add(&PhoneSettings::dialling(room)));
            for &phone in &phones {
                world.dial(phone);
            }
            phones
        })
        .collect();
    world.run(Duration::from_secs(2));
    let sessions = sessions(&world.reports());
    assert!(sessions.iter().all(|&sessions| sessions == 2), "their places are free: {sessions:?}");
    assert!(again.iter().all(|&phone| world.endpoint(phone).is_talking()));
}

#[test]
fn a_room_grows_while_it_lives_and_nobody_hears_a_gap() {
    let mut world = World::new(spread(laborious(settings(95, 10)), 2, 30, RoomSound::DEFAULT));
    world.fill_room("conf1", 4);
    assert_eq!(sessions(&world.reports()), [4, 0], "a fifth of its time, so far");
    for number in 0..4 {
        world.endpoint_mut(number).phone.receiver.restart_counts();
    }
    for _ in 0..4 {
        let phone = world.add(&PhoneSettings::dialling("conf1"));
        world.dial(phone);
        world.run(Duration::from_secs(1));
    }
    let reports = world.reports();
    assert!(reports[1].sessions >= 2, "{:?}", sessions(&reports));
    assert_all_hear_all(&mut world);
    for number in 0..4 {
        let receiver = &world.endpoint(number).phone.receiver;
        let counts = receiver.counts();
        assert_eq!((counts.lost, counts.timestamp_skips), (0, 0), "{counts:?}");
        assert!(receiver.gap_max() <= 21 * MS, "{:?}", receiver.gap_max());
    }
    assert_lawful(&world);
}

#[test]
fn where_no_part_can_be_opened_members_live_with_the_oldest() {
    let limits = Limits { sessions_max: 64, rooms_max: 1, ..Limits::default() };
    let settings = Settings { limits, ..settings(96, 6) };
    let mut world = World::new(spread(settings, 2, 0, RoomSound::DEFAULT));
    world.fill_room("conf1", 1);
    world.fill_room("conf2", 1);
    assert_eq!(sessions(&world.reports()), [1, 1], "each shard has the one room that it may have");
    world.fill_room("conf1", 4);
    assert_eq!(sessions(&world.reports()), [5, 1]);
    assert_heard(&mut world, |a, b| a != b && a != 1 && b != 1);
}

#[test]
fn where_no_place_is_left_a_room_lives_on_one_shard() {
    let mut world = World::new(spread(settings(97, 9), 2, 0, RoomSound::DEFAULT));
    for room in ["conf1", "conf2", "conf3"] {
        world.fill_room(room, 3);
    }
    let matrix = assert_heard(&mut world, |a, b| a != b && a / 3 == b / 3);
    let usual = matrix.delays().filter(|delay| *delay < 25 * MS).count();
    assert!(usual > 0, "the third is no later than any room");
}
