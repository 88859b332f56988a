//! A shard's thread never allocates nor frees once it runs: an allocator that counts, armed for
//! the threads of the shards while sessions open, talk, and close.

mod phone;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use engine::flight::Kept;
use engine_control::{Command, Route, ShardReport};
use engine_driver::{Engine, EngineConfig, FlightConfig};
use phone::{Phone, config, dial, drivers, until, wait_for};

const SHARDS: u16 = 2;
const SESSIONS: usize = 150;

/// The threads that must not allocate (0: none).
static GUARDED: [AtomicI32; SHARDS as usize] = [const { AtomicI32::new(0) }; SHARDS as usize];
/// What they did all the same.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

struct Guard;

/// Counts a call if a guarded thread makes it.
fn count(calls: &AtomicU64) {
    // SAFETY: a call without arguments that cannot fail and does not allocate.
    let thread = unsafe { libc::gettid() };
    if GUARDED.iter().any(|guarded| guarded.load(Ordering::Relaxed) == thread) {
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(&FREES);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GUARD: Guard = Guard;

/// Arms the guard for the threads of the shards.
fn arm() {
    let mut places = GUARDED.iter();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap();
        if std::fs::read_to_string(task.path().join("comm")).unwrap().starts_with("shard-") {
            let thread = task.file_name().to_str().unwrap().parse().unwrap();
            places.next().expect("as many as shards").store(thread, Ordering::Relaxed);
        }
    }
    assert!(places.next().is_none(), "every shard has a thread");
}

fn disarm() {
    GUARDED.iter().for_each(|guarded| guarded.store(0, Ordering::Relaxed));
}

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
        let counted = (ALLOCATIONS.load(Ordering::Relaxed), FREES.load(Ordering::Relaxed));
        assert_eq!(counted, (0, 0), "allocations and frees on the threads of shards");
        engine.stop();
    }
}
