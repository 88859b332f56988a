//! The flight recorder of an engine on real sockets, and its shard run again.

mod phone;

use std::time::Duration;

use engine::flight::{FlightFile, Kept};
use engine_control::{Command, Event, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey};
use engine_driver::{DriverChoice, Engine, EngineConfig, FlightConfig};
use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters, Gain, PERIOD, RoomSound};
use phone::{Phone, SOCKET_DRIVERS, config, dial, hang_up, media, until};
use sim::replay::{Missing, Outcome, replay};

fn start(driver: DriverChoice, kept: Kept, late: Option<Duration>) -> Engine {
    let flight = FlightConfig { kept, ring_bytes: 16 << 20, late };
    Engine::start(EngineConfig { flight: Some(flight), ..config(driver, 1, 8) }).unwrap()
}

fn open_room(engine: &mut Engine, sound: RoomSound) -> RoomKey {
    let room = engine.reserve_room().unwrap();
    engine.command(Command::OpenRoom { room, sound }).unwrap();
    room
}

fn close_room(engine: &mut Engine, room: RoomKey) {
    engine.command(Command::CloseRoom { room }).unwrap();
    phone::wait_for(engine, |event| {
        matches!(event, Event::RoomClosed { room: closed } if closed == room).then_some(())
    });
}

/// All of them speak for so many periods.
fn talk(engine: &mut Engine, phones: &mut [&mut Phone], periods: usize) {
    for _ in 0..periods {
        phones.iter_mut().for_each(|phone| phone.speak());
        while engine.next_event().is_some() {}
        std::thread::sleep(PERIOD);
    }
}

/// A conference of three, one of them in Opus, with everything that is done to one.
fn conference(engine: &mut Engine) {
    let room = open_room(engine, RoomSound { comfort_noise: true, ..RoomSound::DEFAULT });
    let (ann, mut ann_phone) = dial(engine, Route::Room(room), 11, 0x22);
    let (bob, mut bob_phone) = dial(engine, Route::Room(room), 12, 0x33);
    let (cat, mut cat_phone) = dial(engine, Route::Room(room), 13, 0x44);
    for _ in 0..10 {
        talk(engine, &mut [&mut ann_phone, &mut bob_phone, &mut cat_phone], 5);
        bob_phone.lose();
        talk(engine, &mut [&mut ann_phone, &mut cat_phone], 1);
    }
    let opus = RemoteMedia {
        encoding: Encoding::Opus,
        parameters: EncodingParameters::DEFAULT,
        send_payload_type: 96,
        receive_payload_type: 96,
        ..media(cat_phone.address(), RtcpTransport::Mux)
    };
    let says = Gain { tenths_db: -60 };
    for command in [
        Command::MuteSession { session: ann, muted: true },
        Command::UpdateSession { session: cat, media: Box::new(opus) },
        Command::SetGain { session: bob, says, hears: Gain::default() },
    ] {
        engine.command(command).unwrap();
    }
    talk(engine, &mut [&mut ann_phone, &mut bob_phone], 30);
    engine.command(Command::RouteSession { session: bob, route: Route::Echo }).unwrap();
    talk(engine, &mut [&mut ann_phone, &mut bob_phone], 10);
    for session in [ann, bob, cat] {
        hang_up(engine, session);
    }
    close_room(engine, room);
}

fn written(engine: &Engine) -> FlightFile {
    let file = engine.flight(0, "a test".to_owned()).expect("there is a recorder");
    FlightFile::read(&file.to_bytes()).expect("what was written can be read")
}

#[test]
fn a_shard_is_run_again_bit_for_bit() {
    for driver in SOCKET_DRIVERS {
        let mut engine = start(driver, Kept::All, None);
        conference(&mut engine);
        // At rest in between, with the places of those who were there.
        conference(&mut engine);
        let (_, mut phone) = dial(&mut engine, Route::Echo, 14, 0x55);
        talk(&mut engine, &mut [&mut phone], 20);
        let file = written(&engine);
        engine.stop();
        for kernels in [Kernels::SCALAR, Kernels::detect()] {
            let replayed = replay(&file, kernels);
            let Outcome::Same { ticks } = replayed.outcome else { panic!("{replayed}") };
            assert!(ticks > 2 * 90 * 4, "two conferences of 2 s each: {replayed}");
            let told = replayed.to_string();
            for part in ["s0.0.1, PCMU", "muted", "heard s0.1.1", " 10 lost"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
    }
}

#[test]
fn what_went_in_otherwise_comes_out_otherwise_and_that_is_noticed() {
    let mut engine = start(DriverChoice::Plain, Kept::All, None);
    let (_, mut phone) = dial(&mut engine, Route::Echo, 14, 0x55);
    talk(&mut engine, &mut [&mut phone], 50);
    let file = engine.flight(0, "a test".to_owned()).unwrap();
    engine.stop();
    let bytes = file.to_bytes();
    let lines: Vec<&[u8]> = bytes.splitn(3, |octet| *octet == b'\n').collect();
    let mut octets = lines[2].to_vec();
    // Of a packet in the middle: on a busy machine the last ones may not have been heard yet.
    let is_sound = |at: &usize| octets[*at..].starts_with(&[0x55; 16]);
    let sound: Vec<usize> = (0..octets.len()).filter(is_sound).collect();
    octets[sound[sound.len() / 2]] ^= 1;
    let words: Vec<_> = octets.as_chunks().0.iter().copied().map(u64::from_le_bytes).collect();
    let changed = FlightFile::new("a test".to_owned(), file.header.source, &words);
    let replayed = replay(&changed, Kernels::SCALAR);
    assert!(matches!(replayed.outcome, Outcome::Different { ticks: 1.., .. }), "{replayed}");
}

#[test]
fn headers_alone_tell_what_was_decided() {
    let mut engine = start(DriverChoice::Plain, Kept::Headers, None);
    let room = open_room(&mut engine, RoomSound::DEFAULT);
    let (ann, mut ann_phone) = dial(&mut engine, Route::Room(room), 11, 0x22);
    let (bob, mut bob_phone) = dial(&mut engine, Route::Room(room), 12, 0x33);
    talk(&mut engine, &mut [&mut ann_phone, &mut bob_phone], 50);
    engine.command(Command::MuteSession { session: ann, muted: true }).unwrap();
    talk(&mut engine, &mut [&mut ann_phone, &mut bob_phone], 50);
    let bytes = engine.flight(0, "a test".to_owned()).unwrap().to_bytes();
    assert!(!bytes.windows(8).any(|window| window == [0x33; 8]), "no sound is kept");
    engine.stop();
    let replayed = replay(&FlightFile::read(&bytes).unwrap(), Kernels::SCALAR);
    assert_eq!(replayed.outcome, Outcome::NotRun(Missing::Octets));
    let told = replayed.to_string();
    let heard = |listener: SessionKey, talker: SessionKey| {
        let from = told.find(&format!("\n{listener}, PCMU, from 127.0.0.1:")).expect(&told);
        let line = told[from..].lines().find(|line| line.contains(&format!("heard {talker}")));
        line.unwrap_or_default().to_owned()
    };
    assert!(heard(bob, ann).contains("muted"), "{told}");
    assert!(heard(ann, bob).contains(" s") && !heard(ann, bob).contains("muted"), "{told}");
}

#[test]
fn a_ring_that_does_not_reach_back_to_a_rest_tells_what_was_decided() {
    let flight = FlightConfig { kept: Kept::All, ring_bytes: 32 << 10, late: None };
    let config = config(DriverChoice::Plain, 1, 8);
    let mut engine = Engine::start(EngineConfig { flight: Some(flight), ..config }).unwrap();
    let room = open_room(&mut engine, RoomSound::DEFAULT);
    let (ann, mut ann_phone) = dial(&mut engine, Route::Room(room), 11, 0x22);
    let (bob, mut bob_phone) = dial(&mut engine, Route::Room(room), 12, 0x33);
    talk(&mut engine, &mut [&mut ann_phone, &mut bob_phone], 150);
    let file = written(&engine);
    engine.stop();
    let replayed = replay(&file, Kernels::SCALAR);
    assert_eq!(replayed.outcome, Outcome::NotRun(Missing::Rest));
    let told = replayed.to_string();
    assert!(
        told.contains(&format!("heard {ann}")) && told.contains(&format!("heard {bob}")),
        "{told}"
    );
}

#[test]
fn late_ticks_are_told_while_there_is_somebody_to_be_late_for() {
    let mut engine = start(DriverChoice::Plain, Kept::Headers, Some(Duration::ZERO));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(engine.late_tick(0), None, "a shard at rest is late for nobody");
    let (session, mut phone) = dial(&mut engine, Route::Echo, 14, 0x55);
    until("a tick that is later than not at all", || {
        phone.speak();
        engine.late_tick(0).is_some()
    });
    hang_up(&mut engine, session);
    until("its last tick", || engine.late_tick(0).is_none());
    assert_eq!(engine.late_tick(1), None, "there is no such shard");
}
