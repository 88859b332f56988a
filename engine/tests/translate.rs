//! Two parties of different payload formats: what one says is decoded, brought to the other's
//! rate and encoded, and nobody hears it when a third comes or goes.

#[path = "rig/conference.rs"]
mod conference;

use conference::{Conference, roughness};
use engine_control::{Command, RoomKey, SessionKey, TapContent, TapId, TapItem, TapPoint};
use media_units::{Encoding, EncodingParameters, RoomSound};

const PAIRS: [[Encoding; 2]; 6] = [
    [Encoding::Pcmu, Encoding::Pcma],
    [Encoding::Pcmu, Encoding::G722],
    [Encoding::Pcma, Encoding::Opus],
    [Encoding::G722, Encoding::Opus],
    [Encoding::Gsm, Encoding::L16At44100],
    [Encoding::Opus, Encoding::Opus],
];

/// Two who both speak, each in its own format.
fn pair(formats: [Encoding; 2], sound: RoomSound) -> Conference {
    let mut conference = Conference::with(3, sound);
    for (encoding, pitch) in formats.into_iter().zip([400.0, 700.0]) {
        let ms = if encoding == Encoding::L16At44100 { 10 } else { 20 };
        let parameters = EncodingParameters { packet_time_ms: ms, ..EncodingParameters::DEFAULT };
        let phone = conference.join(encoding, parameters);
        conference.phone(phone).says = Some((pitch, 6000.0));
    }
    conference
}

/// What both have heard.
fn heard(conference: &Conference) -> [Vec<i16>; 2] {
    [0, 1].map(|phone| conference.wire.phones[phone].heard.clone())
}

/// Speech with a pause and a few packets lost, so that there is something to conceal.
fn talk_through_losses(conference: &mut Conference) {
    for round in 0..2 {
        conference.run(17);
        conference.phone(0).lose(1);
        conference.run(9);
        conference.phone(1).lose(2 + round % 2);
        conference.run(4);
    }
    let said = conference.phone(0).says.take();
    conference.run(40);
    conference.phone(0).says = said;
    conference.run(30);
}

#[test]
fn what_is_translated_is_what_a_mix_of_the_two_would_give() {
    // A room that is never to be silent is a mix, however few are in it.
    let mixed = RoomSound { comfort_noise: true, ..RoomSound::DEFAULT };
    for formats in PAIRS {
        let [translated, mixed] = [RoomSound::DEFAULT, mixed].map(|sound| {
            let mut conference = pair(formats, sound);
            conference.run(20);
            conference.forget();
            talk_through_losses(&mut conference);
            assert!(conference.report().blocks_concealed > 3, "{formats:?}");
            heard(&conference)
        });
        assert!(translated.iter().all(|heard| heard.iter().any(|&sample| sample > 5000)));
        assert!(translated == mixed, "{formats:?}");
    }
}

#[test]
fn nobody_hears_a_third_come_and_go() {
    for formats in PAIRS {
        let with_third = |third: Option<Encoding>| {
            let mut conference = pair(formats, RoomSound::DEFAULT);
            conference.run(30);
            let third = third.map(|it| conference.join(it, EncodingParameters::DEFAULT));
            talk_through_losses(&mut conference);
            if let Some(third) = third {
                conference.leave(third);
            }
            conference.run(30);
            heard(&conference)
        };
        let alone = with_third(None);
        for third in [Encoding::Pcmu, Encoding::Opus] {
            assert!(with_third(Some(third)) == alone, "{formats:?} and {third}");
        }
    }
}

#[test]
fn one_who_only_listens_hears_no_step_when_a_third_comes_and_goes() {
    for encoding in [Encoding::G722, Encoding::Opus, Encoding::G726] {
        let mut conference = pair([Encoding::Pcmu, encoding], RoomSound::DEFAULT);
        conference.phone(1).says = None;
        conference.run(100);
        conference.forget();
        conference.run(50);
        let usual = roughness(&conference.phone(1).heard);
        assert!(usual > 0);
        // It shares its encoder with the third after a while, and goes on alone without it.
        conference.join(encoding, EncodingParameters::DEFAULT);
        let before = conference.frames_encoded();
        conference.run(320);
        assert!(conference.frames_encoded() - before < 2 * 320);
        conference.leave(2);
        conference.run(50);
        let found = roughness(&conference.phone(1).heard);
        assert!(found <= usual * 2, "{encoding}: {found}, else {usual}");
    }
}

#[test]
fn the_muted_and_those_on_hold_are_not_heard_and_a_tap_listens_on() {
    let mut conference = pair([Encoding::Pcmu, Encoding::G722], RoomSound::DEFAULT);
    conference.run(60);
    let (session, room) = (SessionKey::new(0, 0, 1), RoomKey::new(0, 0, 1));
    let peak_of_new = |conference: &mut Conference| {
        conference.run(20);
        conference.forget();
        conference.run(10);
        heard(conference).map(|heard| heard.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0))
    };
    let both = peak_of_new(&mut conference);
    assert!(both.iter().all(|&peak| peak > 5000), "{both:?}");
    conference.command(Command::MuteSession { session, muted: true });
    let [of_other, of_muted] = peak_of_new(&mut conference);
    assert!(of_other > 5000 && of_muted < 20, "{of_other} {of_muted}");
    conference.command(Command::MuteSession { session, muted: false });
    let mut reader = conference.shard.take_tap_reader().unwrap();
    for (number, point) in (0..).zip([TapPoint::Received(session), TapPoint::Room(room)]) {
        conference.command(Command::StartTap { point, tap: TapId(number), class: None });
        assert!(peak_of_new(&mut conference).iter().all(|&peak| peak > 5000));
        conference.command(Command::StopTap { point });
        let mut loud = 0;
        let is_loud = |item: &TapItem<'_>| match item.content {
            TapContent::Block { samples, .. } => samples.iter().any(|&sample| sample > 5000),
            _ => false,
        };
        while let Some(is_loud) = reader.read(is_loud) {
            loud += usize::from(is_loud);
        }
        assert!([29, 30].contains(&loud), "{point:?}: {loud} of 30 periods");
    }
}

#[test]
fn who_tells_silence_is_not_decoded() {
    let mut conference = pair([Encoding::Opus, Encoding::G722], RoomSound::DEFAULT);
    for phone in [0, 1] {
        conference.phone(phone).says = Some((400.0, 0.0));
        conference.phone(phone).tells_level = Some(127);
    }
    conference.run(60);
    assert_eq!(conference.run_and_count(50), [0, 100]);
    conference.phone(0).says = Some((400.0, 6000.0));
    conference.phone(0).tells_level = Some(20);
    conference.forget();
    conference.run(30);
    assert!(conference.phone(1).heard.iter().any(|&sample| sample > 5000));
}
