//! A shard's thread never allocates nor frees once it runs: an allocator that counts, armed for
//! the threads of the shards while sessions open, talk, and close.

mod guard;
mod phone;

use std::time::Duration;

use engine::flight::Kept;
use engine_control::{Command, Route, ShardReport};
use engine_driver::{Engine, EngineConfig, FlightConfig};
use guard::{SHARDS, arm, disarm};
use phone::{Phone, config, dial, drivers, until, wait_for};

const SESSIONS: usize = 150;

#[test]
fn a_shard_never_allocates_nor_frees_while_sessions_come_talk_and_go() {
    for driver in drivers() {
        let flight =
            FlightConfig { kept: Kept::All, ring_bytes: 1 << 20, late: Some(Duration::ZERO) };
        let config = config(driver, SHARDS, SESSIONS as u16);
        let mut engine = Engine::start(EngineConfig { flight: Some(flight), ..config }).unwrap();
        arm();
        let room = engine.reserve_room().unwrap();
        engine.command(Command::OpenRoom { room, sound: media_units::RoomSound::DEFAULT }).unwrap();
        let mut calls: Vec<_> = (0..SESSIONS)
            .map(|index| {
                let route = if index % 2 == 0 { Route::Room(room) } else { Route::Echo };
                let code = if index % 2 == 0 { 0x33 } else { 0x55 };
                dial(&mut engine, route, index as u32 + 1, code)
            })
            .collect();
        let mut echoes = 0;
        until("2000 echoes", || {
            calls.iter_mut().for_each(|(_, phone)| phone.speak());
            while engine.next_event().is_some() {}
            let heard = |(_, phone): &(_, Phone)| phone.heard(0x55);
            echoes += calls.iter().map(heard).sum::<usize>();
            echoes >= 2000
        });
        for &(session, _) in &calls {
            engine.command(Command::CloseSession { session }).unwrap();
        }
        until("every slot is free", || {
            while engine.next_event().is_some() {}
            engine.sessions_free() == SESSIONS * usize::from(SHARDS)
        });
        let report = Box::new(ShardReport { shard: room.shard(), ..ShardReport::default() });
        engine.command(Command::ReportShard { report }).unwrap();
        let report = wait_for(&mut engine, |event| match event {
            engine_control::Event::ShardReported { report } => Some(report),
            _ => None,
        });
        assert!(report.rtp_received > 0 && report.sessions == 0, "{report:?}");
        disarm();
        engine.stop();
    }
}
