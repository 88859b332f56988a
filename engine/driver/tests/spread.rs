//! A room that is spread over two shards, on real sockets of the loopback address.

mod phone;

use engine_control::{Command, Event, RoomKey, Route, ShardReport, SpreadId};
use engine_driver::{Engine, EngineConfig};
use media_kernels::Kernels;
use media_units::RoomSound;
use phone::{Phone, config, dial, drivers, until, wait_for};

/// An engine of two shards, and a room that has a part on each.
fn spread(config: EngineConfig) -> (Engine, [RoomKey; 2], SpreadId) {
    let mut engine = Engine::start(config).expect("the engine starts");
    let spread = engine.reserve_spread().expect("a place of the exchange");
    let parts = [0, 1].map(|shard| engine.reserve_part(shard).expect("a free slot"));
    for room in parts {
        open_part(&mut engine, room, spread);
    }
    (engine, parts, spread)
}

fn open_part(engine: &mut Engine, room: RoomKey, spread: SpreadId) {
    let sound = RoomSound::DEFAULT;
    engine.command(Command::OpenPart { room, sound, spread }).expect("sent");
}

fn with_spread(mut config: EngineConfig) -> EngineConfig {
    config.limits.spread_max = 1;
    config.limits.room_members_max = 16;
    config
}

fn reports(engine: &mut Engine) -> [Box<ShardReport>; 2] {
    [0, 1].map(|shard| {
        let report = Box::new(ShardReport { shard, ..ShardReport::default() });
        engine.command(Command::ReportShard { report }).expect("sent");
        wait_for(engine, |event| match event {
            Event::ShardReported { report } => Some(report),
            _ => None,
        })
    })
}

/// All phones speak until one of them is sent this code.
fn hears(phones: &mut [Phone], listener: usize, code: u8) {
    until("the sum of the others", || {
        phones.iter_mut().for_each(Phone::speak);
        phones[listener].heard(code) > 0
    });
}

#[test]
fn members_on_two_shards_hear_each_other_and_not_themselves() {
    for driver in drivers() {
        let (mut engine, parts, _) = spread(with_spread(config(driver, 2, 4)));
        let (_, silent) = dial(&mut engine, Route::Room(parts[0]), 1, 0xff);
        let (_, talker) = dial(&mut engine, Route::Room(parts[1]), 2, 0x9c);
        let mut phones = [silent, talker];
        hears(&mut phones, 0, 0x9c);
        hears(&mut phones, 1, 0xff);
        until("both ways", || {
            phones.iter_mut().for_each(Phone::speak);
            assert_eq!(phones[1].heard(0x9c), 0, "it hears itself");
            phones[0].heard(0x9c) > 0
        });
        let told = reports(&mut engine);
        assert!(told.iter().all(|report| report.sessions == 1 && report.rooms == 1));
        assert_eq!(engine.dead_shard(), None);
    }
}

#[test]
fn two_on_different_shards_are_added_up_for_a_third() {
    let (mut engine, parts, _) = spread(with_spread(config(drivers()[0], 2, 4)));
    let route = |part: usize| Route::Room(parts[part]);
    let (mut said, mut sum) = ([0_i16], [0_u8]);
    Kernels::SCALAR.decode_ulaw(&[0xbe], &mut said);
    Kernels::SCALAR.encode_ulaw(&[2 * said[0]], &mut sum);
    let (_, one) = dial(&mut engine, route(0), 1, 0xbe);
    let (_, other) = dial(&mut engine, route(1), 2, 0xbe);
    let (_, third) = dial(&mut engine, route(1), 3, 0xff);
    let mut phones = [one, other, third];
    hears(&mut phones, 2, sum[0]);
    hears(&mut phones, 0, 0xbe);
    hears(&mut phones, 1, 0xbe);
}

#[test]
fn the_place_of_a_room_is_free_once_all_its_parts_are_closed() {
    let (mut engine, parts, first) = spread(with_spread(config(drivers()[0], 2, 4)));
    for room in parts {
        assert_eq!(engine.reserve_spread(), None);
        engine.command(Command::CloseRoom { room }).expect("sent");
        wait_for(&mut engine, |event| matches!(event, Event::RoomClosed { .. }).then_some(()));
    }
    assert_eq!(engine.reserve_spread(), Some(first));
    engine.abandon_spread(first);
    let room = engine.reserve_part(1).expect("a free slot");
    let spread = engine.reserve_spread().expect("the same place again");
    open_part(&mut engine, room, spread);
    let (_, phone) = dial(&mut engine, Route::Room(room), 1, 0x9c);
    let (_, listener) = dial(&mut engine, Route::Room(room), 2, 0xff);
    hears(&mut [phone, listener], 1, 0x9c);
}
