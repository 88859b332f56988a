//! Sessions that go from one shard to another, on real sockets of the loopback address.

mod phone;

use engine_control::{
    Command, Event, Refusal, RoomKey, Route, RtcpTransport, SessionKey, SessionReport,
};
use engine_driver::{DriverChoice, Engine, EngineConfig};
use media_units::RoomSound;
use phone::{Phone, SOCKET_DRIVERS, config, dial, engine, hang_up, media, open, until, wait_for};

fn open_rooms(engine: &mut Engine) -> [RoomKey; 2] {
    [0, 1].map(|shard| {
        let room = engine.reserve_part(shard).expect("a free slot");
        let command = Command::OpenRoom { room, sound: RoomSound::DEFAULT };
        engine.command(command).expect("sent");
        room
    })
}

fn go(engine: &mut Engine, session: SessionKey, room: RoomKey) {
    engine.send_away(session, room.shard()).expect("it goes");
    // It is under way, and this waits for it.
    let route = Route::Room(room);
    engine.command(Command::RouteSession { session, route }).expect("sent");
}

fn arrived(engine: &mut Engine, session: SessionKey) {
    wait_for(engine, |event| match event {
        Event::SessionArrived { session: arrived } => {
            assert_eq!(arrived, session, "it has its name still");
            Some(())
        }
        Event::Refused { command, refusal } => panic!("{command:?}: {refusal:?}"),
        _ => None,
    });
}

fn report(engine: &mut Engine, session: SessionKey) -> SessionReport {
    let reports = Box::new(vec![SessionReport::of(session)]);
    engine.command(Command::ReportSessions { reports }).expect("sent");
    wait_for(engine, |event| match event {
        Event::SessionsReported { reports } => Some(reports[0]),
        _ => None,
    })
}

/// The phones speak until this one hears that code.
fn hears(phones: &mut [Phone], listener: usize, code: u8) {
    until("the others", || {
        phones.iter_mut().for_each(Phone::speak);
        phones[listener].heard(code) > 0
    });
}

fn a_session_is_moved_to_and_fro(driver: DriverChoice) {
    // However long a shard is kept from its core, what comes meanwhile finds room.
    let config = EngineConfig { receive_buffer_bytes: 1 << 20, ..config(driver, 2, 4) };
    let mut engine = Engine::start(config).expect("the engine starts");
    let rooms = open_rooms(&mut engine);
    let (mover, phone) = dial(&mut engine, Route::Room(rooms[0]), 1, 0x9c);
    let (_, here) = dial(&mut engine, Route::Room(rooms[0]), 2, 0xa1);
    let (_, there) = dial(&mut engine, Route::Room(rooms[1]), 3, 0xb2);
    let mut phones = [phone, here, there];
    hears(&mut phones, 0, 0xa1);
    for (count, room) in [rooms[1], rooms[0], rooms[1]].into_iter().enumerate() {
        go(&mut engine, mover, room);
        // What comes while it is under way waits in its socket.
        phones[0].speak();
        arrived(&mut engine, mover);
        assert_eq!(engine.sessions_moved(), count as u64 + 1);
        assert_eq!(engine.shard_of(mover), room.shard());
        let (host, code) = if room == rooms[0] { (1, 0xa1) } else { (2, 0xb2) };
        hears(&mut phones, 0, code);
        hears(&mut phones, host, 0x9c);
    }
    // All that it said was received, by one shard or the other, once.
    until("all of it", || {
        report(&mut engine, mover).packets_received == u64::from(phones[0].said())
    });
    let told = report(&mut engine, mover);
    assert_eq!((told.session, told.packets_lost), (mover, 0));
    hang_up(&mut engine, mover);
    assert_eq!([engine.sessions(0), engine.sessions(1)], [1, 1]);
    assert_eq!(engine.sessions_free(), 6, "its slot here and its slot there");
    assert_eq!(engine.dead_shard(), None);
}

#[test]
fn a_session_is_moved_to_and_fro_by_each_driver_that_gives_it_sockets() {
    SOCKET_DRIVERS.into_iter().for_each(a_session_is_moved_to_and_fro);
}

#[test]
fn a_question_about_sessions_on_their_way_is_answered() {
    let mut engine = engine(SOCKET_DRIVERS[0], 2, 2);
    let rooms = open_rooms(&mut engine);
    let here = dial(&mut engine, Route::Room(rooms[0]), 1, 0x9c);
    let there = dial(&mut engine, Route::Room(rooms[1]), 2, 0xa1);
    let sessions = [here.0, there.0];
    assert_eq!(sessions.map(|session| engine.present_shard_of(session)), [0, 1]);
    go(&mut engine, sessions[0], rooms[1]);
    assert_eq!((engine.shard_of(sessions[0]), engine.present_shard_of(sessions[0])), (1, 0));
    // It waits for neither: both would be elsewhere once one has left, each on another shard.
    go(&mut engine, sessions[1], rooms[0]);
    for session in sessions {
        let reports = Box::new(vec![SessionReport::of(session)]);
        engine.command(Command::ReportSessions { reports }).expect("sent");
    }
    let (mut answers, mut arrivals) = (0, 0);
    wait_for(&mut engine, |event| {
        match event {
            Event::SessionsReported { .. } => answers += 1,
            Event::SessionArrived { .. } => arrivals += 1,
            _ => {}
        }
        (answers == 2 && arrivals == 2).then_some(())
    });
    let all = sessions.map(|session| report(&mut engine, session).session);
    assert_eq!(all, sessions);
}

#[test]
fn what_is_sent_goes_on_from_the_same_port_with_the_next_number() {
    let mut engine = engine(SOCKET_DRIVERS[0], 2, 2);
    let rooms = open_rooms(&mut engine);
    let (mover, phone) = dial(&mut engine, Route::Room(rooms[0]), 1, 0x9c);
    let mut phone = phone;
    let mut headers: Vec<(u16, u32, u32)> = Vec::new();
    let read = |phone: &mut Phone, headers: &mut Vec<(u16, u32, u32)>| {
        phone.speak();
        phone.packets(|packet| {
            let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| packet[at + byte]));
            headers.push((u16::from_be_bytes([packet[2], packet[3]]), word(4), word(8)));
        });
    };
    for room in [rooms[1], rooms[0], rooms[1]] {
        let before = headers.len();
        until("sound", || {
            read(&mut phone, &mut headers);
            headers.len() > before + 5
        });
        go(&mut engine, mover, room);
        arrived(&mut engine, mover);
        let before = headers.len();
        until("sound from there", || {
            read(&mut phone, &mut headers);
            headers.len() > before + 5
        });
    }
    for pair in headers.windows(2) {
        assert_eq!(pair[1].0, pair[0].0.wrapping_add(1), "the next number");
        let units = pair[1].1.wrapping_sub(pair[0].1);
        assert!(units >= 160 && units.is_multiple_of(160), "{units}");
        assert_eq!(pair[1].2, pair[0].2, "the same source");
    }
}

#[test]
fn rtcp_beside_it_and_an_update_go_along() {
    let mut engine = engine(SOCKET_DRIVERS[1], 2, 2);
    let rooms = open_rooms(&mut engine);
    let (mover, phone) = dial(&mut engine, Route::Room(rooms[0]), 1, 0x9c);
    go(&mut engine, mover, rooms[1]);
    // Another port for RTCP is opened here, and follows.
    let rtcp = RtcpTransport::Separate(phone.address());
    let media = Box::new(media(phone.address(), rtcp));
    engine.command(Command::UpdateSession { session: mover, media }).expect("sent");
    wait_for(&mut engine, |event| {
        matches!(event, Event::MediaReturned { session, .. } if session == mover).then_some(())
    });
    assert_eq!(engine.shard_of(mover), 1);
    hang_up(&mut engine, mover);
    let again = engine.reserve(Some(0)).expect("its ports are free again");
    engine.abandon(again);
}

#[test]
fn who_is_not_there_or_there_already_stays_and_a_full_shard_takes_nobody() {
    let mut engine = engine(SOCKET_DRIVERS[0], 2, 1);
    let (one, _) = dial(&mut engine, Route::Echo, 1, 0x9c);
    let other = engine.reserve(Some(1)).expect("a free slot");
    assert_eq!(engine.send_away(other, 0), Err(Refusal::Gone), "it is only reserved");
    assert_eq!(engine.send_away(one, one.shard()), Err(Refusal::Occupied));
    let elsewhere = 1 - one.shard();
    if elsewhere == 1 {
        assert_eq!(engine.send_away(one, 1), Err(Refusal::Full));
    }
    engine.abandon(other);
    engine.send_away(one, elsewhere).expect("it goes");
    arrived(&mut engine, one);
    let rtp = "127.0.0.1:9".parse().expect("an address");
    let refused = open(&mut engine, one, rtp, RtcpTransport::Mux, Route::Idle);
    assert_eq!(refused, Err(Refusal::Occupied));
}

#[test]
fn a_session_that_another_listens_to_stays_and_hears_what_was_said_to_it() {
    let mut engine = engine(SOCKET_DRIVERS[0], 2, 4);
    let (listened, _) = dial(&mut engine, Route::Echo, 1, 0x9c);
    let point = engine_control::TapPoint::Received(listened);
    let tap = engine_control::TapId(1);
    engine.command(Command::StartTap { point, tap, class: None }).expect("sent");
    engine.send_away(listened, 1 - listened.shard()).expect("the shard knows better");
    engine.command(Command::MuteSession { session: listened, muted: true }).expect("sent");
    wait_for(&mut engine, |event| match event {
        Event::Refused { command: Command::SendAway { session }, refusal } => {
            assert_eq!((session, refusal), (listened, Refusal::Immovable));
            Some(())
        }
        _ => None,
    });
    assert_eq!(engine.shard_of(listened), listened.shard());
    assert!(report(&mut engine, listened).muted);
    hang_up(&mut engine, listened);
    assert_eq!(engine.sessions_free(), 8);
}
