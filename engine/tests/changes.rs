//! What is changed in the middle of a call: nobody hears the change itself, nothing that was said
//! before it, and nothing twice.

mod rig;

use engine_control::{Command, RemoteMedia, RoomKey, Route, SessionKey, TapPoint};
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Direction, Encoding, Gain, RoomSound};
use rig::{Rig, SILENCE};

fn session(slot: u32) -> SessionKey {
    SessionKey::new(0, slot, 1)
}

/// The codes that a session was sent, in PCMU.
fn codes(rig: &Rig, slot: u32) -> Vec<u8> {
    rig.taken.rtp(slot).iter().flat_map(|sent| sent.view().payload()).copied().collect()
}

/// What they sound like.
fn heard(rig: &Rig, slot: u32) -> Vec<i16> {
    let codes = codes(rig, slot);
    let mut samples = vec![0; codes.len()];
    Kernels::SCALAR.decode_ulaw(&codes, &mut samples);
    samples
}

/// Samples that are louder than any noise.
fn loud(samples: &[i16]) -> usize {
    samples.iter().filter(|sample| sample.unsigned_abs() > 100).count()
}

fn open_room(rig: &mut Rig, sound: RoomSound) -> RoomKey {
    let room = RoomKey::new(0, 0, 1);
    rig.command(Command::OpenRoom { room, sound });
    room
}

/// Runs up to behind the next turn of a session.
fn run_behind_turn(rig: &mut Rig, slot: u32) {
    while !rig.shard.due().contains(&slot) {
        rig.tick();
    }
    rig.tick();
}

/// Asserts that no packet to a session begins before the end of the one before, and that none
/// comes later than at its end where `goes_on`.
fn assert_nothing_is_sent_twice(rig: &Rig, slot: u32, goes_on: bool, what: &str) {
    let packets = rig.taken.rtp(slot);
    assert!(packets.len() > 5, "{what}");
    for pair in packets.windows(2) {
        let (one, next) = (pair[0].view(), pair[1].view());
        let units = next.timestamp().distance_from(one.timestamp());
        let octets_of_unit = if one.payload_type() == 0 { 1 } else { 2 };
        let length = one.payload().len() as i32 / octets_of_unit;
        assert!(units == length || units > length && !goes_on, "{what}: {units} for {length}");
    }
}

#[test]
fn a_gain_of_one_is_not_heard_in_what_another_says() {
    const CODE: u8 = 0x9c;
    let louder = Gain { tenths_db: 30 };
    let unity = Gain::UNITY;
    // A third hears more, or one of a relay would be heard louder, and then no longer.
    for (members, [says, hears]) in [(3, [unity, louder]), (2, [louder, unity])] {
        let mut rig = Rig::new();
        let room = rig.open_room(0);
        for slot in 0..members {
            rig.dial(slot, Route::Room(room), (slot == 0).then_some(CODE));
        }
        rig.settle_and_run(3);
        for (says, hears) in [(says, hears), (unity, unity), (says, hears)] {
            rig.command(Command::SetGain { session: session(members - 1), says, hears });
            rig.run(5);
        }
        let codes = codes(&rig, 1);
        assert_eq!(codes.len(), 18 * BLOCK_SAMPLES);
        let other = codes.iter().position(|&code| code != CODE);
        assert_eq!(other, None, "{members} members");
    }
}

#[test]
fn what_was_said_while_muted_is_not_heard_after_it() {
    for early in 0..4 {
        let mut rig = Rig::new();
        let sound = RoomSound { noise_suppression: true, ..RoomSound::DEFAULT };
        let room = open_room(&mut rig, sound);
        (0..3).for_each(|slot| _ = rig.dial(slot, Route::Room(room), None));
        rig.phone(0).code = Some(SILENCE);
        rig.run(100);
        rig.command(Command::MuteSession { session: session(0), muted: true });
        rig.run(5);
        rig.phone(0).hums = true;
        rig.run(6);
        rig.phone(0).hums = false;
        rig.run(early);
        rig.forget();
        rig.command(Command::MuteSession { session: session(0), muted: false });
        rig.run(3);
        assert_eq!(loud(&heard(&rig, 1)), 0, "{early} periods after it fell silent");
    }
}

#[test]
fn what_waited_for_a_whole_packet_before_a_hold_is_not_sent_after_it() {
    let long = |media: &mut RemoteMedia| {
        media.parameters.packet_time_ms = 60;
        media.parameters.discontinuous = false;
    };
    for after in 0..3 {
        let mut rig = Rig::new();
        let room = rig.open_room(0);
        rig.dial(0, Route::Room(room), Some(0x9c));
        rig.dial(2, Route::Room(room), None);
        rig.dial_with(1, Route::Room(room), None, long);
        rig.run(60 + after);
        rig.update(session(1), |media| {
            long(media);
            media.direction = Direction::Inactive;
        });
        rig.run(100);
        rig.phone(0).code = None;
        rig.run(100);
        rig.forget();
        rig.update(session(1), long);
        rig.run(9);
        let heard = heard(&rig, 1);
        assert!(heard.len() >= 6 * BLOCK_SAMPLES);
        assert_eq!(loud(&heard), 0, "held {after} periods later");
    }
}

#[test]
fn a_recording_has_all_that_is_heard_before_an_announced_pause() {
    const COMFORT_NOISE: u8 = 13;
    for (in_band_digits, members) in [(false, 2), (true, 2), (false, 3), (true, 3)] {
        let mut rig = Rig::new();
        let room = open_room(&mut rig, RoomSound { in_band_digits, ..RoomSound::DEFAULT });
        let speaker = rig.dial_with(0, Route::Room(room), Some(0x9c), |media| {
            media.telephone_event = None;
            media.comfort_noise = Some(COMFORT_NOISE);
        });
        (1..members).for_each(|slot| _ = rig.dial(slot, Route::Room(room), None));
        rig.run(60);
        let tap = rig.start_tap(TapPoint::Received(speaker));
        rig.forget();
        rig.run(10);
        rig.phone(0).code = None;
        rig.phone(0).payload_type = COMFORT_NOISE;
        let bytes = rig.phone(0).packet(&[60]);
        let phone = rig.phone(0);
        phone.timestamp = phone.timestamp.plus(0_u32.wrapping_sub(BLOCK_SAMPLES as u32));
        let source = phone.source;
        rig.deliver(0, engine::Port::Rtp, source, &bytes);
        rig.run(10);
        let tapped: Vec<i16> =
            rig.tapped(tap).iter().flat_map(rig::taps::Tapped::samples).collect();
        let [tapped, heard] = [tapped, heard(&rig, 1)].map(|samples| loud(&samples));
        // What is sent lags behind what is recorded by at most a period.
        assert!(heard >= 9 * BLOCK_SAMPLES);
        let what = format!("digits in the sound: {in_band_digits}, {members} members");
        assert!(tapped + BLOCK_SAMPLES / 2 >= heard, "{what}: {tapped} of {heard}");
    }
}

#[test]
fn who_goes_into_a_room_of_a_later_phase_is_sent_nothing_twice() {
    for (packet_time_ms, after) in
        [(60, 0), (60, 1), (60, 2), (40, 0), (40, 1), (30, 0), (30, 1), (30, 2)]
    {
        let mut rig = Rig::new();
        let rooms: Vec<RoomKey> = (0..4).map(|slot| rig.open_room(slot)).collect();
        rig.dial_with(0, Route::Room(rooms[0]), None, |media| {
            media.parameters.packet_time_ms = packet_time_ms;
        });
        rig.dial(1, Route::Room(rooms[0]), Some(0x9c));
        rig.dial(2, Route::Room(rooms[3]), Some(0x9c));
        rig.settle_and_run(5 + after);
        run_behind_turn(&mut rig, 0);
        let route = Route::Room(rooms[3]);
        rig.command(Command::RouteSession { session: session(0), route });
        rig.run(14);
        let what = format!("packets of {packet_time_ms} ms, {after} periods later");
        assert_nothing_is_sent_twice(&rig, 0, true, &what);
    }
}

#[test]
fn after_a_change_of_codec_timestamps_go_on_behind_what_was_sent() {
    let rates = [None, Some((Encoding::L16At16000, 96)), Some((Encoding::L16At48000, 97))];
    let set = |media: &mut RemoteMedia, format: Option<(Encoding, u8)>| {
        let Some((encoding, number)) = format else { return };
        media.encoding = encoding;
        media.receive_payload_type = number;
        media.send_payload_type = number;
        media.parameters.packet_time_ms = 10;
    };
    for (before, after) in rates.into_iter().flat_map(|one| rates.map(|other| (one, other))) {
        for is_behind_turn in [false, true] {
            let mut rig = Rig::new();
            let room = rig.open_room(0);
            rig.dial(1, Route::Room(room), Some(0x9c));
            rig.dial_with(0, Route::Room(room), None, |media| set(media, before));
            rig.settle_and_run(5);
            if is_behind_turn {
                run_behind_turn(&mut rig, 0);
            }
            rig.update(session(0), |media| set(media, after));
            rig.run(10);
            let what = format!("{before:?} to {after:?}, behind the turn: {is_behind_turn}");
            assert_nothing_is_sent_twice(&rig, 0, false, &what);
        }
    }
}
