//! Noise is suppressed in rooms that ask for it, and nowhere else.

mod rig;

use engine_control::{Command, Event, RoomKey, Route, TapPoint};
use media::Random;
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, RoomSound};
use rig::Rig;

/// Two in a room; the first is a fan. Returns the mean power of what it says, of what the second
/// hears, and of what a tap at the first has, after two seconds.
fn powers(noise_suppression: bool) -> [f64; 3] {
    let mut rig = Rig::new();
    let room = RoomKey::new(0, 0, 1);
    let sound = RoomSound { noise_suppression, ..RoomSound::DEFAULT };
    rig.command(Command::OpenRoom { room, sound });
    let speaker = rig.dial(0, Route::Room(room), None);
    rig.dial(1, Route::Room(room), None);
    rig.run(2);
    let mut random = Random::new(1);
    say_noise(&mut rig, &mut random, 100);
    let tap = rig.start_tap(TapPoint::Received(speaker));
    rig.forget();
    let said = say_noise(&mut rig, &mut random, 100);
    let heard: Vec<_> =
        rig.taken.rtp(1).iter().flat_map(|sent| decoded(sent.view().payload())).collect();
    let tapped: Vec<_> = rig.tapped(tap).iter().flat_map(rig::taps::Tapped::samples).collect();
    assert!(!rig.taken.events.iter().any(|event| matches!(event, Event::Refused { .. })));
    [said, heard, tapped].map(|samples| {
        samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
    })
}

fn say_noise(rig: &mut Rig, random: &mut Random, periods: usize) -> Vec<i16> {
    let mut said = Vec::new();
    for _ in 0..periods {
        let block: [i16; BLOCK_SAMPLES] =
            std::array::from_fn(|_| (random.next_u32() % 2001) as i16 - 1000);
        let mut frame = [0; BLOCK_SAMPLES];
        Kernels::SCALAR.encode_ulaw(&block, &mut frame);
        said.extend(decoded(&frame));
        let phone = rig.phone(0);
        let bytes = phone.packet(&frame);
        // The phone's own time passes in the period that follows.
        phone.timestamp = phone.timestamp.plus(0_u32.wrapping_sub(BLOCK_SAMPLES as u32));
        let source = phone.source;
        rig.deliver(0, engine::Port::Rtp, source, &bytes);
        rig.run(1);
    }
    said
}

fn decoded(payload: &[u8]) -> [i16; BLOCK_SAMPLES] {
    let mut samples = [0; BLOCK_SAMPLES];
    Kernels::SCALAR.decode_ulaw(payload, &mut samples);
    samples
}

#[test]
fn a_fan_is_turned_down_for_who_listens_and_recorded_as_it_is() {
    let [said, heard, tapped] = powers(true);
    assert!(heard < said / 30.0, "15 dB: {said} {heard}");
    assert!((0.8..1.25).contains(&(tapped / said)), "{said} {tapped}");
}

#[test]
fn it_is_off_unless_the_room_asks_for_it() {
    let [said, heard, tapped] = powers(false);
    assert!((0.8..1.25).contains(&(heard / said)), "{said} {heard}");
    assert!((0.8..1.25).contains(&(tapped / said)), "{said} {tapped}");
}
