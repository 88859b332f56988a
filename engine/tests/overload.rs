//! A shard that has too little time, and has it again.

#[path = "rig/conference.rs"]
mod conference;
mod rig;

use std::time::Duration;

use conference::Conference;
use engine::Port;
use engine_control::{
    Command, Event, Limits, OverloadRule, Refusal, Route, SessionKey, SessionReport, ShardReport,
    Shedding, TapId, TapPoint,
};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Encoding, EncodingParameters, PERIOD, PHASES};
use rig::{Rig, datagram};

/// So many periods in which every tick takes so long.
fn work(rig: &mut Rig, busy_us: u64, periods: usize) {
    for _ in 0..periods * PHASES as usize {
        rig.tick();
        rig.shard.worked(Duration::from_micros(busy_us), &mut rig.taken);
    }
}

fn steps(rig: &Rig) -> Vec<Shedding> {
    let step = |event: &Event| match event {
        Event::Shedding { shedding, .. } => Some(*shedding),
        _ => None,
    };
    rig.taken.events.iter().filter_map(step).collect()
}

#[test]
fn taps_end_as_the_last_step_and_none_begins_until_it_is_taken_back() {
    let calm = Duration::from_millis(500);
    let overload = OverloadRule { taps_above: 100, calm, ..OverloadRule::default() };
    let mut rig = Rig::with(&Limits { overload, ..rig::limits() }, Kernels::SCALAR);
    let room = rig.open_room(0);
    let session = rig.dial(0, Route::Room(room), Some(0x20));
    let points = [TapPoint::Room(room), TapPoint::Received(session), TapPoint::Packets(session)];
    for point in points {
        rig.start_tap(point);
    }
    work(&mut rig, 1000, 50);
    assert!(steps(&rig).is_empty());
    work(&mut rig, 6000, 60);
    assert_eq!(steps(&rig), [Shedding::Sessions, Shedding::Complexity, Shedding::Taps]);
    assert!(points.iter().all(|&point| rig.has_ended(point)));
    rig.forget();
    let again = |rig: &mut Rig| {
        rig.command(Command::StartTap { point: points[1], tap: TapId(9), class: None });
        let refused = |event: &Event| match event {
            Event::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        };
        rig.taken.events.iter().find_map(refused)
    };
    assert_eq!(again(&mut rig), Some(Refusal::Overloaded));
    rig.forget();
    work(&mut rig, 1000, 200);
    assert_eq!(steps(&rig), [Shedding::Complexity, Shedding::Sessions, Shedding::Nothing]);
    assert_eq!(again(&mut rig), None);
    assert_eq!(rig.shard.load().sessions, 1, "the session never noticed");
    rig.assert_streams_are_lawful();
}

/// The sessions whose delay has shrunk since they were opened.
fn caught_up(rig: &mut Rig, sessions: &[SessionKey]) -> usize {
    session_reports(rig, sessions)
        .iter()
        .filter(|report| report.accelerated > Duration::ZERO)
        .count()
}

#[test]
fn all_streams_want_another_delay_and_few_are_stretched_in_one_tick_and_none_in_a_late_one() {
    let mut rig = Rig::with(&Limits { sessions_max: 280, ..rig::limits() }, Kernels::SCALAR);
    let sessions: Vec<_> = (0..280).map(|slot| rig.dial(slot, Route::Echo, Some(0x20))).collect();
    rig.run(100);
    assert_eq!(caught_up(&mut rig, &sessions), 0);
    let mut phones = std::mem::take(&mut rig.phones);
    let mut held_back = Vec::new();
    for _ in 0..5 {
        for phone in &mut phones {
            held_back.push((phone.slot, phone.source, phone.packet(&[0x20; BLOCK_SAMPLES])));
        }
        rig.run(1);
    }
    for (slot, source, bytes) in held_back {
        rig.deliver(slot, Port::Rtp, source, &bytes);
    }
    rig.phones = phones;
    rig.late = Duration::from_millis(6);
    rig.run(400);
    assert_eq!(caught_up(&mut rig, &sessions), 0, "nobody has time for it");
    rig.late = Duration::ZERO;
    let (mut before, mut most) = (0, 0);
    for _ in 0..120 {
        rig.tick();
        let now = caught_up(&mut rig, &sessions);
        most = most.max(now - before);
        before = now;
    }
    assert_eq!(most, 50);
}

/// What a stall of 100 ms leaves of a shard whose phones went on.
#[test]
fn periods_that_are_too_late_are_left_out_and_the_delay_stays() {
    let mut rig = Rig::new();
    let (relay, room) = (rig.open_room(0), rig.open_room(1));
    let routes = [Route::Room(relay); 2].into_iter().chain([Route::Room(room); 3]);
    let routes = routes.chain([Route::Echo; 4]).zip(0..);
    let sessions: Vec<_> = routes.map(|(route, slot)| rig.dial(slot, route, Some(0x30))).collect();
    rig.run(200);
    let before = session_reports(&mut rig, &sessions);
    rig.forget();
    rig.run(1);
    stand_still(&mut rig, 5);
    rig.run(100);
    rig.assert_streams_are_lawful();
    let after = session_reports(&mut rig, &sessions);
    for (before, after) in before.iter().zip(&after) {
        let slot = before.session.slot();
        let timestamps: Vec<_> = rig.taken.rtp(slot).iter().map(|s| s.view().timestamp()).collect();
        let steps = timestamps.windows(2).map(|pair| pair[1].distance_from(pair[0]));
        let gaps: Vec<_> = steps.filter(|&step| step != BLOCK_SAMPLES as i32).collect();
        assert_eq!(gaps, [6 * BLOCK_SAMPLES as i32], "slot {slot}: one gap");
        assert_eq!(after.playout_delay, before.playout_delay, "slot {slot}");
        assert_eq!(after.blocks_concealed, before.blocks_concealed, "slot {slot}");
        assert_eq!(after.discards, before.discards, "slot {slot}");
    }
    assert_eq!(shard_report(&mut rig).periods_left_out, 5);
}

#[test]
fn a_tick_that_is_a_little_late_is_caught_up() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Echo, Some(0x30));
    rig.settle_and_run(1);
    rig.late = Duration::from_millis(60);
    rig.run(1);
    rig.late = Duration::ZERO;
    rig.run(20);
    assert_eq!(rig.taken.rtp(0).len(), 22, "nothing is missing");
    assert_eq!(shard_report(&mut rig).periods_left_out, 0);
}

/// The shard stands still for so many periods, and its phones go on.
fn stand_still(rig: &mut Rig, periods: u32) {
    let now = rig.shard.next_tick();
    let mut phones = std::mem::take(&mut rig.phones);
    for number in 0..periods {
        for phone in &mut phones {
            let bytes = phone.packet(&[0x30; BLOCK_SAMPLES]);
            let at = now + PERIOD * number - PERIOD / 2;
            let datagram = datagram(phone.slot, phone.source, at, &bytes);
            rig.shard.receive(datagram, &mut rig.taken);
        }
    }
    rig.phones = phones;
    rig.late = PERIOD * periods;
    rig.tick();
    rig.late = Duration::ZERO;
}

fn session_reports(rig: &mut Rig, sessions: &[SessionKey]) -> Vec<SessionReport> {
    let reports = sessions.iter().map(|&session| SessionReport::of(session)).collect();
    rig.command(Command::ReportSessions { reports: Box::new(reports) });
    let Some(Event::SessionsReported { reports }) = rig.taken.events.pop() else { panic!() };
    *reports
}

fn shard_report(rig: &mut Rig) -> ShardReport {
    rig.command(Command::ReportShard { report: Box::default() });
    let Some(Event::ShardReported { report }) = rig.taken.events.pop() else { panic!() };
    *report
}

#[test]
fn opus_is_encoded_with_less_effort_while_time_is_short() {
    let parameters = EncodingParameters { complexity: 10, ..EncodingParameters::DEFAULT };
    let heard = |busy_us: u64| {
        let mut conference = Conference::new(2);
        let speaker = conference.join(Encoding::Opus, parameters);
        let listener = conference.join(Encoding::Opus, parameters);
        conference.phone(speaker).says = Some((440.0, 8000.0));
        for _ in 0..150 {
            for _ in 0..PHASES {
                conference.shard.worked(Duration::from_micros(busy_us), &mut conference.wire);
            }
            conference.run(1);
        }
        conference.phone(listener).heard.clone()
    };
    let (calm, again, short) = (heard(1000), heard(1000), heard(4850));
    assert!(calm == again, "the same calm gives the same sound");
    assert!(calm != short, "it was encoded in another way");
    assert_eq!(calm.len(), short.len(), "and nothing is missing");
}
