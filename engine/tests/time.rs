//! Phases, periods, and the clock of taps.

mod rig;

use std::collections::BTreeSet;

use engine_control::{Command, Event, Limits, Refusal, Route, TapPoint};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Direction, PERIOD, TICK};
use rig::Rig;
use rig::taps::{Kept, assert_has_no_hole};

#[test]
fn everyone_is_sent_one_packet_in_every_period_at_its_phase() {
    let mut rig = Rig::new();
    for number in 0..4 {
        let room = rig.open_room(number);
        for member in 0..3 {
            rig.dial(3 * number + member, Route::Room(room), (member == 0).then_some(0x90));
        }
    }
    for slot in 12..20 {
        rig.dial(slot, Route::Echo, Some(0x91));
    }
    rig.run(30);
    let mut phases = BTreeSet::new();
    for slot in 0..20 {
        let sent = rig.taken.rtp(slot);
        assert!((29..=30).contains(&sent.len()));
        assert!(sent.windows(2).all(|pair| pair[1].at == pair[0].at + PERIOD));
        phases.insert(sent[0].at.as_nanos() / TICK.as_nanos() as u64 % 4);
    }
    assert_eq!(phases.len(), 4, "the load is spread");
    rig.assert_streams_are_lawful();
}

#[test]
fn a_session_that_changes_its_phase_has_one_turn_in_every_period() {
    for ticks in 0..8 {
        let mut rig = Rig::new();
        let rooms: Vec<_> = (0..4).map(|number| rig.open_room(number)).collect();
        let session = rig.dial(0, Route::Idle, Some(0x90));
        for slot in 1..9 {
            rig.dial(slot, Route::Room(rooms[slot as usize % 4]), None);
        }
        let tap = rig.start_tap(TapPoint::Received(session));
        rig.run(rig::SETTLED);
        for room in [2, 0, 3, 1, 0, 1, 3, 2] {
            for _ in 0..20 + ticks {
                rig.tick();
            }
            rig.command(Command::RouteSession { session, route: Route::Room(rooms[room]) });
        }
        rig.run(5);
        rig.assert_streams_are_lawful();
        let blocks = rig.tapped(tap);
        assert_has_no_hole(&blocks);
        let sent = rig.taken.rtp(0);
        let units =
            sent[sent.len() - 1].view().timestamp().distance_from(sent[0].view().timestamp());
        assert_eq!(units as usize, (sent.len() - 1) * BLOCK_SAMPLES, "a period without a packet");
        let silent = blocks[5..].iter().filter(|block| block.cause().is_some()).count();
        assert_eq!(silent, 0, "the change of phase lost sound");
    }
}

#[test]
fn a_tap_of_a_session_has_every_period_of_what_it_says() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    let tap = rig.start_tap(TapPoint::Received(session));
    rig.run(5);
    rig.phone(0).code = None;
    rig.run(20);
    rig.update(session, |media| media.direction = Direction::Inactive);
    rig.run(5);
    let blocks = rig.tapped(tap);
    assert_eq!(blocks.len(), 30);
    assert_has_no_hole(&blocks);
    assert!(blocks[..5].iter().all(|block| block.samples().iter().all(|&sample| sample != 0)));
    assert!(blocks[15..].iter().all(|block| block.cause().is_some()));
    rig.command(Command::CloseSession { session });
    assert!(rig.has_ended(TapPoint::Received(session)));
}

#[test]
fn a_tap_of_a_room_has_its_whole_sum_and_goes_on_when_it_is_empty() {
    let mut rig = Rig::new();
    let room = rig.open_room(5);
    let tap = rig.start_tap(TapPoint::Room(room));
    rig.run(5);
    let one = rig.dial(0, Route::Room(room), Some(0x90));
    let other = rig.dial(1, Route::Room(room), Some(0xa0));
    rig.run(rig::SETTLED);
    rig.command(Command::CloseSession { session: one });
    rig.command(Command::CloseSession { session: other });
    rig.run(5);
    let blocks = rig.tapped(tap);
    assert_eq!(blocks.len(), 10 + rig::SETTLED);
    assert_has_no_hole(&blocks);
    let mut samples = [0; 2];
    media_kernels::Kernels::SCALAR.decode_ulaw(&[0x90, 0xa0], &mut samples);
    assert_eq!(blocks[rig::SETTLED].samples(), [samples[0] + samples[1]; BLOCK_SAMPLES]);
    assert_eq!(blocks[2].samples(), [0; BLOCK_SAMPLES]);
    assert_eq!(blocks.last().unwrap().samples(), [0; BLOCK_SAMPLES]);
    rig.command(Command::CloseRoom { room });
    assert!(rig.has_ended(TapPoint::Room(room)));
    rig.run(2);
    assert!(matches!(&rig.tapped(tap)[..], [end] if end.kept == Kept::Ended));
}

#[test]
fn a_slow_reader_leaves_a_hole_and_a_count() {
    // Four blocks with what belongs to them, and a near ring that holds none.
    let limits = Limits { tap_ring_bytes: 5 * 480, ..rig::limits() };
    let mut rig = Rig::with(&limits, Kernels::SCALAR);
    let session = rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    let tap = rig.start_tap(TapPoint::Received(session));
    rig.run(10);
    let first = rig.tapped(tap);
    assert_eq!(first.len(), 4);
    rig.run(2);
    assert_eq!(rig.tapped(tap)[0].period, first[3].period + 7);
    rig.command(Command::StopTap { point: TapPoint::Received(session) });
    rig.command(Command::ReportShard { report: Box::default() });
    assert!(
        matches!(&rig.taken.events[..], [.., Event::ShardReported { report }] if report.tap_overruns == 6)
    );
}

#[test]
fn a_tap_is_told_to_have_ended_although_nobody_reads() {
    let limits = Limits { tap_ring_bytes: 4 * 480, ..rig::limits() };
    let mut rig = Rig::with(&limits, Kernels::SCALAR);
    let session = rig.dial(0, Route::Idle, Some(0x90));
    let tap = rig.start_tap(TapPoint::Received(session));
    rig.run(rig::SETTLED);
    rig.command(Command::CloseSession { session });
    rig.run(1);
    let other = rig.dial(1, Route::Idle, None);
    for _ in 0..8 {
        rig.start_tap(TapPoint::Received(other));
        rig.command(Command::StopTap { point: TapPoint::Received(other) });
    }
    let refused = rig.taken.events.iter().find_map(|event| match event {
        Event::Refused { command: Command::StartTap { .. }, refusal } => Some(*refusal),
        _ => None,
    });
    assert_eq!(refused, Some(Refusal::Busy), "no place for one more end");
    assert_eq!(rig.tapped(tap).last().unwrap().kept, Kept::Ended);
}

#[test]
fn a_second_tap_and_one_too_many_are_refused() {
    let mut rig = Rig::new();
    for slot in 0..9 {
        let session = rig.dial(slot, Route::Idle, None);
        rig.start_tap(TapPoint::Received(session));
        rig.start_tap(TapPoint::Received(session));
    }
    let refusals: Vec<Refusal> = rig
        .taken
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Refused { command: Command::StartTap { .. }, refusal } => Some(*refusal),
            _ => None,
        })
        .collect();
    assert_eq!(refusals[..8], [Refusal::Tapped; 8]);
    assert_eq!(refusals[8..], [Refusal::Full; 2]);
}
