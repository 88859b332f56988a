use engine_control::{Limits, PortPlan};

use super::*;
use crate::plain::Plain;
use crate::socket_road::SocketRoad;

fn config(first_port: u16) -> EngineConfig {
    let limits = Limits { sessions_max: 1, rooms_max: 1, taps_max: 1, ..Limits::default() };
    let ports = PortPlan::divide(first_port, first_port + 3, 1).unwrap();
    EngineConfig { limits, ..EngineConfig::new(ports) }
}

#[test]
fn a_shard_whose_thread_has_ended_is_told() {
    let engine = Engine::start(config(28_800)).unwrap();
    assert_eq!(engine.dead_shard(), None);
    engine.shared.stop();
    while engine.dead_shard().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(engine.dead_shard(), Some(0));
}

#[test]
fn what_cannot_follow_a_session_is_refused_to_who_said_it() {
    let mut engine = Engine::start(config(28_808)).unwrap();
    let session = SessionKey::new(9, 0, 1);
    let lost = Command::MuteSession { session, muted: true };
    engine.say_again(vec![(lost, SocketPair::default())]);
    let told = engine.next_event();
    let Some(Event::Refused { command, refusal: Refusal::Gone }) = told else {
        panic!("{told:?}");
    };
    assert!(matches!(command, Command::MuteSession { session: named, .. } if named == session));
    assert!(engine.next_event().is_none());
}

#[test]
fn a_shard_that_is_ready_waits_for_the_clock_and_ends_where_none_comes() {
    let config = config(28_804);
    let shared = Arc::new(Shared::new().unwrap());
    let (_control, ends) = rings(&config.limits, &shared);
    let plan = ThreadPlan {
        index: 0,
        core: None,
        realtime: false,
        limits: config.limits,
        kernels: config.kernels,
        seed: 0,
    };
    let road = SocketRoad {
        network: Plain::new(),
        plan: SocketPlan {
            bind: config.bind,
            receive_buffer_bytes: config.receive_buffer_bytes,
            rtp_stamps: config.arrival_timestamps,
        },
    };
    let (report, ready) = mpsc::channel();
    let (start, started) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let exchange = exchange(1, 0).remove(0);
        let ends = (ends, Flight::default(), exchange);
        shard_main(&plan, road, ends, shared, &report, &started);
    });
    assert!(matches!(ready.recv(), Ok(Ok(Some(_)))));
    assert!(!thread.is_finished(), "it waits");
    drop(start);
    thread.join().unwrap();
}
