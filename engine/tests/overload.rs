//! A shard that has too little time, and has it again.

#[path = "rig/conference.rs"]
mod conference;
mod rig;

use std::time::Duration;

use conference::Conference;
use engine::Port;
use engine_control::{
    Command, Event, Limits, OverloadRule, Refusal, Route, SessionKey, SessionReport, Shedding,
    TapId, TapPoint,
};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Encoding, EncodingParameters, PHASES};
use rig::Rig;

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
    let reports = sessions.iter().map(|&session| SessionReport::of(session)).collect();
    rig.command(Command::ReportSessions { reports: Box::new(reports) });
    let Some(Event::SessionsReported { reports }) = rig.taken.events.pop() else { panic!() };
    reports.iter().filter(|report| report.accelerated > Duration::ZERO).count()
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
