//! Engines on real sockets of the loopback address, with every driver.

mod phone;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use engine_control::{Command, Event, Limits, Refusal, RoomKey, Route, RtcpTransport};
use engine_driver::{DriverChoice, Engine, EngineConfig, StartFailure};
use phone::{
    Phone, SOCKET_DRIVERS, config, dial, drivers, engine, hang_up, media, open, until, wait_for,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const CODE: u8 = 0x55;

/// Speaks until the phone hears itself.
fn hear_echo(phone: &mut Phone) {
    until("an echo", || {
        phone.speak();
        phone.heard(phone.payload) > 0
    });
}

#[test]
fn what_is_said_to_an_echo_session_comes_back() {
    for driver in drivers() {
        let mut engine = engine(driver, 1, 4);
        let (session, mut phone) = dial(&mut engine, Route::Echo, 1, CODE);
        hear_echo(&mut phone);
        let latched = |event| match event {
            Event::Latched { session: latched, source, .. } if latched == session => Some(source),
            _ => None,
        };
        let mut source = None;
        until("the latch", || {
            phone.speak();
            source = source.or_else(|| engine.next_event().and_then(latched));
            source.is_some()
        });
        assert_eq!(source, Some(phone.address()));
        hear_echo(&mut phone);
        engine.stop();
    }
}

#[test]
fn a_stranger_is_never_heard_and_the_latched_source_is() {
    for driver in drivers() {
        let mut engine = engine(driver, 1, 4);
        let (_, mut phone) = dial(&mut engine, Route::Echo, 1, CODE);
        hear_echo(&mut phone);
        let mut stranger = Phone::new(phone.media, 2, 0x2a);
        let mut echoes = 0;
        until("echoes beside a stranger", || {
            stranger.speak();
            phone.speak();
            assert_eq!(stranger.heard(0x2a), 0, "the stranger got media");
            echoes += phone.heard(CODE);
            echoes >= 20
        });
    }
}

#[test]
fn every_driver_stamps_arrivals_where_asked() {
    for driver in drivers() {
        let config = EngineConfig { arrival_timestamps: true, ..config(driver, 1, 4) };
        let mut engine = Engine::start(config).unwrap();
        let (_, mut phone) = dial(&mut engine, Route::Echo, 1, CODE);
        hear_echo(&mut phone);
    }
}

#[test]
fn two_shards_run_side_by_side() {
    for driver in drivers() {
        let mut engine = engine(driver, 2, 4);
        let (first, mut first_phone) = dial(&mut engine, Route::Echo, 1, 0x11);
        let (second, mut second_phone) = dial(&mut engine, Route::Echo, 2, 0x22);
        assert_ne!(first.shard(), second.shard(), "the least loaded shard is taken");
        assert_eq!((engine.sessions(0), engine.sessions(1)), (1, 1));
        hear_echo(&mut first_phone);
        hear_echo(&mut second_phone);
        assert_eq!(engine.dead_shard(), None);
        engine.stop();
    }
}

#[test]
fn a_session_is_reserved_on_the_shard_of_its_room() {
    let mut engine = engine(DriverChoice::Plain, 2, 4);
    let rooms = [engine.reserve_room().unwrap(), engine.reserve_room().unwrap()];
    assert_ne!(rooms[0].shard(), rooms[1].shard());
    for room in rooms {
        for _ in 0..2 {
            assert_eq!(engine.reserve(Some(room.shard())).unwrap().shard(), room.shard());
        }
    }
    let nowhere = RoomKey::new(7, 0, 1);
    assert_eq!(engine.reserve(Some(nowhere.shard())), Err(Refusal::Gone));
}

#[test]
fn a_shard_without_time_is_given_nothing_new_and_tells_how_it_is() {
    let mut config = config(DriverChoice::Plain, 1, 4);
    config.limits.overload.refuse_above = 0;
    let mut full = Engine::start(config).unwrap();
    assert_eq!(full.reserve(None), Err(Refusal::Overloaded));
    assert_eq!(full.reserve(Some(0)), Err(Refusal::Overloaded));
    assert_eq!(full.reserve_room(), Err(Refusal::Overloaded));
    assert_eq!((full.refused_overload(), full.sessions(0)), (3, 0));
    let mut engine = engine(DriverChoice::Plain, 1, 4);
    let (session, _phone) = dial(&mut engine, Route::Echo, 1, CODE);
    until("what the shard tells", || engine.load(0).sessions == 1 && engine.load(0).pressure > 0);
    hang_up(&mut engine, session);
    until("what the shard tells", || engine.load(0).sessions == 0);
}

#[test]
fn a_port_of_another_program_is_passed_over() {
    for driver in SOCKET_DRIVERS {
        let config = config(driver, 1, 4);
        let taken: Vec<UdpSocket> = [0, 3] // The RTP port of slot 0, the RTCP port of slot 1.
            .map(|offset| UdpSocket::bind((config.bind, config.ports.first + offset)).unwrap())
            .into();
        let mut engine = Engine::start(config).unwrap();
        let session = engine.reserve(None).unwrap();
        assert_eq!(session.slot(), 2);
        assert_eq!(engine.sessions(0), 1, "what was passed over is free again");
        assert_eq!(engine.reserve(None).unwrap().slot(), 3);
        assert_eq!(engine.reserve(None), Err(Refusal::NoPort));
        drop(taken);
        assert!(engine.reserve(None).is_ok());
        assert!(engine.reserve(None).is_ok());
        assert_eq!(engine.reserve(None), Err(Refusal::Full));
    }
}

#[test]
fn a_slot_and_its_ports_are_used_again_after_the_end() {
    for driver in drivers() {
        let mut engine = engine(driver, 1, 1);
        for ssrc in 1..=3 {
            let (session, mut phone) = dial(&mut engine, Route::Echo, ssrc, CODE);
            assert_eq!(engine.reserve(None), Err(Refusal::Full));
            hear_echo(&mut phone);
            hang_up(&mut engine, session);
            assert_eq!(engine.sessions(0), 0);
            let stale = engine.command(Command::CloseSession { session });
            assert!(stale.is_ok(), "the shard answers, not the driver");
            let refusal = wait_for(&mut engine, |event| match event {
                Event::Refused { refusal, .. } => Some(refusal),
                _ => None,
            });
            assert_eq!(refusal, Refusal::Gone);
        }
    }
}

#[test]
fn an_abandoned_reservation_leaves_nothing_behind() {
    let mut engine = engine(DriverChoice::Plain, 1, 1);
    let session = engine.reserve(None).unwrap();
    let rtp = (Ipv4Addr::LOCALHOST, engine.rtp_port(session));
    assert!(UdpSocket::bind(rtp).is_err(), "the port is held while reserved");
    engine.abandon(session);
    engine.abandon(session);
    assert!(UdpSocket::bind(rtp).is_ok());
    assert_eq!(engine.sessions_free(), 1);
    let unreserved = open(&mut engine, session, rtp.into(), RtcpTransport::Mux, Route::Echo);
    assert_eq!(unreserved, Err(Refusal::Gone));
}

#[test]
fn the_rtcp_port_is_open_only_while_rtcp_needs_it() {
    let mut engine = engine(DriverChoice::Plain, 1, 1);
    let session = engine.reserve(None).unwrap();
    let rtcp = (Ipv4Addr::LOCALHOST, engine.rtp_port(session) + 1);
    let phone = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    assert!(UdpSocket::bind(rtcp).is_err(), "held while nobody knows");
    open(&mut engine, session, phone, RtcpTransport::Mux, Route::Echo).unwrap();
    assert!(UdpSocket::bind(rtcp).is_ok(), "given back where it is multiplexed");
    let update = |rtcp| Command::UpdateSession { session, media: Box::new(media(phone, rtcp)) };
    let held = UdpSocket::bind(rtcp).unwrap();
    let refused = engine.command(update(RtcpTransport::Separate(phone)));
    assert!(matches!(refused, Err((_, Refusal::NoPort))), "{refused:?}");
    drop(held);
    engine.command(update(RtcpTransport::Separate(phone))).unwrap();
    assert!(UdpSocket::bind(rtcp).is_err(), "wanted again");
    hang_up(&mut engine, session);
    assert!(UdpSocket::bind(rtcp).is_ok());
}

#[test]
fn a_session_that_its_shard_refuses_is_given_back() {
    for driver in drivers() {
        let mut engine = engine(driver, 1, 1);
        let session = engine.reserve(None).unwrap();
        let rtp = (Ipv4Addr::LOCALHOST, engine.rtp_port(session));
        let no_room = Route::Room(RoomKey::new(0, 3, 99));
        open(&mut engine, session, rtp.into(), RtcpTransport::Mux, no_room).unwrap();
        wait_for(&mut engine, |event| matches!(event, Event::Refused { .. }).then_some(()));
        assert_eq!(engine.sessions_free(), 1);
        // Where packets are steered, the first port is held for as long as the engine is there.
        assert!(driver.is_steered() || UdpSocket::bind(rtp).is_ok());
    }
}

#[test]
fn the_event_descriptor_is_readable_only_while_events_wait() {
    let mut engine = engine(DriverChoice::Plain, 1, 1);
    let readable = |engine: &Engine, wait_seconds| {
        let mut fds = [PollFd::from_borrowed_fd(engine.events_fd(), PollFlags::IN)];
        let timeout = Timespec { tv_sec: wait_seconds, tv_nsec: 0 };
        poll(&mut fds, Some(&timeout)).unwrap() == 1
    };
    assert!(engine.next_event().is_none());
    assert!(!readable(&engine, 0));
    let (session, _phone) = dial(&mut engine, Route::Idle, 1, CODE);
    assert!(readable(&engine, 20));
    let opened = engine.next_event();
    assert!(
        matches!(&opened, Some(Event::SessionOpened { session: key, .. }) if *key == session),
        "{opened:?}"
    );
    assert!(engine.next_event().is_none());
    assert!(!readable(&engine, 0));
}

#[test]
fn a_full_command_ring_gives_the_command_back() {
    let mut config = config(DriverChoice::Plain, 1, 1);
    config.limits.commands_max = 2;
    // The clock starts 20 ms after the engine: by then the ring is full.
    let mut engine = Engine::start(config).unwrap();
    let room = engine.reserve_room().unwrap();
    let busy = (0..1000).find_map(|_| engine.command(Command::CloseRoom { room }).err());
    let (command, refusal) = busy.expect("two commands wait at most");
    assert_eq!(refusal, Refusal::Busy);
    assert!(matches!(command, Command::CloseRoom { room: back } if back == room));
}

#[test]
fn stopping_ends_the_threads_and_frees_the_ports() {
    for driver in SOCKET_DRIVERS {
        let mut engine = engine(driver, 2, 2);
        let (session, _phone) = dial(&mut engine, Route::Echo, 1, CODE);
        wait_for(&mut engine, |event| matches!(event, Event::SessionOpened { .. }).then_some(()));
        let rtp = (Ipv4Addr::LOCALHOST, engine.rtp_port(session));
        let wake = engine.events_fd().try_clone_to_owned().unwrap();
        engine.stop();
        // A ring lets go of its files a moment after its end.
        until("the port is free", || UdpSocket::bind(rtp).is_ok());
        assert!(wake.as_fd().try_clone_to_owned().is_ok());
    }
}

#[test]
fn what_cannot_start_says_why() {
    let none = EngineConfig { shards: vec![], ..config(DriverChoice::Plain, 1, 1) };
    assert!(matches!(Engine::start(none), Err(StartFailure::Shards { asked: 0 })));

    let mut few_ports = config(DriverChoice::Plain, 1, 4);
    few_ports.limits.sessions_max = 5;
    let failure = Engine::start(few_ports).unwrap_err();
    assert!(matches!(failure, StartFailure::Ports { sessions_max: 5, sessions_with_ports: 4 }));

    let many = EngineConfig {
        shards: vec![None; 255],
        limits: Limits { sessions_max: 128, ..Limits::default() },
        ..config(DriverChoice::Plain, 1, 128)
    };
    let text = Engine::start(many).unwrap_err().to_string();
    assert!(text.contains("128 sessions") || text.contains("RLIMIT_NOFILE"), "{text}");

    let foreign = EngineConfig {
        bind: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        ..config(DriverChoice::Plain, 1, 1)
    };
    let text = Engine::start(foreign).unwrap_err().to_string();
    assert!(text.contains("192.0.2.1"), "{text}");

    let no_core =
        EngineConfig { shards: vec![None, Some(100_000)], ..config(DriverChoice::Plain, 2, 1) };
    let text = Engine::start(no_core).unwrap_err().to_string();
    assert!(text.contains("shard 1") && text.contains("sched_setaffinity"), "{text}");
}

#[test]
fn the_memory_plan_names_every_part_and_their_sum() {
    let engine = engine(DriverChoice::Plain, 2, 4);
    let plan = engine.memory_plan();
    let text = plan.to_string();
    for part in &plan.parts {
        assert!(part.bytes > 0 && text.contains(part.name), "{text}");
    }
    assert!(text.ends_with("reserved  in all"), "{text}");
}

#[test]
fn the_clock_runs_and_knows_the_wall() {
    let engine = engine(DriverChoice::Plain, 1, 1);
    let first = engine.now();
    until("time passes", || engine.now().since(first) > Duration::from_millis(40));
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ours = Duration::from_nanos(engine.wall().unix_nanos(engine.now()));
    assert!(ours.abs_diff(wall) < Duration::from_secs(5));
}
